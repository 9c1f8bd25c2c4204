import type { Block, Op } from '../ir/block.ts';
import { attributedOp, constant } from '../ir/make-op.ts';
import { OP_NAMES, opRow, resultType, type OpRow } from '../ir/op.ts';
import { type Type, WIDTH } from '../ir/type.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

/** The rows that have a meaning of arguments alone; `const` is what they fold to. */
const FOLDABLE: readonly (OpRow | undefined)[] = OP_NAMES.map((name) => {
  const row = opRow(name);
  return name !== 'const' && (row.evaluate !== undefined || row.evaluateFloat !== undefined) ? row : undefined;
});

/**
 * The constant that an op is when all its arguments are constants, by the meaning the op table gives it; undefined when one is not, or
 * when the op raises floating-point flags, which it has to raise each time it is run.
 */
export function foldConstant(op: Op, ops: readonly Op[]): Op | undefined {
  const { args } = op;
  for (let index = 0; index < args.length; index++) if (ops[args[index]!]!.name !== 'const') return undefined;
  const row = FOLDABLE[op.kind];
  if (row === undefined) return undefined;
  const bits = args.map((value) => ops[value]!.bits!);
  const type = resultType(op)!;
  if (row.evaluate !== undefined) return constant(type, row.evaluate(bits, WIDTH[op.type as Type], op));
  // Code that is never reached, behind a test of the rounding mode, may have one that does not exist.
  if (row.args.at(-1) === 'rm' && bits.at(-1)! > 4n) return undefined;
  const result = row.evaluateFloat!(bits, op);
  return result.flags === 0 ? constant(type, result.bits) : undefined;
}

/**
 * What a conditional op is when its condition is a constant: `trap` for a trap that is always taken, `jump_rel` for such a branch, nothing
 * for one never taken. `same` when the condition is not known.
 */
export function foldCondition(op: Op, ops: readonly Op[]): Op | 'same' | 'nothing' {
  if (op.name !== 'trap_if' && op.name !== 'branch') return 'same';
  const condition = ops[op.args[0]!]!;
  if (condition.name !== 'const') return 'same';
  if (condition.bits === 0n) return 'nothing';
  if (op.name === 'branch') {
    return attributedOp('jump_rel', 'none', [], { displacement: op.displacement!, hint: 'none' });
  }
  return attributedOp('trap', 'none', [op.args[1]!], { cause: op.cause! });
}

/** A jump to a known address as a relative one, when the distance is a number that displacements can have. */
function foldJump(op: Op, ops: readonly Op[], pc: bigint): Op {
  const target = ops[op.args[0]!]!;
  if (target.name !== 'const') return op;
  const displacement = Number(BigInt.asIntN(64, target.bits! - pc));
  if (!Number.isSafeInteger(displacement)) return op;
  return attributedOp('jump_rel', 'none', [], { displacement, hint: op.hint! });
}

/** Whether there is something to compute or decide: a first argument is a constant then, of what is decided the only one that matters. */
function mayFold(ops: readonly Op[]): boolean {
  for (let index = 0; index < ops.length; index++) {
    const { args } = ops[index]!;
    if (args.length > 0 && ops[args[0]!]!.name === 'const') return true;
  }
  return false;
}

function run(block: Block): Block {
  if (!mayFold(block.ops)) return block;
  const rewriter = new Rewriter(block);
  let pc = 0n;
  for (let index = 0; index < block.ops.length; index++) {
    const old = block.ops[index]!;
    if (old.args.length === 0) {
      if (old.name === 'insn') pc = old.pc!;
      rewriter.keep(index);
      continue;
    }
    const op = rewriter.renamed(old);
    if (op.name === 'jump') {
      rewriter.replace(index, foldJump(op, rewriter.ops, pc));
      continue;
    }
    const decided = foldCondition(op, rewriter.ops);
    if (decided === 'nothing') rewriter.drop(index);
    else if (decided === 'same') rewriter.replace(index, foldConstant(op, rewriter.ops) ?? op);
    else {
      rewriter.replace(index, decided);
      // Whatever follows a trap that is always taken is never reached.
      break;
    }
  }
  return rewriter.finish();
}

export const constantFolding: Pass = {
  name: 'constant-folding',
  prose:
    'Computes ops whose arguments are all constants, decides conditions that are constants, and makes jumps to known addresses relative.',
  run,
};
