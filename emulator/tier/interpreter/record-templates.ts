import { assert } from '../../check/assert.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import type { RecordEncoder } from './record-encoder.ts';
import { slicesOf, SLICE_LENGTH, type Sums } from './template-slices.ts';
import { WordForms } from './word-forms.ts';

/** 32-bit numbers of a template. In the class's own part: */
const MASK = 0;
const MATCH = 1;
/** Where the next class begins that the same slot leads to; 0: none. */
const NEXT = 2;
/** Where the record's part begins; 0: there is none, records are made the general way. */
const FAR = 3;
/** The same where the jump stays in the page. */
const NEAR = 4;
/** Where the part for the jump's displacement begins; 0: no jump, or none that can stay in a page. */
const DISPLACEMENT = 5;
/** Where the part for the operands as executed begins; 0: there is none. */
const OPERANDS = 6;
/** The index of the row as executed. */
const ROW = 7;
/** The word's bytes. */
const LENGTH = 8;
/** How many exceptions follow: mask and match of each. */
const EXCEPTIONS = 9;
const HEAD = 10;
/** In every part: where its slices begin and end, and what its sums are when all free bits are 0. */
const SLICES = 0;
const SLICES_END = 1;
const SUMS = 2;
const MOST_OPERANDS = 8;
/** Classes are found by the bits that all of their group fix: these lead to one of so many slots. RISC-V has 768 classes. */
const LOG_SLOTS = 10;
/** 2^32 over the golden ratio: spreads keys that differ in few bits. */
const MULTIPLIER = 0x9e3779b1;
/** Numbers in all: words of a guest that has more kinds of them than any program are encoded the general way. RISC-V takes a quarter. */
const MOST_NUMBERS = 1 << 17;

/**
 * How the words of each class (isa/word-class.ts) become records: copies of some of the word's bits, multiplied and added up. Made when the first word of a
 * class is seen, by encoding words of it the general way and looking at what each bit adds. [measured: 2 µs for an instruction unseen before, in JavaScript
 * that has not run for long, the general way]
 */
export class RecordTemplates {
  readonly #isa: Isa;
  readonly #encoder: RecordEncoder;
  readonly #groups: number;
  #forms: WordForms | undefined;
  /** By row: the names of its operands, once one was asked for. */
  readonly #names: (readonly string[] | undefined)[] = [];
  readonly #values = new Int32Array(MOST_OPERANDS);
  /** First for each group the bits that classes are found by, 0 while none is known; then by slot where the first class begins, 0: none; then the classes. */
  #numbers: Int32Array<ArrayBuffer>;
  #used: number;

