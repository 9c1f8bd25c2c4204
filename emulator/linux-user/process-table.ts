import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason } from '../layout/state.ts';
import { FlatMemory } from '../memory/flat.ts';
import type { Abi } from './abi.ts';
import { AddressSpace, type MemoryQuota } from './address-space.ts';
import type { OpenFile } from './file.ts';
import { loadProgram, parseProgram } from './image.ts';
import type { KernelCounters } from './outcome.ts';
import { DescriptorTable, type Process, type ProcessEnd, type Program, type UserCpu } from './process.ts';
import type { Surroundings } from './services.ts';
import { Signal, SignalState } from './signal.ts';

/** What processes are made of, and for. */
export interface ProcessOptions {
  readonly abi: Abi;
  readonly surroundings: Surroundings;
  readonly createCpu: (memory: FlatMemory) => UserCpu;
  /** Told of a vCPU that runs no more: its process has ended or executed another program. */
  readonly retireCpu?: (cpu: UserCpu) => void;
  readonly memorySize: number;
  /** What all processes together may map, in bytes; four times `memorySize` and at least 4 GiB unless given. */
  readonly totalMemory?: number;
}

const MAXIMUM_PROCESSES = 512;
const LEAST_TOTAL_MEMORY = 4 * 2 ** 30;

/** The processes there are, the first one and those that end first included, and how they come and go. */
export class ProcessTable {
  readonly #options: ProcessOptions;
  readonly #counters: KernelCounters;
  readonly #processes: Process[] = [];
  readonly #quota: MemoryQuota;
  #gone: ReturnType<typeof nothingLeft> | undefined;
  #nextPid = 1000;
  #main: Process | undefined;

  constructor(options: ProcessOptions, counters: KernelCounters) {
    this.#options = options;
    this.#counters = counters;
    this.#quota = { limit: options.totalMemory ?? Math.max(4 * options.memorySize, LEAST_TOTAL_MEMORY), used: 0 };
  }

  /** The first process. */
  get main(): Process | undefined {
    return this.#main;
  }

  /** With those that have ended and not been waited for. */
  get all(): readonly Process[] {
    return this.#processes;
  }

  /** Makes the first process. Throws ImageError for a program that cannot run. */
  start(
    program: Program,
    argv: readonly string[],
    environment: readonly string[],
    stdio: readonly OpenFile[],
    directory: string,
  ): Process {
    const image = this.#load(program, argv, environment);
    const pid = this.#nextPid++;
    const process: Process = {
      pid,
      parent: undefined,
      group: pid,
      session: pid,
      ...image,
      descriptors: new DescriptorTable(),
      signals: new SignalState(),
      directory,
      umask: 0o022,
      waiting: undefined,
      vforked: false,
      end: undefined,
      clearChildTid: 0,
      alarm: undefined,
      fault: undefined,
    };
    stdio.forEach((file, fd) => process.descriptors.set(fd, file, false));
    this.#processes.push(process);
    this.#main = process;
    this.#counters.programs++;
    return process;
  }

  /** Closes what is still open. */
  shutdown(): void {
    for (const process of this.#processes) {
      if (!process.end || process === this.#main) process.space.release();
      process.descriptors.closeAll();
    }
    this.#processes.length = 0;
  }

  find(pid: number): Process | undefined {
    return this.#processes.find((process) => process.pid === pid);
  }

  childrenOf(parent: Process): readonly Process[] {
    return this.#processes.filter((process) => process.parent === parent);
  }

  /** Forgets a process that has been waited for. */
  reap(child: Process): void {
    this.#processes.splice(this.#processes.indexOf(child), 1);
  }

  /** fork(2): the child, which has not run yet; undefined when there are too many, or too little memory for one more. */
  fork(parent: Process): Process | undefined {
    if (this.#processes.length >= MAXIMUM_PROCESSES || !parent.space.mayFork()) return undefined;
    const memory = parent.memory.clone();
    const cpu = this.#options.createCpu(memory);
    cpu.pc = parent.cpu.pc;
    const child: Process = {
      ...parent,
      pid: this.#nextPid++,
      parent,
      memory,
      cpu,
      space: new AddressSpace(memory, (address, length) => cpu.flushCode(address, length), this.#quota, parent.space),
      descriptors: parent.descriptors.fork(),
      signals: parent.signals.fork(),
      waiting: undefined,
      vforked: false,
      clearChildTid: 0,
      alarm: undefined,
      fault: undefined,
    };
    this.#processes.push(child);
    this.#counters.forks++;
    return child;
  }

  /** execve(2) after the program has been found. Throws ImageError when it cannot run. */
  execute(process: Process, program: Program, argv: readonly string[], environment: readonly string[]): void {
    const image = this.#load(program, argv, environment);
    process.space.release();
    this.#options.retireCpu?.(process.cpu);
    Object.assign(process, image, { vforked: false, clearChildTid: 0 });
    process.descriptors.closeAll((_fd, { closeOnExec }) => closeOnExec);
    process.signals.exec();
    this.#counters.programs++;
  }

  /** Ends a process: descriptors are closed, children lose their parent, the parent is told. */
  terminate(process: Process, end: ProcessEnd): void {
    if (process.end) return;
    process.end = end;
    process.waiting?.cancel?.();
    process.waiting = undefined;
    process.vforked = false;
    process.descriptors.closeAll();
    if (process !== this.#main) this.#dissolve(process);
    for (const child of this.childrenOf(process)) {
      child.parent = undefined;
      if (child.end) this.reap(child);
    }
    const { parent } = process;
    if (!parent) {
      if (process !== this.#main) this.reap(process);
      return;
    }
    if (parent.signals.action(Signal.SIGCHLD).handler === 1) this.reap(process);
    else
      parent.signals.raise({ signal: Signal.SIGCHLD, code: 'code' in end ? 1 : 2, address: 0n, sender: process.pid });
  }

  /** What the process had goes at once, though it has not been waited for: its memory is the host's. */
  #dissolve(process: Process): void {
    process.space.release();
    this.#options.retireCpu?.(process.cpu);
    this.#gone ??= nothingLeft();
    Object.assign(process, this.#gone);
  }

  /** A fresh address space and vCPU with the program in it. Throws ImageError when it cannot run. */
  #load(program: Program, argv: readonly string[], environment: readonly string[]) {
    const { abi, createCpu, memorySize } = this.#options;
    const elf = parseProgram(program, abi);
    const memory = new FlatMemory(memorySize);
    const cpu = createCpu(memory);
    const space = new AddressSpace(memory, (address, length) => cpu.flushCode(address, length), this.#quota);
    try {
      const { trampoline } = loadProgram(elf, space, cpu.state, abi, argv, environment, this.#randomBytes(16));
      const name = program.path.slice(program.path.lastIndexOf('/') + 1);
      return { program, name, memory, cpu, space, trampoline };
    } catch (error) {
      space.release();
      this.#options.retireCpu?.(cpu);
      throw error;
    }
  }

  #randomBytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    this.#options.surroundings.random(bytes);
    return bytes;
  }
}

/** What an ended process keeps until it has been waited for: nothing, in the least memory there is. */
function nothingLeft(): Pick<Process, 'memory' | 'space' | 'cpu'> {
  const memory = new FlatMemory(65536);
  const cpu: UserCpu = {
    state: new DataView(memory.memory.buffer as ArrayBuffer, STATE, STATE_SIZE),
    pc: 0n,
    cause: 0,
    value: 0n,
    run: () => ExitReason.budget,
    flushCode: () => {},
    instructions: () => 0,
  };
  return { memory, cpu, space: new AddressSpace(memory, () => {}) };
}
