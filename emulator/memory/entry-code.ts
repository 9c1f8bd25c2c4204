import {
  L2_GROUP,
  L2_GROUPS,
  L2_TLB,
  L2_TLB_ENTRY_SIZE,
  L2_TLB_REPLACEMENT,
  L2TlbEntry,
  TLB_CONTROL,
  TlbControl,
} from '../layout/memory-map.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { ValType } from '../wasm/type.ts';
import { L2_CONTIGUOUS, L2_FLAGS_SHIFT, L2_LEVEL_SHIFT, type L2TlbOptions } from './l2-tlb.ts';
import type { ReplacementPolicy } from './replacement.ts';
import { Pte } from './sv.ts';
import { increment, pushControl, pushShifted } from './tlb-code.ts';

const { i32, f64 } = ValType;
const POPULATION = { offset: TLB_CONTROL + TlbControl.population };

/** What is to be known of a leaf for it to be entered in the second level: locals. */
export interface EntryLocals {
  /** i64: number of the page, or of the first of a large one. */
  readonly first: number;
  /** i32: its level, and the set that it belongs to. */
  readonly level: number;
  readonly set: number;
  /** i32: linear address of its start, or what a `direct` word has there for a large one that is partial. */
  readonly start: number;
  /** i32: the low byte is the leaf's. */
  readonly flags: number;
  /** i32: what is permitted in all tables, as `direct` words have it. */
  readonly rights: number;
  /** i32: set here. */
  readonly way: number;
}

/** Whether `writeEntry` knows a policy: others draw numbers, which JavaScript does. */
export function isEntered(policy: ReplacementPolicy): boolean {
  return policy === 'lru' || policy === 'pseudo-lru';
}

/** Does what `L2Tlb.insert` and `describe` do for a leaf that the second level does not know. */
export function writeEntry(fn: FunctionBuilder, locals: EntryLocals, options: L2TlbOptions): void {
  const { ways, policy } = options;
  const { first, level, set, start, flags, rights, way } = locals;
  const at = fn.local(i32);
  const owner = (candidate: number) => ({ offset: L2_TLB + candidate * L2_TLB_ENTRY_SIZE + L2TlbEntry.owner });
  if (policy === 'lru') writeOldest(fn, set, way, ways);
  else writeTreeVictim(fn, set, way, ways);
  pushShifted(fn, set, 'i32.shl', Math.log2(ways * L2_TLB_ENTRY_SIZE));
  fn.localSet(at);
  // The first that is empty.
  for (let candidate = ways - 1; candidate >= 0; candidate--) {
    fn.localGet(way);
    fn.i32Const(candidate);
    fn.localGet(at);
    fn.load('i32.load', owner(candidate));
    fn.select();
    fn.localSet(way);
  }
  fn.localGet(at);
  pushShifted(fn, way, 'i32.shl', Math.log2(L2_TLB_ENTRY_SIZE));
  fn.op('i32.add');
  fn.localSet(at);
  writeDrop(fn, at);
  fn.localGet(at);
  fn.localGet(first);
  fn.store('i64.store', { offset: L2_TLB + L2TlbEntry.page });
  fn.localGet(at);
  pushControl(fn, TlbControl.owner);
  fn.localGet(flags);
  fn.i32Const(0xff);
  fn.op('i32.and');
  fn.i32Const(L2_FLAGS_SHIFT);
  fn.op('i32.shl');
  fn.op('i32.or');
  pushShifted(fn, level, 'i32.shl', L2_LEVEL_SHIFT);
  fn.op('i32.or');
  fn.store('i32.store', owner(0));
  fn.localGet(at);
  fn.localGet(start);
  fn.localGet(rights);
  fn.op('i32.or');
  fn.store('i32.store', { offset: L2_TLB + L2TlbEntry.direct });
  writeGroup(fn, locals, ways);
  addToCount(fn, () => pushShifted(fn, level, 'i32.shl', 2), 1);
  writeTouchOf(fn, set, way, options);
}

/** Notes what is of one address space alone. */
function writeGroup(fn: FunctionBuilder, { set, flags }: EntryLocals, ways: number): void {
  const push = (): void => pushShifted(fn, set, 'i32.shr_u', Math.log2(L2_GROUP / ways));
  push();
  push();
  fn.load('i32.load8_u', { offset: L2_GROUPS });
  fn.localGet(flags);
  fn.i32Const(Pte.global);
  fn.op('i32.and');
  fn.op('i32.eqz');
  fn.op('i32.or');
  fn.store('i32.store8', { offset: L2_GROUPS });
}

/** Does what the policy's `Replacement.touch` does for a way in a local. */
export function writeTouchOf(fn: FunctionBuilder, set: number, way: number, { ways, policy }: L2TlbOptions): void {
  if (policy === 'pseudo-lru') writeTreeTouch(fn, set, way, ways);
  else if (policy !== 'random') writeStamp(fn, set, way, ways);
}

