import { assert } from '../../check/assert.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { CROSSING, type PageLayout, RecordField } from './record.ts';

const PAGE_MASK = PAGE_SIZE - 1;

/**
 * Instructions that run on into a page which may lie anywhere. The record of such a one says CROSSING, and into the records of which page it ran on when it was last
 * put together; what it was decoded to then stands behind the records of its own page.
 */
export class Crossings {
  readonly #view: DataView<ArrayBuffer>;
  readonly #layout: PageLayout;
  /** Linear-memory address of the records of each decoded page, by the page's place. */
  readonly #bases: ReadonlyMap<number, number>;
  /** By a page's place, the places of instructions that run on into it and are kept. */
  readonly #from = new Map<number, Set<number>>();

  constructor(view: DataView<ArrayBuffer>, layout: PageLayout, bases: ReadonlyMap<number, number>) {
    this.#view = view;
    this.#layout = layout;
    this.#bases = bases;
  }

  /**
   * The instruction at place `first` runs on into the page at `second`, and is kept for as long as that page's records are: false when it has none. A page without
   * records is not watched: nobody would notice stores to it.
   */
  keep(first: number, second: number): boolean {
    const following = this.#bases.get(second) ?? 0;
    this.#view.setInt32(this.#recordOf(first) + RecordField.following, following, true);
    if (following === 0) return false;
    const from = this.#from.get(second);
    if (from === undefined) this.#from.set(second, new Set([first]));
    else from.add(first);
    return true;
  }

  /** What runs on into a page from others is to be put together again. */
  forget(page: number): void {
    const from = this.#from.get(page);
    if (from === undefined) return;
    this.#from.delete(page);
    for (const place of from) {
      if (this.isCrossing(place)) this.#view.setInt32(this.#recordOf(place) + RecordField.following, 0, true);
    }
  }

  isCrossing(place: number): boolean {
    const base = this.#bases.get(place - (place & PAGE_MASK));
    return base !== undefined && this.#view.getUint16(this.#recordOf(place) + RecordField.op, true) === CROSSING;
  }

  /** `alignment`: between instructions. */
  checkInvariants(alignment: number): void {
    if (Number.isNaN(this.#layout.crossing)) return;
    for (const page of this.#bases.keys()) {
      const first = page + PAGE_SIZE - alignment;
      if (!this.isCrossing(first)) continue;
      const following = this.#view.getInt32(this.#recordOf(first) + RecordField.following, true);
      if (following === 0) continue;
      const kept = [...this.#from].some(([to, from]) => from.has(first) && this.#bases.get(to) === following);
      assert(kept, 'an instruction that crosses pages is kept for a decoded page that knows of it');
    }
  }

  #recordOf(place: number): number {
    const offset = place & PAGE_MASK;
    return this.#bases.get(place - offset)! + (offset << this.#layout.shift);
  }
}
