import { assert } from '../../check/assert.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
import { CODE_LINE, CODE_LINES, CODE_LINES_COUNT, PAGE_SIZE, RECORDS, RECORDS_SIZE } from '../../layout/memory-map.ts';
import { markLine, NOWHERE, type CodeSpace } from '../code-space.ts';
import { Crossings } from './crossings.ts';
import { Frame } from './frame.ts';
import type { InterpreterModule } from './generate.ts';
import type { InterpreterCounters } from './interpreter.ts';
import {
  CROSSING,
  ENTRY_BIT,
  FIRST_CASE,
  NOT_DECODED,
  PAGE_END,
  RECORD_SIZE,
  RecordField,
  type PageLayout,
} from './record.ts';
import { isShort, RunDecoder } from './run-decoder.ts';

const PAGE_MASK = PAGE_SIZE - 1;
/** Or a multiple of it. */
const HOST_PAGE_SIZE = 4096;

/** Where decoded pages are kept: linear addresses. */
export interface RecordSpace {
  readonly begin: number;
  readonly end: number;
}

/** What `approach` has found. */
export const Approach = { fault: 0, ready: 1, entry: 2, unknown: 3 } as const;
export type Approach = (typeof Approach)[keyof typeof Approach];

/** For each memory, by where a space for records begins in it, how far that has been used. */
const usedRecords = new WeakMap<ArrayBuffer, Map<number, number>>();

/** The pages whose instructions have been decoded to records, by place (tier/code-space.ts). */
export class DecodedPages {
  readonly #isa: Isa;
  readonly #module: InterpreterModule;
  readonly #decoder: RunDecoder;
  readonly #layout: PageLayout;
  readonly #counters: InterpreterCounters;
  readonly #view: DataView<ArrayBuffer>;
  /** The linear memory, for ops: V8's mid-tier compiler calls a builtin for getUint16. */
  readonly #ops: Uint16Array<ArrayBuffer>;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #code: CodeSpace;
  readonly #space: RecordSpace;
  /** Linear-memory address of the records of each decoded page, by the page's place; in the order they were decoded. */
  readonly #bases = new Map<number, number>();
  /** By a decoded page's place, the guest address that it was decoded at last; only where the two can differ. */
  readonly #guestPages = new Map<number, number>();
  /** Where translated code begins that has not been decoded here: it came from another run or process. */
  readonly #awaited = new Set<number>();
  readonly #crossings: Crossings;
  /** How many translated regions begin in a page. */
  readonly #entries = new Map<number, number>();
  readonly #free: number[] = [];
  /** Pages whose decoded instructions are no longer those that `takeTouched` gave. */
  readonly #touched = new Set<number>();
  readonly #codePageAdded: (page: number) => void;
  readonly #codePageReached: (page: number, pc: number) => void;
  readonly #codePageDropped: (page: number) => void;
  #fresh: number;

