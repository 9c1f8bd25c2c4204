import { Errno } from '../check/errno.ts';

/** Signal numbers that this room names (asm-generic). */
export const Signal = {
  SIGINT: 2,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCHLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGWINCH: 28,
} as const;

const HIGHEST = 64;
const UNBLOCKABLE = bit(Signal.SIGKILL) | bit(Signal.SIGSTOP);
const IGNORED_BY_DEFAULT = new Set<number>([Signal.SIGCHLD, Signal.SIGCONT, Signal.SIGURG, Signal.SIGWINCH]);
/** Job control does not exist here, so what would stop a process is ignored. */
const STOPS = new Set<number>([Signal.SIGSTOP, Signal.SIGTSTP, Signal.SIGTTIN, Signal.SIGTTOU]);

/** `sigaction` as the kernel keeps it; handler 0 is the default, 1 ignores. */
export interface SignalAction {
  readonly handler: number;
  readonly flags: bigint;
  readonly mask: bigint;
}

export const ActionFlag = {
  siginfo: 4n,
  onStack: 0x0800_0000n,
  restart: 0x1000_0000n,
  noDefer: 0x4000_0000n,
  resetHand: 0x8000_0000n,
} as const;

export const DEFAULT_ACTION: SignalAction = { handler: 0, flags: 0n, mask: 0n };

export function bit(signal: number): bigint {
  return 1n << BigInt(signal - 1);
}

/** What came with a signal: the fault address, or the sender. */
export interface SignalInformation {
  readonly signal: number;
  readonly code: number;
  readonly address: bigint;
  readonly sender: number;
}

/** The signals of one process: actions, mask, what is pending. */
export class SignalState {
  #actions = new Map<number, SignalAction>();
  #pending = new Map<number, SignalInformation>();
  mask = 0n;
  /** The mask to go back to after `sigsuspend` or `ppoll`. */
  savedMask: bigint | undefined;
  alternateStack = { pointer: 0, flags: 2, size: 0 };

  action(signal: number): SignalAction {
    return this.#actions.get(signal) ?? DEFAULT_ACTION;
  }

  /** Sets an action; EINVAL for signals that cannot be caught. */
  setAction(signal: number, action: SignalAction): number {
    if (!valid(signal) || signal === Signal.SIGKILL || signal === Signal.SIGSTOP) return -Errno.EINVAL;
    this.#actions.set(signal, action);
    if (action.handler === 1) this.#pending.delete(signal);
    return 0;
  }

  setMask(mask: bigint): void {
    this.mask = mask & ~UNBLOCKABLE;
  }

  raise(information: SignalInformation): void {
    if (!this.ignores(information.signal)) this.#pending.set(information.signal, information);
  }

  /** Whether the signal has no effect whatever when it comes. */
  ignores(signal: number): boolean {
    if (STOPS.has(signal)) return this.action(signal).handler <= 1;
    const { handler } = this.action(signal);
    return handler === 1 || (handler === 0 && IGNORED_BY_DEFAULT.has(signal));
  }

  /** The lowest pending signal that is not blocked, taken out. */
  take(): SignalInformation | undefined {
    const next = this.#deliverable();
    if (next) this.#pending.delete(next.signal);
    return next;
  }

  get interrupting(): boolean {
    return this.#pending.size > 0 && this.#deliverable() !== undefined;
  }

  get pendingMask(): bigint {
    return [...this.#pending.keys()].reduce((mask, signal) => mask | bit(signal), 0n);
  }

  /** After `fork`: the same actions and mask, nothing pending. */
  fork(): SignalState {
    const child = new SignalState();
    child.#actions = new Map(this.#actions);
    child.mask = this.mask;
    child.alternateStack = { ...this.alternateStack };
    return child;
  }

  /** After `execve`: handlers go back to the default, ignored stays ignored. */
  exec(): void {
    for (const [signal, { handler }] of this.#actions) if (handler !== 1) this.#actions.delete(signal);
    this.alternateStack = { pointer: 0, flags: 2, size: 0 };
  }

  #deliverable(): SignalInformation | undefined {
    let least: SignalInformation | undefined;
    for (const information of this.#pending.values()) {
      if ((this.mask & bit(information.signal)) === 0n && (least === undefined || information.signal < least.signal))
        least = information;
    }
    return least;
  }
}

/** `SIGSEGV`, or `signal 37` for one that has no name here. */
export function signalName(signal: number): string {
  return Object.entries(Signal).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`;
}

export function valid(signal: number): boolean {
  return Number.isInteger(signal) && signal >= 1 && signal <= HIGHEST;
}
