import { assert } from '../../check/assert.ts';
import type { Instruction, Isa } from '../../isa/instruction.ts';
import { caseSequences, expansions, RowCases, type Case, type Sequence } from './case.ts';
import { FIRST_CASE } from './record.ts';
import { SequenceTrie } from './sequence-trie.ts';

/** What can be known of an ISA's cases without lifting its rows, for hosts that keep it. */
export interface CaseNumbering {
  /** By row of the ISA: the lengths it is executed with, and how many cases that gives. */
  readonly rows: readonly { readonly lengths: readonly number[]; readonly cases: number }[];
  /** Numbers of the cases behind which control does not run on. */
  readonly terminators: readonly number[];
  /** Numbers of the cases of each sequence. */
  readonly sequences: readonly (readonly number[])[];
}

/**
 * All cases of an ISA, numbered row by row from FIRST_CASE, and behind them the sequences. Where the numbering is known a row is lifted when a
 * case of it is asked for. [measured: lifting all is a tenth of a start's processor time, and a program uses a quarter of them]
 */
export class CaseTable {
  readonly numbering: CaseNumbering;
  readonly #rows: readonly Instruction[];
  readonly #indices: ReadonlyMap<Instruction, number>;
  /** By row: the number of its first case. */
  readonly #first: Uint16Array;
  readonly #made: (RowCases | undefined)[];
  /** By number of a case, from 0: the index of its row. */
  readonly #rowOf: Uint16Array;
  readonly #terminator: Uint8Array;
  readonly trie: SequenceTrie;

  /** `names` of sequences: their cases' keys; those of which none can be made are left out. Without a numbering all is worked out. */
  constructor(isa: Isa, names: readonly string[], numbering?: CaseNumbering) {
    const made = numbering === undefined ? numberCases(isa, names) : undefined;
    this.numbering = numbering ?? made!.numbering;
    this.#rows = isa.rows;
    this.#made = made?.rows ?? isa.rows.map(() => undefined);
    this.#indices = new Map(isa.rows.map((row, index) => [row, index]));
    const { rows, terminators, sequences } = this.numbering;
    assert(rows.length === isa.rows.length, 'the numbering is of this ISA');
    const count = rows.reduce((sum, { cases }) => sum + cases, 0);
    this.#first = new Uint16Array(rows.length);
    this.#rowOf = new Uint16Array(count);
    let next = 0;
    for (let index = 0; index < rows.length; index++) {
      const { cases } = rows[index]!;
      this.#first[index] = FIRST_CASE + next;
      this.#rowOf.fill(index, next, next + cases);
      next += cases;
    }
    this.#terminator = new Uint8Array(FIRST_CASE + count);
    for (const op of terminators) this.#terminator[op] = 1;
    this.trie = new SequenceTrie(sequences, FIRST_CASE + count);
  }

  /** Cases and sequences. */
  get count(): number {
    return this.#rowOf.length + this.numbering.sequences.length;
  }

  get all(): readonly Case[] {
    return Array.from(this.#rowOf, (_, index) => this.caseOf(FIRST_CASE + index));
  }

  get sequences(): readonly Sequence[] {
    const next = FIRST_CASE + this.#rowOf.length;
    return this.numbering.sequences.map((cases, index) => ({
      op: next + index,
      cases: cases.map((op) => this.caseOf(op)),
    }));
  }

  /** Cases are lifted again when they are asked for: a program needs a quarter of them. [measured: all are 1.3 MB] */
  forget(): void {
    this.#made.fill(undefined);
  }

  /** Undefined for compressed rows: they are executed as what they expand to. */
  casesOf(row: Instruction): RowCases | undefined {
    const index = this.#indices.get(row);
    return index === undefined || this.numbering.rows[index]!.cases === 0 ? undefined : this.#rowCases(index);
  }

  /** The case that records with this `op` begin with: of a sequence, the first. */
  caseOf(op: number): Case {
    const single = this.singleOp(op);
    const index = this.#rowOf[single - FIRST_CASE]!;
    return this.#rowCases(index).cases[single - this.#first[index]!]!;
  }

  /** The number of the case that records with this `op` begin with. */
  singleOp(op: number): number {
    const sequence = op - FIRST_CASE - this.#rowOf.length;
    return sequence < 0 ? op : this.numbering.sequences[sequence]![0]!;
  }

  isTerminator(single: number): boolean {
    return this.#terminator[single] === 1;
  }

  #rowCases(index: number): RowCases {
    const { lengths, cases } = this.numbering.rows[index]!;
    let made = this.#made[index];
    if (made === undefined) {
      made = new RowCases(this.#rows[index]!, lengths, this.#first[index]!);
      assert(made.cases.length === cases, 'a row has the cases that were numbered');
      this.#made[index] = made;
    }
    return made;
  }
}

function numberCases(isa: Isa, names: readonly string[]) {
  const lengths = executedLengths(isa);
  const rows: (RowCases | undefined)[] = [];
  const all: Case[] = [];
  for (const row of isa.rows) {
    const ofRow = lengths.get(row);
    const made = ofRow && new RowCases(row, [...ofRow], FIRST_CASE + all.length);
    rows.push(made);
    if (made !== undefined) all.push(...made.cases);
  }
  const sequences = caseSequences(names, all, FIRST_CASE + all.length);
  const numbering: CaseNumbering = {
    rows: isa.rows.map((row, index) => ({
      lengths: [...(lengths.get(row) ?? [])],
      cases: rows[index]?.cases.length ?? 0,
    })),
    terminators: all.filter(({ terminator }) => terminator).map(({ op }) => op),
    sequences: sequences.map(({ cases }) => cases.map(({ op }) => op)),
  };
  return { numbering, rows };
}

/** In how many bytes rows may stand. Compressed rows do not: they are executed as what they expand to. */
function executedLengths(isa: Isa): ReadonlyMap<Instruction, ReadonlySet<number>> {
  const lengths = new Map<Instruction, Set<number>>();
  for (const row of isa.rows) {
    const executed = row.expandsTo === undefined ? [row] : expansions(row);
    for (const target of executed) lengths.set(target, (lengths.get(target) ?? new Set()).add(row.length));
  }
  return lengths;
}
