import { GUEST, PAGE_SIZE, PERMISSION, Permission } from '../layout/memory-map.ts';
import type { L1Tlb } from './l1-tlb.ts';
import { Access } from './regime.ts';

/** The pages of RAM with decoded code: stores to them are reported, and the first level has none that may be stored to. */
export class CodePages {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #l1: L1Tlb;
  /** Linear address and bytes of a store to one of them. */
  readonly #onWrite: (linear: number, length: number) => void;

  constructor(memory: WebAssembly.Memory, l1: L1Tlb, onWrite: (linear: number, length: number) => void) {
    this.#bytes = new Uint8Array(memory.buffer as ArrayBuffer);
    this.#l1 = l1;
    this.#onWrite = onWrite;
  }

  /** Whether the page of RAM around a linear address is one. */
  has(linear: number): boolean {
    return (this.#bytes[PERMISSION + pageIndex(linear)]! & Permission.code) !== 0;
  }

  /** Marks the page; false when it was marked already. */
  add(linear: number): boolean {
    if (this.has(linear)) return false;
    this.#bytes[PERMISSION + pageIndex(linear)]! |= Permission.code;
    this.#l1.protectWrites(linear & -PAGE_SIZE);
    return true;
  }

  /** Takes the mark away, and what the tiers noted in the TLB about the page. */
  delete(linear: number): void {
    this.#bytes[PERMISSION + pageIndex(linear)]! &= ~Permission.code;
    this.#l1.unlinkCode(linear & -PAGE_SIZE);
  }

  /** Rights (Access bits) to a page of RAM, less that to store where there is code. */
  rightsTo(linear: number, allowed: number): number {
    return this.has(linear) ? allowed & ~Access.write : allowed;
  }

  /** Reports what was stored to a range, which may lie in several pages. */
  wrote(linear: number, length: number): void {
    const last = pageIndex(linear + Math.max(length, 1) - 1);
    for (let page = pageIndex(linear); page <= last; page++) {
      const start = GUEST + page * PAGE_SIZE;
      if (!this.has(start)) continue;
      const begin = Math.max(linear, start);
      const end = Math.min(linear + length, GUEST + (page + 1) * PAGE_SIZE);
      this.#onWrite(begin, end - begin);
    }
  }
}

/** Which page of guest RAM a linear address (modulo 2^32) is in, as the permission bytes count. */
function pageIndex(linear: number): number {
  return ((linear - GUEST) | 0) >>> 12;
}
