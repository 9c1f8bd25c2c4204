/** How long a body has been warmed up, and what is learnt of it meanwhile. */
import { readClock, SHORTEST_CPU_SAMPLE, WaitWatch } from './clock.ts';
import type { Clock } from './clock.ts';

/** A body that mostly waits uses no CPU; its warm-up ends after this many times the wall time. */
const PATIENCE = 4;

/** A round below 1 ms says little about the cost of a call: the clock ticks in 5 µs steps under some flags. */
const SHORTEST_ROUND = 1e-3;

/**
 * Counts CPU time of this process, not wall time: what tier the runtime has reached depends on how long the body ran, and
 * on a machine that others use too (load 5 on 2 CPUs) 10 ms of wall time left a loop in the interpreter in every process.
 */
export class WarmUp {
  readonly #milliseconds: number;
  readonly #wallStart = readClock('wall');
  readonly #cpuStart = readClock('cpu');

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  get over(): boolean {
    return this.left <= 0;
  }

  /** Milliseconds of CPU time still to go. */
  get left(): number {
    const cpu = (readClock('cpu') - this.#cpuStart) * 1e3;
    const wall = (readClock('wall') - this.#wallStart) * 1e3;
    return this.#milliseconds - Math.max(cpu, wall / PATIENCE);
  }
}

/** One round may have been preempted, which makes a call of microseconds look like one of milliseconds. */
const FEWEST_ROUNDS = 4;

export interface CallCost {
  /** Seconds of the wanted clock that a call took in the fastest round, with all that belongs to it. */
  readonly seconds: number;
  /** Whether the body waits for something other than the CPU, as seen; looked for only when CPU time is wanted. */
  readonly waits: boolean;
}

/** Runs `round(calls)`, which calls the body so often, in growing rounds until the warm-up is over. */
export async function warmUp(
  round: (calls: number) => unknown,
  milliseconds: number,
  wanted: Clock,
  mostCalls = 1 << 24,
): Promise<CallCost> {
  const warm = new WarmUp(milliseconds);
  const watch = new WaitWatch();
  const fastest = { wall: Number.POSITIVE_INFINITY, cpu: Number.POSITIVE_INFINITY };
  for (let calls = 1, all = 0, rounds = 1; ; rounds++) {
    const start = { wall: readClock('wall'), cpu: readClock('cpu') };
    const pending = round(calls);
    if (pending !== undefined) await pending;
    all += calls;
    const spent = { wall: readClock('wall') - start.wall, cpu: readClock('cpu') - start.cpu };
    const telling = spent.wall >= SHORTEST_ROUND || calls >= mostCalls;
    for (const clock of ['wall', 'cpu'] as const) {
      if (telling) fastest[clock] = Math.min(fastest[clock], spent[clock] / calls);
    }
    const waits = wanted === 'cpu' && watch.waited(all);
    const seconds = fastest[waits ? 'wall' : wanted];
    if (warm.over && telling && rounds >= FEWEST_ROUNDS) return { seconds, waits };
    // The last round ends with the warm-up, more or less; none is more than twice as long as the one before.
    const fitting = telling ? Math.ceil(warm.left / 1e3 / Math.max(seconds, 1e-9)) : mostCalls;
    calls = Math.min(2 * calls, Math.max(1, fitting), mostCalls);
  }
}

/** The clock for samples of this length: `wanted`, unless that would be too coarse, or would not see the body wait. */
export function clockForSamples(wanted: Clock, { waits }: CallCost, secondsPerSample: number): Clock {
  return waits || secondsPerSample < SHORTEST_CPU_SAMPLE ? 'wall' : wanted;
}
