import type { FileStatus } from './file.ts';

/** The vCPU state as this room sees it: the registers that system calls, signals and program start touch. */
export interface Abi {
  /** `e_machine` of its executables. */
  readonly elfMachine: number;
  /** What `uname -m` says. */
  readonly machine: string;
  readonly systemCalls: Readonly<Record<number, string>>;
  /** The pending call's number and arguments. */
  /** Puts a fresh vCPU state into user mode. */
  readonly initialise: (state: DataView) => void;
  readonly callNumber: (state: DataView) => number;
  readonly argument: (state: DataView, index: number) => number;
  readonly setResult: (state: DataView, value: number) => void;
  readonly setStackPointer: (state: DataView, address: number) => void;
  readonly stackPointer: (state: DataView) => number;
  readonly setThreadPointer: (state: DataView, address: number) => void;
  /** The trap cause of a system call, its instruction's length, and causes that raise signals: number to signal. */
  readonly callCause: number;
  readonly callLength: number;
  readonly signalOfTrap: (cause: number) => number;
  /** AT_HWCAP of the auxiliary vector. */
  readonly hardwareCapabilities: number;
  /** Machine code that performs `rt_sigreturn`. */
  readonly signalReturn: Uint8Array;
  /** Bytes of the register part of a signal frame (`ucontext_t`), its writer, reader and how a handler is entered. */
  readonly contextSize: number;
  readonly saveContext: (state: DataView, frame: DataView, mask: bigint) => void;
  readonly restoreContext: (state: DataView, frame: DataView) => bigint;
  readonly enterHandler: (
    state: DataView,
    handler: number,
    signal: number,
    info: number,
    context: number,
    stack: number,
    returnTo: number,
  ) => void;
  readonly statSize: number;
  readonly writeStat: (view: DataView, status: FileStatus) => void;
}

/** A signed 64-bit little-endian field as a number: exact up to 2^53, and beyond only ever compared with limits far below that. */
export function readNumber(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}

/** Stores an integer of magnitude up to 2^53 as 64 bits. */
export function writeNumber(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setInt32(offset + 4, Math.floor(value / 2 ** 32), true);
}
