import { assert } from '../check/assert.ts';
import { ConfigError } from '../check/errors.ts';
import {
  L2_GROUP,
  L2_GROUPS,
  L2_TLB,
  L2_TLB_ENTRIES,
  L2_TLB_ENTRY_SIZE,
  L2TlbEntry,
  PAGE_SIZE,
  TLB_CONTROL,
  TlbControl,
} from '../layout/memory-map.ts';
import { NO_RAM } from './bus.ts';
import { createReplacement, type Replacement, type ReplacementPolicy } from './replacement.ts';
import { Pte } from './sv.ts';

export interface L2TlbOptions {
  /** A power of two. */
  readonly sets: number;
  /** A power of two from 1 to 16; sets times ways are at most L2_TLB_ENTRIES. */
  readonly ways: number;
  readonly policy: ReplacementPolicy;
  readonly seed?: number;
}

/** No entry. */
const NONE = -1;
/** Words of an entry: page number of the start of the page, its low 32 bits and the rest; owner; direct. */
const FIELDS = L2_TLB_ENTRY_SIZE / 4;
const TAG_HIGH = L2TlbEntry.page / 4 + 1;
const OWNER = L2TlbEntry.owner / 4;
const DIRECT = L2TlbEntry.direct / 4;
export const L2_LEVELS = 5;
const GROUP_SHIFT = Math.log2(L2_GROUP);
/** After the counts of the levels. */
const CONTIGUOUS_COUNT = L2_LEVELS;
/** Bits of the owner, above the ASID: the 8 of the leaf, and what else there is to know. */
export const L2_ASID_MASK = 0xffff;
export const L2_FLAGS_SHIFT = 16;
export const L2_LEVEL_SHIFT = 24;
export const L2_CONTIGUOUS = 1 << 27;
const PREFETCHED = 1 << 28;
const USED = 1 << 29;
const EMPTY = 0;
export const L2_GLOBAL = Pte.global << L2_FLAGS_SHIFT;
/** For generated code: bits of an owner that pages of 4 KiB of one address space have in common, and only they. */
export const L2_OWNER_MASK = USED | (7 << L2_LEVEL_SHIFT) | L2_ASID_MASK;
/** The same for global ones, and what those have there. */
export const L2_GLOBAL_MASK = USED | (7 << L2_LEVEL_SHIFT) | L2_GLOBAL;
export const L2_GLOBAL_OWNER = USED | L2_GLOBAL;
/** Bits of the rights in one table of the first level: those of user mode, supervisor mode, and supervisor mode with SUM are told apart. */
export const RIGHTS = 3;
/** In the direct word, below the page's linear address. */
const DIRECT_RIGHTS = (1 << (3 * RIGHTS)) - 1;
/** Instead of a linear address: of a large page that cannot be reached directly as a whole, which 2 MiB of physical memory it begins at. */
export const L2_PARTIAL = DIRECT_RIGHTS + 1;
export const L2_PARTIAL_SHIFT = 1 + 3 * RIGHTS;
/** Pages of 2 MiB, and how many of them such a word can name. */
const PARTIAL_PAGES = 512;
const PARTIAL_MOST = 2 ** (32 - L2_PARTIAL_SHIFT);

/**
 * The second-level TLB: set-associative. A large page is one entry. Entries bear the ASID and the rights of every privilege mode, so that they
 * outlive changes of both. Tags lie in the linear memory, where generated code looks plain pages up (l2-probe.ts).
 */
export class L2Tlb {
  // By entry: physical page number of the start of the (large) page, linear address of that start when all of the page is RAM that may be reached
  // directly, else 0, and what is permitted there. What generated code has entered has them in its fields only.
  readonly #page: Float64Array;
  readonly #linear: Int32Array;
  readonly #rights: Int32Array;
  readonly #ways: number;
  readonly #setMask: number;
  readonly #replacement: Replacement;
  /** FIELDS words an entry, so that a set of four is a line of the host's cache. */
  readonly #fields: Int32Array<ArrayBuffer>;
  /** Entries of each level, so that levels without any are not looked through, and then of them those that are one page of a contiguous range. */
  readonly #population: Int32Array<ArrayBuffer>;
  /** By L2_GROUP entries, whether any may be of one address space alone: a process has few of them, and a fence need not look through all. */
  readonly #groups: Uint8Array<ArrayBuffer>;
  /** One word: for generated code, the owner of what is in the address space in force. */
  readonly #owner: Int32Array<ArrayBuffer>;

