/** What devices and their machine agree on beside MMIO itself: reset, wires, and time that is handed in. */
import type { MmioDevice } from '../memory/mmio.ts';

/** A device of fixed size on the machine's bus. */
export interface Device extends MmioDevice {
  /** Bytes of address space. */
  readonly size: number;
  /** Back to the state after power-on. Wires are lowered; what came from the host (a configuration, queued input) stays. */
  reset(): void;
}

/** A level-triggered interrupt wire. Setting the level it already has is allowed and does nothing. */
export interface InterruptLine {
  set(level: boolean): void;
}

/** A wire that leads nowhere. */
export const UNCONNECTED: InterruptLine = { set: () => {} };

/**
 * Time as devices see it: ticks since power-on, a whole number below 2^53 that never goes back. In deterministic mode the ticks are
 * derived from retired instructions; a device must take time from nowhere else.
 */
export interface Clock {
  /** Ticks a second. */
  readonly frequency: number;
  now(): number;
  /** An alarm that calls `due` when its deadline has passed; it is off until `set`. */
  alarm(due: () => void): Alarm;
}

/** One deadline that can be moved. */
export interface Alarm {
  /** `due` is called once, at the first look at the clock at which `now() >= deadline`, never inside `set` itself. */
  set(deadline: number): void;
  clear(): void;
}

/** Several sources on one wire: the wire is high while any of them is. */
export function wiredOr(line: InterruptLine, sources: number): InterruptLine[] {
  const levels = new Uint8Array(sources);
  let high = 0;
  return Array.from({ length: sources }, (_, source) => ({
    set(level: boolean): void {
      if ((levels[source] === 1) === level) return;
      levels[source] = level ? 1 : 0;
      high += level ? 1 : -1;
      if (high === (level ? 1 : 0)) line.set(level);
    },
  }));
}
