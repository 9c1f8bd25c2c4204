import { assert } from '../check/assert.ts';
import { LARGE_NOTES, LARGE_PENDING } from '../layout/memory-map.ts';
import { levelTag, levelTagHigh } from './l2-tlb.ts';

/** A guest's kernel has one for each 2 MiB of RAM; when there are more, nothing is told apart. */
const MOST = 4096;

/** Bytes of the filter, one after the other, for each size: its binary logarithm in bytes, and that of how many there are. */
export const FILTERS = [
  { shift: 21, at: 0, bits: 12 },
  { shift: 16, at: 4096, bits: 11 },
  { shift: 30, at: 6144, bits: 10 },
  { shift: 39, at: 7168, bits: 9 },
  { shift: 48, at: 7680, bits: 9 },
] as const;
/** Of pages of level 1. */
const LARGE_SHIFT = 21;
/** In a note's high word: the level, above 20 bits of a page number and its sign. */
export const NOTE_LEVEL = 24;
/** What of a page number goes into the hash that chooses the note. */
export const NOTE_SHIFTS = [9, 17, 18] as const;
const TAG_MASK = (1 << NOTE_LEVEL) - 1;
/** Of pages of 2^n bytes, how many make up 4 GiB: `**` is a call of the C library. */
const PER_HIGH = Array.from({ length: 32 }, (_, shift) => 2 ** (32 - shift));

/**
 * Which large pages there is something of in a table that knows pages of 4 KiB only. Generated code enters parts of those that it finds in the notes (walk-code.ts), and
 * notes others itself: they are pending, until they are taken over before anything is asked here.
 */
export class LargePages {
  /** Two words for a note: the page number of a large page, with its level on top. */
  readonly #notes: Int32Array<ArrayBuffer>;
  /** Whether there may be something of a page, by size and hash: all that generated code asks before a fence (forget-code.ts). */
  readonly #filter: Uint8Array<ArrayBuffer>;
  /** How many are pending, a word, and their tags as in the notes. */
  readonly #pending: Int32Array<ArrayBuffer>;
  /** Binary logarithms of the sizes, in bytes, that there are pages of. */
  readonly #shifts: number[] = [];
  /** By position in `#shifts`, numbers of the pages in units of their size. */
  readonly #pages: Set<number>[] = [];
  #count = 0;

  /** All in the linear memory. `notes`: LARGE_NOTES times two words; `filter`: LARGE_FILTER bytes; `pending`: of LARGE_PENDING_SIZE bytes. */
  constructor(notes: Int32Array<ArrayBuffer>, filter: Uint8Array<ArrayBuffer>, pending: Int32Array<ArrayBuffer>) {
    this.#notes = notes.fill(0);
    this.#filter = filter.fill(0);
    this.#pending = pending.fill(0);
  }

  /** Notes the page of so many pages of 4 KiB, a power of two, that an address (int32 halves) lies in. */
  add(low: number, high: number, pages: number): void {
    this.#takePending();
    const shift = shiftOf(pages);
    this.#note(low, high, shift);
    this.#filter[filterAt(low, high, shift)] = 1;
    this.#know(low, high, shift);
  }

  /** Whether an address may lie in one of them: never wrong where it does. */
  mayHold(low: number, high: number): boolean {
    this.#takePending();
    if (this.#count === 0) return false;
    if (this.#count >= MOST) return true;
    for (let at = 0; at < this.#shifts.length; at++)
      if (this.#pages[at]!.has(numberOf(low, high, this.#shifts[at]!))) return true;
    return false;
  }

  clear(): void {
    if (this.#count === 0 && this.#pending[0] === 0) return;
    for (const pages of this.#pages) pages.clear();
    this.#notes.fill(0);
    this.#filter.fill(0);
    this.#pending[0] = 0;
    this.#count = 0;
  }

  checkInvariants(): void {
    assert(this.#pending[0]! <= LARGE_PENDING, 'pending large pages are in their list');
    this.#takePending();
    for (let at = 0; at < this.#notes.length; at += 2) {
      const page = this.#notes[at]!;
      const high = this.#notes[at + 1]!;
      if (high >>> NOTE_LEVEL === 0) continue;
      assert(this.mayHold(page << 12, addressHigh(page, high)), 'a large page that is noted is known');
    }
    for (let at = 0; at < this.#shifts.length; at++) {
      const shift = this.#shifts[at]!;
      for (const number of this.#pages[at]!) {
        const address = BigInt(number) << BigInt(shift);
        const place = filterAt(Number(BigInt.asIntN(32, address)), Number(address >> 32n), shift);
        assert(this.#filter[place] === 1, 'generated code leaves fences in a large page that is known to JavaScript');
      }
    }
  }

  /** Gets to know what generated code has noted. */
  #takePending(): void {
    const pending = this.#pending;
    const end = 2 + 2 * pending[0]!;
    for (let at = 2; at < end; at += 2) {
      const page = pending[at]!;
      const high = pending[at + 1]!;
      this.#know(page << 12, addressHigh(page, high), 12 + 9 * (high >>> NOTE_LEVEL));
    }
    pending[0] = 0;
  }

  #know(low: number, high: number, shift: number): void {
    if (this.#count >= MOST) return;
    let at = this.#shifts.indexOf(shift);
    if (at < 0) at = this.#shifts.push(shift) - 1;
    const known = (this.#pages[at] ??= new Set());
    const before = known.size;
    known.add(numberOf(low, high, shift));
    this.#count += known.size - before;
    if (this.#count >= MOST) this.#filter.fill(1);
  }

  #note(low: number, high: number, shift: number): void {
    // Ranges of 64 KiB are for JavaScript.
    if (shift < LARGE_SHIFT) return;
    const level = (shift - 12) / 9;
    const tag = levelTag(low, high, level);
    const at = 2 * noteIndex(tag, level);
    this.#notes[at] = tag;
    this.#notes[at + 1] = (levelTagHigh(high, level) & TAG_MASK) | (level << NOTE_LEVEL);
  }
}

/**
 * Which note a large page has: another than its neighbours, and than those whose parts share entries of the first level with its own, for such take
 * turns.
 */
function noteIndex(tagLow: number, level: number): number {
  let hash = level;
  for (const shift of NOTE_SHIFTS) hash ^= tagLow >>> shift;
  return hash & (LARGE_NOTES - 1);
}

/** The high half of the address in a note: the page number without the level, its sign as it was. */
function addressHigh(page: number, high: number): number {
  return (page >>> 20) | (((high << (32 - NOTE_LEVEL)) >> (32 - NOTE_LEVEL)) << 12);
}

/** Where the filter has the page of 2^shift bytes around an address. */
function filterAt(low: number, high: number, shift: number): number {
  const number = shift < 32 ? (low >>> shift) | (high << (32 - shift)) : high >> (shift - 32);
  const { at, bits } = FILTERS.find((filter) => filter.shift === shift)!;
  return at + ((number ^ (number >>> bits)) & ((1 << bits) - 1));
}

/** Binary logarithm of the bytes of so many pages, of which there are 2^36 at most. */
function shiftOf(pages: number): number {
  return pages < 2 ** 32 ? 43 - Math.clz32(pages) : 48;
}

function numberOf(low: number, high: number, shift: number): number {
  return shift < 32 ? high * PER_HIGH[shift]! + (low >>> shift) : high >> (shift - 32);
}
