import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { hasCodeLine } from '../code-space.ts';
import type { DecodedPages } from './decoded-pages.ts';
import type { InterpreterCounters } from './interpreter.ts';

/** Stores to a page with code, but not to the code, after which the page is taken for one of data. */
const MANY_DATA_WRITES = 64;

/** What stores to pages with decoded code do to it. */
export class CodeWrites {
  readonly #pages: DecodedPages;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #counters: InterpreterCounters;
  readonly #codeChanged: (place: number, length: number) => void;
  /** Stores to pages with code that were not to their code, by page. */
  readonly #dataWrites = new Map<number, number>();

  /** `codeChanged` is told of bytes [place, place + length) whose code is not what it was. */
  constructor(
    pages: DecodedPages,
    linear: Uint8Array<ArrayBuffer>,
    counters: InterpreterCounters,
    codeChanged: (place: number, length: number) => void,
  ) {
    this.#pages = pages;
    this.#linear = linear;
    this.#counters = counters;
    this.#codeChanged = codeChanged;
  }

  /** Bytes in a page with decoded code were written; the place may come from WebAssembly, as int32. */
  written(place: number, bytes: number): void {
    this.#counters.codeWrites++;
    this.#pages.invalidate(place >>> 0, bytes);
    this.#codeChanged(place >>> 0, bytes);
  }

  /** Behind translation every store to a page with code comes here, and pages of code become pages of data. */
  pageWritten(place: number, bytes: number): void {
    const page = place - (place % PAGE_SIZE);
    const times = (this.#dataWrites.get(page) ?? 0) + 1;
    if (times >= MANY_DATA_WRITES || bytes >= MANY_DATA_WRITES) {
      this.#dataWrites.delete(page);
      this.#counters.codeWrites++;
      this.#pages.drop(page, 1);
      return;
    }
    this.#dataWrites.set(page, times);
    if (this.#isCode(place, bytes)) this.written(place, bytes);
  }

  /** Whether there may be decoded code in [place, place + bytes). */
  #isCode(place: number, bytes: number): boolean {
    return hasCodeLine(this.#linear, place, bytes);
  }

  /**
   * Whether a store to [place, place + bytes), in a page with code, is for the interpreter to do: over code, or the one with which its page becomes one
   * of data. Behind that, generated code of the page could go on and write over itself unseen.
   */
  changesCode(place: number, bytes: number): boolean {
    const before = this.#dataWrites.get(place - (place % PAGE_SIZE)) ?? 0;
    return before + 1 >= MANY_DATA_WRITES || this.#isCode(place, bytes);
  }
}
