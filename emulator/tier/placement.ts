import type { Block, Op } from '../ir/block.ts';
import { rowOf } from '../ir/op.ts';
import { REGISTERS } from '../layout/state.ts';
import { filled } from '../pass/rewriter.ts';

export interface Placement {
  /** How often each value is used as an argument of an op that is itself computed. */
  readonly uses: readonly number[];
  /** 1 for values computed where they are used (or, unused and pure, never). */
  readonly delayed: readonly number[];
}

/**
 * Decides which values are computed at their use. Pure values with one use are; so is a register read unless a write that could hit the
 * same register, or a call, stands between it and the place where the tree it is part of is computed. `forgone`: ops that do without
 * their first argument. `isFree`: whether reading a register costs nothing, so that it is done for each use.
 */
export function placeValues(block: Block, forgone?: ReadonlySet<Op>, isFree?: (get: Op) => boolean): Placement {
  const { ops } = block;
  const count = ops.length;
  // Ordinary arrays: typed ones are not made within V8's heap (see pass/rewriter.ts).
  const uses = filled(count, 0);
  const delayed = filled(count, 0);
  /** Where the last use of a value is written. */
  const last = filled(count, -1);

  for (let index = count - 1; index >= 0; index--) {
    const op = ops[index]!;
    const { effect } = rowOf(op);
    /** Where the code of the value is written. */
    let place = index;
    const movable = effect === 'none' || effect === 'reads';
    if (op.name === 'const') {
      delayed[index] = 1;
    } else if (movable && uses[index] === 0) {
      delayed[index] = 1;
      continue;
    } else if (movable && (uses[index] === 1 || (op.name === 'get' && isFree?.(op) === true))) {
      const at = last[index]!;
      if (stays(ops, op, index, at)) {
        delayed[index] = 1;
        place = at;
      }
    }
    for (let at = forgone?.has(op) === true ? 1 : 0; at < op.args.length; at++) {
      const argument = op.args[at]!;
      uses[argument]!++;
      if (place > last[argument]!) last[argument] = place;
    }
  }
  return { uses, delayed };
}

/** Whether the op gives the same value at `to` as at `from`. */
function stays(ops: readonly Op[], op: Op, from: number, to: number): boolean {
  if (op.name === 'get') return !overwritten(ops, op, from, to);
  if (op.name !== 'pc' && op.name !== 'next_pc') return true;
  for (let index = from + 1; index < to; index++) if (ops[index]!.name === 'insn') return false;
  return true;
}

function overwritten(ops: readonly Op[], read: Op, from: number, to: number): boolean {
  for (let index = from + 1; index < to; index++) {
    const op = ops[index]!;
    if (op.name === 'call') return true;
    const slot = read.slot!;
    // The accrued flags may be a register of the guest too.
    if (rowOf(op).effect === 'flags' && slot.file.offset < REGISTERS) return true;
    if (op.name !== 'set') continue;
    const written = op.slot!;
    if (written.file !== slot.file) continue;
    if (typeof written.index !== 'number' || typeof slot.index !== 'number' || written.index === slot.index)
      return true;
  }
  return false;
}
