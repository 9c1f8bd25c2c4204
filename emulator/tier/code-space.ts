import { assert } from '../check/assert.ts';
import {
  CODE_LINE,
  CODE_LINES,
  CODE_LINES_COUNT,
  GUEST,
  JUMP_CACHE,
  JUMP_CACHE_ENTRIES,
  JUMP_CACHE_ENTRY_SIZE,
  PAGE_SIZE,
  PERMISSION,
  Permission,
  STATE,
  STATE_SIZE,
  TLB,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TlbEntry,
} from '../layout/memory-map.ts';
import { FaultKind, StateOffset } from '../layout/state.ts';
import type { Mmu } from '../memory/mmu.ts';
import { Access } from '../memory/regime.ts';
import { TRANSLATION_DEVICE } from '../memory/translation.ts';

/** In place of a place: there is none. */
export const NOWHERE = -1;
/** A tag of the jump cache that no guest page has. */
const EMPTY_TAG = 1n;
const PAGE_MASK = PAGE_SIZE - 1;
/** Addresses are numbers where their high halves are below this. */
const SAFE_HIGH = 2 ** 21;

/** Why an instruction could not be fetched; the address as halves. */
export interface FetchFault {
  kind: FaultKind;
  low: number;
  high: number;
}

/**
 * Where instructions come from. A *place* is an index into `bytes`: with flat memory the guest address itself, behind an MMU the linear
 * address that it is translated to. What is decoded is kept by place, so it outlives changes of address space.
 */
export interface CodeSpace {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where decoded pages can be: places below this. */
  readonly end: number;
  /** Pages that follow each other do so for the guest: an instruction may run on from one to the next. */
  readonly contiguous: boolean;
  /** Whether what runs now runs in user mode, which programs without a kernel always do. */
  readonly userMode: boolean;
  /** Left by `fetch`. */
  readonly fault: FetchFault;
  /** The place of the instruction that is about to run, or NOWHERE. */
  fetch(low: number, high: number): number;
  /** The place of a guest address (as signed number) when that can be told without an effect that the guest could see; else NOWHERE. */
  placeOf(pc: number): number;
  /** The same of an address given by its halves (int32). */
  placeAt(low: number, high: number): number;
  /** Whether the page at a place may be executed, as far as is known here. */
  executable(page: number): boolean;
  /** Stores to the page are reported from now on; false when they were already. */
  markCode(page: number): boolean;
  unmarkCode(page: number): void;
  isMarked(page: number): boolean;
  /** Lets jumps to the page of a guest address find its decoded records. */
  link(low: number, high: number, records: number): void;
  /** Whether fetches at the page of a guest address go to these records: with flat memory no page is ever elsewhere. */
  isLinked(low: number, high: number, records: number): boolean;
  /** Takes away all that `link` did for the page at a place. */
  unlink(page: number): void;
  /** Throws when a link leads elsewhere than `recordsOf` says, by the page's place. */
  checkLinks(recordsOf: (page: number) => number | undefined): void;
}

/** What translating guest code needs to know of where it lies. */
export type CodeSource = Pick<CodeSpace, 'bytes' | 'contiguous' | 'placeOf'>;

/** Notes that there is code in the line of a place (layout/memory-map.ts). Lines are never unmarked: others may have the same number. */
export function markLine(linear: Uint8Array, place: number): void {
  linear[lineOf(place)] = 1;
}

/** Whether there may be code in [place, place + bytes). */
export function hasCodeLine(linear: Uint8Array, place: number, bytes: number): boolean {
  for (let at = place - (place % CODE_LINE); at < place + bytes; at += CODE_LINE) {
    if (linear[lineOf(at)] !== 0) return true;
  }
  return false;
}

function lineOf(place: number): number {
  return CODE_LINES + (Math.floor(place / CODE_LINE) & (CODE_LINES_COUNT - 1));
}

/** Guest addresses are offsets into guest memory; rights are the permission bytes. */
export class FlatCode implements CodeSpace {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly end: number;
  readonly contiguous = true;
  readonly userMode = true;
  readonly fault: FetchFault = { kind: FaultKind.fetch, low: 0, high: 0 };
  readonly #alignment: number;
  readonly #view: DataView<ArrayBuffer>;
  readonly #permission: Uint8Array<ArrayBuffer>;

  constructor(buffer: ArrayBuffer, guestSize: number, alignment: number) {
    this.bytes = new Uint8Array(buffer, GUEST, guestSize);
    this.end = guestSize;
    this.#alignment = alignment;
    this.#view = new DataView(buffer);
    this.#permission = new Uint8Array(buffer, PERMISSION, guestSize / PAGE_SIZE);
    for (let entry = 0; entry < JUMP_CACHE_ENTRIES; entry++) {
      this.#view.setBigUint64(JUMP_CACHE + entry * JUMP_CACHE_ENTRY_SIZE, EMPTY_TAG, true);
    }
  }

