import { PAGE_SIZE } from '../layout/memory-map.ts';

/** A guest's kernel has one for each 2 MiB of RAM; when there are more, nothing is told apart. */
const MOST = 4096;

/** Of pages of 2^n bytes, how many make up 4 GiB: `**` is a call of the C library. */
const PER_HIGH = Array.from({ length: 32 }, (_, shift) => 2 ** (32 - shift));

/** Which large pages there is something of in a table that knows pages of 4 KiB only. */
export class LargePages {
  /** Binary logarithms of the sizes, in bytes, that there are pages of. */
  readonly #shifts: number[] = [];
  /** By position in `#shifts`, numbers of the pages in units of their size. */
  readonly #pages: Set<number>[] = [];
  #count = 0;

  /** Notes the page of so many pages of 4 KiB, a power of two, that an address (int32 halves) lies in. */
  add(low: number, high: number, pages: number): void {
    if (this.#count >= MOST) return;
    const shift = Math.log2(PAGE_SIZE * pages);
    let at = this.#shifts.indexOf(shift);
    if (at < 0) at = this.#shifts.push(shift) - 1;
    const known = (this.#pages[at] ??= new Set());
    const before = known.size;
    known.add(numberOf(low, high, shift));
    this.#count += known.size - before;
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
    this.#count = 0;
  }
}

function numberOf(low: number, high: number, shift: number): number {
  return shift < 32 ? high * PER_HIGH[shift]! + (low >>> shift) : high >> (shift - 32);
}
