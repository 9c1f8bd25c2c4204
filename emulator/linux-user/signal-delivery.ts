import { ExitReason, FaultKind } from '../layout/state.ts';
import type { Abi } from './abi.ts';
import type { KernelCounters } from './outcome.ts';
import type { Process, ProcessEnd } from './process.ts';
import { bit, Signal, type SignalInformation } from './signal.ts';
import { enterHandler } from './signal-frame.ts';

/** What the delivery of signals asks of the kernel. */
export interface SignalHost {
  readonly counters: KernelCounters;
  monotonic(): bigint;
  terminate(process: Process, end: ProcessEnd): void;
}

/** Brings signals to processes: a handler is entered, the process ends, or nothing happens. */
export class SignalDelivery {
  readonly #abi: Abi;
  readonly #host: SignalHost;

  constructor(abi: Abi, host: SignalHost) {
    this.#abi = abi;
    this.#host = host;
  }

  /** A trap or a fault of the process's own. */
  fault(process: Process, reason: ExitReason): void {
    const { cause, value, pc } = process.cpu;
    const memory = reason === ExitReason.fault;
    const signal = memory
      ? cause >= FaultKind.loadMisaligned
        ? Signal.SIGBUS
        : Signal.SIGSEGV
      : this.#abi.signalOfTrap(cause);
    const kinds = ['trap', 'load', 'store', 'fetch', 'misaligned load', 'misaligned store'] as const;
    process.fault = { pc, kind: memory ? (kinds[cause] ?? 'trap') : 'trap', cause, address: value };
    const action = process.signals.action(signal);
    // A fault that is blocked or ignored kills all the same (force_sig in Linux).
    if (action.handler <= 1 || (process.signals.mask & bit(signal)) !== 0n) this.#host.terminate(process, { signal });
    else this.handle(process, { signal, code: 1, address: memory ? value : pc, sender: 0 });
  }

  /** Delivers all signals that are pending and not blocked. */
  deliver(process: Process): void {
    while (!process.end) {
      const next = process.signals.take();
      if (!next) return;
      this.handle(process, next);
    }
  }

  /** Delivers one signal that has been taken. */
  handle(process: Process, information: SignalInformation): void {
    const { signal } = information;
    const action = process.signals.action(signal);
    this.#host.counters.signals++;
    if (process.signals.ignores(signal)) return;
    if (action.handler === 0) {
      this.#host.terminate(process, { signal });
      return;
    }
    if (!enterHandler(this.#abi, process, information, action))
      this.#host.terminate(process, { signal: Signal.SIGSEGV });
  }

  /** Raises SIGALRM when it is due. */
  checkAlarm(process: Process): void {
    const { alarm } = process;
    if (!alarm || this.#host.monotonic() < alarm.due) return;
    process.alarm = alarm.interval > 0n ? { due: alarm.due + alarm.interval, interval: alarm.interval } : undefined;
    process.signals.raise({ signal: Signal.SIGALRM, code: 0x80, address: 0n, sender: 0 });
    if (!process.waiting && process.signals.interrupting) this.deliver(process);
  }
}
