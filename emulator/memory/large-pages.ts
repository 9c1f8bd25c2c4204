import { assert } from '../check/assert.ts';
import { LARGE_NOTES } from '../layout/memory-map.ts';
import { levelHash, levelTag, levelTagHigh } from './l2-tlb.ts';

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
const LEVEL_SHIFT = 24;
const TAG_MASK = (1 << LEVEL_SHIFT) - 1;
/** Of pages of 2^n bytes, how many make up 4 GiB: `**` is a call of the C library. */
const PER_HIGH = Array.from({ length: 32 }, (_, shift) => 2 ** (32 - shift));

/**
 * Which large pages there is something of in a table that knows pages of 4 KiB only. Generated code enters parts of those that it finds in the notes (walk-code.ts); for
 * others it asks JavaScript, so they are noted where the next part is looked for.
 */
export class LargePages {
  /** Two words for a note: the page number of a large page, with its level on top. */
  readonly #notes: Int32Array<ArrayBuffer>;
  /** Whether there may be something of a page, by size and hash: all that generated code asks before a fence (forget-code.ts). */
  readonly #filter: Uint8Array<ArrayBuffer>;
  /** Binary logarithms of the sizes, in bytes, that there are pages of. */
  readonly #shifts: number[] = [];
  /** By position in `#shifts`, numbers of the pages in units of their size. */
  readonly #pages: Set<number>[] = [];
  #count = 0;

  /** Both in the linear memory. `notes`: LARGE_NOTES times two words; `filter`: LARGE_FILTER bytes. */
  constructor(notes: Int32Array<ArrayBuffer>, filter: Uint8Array<ArrayBuffer>) {
    this.#notes = notes.fill(0);
    this.#filter = filter.fill(0);
  }

  /** Notes the page of so many pages of 4 KiB, a power of two, that an address (int32 halves) lies in. */
  add(low: number, high: number, pages: number): void {
    const shift = shiftOf(pages);
    this.#note(low, high, shift);
    this.#filter[filterAt(low, high, shift)] = 1;
    if (this.#count >= MOST) return;
    let at = this.#shifts.indexOf(shift);
    if (at < 0) at = this.#shifts.push(shift) - 1;
    const known = (this.#pages[at] ??= new Set());
    const before = known.size;
    known.add(numberOf(low, high, shift));
    this.#count += known.size - before;
    if (this.#count >= MOST) this.#filter.fill(1);
  }

  /** Whether an address may lie in one of them: never wrong where it does. */
  mayHold(low: number, high: number): boolean {
    if (this.#count === 0) return false;
    if (this.#count >= MOST) return true;
    for (let at = 0; at < this.#shifts.length; at++)
      if (this.#pages[at]!.has(numberOf(low, high, this.#shifts[at]!))) return true;
    return false;
  }

  clear(): void {
    if (this.#count === 0) return;
    for (const pages of this.#pages) pages.clear();
    this.#notes.fill(0);
    this.#filter.fill(0);
    this.#count = 0;
  }

  checkInvariants(): void {
    for (let at = 0; at < this.#notes.length; at += 2) {
      const level = this.#notes[at + 1]! >>> LEVEL_SHIFT;
      if (level === 0) continue;
      const page = this.#notes[at]!;
      // The page number without the level, its sign as it was.
      const pageHigh = (this.#notes[at + 1]! << (32 - LEVEL_SHIFT)) >> (32 - LEVEL_SHIFT);
      assert(this.mayHold(page << 12, (page >>> 20) | (pageHigh << 12)), 'a large page that is noted is known');
    }
  }

  #note(low: number, high: number, shift: number): void {
    // Ranges of 64 KiB are for JavaScript.
    if (shift < LARGE_SHIFT) return;
    const level = (shift - 12) / 9;
    const tag = levelTag(low, high, level);
    const at = 2 * (levelHash(tag, level) & (LARGE_NOTES - 1));
    this.#notes[at] = tag;
    this.#notes[at + 1] = (levelTagHigh(high, level) & TAG_MASK) | (level << LEVEL_SHIFT);
  }
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
