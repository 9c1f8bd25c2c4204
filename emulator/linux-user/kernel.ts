import { assert } from '../check/assert.ts';
import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind } from '../layout/state.ts';
import { FlatMemory } from '../memory/flat.ts';
import type { Abi } from './abi.ts';
import { AddressSpace, type MemoryQuota } from './address-space.ts';
import { Errno } from '../check/errno.ts';
import type { OpenFile } from './file.ts';
import type { FileSystem } from './filesystem.ts';
import { loadProgram, parseProgram } from './image.ts';
import { DescriptorTable, type Process, type ProcessEnd, type Program, type UserCpu, type Waiting } from './process.ts';
import { ActionFlag, bit, Signal, signalName, SignalState, type SignalInformation } from './signal.ts';
import { enterHandler, leaveHandler } from './signal-frame.ts';
import { NO_RESULT, type Arguments, type Services, type Surroundings } from './services.ts';
import { SYSTEM_CALLS } from './syscall/table.ts';
import { TRANSFER_CALLS } from './syscall/transfer.ts';

export interface KernelOptions {
  readonly abi: Abi;
  readonly files: FileSystem;
  readonly surroundings: Surroundings;
  readonly createCpu: (memory: FlatMemory) => UserCpu;
  /** Told of a vCPU that runs no more: its process has ended or executed another program. */
  readonly retireCpu?: (cpu: UserCpu) => void;
  readonly memorySize: number;
  /** What all processes together may map, in bytes; four times `memorySize` and at least 4 GiB unless given. */
  readonly totalMemory?: number;
  readonly maximumInstructions: number;
  /** Host milliseconds until the run is ended; Infinity for none. */
  readonly timeout: number;
  readonly now: () => number;
}

/** Why the program, and with it everything it started, came to an end. */
export type Outcome =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: number; readonly name: string; readonly fault?: GuestFault }
  | { readonly kind: 'limit'; readonly limit: 'instructions' | 'timeout' }
  | { readonly kind: 'deadlock' };

/** What a process did that killed it: where, and for a memory access which address. */
export interface GuestFault {
  readonly pc: bigint;
  readonly kind: 'trap' | 'load' | 'store' | 'fetch' | 'misaligned load' | 'misaligned store';
  readonly cause: number;
  readonly address: bigint;
}

export interface KernelCounters {
  instructions: number;
  systemCalls: Map<string, number>;
  /** Calls answered with ENOSYS, by name or number. */
  unknown: Map<string, number>;
  forks: number;
  programs: number;
  signals: number;
}

/** Instructions a process runs before another one gets its turn, and before the time limit is looked at. */
const SLICE = 4_000_000;
const MAXIMUM_PROCESSES = 512;
const LEAST_TOTAL_MEMORY = 4 * 2 ** 30;
/** Calls that look at files or hand memory on: shared mappings are written back before them and read again after them. */
const SHARING_CALLS: ReadonlySet<string> = new Set([
  ...Object.keys(TRANSFER_CALLS),
  'msync',
  'fsync',
  'fdatasync',
  'ftruncate',
  'truncate',
]);

/** A small Linux: processes, their scheduling, signals; the system calls are in `syscall/`. */
export class Kernel implements Services {
  readonly options: KernelOptions;
  readonly counters: KernelCounters = {
    instructions: 0,
    systemCalls: new Map(),
    unknown: new Map(),
    forks: 0,
    programs: 0,
    signals: 0,
  };
  readonly #processes: Process[] = [];
  readonly #quota: MemoryQuota;
  readonly #faults = new Map<number, GuestFault>();
  #gone: ReturnType<typeof nothingLeft> | undefined;
  #nextPid = 1000;
  #main: Process | undefined;

