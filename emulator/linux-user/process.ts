import type { GuestFault } from './outcome.ts';
import type { ExitReason } from '../layout/state.ts';
import type { FlatMemory } from '../memory/flat.ts';
import type { AddressSpace } from './address-space.ts';
import { Errno } from '../check/errno.ts';
import type { OpenFile } from './file.ts';
import type { SignalState } from './signal.ts';

/** The vCPU as a process needs it; made by the machine that wires this room to `cpu`. */
export interface UserCpu {
  readonly state: DataView<ArrayBuffer>;
  pc: bigint;
  readonly cause: number;
  readonly value: bigint;
  run(budget: number): ExitReason;
  flushCode(address: number, length: number): void;
  /** Instructions retired since it was made. */
  instructions(): number;
}

/** A call that has to wait: `poll` says the result once there is one. */
export interface Waiting {
  readonly poll: () => number | undefined;
  /** Guest time in nanoseconds at which `poll` will surely answer. */
  readonly deadline?: bigint;
  /** Whether the call is begun anew after a handler with SA_RESTART. */
  readonly restartable: boolean;
  /** Whether something outside the guest (standard input) can end the waiting. */
  readonly external?: boolean;
  /** Called when the waiting ends without `poll` having answered: a signal interrupts it, or the process ends. */
  readonly cancel?: () => void;
}

export interface Descriptor {
  readonly file: OpenFile;
  closeOnExec: boolean;
}

const MAXIMUM_DESCRIPTORS = 1024;

/** The descriptor table of a process. */
export class DescriptorTable {
  readonly #slots = new Map<number, Descriptor>();

  get(fd: number): OpenFile | undefined {
    return this.#slots.get(fd)?.file;
  }

  slot(fd: number): Descriptor | undefined {
    return this.#slots.get(fd);
  }

  /** Puts a file at the lowest free number from `least` on; EMFILE when there is none. */
  add(file: OpenFile, closeOnExec: boolean, least = 0): number {
    if (!(least >= 0 && least < MAXIMUM_DESCRIPTORS)) return -Errno.EINVAL;
    for (let fd = least; fd < MAXIMUM_DESCRIPTORS; fd++) {
      if (this.#slots.has(fd)) continue;
      this.set(fd, file, closeOnExec);
      return fd;
    }
    return -Errno.EMFILE;
  }

  /** Puts a file at `fd`, closing what was there. */
  set(fd: number, file: OpenFile, closeOnExec: boolean): number {
    if (!(fd >= 0 && fd < MAXIMUM_DESCRIPTORS)) return -Errno.EBADF;
    file.references++;
    this.close(fd);
    this.#slots.set(fd, { file, closeOnExec });
    return fd;
  }

  close(fd: number): number {
    const slot = this.#slots.get(fd);
    if (!slot) return -Errno.EBADF;
    this.#slots.delete(fd);
    if (--slot.file.references === 0) slot.file.close();
    return 0;
  }

  closeAll(which: (fd: number, descriptor: Descriptor) => boolean = () => true): void {
    for (const [fd, descriptor] of this.#slots) if (which(fd, descriptor)) this.close(fd);
  }

  fork(): DescriptorTable {
    const copy = new DescriptorTable();
    for (const [fd, { file, closeOnExec }] of this.#slots) copy.set(fd, file, closeOnExec);
    return copy;
  }

  numbers(): number[] {
    return [...this.#slots.keys()].toSorted((a, b) => a - b);
  }
}

/** How a process ended: an exit code, or the signal that killed it. */
export type ProcessEnd = { readonly code: number } | { readonly signal: number };

export interface Program {
  /** What the guest sees as `/proc/self/exe`. */
  readonly path: string;
  /** What messages call it, where that is not the path. */
  readonly origin?: string;
  readonly bytes: Uint8Array;
}

/** One guest process: its memory, vCPU, descriptors and signals. What can be inherited is copied by `fork` in kernel.ts. */
export interface Process {
  readonly pid: number;
  parent: Process | undefined;
  group: number;
  session: number;
  memory: FlatMemory;
  space: AddressSpace;
  cpu: UserCpu;
  readonly descriptors: DescriptorTable;
  readonly signals: SignalState;
  directory: string;
  umask: number;
  name: string;
  program: Program;
  waiting: Waiting | undefined;
  /** A child made by vfork: the parent goes on when this process executes a program or ends. */
  vforked: boolean;
  end: ProcessEnd | undefined;
  clearChildTid: number;
  /** Guest time at which SIGALRM is due, and the interval after which it comes again. */
  alarm: { due: bigint; interval: bigint } | undefined;
  /** Guest address of the signal trampoline. */
  trampoline: number;
  /** Its last fault or trap. */
  fault: GuestFault | undefined;
}
