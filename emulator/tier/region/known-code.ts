import { PAGE_SIZE } from '../../layout/memory-map.ts';
import type { InstructionFacts } from './instruction-facts.ts';

const LOG_PAGE = Math.log2(PAGE_SIZE);
/** Pages remembered; then they are forgotten and begun anew. */
const MOST_PAGES_KNOWN = 1000;

/** What is known of the instructions of a page that have been executed, as long as its code stays what it is. */
export class KnownPage {
  readonly #shift: number;
  /** By where an instruction begins, its place in the list; 0 for none. */
  readonly #numbers: Uint16Array<ArrayBuffer>;
  readonly #list: (InstructionFacts | undefined)[] = [undefined];

  constructor(alignment: number) {
    this.#shift = Math.log2(alignment);
    this.#numbers = new Uint16Array(PAGE_SIZE / alignment);
  }

  /** `offset` is one that instructions may have. */
  at(offset: number): InstructionFacts | undefined {
    return this.#list[this.#numbers[offset >> this.#shift]!];
  }

  add(offset: number, facts: InstructionFacts): void {
    this.#numbers[offset >> this.#shift] = this.#list.push(facts) - 1;
  }
}

/** The same of all pages, by place (tier/code-space.ts): neither what a page's guest address is nor who looks at it matters. */
export class KnownCode {
  readonly #alignment: number;
  readonly #maximumLength: number;
  readonly #pages = new Map<number, KnownPage>();

  constructor({ alignment, maximumLength }: { readonly alignment: number; readonly maximumLength: number }) {
    this.#alignment = alignment;
    this.#maximumLength = maximumLength;
  }

  pageAt(place: number): KnownPage {
    const number = place >>> LOG_PAGE;
    let page = this.#pages.get(number);
    if (page === undefined) {
      if (this.#pages.size >= MOST_PAGES_KNOWN) this.#pages.clear();
      this.#pages.set(number, (page = new KnownPage(this.#alignment)));
    }
    return page;
  }

  /** Code of [place, place + length) is not what it was. */
  forget(place: number, length: number): void {
    // An instruction that runs on into it may begin in the page before.
    const first = Math.max(0, place - this.#maximumLength + 1) >>> LOG_PAGE;
    const last = Math.floor((place + length - 1) / PAGE_SIZE);
    if (last - first > this.#pages.size) this.#pages.clear();
    else for (let number = first; number <= last; number++) this.#pages.delete(number);
  }

  forgetAll(): void {
    this.#pages.clear();
  }
}
