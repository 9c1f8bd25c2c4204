import assert from 'node:assert/strict';
import { PAGE_SIZE, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason } from '../layout/state.ts';
import { writeElf } from '../loader/write-elf.ts';
import type { FlatMemory } from '../memory/flat.ts';
import { riscv64Abi } from './abi-riscv64.ts';
import { FileSystem, type Mount } from './filesystem.ts';
import { Kernel, type KernelOptions } from './kernel.ts';
import type { Process, UserCpu, Waiting } from './process.ts';
import { NO_RESULT, type Arguments } from './services.ts';
import { ByteSink, ByteSource } from './stdio.ts';
import { SYSTEM_CALLS } from './syscall/table.ts';

/** Where the test program is loaded: one page from the file and one after it, readable, writable and executable. */
export const PROGRAM = 0x1_0000;
/** The second page: for buffers. */
export const BUFFER = PROGRAM + PAGE_SIZE;

/** A vCPU that executes nothing. */
function idleCpu(memory: FlatMemory): UserCpu {
  return {
    state: new DataView(memory.memory.buffer as ArrayBuffer, STATE, STATE_SIZE),
    pc: 0n,
    cause: 0,
    value: 0n,
    run: () => ExitReason.budget,
    flushCode: () => {},
    instructions: () => 0,
  };
}

/** A one-page program, so that a process can be made without an ELF of a compiler. */
function smallestProgram(): Uint8Array {
  return writeElf({
    machine: riscv64Abi.elfMachine,
    entry: PROGRAM,
    segments: [{ address: PROGRAM, flags: 7, bytes: new Uint8Array(PAGE_SIZE), memorySize: 2 * PAGE_SIZE }],
  });
}

export interface TestKernel {
  readonly kernel: Kernel;
  readonly process: Process;
  readonly output: ByteSink;
  /** The system call's result, of the first process unless another one is given. It may not wait. */
  call(name: string, args: readonly number[], process?: Process): number;
  /** A system call that may wait. */
  begin(name: string, args: readonly number[], process?: Process): number | Waiting;
}

/** A kernel with one process that executes nothing, for calling system calls one by one. A clock that moves by a nanosecond a look. */
export function testKernel(mounts: readonly Mount[], options: Partial<KernelOptions> = {}): TestKernel {
  let looks = 0;
  const kernel = new Kernel({
    abi: riscv64Abi,
    files: new FileSystem(mounts),
    surroundings: {
      monotonic: () => BigInt(looks++),
      realtime: () => 0n,
      random: (into) => into.fill(7),
      rest: () => {},
    },
    createCpu: idleCpu,
    memorySize: 2 ** 20,
    maximumInstructions: 1e6,
    timeout: 1000,
    now: () => 0,
    ...options,
  });
  const output = new ByteSink(2 ** 20);
  const process = kernel.start(
    { path: '/program', bytes: smallestProgram() },
    ['program'],
    ['A=1'],
    [new ByteSource(Uint8Array.from({ length: 64 }, (_, i) => i)), output, output],
    mounts[0]?.guest ?? '/',
  );
  const begin = (name: string, args: readonly number[], by: Process = process): number | Waiting => {
    const handler = SYSTEM_CALLS.get(name);
    assert.ok(handler, `no system call ${name}`);
    const result = handler(kernel, by, [...args, 0, 0, 0, 0, 0, 0].slice(0, 6) as unknown as Arguments);
    return result === NO_RESULT ? 0 : result;
  };
  return {
    kernel,
    process,
    output,
    begin,
    call: (name, args, by) => {
      const result = begin(name, args, by);
      assert.equal(typeof result, 'number', `${name}(${args.join(', ')}) waits`);
      return result as number;
    },
  };
}

/** Puts a NUL-terminated byte string where a system call will look for it, and gives the address. */
export function putText(process: Process, text: string, address = BUFFER): number {
  process.memory.bytes.set(Buffer.from(`${text}\0`, 'latin1'), address);
  return address;
}