/** Takes the entry at `at` out of the counts. */
export function writeDrop(fn: FunctionBuilder, at: number): void {
  const old = fn.local(i32);
  fn.localGet(at);
  fn.load('i32.load', { offset: L2_TLB + L2TlbEntry.owner });
  fn.localTee(old);
  const used = fn.if();
  addToCount(
    fn,
    () => {
      pushShifted(fn, old, 'i32.shr_u', L2_LEVEL_SHIFT - 2);
      fn.i32Const(7 << 2);
      fn.op('i32.and');
    },
    -1,
  );
  fn.localGet(old);
  fn.i32Const(L2_CONTIGUOUS);
  fn.op('i32.and');
  const contiguous = fn.if();
  addToCount(fn, () => fn.i32Const(TlbControl.contiguous - TlbControl.population), -1);
  fn.end(contiguous);
  fn.end(used);
}

/** `push`: bytes from the first count. */
function addToCount(fn: FunctionBuilder, push: () => void, by: number): void {
  push();
  push();
  fn.load('i32.load', POPULATION);
  fn.i32Const(by);
  fn.op('i32.add');
  fn.store('i32.store', POPULATION);
}

/** `LeastRecentlyUsed.victim`. */
function writeOldest(fn: FunctionBuilder, set: number, way: number, ways: number): void {
  const oldest = fn.local(f64);
  const stamp = fn.local(f64);
  const pushStamp = (candidate: number): void => {
    pushShifted(fn, set, 'i32.shl', Math.log2(8 * ways));
    fn.load('f64.load', { offset: L2_TLB_REPLACEMENT + 8 * candidate });
  };
  fn.i32Const(0);
  fn.localSet(way);
  pushStamp(0);
  fn.localSet(oldest);
  for (let candidate = 1; candidate < ways; candidate++) {
    pushStamp(candidate);
    fn.localTee(stamp);
    fn.localGet(oldest);
    fn.op('f64.lt');
    const older = fn.if();
    fn.localGet(stamp);
    fn.localSet(oldest);
    fn.i32Const(candidate);
    fn.localSet(way);
    fn.end(older);
  }
}

/** `LeastRecentlyUsed.touch`. */
function writeStamp(fn: FunctionBuilder, set: number, way: number, ways: number): void {
  increment(fn, TlbControl.uses);
  pushShifted(fn, set, 'i32.shl', Math.log2(8 * ways));
  pushShifted(fn, way, 'i32.shl', 3);
  fn.op('i32.add');
  fn.i32Const(0);
  fn.load('f64.load', { offset: TLB_CONTROL + TlbControl.uses });
  fn.store('f64.store', { offset: L2_TLB_REPLACEMENT });
}

/** `PseudoLru.victim`. */
function writeTreeVictim(fn: FunctionBuilder, set: number, way: number, ways: number): void {
  const tree = fn.local(i32);
  pushShifted(fn, set, 'i32.shl', 2);
  fn.load('i32.load', { offset: L2_TLB_REPLACEMENT });
  fn.localSet(tree);
  fn.i32Const(1);
  fn.localSet(way);
  for (let half = ways; half > 1; half /= 2) {
    pushShifted(fn, way, 'i32.shl', 1);
    fn.localGet(tree);
    fn.localGet(way);
    fn.op('i32.shr_u');
    fn.i32Const(1);
    fn.op('i32.and');
    fn.op('i32.or');
    fn.localSet(way);
  }
  fn.localGet(way);
  fn.i32Const(ways);
  fn.op('i32.sub');
  fn.localSet(way);
}

/** `PseudoLru.touch`: each node on the way down is made to point away from it. */
function writeTreeTouch(fn: FunctionBuilder, set: number, way: number, ways: number): void {
  const tree = fn.local(i32);
  const node = fn.local(i32);
  const turn = fn.local(i32);
  pushShifted(fn, set, 'i32.shl', 2);
  fn.load('i32.load', { offset: L2_TLB_REPLACEMENT });
  fn.localSet(tree);
  fn.i32Const(1);
  fn.localSet(node);
  for (let depth = Math.log2(ways) - 1; depth >= 0; depth--) {
    pushShifted(fn, way, 'i32.shr_u', depth);
    fn.i32Const(1);
    fn.op('i32.and');
    fn.localSet(turn);
    fn.localGet(tree);
    fn.i32Const(1);
    fn.localGet(node);
    fn.op('i32.shl');
    fn.i32Const(-1);
    fn.op('i32.xor');
    fn.op('i32.and');
    fn.localGet(turn);
    fn.op('i32.eqz');
    fn.localGet(node);
    fn.op('i32.shl');
    fn.op('i32.or');
    fn.localSet(tree);
    pushShifted(fn, node, 'i32.shl', 1);
    fn.localGet(turn);
    fn.op('i32.or');
    fn.localSet(node);
  }
  pushShifted(fn, set, 'i32.shl', 2);
  fn.localGet(tree);
  fn.store('i32.store', { offset: L2_TLB_REPLACEMENT });
}
