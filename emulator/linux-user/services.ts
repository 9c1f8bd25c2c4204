import type { Abi } from './abi.ts';
import type { FileSystem } from './filesystem.ts';
import type { Process, ProcessEnd, Program, Waiting } from './process.ts';

/** Says that a call has already put the registers right (`execve`, `rt_sigreturn`) or ended the process. */
export const NO_RESULT = Symbol('no result');

/** Where guest time and random bytes come from. Nanoseconds. */
export interface Surroundings {
  readonly monotonic: (instructions: number) => bigint;
  readonly realtime: (instructions: number) => bigint;
  readonly random: (into: Uint8Array) => void;
  /** Lets the host rest for so many milliseconds, when every process waits for something outside. */
  readonly rest: (milliseconds: number) => void;
}

/** What the system calls need of the kernel. */
export interface Services {
  readonly options: { readonly abi: Abi; readonly files: FileSystem; readonly surroundings: Surroundings };
  monotonic(): bigint;
  realtime(): bigint;
  processes(): readonly Process[];
  find(pid: number): Process | undefined;
  childrenOf(parent: Process): readonly Process[];
  reap(child: Process): void;
  fork(parent: Process): Process | undefined;
  execute(process: Process, program: Program, argv: readonly string[], environment: readonly string[]): void;
  terminate(process: Process, end: ProcessEnd): void;
  leaveHandler(process: Process): boolean;
}

/** The six argument registers as signed numbers. */
export type Arguments = readonly [number, number, number, number, number, number];

/** A system call: its result or negated errno, NO_RESULT, or what to wait for. */
export type Handler = (kernel: Services, process: Process, args: Arguments) => number | Waiting | typeof NO_RESULT;
