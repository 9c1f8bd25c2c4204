import { L2_TLB_REPLACEMENT, TLB_CONTROL, TlbControl } from '../layout/memory-map.ts';

/**
 * Which way of a set gives way. `adaptive` lets sets that always follow LRU duel with sets that enter new pages as the first to go (with
 * one exception in 32), and has all others follow the winner: after Qureshi et al., "Adaptive Insertion Policies for High Performance
 * Caching" (ISCA 2007), DIP.
 */
export type ReplacementPolicy = 'lru' | 'pseudo-lru' | 'random' | 'adaptive';
export const REPLACEMENT_POLICIES: readonly ReplacementPolicy[] = ['lru', 'pseudo-lru', 'random', 'adaptive'];

export interface Replacement {
  /** A way was used. */
  touch(set: number, way: number): void;
  /** The way to overwrite in a set that is full. */
  victim(set: number): number;
  /** A new page was entered in a way. */
  entered(set: number, way: number): void;
  /** A page was not found in the set. */
  missed(set: number): void;
}

/**
 * `ways` a power of two up to 16. `seed`: for the policies that draw numbers; any 32 bits but 0. What they remember of uses is in `memory`, for
 * generated code uses entries too (l2-probe.ts).
 */
export function createReplacement(
  policy: ReplacementPolicy,
  sets: number,
  ways: number,
  seed: number,
  memory: WebAssembly.Memory,
): Replacement {
  const buffer = memory.buffer as ArrayBuffer;
  switch (policy) {
    case 'lru':
      return new LeastRecentlyUsed(sets, ways, buffer);
    case 'pseudo-lru':
      return new PseudoLru(sets, ways, buffer);
    case 'random':
      return new RandomReplacement(ways, seed);
    case 'adaptive':
      return new AdaptiveInsertion(sets, ways, seed, buffer);
  }
}

/** Every use stamps the way; the oldest stamp goes. */
class LeastRecentlyUsed implements Replacement {
  readonly #ways: number;
  readonly #stamps: Float64Array<ArrayBuffer>;
  /** One number: the uses so far. */
  readonly #now: Float64Array<ArrayBuffer>;

  constructor(sets: number, ways: number, buffer: ArrayBuffer) {
    this.#ways = ways;
    this.#stamps = new Float64Array(buffer, L2_TLB_REPLACEMENT, sets * ways).fill(0);
    this.#now = new Float64Array(buffer, TLB_CONTROL + TlbControl.uses, 1).fill(0);
  }

  touch(set: number, way: number): void {
    this.#stamps[set * this.#ways + way] = ++this.#now[0]!;
  }

  victim(set: number): number {
    const begin = set * this.#ways;
    let oldest = 0;
    for (let way = 1; way < this.#ways; way++) {
      if (this.#stamps[begin + way]! < this.#stamps[begin + oldest]!) oldest = way;
    }
    return oldest;
  }

  entered(set: number, way: number): void {
    this.touch(set, way);
  }

  missed(): void {}

  /** Makes a way the next to go. */
  demote(set: number, way: number): void {
    this.#stamps[set * this.#ways + way] = -++this.#now[0]!;
  }
}

/** A binary tree of bits over the ways of a set, each pointing away from the half used last. */
class PseudoLru implements Replacement {
  readonly #depth: number;
  readonly #ofWay: readonly TreeBits[];
  /** Bit n of a set's word is tree node n; the root is node 1, the children of n are 2n and 2n + 1. */
  readonly #trees: Int32Array<ArrayBuffer>;

  constructor(sets: number, ways: number, buffer: ArrayBuffer) {
    this.#depth = Math.log2(ways);
    this.#ofWay = Array.from({ length: ways }, (_, way) => treeBits(way, ways));
    this.#trees = new Int32Array(buffer, L2_TLB_REPLACEMENT, sets).fill(0);
  }

  touch(set: number, way: number): void {
    const { keep, put } = this.#ofWay[way]!;
    this.#trees[set] = (this.#trees[set]! & keep) | put;
  }

  victim(set: number): number {
    const tree = this.#trees[set]!;
    let node = 1;
    for (let level = 0; level < this.#depth; level++) node = 2 * node + ((tree >>> node) & 1);
    return node - (1 << this.#depth);
  }

  entered(set: number, way: number): void {
    this.touch(set, way);
  }

  missed(): void {}
}

/** What the use of a way does to the tree of its set: of its bits those of `keep` stay, and those of `put` are set. */
interface TreeBits {
  readonly keep: number;
  readonly put: number;
}

export function treeBits(way: number, ways: number): TreeBits {
  let touched = 0;
  let put = 0;
  let node = 1;
  for (let level = Math.log2(ways) - 1; level >= 0; level--) {
    const half = (way >>> level) & 1;
    touched |= 1 << node;
    if (half === 0) put |= 1 << node;
    node = 2 * node + half;
  }
  return { keep: ~touched, put };
}

/** Marsaglia, "Xorshift RNGs" (2003). */
class Xorshift {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }
}

class RandomReplacement implements Replacement {
  readonly #ways: number;
  readonly #random: Xorshift;

  constructor(ways: number, seed: number) {
    this.#ways = ways;
    this.#random = new Xorshift(seed);
  }

  touch(): void {}

  victim(): number {
    // The low bits of a xorshift generator are its worst.
    return (this.#random.next() >>> 16) & (this.#ways - 1);
  }

  entered(): void {}

  missed(): void {}
}

const LEADER_SPACING = 32;
const SELECTOR_LIMIT = 1023;
const RARE_PROMOTION = 32;

class AdaptiveInsertion implements Replacement {
  readonly #order: LeastRecentlyUsed;
  readonly #random: Xorshift;
  readonly #spacing: number;
  /** Positive while the sets that follow LRU miss more often. */
  #selector = 0;

  constructor(sets: number, ways: number, seed: number, buffer: ArrayBuffer) {
    this.#order = new LeastRecentlyUsed(sets, ways, buffer);
    this.#random = new Xorshift(seed);
    this.#spacing = Math.max(2, Math.min(LEADER_SPACING, sets));
  }

  touch(set: number, way: number): void {
    this.#order.touch(set, way);
  }

  victim(set: number): number {
    return this.#order.victim(set);
  }

  entered(set: number, way: number): void {
    const place = set % this.#spacing;
    const bimodal = place === 0 ? false : place === this.#spacing >> 1 ? true : this.#selector > 0;
    if (bimodal && this.#random.next() % RARE_PROMOTION !== 0) this.#order.demote(set, way);
    else this.#order.touch(set, way);
  }

  missed(set: number): void {
    const place = set % this.#spacing;
    if (place === 0 && this.#selector < SELECTOR_LIMIT) this.#selector++;
    else if (place === this.#spacing >> 1 && this.#selector > -SELECTOR_LIMIT) this.#selector--;
  }
}
