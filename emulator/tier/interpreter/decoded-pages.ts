import { assert } from '../../check/assert.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
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
  RECORDS,
  RECORDS_SIZE,
} from '../../layout/memory-map.ts';
import type { Case } from './case.ts';
import { Frame } from './frame.ts';
import type { InterpreterModule } from './generate.ts';
import type { InterpreterCounters } from './interpreter.ts';
import {
  ENTRY_BIT,
  FIRST_CASE,
  ILLEGAL,
  NOT_DECODED,
  PAGE_END,
  RECORD_SIZE,
  RecordField,
  type PageLayout,
} from './record.ts';

/** Instructions decoded at most in one go; most straight-line runs end at a jump long before. */
const LONGEST_RUN = 64;
/** A tag that no guest page has. */
const EMPTY_TAG = 1n;
const PAGE_MASK = PAGE_SIZE - 1;

/**
 * The guest pages whose instructions have been decoded to records, and the decoding. Page numbers and addresses are those of a flat guest
 * memory of up to 4 GiB, so they are plain numbers.
 */
export class DecodedPages {
  readonly #isa: Isa;
  readonly #module: InterpreterModule;
  readonly #layout: PageLayout;
  readonly #counters: InterpreterCounters;
  readonly #view: DataView<ArrayBuffer>;
  readonly #linear: Uint8Array<ArrayBuffer>;
  readonly #guest: Uint8Array<ArrayBuffer>;
  readonly #permission: Uint8Array<ArrayBuffer>;
  readonly #guestSize: number;
  /** Linear-memory address of the records of each decoded page, by page address. */
  readonly #bases = new Map<number, number>();
  readonly #free: number[] = [];
  readonly #codePageAdded: (page: number) => void;
  readonly #codePageDropped: (page: number) => void;
  #fresh = RECORDS;

  constructor(
    isa: Isa,
    module: InterpreterModule,
    buffer: ArrayBuffer,
    guestSize: number,
    counters: InterpreterCounters,
    codePageAdded: (page: number) => void,
    codePageDropped: (page: number) => void,
  ) {
    this.#codePageAdded = codePageAdded;
    this.#codePageDropped = codePageDropped;
    this.#isa = isa;
    this.#module = module;
    this.#layout = module.layout;
    this.#counters = counters;
    this.#view = new DataView(buffer);
    this.#linear = new Uint8Array(buffer);
    this.#guest = new Uint8Array(buffer, GUEST, guestSize);
    this.#permission = new Uint8Array(buffer, PERMISSION, guestSize / PAGE_SIZE);
    this.#guestSize = guestSize;
    this.#linear.fill(0, CODE_LINES, CODE_LINES + CODE_LINES_COUNT);
    for (let entry = 0; entry < JUMP_CACHE_ENTRIES; entry++) {
      this.#view.setBigUint64(JUMP_CACHE + entry * JUMP_CACHE_ENTRY_SIZE, EMPTY_TAG, true);
    }
  }

