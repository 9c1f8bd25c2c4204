/** Counts what is hot. Addresses are guest addresses. */
export class Hotspots {
  readonly #jumpTargets = new Map<number, Map<number, number>>();
  readonly #samples = new Map<number, number>();
  readonly #arrivals = new Map<number, number>();
  readonly #refusals = new Map<number, number>();

  /** The interpreter was at `pc`; how often now in the same 64 bytes. */
  sampled(pc: number): number {
    return count(this.#samples, pc >>> 6);
  }

  /** The code around `pc` has been dealt with. */
  settle(pc: number): void {
    this.#samples.delete(pc >>> 6);
  }

  /** Control left a region for `pc`, where there is none. */
  arrived(pc: number): number {
    return count(this.#arrivals, pc);
  }

  /** A region gave the instruction at `pc` back. */
  refused(pc: number): number {
    return count(this.#refusals, pc);
  }

  /** The indirect jump at `pc` went to `target`. */
  jumped(pc: number, target: number): void {
    let targets = this.#jumpTargets.get(pc);
    if (targets === undefined) this.#jumpTargets.set(pc, (targets = new Map()));
    count(targets, target);
  }

  /** Where the indirect jump at `pc` went, most frequent first. */
  jumpTargets(pc: number): number[] {
    const targets = this.#jumpTargets.get(pc);
    if (targets === undefined) return [];
    return [...targets].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([target]) => target);
  }

  /** Everything known of code may be wrong. */
  clear(): void {
    for (const map of [this.#jumpTargets, this.#samples, this.#arrivals, this.#refusals]) map.clear();
  }
}

function count(counts: Map<number, number>, key: number): number {
  const times = (counts.get(key) ?? 0) + 1;
  counts.set(key, times);
  return times;
}
