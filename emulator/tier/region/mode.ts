import type { Block, Op, Value } from '../../ir/block.ts';
import { rowOf } from '../../ir/op.ts';
import { floatInlinable } from '../lower-float.ts';

/**
 * How a region holds an instruction. `inline`: its common course only, and the interpreter runs it when that is not enough; so everything
 * that may refuse comes before everything that has an effect. `full`: with its slow paths written out. `none`: not at all.
 */
export type RegionMode = 'inline' | 'full' | 'none';

/** The mode for the ops [first, end) of a block, which are those of one instruction. `holdsCall`: helpers that regions call; none unless given. */
export function regionMode(
  ops: readonly Op[],
  first: number,
  end: number,
  inexactAccrued: boolean,
  holdsCall: (helper: string) => boolean = () => false,
): RegionMode {
  let effects = false;
  let mode: RegionMode = 'inline';
  let constant: ((value: Value) => bigint | undefined) | undefined;
  for (let index = first; index < end; index++) {
    const op = ops[index]!;
    const { effect } = rowOf(op);
    if (effect === 'none' || effect === 'reads') {
      if (op.type === 'v128' || op.name === 'fclass') mode = 'full';
      continue;
    }
    if (op.name === 'trap' || (op.name === 'call' && !holdsCall(op.helper!))) return 'none';
    if (op.name === 'call') {
      mode = 'full';
      effects = true;
      continue;
    }
    const refuses = (effect === 'memory' && op.name !== 'fence') || effect === 'flags' || op.name === 'trap_if';
    if ((refuses && effects) || needsSlowPath(op)) mode = 'full';
    else if (effect === 'flags') {
      constant ??= (value) => (ops[value]!.name === 'const' ? ops[value]!.bits : undefined);
      if (!floatInlinable(op, constant, inexactAccrued)) mode = 'full';
    }
    if (effect === 'writes' || op.name === 'store') effects = true;
  }
  return mode;
}

/** Tells whether the instruction of a block that an op belongs to is held `inline`. `refused`: addresses of those that are not to be. */
export function inlineOps({ ops }: Block, refused: ReadonlySet<number>, inexactAccrued: boolean): (op: Op) => boolean {
  let full: Set<Op> | undefined;
  return (op) => !(full ??= fullOps(ops, refused, inexactAccrued)).has(op);
}

function fullOps(ops: readonly Op[], refused: ReadonlySet<number>, inexactAccrued: boolean): Set<Op> {
  const full = new Set<Op>();
  for (let first = 0; first < ops.length;) {
    let end = first + 1;
    while (end < ops.length && ops[end]!.name !== 'insn') end++;
    const { pc } = ops[first]!;
    const isRefused = refused.size > 0 && pc !== undefined && refused.has(Number(BigInt.asIntN(64, pc)));
    if (isRefused || regionMode(ops, first, end, inexactAccrued) !== 'inline')
      for (let at = first; at < end; at++) full.add(ops[at]!);
    first = end;
  }
  return full;
}

/** Ops without a common course short enough to be written in line, or whose own code has effects before it refuses. */
function needsSlowPath(op: Op): boolean {
  switch (op.name) {
    case 'load_reserved':
    case 'store_conditional':
    case 'atomic_rmw':
    case 'atomic_cas':
      return true;
    default:
      return op.type === 'v128';
  }
}
