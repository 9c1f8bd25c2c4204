import { L2_TLB, L2_TLB_ENTRY_SIZE, L2TlbEntry, PAGE_SIZE, TLB_CONTROL, TlbControl } from '../layout/memory-map.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../wasm/function.ts';
import { ValType } from '../wasm/type.ts';
import { type EntryLocals, writeTouchOf } from './entry-code.ts';
import {
  L2_GLOBAL,
  L2_GLOBAL_MASK,
  L2_GLOBAL_OWNER,
  L2_LEVEL_SHIFT,
  L2_OWNER_MASK,
  L2_PARTIAL,
  L2_PARTIAL_SHIFT,
  type L2TlbOptions,
} from './l2-tlb.ts';
import { refuseUnlessNoted } from './note-code.ts';
import { pushLinear, refuseUnlessOpen } from './open-ram-code.ts';
import {
  endLevels,
  increment,
  type MissLocals,
  PAGE_SHIFT,
  pushControl,
  pushFirst,
  pushLevelHash,
  pushMasked,
  pushShifted,
  writeAllowed,
  writeGlobal,
} from './tlb-code.ts';

const { i32, i64 } = ValType;
const PAGE_MASK = -PAGE_SIZE;
/** Binary logarithm of what partial entries count in. */
export const PARTIAL_BYTES = 21;

/** What is known of an address that neither level has as a page of 4 KiB. */
export interface WalkLocals extends MissLocals, EntryLocals {
  /** i32: an Access, perhaps with EVEN_CODE. */
  readonly access: number;
}

/** Looks for an entry of each level above 0 that there are any of, as `L2Tlb.findLarge`. */
export function writeLargeEntries(
  fn: FunctionBuilder,
  locals: WalkLocals,
  options: L2TlbOptions,
  note: FunctionBuilder,
  served: Label,
  absent: Label,
  refused: Label,
): void {
  const { sets, ways } = options;
  const { access, level, first, set, way, linear, page, rights } = locals;
  const address = fn.local(i64);
  const refuse = (): void => fn.brIf(refused, BranchHint.unlikely);
  const at = fn.local(i32);
  fn.i32Const(1);
  fn.localSet(level);
  const found = fn.block();
  const nextLevel = fn.loop();
  const none = fn.block();
  pushShifted(fn, level, 'i32.shl', 2);
  fn.load('i32.load', { offset: TLB_CONTROL + TlbControl.population });
  fn.op('i32.eqz');
  fn.brIf(none);
  pushFirst(fn, page, level);
  fn.localSet(first);
  writeSet(fn, locals, sets);
  pushShifted(fn, set, 'i32.shl', Math.log2(ways * L2_TLB_ENTRY_SIZE));
  fn.localSet(at);
  for (let candidate = 0; candidate < ways; candidate++) {
    const other = fn.block();
    writeIsOther(fn, locals, at, candidate, other);
    fn.i32Const(candidate);
    fn.localSet(way);
    fn.br(found);
    fn.end(other);
  }
  fn.end(none);
  endLevels(fn, level, nextLevel);
  fn.br(absent);
  fn.end(found);
  fn.localGet(at);
  pushShifted(fn, way, 'i32.shl', Math.log2(L2_TLB_ENTRY_SIZE));
  fn.op('i32.add');
  fn.localTee(at);
  fn.load('i32.load', { offset: L2_TLB + L2TlbEntry.direct });
  fn.localSet(rights);
  fn.localGet(at);
  fn.load('i32.load', { offset: L2_TLB + L2TlbEntry.owner });
  writeGlobal(fn, locals, L2_GLOBAL);
  pushMasked(fn, rights, L2_PARTIAL);
  const partial = fn.if(undefined, BranchHint.unlikely);
  pushShifted(fn, rights, 'i32.shr_u', L2_PARTIAL_SHIFT);
  fn.op('i64.extend_i32_u');
  fn.i64Const(PARTIAL_BYTES);
  fn.op('i64.shl');
  pushWithin(fn, locals);
  fn.op('i64.add');
  fn.localSet(address);
  refuseUnlessOpen(fn, address, refuse);
  pushLinear(fn, address);
  fn.localSet(linear);
  fn.else();
  pushMasked(fn, rights, PAGE_MASK);
  pushWithin(fn, locals);
  fn.op('i32.wrap_i64');
  fn.op('i32.add');
  fn.localSet(linear);
  fn.end(partial);
  // Nothing direct to be known has no rights.
  fn.localGet(rights);
  writeAllowed(fn, locals, access);
  refuse();
  refuseUnlessNoted(fn, note, locals, refused);
  writeTouchOf(fn, set, way, options);
  increment(fn, TlbControl.hits);
  fn.br(served);
}

/** Pushes how many bytes (i64) the page is from the start of the large page around it. */
export function pushWithin(fn: FunctionBuilder, { page, first }: WalkLocals): void {
  fn.localGet(page);
  fn.localGet(first);
  fn.op('i64.sub');
  fn.i64Const(PAGE_SHIFT);
  fn.op('i64.shl');
}

/** Sets `set` for the large page `first` of `level`, as `L2Tlb` has it. */
export function writeSet(fn: FunctionBuilder, { first, level, set }: WalkLocals, sets: number): void {
  pushLevelHash(fn, first, level);
  fn.i32Const(sets - 1);
  fn.op('i32.and');
  fn.localSet(set);
}

/** Branches where an entry is of another page or level, or of another address space. */
function writeIsOther(fn: FunctionBuilder, { first, level }: WalkLocals, at: number, way: number, other: Label): void {
  const offset = L2_TLB + way * L2_TLB_ENTRY_SIZE;
  fn.localGet(at);
  fn.load('i64.load', { offset: offset + L2TlbEntry.page });
  fn.localGet(first);
  fn.op('i64.ne');
  fn.brIf(other);
  const owner = { offset: offset + L2TlbEntry.owner };
  for (const [mask, push] of [
    [L2_OWNER_MASK, () => pushControl(fn, TlbControl.owner)],
    [L2_GLOBAL_MASK, () => fn.i32Const(L2_GLOBAL_OWNER)],
  ] as const) {
    fn.localGet(at);
    fn.load('i32.load', owner);
    fn.i32Const(mask);
    fn.op('i32.and');
    push();
    pushShifted(fn, level, 'i32.shl', L2_LEVEL_SHIFT);
    fn.op('i32.or');
    fn.op('i32.ne');
  }
  fn.op('i32.and');
  fn.brIf(other);
}
