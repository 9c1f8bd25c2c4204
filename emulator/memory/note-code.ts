import {
  LARGE_FILTER,
  LARGE_NOTES,
  LARGE_PENDING,
  LARGE_PENDING_SIZE,
  TLB_LARGE_FILTER,
  TLB_LARGE_NOTES,
  TLB_LARGE_PENDING,
} from '../layout/memory-map.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { FILTERS, NOTE_LEVEL, NOTE_SHIFTS } from './large-pages.ts';
import { INDEX_BITS, PAGE_SHIFT, pushShifted, replaceByFilterIndex } from './tlb-code.ts';

const { i32, i64 } = ValType;
/** The bit of a note where the level begins. */
const LEVEL = 32 + NOTE_LEVEL;

/** A large page, and the table of the first level that is to have a part of it: locals. */
interface LargePageLocals {
  /** i32: number of the table. */
  readonly context: number;
  /** i64: number of the page's first page. */
  readonly first: number;
  /** i32: its level, above 0. */
  readonly level: number;
}

/** Branches where a large page is neither noted for the table nor can be by generated code; nothing has changed then. */
export function refuseUnlessNoted(
  fn: FunctionBuilder,
  note: FunctionBuilder,
  locals: LargePageLocals,
  refused: Label,
): void {
  pushNoteAt(fn, locals);
  fn.load('i64.load', { offset: TLB_LARGE_NOTES });
  pushTag(fn, locals);
  fn.op('i64.ne');
  const isNew = fn.if(undefined, BranchHint.unlikely);
  for (const local of [locals.context, locals.first, locals.level]) fn.localGet(local);
  fn.call(note);
  fn.op('i32.eqz');
  fn.brIf(refused, BranchHint.unlikely);
  fn.end(isNew);
}

/**
 * A function that notes a large page as `LargePages.add` does, of a table, its first page and its level: 1 when it has, 0 when the list of pending ones
 * is full. Fences of an address in it are JavaScript's from then on, which takes the list over first.
 */
export function defineNote(module: ModuleBuilder): FunctionBuilder {
  const fn = module.function('note', [i32, i64, i32], [i32]);
  const locals: LargePageLocals = { context: 0, first: 1, level: 2 };
  const { context, first, level } = locals;
  const list = fn.local(i32);
  const count = fn.local(i32);
  const number = fn.local(i32);
  pushShifted(fn, context, 'i32.shl', Math.log2(LARGE_PENDING_SIZE));
  fn.localTee(list);
  fn.load('i32.load', { offset: TLB_LARGE_PENDING });
  fn.localTee(count);
  fn.i32Const(LARGE_PENDING);
  fn.op('i32.ge_u');
  const full = fn.if(undefined, BranchHint.unlikely);
  fn.i32Const(0);
  fn.return();
  fn.end(full);
  pushNoteAt(fn, locals);
  pushTag(fn, locals);
  fn.store('i64.store', { offset: TLB_LARGE_NOTES });
  fn.localGet(list);
  pushShifted(fn, count, 'i32.shl', 3);
  fn.op('i32.add');
  pushTag(fn, locals);
  fn.store('i64.store', { offset: TLB_LARGE_PENDING + 8 });
  fn.localGet(list);
  fn.localGet(count);
  fn.i32Const(1);
  fn.op('i32.add');
  fn.store('i32.store', { offset: TLB_LARGE_PENDING });
  for (const { shift, at, bits } of FILTERS) {
    const filtered = (shift - PAGE_SHIFT) / INDEX_BITS;
    if (!Number.isInteger(filtered)) continue;
    fn.localGet(level);
    fn.i32Const(filtered);
    fn.op('i32.eq');
    const here = fn.if();
    fn.localGet(first);
    fn.i64Const(shift - PAGE_SHIFT);
    fn.op('i64.shr_s');
    replaceByFilterIndex(fn, number, bits);
    pushShifted(fn, context, 'i32.shl', Math.log2(LARGE_FILTER));
    fn.op('i32.add');
    fn.i32Const(1);
    fn.store('i32.store8', { offset: TLB_LARGE_FILTER + at });
    fn.end(here);
  }
  fn.i32Const(1);
  return fn;
}

/** Bytes from TLB_LARGE_NOTES to where the page's note would be. */
function pushNoteAt(fn: FunctionBuilder, { context, first, level }: LargePageLocals): void {
  fn.localGet(context);
  fn.i32Const(LARGE_NOTES);
  fn.op('i32.mul');
  fn.localGet(level);
  for (const shift of NOTE_SHIFTS) {
    fn.localGet(first);
    fn.op('i32.wrap_i64');
    fn.i32Const(shift);
    fn.op('i32.shr_u');
    fn.op('i32.xor');
  }
  fn.i32Const(LARGE_NOTES - 1);
  fn.op('i32.and');
  fn.op('i32.add');
  fn.i32Const(3);
  fn.op('i32.shl');
}

function pushTag(fn: FunctionBuilder, { first, level }: LargePageLocals): void {
  fn.localGet(first);
  fn.i64Const((1n << BigInt(LEVEL)) - 1n);
  fn.op('i64.and');
  fn.localGet(level);
  fn.op('i64.extend_i32_u');
  fn.i64Const(LEVEL);
  fn.op('i64.shl');
  fn.op('i64.or');
}
