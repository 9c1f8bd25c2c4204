/** log2 of the bytes of code whose samples are counted together. */
const LINE = 6;
const LINE_SIZE = 1 << LINE;

/** Where control arrives at code without a region. */
export interface Arrival {
  readonly pc: number;
  /** How often by now. */
  times: number;
  /** No look at it before that many. */
  awaited: number;
}

/** Counts what is hot. Addresses are guest addresses. */
export class Hotspots {
  readonly #jumpTargets = new Map<number, Map<number, number>>();
  readonly #samples = new Map<number, number>();
  #lines = 0;
  readonly #awaited = new Map<number, number>();
  /** By line: maps take longer to find addresses, which for V8 are mostly no integers. */
  readonly #arrivals = new Map<number, Arrival[]>();
  readonly #refusals = new Map<number, number>();

  /** The interpreter was at `pc`, which counts `more` times; how often now in the same 64 bytes when that many make it worth a look, else 0. */
  sampled(pc: number, more = 1): number {
    const line = pc >>> LINE;
    const times = count(this.#samples, line, more);
    if (times >= 2 && times - more < 2) this.#lines++;
    return times >= (this.#awaited.get(line) ?? 0) ? times : 0;
  }

  /** Lines of 64 bytes that the interpreter has been seen in more than once. */
  get lines(): number {
    return this.#lines;
  }

  /** No look at the 64 bytes around `pc` before they have been sampled so often. */
  wait(pc: number, times: number): void {
    this.#awaited.set(pc >>> LINE, times);
  }

  /** Samples in guest bytes, given as [low, high) pairs in ascending order; those of a line that several meet count once. */
  samplesIn(ranges: readonly (readonly [number, number])[]): number {
    let sum = 0;
    let next = -Infinity;
    for (const [low, high] of ranges) {
      const end = Math.ceil(high / LINE_SIZE);
      for (let line = Math.max(next, Math.floor(low / LINE_SIZE)); line < end; line++)
        sum += this.#samples.get((line * LINE_SIZE) >>> LINE) ?? 0;
      next = Math.max(next, end);
    }
    return sum;
  }

  /** Control left a region for `pc`, where there is none, `times` more. */
  arrived(pc: number, times: number): Arrival {
    const arrival = this.#arrivalAt(pc);
    arrival.times += times;
    return arrival;
  }

  /** Arrivals in guest bytes [low, high). */
  arrivalsIn(low: number, high: number): number {
    let sum = 0;
    for (let line = Math.floor(low / LINE_SIZE); line * LINE_SIZE < high; line++) {
      const there = this.#arrivals.get(line);
      if (there === undefined) continue;
      for (const { pc, times } of there) if (pc >= low && pc < high) sum += times;
    }
    return sum;
  }

  #arrivalAt(pc: number): Arrival {
    const line = Math.floor(pc / LINE_SIZE);
    let there = this.#arrivals.get(line);
    if (there === undefined) this.#arrivals.set(line, (there = []));
    for (let index = 0; index < there.length; index++) if (there[index]!.pc === pc) return there[index]!;
    const arrival = { pc, times: 0, awaited: 0 };
    there.push(arrival);
    return arrival;
  }

  /** A region gave the instruction at `pc` back; how often since that was heeded. */
  refused(pc: number): number {
    return count(this.#refusals, pc);
  }

  /** Its region is made anew for it. */
  refusalHeeded(pc: number): void {
    this.#refusals.delete(pc);
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
    this.#lines = 0;
    for (const map of [this.#jumpTargets, this.#samples, this.#awaited, this.#arrivals, this.#refusals]) map.clear();
  }
}

function count(counts: Map<number, number>, key: number, more = 1): number {
  const times = (counts.get(key) ?? 0) + more;
  counts.set(key, times);
  return times;
}
