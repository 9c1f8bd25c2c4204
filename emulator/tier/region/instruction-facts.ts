import type { Block, Op } from '../../ir/block.ts';
import { Builder } from '../../ir/builder.ts';
import { opRow } from '../../ir/op.ts';
import { isField, type Operand } from '../../ir/type.ts';
import type { Decoded, Instruction } from '../../isa/instruction.ts';
import { regionMode } from './mode.ts';

/** How a run of instructions ends; targets are guest addresses, or relative to one. */
export type Terminator =
  | { readonly kind: 'none' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'relative'; readonly target: number; readonly call: boolean }
  | { readonly kind: 'branch'; readonly target: number }
  | { readonly kind: 'indirect'; readonly hint: 'none' | 'call' | 'return' };

/** It runs on into the next one. */
export const NONE: Terminator = { kind: 'none' };
/** What follows cannot be translated. */
export const STOP: Terminator = { kind: 'stop' };

/** What discovery has to know of an instruction, wherever it is and whatever its registers are. */
export interface InstructionFacts {
  readonly length: number;
  /** Regions hold it, given that they hold what it calls. */
  readonly held: boolean;
  /** Helpers that it calls. */
  readonly calls: readonly string[];
  /** What it does as a terminator, relative to its address; undefined when it is none. */
  readonly terminator: Terminator | undefined;
}

/** What can be told of an instruction without its operands. */
interface RowShape {
  readonly held: boolean;
  readonly calls: readonly string[];
  readonly terminates: boolean;
  /** Of a branch, the operand that its target is relative by. */
  readonly displacement: string | undefined;
  /** By length: compressed forms have the same row. */
  readonly facts: (InstructionFacts | undefined)[];
}

const shapes = new Map<Instruction, RowShape>();

/** What discovery has to know of an instruction as executed (`Isa.canonical`); all that differ in operands only have the same unless they are terminators. */
export function factsOf(decoded: Decoded): InstructionFacts {
  const shape = rowShape(decoded);
  const { length } = decoded;
  const { held, calls } = shape;
  if (held && shape.terminates) return { length, held, calls, terminator: terminatorOf(decoded, shape) };
  return (shape.facts[length] ??= { length, held, calls, terminator: undefined });
}

/** Whether a block ends by a jump to a known address. */
export function jumpsTo(ops: readonly Op[], pc: number): boolean {
  const last = ops.at(-1);
  if (last?.name !== 'jump') return false;
  const target = ops[last.args[0]!]!;
  return target.name === 'const' && Number(BigInt.asIntN(64, target.bits!)) === pc;
}

function rowShape(decoded: Decoded): RowShape {
  let shape = shapes.get(decoded.row);
  if (shape === undefined) {
    const { ops } = liftOne(decoded.row, decoded.length, decoded.operands);
    const last = ops.at(-1)!;
    shape = {
      held: regionMode(ops, 0, ops.length, false, () => true) !== 'none',
      calls: ops.flatMap(({ name, helper }) => (name === 'call' ? [helper!] : [])),
      // A fence ends by a jump to the instruction behind it, which is fetched anew.
      terminates: opRow(last.name).terminator === true && !jumpsTo(ops, decoded.length),
      displacement: last.name === 'branch' ? displacementOf(decoded) : undefined,
      facts: [],
    };
    shapes.set(decoded.row, shape);
  }
  return shape;
}

/** The operand that a branch's target is relative by; undefined where it is not one. */
function displacementOf({ row, length }: Decoded): string | undefined {
  const kinds = Object.entries(row.operands);
  // Operands that have cases of their own are not lifted as fields.
  if (kinds.some(([, { specialise }]) => specialise !== undefined)) return undefined;
  const fields = Object.fromEntries(kinds.map(([field]) => [field, { field }]));
  const { displacement } = liftOne(row, length, fields).ops.at(-1)!;
  return displacement !== undefined && isField(displacement) ? displacement.field : undefined;
}

function terminatorOf({ row, length, operands }: Decoded, { displacement }: RowShape): Terminator {
  // Lifting takes many times as long, and half of all terminators are branches.
  if (displacement !== undefined) return { kind: 'branch', target: operands[displacement]! };
  const op = liftOne(row, length, operands).ops.at(-1)!;
  switch (op.name) {
    case 'jump_rel':
      return { kind: 'relative', target: Number(op.displacement), call: op.hint === 'call' };
    case 'branch':
      return { kind: 'branch', target: Number(op.displacement) };
    case 'jump':
      return { kind: 'indirect', hint: op.hint ?? 'none' };
    default:
      return STOP;
  }
}

function liftOne(row: Instruction, length: number, operands: Readonly<Record<string, Operand>>): Block {
  const builder = new Builder('region');
  builder.beginInstruction(0n, length);
  row.lift(builder, operands);
  return builder.block;
}