  constructor(options: KernelOptions) {
    this.options = options;
    this.#quota = { limit: options.totalMemory ?? Math.max(4 * options.memorySize, LEAST_TOTAL_MEMORY), used: 0 };
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
    };
    stdio.forEach((file, fd) => process.descriptors.set(fd, file, false));
    this.#processes.push(process);
    this.#main = process;
    this.counters.programs++;
    return process;
  }

  /** Runs until the first process has ended, a limit is reached or nothing can go on any more. */
  run(): Outcome {
    const main = this.#main;
    assert(main, 'start comes before run');
    const deadline = this.options.now() + this.options.timeout;
    for (;;) {
      let progressed = false;
      for (const process of this.#processes.slice()) {
        if (process.end) continue;
        this.#checkAlarm(process);
        if (process.waiting && !this.#tryWaiting(process)) continue;
        progressed = true;
        const left = this.options.maximumInstructions - this.counters.instructions;
        if (left <= 0) return { kind: 'limit', limit: 'instructions' };
        this.#runSlice(process, Math.min(SLICE, left));
        if (main.end) return this.#outcome(main, main.end);
      }
      if (main.end) return this.#outcome(main, main.end);
      if (this.options.now() >= deadline) return { kind: 'limit', limit: 'timeout' };
      if (!progressed && !this.#rest(deadline)) return { kind: 'deadlock' };
    }
  }

  /** Closes what is still open. */
  shutdown(): void {
    for (const process of this.#processes) {
      if (!process.end || process === this.#main) process.space.release();
      process.descriptors.closeAll();
    }
    this.#processes.length = 0;
  }

  monotonic(): bigint {
    return this.options.surroundings.monotonic(this.counters.instructions);
  }

  realtime(): bigint {
    return this.options.surroundings.realtime(this.counters.instructions);
  }

  processes(): readonly Process[] {
    return this.#processes.filter((process) => !process.end);
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
    this.#faults.delete(child.pid);
  }

  /** fork(2): the child, which has not run yet; undefined when there are too many, or too little memory for one more. */
  fork(parent: Process): Process | undefined {
    if (this.#processes.length >= MAXIMUM_PROCESSES || !parent.space.mayFork()) return undefined;
    const memory = parent.memory.clone();
    const cpu = this.options.createCpu(memory);
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
    };
    this.#processes.push(child);
    this.counters.forks++;
    return child;
  }

  /** execve(2) after the program has been found. Throws ImageError when it cannot run. */
  execute(process: Process, program: Program, argv: readonly string[], environment: readonly string[]): void {
    const image = this.#load(program, argv, environment);
    process.space.release();
    this.options.retireCpu?.(process.cpu);
    Object.assign(process, image, { vforked: false, clearChildTid: 0 });
    process.descriptors.closeAll((_fd, { closeOnExec }) => closeOnExec);
    process.signals.exec();
    this.counters.programs++;
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
    this.options.retireCpu?.(process.cpu);
    this.#gone ??= nothingLeft();
    Object.assign(process, this.#gone);
  }

  leaveHandler(process: Process): boolean {
    return leaveHandler(this.options.abi, process);
  }

  /** A fresh address space and vCPU with the program in it. Throws ImageError when it cannot run. */
  #load(program: Program, argv: readonly string[], environment: readonly string[]) {
    const { abi, createCpu, memorySize } = this.options;
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
      this.options.retireCpu?.(cpu);
      throw error;
    }
  }

  #runSlice(process: Process, budget: number): void {
    const { shared } = process.space;
    // A process that is alone has nobody to see its stores before it looks at the files itself.
    if (shared.size > 0 && this.#processes.length > 1) shared.pull();
    let left = budget;
    while (left > 0 && !process.end && !process.waiting) {
      const before = process.cpu.instructions();
      const { cpu } = process;
      const reason = cpu.run(left);
      const done = cpu.instructions() - before;
      left -= done;
      this.counters.instructions += done;
      if (reason === ExitReason.budget) break;
      if (reason === ExitReason.trap && cpu.cause === this.options.abi.callCause) {
        // The call itself retires, and counts, though the vCPU left before it did.
        left--;
        this.counters.instructions++;
        this.#call(process);
      } else if (reason === ExitReason.trap || reason === ExitReason.fault) this.#fault(process, reason);
      if (process.signals.interrupting && !process.end && !process.waiting) this.#deliver(process);
    }
    if (process.space.shared.size > 0 && this.#processes.length > 1) process.space.shared.push();
  }

  #call(process: Process): void {
    const { abi } = this.options;
    const { state } = process.cpu;
    const number = abi.callNumber(state);
    const name = abi.systemCalls[number] ?? `#${number}`;
    this.counters.systemCalls.set(name, (this.counters.systemCalls.get(name) ?? 0) + 1);
    const handler = SYSTEM_CALLS.get(name);
    if (!handler) {
      this.counters.unknown.set(name, (this.counters.unknown.get(name) ?? 0) + 1);
      this.#finishCall(process, -Errno.ENOSYS);
      return;
    }
    const { shared } = process.space;
    const sharing = shared.size > 0 && SHARING_CALLS.has(name);
    if (sharing) shared.push();
    const args = [0, 1, 2, 3, 4, 5].map((index) => abi.argument(state, index));
    const result = handler(this, process, args as unknown as Arguments);
    if (sharing) shared.pull();
    if (result === NO_RESULT) return;
    if (typeof result === 'number') this.#finishCall(process, result);
    else {
      process.waiting = result;
      this.#tryWaiting(process);
    }
  }

  /** Steps over the call; only now, so that a handler run meanwhile can have it begun anew. */
  #finishCall(process: Process, result: number): void {
    const { abi } = this.options;
    process.cpu.pc += BigInt(abi.callLength);
    abi.setResult(process.cpu.state, result);
  }

  #tryWaiting(process: Process): boolean {
    const waiting = process.waiting as Waiting;
    const result = waiting.poll();
    if (result !== undefined) {
      process.waiting = undefined;
      this.#finishCall(process, result);
    } else if (process.signals.interrupting) {
      process.waiting = undefined;
      waiting.cancel?.();
      const next = process.signals.take()!;
      const restart = waiting.restartable && (process.signals.action(next.signal).flags & ActionFlag.restart) !== 0n;
      if (!restart) this.#finishCall(process, -Errno.EINTR);
      this.#handle(process, next);
    } else return false;
    if (process.signals.interrupting && !process.end) this.#deliver(process);
    return !process.end;
  }

  #fault(process: Process, reason: ExitReason): void {
    const { cause, value, pc } = process.cpu;
    const memory = reason === ExitReason.fault;
    const signal = memory
      ? cause >= FaultKind.loadMisaligned
        ? Signal.SIGBUS
        : Signal.SIGSEGV
      : this.options.abi.signalOfTrap(cause);
    const kinds = ['trap', 'load', 'store', 'fetch', 'misaligned load', 'misaligned store'] as const;
    this.#faults.set(process.pid, { pc, kind: memory ? (kinds[cause] ?? 'trap') : 'trap', cause, address: value });
    const action = process.signals.action(signal);
    // A fault that is blocked or ignored kills all the same (force_sig in Linux).
    if (action.handler <= 1 || (process.signals.mask & bit(signal)) !== 0n) this.terminate(process, { signal });
    else this.#handle(process, { signal, code: 1, address: memory ? value : pc, sender: 0 });
  }

  #deliver(process: Process): void {
    while (!process.end) {
      const next = process.signals.take();
      if (!next) return;
      this.#handle(process, next);
    }
  }

  #handle(process: Process, information: SignalInformation): void {
    const { signal } = information;
    const action = process.signals.action(signal);
    this.counters.signals++;
    if (process.signals.ignores(signal)) return;
    if (action.handler === 0) {
      this.terminate(process, { signal });
      return;
    }
    if (!enterHandler(this.options.abi, process, information, action))
      this.terminate(process, { signal: Signal.SIGSEGV });
  }

  #checkAlarm(process: Process): void {
    const { alarm } = process;
    if (!alarm || this.monotonic() < alarm.due) return;
    process.alarm = alarm.interval > 0n ? { due: alarm.due + alarm.interval, interval: alarm.interval } : undefined;
    process.signals.raise({ signal: Signal.SIGALRM, code: 0x80, address: 0n, sender: 0 });
    if (!process.waiting && process.signals.interrupting) this.#deliver(process);
  }

  /** Every process waits: rests until the next deadline or for a moment when the outside may bring something. False when nothing ever will. */
  #rest(deadline: number): boolean {
    let milliseconds = Infinity;
    const now = this.monotonic();
    for (const process of this.#processes) {
      if (process.end) continue;
      const times = [process.waiting?.deadline, process.alarm?.due].filter((time) => time !== undefined);
      for (const time of times) milliseconds = Math.min(milliseconds, Math.max(0, Number(time - now) / 1e6));
      if (process.waiting?.external) milliseconds = Math.min(milliseconds, 5);
    }
    if (milliseconds === Infinity) return false;
    this.options.surroundings.rest(Math.min(milliseconds, 100, Math.max(0, deadline - this.options.now())));
    return true;
  }

  #outcome(main: Process, end: ProcessEnd): Outcome {
    if ('code' in end) return { kind: 'exit', code: end.code };
    const { signal } = end;
    const fault = this.#faults.get(main.pid);
    return { kind: 'signal', signal, name: signalName(signal), ...(fault ? { fault } : {}) };
  }

  #randomBytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    this.options.surroundings.random(bytes);
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
