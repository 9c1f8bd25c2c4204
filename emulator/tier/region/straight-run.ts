import { Builder } from '../../ir/builder.ts';
import type { Block, Op } from '../../ir/block.ts';
import { opRow } from '../../ir/op.ts';
import type { Decoded, Instruction, Isa } from '../../isa/instruction.ts';
import { regionMode } from './mode.ts';

/** What the search for regions may look at. */
export interface CodeView {
  /** The instruction at a guest address that has been executed before, as executed (`Isa.canonical`); undefined stops discovery there. */
  instruction(pc: number): Decoded | undefined;
  /** Guest addresses that the indirect jump at `pc` has been seen to go to. */
  jumpTargets(pc: number): readonly number[];
  /** Whether another region begins there, which is left to it; the seed is never asked for. */
  isElsewhere(pc: number): boolean;
  /** Helpers that regions call. */
  holdsCall(helper: string): boolean;
  /** The block of guest bytes [pc, end) after the passes; what `lift` gives is it before them. */
  blockOf(pc: number, end: number, lift: () => Block): LiftedBlock;
}

export interface LiftedBlock {
  readonly block: Block;
  /** It reads mode registers. */
  readonly usesModes: boolean;
}

/** Instructions that follow each other in guest bytes [pc, end), the last of which may be a terminator. */
export interface Run {
  readonly pc: number;
  readonly end: number;
  readonly instructions: readonly Decoded[];
  /** The terminator, if the last instruction has one. */
  readonly terminator: Terminator;
}

export type Terminator =
  | { readonly kind: 'none' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'relative'; readonly target: number; readonly call: boolean }
  | { readonly kind: 'branch'; readonly target: number }
  | { readonly kind: 'indirect'; readonly hint: 'none' | 'call' | 'return' };

interface RowShape {
  readonly held: boolean;
  readonly terminates: boolean;
  /** It ends by a jump to the instruction behind it, which is fetched anew: a fence. */
  readonly continues: boolean;
  /** Helpers that it calls. */
  readonly calls: readonly string[];
}

/** Instructions in one block, so that straight-line code of any length stays bounded. */
const LONGEST_BLOCK = 256;
const NONE: Terminator = { kind: 'none' };
const STOP: Terminator = { kind: 'stop' };
const NOT_HELD: RowShape = { held: false, terminates: false, continues: false, calls: [] };

/** Caches, by row, what can be told of an instruction without its operands. */
const shapes = new Map<Instruction, RowShape>();
/** Caches what instructions do as terminators; targets are relative to their addresses. */
const terminators = new WeakMap<Decoded, Terminator>();

/** The straight-line run from `pc` up to and with a terminator, or up to where another region begins. */
export function scan(pc: number, code: CodeView): Run {
  const instructions: Decoded[] = [];
  let at = pc;
  for (;;) {
    if (at !== pc && code.isElsewhere(at)) return { pc, end: at, instructions, terminator: NONE };
    if (instructions.length >= LONGEST_BLOCK) return { pc, end: at, instructions, terminator: NONE };
    const decoded = code.instruction(at);
    if (decoded === undefined) return { pc, end: at, instructions, terminator: STOP };
    const shape = rowShape(decoded, code);
    if (!shape.held) return { pc, end: at, instructions, terminator: STOP };
    instructions.push(decoded);
    const start = at;
    at += decoded.length;
    if (shape.terminates && !shape.continues)
      return { pc, end: at, instructions, terminator: terminatorAt(start, decoded) };
    // What it did may have changed what the rest is made for.
    if (shape.calls.length > 0) return { pc, end: at, instructions, terminator: NONE };
  }
}

/** The run up to the first address of `leaders` behind its beginning. */
export function cut(run: Run, leaders: ReadonlySet<number>): Run {
  const { pc, instructions } = run;
  let at = pc;
  for (let count = 0; count < instructions.length; count++) {
    if (count > 0 && leaders.has(at)) {
      return { pc, end: at, instructions: instructions.slice(0, count), terminator: NONE };
    }
    at += instructions[count]!.length;
  }
  // Where an instruction that cannot be translated follows there may be a leader too, of a run that has none.
  return run;
}

/** The address of the last instruction. */
export function lastPc(run: Run): number {
  return run.end - run.instructions.at(-1)!.length;
}

/** The IR of a run. */
export function lift(isa: Isa, run: Run): Block {
  const builder = new Builder(isa.name);
  let pc = run.pc;
  for (const { row, length, operands } of run.instructions) {
    builder.beginInstruction(BigInt(pc), length);
    row.lift(builder, operands);
    pc += length;
  }
  const { ops } = builder.block;
  // Where a region goes on behind a helper, the node's ending says.
  if (jumpsTo(ops, pc)) ops.pop();
  return builder.block;
}

/** The run's terminator as the passes left it: conditions and targets may have become known. */
export function afterPasses(run: Run, block: Block): Terminator {
  const { terminator } = run;
  const last = block.ops.at(-1)!;
  if (terminator.kind === 'branch' && last.name !== 'branch') {
    return last.name === 'jump_rel' ? { kind: 'relative', target: terminator.target, call: false } : NONE;
  }
  if (terminator.kind === 'indirect' && last.name === 'jump_rel') {
    return { kind: 'relative', target: lastPc(run) + Number(last.displacement), call: terminator.hint === 'call' };
  }
  return terminator;
}

function liftOne({ row, length, operands }: Decoded): Block {
  const builder = new Builder('region');
  builder.beginInstruction(0n, length);
  row.lift(builder, operands);
  return builder.block;
}

function rowShape(decoded: Decoded, code: CodeView): RowShape {
  let shape = shapes.get(decoded.row);
  if (shape === undefined) {
    const { ops } = liftOne(decoded);
    const continues = jumpsTo(ops, decoded.length);
    const calls = ops.flatMap(({ name, helper }) => (name === 'call' ? [helper!] : []));
    shape = {
      held: regionMode(ops, 0, ops.length, false, () => true) !== 'none',
      terminates: opRow(ops.at(-1)!.name).terminator === true,
      continues,
      calls,
    };
    shapes.set(decoded.row, shape);
  }
  if (shape.calls.length === 0) return shape;
  return shape.calls.every((helper) => code.holdsCall(helper)) ? shape : NOT_HELD;
}

/** Whether a block ends by a jump to a known address. */
function jumpsTo(ops: readonly Op[], pc: number): boolean {
  const last = ops.at(-1);
  if (last?.name !== 'jump') return false;
  const target = ops[last.args[0]!]!;
  return target.name === 'const' && Number(BigInt.asIntN(64, target.bits!)) === pc;
}

function terminatorAt(pc: number, decoded: Decoded): Terminator {
  let terminator = terminators.get(decoded);
  if (terminator === undefined) {
    terminator = relativeTerminator(decoded);
    terminators.set(decoded, terminator);
  }
  switch (terminator.kind) {
    case 'relative':
      return { kind: 'relative', target: pc + terminator.target, call: terminator.call };
    case 'branch':
      return { kind: 'branch', target: pc + terminator.target };
    default:
      return terminator;
  }
}

function relativeTerminator(decoded: Decoded): Terminator {
  const op = liftOne(decoded).ops.at(-1)!;
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
