import { assert } from '../../check/assert.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import { pageRoom } from '../page-check.ts';
import type { GuardedPointer, LoopGuard } from './loop-guard.ts';
import type { RegisterLocals } from './register-locals.ts';

/** What the code of a guard needs of the function it is in. */
export interface GuardFrame {
  /** Local: what is left of the budget. The guard leaves in it what lasts for the turns that were checked. */
  readonly budget: number;
  /** Local: the part of the budget that is put aside for that. */
  readonly rest: number;
  /** Most instructions to the next look at the budget. */
  readonly longest: number;
  /** Code that pops a condition and leaves before the loop's first instruction when it holds. */
  readonly refuseIf: () => void;
}

/** Writes the checks of all pointers of a loop for as many turns as their memory has room for, and keeps back the budget for more. */
export function writeGuard(
  fn: FunctionBuilder,
  { pointers, least }: LoopGuard,
  registers: RegisterLocals,
  guestSize: number,
  { budget, rest, longest, refuseIf }: GuardFrame,
): void {
  const address = fn.takeLocal(ValType.i64);
  const room = fn.takeLocal(ValType.i32);
  const turns = fn.takeLocal(ValType.i32);
  let bounded = false;
  for (const pointer of pointers) {
    writeRoom(fn, pointer, registers, guestSize, { address, room, refuseIf });
    const { stride } = pointer;
    if (stride === 0) continue;
    fn.localGet(room);
    fn.i32Const(Math.abs(stride));
    fn.op('i32.div_u');
    if (bounded) {
      fn.localTee(room);
      fn.localGet(turns);
      fn.localGet(room);
      fn.localGet(turns);
      fn.op('i32.lt_u');
      fn.select();
    }
    fn.localSet(turns);
    bounded = true;
  }
  for (const local of [address, room]) fn.freeLocal(local);
  fn.i32Const(0);
  fn.localSet(rest);
  if (bounded) putAside(fn, turns, least, { budget, rest, longest });
  fn.freeLocal(turns);
}

/**
 * Makes the budget last for a turn and at most `turns` (i32 local) more, each of `least` instructions or longer, and puts the rest aside:
 * budget = min(budget, longest + turns * least).
 */
export function putAside(
  fn: FunctionBuilder,
  turns: number,
  least: number,
  { budget, rest, longest }: Pick<GuardFrame, 'budget' | 'rest' | 'longest'>,
): void {
  const lasting = fn.takeLocal(ValType.i64);
  fn.localGet(budget);
  fn.op('i64.extend_i32_s');
  fn.localGet(turns);
  fn.op('i64.extend_i32_u');
  fn.i64Const(least);
  fn.op('i64.mul');
  fn.i64Const(longest);
  fn.op('i64.add');
  fn.localTee(lasting);
  fn.op('i64.gt_s');
  const more = fn.if();
  fn.localGet(budget);
  fn.localGet(lasting);
  fn.op('i32.wrap_i64');
  fn.localTee(budget);
  fn.op('i32.sub');
  fn.localSet(rest);
  fn.end(more);
  fn.freeLocal(lasting);
}

/** Leaves in `room` how far the pointer may move in its direction. */
function writeRoom(
  fn: FunctionBuilder,
  { register, low, high, stride, write, range }: GuardedPointer,
  registers: RegisterLocals,
  guestSize: number,
  { address, room, refuseIf }: { address: number; room: number; refuseIf: () => void },
): void {
  const extent = high - low;
  registers.readAt(register);
  if (range === undefined) {
    assert(stride >= 0, 'what is looked up lies ahead');
    fn.i64Const(low);
    fn.op('i64.add');
    fn.localSet(address);
    pageRoom(fn, address, room, guestSize, write);
    fn.localGet(room);
    fn.i32Const(extent);
    fn.op('i32.sub');
    fn.localTee(room);
    fn.i32Const(0);
    fn.op('i32.lt_s');
    refuseIf();
    return;
  }
  const most = range.high - range.low - extent;
  fn.i64Const(low - range.low);
  fn.op('i64.add');
  fn.localTee(address);
  fn.i64Const(most);
  fn.op('i64.gt_u');
  refuseIf();
  if (stride === 0) return;
  if (stride > 0) fn.i32Const(most | 0);
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  if (stride > 0) fn.op('i32.sub');
  fn.localSet(room);
}
