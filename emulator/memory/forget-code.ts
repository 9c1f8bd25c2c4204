import {
  L2_TLB,
  L2_TLB_ENTRY_SIZE,
  L2TlbEntry,
  LARGE_FILTER,
  PAGE_CACHES_USED,
  PAGE_SIZE,
  TLB,
  TLB_CONTEXT_SIZE,
  TLB_CONTROL,
  TLB_CROWDED,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_LARGE_FILTER,
  TLB_WRITTEN_MOST,
  TlbControl,
  TlbEntry,
} from '../layout/memory-map.ts';
import { BranchHint, type FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { writeDrop } from './entry-code.ts';
import { TlbContext } from './l1-tlb.ts';
import { L2_ASID_MASK, L2_GLOBAL, L2_LEVEL_SHIFT, type L2TlbOptions } from './l2-tlb.ts';
import { FILTERS } from './large-pages.ts';
import {
  endLevels,
  increment,
  PAGE_SHIFT,
  pushAddress,
  pushControl,
  pushFirst,
  pushLevelHash,
  pushShifted,
  replaceByFilterIndex,
} from './tlb-code.ts';

const { i32, i64 } = ValType;
const [LOW, HIGH, ASID] = [0, 1, 2];
/** For all address spaces. */
export const ALL_SPACES = -1;

/** Tables that translated addresses are in. */
const TRANSLATED = [TlbContext.user, TlbContext.supervisor, TlbContext.supervisorUserMemory];

/**
 * A function that forgets the page of an address (int32 halves) in an address space, or in all of them where that is ALL_SPACES: 1 when it has, 0 when there may be
 * something of a large page in the first level or of a 64 KiB range in the second, or anything else that JavaScript does (`AddressTranslation.fenceAddress`).
 */
export function defineForget(module: ModuleBuilder, options: L2TlbOptions): FunctionBuilder {
  const fn = module.function('forget', [i32, i32, i32], [i32]);
  const address = fn.local(i64);
  const declined = fn.block();
  pushControl(fn, TlbControl.contiguous);
  fn.brIf(declined, BranchHint.unlikely);
  pushAddress(fn, LOW, HIGH);
  fn.localSet(address);
  pushIsInForce(fn);
  const first = fn.if();
  writeMayForget(fn, address, () => fn.brIf(declined, BranchHint.unlikely));
  for (const context of TRANSLATED) writeClear(fn, address, context);
  fn.end(first);
  writeForgetEntries(fn, address, options);
  increment(fn, TlbControl.fences);
  fn.i32Const(1);
  fn.return();
  fn.end(declined);
  fn.i32Const(0);
  return fn;
}

/** Pushes whether the first level may hold something of the address space. */
function pushIsInForce(fn: FunctionBuilder): void {
  fn.localGet(ASID);
  fn.i32Const(ALL_SPACES);
  fn.op('i32.eq');
  fn.localGet(ASID);
  pushControl(fn, TlbControl.owner);
  fn.i32Const(L2_ASID_MASK);
  fn.op('i32.and');
  fn.op('i32.eq');
  fn.op('i32.or');
}

/** Page caches are to be emptied, a list gone through, or all of a large page forgotten. */
function writeMayForget(fn: FunctionBuilder, address: number, decline: () => void): void {
  fn.i32Const(0);
  fn.load('i32.load', { offset: PAGE_CACHES_USED });
  decline();
  const number = fn.local(i32);
  for (const context of TRANSLATED) {
    // One that is no longer kept is not gone through either.
    pushControl(fn, TlbControl.writtenCounts + 4 * context);
    fn.localTee(number);
    fn.i32Const(0);
    fn.load('i32.load', { offset: TLB_CROWDED + 4 * context });
    fn.op('i32.ge_s');
    fn.localGet(number);
    fn.i32Const(TLB_WRITTEN_MOST);
    fn.op('i32.lt_s');
    fn.op('i32.and');
    decline();
  }
  for (const { shift, at, bits } of FILTERS) {
    fn.localGet(address);
    fn.i64Const(shift);
    fn.op('i64.shr_s');
    replaceByFilterIndex(fn, number, bits);
    fn.localSet(number);
    for (const context of TRANSLATED) {
      fn.localGet(number);
      fn.load('i32.load8_u', { offset: TLB_LARGE_FILTER + context * LARGE_FILTER + at });
      if (context !== TRANSLATED[0]) fn.op('i32.or');
    }
    decline();
  }
}

/** Takes the page's tags from its entry in a table. */
function writeClear(fn: FunctionBuilder, address: number, context: TlbContext): void {
  const entry = fn.takeLocal(i32);
  pushShifted(fn, LOW, 'i32.shr_u', Math.log2(PAGE_SIZE / TLB_ENTRY_SIZE));
  fn.i32Const((TLB_ENTRIES - 1) * TLB_ENTRY_SIZE);
  fn.op('i32.and');
  fn.localSet(entry);
  const table = TLB + context * TLB_CONTEXT_SIZE;
  for (const tag of [TlbEntry.read, TlbEntry.write, TlbEntry.execute]) {
    fn.localGet(entry);
    fn.load('i64.load', { offset: table + tag });
    fn.localGet(address);
    fn.i64Const(-PAGE_SIZE);
    fn.op('i64.and');
    fn.op('i64.eq');
    const same = fn.if();
    fn.localGet(entry);
    fn.i64Const(-1);
    fn.store('i64.store', { offset: table + tag });
    fn.end(same);
  }
  fn.freeLocal(entry);
}

/** `L2Tlb.flushAddress`, ranges of 64 KiB apart. */
function writeForgetEntries(fn: FunctionBuilder, address: number, { sets, ways }: L2TlbOptions): void {
  const page = fn.local(i64);
  const first = fn.local(i64);
  const level = fn.local(i32);
  const at = fn.local(i32);
  const owner = fn.local(i32);
  fn.localGet(address);
  fn.i64Const(PAGE_SHIFT);
  fn.op('i64.shr_s');
  fn.localSet(page);
  fn.i32Const(0);
  fn.localSet(level);
  const nextLevel = fn.loop();
  pushShifted(fn, level, 'i32.shl', 2);
  fn.load('i32.load', { offset: TLB_CONTROL + TlbControl.population });
  const some = fn.if();
  pushFirst(fn, page, level);
  fn.localSet(first);
  // Pages of 4 KiB are not hashed.
  fn.localGet(page);
  fn.op('i32.wrap_i64');
  pushLevelHash(fn, first, level);
  fn.localGet(level);
  fn.op('i32.eqz');
  fn.select();
  fn.i32Const(sets - 1);
  fn.op('i32.and');
  fn.i32Const(Math.log2(ways * L2_TLB_ENTRY_SIZE));
  fn.op('i32.shl');
  fn.localSet(at);
  for (let way = 0; way < ways; way++) {
    const other = fn.block();
    fn.localGet(at);
    fn.load('i64.load', { offset: L2_TLB + L2TlbEntry.page });
    fn.localGet(first);
    fn.op('i64.ne');
    fn.brIf(other);
    fn.localGet(at);
    fn.load('i32.load', { offset: L2_TLB + L2TlbEntry.owner });
    fn.localTee(owner);
    pushShifted(fn, level, 'i32.shl', L2_LEVEL_SHIFT);
    fn.op('i32.xor');
    fn.i32Const(7 << L2_LEVEL_SHIFT);
    fn.op('i32.and');
    fn.brIf(other);
    // With an address space named: others' and global ones stay.
    fn.localGet(owner);
    fn.localGet(ASID);
    fn.op('i32.xor');
    fn.i32Const(L2_ASID_MASK | L2_GLOBAL);
    fn.op('i32.and');
    fn.i32Const(0);
    fn.localGet(ASID);
    fn.i32Const(ALL_SPACES);
    fn.op('i32.ne');
    fn.select();
    fn.brIf(other);
    writeDrop(fn, at);
    fn.localGet(at);
    fn.i64Const(0);
    // Both words in one.
    fn.store('i64.store', { offset: L2_TLB + L2TlbEntry.owner });
    fn.end(other);
    fn.localGet(at);
    fn.i32Const(L2_TLB_ENTRY_SIZE);
    fn.op('i32.add');
    fn.localSet(at);
  }
  fn.end(some);
  endLevels(fn, level, nextLevel);
}