  /** `kept`: the numbers of templates that were made before, from the same sources. */
  constructor(isa: Isa, encoder: RecordEncoder, kept?: Int32Array<ArrayBuffer>) {
    this.#isa = isa;
    this.#encoder = encoder;
    this.#groups = isa.words?.groups ?? 0;
    const begin = this.#groups + (1 << LOG_SLOTS);
    this.#numbers = kept ?? new Int32Array(begin);
    assert(this.#numbers.length >= begin, 'what was kept are templates');
    this.#used = this.#numbers.length;
  }

  /** All of them, for other processes. */
  get numbers(): Int32Array<ArrayBuffer> {
    return this.#numbers.slice(0, this.#used);
  }

  /**
   * Writes the record of a word at an offset in its page (PAGE_SIZE: no jump of it is near) to `target` from index `at`. Its op; 0, and nothing is written, when there is no template: it is no
   * instruction, or one to be encoded the general way.
   */
  write(word: number, offset: number, target: Int32Array, at: number): number {
    const which = this.#find(word);
    const from = which === 0 ? this.#learn(word) : which;
    if (from === 0) return 0;
    const numbers = this.#numbers;
    let part = numbers[from + FAR]!;
    const displacement = numbers[from + DISPLACEMENT]!;
    if (displacement !== 0 && offset < PAGE_SIZE) {
      const to = offset + this.#displacement(word, displacement);
      if (to >= 0 && to < PAGE_SIZE) part = numbers[from + NEAR]!;
    }
    if (part === 0) return 0;
    target[at] = numbers[part + SUMS]!;
    target[at + 1] = numbers[part + SUMS + 1]!;
    target[at + 2] = numbers[part + SUMS + 2]!;
    target[at + 3] = numbers[part + SUMS + 3]!;
    this.#addSlices(word, part, target, at);
    return target[at]! & 0xffff;
  }

  /** A number that only words of the same row as executed and the same length have; 0 when that is not known here. */
  classOf(word: number): number {
    const which = this.#find(word);
    const from = which === 0 ? this.#learn(word) : which;
    return from === 0 || this.#numbers[from + OPERANDS] === 0 ? 0 : from;
  }

  /** The instruction a word encodes, as executed; undefined when that is not known here. */
  executed(word: number): Decoded | undefined {
    const which = this.#find(word);
    const from = which === 0 ? this.#learn(word) : which;
    const numbers = this.#numbers;
    const part = from === 0 ? 0 : numbers[from + OPERANDS]!;
    if (part === 0) return undefined;
    const index = numbers[from + ROW]!;
    const row = this.#isa.rows[index]!;
    const names = (this.#names[index] ??= Object.keys(row.operands));
    const values = this.#values;
    for (let i = 0; i < names.length; i++) values[i] = numbers[part + SUMS + i]!;
    this.#addSlices(word, part, values, 0);
    const operands: Record<string, number> = {};
    for (let i = 0; i < names.length; i++) operands[names[i]!] = values[i]!;
    return { row, length: numbers[from + LENGTH]!, operands };
  }

  /** Adds to the sums of a part, which are in `target` from index `at`, what the word's bits add. */
  #addSlices(word: number, part: number, target: Int32Array, at: number): void {
    const numbers = this.#numbers;
    const end = numbers[part + SLICES_END]!;
    for (let slice = numbers[part + SLICES]!; slice < end; slice += SLICE_LENGTH) {
      const places = numbers[slice]!;
      // A shift's count is its five lowest bits.
      const value = ((word << (places >> 5)) >> places) & numbers[slice + 1]!;
      target[at + (places >> 10)]! += Math.imul(value, numbers[slice + 2]!);
    }
  }

  /** Makes the templates of all classes there are. */
  complete(): void {
    for (const word of this.#wordForms().classes.representatives()) if (this.#find(word) === 0) this.#learn(word);
  }

  #wordForms(): WordForms {
    return (this.#forms ??= new WordForms(this.#isa, this.#encoder));
  }

  /** Where the class of a word begins, 0 when it is not known. */
  #find(word: number): number {
    const numbers = this.#numbers;
    const key = numbers[this.#isa.words!.groupOf(word)]!;
    let at = numbers[this.#slotOf(word, key)]!;
    while (at !== 0) {
      if (((word ^ numbers[at + MATCH]!) & numbers[at + MASK]!) === 0 && !this.#isException(word, at)) return at;
      at = numbers[at + NEXT]!;
    }
    return 0;
  }

  /** Where it stands which class a word's key leads to. */
  #slotOf(word: number, key: number): number {
    return this.#groups + (Math.imul(word & key, MULTIPLIER) >>> (32 - LOG_SLOTS));
  }

  #isException(word: number, at: number): boolean {
    const numbers = this.#numbers;
    const end = at + HEAD + 2 * numbers[at + EXCEPTIONS]!;
    for (let i = at + HEAD; i < end; i += 2) if (((word ^ numbers[i + 1]!) & numbers[i]!) === 0) return true;
    return false;
  }

  #displacement(word: number, part: number): number {
    this.#values[0] = this.#numbers[part + SUMS]!;
    this.#addSlices(word, part, this.#values, 0);
    return this.#values[0];
  }

  /** Makes the template of a word's class: where that begins, 0 when the word is no instruction. */
  #learn(word: number): number {
    const wordForms = this.#wordForms();
    const { classes } = wordForms;
    const which = this.#used > MOST_NUMBERS ? undefined : classes.classOf(word);
    if (which === undefined) return 0;
    // Classes without a template are noted too, so that nobody tries again.
    const forms = wordForms.formsOf(which);
    const { mask, match, except } = which;
    const begin = this.#used;
    const group = this.#isa.words!.groupOf(word);
    if (this.#numbers[group] === 0) this.#numbers[group] = classes.keyOf(group);
    // Behind those that were needed before.
    let last = this.#slotOf(word, this.#numbers[group]!);
    while (this.#numbers[last] !== 0) last = this.#numbers[last]! + NEXT;
    const exceptions = except.flatMap((bits) => [bits.mask, bits.match]);
    this.#append([mask, match, 0, 0, 0, 0, 0, 0, 0, except.length, ...exceptions]);
    if (forms !== undefined) {
      const { far, near, displacement, operands, row, length } = forms;
      // In this order: what is put into `numbers` may make it another array.
      const places = [far, near, displacement, operands].map((sums) => (sums ? this.#appendPart(sums) : 0));
      this.#numbers.set(places, begin + FAR);
      this.#numbers.set([this.#isa.rows.indexOf(row), length], begin + ROW);
    }
    this.#numbers[last] = begin;
    return begin;
  }

  #appendPart(sums: Sums): number {
    const slices = slicesOf(sums).flat();
    const begin = this.#used + SUMS + sums.base.length;
    return this.#append([begin, begin + slices.length, ...sums.base, ...slices]);
  }

  /** Where it begins. */
  #append(numbers: readonly number[]): number {
    const begin = this.#used;
    this.#used += numbers.length;
    if (this.#used > this.#numbers.length) {
      const grown = new Int32Array(2 * this.#used);
      grown.set(this.#numbers.subarray(0, begin));
      this.#numbers = grown;
    }
    this.#numbers.set(numbers, begin);
    return begin;
  }
}
