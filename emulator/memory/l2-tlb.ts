import { assert } from '../check/assert.ts';
import { ConfigError } from '../check/errors.ts';
import { createReplacement, type Replacement, type ReplacementPolicy } from './replacement.ts';
import { Pte } from './sv.ts';

export interface L2TlbOptions {
  /** A power of two from 1 to 65536. */
  readonly sets: number;
  /** A power of two from 1 to 16. */
  readonly ways: number;
  readonly policy: ReplacementPolicy;
  readonly seed?: number;
}

/** Nothing there. */
const EMPTY = -1;
const LEVELS = 5;
/** Bits of `#info`, above the 8 bits of the leaf. */
const LEVEL_SHIFT = 8;
const CONTIGUOUS = 1 << 11;
const PREFETCHED = 1 << 12;

/**
 * The second-level TLB: set-associative, in typed arrays. A large page is one entry. Entries bear the ASID and the rights of every privilege
 * mode, so that they outlive changes of both.
 */
export class L2Tlb {
  /** By entry: physical page number of the start of the (large) page. */
  readonly page: Float64Array;
  /** By entry: linear address of that start when all of the page is RAM that may be reached directly, else 0. */
  readonly linear: Int32Array;
  /** By entry: what the reader of the entry is permitted; the TLB only keeps it. */
  readonly rights: Int32Array;
  readonly #ways: number;
  readonly #setMask: number;
  readonly #replacement: Replacement;
  /** Page number of the start of the page: low 32 bits and the rest. */
  readonly #tagLow: Int32Array;
  readonly #tagHigh: Int32Array;
  readonly #asid: Int32Array;
  readonly #info: Int32Array;
  /** Entries of each level, so that levels without any are not looked through. */
  readonly #population = new Int32Array(LEVELS);

  /** Throws ConfigError for sizes that are no powers of two in range. */
  constructor({ sets, ways, policy, seed = 0x2545_f491 }: L2TlbOptions) {
    if (!isPowerOfTwo(sets, 65536) || !isPowerOfTwo(ways, 16)) {
      throw new ConfigError(`a TLB of ${sets} sets and ${ways} ways: both are to be powers of two, up to 65536 and 16`);
    }
    this.#ways = ways;
    this.#setMask = sets - 1;
    this.#replacement = createReplacement(policy, sets, ways, seed);
    const entries = sets * ways;
    this.#tagLow = new Int32Array(entries);
    this.#tagHigh = new Int32Array(entries);
    this.#asid = new Int32Array(entries).fill(EMPTY);
    this.#info = new Int32Array(entries);
    this.page = new Float64Array(entries);
    this.linear = new Int32Array(entries);
    this.rights = new Int32Array(entries);
  }

