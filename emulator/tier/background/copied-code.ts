import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { type CodeSource, NOWHERE } from '../code-space.ts';

/** Numbers to a page of a mapping: guest address, place, address of its decoded records. */
const FIELDS = 3;

/** Code behind address translation, seen from where there is a copy of its pages but no TLB: they are found by what a request tells of them. */
export class CopiedCode implements CodeSource {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contiguous = false;
  /** By the guest address of a page. */
  readonly #places = new Map<number, number>();
  /** By the place of a page. */
  readonly #records = new Map<number, number>();

  /** `bytes`: a memory laid out like the guest's. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
  }

  /** From now on pages are where the mapping says (GuestNews), and nowhere else. */
  map(mapping: Float64Array): void {
    this.#places.clear();
    this.#records.clear();
    for (let at = 0; at < mapping.length; at += FIELDS) {
      this.#places.set(mapping[at]!, mapping[at + 1]!);
      this.#records.set(mapping[at + 1]!, mapping[at + 2]!);
    }
  }

  placeOf(pc: number): number {
    const page = Math.floor(pc / PAGE_SIZE) * PAGE_SIZE;
    const place = this.#places.get(page);
    return place === undefined ? NOWHERE : place + pc - page;
  }

  /** Where the guest's end keeps the decoded records of the page around a place; 0 when it has not told. */
  recordsOf(place: number): number {
    return this.#records.get(place - (place % PAGE_SIZE)) ?? 0;
  }
}
