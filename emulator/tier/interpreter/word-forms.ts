import type { Instruction, Isa } from '../../isa/instruction.ts';
import { has, WordClasses, type WordClass } from '../../isa/word-class.ts';
import type { RecordEncoder } from './record-encoder.ts';
import type { Sums } from './template-slices.ts';

/** Numbers that follow from a word. */
type Form = readonly number[];

/** What the general way makes of one word. */
interface Encodings {
  /** As executed, and in bytes. */
  readonly row: Instruction;
  readonly length: number;
  /** Its record; `near`: where its jump stays in the page. */
  readonly far: Form;
  readonly near: Form | undefined;
  readonly displacement: Form | undefined;
  /** As executed, in the order of the row's. */
  readonly operands: Form;
}

const FORMS = ['far', 'near', 'displacement', 'operands'] as const;

/** The same of all words of a class. */
export type Forms = Readonly<Record<(typeof FORMS)[number], Sums | undefined>> & Pick<Encodings, 'row' | 'length'>;

/** How records and operands follow from words, found out by encoding words the general way. */
export class WordForms {
  readonly classes: WordClasses;
  readonly #encoder: RecordEncoder;

  constructor(isa: Isa, encoder: RecordEncoder) {
    this.classes = new WordClasses(isa);
    this.#encoder = encoder;
  }

  /** Undefined when they are no sums of the words' bits. */
  formsOf({ origin: word, except, free }: WordClass): Forms | undefined {
    if (word === undefined || except.some((bits) => has(bits, word))) return undefined;
    const origin = this.#encodings(word);
    if (origin === undefined) return undefined;
    const flipped = new Map<number, Encodings>();
    for (let bit = 0; bit < 32; bit++) {
      if (((free >>> bit) & 1) === 0) continue;
      const neighbour = (word ^ (1 << bit)) >>> 0;
      const encodings = except.some((bits) => has(bits, neighbour)) ? undefined : this.#encodings(neighbour);
      if (encodings === undefined || !isLike(encodings, origin)) return undefined;
      flipped.set(bit, encodings);
    }
    const sums = (form: (typeof FORMS)[number]): Sums | undefined => {
      const ofOrigin = origin[form];
      return ofOrigin && sumsOf(word, ofOrigin, new Map([...flipped].map(([bit, made]) => [bit, made[form]!])));
    };
    const [far, near, displacement, operands] = FORMS.map(sums);
    const { row, length } = origin;
    return { far, near, displacement, operands, row, length };
  }

  #encodings(word: number): Encodings | undefined {
    const decoded = this.classes.executed(word);
    if (decoded === undefined) return undefined;
    const { row, length } = decoded;
    const operands = Object.keys(row.operands).map((name) => decoded.operands[name]!);
    // Sums have 32 bits.
    if (operands.some((operand) => operand !== (operand | 0))) return undefined;
    const displacement = this.#encoder.displacementOf(decoded);
    const far = this.#encoder.record(decoded, false).words;
    if (displacement === undefined) return { row, length, far, near: undefined, displacement: undefined, operands };
    const near = this.#encoder.record(decoded, true).words;
    return { row, length, far, near, displacement: [displacement], operands };
  }
}

function isLike(a: Encodings, b: Encodings): boolean {
  return a.row === b.row && a.length === b.length && (a.near === undefined) === (b.near === undefined);
}

/** What each bit adds to each number, when those of a word and of the words that differ from it in one bit are known. All modulo 2^32. */
function sumsOf(word: number, numbers: Form, flipped: ReadonlyMap<number, Form>): Sums {
  const base = [...numbers];
  const weights = numbers.map((number, index) => {
    const ofBits = new Map<number, number>();
    for (const [bit, others] of flipped) {
      const isSet = ((word >>> bit) & 1) === 1;
      const weight = (isSet ? number - others[index]! : others[index]! - number) | 0;
      if (weight === 0) continue;
      ofBits.set(bit, weight);
      if (isSet) base[index] = (base[index]! - weight) | 0;
    }
    return ofBits;
  });
  return { base, weights };
}