  fetch(low: number, high: number): number {
    const pc = low >>> 0;
    if (high === 0 && pc < this.end && pc % this.#alignment === 0 && this.executable(pc - (pc & PAGE_MASK))) return pc;
    this.fault.low = low;
    this.fault.high = high;
    return NOWHERE;
  }

  placeOf(pc: number): number {
    return pc >= 0 && pc < this.end ? pc : NOWHERE;
  }

  placeAt(low: number, high: number): number {
    return high === 0 && low >>> 0 < this.end ? low >>> 0 : NOWHERE;
  }

  executable(page: number): boolean {
    return page < this.end && (this.#permission[page / PAGE_SIZE]! & Permission.execute) !== 0;
  }

  markCode(page: number): boolean {
    if (this.isMarked(page)) return false;
    this.#permission[page / PAGE_SIZE]! |= Permission.code;
    return true;
  }

  unmarkCode(page: number): void {
    this.#permission[page / PAGE_SIZE]! &= ~Permission.code;
  }

  isMarked(page: number): boolean {
    return (this.#permission[page / PAGE_SIZE]! & Permission.code) !== 0;
  }

  link(low: number, _high: number, records: number): void {
    const page = (low & ~PAGE_MASK) >>> 0;
    const entry = jumpCacheEntry(page);
    this.#view.setUint32(entry, page, true);
    this.#view.setInt32(entry + 4, 0, true);
    this.#view.setInt32(entry + 8, records, true);
  }

  isLinked(): boolean {
    return true;
  }

  unlink(page: number): void {
    const entry = jumpCacheEntry(page);
    if (this.#view.getBigUint64(entry, true) === BigInt(page)) this.#view.setBigUint64(entry, EMPTY_TAG, true);
  }

  checkLinks(recordsOf: (page: number) => number | undefined): void {
    for (let entry = 0; entry < JUMP_CACHE_ENTRIES; entry++) {
      const at = JUMP_CACHE + entry * JUMP_CACHE_ENTRY_SIZE;
      const tag = this.#view.getBigUint64(at, true);
      if (tag === EMPTY_TAG) continue;
      assert(recordsOf(Number(tag)) === this.#view.getInt32(at + 8, true), 'the jump cache holds decoded pages');
    }
  }
}

/** Code behind address translation. Links are kept in the first-level TLB, and so end when translations do. */
export class TranslatedCode implements CodeSpace {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly end: number;
  readonly contiguous = false;
  readonly fault: FetchFault = { kind: FaultKind.fetch, low: 0, high: 0 };
  readonly #mmu: Mmu;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #state: DataView<ArrayBuffer>;

  constructor(buffer: ArrayBuffer, mmu: Mmu) {
    this.bytes = new Uint8Array(buffer);
    this.end = buffer.byteLength;
    this.#mmu = mmu;
    this.#words = new Int32Array(buffer);
    this.#state = new DataView(buffer, STATE, STATE_SIZE);
  }

  get userMode(): boolean {
    return this.#state.getInt32(StateOffset.fetchTlb, true) === TLB;
  }

  fetch(low: number, high: number): number {
    const linear = this.#mmu.translate(low, high, Access.execute, 2);
    if (linear < 0 || linear > TRANSLATION_DEVICE) return linear >>> 0;
    const { faultKind, faultLow, faultHigh } = this.#mmu;
    this.fault.kind = faultKind as FaultKind;
    this.fault.low = faultLow;
    this.fault.high = faultHigh;
    return NOWHERE;
  }

  placeOf(pc: number): number {
    return this.placeAt(pc | 0, Math.floor(pc / 2 ** 32));
  }

  placeAt(low: number, high: number): number {
    // No number says what is further away.
    if (high < -SAFE_HIGH || high >= SAFE_HIGH) return NOWHERE;
    const linear = this.#mmu.lookUpCode(low, high);
    return linear === 0 ? NOWHERE : linear >>> 0;
  }

  executable(): boolean {
    return true;
  }

  markCode(page: number): boolean {
    return this.#mmu.protectCode(page | 0);
  }

  unmarkCode(page: number): void {
    this.#mmu.releaseCode(page | 0);
  }

  isMarked(page: number): boolean {
    return (this.bytes[PERMISSION + (page - GUEST) / PAGE_SIZE]! & Permission.code) !== 0;
  }

  link(low: number, _high: number, records: number): void {
    this.#words[this.#entry(low) + TlbEntry.code / 4] = records;
  }

  isLinked(low: number, high: number, records: number): boolean {
    const words = this.#words;
    const entry = this.#entry(low);
    const tag = entry + TlbEntry.execute / 4;
    return words[tag] === (low & ~PAGE_MASK) && words[tag + 1] === high && words[entry + TlbEntry.code / 4] === records;
  }

  unlink(page: number): void {
    this.#mmu.l1.unlinkCode(page | 0);
  }

  checkLinks(recordsOf: (page: number) => number | undefined): void {
    const words = this.#words;
    const table = this.#state.getInt32(StateOffset.fetchTlb, true) / 4;
    for (let entry = table; entry < table + (TLB_ENTRIES * TLB_ENTRY_SIZE) / 4; entry += TLB_ENTRY_SIZE / 4) {
      const page = words[entry + TlbEntry.execute / 4]!;
      const records = words[entry + TlbEntry.code / 4]!;
      if ((page & PAGE_MASK) !== 0 || records === 0) continue;
      const place = (page + words[entry + TlbEntry.addend / 4]!) >>> 0;
      assert(recordsOf(place) === records, 'the TLB is linked to decoded pages');
    }
  }

  /** First word of the entry of a guest address in the table for fetches. */
  #entry(low: number): number {
    const index = (low >>> 12) & (TLB_ENTRIES - 1);
    return (this.#state.getInt32(StateOffset.fetchTlb, true) + index * TLB_ENTRY_SIZE) / 4;
  }
}

function jumpCacheEntry(page: number): number {
  return JUMP_CACHE + ((page / PAGE_SIZE) % JUMP_CACHE_ENTRIES) * JUMP_CACHE_ENTRY_SIZE;
}
