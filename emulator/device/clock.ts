import { assert } from '../check/assert.ts';
import { ConfigError } from '../check/errors.ts';
import type { Alarm, Clock } from './device.ts';

/**
 * A clock over a source of ticks (retired instructions in deterministic mode, the host's monotonic clock otherwise). The run loop asks
 * `nextDeadline` how far it may run and calls `poll` when it has got there.
 */
export class AlarmClock implements Clock {
  readonly frequency: number;
  readonly #ticks: () => number;
  /** All alarms ever made: a handful (one timer a hart, the real-time clock), so a scan beats a heap. */
  readonly #alarms: ClockAlarm[] = [];
  #latest = 0;

  /** `ticks` may stand still or go back by mistake of its host; the clock then stands still. Throws ConfigError for a frequency below 1. */
  constructor(frequency: number, ticks: () => number) {
    if (!Number.isSafeInteger(frequency) || frequency < 1)
      throw new ConfigError(`a clock of ${frequency} ticks a second`);
    this.frequency = frequency;
    this.#ticks = ticks;
  }

  now(): number {
    const ticks = Math.floor(this.#ticks());
    if (ticks > this.#latest) this.#latest = ticks;
    return this.#latest;
  }

  alarm(due: () => void): Alarm {
    const alarm = new ClockAlarm(due);
    this.#alarms.push(alarm);
    return alarm;
  }

  /** The earliest tick at which an alarm is due; Infinity when none is set. */
  nextDeadline(): number {
    let earliest = Infinity;
    for (const { deadline } of this.#alarms) if (deadline < earliest) earliest = deadline;
    return earliest;
  }

  /**
   * Calls what is due, earliest deadline first, then in the order the alarms were made. An alarm set anew by a callback waits for the next
   * poll, so that a device that always sets a deadline in the past cannot hold the machine.
   */
  poll(): void {
    const now = this.now();
    if (this.nextDeadline() > now) return;
    const due = this.#alarms.filter(({ deadline }) => deadline <= now).sort((a, b) => a.deadline - b.deadline);
    for (const alarm of due) {
      // One that was due may have been moved or cleared by a callback before it.
      if (alarm.deadline > now) continue;
      alarm.deadline = Infinity;
      alarm.due();
    }
  }
}

class ClockAlarm implements Alarm {
  deadline = Infinity;
  readonly due: () => void;

  constructor(due: () => void) {
    this.due = due;
  }

  set(deadline: number): void {
    assert(!Number.isNaN(deadline), 'a deadline is a number of ticks');
    this.deadline = deadline;
  }

  clear(): void {
    this.deadline = Infinity;
  }
}
