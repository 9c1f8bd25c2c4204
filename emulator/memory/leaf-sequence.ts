import { PAGE_SIZE } from '../layout/memory-map.ts';
import { NO_RAM, type Bus } from './bus.ts';
import { type Pmp, PMP_MIXED } from './pmp.ts';
import type { Access, Regime } from './regime.ts';
import type { SvWalker } from './sv.ts';

/**
 * The leaves after the one that was walked for last: those of the pages that a transfer comes to next, unless their table has come to its end.
 * No level of the TLB learns of them, for a transfer that misses both would only push out what programs use.
 */
export class LeafSequence {
  readonly #bus: Bus;
  readonly #pmp: Pmp;
  readonly #walker: SvWalker;
  // The page whose leaf comes after the walker's.
  #known = false;
  #low = 0;
  #high = 0;

  constructor(bus: Bus, pmp: Pmp, walker: SvWalker) {
    this.#bus = bus;
    this.#pmp = pmp;
    this.#walker = walker;
  }

  /** Page tables may have changed since the last walk. */
  forget(): void {
    this.#known = false;
  }

  /** The walker has found the leaf of this page. */
  foundAt(low: number, high: number): void {
    this.#low = ((low & -PAGE_SIZE) + PAGE_SIZE) | 0;
    this.#high = this.#low === 0 ? (high + 1) | 0 : high;
    this.#known = true;
  }

  /** Whether the page address is that of the leaf to follow. */
  isNext(low: number, high: number): boolean {
    return this.#known && low === this.#low && high === this.#high;
  }

  /** The linear address of the page at an address that is next, for an access; or 0 to walk anew. */
  follow(low: number, high: number, access: Access, privilege: number, regime: Regime): number {
    const walker = this.#walker;
    this.#known = false;
    const found = walker.nextLeaf(regime);
    if (!found || !walker.permits(access, privilege, regime)) return 0;
    const gpa = walker.page * PAGE_SIZE;
    const protection = this.#pmp.permissionsOf(gpa, PAGE_SIZE, false);
    if (protection === PMP_MIXED || (protection & access) === 0) return 0;
    const linear = this.#bus.ramAt(gpa, PAGE_SIZE);
    if (linear === NO_RAM) return 0;
    this.foundAt(low, high);
    return linear | 0;
  }

  /** Of at most `pages` pages from an address on that is next, how many lie one after the other from a linear address on. */
  run(low: number, high: number, linear: number, pages: number): number {
    const run = this.#walker.leafRun(linear, pages);
    if (run !== 0) this.foundAt(low + (run - 1) * PAGE_SIZE, high);
    return run;
  }
}
