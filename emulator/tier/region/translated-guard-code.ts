import { PAGE_SIZE, TlbEntry } from '../../layout/memory-map.ts';
import { BranchHint, type FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import { compareTag } from '../tlb-path.ts';
import type { GuardedPointer, LoopGuard } from './loop-guard.ts';
import type { RegisterLocals } from './register-locals.ts';

/** What the code of a guard behind address translation needs of the function it is in; all are locals. */
export interface TranslatedGuardFrame {
  /** i32: the TLB table for loads and stores. */
  readonly table: number;
  /** i32 each: what makes a guest address that counts from this pointer a linear one. */
  readonly addends: readonly number[];
  /** i32: becomes whether all pointers' pages are known. */
  readonly isCovered: number;
  /** i32: becomes how many turns may follow the first. */
  readonly turns: number;
}

/** Turns that the loop takes without its guard when that was refused: at the end of a page, or where the TLB does not know one. */
const UNCOVERED_TURNS = 16;
/** When no pointer moves: the budget comes to its end before. */
const MANY_TURNS = 1 << 20;

/**
 * Writes the look into the TLB for all pointers of a loop, each of which may be anywhere in its page, and how many turns they stay there. Nothing
 * refuses for good: a turn that runs on into another page, or meets a page unknown or forbidden, is for accesses that look for themselves.
 */
export function writeTranslatedGuard(
  fn: FunctionBuilder,
  { pointers }: LoopGuard,
  registers: RegisterLocals,
  { table, addends, isCovered, turns }: TranslatedGuardFrame,
): void {
  const address = fn.takeLocal(ValType.i64);
  const entry = fn.takeLocal(ValType.i32);
  const most = fn.takeLocal(ValType.i32);
  fn.i32Const(0);
  fn.localSet(isCovered);
  fn.i32Const(UNCOVERED_TURNS - 1);
  fn.localSet(turns);
  fn.i32Const(MANY_TURNS);
  fn.localSet(most);
  const refused = fn.block();
  pointers.forEach((pointer, position) => {
    const { register, low, high, stride, write } = pointer;
    registers.readAt(register);
    if (low !== 0) {
      fn.i64Const(low);
      fn.op('i64.add');
    }
    fn.localSet(address);
    const tag = write ? TlbEntry.write : TlbEntry.read;
    compareTag(fn, address, entry, { tag, bytes: high - low, natural: false }, () => fn.localGet(table));
    fn.brIf(refused, BranchHint.unlikely);
    fn.localGet(entry);
    fn.load('i32.load', { offset: TlbEntry.addend });
    fn.localSet(addends[position]!);
    if (stride !== 0) keepLess(fn, most, () => pushTurns(fn, address, pointer));
  });
  fn.localGet(most);
  fn.localSet(turns);
  fn.i32Const(1);
  fn.localSet(isCovered);
  fn.end(refused);
  for (const local of [address, entry, most]) fn.freeLocal(local);
}

/** Pushes how many times a pointer moves on within its page. `address`: i64 local, of the lowest byte that the next turn accesses. */
function pushTurns(fn: FunctionBuilder, address: number, { low, high, stride }: GuardedPointer): void {
  // The first turn ends in the page, so nothing here is negative.
  if (stride > 0) fn.i32Const(PAGE_SIZE - (high - low));
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.i32Const(PAGE_SIZE - 1);
  fn.op('i32.and');
  if (stride > 0) fn.op('i32.sub');
  fn.i32Const(Math.abs(stride));
  fn.op('i32.div_u');
}

/** Leaves the lesser of an i32 local and what is pushed in the local. */
function keepLess(fn: FunctionBuilder, local: number, push: () => void): void {
  const other = fn.takeLocal(ValType.i32);
  push();
  fn.localTee(other);
  fn.localGet(local);
  fn.localGet(other);
  fn.localGet(local);
  fn.op('i32.lt_u');
  fn.select();
  fn.localSet(local);
  fn.freeLocal(other);
}