  /**
   * Points the frame at the record of the instruction at an address given by its halves, decoding from there when it has not been.
   * The address that cannot be fetched is returned when one cannot.
   */
  prepare(low: number, high: number): bigint | undefined {
    if (high !== 0 || low >= this.#guestSize || low % this.#isa.alignment !== 0)
      return (BigInt(high) << 32n) | BigInt(low);
    const offset = low & PAGE_MASK;
    const page = low - offset;
    let base = this.#bases.get(page);
    if (base === undefined) {
      if (!this.#executable(page)) return BigInt(low);
      base = this.#add(page);
    }
    const { shift } = this.#layout;
    const record = base + (offset << shift);
    if (this.#view.getUint16(record + RecordField.op, true) === NOT_DECODED) {
      const fault = this.#decodeRun(page, base, offset);
      if (fault !== undefined) return BigInt(fault);
    }
    this.#view.setInt32(Frame.record, record, true);
    this.#view.setBigInt64(Frame.pcDelta, BigInt(page - (base >>> shift)), true);
    this.#cacheJump(page, base);
    return undefined;
  }

  /** Whether the instruction at a guest address has been decoded, which is when it was first about to run. */
  isDecoded(gva: number): boolean {
    const op = this.#opAt(gva);
    return op !== undefined && op >= FIRST_CASE;
  }

  /** Whether translated code begins at a guest address, as `markEntry` said. */
  isEntry(gva: number): boolean {
    const op = this.#opAt(gva);
    return op !== undefined && (op & ENTRY_BIT) !== 0;
  }

  /** Makes the main function come out before the decoded instruction at a guest address, or no longer. */
  markEntry(gva: number, marked: boolean): void {
    const op = this.#opAt(gva);
    if (op === undefined || op < FIRST_CASE) return;
    const offset = gva & PAGE_MASK;
    const record = this.#bases.get(gva - offset)! + (offset << this.#layout.shift);
    this.#view.setUint16(record + RecordField.op, marked ? op | ENTRY_BIT : op & ~ENTRY_BIT, true);
  }

  #opAt(gva: number): number | undefined {
    const offset = gva & PAGE_MASK;
    const base = this.#bases.get(gva - offset);
    if (base === undefined || gva % this.#isa.alignment !== 0) return undefined;
    return this.#view.getUint16(base + (offset << this.#layout.shift) + RecordField.op, true);
  }

  /** The bytes at an address, as many as the longest instruction has there, as a little-endian number: an illegal instruction's value. */
  bitsAt(gva: number): bigint {
    const { maximumLength, alignment } = this.#isa;
    // A 16-bit RISC-V encoding is one whose two lowest bits are not both set; its neighbour is not part of the value.
    const length = alignment === 2 && (this.#guest[gva]! & 3) !== 3 ? 2 : Math.min(maximumLength, 4);
    let bits = 0n;
    for (let byte = length - 1; byte >= 0; byte--) bits = (bits << 8n) | BigInt(this.#guest[gva + byte] ?? 0);
    return bits;
  }

  /** Forgets the instructions that may have a byte in [gva, gva + bytes); their pages stay. */
  invalidate(gva: number, bytes: number): void {
    const { alignment, maximumLength } = this.#isa;
    const { shift } = this.#layout;
    // Those still further before cannot reach the bytes, but may run on, as the first of a pair, into one that does.
    const first = Math.max(0, gva - 2 * maximumLength + alignment);
    for (let at = first - (first % alignment); at < gva + bytes; at += alignment) {
      const offset = at & PAGE_MASK;
      const base = this.#bases.get(at - offset);
      if (base === undefined) continue;
      const record = base + (offset << shift);
      const op = this.#view.getUint16(record, true);
      if (at + maximumLength > gva) this.#view.setUint16(record, NOT_DECODED, true);
      else if (op >= FIRST_CASE)
        this.#view.setUint16(record, this.#module.caseOf(op & ~ENTRY_BIT).op | (op & ENTRY_BIT), true);
    }
  }

  /** Drops the decoded pages that touch [gva, gva + length). */
  drop(gva: number, length: number): void {
    if (length <= 0) return;
    const first = gva - (gva % PAGE_SIZE);
    if (length > this.#bases.size * PAGE_SIZE) {
      for (const page of this.#bases.keys()) if (page >= first && page < gva + length) this.#dropPage(page);
    } else {
      for (let page = first; page < gva + length; page += PAGE_SIZE) this.#dropPage(page);
    }
    // An instruction that runs on into the first page.
    if (first > 0) this.invalidate(first, 1);
  }

  dropAll(): void {
    for (const page of this.#bases.keys()) this.#dropPage(page);
  }

  checkInvariants(): void {
    const used = new Set<number>();
    for (const [page, base] of this.#bases) {
      assert(page % PAGE_SIZE === 0 && page < this.#guestSize, 'decoded pages are guest pages');
      assert(
        base >= RECORDS && base + this.#layout.size <= RECORDS + RECORDS_SIZE,
        'records lie in their part of memory',
      );
      assert(!used.has(base), 'no two pages share records');
      used.add(base);
      assert((this.#permission[page / PAGE_SIZE]! & Permission.code) !== 0, 'a decoded page is marked as code');
    }
    for (const base of this.#free) assert(!used.has(base), 'free records are not in use');
    const placed = (this.#fresh - RECORDS) / this.#layout.size;
    assert(used.size + this.#free.length === placed, 'records are in use or free');
    for (let entry = 0; entry < JUMP_CACHE_ENTRIES; entry++) {
      const at = JUMP_CACHE + entry * JUMP_CACHE_ENTRY_SIZE;
      const tag = this.#view.getBigUint64(at, true);
      if (tag === EMPTY_TAG) continue;
      assert(this.#bases.get(Number(tag)) === this.#view.getInt32(at + 8, true), 'the jump cache holds decoded pages');
    }
  }

  #add(page: number): number {
    const { size, records } = this.#layout;
    let base = this.#free.pop();
    if (base === undefined) {
      if (this.#fresh + size > RECORDS + RECORDS_SIZE) {
        this.dropAll();
        base = this.#free.pop()!;
      } else {
        base = this.#fresh;
        this.#fresh += size;
        // Another vCPU may have used the memory before.
        this.#linear.fill(0, base, base + size);
      }
    }
    this.#bases.set(page, base);
    this.#markCode(page);
    for (let at = base + records * RECORD_SIZE; at < base + size; at += RECORD_SIZE)
      this.#view.setUint16(at, PAGE_END, true);
    return base;
  }

  /** Lines are never unmarked: others may have the same number. */
  #markLine(gva: number): void {
    this.#linear[CODE_LINES + (Math.floor(gva / CODE_LINE) & (CODE_LINES_COUNT - 1))] = 1;
  }

  /** Stores to the page are looked at more closely from now on. */
  #markCode(page: number): void {
    if ((this.#permission[page / PAGE_SIZE]! & Permission.code) !== 0) return;
    this.#permission[page / PAGE_SIZE]! |= Permission.code;
    this.#codePageAdded(page);
  }

  #dropPage(page: number): void {
    const base = this.#bases.get(page);
    if (base === undefined) return;
    this.#counters.pagesDropped++;
    this.#codePageDropped(page);
    this.#bases.delete(page);
    this.#free.push(base);
    this.#permission[page / PAGE_SIZE]! &= ~Permission.code;
    this.#linear.fill(0, base, base + this.#layout.size);
    const entry = jumpCacheEntry(page);
    if (this.#view.getBigUint64(entry, true) === BigInt(page)) this.#view.setBigUint64(entry, EMPTY_TAG, true);
  }

  #cacheJump(page: number, base: number): void {
    const entry = jumpCacheEntry(page);
    this.#view.setBigUint64(entry, BigInt(page), true);
    this.#view.setInt32(entry + 8, base, true);
  }

  /** Decodes from an offset to the end of the straight-line run. The address at fault when not even the first instruction can be fetched. */
  #decodeRun(page: number, base: number, start: number): number | undefined {
    const { shift } = this.#layout;
    const following = page + PAGE_SIZE;
    let previous = 0;
    let offset = start;
    for (let count = 0; count < LONGEST_RUN && offset < PAGE_SIZE; count++) {
      const record = base + (offset << shift);
      const known = this.#view.getUint16(record, true);
      if (count > 0 && known !== NOT_DECODED) {
        if (known >= FIRST_CASE && known < ENTRY_BIT) this.#pair(previous, known);
        return undefined;
      }
      const crosses = offset + this.#isa.maximumLength > PAGE_SIZE;
      const available = crosses && !this.#executable(following) ? this.#guest.subarray(0, following) : this.#guest;
      const decoded = this.#isa.decode(available, page + offset);
      // Cut off, as far as can be told: the rest of the bytes cannot be fetched.
      if (decoded === undefined && available !== this.#guest) return count === 0 ? following : undefined;
      if (decoded !== undefined && offset + decoded.length > PAGE_SIZE) {
        this.#markCode(following);
      }
      this.#counters.decoded++;
      this.#markLine(page + offset);
      this.#markLine(page + offset + (decoded?.length ?? this.#isa.maximumLength) - 1);
      if (decoded === undefined) {
        this.#view.setUint16(record, ILLEGAL, true);
        return undefined;
      }
      const which = this.#write(record, decoded, offset);
      if (count > 0) this.#pair(previous, which.op);
      if (which.terminator) return undefined;
      previous = record;
      offset += decoded.length;
    }
    return undefined;
  }

  /** Lets the instruction of a record run on into the next one, whose op is given, if the two are a pair. */
  #pair(record: number, nextOp: number): void {
    const { caseOf, pairOp } = this.#module;
    const first = this.#view.getUint16(record, true);
    const op = pairOp(caseOf(first & ~ENTRY_BIT), caseOf(nextOp));
    if (op !== undefined) this.#view.setUint16(record, op | (first & ENTRY_BIT), true);
  }

  #executable(page: number): boolean {
    return page < this.#guestSize && (this.#permission[page / PAGE_SIZE]! & Permission.execute) !== 0;
  }

  #write(record: number, decoded: Decoded, offset: number): Case {
    const { length } = decoded;
    const { row, operands } = this.#isa.canonical(decoded);
    const rowCases = this.#module.cases.get(row);
    assert(rowCases !== undefined, `the interpreter has cases for ${row.name}`);
    const displacement = rowCases.displacement === undefined ? undefined : operands[rowCases.displacement]!;
    const near =
      displacement !== undefined &&
      offset + displacement >= 0 &&
      offset + displacement < PAGE_SIZE &&
      displacement % this.#isa.alignment === 0;
    const which = rowCases.find(operands, length, near);
    const view = this.#view;
    view.setUint16(record + RecordField.op, which.op, true);
    view.setUint16(record + RecordField.step, length << this.#layout.shift, true);
    for (const operand of which.operands) {
      const value = operands[operand.name]!;
      const at = record + operand.offset;
      switch (operand.format) {
        case 'register': {
          const file = row.operands[operand.name]!.file!;
          view.setUint16(at, file.offset + file.stride * value, true);
          break;
        }
        case 'i64':
          view.setBigInt64(at, BigInt(value), true);
          break;
        case 'recordDelta':
          view.setInt32(at, value << this.#layout.shift, true);
          break;
        case 'i32':
          view.setInt32(at, value, true);
          break;
        case 'signed64':
        case 'unsigned64':
          view.setInt32(at, value, true);
          view.setInt32(at + 4, operand.format === 'signed64' ? value >> 31 : 0, true);
          break;
      }
    }
    return which;
  }
}

function jumpCacheEntry(page: number): number {
  return JUMP_CACHE + ((page / PAGE_SIZE) % JUMP_CACHE_ENTRIES) * JUMP_CACHE_ENTRY_SIZE;
}
