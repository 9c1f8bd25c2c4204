import {
  GUEST,
  L2_TLB_REPLACEMENT,
  PAGE_SIZE,
  PERMISSION,
  Permission,
  STATE,
  TLB,
  TLB_CONTEXT_SIZE,
  TLB_CONTROL,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_WRITTEN,
  TLB_WRITTEN_GLOBAL,
  TLB_WRITTEN_MOST,
  TLB_WRITTEN_PAGE,
  TLB_WRITTEN_SHIFT,
  TlbControl,
  TlbEntry,
} from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import type { FunctionBuilder, Label } from '../wasm/function.ts';
import { ValType } from '../wasm/type.ts';
import { L2_LEVELS, RIGHTS } from './l2-tlb.ts';
import { Access } from './regime.ts';
import { type ReplacementPolicy, treeBits } from './replacement.ts';

const { i32, i64 } = ValType;
const PAGE_MASK = -PAGE_SIZE;
export const PAGE_SHIFT = Math.log2(PAGE_SIZE);
/** Bits of an index into a page table. */
export const INDEX_BITS = 9;

/** Beside an Access: a store to a page with code is served too. The first level does not get to know that it may be stored to. */
export const EVEN_CODE = 8;

/** What is known of an address that misses the first level: locals. */
export interface MissLocals {
  /** i32: the address's low half. */
  readonly low: number;
  /** i64: its page number, as tags have it. */
  readonly page: number;
  /** i32: linear address of the page. */
  readonly linear: number;
  /** i32: address of the first-level table in force for the access, and its number. */
  readonly table: number;
  readonly context: number;
  /** i32: Access bits in that table. */
  readonly allowed: number;
  /** i32: Access.write where the page has code, else 0. */
  readonly code: number;
  /** i32: TLB_WRITTEN_GLOBAL where the page is in all address spaces, else 0. */
  readonly global: number;
}

/** Declares the locals, of an address whose low half is in `low`. */
export function missLocals(fn: FunctionBuilder, low: number): MissLocals {
  return {
    low,
    page: fn.local(i64),
    linear: fn.local(i32),
    table: fn.local(i32),
    context: fn.local(i32),
    allowed: fn.local(i32),
    code: fn.local(i32),
    global: fn.local(i32),
  };
}

/** Sets `page` from the halves of the address. */
export function writePage(fn: FunctionBuilder, { low, page }: MissLocals, high: number): void {
  fn.localGet(high);
  fn.op('i64.extend_i32_s');
  fn.i64Const(32 - PAGE_SHIFT);
  fn.op('i64.shl');
  pushShifted(fn, low, 'i32.shr_u', PAGE_SHIFT);
  fn.op('i64.extend_i32_u');
  fn.op('i64.or');
  fn.localSet(page);
}

/** Sets `table` and `context` for an Access, in a local. */
export function writeTable(fn: FunctionBuilder, { table, context }: MissLocals, access: number): void {
  fn.i32Const(0);
  fn.load('i32.load', { offset: STATE + StateOffset.fetchTlb });
  fn.i32Const(0);
  fn.load('i32.load', { offset: STATE + StateOffset.dataTlb });
  fn.localGet(access);
  fn.i32Const(Access.execute);
  fn.op('i32.and');
  fn.select();
  fn.localTee(table);
  fn.i32Const(TLB);
  fn.op('i32.sub');
  fn.i32Const(Math.log2(TLB_CONTEXT_SIZE));
  fn.op('i32.shr_u');
  fn.localSet(context);
}

/**
 * Sets `allowed` from the rights in all tables, which are on the stack, less stores where there is code; pushes whether that is not enough for an
 * Access, perhaps with EVEN_CODE. `linear`: of the page, or a word that has more below.
 */
export function writeAllowed(
  fn: FunctionBuilder,
  { linear, context, allowed, code }: MissLocals,
  access: number,
): void {
  // Those of machine mode, whose addresses are not translated, are always clear.
  fn.localGet(context);
  fn.i32Const(RIGHTS);
  fn.op('i32.mul');
  fn.op('i32.shr_u');
  fn.localSet(allowed);
  fn.localGet(linear);
  fn.i32Const(GUEST);
  fn.op('i32.sub');
  fn.i32Const(PAGE_SHIFT);
  fn.op('i32.shr_u');
  fn.load('i32.load8_u', { offset: PERMISSION });
  fn.i32Const(Permission.code);
  fn.op('i32.and');
  fn.i32Const(Math.log2(Permission.code / Access.write));
  fn.op('i32.shr_u');
  fn.localSet(code);
  // Stores to pages with code are for JavaScript, but it may ask where they go.
  fn.localGet(allowed);
  fn.localGet(code);
  pushShifted(fn, access, 'i32.shr_u', Math.log2(EVEN_CODE / Access.write));
  fn.i32Const(-1);
  fn.op('i32.xor');
  fn.op('i32.and');
  pushWithout(fn);
  pushMasked(fn, access, Access.read | Access.write | Access.execute);
  fn.op('i32.and');
  fn.op('i32.eqz');
  fn.localGet(allowed);
  fn.localGet(code);
  pushWithout(fn);
  fn.localSet(allowed);
}

