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

/** Nothing there: in the place of an ASID. */
const EMPTY = -1;
/** Of an entry: page number of the start of the page, its low 32 bits and the rest; address space; what else there is to know. */
const FIELDS = 4;
const TAG_HIGH = 1;
const ASID = 2;
const INFO = 3;
const LEVELS = 5;
/** Bits of INFO, above the 8 bits of the leaf. */
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
  /** FIELDS words an entry, so that a set of four is a line of the host's cache. */
  readonly #fields: Int32Array;
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
    this.#fields = new Int32Array(FIELDS * entries).fill(EMPTY);
    this.page = new Float64Array(entries);
    this.linear = new Int32Array(entries);
    this.rights = new Int32Array(entries);
  }

  /** The entry that translates an address (int32 halves) in an address space, or -1. */
  find(low: number, high: number, asid: number): number {
    const page = (low >>> 12) | (high << 20);
    const found = this.#population[0] === 0 ? EMPTY : this.#findTag(page, high >> 12, 0, asid);
    return found >= 0 ? found : this.#findLarge(low, high, asid);
  }

  #findLarge(low: number, high: number, asid: number): number {
    for (let level = 1; level < LEVELS; level++) {
      if (this.#population[level] === 0) continue;
      const found = this.#findTag(levelTag(low, high, level), levelTagHigh(high, level), level, asid);
      if (found >= 0) return found;
    }
    this.#replacement.missed(this.#setOf(levelTag(low, high, 0), 0));
    return EMPTY;
  }

  #findTag(tagLow: number, tagHigh: number, level: number, asid: number): number {
    const fields = this.#fields;
    const set = this.#setOf(tagLow, level);
    const begin = set * this.#ways;
    const end = begin + this.#ways;
    for (let entry = begin; entry < end; entry++) {
      const at = FIELDS * entry;
      if (fields[at] !== tagLow || fields[at + TAG_HIGH] !== tagHigh) continue;
      const info = fields[at + INFO]!;
      if (((info >> LEVEL_SHIFT) & 7) !== level) continue;
      const owner = fields[at + ASID]!;
      if (owner !== asid && (owner === EMPTY || (info & Pte.global) === 0)) continue;
      this.#replacement.touch(set, entry - begin);
      return entry;
    }
    return EMPTY;
  }

  /** Whether the entry is of one page of 4 KiB, alone, and was not prefetched. */
  isPlain(entry: number): boolean {
    return (this.#fields[FIELDS * entry + INFO]! & ~0xff) === 0;
  }

  levelOf(entry: number): number {
    return (this.#fields[FIELDS * entry + INFO]! >> LEVEL_SHIFT) & 7;
  }

  /** The entry is one page of a 64 KiB range (Svnapot). */
  isContiguous(entry: number): boolean {
    return (this.#fields[FIELDS * entry + INFO]! & CONTIGUOUS) !== 0;
  }

  /** Whether the entry had been prefetched and is used for the first time. */
  takePrefetched(entry: number): boolean {
    const info = this.#fields[FIELDS * entry + INFO]!;
    if ((info & PREFETCHED) === 0) return false;
    this.#fields[FIELDS * entry + INFO] = info & ~PREFETCHED;
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
      const owner = this.#fields[FIELDS * entry + ASID]!;
      if (owner === EMPTY) {
        if (chosen === EMPTY) chosen = way;
        continue;
      }
      const same = this.#fields[FIELDS * entry] === tagLow && this.#fields[FIELDS * entry + TAG_HIGH] === tagHigh;
      const known = this.#fields[FIELDS * entry + INFO]!;
      if (!same || ((known >> LEVEL_SHIFT) & 7) !== level || (owner !== asid && (known & Pte.global) === 0)) continue;
      if (prefetched) return EMPTY;
      chosen = way;
      break;
    }
    if (chosen === EMPTY) chosen = this.#replacement.victim(set);
    const entry = begin + chosen;
    this.#drop(entry);
    this.#fields[FIELDS * entry] = tagLow;
    this.#fields[FIELDS * entry + TAG_HIGH] = tagHigh;
    this.#fields[FIELDS * entry + ASID] = asid;
    this.#fields[FIELDS * entry + INFO] =
      (flags & 0xff) | (level << LEVEL_SHIFT) | (contiguous ? CONTIGUOUS : 0) | (prefetched ? PREFETCHED : 0);
    this.#population[level]!++;
    this.#replacement.entered(set, chosen);
    return entry;
  }

  flushAll(): void {
    this.#fields.fill(EMPTY);
    this.#population.fill(0);
  }

  /** Forgets what belongs to an address space; global entries stay. */
  flushAsid(asid: number): void {
    for (let entry = 0; entry < this.linear.length; entry++) {
      if (this.#fields[FIELDS * entry + ASID] === asid && (this.#fields[FIELDS * entry + INFO]! & Pte.global) === 0)
        this.#drop(entry);
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
    for (let entry = 0; entry < this.linear.length; entry++) {
      const owner = this.#fields[FIELDS * entry + ASID]!;
      if (owner === EMPTY) continue;
      const info = this.#fields[FIELDS * entry + INFO]!;
      const level = (info >> LEVEL_SHIFT) & 7;
      counted[level]!++;
      const set = Math.floor(entry / this.#ways);
      assert(
        this.#setOf(this.#fields[FIELDS * entry]!, level) === set,
        'an entry is in the set where it is looked for',
      );
      const key = [this.#fields[FIELDS * entry], this.#fields[FIELDS * entry + TAG_HIGH], level, owner].join();
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
      if (this.#fields[FIELDS * entry] !== tagLow || this.#fields[FIELDS * entry + TAG_HIGH] !== tagHigh) continue;
      const info = this.#fields[FIELDS * entry + INFO]!;
      if (((info >> LEVEL_SHIFT) & 7) !== level || (onlyContiguous && (info & CONTIGUOUS) === 0)) continue;
      if (asid !== undefined && (this.#fields[FIELDS * entry + ASID] !== asid || (info & Pte.global) !== 0)) continue;
      this.#drop(entry);
    }
  }

  #drop(entry: number): void {
    if (this.#fields[FIELDS * entry + ASID] === EMPTY) return;
    this.#population[(this.#fields[FIELDS * entry + INFO]! >> LEVEL_SHIFT) & 7]!--;
    this.#fields[FIELDS * entry + ASID] = EMPTY;
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
