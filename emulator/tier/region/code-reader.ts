import { assert } from '../../check/assert.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { type CodeSource, NOWHERE } from '../code-space.ts';
import type { AddressMarks } from './address-marks.ts';
import { MOST_PAGES } from './code-page.ts';
import { factsOf, type InstructionFacts } from './instruction-facts.ts';
import { KnownCode, type KnownPage } from './known-code.ts';
import type { CodePart } from './straight-run.ts';

/** Where guest code is read, and what may be translated of it. */
export interface ReadableCode {
  readonly code: CodeSource;
  /** As the ISA's `decodeExecuted`, which is called unless given. */
  readonly decodeExecuted?: Isa['decodeExecuted'];
  /** A number that only encodings of the same row as executed and the same length have; 0 where none is known. Always, unless given. */
  readonly classAt?: (bytes: Uint8Array, place: number) => number;
  /** Linear address of the decoded records of the page around a place. */
  readonly recordsOf: (place: number) => number;
  /** Whether the instruction at a place has been executed; if so, until its code changes. */
  readonly isExecuted: (place: number) => boolean;
  /** Whether one that has not may be translated all the same; none unless given. */
  readonly isKnown?: (place: number) => boolean;
}

/** Reads guest code, and remembers what it was as long as nothing says that it has changed. */
export class CodeReader {
  readonly isa: Isa;
  readonly options: ReadableCode;
  readonly known: KnownCode;
  readonly #decodeExecuted: Isa['decodeExecuted'];
  readonly #classAt: (bytes: Uint8Array, place: number) => number;
  /** Of instructions that are no terminators, by class. */
  readonly #facts = new Map<number, InstructionFacts>();

  constructor(isa: Isa, options: ReadableCode) {
    this.isa = isa;
    this.options = options;
    this.known = new KnownCode(isa);
    this.#decodeExecuted = options.decodeExecuted ?? isa.decodeExecuted;
    this.#classAt = options.classAt ?? (() => 0);
  }

  /** The instruction at a guest address as executed, whether it may be translated or not. */
  decode(pc: number): Decoded | undefined {
    const place = this.options.code.placeOf(pc);
    if (place === NOWHERE) return undefined;
    return this.runsOn(place % PAGE_SIZE) ? this.decodeAtEnd(pc, place) : this.decodeAt(place);
  }

  /** What discovery has to know of the instruction at a place, which does not run on into another page. */
  factsAt(place: number): InstructionFacts | undefined {
    const which = this.#classAt(this.options.code.bytes, place);
    const known = which === 0 ? undefined : this.#facts.get(which);
    if (known !== undefined) return known;
    const decoded = this.decodeAt(place);
    if (decoded === undefined) return undefined;
    const facts = factsOf(decoded);
    if (which !== 0 && facts.terminator === undefined) this.#facts.set(which, facts);
    return facts;
  }

  /** Whether an instruction at an offset in its page may run on into a page that may lie anywhere. */
  runsOn(offset: number): boolean {
    return !this.options.code.contiguous && offset + this.isa.maximumLength > PAGE_SIZE;
  }

  decodeAt(place: number): Decoded | undefined {
    return this.#decodeExecuted(this.options.code.bytes, place);
  }

  /** The instruction near the end of a page, whose last bytes may be anywhere. */
  decodeAtEnd(pc: number, place: number): Decoded | undefined {
    const { code, recordsOf } = this.options;
    const { bytes } = code;
    const inFirst = PAGE_SIZE - (place % PAGE_SIZE);
    const alone = this.isa.decodeExecuted(bytes.subarray(place, place + inFirst), 0);
    if (alone !== undefined) return alone;
    const second = code.placeOf(pc + inFirst);
    // A page without records is not watched: neither stores to it nor another page in its place would be noticed.
    if (second === NOWHERE || recordsOf(second) === 0) return undefined;
    const { maximumLength } = this.isa;
    const whole = Uint8Array.from({ length: maximumLength }, (_, at) =>
      at < inFirst ? bytes[place + at]! : bytes[second + at - inFirst]!,
    );
    return this.isa.decodeExecuted(whole, 0);
  }
}

