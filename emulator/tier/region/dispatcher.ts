import {
  ARRIVALS,
  ARRIVALS_COUNT,
  PAGE_SIZE,
  REGION_CACHE,
  REGION_CACHE_ENTRY_SIZE,
  REGION_USES,
  REGIONS_MAX,
  SPRINGBOARD,
} from '../../layout/memory-map.ts';
import { keptModule } from '../../wasm/kept-modules.ts';
import { Frame } from '../interpreter/frame.ts';
import { PAGE_END, RecordField } from '../interpreter/record.ts';
import type { CodePage } from './code-page.ts';
import { cacheEntries, generateDispatcher, INDEX_BITS } from './dispatcher-code.ts';

/** Both halves of a cached address that no guest instruction has. */
const EMPTY = -1;

/** Words of the linear memory. */
const REGION = Frame.region / 4;
const CHAINED = Frame.chained / 4;
const MISSED = Frame.missed / 4;
const INTERPRETED = Frame.interpreted / 4;

/** Not an index: begin with the interpreter. */
export const NO_REGION = -1;

/**
 * Runs regions one after the other, as the jump cache (level 1 of the translation cache) knows where control goes, and the interpreter
 * between them, without leaving WebAssembly.
 */
export class Dispatcher {
  /**
   * Enters the region at an index of the table, or with NO_REGION the interpreter at the state's pc. The status is that of the region in `Frame.region`, which is
   * left as it is while none runs.
   */
  readonly run: (index: number, entry: number) => number;
  readonly table: WebAssembly.Table;
  readonly #view: DataView<ArrayBuffer>;
  readonly #words: Int32Array<ArrayBuffer>;
  /** log2 of the fewest bytes between two instructions. */
  readonly #shift: number;
  readonly #translated: boolean;
  /** Of the cache. */
  readonly #entries: number;

  /**
   * `interpret`: the interpreter's main function; `recordShift`: log2 of its record bytes per byte of guest code; `translated`: guest
   * addresses are, so a region is entered only where the TLB still leads to its code.
   */
  constructor(
    memory: WebAssembly.Memory,
    alignment: number,
    interpret: () => number,
    recordShift: number,
    translated: boolean,
  ) {
    this.#translated = translated;
    const key = `dispatcher ${translated ? 'translated' : 'flat'}`;
    const module = keptModule(key, () => generateDispatcher(translated));
    this.#shift = Math.log2(alignment);
    const shift = new WebAssembly.Global({ value: 'i32' }, this.#shift);
    // Guest address less this is what the springboard's record must be told.
    const springboard = new WebAssembly.Global({ value: 'i64' }, BigInt(SPRINGBOARD >> recordShift));
    const instance = new WebAssembly.Instance(module, { env: { memory, shift, springboard, interpret } });
    this.run = instance.exports['run'] as (index: number, entry: number) => number;
    this.table = instance.exports['regions'] as WebAssembly.Table;
    this.#view = new DataView(memory.buffer as ArrayBuffer);
    this.#words = new Int32Array(memory.buffer as ArrayBuffer);
    this.#entries = cacheEntries(translated);
    // No entry has a tag of all ones.
    new Uint8Array(memory.buffer, REGION_CACHE, REGION_CACHE_ENTRY_SIZE * this.#entries).fill(0xff);
    new Uint8Array(memory.buffer, REGION_USES, 4 * REGIONS_MAX).fill(0);
    new Uint8Array(memory.buffer, ARRIVALS, 4 * ARRIVALS_COUNT).fill(0);
    this.#view.setInt32(Frame.chained, 0, true);
    this.#view.setInt32(Frame.missed, 0, true);
    this.#view.setInt32(Frame.interpreted, 0, true);
    this.#view.setUint16(SPRINGBOARD + RecordField.op, PAGE_END, true);
  }

  /** Instructions that the interpreter has retired between regions, since the last call. */
  takeInterpreted(): number {
    return this.#take(INTERPRETED);
  }

  /** The region that ran last. */
  get lastIndex(): number {
    return this.#words[REGION]!;
  }

  /** Times that control went from one region to another without coming out, since the last call. */
  takeChained(): number {
    return this.#take(CHAINED);
  }

  /** Times that the cache did not hold where control went, since the last call. */
  takeMissed(): number {
    return this.#take(MISSED);
  }

  /** Times that control went to a region by the cache, since the last call. */
  takeUses(index: number): number {
    return this.#take(REGION_USES / 4 + index) >>> 0;
  }

  /** Of a count in the linear memory, what has been added since the last call. */
  #take(word: number): number {
    const count = this.#words[word]!;
    this.#words[word] = 0;
    return count;
  }

  /** Lets control that leaves for a guest address go to a region. */
  cache(pc: number, index: number, entry: number, pages: readonly CodePage[]): void {
    const first = this.#slot(pc);
    const second = first ^ REGION_CACHE_ENTRY_SIZE;
    // Two addresses that both want the first may be in turn, all the time. [measured: 26,000 times in a counting loop of the shell]
    const isFree = this.#leads(second, pc) || (this.#leads(second, EMPTY) && !this.#leads(first, EMPTY));
    const at = isFree && !this.#leads(first, pc) ? second : first;
    this.#setAddress(at, pc);
    if (!this.#translated) {
      this.#view.setInt32(at + 8, index, true);
      this.#view.setInt32(at + 12, entry, true);
      return;
    }
    this.#view.setInt32(at + 8, index | (entry << INDEX_BITS), true);
    const page = Math.floor(pc / PAGE_SIZE) * PAGE_SIZE;
    let number = 0;
    while (pages[number]!.pc !== page) number++;
    this.#view.setInt32(at + 12, pages[number]!.records, true);
  }

  forget(pc: number): void {
    const first = this.#slot(pc);
    const second = first ^ REGION_CACHE_ENTRY_SIZE;
    if (this.#leads(first, pc)) this.#setAddress(first, EMPTY);
    if (this.#leads(second, pc)) this.#setAddress(second, EMPTY);
  }

  /** Whether an entry of the cache leads to the region of a guest address, as a signed number. */
  #leads(at: number, pc: number): boolean {
    const view = this.#view;
    return view.getInt32(at, true) === (pc | 0) && view.getInt32(at + 4, true) === Math.floor(pc / 2 ** 32);
  }

  #setAddress(at: number, pc: number): void {
    this.#view.setInt32(at, pc | 0, true);
    this.#view.setInt32(at + 4, Math.floor(pc / 2 ** 32), true);
  }

  /** The entry of the cache where an address is looked for first; the other one of its pair is second. */
  #slot(pc: number): number {
    return REGION_CACHE + ((pc >>> this.#shift) & (this.#entries - 1)) * REGION_CACHE_ENTRY_SIZE;
  }
}
