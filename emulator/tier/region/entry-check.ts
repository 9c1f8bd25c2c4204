import { FloatFlag } from '../../bits/float-format.ts';
import { Effect, effects } from '../../pass/effects.ts';
import { PAGE_SIZE, STATE, TLB, TLB_ENTRIES, TLB_ENTRY_SIZE, TlbEntry } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import { Status } from './status.ts';
import type { RegionNode } from './node.ts';
import type { Circumstances, Present } from './translate.ts';

/**
 * Code that returns at once when modes, flags or pages are not those that the region was made for. `pages`: guest addresses; `records`: for each page
 * that has to be where it was, the global with the address of its decoded records; `scratch`: an i32 local.
 */
export function writeEntryCheck(
  fn: FunctionBuilder,
  { modes, inexactAccrued }: Circumstances,
  pages: readonly number[],
  records: readonly number[],
  scratch: number,
): void {
  for (const [offset, value] of modes) {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + offset });
    fn.i32Const(value | 0);
    fn.op('i32.ne');
    refuse(fn);
  }
  for (let at = 0; at < records.length; at++) {
    const pc = pages[at]!;
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.fetchTlb });
    fn.localTee(scratch);
    const entry = entryOf(pc);
    fn.load('i64.load', { offset: entry + TlbEntry.execute });
    fn.i64Const(pc);
    fn.op('i64.ne');
    fn.localGet(scratch);
    fn.load('i32.load', { offset: entry + TlbEntry.code });
    fn.globalGet(records[at]!);
    fn.op('i32.ne');
    fn.op('i32.or');
    refuse(fn);
  }
  if (!inexactAccrued) return;
  fn.i32Const(0);
  fn.load('i32.load', { offset: STATE + StateOffset.floatFlags });
  fn.i32Const(FloatFlag.inexact);
  fn.op('i32.and');
  fn.op('i32.eqz');
  refuse(fn);
}

/**
 * Leaves behind the helper call that ends a node, for the guest address `end`, when the helper wants that (it withholds the budget), or modes and flags
 * are no longer those of the region, or one of the pages `fenced` is no longer in the first level of the TLB: then a fence may have named it.
 */
export function leaveWhenChanged(
  fn: FunctionBuilder,
  { modes, inexactAccrued }: Circumstances,
  fenced: readonly number[],
  end: number,
  { budget, status, exit }: { readonly budget: number; readonly status: number; readonly exit: Label },
): void {
  fn.localGet(budget);
  fn.op('i32.eqz');
  for (const [offset, value] of modes) {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + offset });
    fn.i32Const(value | 0);
    fn.op('i32.ne');
    fn.op('i32.or');
  }
  if (inexactAccrued) {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.floatFlags });
    fn.i32Const(FloatFlag.inexact);
    fn.op('i32.and');
    fn.op('i32.eqz');
    fn.op('i32.or');
  }
  for (const pc of fenced) {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.fetchTlb });
    fn.load('i64.load', { offset: entryOf(pc) + TlbEntry.execute });
    fn.i64Const(pc);
    fn.op('i64.ne');
    fn.op('i32.or');
  }
  const changed = fn.if(undefined, BranchHint.unlikely);
  fn.i32Const(0);
  fn.i64Const(end);
  fn.store('i64.store', { offset: STATE + StateOffset.pc });
  fn.i32Const(Status.left);
  fn.localSet(status);
  fn.br(exit);
  fn.end(changed);
}

/** What of the circumstances matters to nodes. */
export function neededOf({ modes, inexactAccrued, pageCaches }: Present, nodes: readonly RegionNode[]): Circumstances {
  const needed: (readonly [number, number])[] = [];
  if (nodes.some(({ usesModes }) => usesModes)) needed.push(...modes);
  if (pageCaches !== undefined) needed.push([StateOffset.dataTlb, TLB]);
  return { modes: needed, inexactAccrued: inexactAccrued && usesFloat(nodes) };
}

function usesFloat(nodes: readonly RegionNode[]): boolean {
  for (const { block } of nodes) {
    const { ops } = block;
    for (let index = 0; index < ops.length; index++) if ((effects(ops[index]!) & Effect.flags) !== 0) return true;
  }
  return false;
}

/** Byte offset of a page's entry in its table of the first level. */
function entryOf(pc: number): number {
  return ((pc / PAGE_SIZE) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
}

/** Pops a condition and, when it holds, returns before anything is done. */
function refuse(fn: FunctionBuilder): void {
  const unsuited = fn.if(undefined, BranchHint.unlikely);
  fn.i32Const(Status.unsuited);
  fn.return();
  fn.end(unsuited);
}