  /** Throws ConfigError for sizes that are no powers of two in range. */
  constructor({ sets, ways, policy, seed = 0x2545_f491 }: L2TlbOptions, memory: WebAssembly.Memory) {
    if (!isPowerOfTwo(ways, 16) || !isPowerOfTwo(sets, L2_TLB_ENTRIES / ways)) {
      throw new ConfigError(
        `a TLB of ${sets} sets and ${ways} ways: both are to be powers of two, up to 16 ways and ${L2_TLB_ENTRIES} entries`,
      );
    }
    this.#ways = ways;
    this.#setMask = sets - 1;
    this.#replacement = createReplacement(policy, sets, ways, seed, memory);
    const entries = sets * ways;
    this.#fields = new Int32Array(memory.buffer as ArrayBuffer, L2_TLB, FIELDS * entries).fill(0);
    this.#page = new Float64Array(entries);
    this.#linear = new Int32Array(entries);
    this.#rights = new Int32Array(entries);
    this.#population = new Int32Array(memory.buffer as ArrayBuffer, TLB_CONTROL + TlbControl.population, L2_LEVELS + 1);
    this.#population.fill(0);
    this.#groups = new Uint8Array(memory.buffer as ArrayBuffer, L2_GROUPS, Math.ceil(entries / L2_GROUP)).fill(0);
    this.#owner = new Int32Array(memory.buffer as ArrayBuffer, TLB_CONTROL + TlbControl.owner, 1);
    this.select(0);
  }

  /** Puts an address space in force for generated code. */
  select(asid: number): void {
    this.#owner[0] = USED | asid;
  }

  /** The entry that translates an address (int32 halves) in an address space, or -1. */
  find(low: number, high: number, asid: number): number {
    const page = (low >>> 12) | (high << 20);
    const found = this.#population[0] === 0 ? NONE : this.#findTag(page, high >> 12, 0, asid);
    return found >= 0 ? found : this.findLarge(low, high, asid);
  }

  /** The rest of `find`, when no page of 4 KiB is known there. */
  findLarge(low: number, high: number, asid: number): number {
    for (let level = 1; level < L2_LEVELS; level++) {
      if (this.#population[level] === 0) continue;
      const found = this.#findTag(levelTag(low, high, level), levelTagHigh(high, level), level, asid);
      if (found >= 0) return found;
    }
    this.#replacement.missed(this.#setOf(levelTag(low, high, 0), 0));
    return NONE;
  }

  #findTag(tagLow: number, tagHigh: number, level: number, asid: number): number {
    const fields = this.#fields;
    const set = this.#setOf(tagLow, level);
    const begin = set * this.#ways;
    const end = begin + this.#ways;
    for (let entry = begin; entry < end; entry++) {
      const at = FIELDS * entry;
      if (fields[at] !== tagLow || fields[at + TAG_HIGH] !== tagHigh) continue;
      const owner = fields[at + OWNER]!;
      if (owner === EMPTY || ((owner >> L2_LEVEL_SHIFT) & 7) !== level) continue;
      if ((owner & L2_ASID_MASK) !== asid && (owner & L2_GLOBAL) === 0) continue;
      this.#replacement.touch(set, entry - begin);
      return entry;
    }
    return NONE;
  }

  /**
   * Says what an entry leads to: the physical page number of the start of the page, its linear address when all of it is RAM that may be
   * reached directly or else 0, and Access bits for each of three tables of the first level (RIGHTS).
   */
  describe(entry: number, page: number, linear: number, rights: number): void {
    this.#page[entry] = page;
    this.#linear[entry] = linear;
    this.#rights[entry] = rights;
    this.#setDirect(entry);
  }

  /** What `describe` was told of the linear address. */
  linearOf(entry: number): number {
    const direct = this.#fields[FIELDS * entry + DIRECT]!;
    if (direct === 0) return this.#linear[entry]!;
    return (direct & L2_PARTIAL) === 0 ? direct & ~(PAGE_SIZE - 1) : NO_RAM;
  }

  /** What it was told of the page number, where there is no linear address. */
  pageOf(entry: number): number {
    const direct = this.#fields[FIELDS * entry + DIRECT]!;
    return direct === 0 ? this.#page[entry]! : (direct >>> L2_PARTIAL_SHIFT) * PARTIAL_PAGES;
  }

  /** What `describe` was told of rights. */
  rightsOf(entry: number): number {
    const direct = this.#fields[FIELDS * entry + DIRECT]!;
    return direct === 0 ? this.#rights[entry]! : direct & DIRECT_RIGHTS;
  }

