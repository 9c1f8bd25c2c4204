import { assert, CHECK, CheckLevel } from '../check/assert.ts';
import {
  LARGE_FILTER,
  LARGE_NOTES,
  LARGE_PENDING_SIZE,
  PAGE_CACHE_SIZE,
  PAGE_CACHES,
  PAGE_CACHES_USED,
  PAGE_SIZE,
  STATE,
  TLB,
  TLB_CONTEXT_SIZE,
  TLB_CONTEXTS,
  TLB_CONTROL,
  TLB_CROWDED,
  TLB_EMPTY,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_LARGE_FILTER,
  TLB_LARGE_NOTES,
  TLB_LARGE_PENDING,
  TLB_WRITTEN,
  TLB_WRITTEN_GLOBAL,
  TLB_WRITTEN_MOST,
  TLB_WRITTEN_PAGE,
  TLB_WRITTEN_SHIFT,
  TlbControl,
  TlbEntry,
} from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { LargePages } from './large-pages.ts';
import { Access } from './regime.ts';

/** Which of the tables is in force (layout/memory-map.ts, "TLB"). */
export const TlbContext = { user: 0, supervisor: 1, supervisorUserMemory: 2, machine: 3 } as const;
export type TlbContext = (typeof TlbContext)[keyof typeof TlbContext];

const CONTEXT_WORDS = TLB_CONTEXT_SIZE / 4;
const FIRST_WORD = TLB / 4;
const READ = TlbEntry.read / 4;
const WRITE = TlbEntry.write / 4;
const EXECUTE = TlbEntry.execute / 4;
const ADDEND = TlbEntry.addend / 4;
const CODE = TlbEntry.code / 4;
const INDEX_MASK = TLB_ENTRIES - 1;
const WORDS = TLB_ENTRY_SIZE / 4;
const PAGE_MASK = -PAGE_SIZE;
/** Index of the first word of a table's list of written entries, by table; how many there are is at WRITTEN_COUNTS. */
const WRITTEN = TLB_WRITTEN / 4;
const WRITTEN_COUNTS = (TLB_CONTROL + TlbControl.writtenCounts) / 4;
/** One more entry than are remembered one by one. */
const FEW = TLB_WRITTEN_MOST;
/** Written entries that are remembered as they come, some of them several times. */
const UNCROWDED = 1024;

/**
 * The first-level TLB: tables in the linear memory that generated code probes inline (tier/tlb-path.ts). JavaScript fills and empties
 * them. Large pages are entered 4 KiB at a time; that they were is remembered, since a fence for one address takes away all of their parts.
 */
export class L1Tlb {
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #state: DataView<ArrayBuffer>;
  /** By table, those that parts have been entered of since it was last emptied. */
  readonly #large: readonly LargePages[];

  /** By table, how many written entries are remembered when it is looked for those that need not be. */
  readonly #crowded: Int32Array<ArrayBuffer>;
  /** Of an entry, one more than where a list that is gone through has it. */
  readonly #listed = new Uint16Array(TLB_ENTRIES);

