import type { Decoded, Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import type { CodeSpace } from '../code-space.ts';
import type { InterpreterModule } from './generate.ts';
import { CROSSING, ENTRY_BIT, FIRST_CASE, ILLEGAL, NOT_DECODED, RECORD_SIZE, RecordField } from './record.ts';

/** Instructions decoded at most in one go; most straight-line runs end at a jump long before. */
const LONGEST_RUN = 64;

/** What decoding needs of the pages that it is done for. */
export interface DecodedPlaces {
  /** Places where translated code begins that have not been decoded. */
  readonly awaited: Set<number>;
  /** One of these has just been decoded, and is no longer among them. */
  readonly arrived: (place: number) => void;
  /** Stores to a page are looked at more closely from now on. */
  readonly markCode: (page: number) => void;
}

/** Decodes straight-line runs of instructions to records: by templates, and what has none the general way. */
export class RunDecoder {
  /** Where the last run ended in its page. */
  end = 0;
  /** Instructions of the last run. */
  count = 0;
  readonly #isa: Isa;
  readonly #module: InterpreterModule;
  readonly #code: CodeSpace;
  readonly #places: DecodedPlaces;
  readonly #view: DataView<ArrayBuffer>;
  readonly #words: Int32Array<ArrayBuffer>;
  /** Records that sequences may begin with, as far as the run is decoded, and where in the trie those are. */
  readonly #records: Int32Array<ArrayBuffer>;
  readonly #nodes: Int32Array<ArrayBuffer>;
  #open = 0;

  constructor(isa: Isa, module: InterpreterModule, buffer: ArrayBuffer, code: CodeSpace, places: DecodedPlaces) {
    this.#isa = isa;
    this.#module = module;
    this.#code = code;
    this.#places = places;
    this.#view = new DataView(buffer);
    this.#words = new Int32Array(buffer);
    const { longest } = module.table.trie;
    this.#records = new Int32Array(longest);
    this.#nodes = new Int32Array(longest);
  }

  /**
   * Decodes from an offset in a page, with its records at `base`, to the end of the run: `end` and `count` tell of it. False when not even the first
   * instruction can be fetched.
   */
  decode(page: number, base: number, start: number): boolean {
    const { shift } = this.#module.layout;
    const { awaited } = this.#places;
    const { table } = this.#module;
    let offset = start;
    let count = 0;
    this.#open = 0;
    while (count < LONGEST_RUN && offset < PAGE_SIZE) {
      const record = base + (offset << shift);
      const known = this.#opAt(record);
      if (count > 0 && known !== NOT_DECODED) {
        this.#runOnInto(base, offset);
        break;
      }
      const op = this.#decodeOne(page, offset, record);
      if (op < FIRST_CASE) {
        if (op === NOT_DECODED && count === 0) return false;
        if (op === ILLEGAL) count++;
        // Of an instruction that crosses some bytes are here.
        if (op !== NOT_DECODED) offset += op === ILLEGAL ? this.#isa.maximumLength : this.#isa.alignment;
        break;
      }
      if (awaited.size > 0 && awaited.delete(page + offset)) this.#places.arrived(page + offset);
      this.#follow(record, op);
      offset += this.#stepOf(record);
      count++;
      if (table.isTerminator(op)) break;
    }
    this.end = offset;
    this.count = count;
    return true;
  }

  #opAt(record: number): number {
    return this.#words[record >> 2]! & 0xffff;
  }

  /** Decodes one instruction: its op, or ILLEGAL, or CROSSING; NOT_DECODED when it cannot be fetched, which is in the code space then. */
  #decodeOne(page: number, offset: number, record: number): number {
    const { bytes, contiguous, fault } = this.#code;
    const at = page + offset;
    const following = page + PAGE_SIZE;
    const crosses = offset + this.#isa.maximumLength > PAGE_SIZE;
    const word = crosses ? undefined : this.#isa.wordAt?.(bytes, at);
    const known = word === undefined ? 0 : this.#module.templates.write(word, offset, this.#words, record >> 2);
    if (known !== 0) return known;
    const cut = crosses && (!contiguous || !this.#code.executable(following));
    const seen = cut ? bytes.subarray(0, following) : bytes;
    const decoded = this.#module.decodeExecuted(seen, at);
    // Cut off, as far as can be told: the rest of the bytes cannot be fetched, or lies elsewhere.
    if (decoded === undefined && cut && !isShort(this.#isa, bytes[at]!)) {
      if (!contiguous) {
        this.#words.fill(0, record / 4, (record + RECORD_SIZE) / 4);
        this.#view.setUint16(record, CROSSING, true);
        return CROSSING;
      }
      fault.low = following | 0;
      fault.high = 0;
      return NOT_DECODED;
    }
    if (decoded === undefined) {
      this.#view.setUint16(record, ILLEGAL, true);
      return ILLEGAL;
    }
    if (offset + decoded.length > PAGE_SIZE) this.#places.markCode(following);
    return this.write(record, decoded, offset, this.#isa.wordAt?.(seen, at));
  }

  /** Bytes from the instruction of a record to the next one. */
  #stepOf(record: number): number {
    return this.#words[record >> 2]! >>> (8 * RecordField.step + this.#module.layout.shift);
  }

  /** The run has come to instructions that are decoded already: lets its last ones run on into them. */
  #runOnInto(base: number, start: number): void {
    const { layout, table } = this.#module;
    for (let offset = start; this.#open > 0 && offset < PAGE_SIZE;) {
      const record = base + (offset << layout.shift);
      const known = this.#opAt(record);
      if (known < FIRST_CASE || known >= ENTRY_BIT) break;
      const op = table.singleOp(known);
      this.#extend(op);
      if (table.isTerminator(op)) break;
      offset += this.#stepOf(record);
    }
  }

  /** A record has just been made, with this op: lets those before it run on into it where that makes a sequence. */
  #follow(record: number, op: number): void {
    this.#extend(op);
    const node = this.#module.table.trie.first(op);
    if (node === 0) return;
    this.#records[this.#open] = record;
    this.#nodes[this.#open++] = node;
  }

  /** Looks which of the open sequences go on with an instruction of this op. The longest that is found for a record is its op. */
  #extend(op: number): void {
    const { trie } = this.#module.table;
    let open = 0;
    for (let at = 0; at < this.#open; at++) {
      const node = trie.next(this.#nodes[at]!, op);
      if (node === 0) continue;
      const record = this.#records[at]!;
      const sequence = trie.opOf(node);
      if (sequence !== 0) this.#view.setUint16(record, sequence | (this.#opAt(record) & ENTRY_BIT), true);
      this.#records[open] = record;
      this.#nodes[open++] = node;
    }
    this.#open = open;
  }

  /** Writes the record of an instruction, which may also be given as its word: its op. */
  write(record: number, decoded: Decoded, offset: number, word: number | undefined): number {
    const { encoder, templates } = this.#module;
    const at = record / 4;
    const op = word === undefined ? 0 : templates.write(word, offset, this.#words, at);
    if (op !== 0) return op;
    const { which, words } = encoder.encode(decoded, offset);
    this.#words[at] = words[0]!;
    this.#words[at + 1] = words[1]!;
    this.#words[at + 2] = words[2]!;
    this.#words[at + 3] = words[3]!;
    return which.op;
  }
}

/** Whether an encoding that begins with this byte has 16 bits, of RISC-V: its two lowest are not both set. What follows is not part of it. */
export function isShort({ alignment }: Isa, first: number): boolean {
  return alignment === 2 && (first & 3) !== 3;
}
