import { Builder } from '../../ir/builder.ts';
import type { Block, Op } from '../../ir/block.ts';
import { rowOf, opRow } from '../../ir/op.ts';
import { isField, type Operand } from '../../ir/type.ts';
import type { Instruction } from '../../isa/instruction.ts';
import { assert } from '../../check/assert.ts';
import { floatInlinable } from '../lower-float.ts';
import { layOut, type RecordOperand } from './record.ts';

/** One case of the interpreter: an instruction with its specialised operands known, its length, and how far its jump goes. */
export interface Case {
  /** The `op` of its records. */
  readonly op: number;
  /** Row, length and what else tells it from the others: `addi.2`, `bne.4.near`, `fadd.d.4.rm7`. */
  readonly key: string;
  readonly row: Instruction;
  /** Bytes of the guest instruction. */
  readonly length: number;
  /** The jump stays in the page, so its displacement is stored as the distance between records. */
  readonly near: boolean;
  readonly block: Block;
  readonly operands: readonly RecordOperand[];
  /** Has a body in the main function; every case has one in a function of its own. */
  readonly inline: boolean;
  /** The body in the main function may go on in the other. */
  readonly refuses: boolean;
  /** Control does not run on to the instruction behind it. */
  readonly terminator: boolean;
}

/** The cases of one row, found by specialised operands, length and nearness. */
export class RowCases {
  readonly row: Instruction;
  /** The operand whose displacement decides nearness. */
  readonly displacement: string | undefined;
  readonly #specialised: readonly { readonly name: string; readonly values: readonly number[] }[];
  readonly #cases: Case[] = [];
  /** Cases for the same values of the specialised operands: by length and nearness. */
  readonly #perCombination: number;

  constructor(row: Instruction, lengths: readonly number[], first: number) {
    this.row = row;
    this.#specialised = Object.entries(row.operands).flatMap(([name, { specialise }]) =>
      specialise === undefined ? [] : [{ name, values: specialise }],
    );
    let displacement: string | undefined;
    for (const known of combinations(this.#specialised)) {
      for (const length of lengths) {
        const block = liftRow(row, known, length);
        displacement = displacementField(block);
        for (const near of displacement === undefined || length > 4 ? [false] : [false, true]) {
          this.#cases.push({
            op: first + this.#cases.length,
            key: caseKey(row, length, near, known),
            row,
            length,
            near,
            block,
            operands: layOut(block, row.operands, near ? 'recordDelta' : 'i32'),
            inline: row.cold !== true && isInlinable(block),
            refuses: block.ops.some(mayRefuse),
            terminator: opRow(block.ops.at(-1)!.name).terminator === true,
          });
        }
      }
    }
    this.displacement = displacement;
    const combined = this.#specialised.reduce((product, { values }) => product * values.length, 1);
    this.#perCombination = this.#cases.length / combined;
  }

  get cases(): readonly Case[] {
    return this.#cases;
  }

  find(operands: Readonly<Record<string, number>>, length: number, near: boolean): Case {
    let found: Case | undefined;
    if (this.#cases.length === 1) {
      found = this.#cases[0];
    } else {
      let index = 0;
      for (let i = 0; i < this.#specialised.length; i++) {
        const { name, values } = this.#specialised[i]!;
        index = index * values.length + values.indexOf(operands[name]!);
      }
      const perCombination = this.#perCombination;
      for (let at = index * perCombination; at < (index + 1) * perCombination; at++) {
        const candidate = this.#cases[at];
        if (candidate?.length === length && candidate.near === near) found = candidate;
      }
    }
    assert(
      found !== undefined && found.length === length && found.near === near,
      `there is a case for ${this.row.name} of ${length} bytes`,
    );
    return found;
  }
}

/** The rows that a compressed row stands for, found by trying its operands' samples. */
export function expansions(row: Instruction): Set<Instruction> {
  const found = new Set<Instruction>();
  const names = Object.keys(row.operands);
  const longest = Math.max(1, ...names.map((name) => row.operands[name]!.samples.length));
  for (let round = 0; round < longest; round++) {
    const operands: Record<string, number> = {};
    for (const name of names) {
      const { samples, decode, legal } = row.operands[name]!;
      const usable = samples.filter((raw) => legal?.(raw) ?? true);
      operands[name] = decode(usable[round % usable.length] ?? 0);
    }
    found.add(row.expandsTo!(operands).row);
  }
  return found;
}