  /** `memory`: as it was made, or one that another TLB had. */
  constructor(memory: WebAssembly.Memory) {
    this.#words = new Int32Array(memory.buffer as ArrayBuffer);
    this.#state = new DataView(memory.buffer as ArrayBuffer, STATE);
    this.#crowded = new Int32Array(memory.buffer as ArrayBuffer, TLB_CROWDED, TLB_CONTEXTS).fill(UNCROWDED);
    this.#large = Array.from({ length: TLB_CONTEXTS }, (_, context) => {
      const buffer = memory.buffer as ArrayBuffer;
      return new LargePages(
        new Int32Array(buffer, TLB_LARGE_NOTES + context * LARGE_NOTES * 8, 2 * LARGE_NOTES),
        new Uint8Array(buffer, TLB_LARGE_FILTER + context * LARGE_FILTER, LARGE_FILTER),
        new Int32Array(buffer, TLB_LARGE_PENDING + context * LARGE_PENDING_SIZE, LARGE_PENDING_SIZE / 4),
      );
    });
    this.#words.fill(-1, PAGE_CACHES / 4, PAGE_CACHES_USED / 4);
    this.#words[PAGE_CACHES_USED / 4] = 0;
    this.#words.fill(0, WRITTEN_COUNTS, WRITTEN_COUNTS + TLB_CONTEXTS);
    // Zeros are no page's tag but that of page 0, so tables need not be written to, nor be in the host's memory, before they are used. Page 0 is
    // looked for in the first entry, and in the last by an access that runs on to address 0.
    for (let context = 0; context < TLB_CONTEXTS; context++) {
      const begin = this.firstWord(context as TlbContext);
      const last = begin + CONTEXT_WORDS - WORDS;
      if (this.#words[last + READ] !== 0) this.#words.fill(-1, begin, begin + CONTEXT_WORDS);
      this.#clear(begin);
      this.#clear(last);
    }
    if (CHECK >= CheckLevel.full) this.checkInvariants();
  }

  /** Puts tables in force. */
  select(data: TlbContext, fetch: TlbContext): void {
    this.#state.setInt32(StateOffset.dataTlb, TLB + data * TLB_CONTEXT_SIZE, true);
    this.#state.setInt32(StateOffset.fetchTlb, TLB + fetch * TLB_CONTEXT_SIZE, true);
  }

  /** Index of the first 32-bit word of a table in the linear memory. */
  firstWord(context: TlbContext): number {
    return FIRST_WORD + context * CONTEXT_WORDS;
  }

  /**
   * Enters a page: virtual address as halves, linear address of its first byte, what may be done (Access bits). `levelPages` is the size
   * in 4 KiB pages of the large page it is part of, 1 for none; `global`: it is in all address spaces.
   */
  fill(
    context: TlbContext,
    low: number,
    high: number,
    linear: number,
    allowed: number,
    levelPages: number,
    global = false,
  ): void {
    const words = this.#words;
    const at = entryWord(context, low);
    const page = low & PAGE_MASK;
    const addend = (linear - page) | 0;
    const known = words[at + EXECUTE] === page && words[at + EXECUTE + 1] === high;
    if (!known || words[at + ADDEND] !== addend) words[at + CODE] = 0;
    // Ones where the right is missing: an empty tag.
    const unread = (allowed & Access.read) - 1;
    const unwritten = ((allowed & Access.write) >> 1) - 1;
    const unfetched = ((allowed & Access.execute) >> 2) - 1;
    words[at + READ] = page | unread;
    words[at + READ + 1] = high | unread;
    words[at + WRITE] = page | unwritten;
    words[at + WRITE + 1] = high | unwritten;
    words[at + EXECUTE] = page | unfetched;
    words[at + EXECUTE + 1] = high | unfetched;
    words[at + ADDEND] = addend;
    const written = words[WRITTEN_COUNTS + context]!;
    if (written < FEW - 1) {
      words[WRITTEN + context * FEW + written] = writtenWord((low >>> 12) & INDEX_MASK, linear, global);
      words[WRITTEN_COUNTS + context] = written + 1;
    } else {
      words[WRITTEN_COUNTS + context] = FEW;
    }
    if (levelPages > 1) this.#large[context]!.add(low, high, levelPages);
  }

  /** Linear address (int32) of an address that may be accessed so, or 0: what generated code does inline. */
  probe(context: TlbContext, low: number, high: number, access: Access): number {
    const words = this.#words;
    const at = entryWord(context, low);
    const offset = access === Access.read ? TlbEntry.read : access === Access.write ? TlbEntry.write : TlbEntry.execute;
    if (words[at + offset / 4] !== (low & PAGE_MASK) || words[at + offset / 4 + 1] !== high) return 0;
    return (low + words[at + ADDEND]!) | 0;
  }

  /** How many of `pages` pages from a page address on are known to lie one after the other from a linear address. */
  run(context: TlbContext, low: number, high: number, access: Access, linear: number, pages: number): number {
    const words = this.#words;
    const tagAt = access === Access.read ? READ : WRITE;
    const base = this.firstWord(context);
    const addend = (linear - low) | 0;
    let page = low;
    let pageHigh = high;
    for (let count = 0; count < pages; count++) {
      const at = base + ((page >>> 12) & INDEX_MASK) * WORDS;
      if (words[at + tagAt] !== page || words[at + tagAt + 1] !== pageHigh) return count;
      if (words[at + ADDEND] !== addend) return count;
      page = (page + PAGE_SIZE) | 0;
      if (page === 0) pageHigh = (pageHigh + 1) | 0;
    }
    return pages;
  }

  flushAll(): void {
    for (let context = 0; context < TLB_CONTEXTS; context++) this.flush(context as TlbContext);
  }

  flush(context: TlbContext): void {
    if (context === TlbContext.user) this.#emptyPageCaches();
    this.#large[context]!.clear();
    const words = this.#words;
    const written = words[WRITTEN_COUNTS + context]!;
    words[WRITTEN_COUNTS + context] = 0;
    const begin = this.firstWord(context);
    if (written < FEW) {
      // While Linux starts, 95,000 fences come after four entries each, and emptying the whole table takes three times as long (0.4 µs).
      const first = WRITTEN + context * FEW;
      for (let i = first; i < first + written; i++) this.#clear(begin + (words[i]! & INDEX_MASK) * WORDS);
      return;
    }
    words.fill(-1, begin, begin + CONTEXT_WORDS);
  }

  /** Forgets what a table has of one address space only. [measured: emulator/docs/booting.md, "Kernel work under Linux"] */
  flushSpace(context: TlbContext): void {
    const words = this.#words;
    const written = words[WRITTEN_COUNTS + context]!;
    if (written >= FEW) return this.flush(context);
    if (context === TlbContext.user) this.#emptyPageCaches();
    const first = WRITTEN + context * FEW;
    const begin = this.firstWord(context);
    let kept = 0;
    for (let i = first; i < first + written; i++) {
      const word = words[i]!;
      if ((word & TLB_WRITTEN_GLOBAL) !== 0) words[first + kept++] = word;
      else this.#clear(begin + (word & INDEX_MASK) * WORDS);
    }
    words[WRITTEN_COUNTS + context] = kept;
    // What was forgotten one by one is still remembered.
    if (kept >= this.#crowded[context]!) this.#compact(context);
  }

  /** Forgets the page at an address in a table, and all of the large page around it. */
  flushPage(context: TlbContext, low: number, high: number): void {
    if (context === TlbContext.user) this.#emptyPageCaches();
    if (this.#large[context]!.mayHold(low, high)) return this.flush(context);
    const words = this.#words;
    const at = entryWord(context, low);
    if (words[WRITTEN_COUNTS + context]! >= this.#crowded[context]!) this.#compact(context);
    for (let tagAt = at; tagAt < at + ADDEND; tagAt += 2) {
      if (words[tagAt] === (low & PAGE_MASK) && words[tagAt + 1] === high) words[tagAt] = words[tagAt + 1] = -1;
    }
  }

  /** Makes stores to a page of RAM, by linear address, miss: under whatever virtual address it is entered. */
  protectWrites(linear: number): void {
    this.#emptyPageCaches();
    this.#forEachAlias(linear, (at) => {
      this.#words[at + WRITE] = -1;
      this.#words[at + WRITE + 1] = -1;
    });
  }

  /** Clears what the tiers noted as decoded from a page of RAM. */
  unlinkCode(linear: number): void {
    this.#forEachAlias(linear, (at) => {
      this.#words[at + CODE] = 0;
    });
  }

  checkInvariants(): void {
    const words = this.#words;
    const used = words.subarray(PAGE_CACHES_USED / 4 + 1).subarray(0, words[PAGE_CACHES_USED / 4]!);
    for (let at = PAGE_CACHES; at < PAGE_CACHES_USED; at += PAGE_CACHE_SIZE)
      if (words[at / 4] !== -1) assert(used.includes(at), 'a page cache that is not empty is known to be used');
    for (let context = 0; context < TLB_CONTEXTS; context++) {
      this.#large[context]!.checkInvariants();
      const count = words[WRITTEN_COUNTS + context]!;
      const first = WRITTEN + context * FEW;
      const remembered = count < FEW ? new Set(words.subarray(first, first + count)) : undefined;
      for (let index = 0; index < TLB_ENTRIES; index++) {
        const at = entryWord(context as TlbContext, index << 12);
        for (let tagAt = at; tagAt < at + ADDEND; tagAt += 2) {
          const low = words[tagAt]!;
          if ((low & TLB_EMPTY) !== 0) continue;
          const isZero = low === 0 && words[tagAt + 1] === 0;
          if (isZero && index !== 0 && index !== TLB_ENTRIES - 1) continue;
          assert((low & ~PAGE_MASK) === 0, 'a tag is a page address');
          assert(((low >>> 12) & INDEX_MASK) === index, 'a page is entered where it is looked for');
          const linear = low + words[at + ADDEND]!;
          const isRemembered = [false, true].some((global) => remembered?.has(writtenWord(index, linear, global)));
          assert(remembered === undefined || isRemembered, 'an entry that is written is remembered');
          assert(((low + words[at + ADDEND]!) & ~PAGE_MASK) === 0, 'an addend moves whole pages');
        }
      }
    }
  }

  /**
   * Remembers each written entry that is not empty once. An entry for an address that is fenced over and over would fill the list, and all of the table be
   * gone through for each page that becomes one of code.
   */
  #compact(context: TlbContext): void {
    const words = this.#words;
    const first = WRITTEN + context * FEW;
    const written = words[WRITTEN_COUNTS + context]!;
    if (written >= FEW) return;
    const begin = this.firstWord(context);
    let kept = 0;
    for (let i = first; i < first + written; i++) {
      const index = words[i]! & INDEX_MASK;
      const at = begin + index * WORDS;
      // Tags that are not empty are all the same.
      const page = words[at + READ]! & words[at + WRITE]! & words[at + EXECUTE]!;
      if (page === -1) continue;
      const isGlobal = (words[i]! & TLB_WRITTEN_GLOBAL) !== 0;
      const listed = this.#listed[index]!;
      // Only what has been global each time is known to be.
      if (listed !== 0) {
        if (!isGlobal) words[first + listed - 1]! &= ~TLB_WRITTEN_GLOBAL;
        continue;
      }
      words[first + kept++] = writtenWord(index, page + words[at + ADDEND]!, isGlobal);
      this.#listed[index] = kept;
    }
    for (let i = first; i < first + kept; i++) this.#listed[words[i]! & INDEX_MASK] = 0;
    words[WRITTEN_COUNTS + context] = kept;
    this.#crowded[context] = Math.max(UNCROWDED, Math.min(2 * kept, (kept + FEW) >>> 1));
  }

  /** Leaves an entry, by its first word, without tags. */
  #clear(at: number): void {
    const words = this.#words;
    words[at + READ] = words[at + WRITE] = words[at + EXECUTE] = -1;
  }

  /** They hold translations of user mode, and do not say which. */
  #emptyPageCaches(): void {
    const words = this.#words;
    const count = words[PAGE_CACHES_USED / 4]!;
    for (let i = 1; i <= count; i++) words[words[PAGE_CACHES_USED / 4 + i]! / 4] = -1;
    words[PAGE_CACHES_USED / 4] = 0;
  }

  #forEachAlias(linear: number, act: (at: number) => void): void {
    const words = this.#words;
    const looked = writtenWord(0, linear, false);
    for (let context = 0; context < TLB_CONTEXTS; context++) {
      const begin = this.firstWord(context as TlbContext);
      const written = words[WRITTEN_COUNTS + context]!;
      if (written < FEW) {
        const first = WRITTEN + context * FEW;
        const end = first + written;
        // Entries themselves are not looked at: they lie all over the host's cache. A boot of Linux looks through 5 million of these words.
        for (let i = first; i < end; i++) {
          if (((words[i]! ^ looked) & TLB_WRITTEN_PAGE) !== 0) continue;
          const at = begin + (words[i]! & INDEX_MASK) * WORDS;
          if (this.#leadsTo(at, linear)) act(at);
        }
      } else {
        for (let at = begin; at < begin + CONTEXT_WORDS; at += WORDS) if (this.#leadsTo(at, linear)) act(at);
      }
    }
  }

  /** Whether an entry, by its first word, serves any access to the page of RAM at a linear address. */
  #leadsTo(at: number, linear: number): boolean {
    const words = this.#words;
    // No page's address is that of an empty tag.
    const page = (linear - words[at + ADDEND]!) | 0;
    return words[at + READ] === page || words[at + WRITE] === page || words[at + EXECUTE] === page;
  }
}

/** How an entry that leads to a linear address is remembered. */
function writtenWord(index: number, linear: number, global: boolean): number {
  return index | (global ? TLB_WRITTEN_GLOBAL : 0) | ((linear << TLB_WRITTEN_SHIFT) & TLB_WRITTEN_PAGE);
}

/** Index of an entry's first word. */
function entryWord(context: TlbContext, low: number): number {
  return FIRST_WORD + context * CONTEXT_WORDS + ((low >>> 12) & INDEX_MASK) * WORDS;
}
