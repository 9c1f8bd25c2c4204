import { PAGE_SIZE } from '../../layout/memory-map.ts';

/** A page with marked addresses. */
interface MarkedPage {
  readonly marks: Uint8Array<ArrayBuffer>;
  count: number;
}

/** Guest addresses that are marked, for those who go through code instruction by instruction: a look at one is a look at a byte. */
export class AddressMarks {
  readonly #pages = new Map<number, MarkedPage>();

  constructor(addresses: Iterable<number> = []) {
    for (const pc of addresses) this.add(pc);
  }

  add(pc: number): void {
    const number = Math.floor(pc / PAGE_SIZE);
    const offset = pc - number * PAGE_SIZE;
    let page = this.#pages.get(number);
    if (page === undefined) this.#pages.set(number, (page = { marks: new Uint8Array(PAGE_SIZE), count: 0 }));
    if (page.marks[offset] !== 0) return;
    page.marks[offset] = 1;
    page.count++;
  }

  delete(pc: number): void {
    const number = Math.floor(pc / PAGE_SIZE);
    const page = this.#pages.get(number);
    const offset = pc - number * PAGE_SIZE;
    if (page === undefined || page.marks[offset] === 0) return;
    page.marks[offset] = 0;
    if (--page.count === 0) this.#pages.delete(number);
  }

  /** Of the page that begins at a guest address, by offset, 1 where an address is marked; undefined when none is. */
  inPage(page: number): Uint8Array<ArrayBuffer> | undefined {
    return this.#pages.get(Math.floor(page / PAGE_SIZE))?.marks;
  }
}