function caseKey(row: Instruction, length: number, near: boolean, known: Readonly<Record<string, number>>): string {
  const specialised = Object.entries(known).map(([name, value]) => `.${name}${value}`);
  return `${row.name}.${length}${near ? '.near' : ''}${specialised.join('')}`;
}

/** Cases that run on from one to the next without a dispatch: a superinstruction. */
export interface Sequence {
  readonly op: number;
  /** Two or more. */
  readonly cases: readonly Case[];
}

/** The sequences named, by their cases' keys, that can be made of the cases, numbered from `next`. */
export function caseSequences(names: readonly string[], cases: readonly Case[], next: number): readonly Sequence[] {
  const byKey = new Map(cases.map((which) => [which.key, which]));
  const sequences: Sequence[] = [];
  for (const name of names) {
    const members = name.split(' ').flatMap((key) => byKey.get(key) ?? []);
    if (members.length < name.split(' ').length || !members.every(({ inline }) => inline)) continue;
    if (members.slice(0, -1).some(({ terminator }) => terminator)) continue;
    sequences.push({ op: next + sequences.length, cases: members });
  }
  return sequences;
}

/** The keys of a sequence's cases, as it is named. */
export function sequenceName({ cases }: Sequence): string {
  return cases.map(({ key }) => key).join(' ');
}

/** The first of `specialised` changes slowest. */
function combinations(
  specialised: readonly { readonly name: string; readonly values: readonly number[] }[],
): readonly Readonly<Record<string, number>>[] {
  let all: readonly Readonly<Record<string, number>>[] = [{}];
  for (const { name, values } of specialised)
    all = all.flatMap((known) => values.map((value) => ({ ...known, [name]: value })));
  return all;
}

function liftRow(row: Instruction, known: Readonly<Record<string, number>>, length: number): Block {
  const builder = new Builder('interpreter');
  const operands: Record<string, Operand> = {};
  for (const name of Object.keys(row.operands)) operands[name] = known[name] ?? { field: name };
  builder.beginInstruction(undefined, length);
  row.lift(builder, operands);
  return builder.block;
}

/** The field that a jump's displacement is in. */
function displacementField(block: Block): string | undefined {
  const op = block.ops.at(-1);
  if (op?.displacement === undefined || !isField(op.displacement)) return undefined;
  const name = op.displacement.field;
  return block.ops.some((other) => other.field?.field === name) ? undefined : name;
}

/**
 * Whether the block's common course fits the main function: no call out of it, and every op that may refuse comes before the first that
 * has an effect, so that the twin can start the instruction again.
 */
function isInlinable(block: Block): boolean {
  let effects = false;
  // By index, as in `layOut`.
  for (let i = 0; i < block.ops.length; i++) {
    const op = block.ops[i]!;
    if (op.name === 'call' || op.name === 'trap' || op.name === 'fclass' || op.type === 'v128' || isAtomic(op))
      return false;
    if (mayRefuse(op) && effects) return false;
    const { effect } = rowOf(op);
    if (effect === 'flags' && !floatInlinable(op, (value) => constant(block.ops[value]!))) return false;
    if (effect === 'writes' || op.name === 'store') effects = true;
  }
  return true;
}

/** Whether the op's inline code may leave the instruction to the twin. */
function mayRefuse(op: Op): boolean {
  const { effect } = rowOf(op);
  return effect === 'memory' || effect === 'flags' || op.name === 'trap_if';
}

function isAtomic(op: Op): boolean {
  return (
    op.name === 'load_reserved' ||
    op.name === 'store_conditional' ||
    op.name === 'atomic_rmw' ||
    op.name === 'atomic_cas'
  );
}

function constant(op: Op): bigint | undefined {
  return op.name === 'const' ? op.bits : undefined;
}