  /** The entry that translates an address (int32 halves) in an address space, or -1. */
  find(low: number, high: number, asid: number): number {
    const ways = this.#ways;
    for (let level = 0; level < LEVELS; level++) {
      if (this.#population[level] === 0) continue;
      const tagLow = levelTag(low, high, level);
      const tagHigh = levelTagHigh(high, level);
      const set = this.#setOf(tagLow, level);
      const begin = set * ways;
      for (let entry = begin; entry < begin + ways; entry++) {
        if (this.#tagLow[entry] !== tagLow || this.#tagHigh[entry] !== tagHigh) continue;
        const info = this.#info[entry]!;
        if (((info >> LEVEL_SHIFT) & 7) !== level) continue;
        const owner = this.#asid[entry]!;
        if (owner !== asid && (owner === EMPTY || (info & Pte.global) === 0)) continue;
        this.#replacement.touch(set, entry - begin);
        return entry;
      }
    }
    this.#replacement.missed(this.#setOf(levelTag(low, high, 0), 0));
    return -1;
  }

  levelOf(entry: number): number {
    return (this.#info[entry]! >> LEVEL_SHIFT) & 7;
  }

  /** The entry is one page of a 64 KiB range (Svnapot). */
  isContiguous(entry: number): boolean {
    return (this.#info[entry]! & CONTIGUOUS) !== 0;
  }

  /** Whether the entry had been prefetched and is used for the first time. */
  takePrefetched(entry: number): boolean {
    const info = this.#info[entry]!;
    if ((info & PREFETCHED) === 0) return false;
    this.#info[entry] = info & ~PREFETCHED;
    return true;
  }

  /**
   * Enters a leaf for an address and gives its entry, whose `page`, `linear` and `rights` the caller sets. An older entry for the same
   * address and address space is overwritten, but not by a prefetched one: then -1.
   */
  insert(
    low: number,
    high: number,
    asid: number,
    flags: number,
    level: number,
    contiguous: boolean,
    prefetched: boolean,
  ): number {
    const tagLow = levelTag(low, high, level);
    const tagHigh = levelTagHigh(high, level);
    const set = this.#setOf(tagLow, level);
    const begin = set * this.#ways;
    let chosen = EMPTY;
    for (let way = 0; way < this.#ways; way++) {
      const entry = begin + way;
      const owner = this.#asid[entry]!;
      if (owner === EMPTY) {
        if (chosen === EMPTY) chosen = way;
        continue;
      }
      const same = this.#tagLow[entry] === tagLow && this.#tagHigh[entry] === tagHigh;
      const known = this.#info[entry]!;
      if (!same || ((known >> LEVEL_SHIFT) & 7) !== level || (owner !== asid && (known & Pte.global) === 0)) continue;
      if (prefetched) return EMPTY;
      chosen = way;
      break;
    }
    if (chosen === EMPTY) chosen = this.#replacement.victim(set);
    const entry = begin + chosen;
    this.#drop(entry);
    this.#tagLow[entry] = tagLow;
    this.#tagHigh[entry] = tagHigh;
    this.#asid[entry] = asid;
    this.#info[entry] =
      (flags & 0xff) | (level << LEVEL_SHIFT) | (contiguous ? CONTIGUOUS : 0) | (prefetched ? PREFETCHED : 0);
    this.#population[level]!++;
    this.#replacement.entered(set, chosen);
    return entry;
  }

  flushAll(): void {
    this.#asid.fill(EMPTY);
    this.#population.fill(0);
  }

  /** Forgets what belongs to an address space; global entries stay. */
  flushAsid(asid: number): void {
    for (let entry = 0; entry < this.#asid.length; entry++) {
      if (this.#asid[entry] === asid && (this.#info[entry]! & Pte.global) === 0) this.#drop(entry);
    }
  }

  /** Forgets what translates an address: in one address space, leaving global entries, or in all when `asid` is undefined. */
  flushAddress(low: number, high: number, asid: number | undefined): void {
    for (let level = 0; level < LEVELS; level++) {
      if (this.#population[level] === 0) continue;
      this.#flushTag(levelTag(low, high, level), levelTagHigh(high, level), level, asid, false);
    }
    // A fence for one page of a 64 KiB range takes away all 16 (Privileged ISA, "Svnapot").
    for (let page = 0; page < 16; page++) {
      const at = (low & ~0xffff) | (page << 12);
      this.#flushTag(levelTag(at, high, 0), levelTagHigh(high, 0), 0, asid, true);
    }
  }

  /** Entries in use. */
  get size(): number {
    return this.#population.reduce((sum, count) => sum + count, 0);
  }

  checkInvariants(): void {
    const counted = new Int32Array(LEVELS);
    const seen = new Set<string>();
    for (let entry = 0; entry < this.#asid.length; entry++) {
      const owner = this.#asid[entry]!;
      if (owner === EMPTY) continue;
      const info = this.#info[entry]!;
      const level = (info >> LEVEL_SHIFT) & 7;
      counted[level]!++;
      const set = Math.floor(entry / this.#ways);
      assert(this.#setOf(this.#tagLow[entry]!, level) === set, 'an entry is in the set where it is looked for');
      const key = [this.#tagLow[entry], this.#tagHigh[entry], level, owner].join();
      assert(!seen.has(key), 'a page is entered once in an address space');
      seen.add(key);
    }
    assert(
      counted.every((count, level) => count === this.#population[level]),
      'the entries of each level are counted',
    );
  }

  #flushTag(tagLow: number, tagHigh: number, level: number, asid: number | undefined, onlyContiguous: boolean): void {
    const begin = this.#setOf(tagLow, level) * this.#ways;
    for (let entry = begin; entry < begin + this.#ways; entry++) {
      if (this.#tagLow[entry] !== tagLow || this.#tagHigh[entry] !== tagHigh) continue;
      const info = this.#info[entry]!;
      if (((info >> LEVEL_SHIFT) & 7) !== level || (onlyContiguous && (info & CONTIGUOUS) === 0)) continue;
      if (asid !== undefined && (this.#asid[entry] !== asid || (info & Pte.global) !== 0)) continue;
      this.#drop(entry);
    }
  }

  #drop(entry: number): void {
    if (this.#asid[entry] === EMPTY) return;
    this.#population[(this.#info[entry]! >> LEVEL_SHIFT) & 7]!--;
    this.#asid[entry] = EMPTY;
  }

  #setOf(tagLow: number, level: number): number {
    // Large pages of different levels begin at the same addresses; the level keeps them apart.
    return ((level === 0 ? tagLow : tagLow ^ (tagLow >>> 9) ^ (tagLow >>> 18) ^ level) & this.#setMask) >>> 0;
  }
}

/** Low 32 bits of the page number of the start of the page of `level` around the address. */
function levelTag(low: number, high: number, level: number): number {
  const page = (low >>> 12) | (high << 20);
  switch (level) {
    case 0:
      return page;
    case 1:
      return page & ~0x1ff;
    case 2:
      return page & ~0x3_ffff;
    case 3:
      return page & ~0x7ff_ffff;
    default:
      return 0;
  }
}

/** The rest of that page number. */
function levelTagHigh(high: number, level: number): number {
  return level < 4 ? high >> 12 : (high >> 12) & ~0xf;
}

function isPowerOfTwo(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= limit && (value & (value - 1)) === 0;
}