  levelOf(entry: number): number {
    return (this.#fields[FIELDS * entry + OWNER]! >> L2_LEVEL_SHIFT) & 7;
  }

  /** The entry serves all address spaces. */
  isGlobal(entry: number): boolean {
    return (this.#fields[FIELDS * entry + OWNER]! & L2_GLOBAL) !== 0;
  }

  /** The entry is one page of a 64 KiB range (Svnapot). */
  isContiguous(entry: number): boolean {
    return (this.#fields[FIELDS * entry + OWNER]! & L2_CONTIGUOUS) !== 0;
  }

  /** Whether the entry had been prefetched and is used for the first time. */
  takePrefetched(entry: number): boolean {
    const owner = this.#fields[FIELDS * entry + OWNER]!;
    if ((owner & PREFETCHED) === 0) return false;
    this.#fields[FIELDS * entry + OWNER] = owner & ~PREFETCHED;
    this.#setDirect(entry);
    return true;
  }

  /**
   * Enters a leaf for an address and gives its entry, which the caller is to describe. An older entry for the same address and address
   * space is overwritten, but not by a prefetched one: then -1.
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
    let chosen = NONE;
    for (let way = 0; way < this.#ways; way++) {
      const entry = begin + way;
      const owner = this.#fields[FIELDS * entry + OWNER]!;
      if (owner === EMPTY) {
        if (chosen === NONE) chosen = way;
        continue;
      }
      const same = this.#fields[FIELDS * entry] === tagLow && this.#fields[FIELDS * entry + TAG_HIGH] === tagHigh;
      if (!same || ((owner >> L2_LEVEL_SHIFT) & 7) !== level) continue;
      if ((owner & L2_ASID_MASK) !== asid && (owner & L2_GLOBAL) === 0) continue;
      if (prefetched) return NONE;
      chosen = way;
      break;
    }
    if (chosen === NONE) chosen = this.#replacement.victim(set);
    const entry = begin + chosen;
    this.#drop(entry);
    this.#fields[FIELDS * entry] = tagLow;
    this.#fields[FIELDS * entry + TAG_HIGH] = tagHigh;
    this.#fields[FIELDS * entry + OWNER] =
      USED |
      asid |
      ((flags & 0xff) << L2_FLAGS_SHIFT) |
      (level << L2_LEVEL_SHIFT) |
      (contiguous ? L2_CONTIGUOUS : 0) |
      (prefetched ? PREFETCHED : 0);
    if ((flags & Pte.global) === 0) this.#groups[entry >> GROUP_SHIFT] = 1;
    this.#population[level]!++;
    if (contiguous) this.#population[CONTIGUOUS_COUNT]!++;
    this.#replacement.entered(set, chosen);
    return entry;
  }

  flushAll(): void {
    this.#fields.fill(0);
    this.#population.fill(0);
    this.#groups.fill(0);
  }

  /** Forgets what belongs to an address space; global entries stay. */
  flushAsid(asid: number): void {
    for (let group = 0; group < this.#groups.length; group++)
      if (this.#groups[group] !== 0) this.#groups[group] = this.#flushGroup(group * L2_GROUP, asid) ? 1 : 0;
  }

  /** Whether any entry of one address space is left. */
  #flushGroup(first: number, asid: number): boolean {
    const end = Math.min(first + L2_GROUP, this.#page.length);
    let left = false;
    for (let entry = first; entry < end; entry++) {
      const owner = this.#fields[FIELDS * entry + OWNER]!;
      if (owner === EMPTY || (owner & L2_GLOBAL) !== 0) continue;
      if ((owner & L2_ASID_MASK) === asid) this.#drop(entry);
      else left = true;
    }
    return left;
  }

  /** Forgets what translates an address: in one address space, leaving global entries, or in all when `asid` is undefined. */
  flushAddress(low: number, high: number, asid: number | undefined): void {
    for (let level = 0; level < L2_LEVELS; level++) {
      if (this.#population[level] === 0) continue;
      this.#flushTag(levelTag(low, high, level), levelTagHigh(high, level), level, asid, false);
    }
    if (this.#population[CONTIGUOUS_COUNT] === 0) return;
    // A fence for one page of a 64 KiB range takes away all 16 (Privileged ISA, "Svnapot").
    for (let page = 0; page < 16; page++) {
      const at = (low & ~0xffff) | (page << 12);
      this.#flushTag(levelTag(at, high, 0), levelTagHigh(high, 0), 0, asid, true);
    }
  }

  /** Entries in use. */
  get size(): number {
    return this.#population.subarray(0, L2_LEVELS).reduce((sum, count) => sum + count, 0);
  }

  checkInvariants(): void {
    const counted = new Int32Array(L2_LEVELS);
    let contiguous = 0;
    const seen = new Set<string>();
    for (let entry = 0; entry < this.#page.length; entry++) {
      const owner = this.#fields[FIELDS * entry + OWNER]!;
      if (owner === EMPTY) {
        assert(this.#fields[FIELDS * entry + DIRECT] === 0, 'generated code finds nothing in an empty entry');
        continue;
      }
      const isNoted = (owner & L2_GLOBAL) !== 0 || this.#groups[entry >> GROUP_SHIFT] !== 0;
      assert(isNoted, 'a fence of an address space finds its entries');
      const level = (owner >> L2_LEVEL_SHIFT) & 7;
      counted[level]!++;
      if ((owner & L2_CONTIGUOUS) !== 0) contiguous++;
      const set = Math.floor(entry / this.#ways);
      assert(
        this.#setOf(this.#fields[FIELDS * entry]!, level) === set,
        'an entry is in the set where it is looked for',
      );
      const key = [
        this.#fields[FIELDS * entry],
        this.#fields[FIELDS * entry + TAG_HIGH],
        level,
        owner & L2_ASID_MASK,
      ].join();
      assert(!seen.has(key), 'a page is entered once in an address space');
      seen.add(key);
    }
    assert(
      counted.every((count, level) => count === this.#population[level]),
      'the entries of each level are counted',
    );
    assert(contiguous === this.#population[CONTIGUOUS_COUNT], 'the entries of contiguous ranges are counted');
  }

  #flushTag(tagLow: number, tagHigh: number, level: number, asid: number | undefined, onlyContiguous: boolean): void {
    const begin = this.#setOf(tagLow, level) * this.#ways;
    for (let entry = begin; entry < begin + this.#ways; entry++) {
      if (this.#fields[FIELDS * entry] !== tagLow || this.#fields[FIELDS * entry + TAG_HIGH] !== tagHigh) continue;
      const owner = this.#fields[FIELDS * entry + OWNER]!;
      if (((owner >> L2_LEVEL_SHIFT) & 7) !== level || (onlyContiguous && (owner & L2_CONTIGUOUS) === 0)) continue;
      if (asid !== undefined && ((owner & L2_ASID_MASK) !== asid || (owner & L2_GLOBAL) !== 0)) continue;
      this.#drop(entry);
    }
  }

  #drop(entry: number): void {
    const owner = this.#fields[FIELDS * entry + OWNER]!;
    if (owner === EMPTY) return;
    this.#population[(owner >> L2_LEVEL_SHIFT) & 7]!--;
    if ((owner & L2_CONTIGUOUS) !== 0) this.#population[CONTIGUOUS_COUNT]!--;
    this.#fields[FIELDS * entry + OWNER] = EMPTY;
    this.#fields[FIELDS * entry + DIRECT] = 0;
  }

  /** What generated code needs, of a page in RAM or a large one, that was not prefetched; it makes do with no other. */
  #setDirect(entry: number): void {
    const owner = this.#fields[FIELDS * entry + OWNER]!;
    const linear = this.#linear[entry]!;
    const part = this.#page[entry]! / PARTIAL_PAGES;
    let place = linear;
    if ((owner & (L2_CONTIGUOUS | PREFETCHED)) !== 0) place = 0;
    else if (linear === NO_RAM && this.levelOf(entry) > 0 && part < PARTIAL_MOST)
      place = (part << L2_PARTIAL_SHIFT) | L2_PARTIAL;
    this.#fields[FIELDS * entry + DIRECT] = place === 0 ? 0 : place | (this.#rights[entry]! & DIRECT_RIGHTS);
  }

  #setOf(tagLow: number, level: number): number {
    return ((level === 0 ? tagLow : levelHash(tagLow, level)) & this.#setMask) >>> 0;
  }
}

/** What the set of a large page is chosen by. Those of different levels begin at the same addresses; the level keeps them apart. */
function levelHash(tagLow: number, level: number): number {
  return tagLow ^ (tagLow >>> 9) ^ (tagLow >>> 18) ^ level;
}

/** Low 32 bits of the page number of the start of the page of `level` around the address. */
export function levelTag(low: number, high: number, level: number): number {
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
export function levelTagHigh(high: number, level: number): number {
  return level < 4 ? high >> 12 : (high >> 12) & ~0xf;
}

function isPowerOfTwo(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= limit && (value & (value - 1)) === 0;
}