/** Of two masks on the stack, the first without the bits of the second. */
function pushWithout(fn: FunctionBuilder): void {
  fn.i32Const(-1);
  fn.op('i32.xor');
  fn.op('i32.and');
}

/** Sets `global` from the word on the stack, in which `bit` says so. */
export function writeGlobal(fn: FunctionBuilder, { global }: MissLocals, bit: number): void {
  fn.i32Const(Math.log2(bit));
  fn.op('i32.shr_u');
  fn.i32Const(1);
  fn.op('i32.and');
  fn.i32Const(Math.log2(TLB_WRITTEN_GLOBAL));
  fn.op('i32.shl');
  fn.localSet(global);
}

/** Does what `L1Tlb.fill` does, large pages apart (note-code.ts). */
export function writeFill(fn: FunctionBuilder, locals: MissLocals): void {
  const { low, page, linear, table, allowed } = locals;
  const addend = fn.local(i32);
  const entry = fn.local(i32);
  const tag = fn.local(i64);
  fn.localGet(linear);
  pushMasked(fn, low, PAGE_MASK);
  fn.op('i32.sub');
  fn.localSet(addend);
  pushShifted(fn, low, 'i32.shr_u', Math.log2(PAGE_SIZE / TLB_ENTRY_SIZE));
  fn.i32Const((TLB_ENTRIES - 1) * TLB_ENTRY_SIZE);
  fn.op('i32.and');
  fn.localGet(table);
  fn.op('i32.add');
  fn.localSet(entry);
  fn.localGet(page);
  fn.i64Const(PAGE_SHIFT);
  fn.op('i64.shl');
  fn.localSet(tag);
  // What was decoded from the page stays known where the entry has led there all along.
  fn.localGet(entry);
  fn.i32Const(0);
  fn.localGet(entry);
  fn.load('i32.load', { offset: TlbEntry.code });
  fn.localGet(entry);
  fn.load('i64.load', { offset: TlbEntry.execute });
  fn.localGet(tag);
  fn.op('i64.ne');
  fn.localGet(entry);
  fn.load('i32.load', { offset: TlbEntry.addend });
  fn.localGet(addend);
  fn.op('i32.ne');
  fn.op('i32.or');
  fn.select();
  fn.store('i32.store', { offset: TlbEntry.code });
  for (const [offset, right] of [
    [TlbEntry.read, Access.read],
    [TlbEntry.write, Access.write],
    [TlbEntry.execute, Access.execute],
  ] as const) {
    fn.localGet(entry);
    fn.localGet(tag);
    fn.i64Const(-1);
    pushMasked(fn, allowed, right);
    fn.select();
    fn.store('i64.store', { offset });
  }
  fn.localGet(entry);
  fn.localGet(addend);
  fn.store('i32.store', { offset: TlbEntry.addend });
  writeNote(fn, locals);
}

/** Adds an entry to the list of those written in its table, which is no longer kept once it is full. */
function writeNote(fn: FunctionBuilder, { context, low, linear, global }: MissLocals): void {
  const counts = { offset: TLB_CONTROL + TlbControl.writtenCounts };
  const count = fn.local(i32);
  pushShifted(fn, context, 'i32.shl', 2);
  fn.load('i32.load', counts);
  fn.localTee(count);
  fn.i32Const(TLB_WRITTEN_MOST - 1);
  fn.op('i32.lt_u');
  const few = fn.if();
  pushShifted(fn, context, 'i32.shl', Math.log2(4 * TLB_WRITTEN_MOST));
  pushShifted(fn, count, 'i32.shl', 2);
  fn.op('i32.add');
  pushShifted(fn, low, 'i32.shr_u', PAGE_SHIFT);
  fn.i32Const(TLB_ENTRIES - 1);
  fn.op('i32.and');
  pushShifted(fn, linear, 'i32.shl', TLB_WRITTEN_SHIFT);
  fn.i32Const(TLB_WRITTEN_PAGE);
  fn.op('i32.and');
  fn.op('i32.or');
  fn.localGet(global);
  fn.op('i32.or');
  fn.store('i32.store', { offset: TLB_WRITTEN });
  pushShifted(fn, context, 'i32.shl', 2);
  fn.localGet(count);
  fn.i32Const(1);
  fn.op('i32.add');
  fn.store('i32.store', counts);
  fn.else();
  pushShifted(fn, context, 'i32.shl', 2);
  fn.i32Const(TLB_WRITTEN_MOST);
  fn.store('i32.store', counts);
  fn.end(few);
}

