import { contains, extractField, insertField, overlaps, type Field } from '../bits/pattern.ts';
import type { Decoded, Instruction, Isa, OperandKind } from './instruction.ts';

/** The words that have these bits. */
export interface WordBits {
  readonly mask: number;
  readonly match: number;
}

/**
 * Words of one row. Where `origin` is known they differ in registers and numbers only: each bit that the mask leaves free adds the same to an operand whatever the others are, what is
 * written is the sink for all of them or for none, and operands that are specialised are alike.
 */
export interface WordClass extends WordBits {
  /** Words that are of other classes, or no instruction. */
  readonly except: readonly WordBits[];
  /** A word of the class, and so are those that differ from it in one free bit. Absent where more than registers and numbers may differ. */
  readonly origin?: number;
  /** The bits of the row's words that are free. */
  readonly free: number;
}

/** Raw values looked at one by one; of wider fields the edges and patterns are. */
const WIDEST_LISTED = 8;
/** Wider fields that are not sums of their bits are not given a class for each value. */
const WIDEST_FIXED = 6;
const PATTERNS = [0x5555_5555, 0xaaaa_aaaa, 0x3333_3333, 0xcccc_cccc, 0x0f0f_0f0f, 0xf0f0_f0f0, 0x1234_5678];

/** What a row's words have in common. */
interface RowFacts {
  /** A word of the row. In destinations the two highest bits are set, elsewhere all: neither that nor what differs in a bit is special. */
  readonly origin: number;
  /** Fields whose value is the same in a class: raw values that may be, in their places. */
  readonly fixed: readonly { readonly mask: number; readonly values: readonly number[] }[];
  /** Values of destinations that are replaced by the sink. */
  readonly sunk: readonly WordBits[];
  /** Values that are refused, and rows within this one. */
  readonly except: readonly WordBits[];
}

/** The classes of an ISA's words, worked out from its rows. */
export class WordClasses {
  readonly #isa: Isa;
  readonly #bytes = new Uint8Array(4);
  /** Undefined: the row's words are of no class. */
  readonly #facts = new Map<Instruction, RowFacts | undefined>();
  readonly #sinks = new Map<Instruction, readonly (readonly [name: string, sink: number])[]>();

  constructor(isa: Isa) {
    this.#isa = isa;
  }

  /** The instruction a word encodes, as executed. */
  executed(word: number): Decoded | undefined {
    const decoded = this.#decode(word);
    return decoded && this.#isa.canonical(decoded);
  }

  /** The class of a word; undefined where it is no instruction, or refused by a row within the one that it is of. */
  classOf(word: number): WordClass | undefined {
    const row = this.#decode(word)?.row;
    if (row === undefined) return undefined;
    const facts = this.#factsOf(row);
    if (facts === undefined) return { mask: row.mask, match: row.match, except: this.#within(row), free: 0 };
    if (facts.except.some((bits) => has(bits, word))) return undefined;
    let { mask, match } = row;
    for (const field of facts.fixed) {
      mask |= field.mask;
      match |= word & field.mask;
    }
    const except = [...facts.except];
    for (const bits of facts.sunk) {
      if (has(bits, word)) {
        mask |= bits.mask;
        match |= bits.match;
      } else except.push(bits);
    }
    const free = ~mask & allBits(row);
    return { mask: mask >>> 0, match: match >>> 0, except, free, origin: (match | (facts.origin & free)) >>> 0 };
  }

  /** A word of every class there is. */
  *representatives(): Generator<number> {
    for (const row of this.#isa.rows) {
      const facts = this.#factsOf(row);
      if (facts === undefined) continue;
      const choices = [
        ...facts.fixed.map(({ mask, values }) => values.map((match) => ({ mask, match }))),
        ...facts.sunk.map((bits) => [{ mask: 0, match: 0 }, bits]),
      ];
      for (const word of combined(facts.origin, choices))
        if (!facts.except.some((bits) => has(bits, word)) && this.#decode(word)?.row === row) yield word;
    }
  }

  /** The bits that all classes of a group (Isa.words) fix. */
  keyOf(group: number): number {
    let key = -1;
    for (const row of this.#isa.rows) {
      if (this.#isa.words!.groupOf(row.match) !== group) continue;
      key &= (this.#factsOf(row)?.fixed ?? []).reduce((bits, { mask }) => bits | mask, row.mask);
    }
    return key;
  }

  #decode(word: number): Decoded | undefined {
    for (let i = 0; i < this.#bytes.length; i++) this.#bytes[i] = word >>> (8 * i);
    return this.#isa.decode(this.#bytes, 0);
  }

  #factsOf(row: Instruction): RowFacts | undefined {
    if (this.#facts.has(row)) return this.#facts.get(row);
    const facts = this.#gather(row);
    this.#facts.set(row, facts);
    return facts;
  }

  #gather(row: Instruction): RowFacts | undefined {
    const { fields } = row;
    if (fields === undefined) return undefined;
    const except: WordBits[] = this.#within(row);
    const fixed: { mask: number; values: readonly number[] }[] = [];
    const destinations: (readonly [name: string, field: Field])[] = [];
    let origin = row.match;
    for (const [name, field] of Object.entries(fields)) {
      const kind = row.operands[name]!;
      const mask = placed(field, -1);
      origin |= kind.destination === true ? highest(mask, 2) : mask;
      const { legal } = kind;
      const width = population(mask);
      if (legal !== undefined && width > WIDEST_LISTED) return undefined;
      const refused = legal === undefined ? [] : rawValues(field).filter((raw) => !legal(raw));
      if (kind.specialise === undefined && isSum(field, kind)) {
        except.push(...refused.map((raw) => ({ mask, match: placed(field, raw) })));
        if (kind.destination === true) destinations.push([name, field]);
        continue;
      }
      if (width > WIDEST_FIXED) return undefined;
      const values = rawValues(field).filter((raw) => !refused.includes(raw));
      fixed.push({ mask, values: values.map((raw) => placed(field, raw)) });
      origin = insertField(origin, field, values[0]!);
    }
    const sunk: WordBits[] = [];
    const operands = Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, row.operands[name]!.decode(extractField(origin, field))]),
    );
    for (const [name, field] of destinations) {
      const { decode } = row.operands[name]!;
      const original = operands[name]!;
      for (const raw of rawValues(field)) {
        operands[name] = decode(raw);
        if (this.#isSunk(row, operands)) sunk.push({ mask: placed(field, -1), match: placed(field, raw) });
      }
      operands[name] = original;
    }
    return { origin, fixed, sunk, except };
  }

  #within(row: Instruction): WordBits[] {
    return this.#isa.rows
      .filter((other) => other !== row && other.length === row.length && overlaps(row, other) && contains(row, other))
      .map(({ mask, match }) => ({ mask, match }));
  }

