/**
 * The clocks a benchmark can be timed by.
 *
 * Wall time is what a user waits for. CPU time of this process (its own code, compilation and collection; not what other
 * processes do meanwhile) is what a change of the code changes, so paired processes are timed by it: two that share one
 * CPU are preempted every few milliseconds, and neither clock of them sees the other.
 */

import { readFileSync } from 'node:fs';

export type Clock = 'wall' | 'cpu';

/** The system counts CPU time in microseconds; a sample shorter than this is read from the wall clock, to 1 %. */
export const SHORTEST_CPU_SAMPLE = 1e-4;

/** Seconds since some fixed moment. */
export function readClock(clock: Clock): number {
  if (clock === 'wall') return performance.now() / 1e3;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** A body that gave up the CPU of its own accord in this share of its calls is one that waits; so does a lock now and then. */
const WAITING_SHARE = 0.9;
const FEWEST_WAITS = 4;

/**
 * Counts how often the main thread gave up its CPU to wait for something: a disk, another thread, another process. Only that
 * thread: those of the runtime's platform are woken for every collection, whatever the body does.
 */
export class WaitWatch {
  readonly #start = voluntarySwitches();

  /** Whether the body waited, over so many calls of it since the construction; false where the system does not tell. */
  waited(calls: number): boolean {
    const now = voluntarySwitches();
    return (
      now !== undefined &&
      this.#start !== undefined &&
      now - this.#start >= Math.max(FEWEST_WAITS, WAITING_SHARE * calls)
    );
  }
}

/** proc_pid_status(5), "voluntary_ctxt_switches"; the main thread's id is the process's. */
function voluntarySwitches(): number | undefined {
  try {
    const status = readFileSync(`/proc/self/task/${process.pid}/status`, 'latin1');
    const count = /^voluntary_ctxt_switches:\s*([0-9]+)$/m.exec(status)?.[1];
    return count === undefined ? undefined : Number(count);
  } catch {
    // Not Linux, or /proc is not mounted.
    return undefined;
  }
}