/** The guest code that one discovery goes through. Where pages are is looked up once: no guest code runs meanwhile. */
export class ReadablePages {
  readonly #reader: CodeReader;
  readonly #elsewhere: AddressMarks | undefined;
  readonly #pages = new Map<number, ReadablePage>();
  /** The page looked at last. */
  #last: ReadablePage | undefined;
  /** More pages that instructions may be in. */
  #admissible: number;

  /** `elsewhere`: where other regions begin. */
  constructor(reader: CodeReader, elsewhere: AddressMarks | undefined) {
    this.#reader = reader;
    this.#elsewhere = elsewhere;
    this.#admissible = reader.options.code.contiguous ? Infinity : MOST_PAGES;
  }

  partAt(pc: number): CodePart {
    return this.#pageAt(pc);
  }

  /** What is known of the page around an address: the same as long as that leads to the same code. Undefined where it leads nowhere. */
  knownAt(pc: number): KnownPage | undefined {
    return this.#pageAt(pc).known;
  }

  #pageAt(pc: number): ReadablePage {
    const last = this.#last;
    if (last !== undefined && pc >= last.pc && pc < last.pc + PAGE_SIZE) return last;
    const at = Math.floor(pc / PAGE_SIZE) * PAGE_SIZE;
    let page = this.#pages.get(at);
    if (page === undefined) {
      page = new ReadablePage(this.#reader, at, this.#elsewhere?.inPage(at), () => this.#admissible-- > 0);
      this.#pages.set(at, page);
    }
    this.#last = page;
    return page;
  }
}

class ReadablePage implements CodePart {
  readonly pc: number;
  readonly size = PAGE_SIZE;
  readonly #reader: CodeReader;
  readonly #place: number;
  readonly known: KnownPage | undefined;
  readonly #elsewhere: Uint8Array | undefined;
  readonly #admit: () => boolean;
  readonly #misaligned: number;
  /** Undefined before there has been an instruction to translate. */
  #admitted: boolean | undefined = undefined;

  constructor(reader: CodeReader, pc: number, elsewhere: Uint8Array | undefined, admit: () => boolean) {
    const place = reader.options.code.placeOf(pc);
    this.pc = pc;
    this.#reader = reader;
    this.#place = place;
    this.known = place === NOWHERE ? undefined : reader.known.pageAt(place);
    this.#elsewhere = elsewhere;
    this.#admit = admit;
    this.#misaligned = reader.isa.alignment - 1;
  }

  instruction(offset: number): InstructionFacts | undefined {
    const { known } = this;
    if (known === undefined || (offset & this.#misaligned) !== 0) return undefined;
    const facts = known.at(offset);
    if (facts === undefined) return this.#learn(known, offset);
    return this.#isAdmitted() ? facts : undefined;
  }

  decoded(offset: number): Decoded {
    const place = this.#place + offset;
    const runsOn = this.#reader.runsOn(offset);
    const decoded = runsOn ? this.#reader.decodeAtEnd(this.pc + offset, place) : this.#reader.decodeAt(place);
    assert(decoded !== undefined, 'what facts are known of is an instruction');
    return decoded;
  }

  isElsewhere(offset: number): boolean {
    return this.#elsewhere !== undefined && this.#elsewhere[offset] !== 0;
  }

  #isAdmitted(): boolean {
    return (this.#admitted ??= this.#admit());
  }

  #learn(known: KnownPage, offset: number): InstructionFacts | undefined {
    const { options } = this.#reader;
    const place = this.#place + offset;
    const isExecuted = options.isExecuted(place);
    if ((!isExecuted && options.isKnown?.(place) !== true) || !this.#isAdmitted()) return undefined;
    const runsOn = this.#reader.runsOn(offset);
    const facts = runsOn ? this.#factsAtEnd(offset) : this.#reader.factsAt(place);
    if (facts !== undefined && isExecuted && !runsOn) known.add(offset, facts);
    return facts;
  }

  #factsAtEnd(offset: number): InstructionFacts | undefined {
    const decoded = this.#reader.decodeAtEnd(this.pc + offset, this.#place + offset);
    return decoded && factsOf(decoded);
  }
}