  /** Whether some register that the row with these operands would write is the sink, also where it is executed as another. */
  #isSunk(row: Instruction, operands: Readonly<Record<string, number>>): boolean {
    const executed = this.#isa.canonical({ row, length: row.length, operands });
    return this.#sinksOf(executed.row).some(([name, sink]) => executed.operands[name] === sink);
  }

  /** The operands that a row writes registers by, and which of these is the sink. */
  #sinksOf(row: Instruction): readonly (readonly [name: string, sink: number])[] {
    let sinks = this.#sinks.get(row);
    if (sinks === undefined) {
      sinks = Object.entries(row.operands).flatMap(([name, { destination, file }]) =>
        destination === true && file?.sink !== undefined ? [[name, file.sink] as const] : [],
      );
      this.#sinks.set(row, sinks);
    }
    return sinks;
  }
}

export function has({ mask, match }: WordBits, word: number): boolean {
  return ((word ^ match) & mask) === 0;
}

/** Whether an operand is the sum of what its bits stand for. */
function isSum(field: Field, { decode }: OperandKind): boolean {
  const zero = decode(0);
  return rawValues(field).every((raw) => {
    let sum = zero;
    for (let bit = 1, rest = raw; rest > 0; bit *= 2, rest = Math.floor(rest / 2))
      if (rest % 2 === 1) sum += decode(bit) - zero;
    return sum === decode(raw);
  });
}

/** The values that a field's pieces can hold; of wide ones some. */
function rawValues(field: Field): number[] {
  const bits = ones(placed(field, -1));
  const values: number[] = [];
  const add = (value: number): void => {
    // Spread over the places that the field has.
    let word = 0;
    for (let i = 0; i < bits.length; i++) word |= ((value >>> i) & 1) << bits[i]!;
    values.push(extractField(word, field));
  };
  if (bits.length <= WIDEST_LISTED) {
    for (let value = 0; value < 2 ** bits.length; value++) add(value);
  } else {
    for (const value of [0, -1, ...PATTERNS]) add(value);
    for (let bit = 0; bit < bits.length; bit++) add(2 ** bit);
  }
  return values;
}

function placed(field: Field, raw: number): number {
  return insertField(0, field, raw);
}

function allBits({ length }: Instruction): number {
  return length >= 4 ? -1 : (1 << (8 * length)) - 1;
}

/** The highest `count` bits of those set. */
function highest(word: number, count: number): number {
  return ones(word)
    .slice(-count)
    .reduce((bits, bit) => bits | (1 << bit), 0);
}

function population(word: number): number {
  return ones(word).length;
}

/** Numbers of the bits set, lowest first. */
function ones(word: number): number[] {
  const bits: number[] = [];
  for (let bit = 0; bit < 32; bit++) if (((word >>> bit) & 1) === 1) bits.push(bit);
  return bits;
}

function* combined(word: number, choices: readonly (readonly WordBits[])[]): Generator<number> {
  const [first, ...rest] = choices;
  if (first === undefined) yield word >>> 0;
  else for (const { mask, match } of first) yield* combined((word & ~mask) | match, rest);
}
