import type { FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { Count } from './counted-loops.ts';
import type { RegisterLocals } from './register-locals.ts';

/**
 * Pushes how many turns in a row, from the loop's head on, are followed by another one: an i64 from 0 on. It may be too few, when the counter wraps around
 * before it comes to its bound, but not too many.
 */
export function pushTurns(fn: FunctionBuilder, count: Count, registers: Pick<RegisterLocals, 'readAt'>): void {
  const { counter, offset, step, isNarrow, relation, isSigned, bound, boundOffset } = count;
  const [first, limit] = [fn.takeLocal(ValType.i64), fn.takeLocal(ValType.i64)];
  registers.readAt(counter);
  if (isNarrow) fn.op('i64.extend32_s');
  add(fn, offset);
  fn.localSet(first);
  if (bound === undefined) fn.i64Const(0);
  else registers.readAt(bound);
  add(fn, boundOffset);
  fn.localSet(limit);
  const [low, high] = step > 0 ? [first, limit] : [limit, first];
  const distance = fn.takeLocal(ValType.i64);
  fn.localGet(high);
  fn.localGet(low);
  fn.op('i64.sub');
  fn.localSet(distance);
  // The turns, if there are any.
  const size = Math.abs(step);
  const rounded = relation === 'lt' || relation === 'gt' ? -1 : 0;
  fn.localGet(distance);
  add(fn, rounded);
  fn.i64Const(size);
  fn.op('i64.div_u');
  if (relation !== 'ne') add(fn, 1);
  fn.i64Const(0);
  // Whether there are. A counter of 64 bits that goes away from what it must not equal comes to it all around them, after so many turns or never.
  if (relation === 'ne') {
    fn.i32Const(1);
  } else {
    fn.localGet(low);
    fn.localGet(high);
    fn.op(`i64.${rounded === 0 ? 'le' : 'lt'}_${isSigned ? 's' : 'u'}`);
  }
  if (isNarrow) {
    // One of 32 bits goes the whole way between two numbers of as many.
    fn.localGet(low);
    fn.localGet(high);
    fn.op('i64.le_s');
    fn.op('i32.and');
    for (const local of [first, limit]) {
      fn.localGet(local);
      fn.localGet(local);
      fn.op('i64.extend32_s');
      fn.op('i64.eq');
      fn.op('i32.and');
    }
  }
  fn.select();
  for (const local of [first, limit, distance]) fn.freeLocal(local);
}

function add(fn: FunctionBuilder, amount: number): void {
  if (amount === 0) return;
  fn.i64Const(amount);
  fn.op('i64.add');
}

/** What the turns that are done at once need of the function they are in. */
export interface CountedFrame {
  /** Local: what is left of the budget, no less than `longest`. */
  readonly budget: number;
  /** Instructions that the budget must still be good for behind them. */
  readonly longest: number;
  /** Instructions of a turn, and turns in one round of the code. */
  readonly instructions: number;
  readonly copies: number;
}

/** Leaves in `stop` (i32 local) what the budget comes down to by rounds of turns that are surely followed by another one, as many as it is good for. */
export function writeStop(
  fn: FunctionBuilder,
  count: Count,
  registers: RegisterLocals,
  stop: number,
  { budget, longest, instructions, copies }: CountedFrame,
): void {
  const [turns, paid] = [fn.takeLocal(ValType.i64), fn.takeLocal(ValType.i64)];
  pushTurns(fn, count, registers);
  fn.localSet(turns);
  fn.localGet(budget);
  fn.i32Const(longest);
  fn.op('i32.sub');
  fn.i32Const(instructions);
  fn.op('i32.div_u');
  fn.op('i64.extend_i32_u');
  fn.localTee(paid);
  fn.localGet(turns);
  fn.localGet(paid);
  fn.localGet(turns);
  fn.op('i64.lt_u');
  fn.select();
  fn.op('i32.wrap_i64');
  fn.i32Const(copies);
  fn.op('i32.div_u');
  fn.i32Const(copies * instructions);
  fn.op('i32.mul');
  fn.localSet(stop);
  fn.localGet(budget);
  fn.localGet(stop);
  fn.op('i32.sub');
  fn.localSet(stop);
  for (const local of [turns, paid]) fn.freeLocal(local);
}
