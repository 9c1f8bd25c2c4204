import { PAGE_SIZE, TLB_CONTROL, TlbControl } from '../layout/memory-map.ts';
import type { Regime } from './regime.ts';
import { Pte } from './sv.ts';

// Words of the linear memory.
const ROOT = (TLB_CONTROL + TlbControl.root) / 4;
const ROOT_SHIFT = (TLB_CONTROL + TlbControl.rootShift) / 4;
const UPDATES = (TLB_CONTROL + TlbControl.updates) / 4;
const EXECUTABLE_READABLE = (TLB_CONTROL + TlbControl.executableReadable) / 4;

/** What walks in generated code (walk-code.ts) are told of the regime, in the linear memory. */
export class PublishedRegime {
  readonly #words: Int32Array<ArrayBuffer>;
  #rootPage = -1;

  constructor(memory: WebAssembly.Memory) {
    this.#words = new Int32Array(memory.buffer as ArrayBuffer);
  }

  /** To be called after a change. */
  publish({ levels, rootPage, makeExecutableReadable, updateAccessedDirty }: Regime): void {
    const words = this.#words;
    words[ROOT_SHIFT] = levels === 0 ? 0 : 12 + 9 * (levels - 1);
    words[EXECUTABLE_READABLE] = makeExecutableReadable ? 1 : 0;
    words[UPDATES] = updateAccessedDirty ? Pte.accessed | Pte.dirty : 0;
    // Divided only where it has to be: every trap comes here.
    if (rootPage === this.#rootPage) return;
    this.#rootPage = rootPage;
    words[ROOT] = rootPage * PAGE_SIZE;
    words[ROOT + 1] = Math.floor(rootPage / (2 ** 32 / PAGE_SIZE));
  }
}