/** Does what the policy's `Replacement.touch` does. */
export function writeTouch(
  fn: FunctionBuilder,
  policy: ReplacementPolicy,
  set: number,
  way: number,
  ways: number,
): void {
  switch (policy) {
    case 'random':
      return;
    case 'pseudo-lru': {
      const { keep, put } = treeBits(way, ways);
      const tree = { offset: L2_TLB_REPLACEMENT };
      pushShifted(fn, set, 'i32.shl', 2);
      pushShifted(fn, set, 'i32.shl', 2);
      fn.load('i32.load', tree);
      fn.i32Const(keep);
      fn.op('i32.and');
      fn.i32Const(put);
      fn.op('i32.or');
      fn.store('i32.store', tree);
      return;
    }
    default:
      // Both stamp by age.
      increment(fn, TlbControl.uses);
      pushShifted(fn, set, 'i32.shl', Math.log2(8 * ways));
      fn.i32Const(0);
      fn.load('f64.load', { offset: TLB_CONTROL + TlbControl.uses });
      fn.store('f64.store', { offset: L2_TLB_REPLACEMENT + 8 * way });
  }
}

/** Ends a loop over the levels of pages, of which `level` is the one that it was about. */
export function endLevels(fn: FunctionBuilder, level: number, next: Label): void {
  fn.localGet(level);
  fn.i32Const(1);
  fn.op('i32.add');
  fn.localTee(level);
  fn.i32Const(L2_LEVELS);
  fn.op('i32.lt_u');
  fn.brIf(next);
  fn.end(next);
}

/** Pushes an address (i64) that is given by its halves. */
export function pushAddress(fn: FunctionBuilder, low: number, high: number): void {
  fn.localGet(high);
  fn.op('i64.extend_i32_u');
  fn.i64Const(32);
  fn.op('i64.shl');
  fn.localGet(low);
  fn.op('i64.extend_i32_u');
  fn.op('i64.or');
}

/** Pushes the number (i64) of the first page of the large page of a level that a page is in. */
export function pushFirst(fn: FunctionBuilder, page: number, level: number): void {
  fn.localGet(page);
  fn.i64Const(-1);
  fn.localGet(level);
  fn.i32Const(INDEX_BITS);
  fn.op('i32.mul');
  fn.op('i64.extend_i32_u');
  fn.op('i64.shl');
  fn.op('i64.and');
}

/** `levelHash` of l2-tlb.ts, of such a number. */
export function pushLevelHash(fn: FunctionBuilder, first: number, level: number): void {
  fn.localGet(first);
  fn.op('i32.wrap_i64');
  for (const shift of [INDEX_BITS, 2 * INDEX_BITS]) {
    fn.localGet(first);
    fn.op('i32.wrap_i64');
    fn.i32Const(shift);
    fn.op('i32.shr_u');
    fn.op('i32.xor');
  }
  fn.localGet(level);
  fn.op('i32.xor');
}

/** Adds one to a number (f64) of TlbControl. */
export function increment(fn: FunctionBuilder, number: number): void {
  const at = { offset: TLB_CONTROL + number };
  fn.i32Const(0);
  fn.i32Const(0);
  fn.load('f64.load', at);
  fn.f64Const(1);
  fn.op('f64.add');
  fn.store('f64.store', at);
}

export function pushControl(fn: FunctionBuilder, word: number): void {
  fn.i32Const(0);
  fn.load('i32.load', { offset: TLB_CONTROL + word });
}

/** The same of 64 bits. */
export function pushWide(fn: FunctionBuilder, number: number): void {
  fn.i32Const(0);
  fn.load('i64.load', { offset: TLB_CONTROL + number });
}

export function pushShifted(fn: FunctionBuilder, local: number, op: 'i32.shl' | 'i32.shr_u', by: number): void {
  fn.localGet(local);
  fn.i32Const(by);
  fn.op(op);
}

/**
 * Puts in place of the number of a large page (i64, on the stack) which byte its level has for it in the filter, as large-pages.ts chooses that.
 * `number`: an i32 local.
 */
export function replaceByFilterIndex(fn: FunctionBuilder, number: number, bits: number): void {
  fn.op('i32.wrap_i64');
  fn.localTee(number);
  pushShifted(fn, number, 'i32.shr_u', bits);
  fn.op('i32.xor');
  fn.i32Const((1 << bits) - 1);
  fn.op('i32.and');
}

export function pushMasked(fn: FunctionBuilder, local: number, mask: number): void {
  fn.localGet(local);
  fn.i32Const(mask);
  fn.op('i32.and');
}
