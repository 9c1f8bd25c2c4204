/** What happened on the machine and in the runtime while samples were taken. */
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { PerformanceObserver } from 'node:perf_hooks';

export type Conditions = Record<string, number | string>;

/** Watches garbage collections and stolen time from construction until `finish()`. */
export class ConditionWatch {
  #gcEvents = 0;
  #gcMilliseconds = 0;
  readonly #stealAtStart = stolenTicks();
  readonly #observer: PerformanceObserver;

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#count(list.getEntries()));
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** Stops watching. Entries reach the observer from the event loop, so this waits one turn for the last ones. */
  async finish(): Promise<Conditions> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#count(this.#observer.takeRecords());
    this.#observer.disconnect();
    const conditions: Conditions = {
      'gc-events': this.#gcEvents,
      'gc-ms': Number(this.#gcMilliseconds.toFixed(3)),
      'load-1m': Number(loadavg()[0]!.toFixed(2)),
    };
    const stolen = stolenTicks();
    if (stolen !== undefined && this.#stealAtStart !== undefined) {
      conditions['steal-ticks'] = stolen - this.#stealAtStart;
    }
    return conditions;
  }

  #count(entries: readonly { readonly duration: number }[]): void {
    for (const entry of entries) {
      this.#gcEvents++;
      this.#gcMilliseconds += entry.duration;
    }
  }
}

/** Clock ticks (usually 10 ms) the hypervisor took from all CPUs since boot; undefined where there is no /proc/stat. */
export function stolenTicks(): number | undefined {
  try {
    return parseStolenTicks(readFileSync('/proc/stat', 'utf8'));
  } catch {
    // Not Linux, or /proc is not mounted: the condition is then absent from the result rather than zero.
    return undefined;
  }
}

/** The eighth figure of the `cpu` line (proc(5), "/proc/stat"). */
export function parseStolenTicks(stat: string): number | undefined {
  const figures = /^cpu +([0-9 ]+)$/m.exec(stat)?.[1]?.split(' ');
  const steal = Number(figures?.[7]);
  return Number.isSafeInteger(steal) ? steal : undefined;
}
