import type { Block, Op } from '../ir/block.ts';
import { copyOp, makeOp } from '../ir/make-op.ts';
import type { Pass } from './pass.ts';
import { filled, Rewriter } from './rewriter.ts';

/** What is done with a value: nothing, only moves, moves to floating-point registers or ops among them, anything. */
const Use = { none: 0, move: 1, float: 2, other: 4 } as const;

/** How an op uses its argument at a place, were it a float. */
function useOf(op: Op, place: number): number {
  switch (op.name) {
    case 'set':
      return op.slot!.file.type === 'f64' ? Use.float : Use.other;
    case 'bitcast':
      return op.type === 'f64' ? Use.float : Use.other;
    case 'store':
      return place === 1 && op.width === 64 ? Use.move : Use.other;
    default:
      return Use.other;
  }
}

/** Whether an `i64` could come as the float that its bits are. */
function mayBeFloat(op: Op): boolean {
  if (op.type !== 'i64') return false;
  return op.name === 'get' ? op.slot!.file.type === 'f64' : op.name === 'load' && op.width === 64;
}

/** Which values are to be floats; undefined when there are none. */
function choose(ops: readonly Op[]): number[] | undefined {
  const uses = filled(ops.length, 0);
  let candidates = 0;
  for (let index = 0; index < ops.length; index++) {
    const op = ops[index]!;
    if (mayBeFloat(op)) candidates++;
    for (let place = 0; place < op.args.length; place++) uses[op.args[place]!]! |= useOf(op, place);
  }
  if (candidates === 0) return undefined;
  let chosen = 0;
  for (let index = 0; index < ops.length; index++) {
    const use = uses[index]!;
    const op = ops[index]!;
    // A word copied from memory to memory stays an integer; a register that is stored comes as what it is kept as.
    const wanted = op.name === 'get' ? Use.move | Use.float : Use.float;
    const yes = (use & Use.other) === 0 && (use & wanted) !== 0 && mayBeFloat(op);
    uses[index] = yes ? 1 : 0;
    if (yes) chosen++;
  }
  return chosen === 0 ? undefined : uses;
}

/** Whether the block touches such registers at all. */
function hasFloats(ops: readonly Op[]): boolean {
  for (let index = 0; index < ops.length; index++) {
    const op = ops[index]!;
    if ((op.name === 'get' || op.name === 'set') && op.slot!.file.type === 'f64') return true;
  }
  return false;
}

function run(block: Block): Block {
  const chosen = hasFloats(block.ops) ? choose(block.ops) : undefined;
  if (chosen === undefined) return block;
  const rewriter = new Rewriter(block);
  for (let index = 0; index < block.ops.length; index++) {
    const old = block.ops[index]!;
    const op = rewriter.renamed(old);
    const moved = op.name === 'store' ? old.args[1]! : (old.args[0] ?? index);
    if (chosen[index] === 1)
      rewriter.replace(
        index,
        op.name === 'load' ? makeOp({ ...op, type: 'f64', signed: false }) : copyOp(op, op.args, 'f64'),
      );
    else if (old.args.length === 0 || chosen[moved] === 0) rewriter.replace(index, op);
    else if (op.name === 'bitcast') rewriter.drop(index, op.args[0]!);
    else rewriter.replace(index, copyOp(op, op.args, 'f64'));
  }
  return rewriter.finish();
}

export const floatMoves: Pass = {
  name: 'float-moves',
  prose: 'Moves doubles between memory and floating-point registers as doubles, where their bits are not looked at.',
  run,
};
