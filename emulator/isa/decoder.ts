import { CHECK, CheckLevel } from '../check/assert.ts';
import { contains, extractField, overlaps, type Field } from '../bits/pattern.ts';
import type { Decoded, OperandKind } from './instruction.ts';
import type { TableRow } from './table.ts';

/** Which bits of a word choose the bucket of rows to try: a few ranges that most rows fix. */
export interface BucketKey {
  readonly ranges: readonly { readonly lo: number; readonly width: number }[];
}

interface Entry {
  readonly row: TableRow;
  readonly mask: number;
  readonly match: number;
  /** Made for the first word that has the entry's bits: of a bucket's rows few ever do. */
  reading: Reading | undefined;
}

/** How operands are read from words. */
interface Reading {
  readonly names: readonly string[];
  readonly fields: readonly Field[];
  readonly kinds: readonly OperandKind[];
  /** Some operand has raw values that are not legal. */
  readonly refuses: boolean;
}

/**
 * Decodes words of one width: a table indexed by the key's bits gives the few rows to compare. Two rows may match one word only when one
 * contains the other (a special encoding within a general one); the special one is then tried first, and anything else is refused.
 */
export class FixedWidthDecoder {
  /** Made when first looked at: programs use a few of them. */
  readonly #buckets: (readonly Entry[] | undefined)[];
  /** Those that may have each value in the last range of the key: a bucket's are among them. */
  #groups: readonly (readonly TableRow[])[] | undefined;
  readonly #rows: readonly TableRow[];
  readonly #key: BucketKey;
  /** The bits that the key looks at. */
  readonly #known: number;

  constructor(rows: readonly TableRow[], key: BucketKey) {
    // Each ISA's tests look for overlaps in any case; with 300 rows that takes as long as the rest of the table.
    if (CHECK >= CheckLevel.full) for (const problem of overlapsIn(rows)) throw new Error(problem);
    this.#rows = rows;
    this.#key = key;
    const bits = key.ranges.reduce((sum, { width }) => sum + width, 0);
    this.#buckets = Array.from({ length: 2 ** bits }, () => undefined);
    this.#known = wordOf(key, 2 ** bits - 1);
  }

  /** The instruction a word encodes, or undefined. */
  decode(word: number): Decoded | undefined {
    const index = this.#indexOf(word);
    const bucket = this.#buckets[index] ?? this.#bucket(index);
    for (let i = 0; i < bucket.length; i++) {
      const entry = bucket[i]!;
      if (((word ^ entry.match) & entry.mask) !== 0) continue;
      entry.reading ??= readingOf(entry.row);
      const operands = operandsOf(entry.reading, word);
      if (operands !== undefined) return { row: entry.row, length: entry.row.length, operands };
    }
    return undefined;
  }

  #bucket(index: number): readonly Entry[] {
    this.#groups ??= groupsOf(this.#rows, this.#key);
    const word = wordOf(this.#key, index);
    const { lo, width } = this.#key.ranges.at(-1)!;
    const group = this.#groups[bitsOf(word, lo, width)]!;
    const bucket: Entry[] = [];
    // By index: each of a program's first buckets is made before V8 has compiled this.
    for (let i = 0; i < group.length; i++) {
      const row = group[i]!;
      if (((word ^ row.match) & row.mask & this.#known) === 0)
        bucket.push({ row, mask: row.mask, match: row.match, reading: undefined });
    }
    // The special before the general; otherwise the order of the table.
    bucket.sort((a, b) => population(b.mask) - population(a.mask));
    this.#buckets[index] = bucket;
    return bucket;
  }

  #indexOf(word: number): number {
    const { ranges } = this.#key;
    let index = 0;
    for (let i = 0; i < ranges.length; i++) {
      const range = ranges[i]!;
      index = (index << range.width) | bitsOf(word, range.lo, range.width);
    }
    return index;
  }
}

/** A word whose bits under the key are those of an index, and all others 0. */
function wordOf({ ranges }: BucketKey, index: number): number {
  let word = 0;
  let rest = index;
  for (let i = ranges.length - 1; i >= 0; i--) {
    const { lo, width } = ranges[i]!;
    word |= (rest & ((1 << width) - 1)) << lo;
    rest >>>= width;
  }
  return word;
}

function bitsOf(word: number, lo: number, width: number): number {
  return (word >>> lo) & ((1 << width) - 1);
}

function groupsOf(rows: readonly TableRow[], key: BucketKey): readonly (readonly TableRow[])[] {
  const { lo, width } = key.ranges.at(-1)!;
  const groups: TableRow[][] = Array.from({ length: 2 ** width }, () => []);
  const all = groups.length - 1;
  for (const row of rows) {
    const fixed = bitsOf(row.mask, lo, width);
    const bits = bitsOf(row.match, lo, width);
    if (fixed === all) groups[bits]!.push(row);
    else for (const [value, group] of groups.entries()) if (((value ^ bits) & fixed) === 0) group.push(row);
  }
  return groups;
}

/** The operands of a word that has an entry's bits; undefined when the raw bits of one make it another instruction. */
function operandsOf({ names, fields, kinds, refuses }: Reading, word: number): Record<string, number> | undefined {
  const operands: Record<string, number> = {};
  for (let i = 0; i < names.length; i++) {
    const raw = extractField(word, fields[i]!);
    const kind = kinds[i]!;
    if (refuses && kind.legal !== undefined && !kind.legal(raw)) return undefined;
    operands[names[i]!] = kind.decode(raw);
  }
  return operands;
}

/** Pairs of rows that match a common word without one containing the other, or that are the same. */
export function overlapsIn(rows: readonly TableRow[]): string[] {
  const problems: string[] = [];
  rows.forEach((a, i) => {
    for (let j = i + 1; j < rows.length; j++) {
      const b = rows[j]!;
      if (a.name === b.name) problems.push(`two rows are named ${a.name}`);
      if (a.length !== b.length) continue;
      if (!overlaps(a, b)) continue;
      const nested = contains(a, b) !== contains(b, a);
      if (!nested && !apart(a, b)) problems.push(`${a.name} and ${b.name} match the same words`);
    }
  });
  return problems;
}

/** Whether illegal operand values keep two overlapping rows apart: some field both have where no raw value is legal in both. */
function apart(a: TableRow, b: TableRow): boolean {
  return distinguishes(a, b) || distinguishes(b, a);
}

/** A field of `a` is fixed by `b`'s literal bits to a value that `a` refuses. */
function distinguishes(a: TableRow, b: TableRow): boolean {
  return Object.entries(a.fields).some(([name, field]) => {
    const kind = a.operands[name]!;
    if (kind.legal === undefined) return false;
    const covered = field.pieces.every(({ lo, width }) => ((b.mask >>> lo) & (2 ** width - 1)) === 2 ** width - 1);
    return covered && !kind.legal(extractField(b.match, field));
  });
}

function readingOf(row: TableRow): Reading {
  const names = Object.keys(row.fields);
  const kinds = names.map((name) => row.operands[name]!);
  return {
    names,
    fields: names.map((name) => row.fields[name]!),
    kinds,
    refuses: kinds.some(({ legal }) => legal !== undefined),
  };
}

function population(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}