  constructor(
    isa: Isa,
    module: InterpreterModule,
    buffer: ArrayBuffer,
    code: CodeSpace,
    counters: InterpreterCounters,
    codePageAdded: (page: number) => void,
    codePageReached: (page: number, pc: number) => void,
    codePageDropped: (page: number) => void,
    space: RecordSpace = { begin: RECORDS, end: RECORDS + RECORDS_SIZE },
  ) {
    this.#codePageAdded = codePageAdded;
    this.#codePageReached = codePageReached;
    this.#codePageDropped = codePageDropped;
    this.#isa = isa;
    this.#module = module;
    this.#layout = module.layout;
    this.#counters = counters;
    this.#view = new DataView(buffer);
    this.#ops = new Uint16Array(buffer);
    this.#linear = new Uint8Array(buffer);
    this.#crossings = new Crossings(this.#view, this.#layout, this.#bases);
    this.#decoder = new RunDecoder(isa, module, buffer, code, {
      awaited: this.#awaited,
      arrived: (place) => this.markEntry(place, true),
      markCode: (page) => this.#markCode(page),
    });
    this.#code = code;
    this.#space = space;
    this.#fresh = space.begin;
    this.#linear.fill(0, CODE_LINES, CODE_LINES + CODE_LINES_COUNT);
  }

  /**
   * Points the frame at the record of the instruction at an address given by its halves, decoding from there when it has not been. False
   * when it cannot be fetched: why is in the code space.
   */
  prepare(low: number, high: number): boolean {
    const place = this.#code.fetch(low, high);
    if (place === NOWHERE) return false;
    const offset = place & PAGE_MASK;
    const page = place - offset;
    const base = this.#baseOf(page) || this.#add(page);
    const { shift } = this.#layout;
    const record = base + (offset << shift);
    if (this.#opOf(record) === NOT_DECODED) {
      this.#touched.add(page);
      if (!this.#code.contiguous) this.#notePage(page, (low >>> 0) - offset + 2 ** 32 * high);
      if (!this.#decodeRun(page, base, offset)) return false;
    }
    this.pointAt(record, (low - offset) | 0, high, base >>> shift);
    this.#code.link(low, high, base);
    return true;
  }

  /**
   * As `prepare`, but stays before translated code, which marks tell of. Nothing is done there, and with `lookOnly` nothing but to point the frame at what is
   * decoded and can be fetched for all that is known.
   */
  approach(low: number, high: number, lookOnly: boolean): Approach {
    const place = this.#code.placeAt(low, high);
    if (place !== NOWHERE) {
      const offset = place & PAGE_MASK;
      const base = this.#baseOf(place - offset);
      const { shift } = this.#layout;
      const record = base + (offset << shift);
      const op = base === 0 || this.#isMisaligned(place) ? NOT_DECODED : this.#opOf(record);
      if ((op & ENTRY_BIT) !== 0) return Approach.entry;
      if (op >= CROSSING) {
        this.pointAt(record, (low - offset) | 0, high, base >>> shift);
        this.#code.link(low, high, base);
        return Approach.ready;
      }
    }
    if (lookOnly) return Approach.unknown;
    return this.prepare(low, high) ? Approach.ready : Approach.fault;
  }

  /** Notes the guest address of a page behind address translation. */
  #notePage(page: number, pc: number): void {
    if (this.#guestPages.get(page) === pc) return;
    this.#guestPages.set(page, pc);
    this.#codePageReached(page, pc);
  }

  /** Points the frame at a record. The halves are of the guest address of that record whose linear address, shifted, is `number`. */
  pointAt(record: number, low: number, high: number, number: number): void {
    const delta = (low >>> 0) - number;
    this.#view.setInt32(Frame.record, record, true);
    this.#view.setInt32(Frame.pcDelta, delta, true);
    this.#view.setInt32(Frame.pcDelta + 4, delta < 0 ? high - 1 : high, true);
  }

  /**
   * Keeps the instruction at place `first` at the end of a page, which runs on into the one at `second`, and gives its record. As long as fetches go on from
   * one page to the other the main function finds it by itself.
   */
  keepCrossing(first: number, second: number, decoded: Decoded, word: number | undefined): number {
    const base = this.#bases.get(first - (first & PAGE_MASK));
    assert(base !== undefined && this.isCrossing(first), 'the record of an instruction that crosses pages says so');
    const at = base + this.#layout.crossing;
    // No jump of it is near.
    this.#decoder.write(at, decoded, PAGE_SIZE, word);
    if (this.#crossings.keep(first, second)) markLine(this.#linear, second);
    return at;
  }

  /** Whether the instruction at a place has been decoded, which is when it was first about to run. */
  isDecoded(place: number): boolean {
    const op = this.#opAt(place);
    return op !== undefined && op >= CROSSING;
  }

  /** Whether the instruction at a place runs on into a page that may lie anywhere. */
  isCrossing(place: number): boolean {
    return this.#opAt(place) === CROSSING;
  }

  /** The pages where instructions have been decoded or forgotten since the last call; `all`: all that have decoded ones too. */
  takeTouched(all: boolean): number[] {
    const pages = all ? [...new Set([...this.#bases.keys(), ...this.#touched])] : [...this.#touched];
    this.#touched.clear();
    return pages;
  }

  /** Of decoded pages behind address translation: place, and a guest address that led there. */
  guestPages(): IterableIterator<[number, number]> {
    return this.#guestPages.entries();
  }

  /** Lets stores to [place, place + length) be seen as if instructions had been decoded from there. */
  guard(place: number, length: number): void {
    for (let page = place - (place & PAGE_MASK); page < place + length; page += PAGE_SIZE) this.#markCode(page);
    this.#markLines(place, place + length);
  }

  /** The records of the page around a place, which has them from now on; as `recordsOf` says, until others need the room. */
  admit(place: number): number {
    const page = place - (place & PAGE_MASK);
    return this.#baseOf(page) || this.#add(page);
  }

  /** Offsets of the decoded instructions in the page at a place. */
  decodedIn(page: number): Uint16Array<ArrayBuffer> {
    const base = this.#bases.get(page);
    const offsets = new Uint16Array(base === undefined ? 0 : this.#layout.records);
    let count = 0;
    const { alignment } = this.#isa;
    for (let at = 0; at < offsets.length; at++) {
      const op = this.#opOf(base! + at * RECORD_SIZE);
      if (op >= CROSSING) offsets[count++] = at * alignment;
    }
    return offsets.slice(0, count);
  }

  /** The records of the page around a place, 0 when it has none. */
  recordsOf(place: number): number {
    return this.#baseOf(place - (place & PAGE_MASK));
  }

  /** Whether translated code begins at a place, as `markEntry` said. */
  isEntry(place: number): boolean {
    const op = this.#opAt(place);
    return op !== undefined && (op & ENTRY_BIT) !== 0;
  }

  /** Makes the main function come out before the instruction at a place, as soon as that is decoded, or no longer. */
  markEntry(place: number, marked: boolean): void {
    const op = this.#opAt(place);
    if (op === undefined || op < FIRST_CASE) {
      if (marked) this.#awaited.add(place);
      else this.#awaited.delete(place);
      return;
    }
    if (marked === ((op & ENTRY_BIT) !== 0)) return;
    const offset = place & PAGE_MASK;
    const page = place - offset;
    const record = this.#baseOf(page) + (offset << this.#layout.shift);
    this.#view.setUint16(record + RecordField.op, op ^ ENTRY_BIT, true);
    this.#entries.set(page, (this.#entries.get(page) ?? 0) + (marked ? 1 : -1));
  }

  #opAt(place: number): number | undefined {
    const offset = place & PAGE_MASK;
    const base = this.#baseOf(place - offset);
    if (base === 0 || this.#isMisaligned(place)) return undefined;
    return this.#opOf(base + (offset << this.#layout.shift));
  }

  /** The records of a page, 0 when it has none. */
  #baseOf(page: number): number {
    return this.#bases.get(page) ?? 0;
  }

  /** The op of the record at a linear address. */
  #opOf(record: number): number {
    return this.#ops[(record + RecordField.op) >>> 1]!;
  }

  #isMisaligned(place: number): boolean {
    return (place & (this.#isa.alignment - 1)) !== 0;
  }

  /** The bytes at a place, as many as the longest instruction has there, as a little-endian number: an illegal instruction's value. */
  bitsAt(place: number): bigint {
    const { bytes } = this.#code;
    const { maximumLength } = this.#isa;
    const length = isShort(this.#isa, this.#code.bytes[place]!) ? 2 : Math.min(maximumLength, 4);
    let bits = 0n;
    for (let byte = length - 1; byte >= 0; byte--) bits = (bits << 8n) | BigInt(bytes[place + byte] ?? 0);
    return bits;
  }

  /** Forgets the instructions that may have a byte in [place, place + bytes); their pages stay. */
  invalidate(place: number, bytes: number): void {
    for (let page = place - (place & PAGE_MASK); page < place + bytes; page += PAGE_SIZE) this.#crossings.forget(page);
    const { alignment, maximumLength } = this.#isa;
    const { shift } = this.#layout;
    const { table } = this.#module;
    // Those still further before cannot reach the bytes, but may run on, at the beginning of a sequence, into one that does.
    const lowest = this.#code.contiguous ? 0 : place - (place & PAGE_MASK);
    const first = Math.max(lowest, place - table.trie.longest * maximumLength + alignment);
    for (let at = first - (first % alignment); at < place + bytes; at += alignment) {
      const offset = at & PAGE_MASK;
      const base = this.#baseOf(at - offset);
      if (base === 0) continue;
      const record = base + (offset << shift);
      const op = this.#opOf(record);
      if (at + maximumLength > place) {
        this.markEntry(at, false);
        this.#view.setUint16(record, NOT_DECODED, true);
        this.#touched.add(at - offset);
      } else if (op >= FIRST_CASE)
        this.#view.setUint16(record, table.singleOp(op & ~ENTRY_BIT) | (op & ENTRY_BIT), true);
    }
  }

  /** Drops the decoded pages that touch [place, place + length). */
  drop(place: number, length: number): void {
    if (length <= 0) return;
    const first = place - (place % PAGE_SIZE);
    if (length > this.#bases.size * PAGE_SIZE) {
      for (const page of this.#bases.keys()) if (page >= first && page < place + length) this.#dropPage(page);
    } else {
      for (let page = first; page < place + length; page += PAGE_SIZE) this.#dropPage(page);
    }
    // An instruction that runs on into the first page.
    if (first > 0 && this.#code.contiguous) this.invalidate(first, 1);
  }

  checkInvariants(): void {
    const used = new Set<number>();
    for (const [page, base] of this.#bases) {
      assert(page % PAGE_SIZE === 0 && page < this.#code.end, 'decoded pages are guest pages');
      assert(
        base >= this.#space.begin && base + this.#layout.size <= this.#space.end,
        'records lie in their part of memory',
      );
      assert(!used.has(base), 'no two pages share records');
      used.add(base);
      assert(this.#code.isMarked(page), 'a decoded page is marked as code');
    }
    for (const base of this.#free) assert(!used.has(base), 'free records are not in use');
    if (!this.#code.contiguous) this.#crossings.checkInvariants(this.#isa.alignment);
    const placed = (this.#fresh - this.#space.begin) / this.#layout.size;
    assert(used.size + this.#free.length === placed, 'records are in use or free');
    this.#code.checkLinks((page) => this.#bases.get(page));
  }

  /** Decodes from an offset to the end of the straight-line run. False when not even the first instruction can be fetched. */
  #decodeRun(page: number, base: number, start: number): boolean {
    const decoder = this.#decoder;
    if (!decoder.decode(page, base, start)) return false;
    this.#counters.decoded += decoder.count;
    this.#markLines(page + start, page + decoder.end);
    return true;
  }

  /** There is code in [begin, end). */
  #markLines(begin: number, end: number): void {
    for (let at = begin; at < end; at += CODE_LINE) markLine(this.#linear, at);
    markLine(this.#linear, end - 1);
  }

  #add(page: number): number {
    const { size, records } = this.#layout;
    let base = this.#free.pop();
    if (base === undefined && this.#fresh + size > this.#space.end) {
      this.#dropPage(this.#victim());
      base = this.#free.pop()!;
    } else if (base === undefined) {
      base = this.#fresh;
      this.#fresh += size;
      this.#clean(base, base + size);
    }
    this.#bases.set(page, base);
    this.#markCode(page);
    for (let at = base + records * RECORD_SIZE; at < base + size; at += RECORD_SIZE)
      this.#view.setUint16(at, PAGE_END, true);
    return base;
  }

  /**
   * Makes memory for records zero. What has never been used is, and each of the host's pages of it is stored to: it would be read first otherwise, by the main
   * function, and be given by the host twice, first as the page of zeros that all share, then with a look at what other processors have of that.
   * [measured: emulator/docs/booting.md, "What made boots faster"]
   */
  #clean(begin: number, end: number): void {
    const buffer = this.#linear.buffer;
    let used = usedRecords.get(buffer);
    if (used === undefined) usedRecords.set(buffer, (used = new Map()));
    const usedTo = used.get(this.#space.begin) ?? begin;
    // Another vCPU may have used it before.
    if (begin < usedTo) this.#linear.fill(0, begin, Math.min(end, usedTo));
    for (let at = Math.max(begin, usedTo); at < end; at += HOST_PAGE_SIZE) this.#linear[at] = 0;
    used.set(this.#space.begin, Math.max(end, usedTo));
  }

  /** The page that was decoded first of those without a region; of all when every one has one. */
  #victim(): number {
    for (const page of this.#bases.keys()) if ((this.#entries.get(page) ?? 0) === 0) return page;
    const [first] = this.#bases.keys();
    assert(first !== undefined, 'there is room for one page');
    return first;
  }

  /** Stores to the page are looked at more closely from now on. */
  #markCode(page: number): void {
    if (this.#code.markCode(page)) this.#codePageAdded(page);
  }

  #dropPage(page: number): void {
    const base = this.#bases.get(page);
    if (base === undefined) return;
    this.#counters.pagesDropped++;
    this.#touched.add(page);
    this.#codePageDropped(page);
    this.#bases.delete(page);
    this.#guestPages.delete(page);
    this.#entries.delete(page);
    this.#crossings.forget(page);
    this.#free.push(base);
    this.#code.unmarkCode(page);
    this.#linear.fill(0, base, base + this.#layout.size);
    this.#code.unlink(page);
  }
}
