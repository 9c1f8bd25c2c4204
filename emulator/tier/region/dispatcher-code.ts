import {
  ARRIVALS,
  ARRIVALS_COUNT,
  PAGE_SIZE,
  REGION_CACHE,
  REGION_CACHE_ENTRIES,
  REGION_CACHE_ENTRY_SIZE,
  REGION_USES,
  REGIONS_MAX,
  SPRINGBOARD,
  STATE,
  TlbEntry,
  TRANSLATED_REGION_CACHE_ENTRIES,
} from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import { CHECK, CheckLevel } from '../../check/assert.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { addEntryOffset } from '../tlb-path.ts';
import { Status } from './status.ts';

const { i32, i64 } = ValType;

/** A power of two: one of so many arrivals at code without a region comes out to be counted. */
export const ARRIVALS_LOOKED_AT = 32;

/** Bits of an index in the table of regions: behind address translation it shares a word of the cache with the entry's number. */
export const INDEX_BITS = Math.log2(REGIONS_MAX);

/** Entries of the jump cache. */
export function cacheEntries(translated: boolean): number {
  return translated ? TRANSLATED_REGION_CACHE_ENTRIES : REGION_CACHE_ENTRIES;
}

/** The module of a dispatcher: its function `run` and the table of regions. */
export function generateDispatcher(translated: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const interpret = module.importFunction('env', 'interpret', [], [i32]);
  module.importMemory('env', 'memory', { initial: 1 });
  const shift = module.importGlobal('env', 'shift', i32, false);
  const springboard = module.importGlobal('env', 'springboard', i64, false);
  const table = module.table({ initial: REGIONS_MAX, maximum: REGIONS_MAX });
  const regionType = module.type([i32], [i32]);
  const fn = module.function('run', [i32, i32], [i32]);
  const [index, entry] = [0, 1];
  const status = fn.local(i32);
  const slot = fn.local(i32);
  const count = fn.local(i32);
  const pc = fn.local(i64);
  fn.localGet(index);
  fn.i32Const(0);
  fn.op('i32.lt_s');
  const isInterpreted = fn.if();
  loadPc();
  fn.localSet(pc);
  goOnInterpreting(() => {
    fn.localGet(index);
    fn.localGet(entry);
    fn.call(fn);
    fn.return();
  });
  fn.end(isInterpreted);
  const next = fn.loop();
  fn.i32Const(0);
  fn.localGet(index);
  fn.store('i32.store', { offset: Frame.region });
  fn.localGet(entry);
  fn.localGet(index);
  fn.callIndirect(regionType, table);
  fn.localSet(status);
  const chains = fn.block();
  fn.localGet(status);
  fn.op('i32.eqz');
  fn.brIf(chains);
  fn.localGet(status);
  fn.i32Const(Status.dynamic);
  fn.op('i32.and');
  fn.brIf(chains);
  fn.localGet(status);
  fn.return();
  fn.end(chains);
  probe(() => fn.br(next));
  // No region there. Whoever decides what to translate looks at jumps without known targets, and at every so manieth other arrival.
  fn.localGet(status);
  fn.i32Const(Status.indirect);
  fn.op('i32.and');
  const unknown = fn.if();
  fn.localGet(status);
  fn.return();
  fn.end(unknown);
  fn.localGet(pc);
  fn.op('i32.wrap_i64');
  fn.globalGet(shift);
  fn.op('i32.shr_u');
  fn.i32Const(ARRIVALS_COUNT - 1);
  fn.op('i32.and');
  fn.i32Const(2);
  fn.op('i32.shl');
  fn.localTee(slot);
  fn.localGet(slot);
  fn.load('i32.load', { offset: ARRIVALS });
  fn.i32Const(1);
  fn.op('i32.add');
  fn.localTee(count);
  fn.store('i32.store', { offset: ARRIVALS });
  fn.localGet(count);
  fn.i32Const(ARRIVALS_LOOKED_AT - 1);
  fn.op('i32.and');
  fn.op('i32.eqz');
  const look = fn.if();
  fn.localGet(status);
  fn.return();
  fn.end(look);
  goOnInterpreting(() => fn.br(next));
  fn.end(next);
  fn.unreachable();
  module.exportFunction('run', fn);
  module.exportTable('regions', table);
  return module.encode();

  /** The interpreter goes on at `pc` until it comes to a region, with index and entry set, or comes out. */
  function goOnInterpreting(go: () => void): void {
    fn.i32Const(0);
    fn.i32Const(SPRINGBOARD);
    fn.store('i32.store', { offset: Frame.record });
    fn.i32Const(0);
    fn.localGet(pc);
    fn.globalGet(springboard);
    fn.op('i64.sub');
    fn.store('i64.store', { offset: Frame.pcDelta });
    countInterpreted('i32.add');
    fn.call(interpret);
    fn.localSet(status);
    countInterpreted('i32.sub');
    fn.localGet(status);
    fn.i32Const(ExitReason.miss);
    fn.op('i32.eq');
    const missed = fn.if();
    probe(go);
    fn.end(missed);
    fn.localGet(status);
    fn.i32Const(Status.interpreted);
    fn.op('i32.or');
    fn.return();
  }

  function loadPc(): void {
    fn.i32Const(0);
    fn.load('i64.load', { offset: STATE + StateOffset.pc });
  }

  /** Code that goes where the state's pc is if the cache holds it, with index and entry set; else falls through with it in `pc`. */
  function probe(go: () => void): void {
    loadPc();
    fn.localTee(pc);
    fn.op('i32.wrap_i64');
    fn.globalGet(shift);
    fn.op('i32.shr_u');
    fn.i32Const(cacheEntries(translated) - 1);
    fn.op('i32.and');
    fn.i32Const(Math.log2(REGION_CACHE_ENTRY_SIZE));
    fn.op('i32.shl');
    fn.localSet(slot);
    found(go);
    fn.localGet(slot);
    fn.i32Const(REGION_CACHE_ENTRY_SIZE);
    fn.op('i32.xor');
    fn.localSet(slot);
    found(go);
    increment(() => fn.i32Const(Frame.missed));
  }

  /** Code that goes on, with index and entry set, if the entry of the cache at `slot` is that of `pc`; else falls through. */
  function found(go: () => void): void {
    fn.localGet(slot);
    fn.load('i64.load', { offset: REGION_CACHE });
    fn.localGet(pc);
    fn.op('i64.eq');
    if (translated) leadsToRecords();
    const hit = fn.if();
    fn.localGet(slot);
    fn.load('i32.load', { offset: REGION_CACHE + (translated ? 8 : 12) });
    if (translated) {
      fn.localTee(index);
      fn.i32Const(INDEX_BITS);
      fn.op('i32.shr_u');
    }
    fn.localSet(entry);
    if (translated) {
      fn.localGet(index);
      fn.i32Const(REGIONS_MAX - 1);
      fn.op('i32.and');
    } else {
      fn.localGet(slot);
      fn.load('i32.load', { offset: REGION_CACHE + 8 });
    }
    fn.localSet(index);
    increment(() => fn.i32Const(Frame.chained));
    increment(() => counterOf(index));
    go();
    fn.end(hit);
  }

  /** Adds one to the number in memory whose address is pushed. */
  function increment(push: () => void): void {
    push();
    push();
    fn.load('i32.load');
    fn.i32Const(1);
    fn.op('i32.add');
    fn.store('i32.store');
  }

  /** Makes the condition on the stack false unless the TLB leads fetches at `pc` to the decoded page that `slot` tells of. */
  function leadsToRecords(): void {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.fetchTlb });
    addEntryOffset(fn, pc);
    fn.localTee(count);
    fn.load('i64.load', { offset: TlbEntry.execute });
    fn.localGet(pc);
    fn.i64Const(-PAGE_SIZE);
    fn.op('i64.and');
    fn.op('i64.eq');
    fn.op('i32.and');
    fn.localGet(count);
    fn.load('i32.load', { offset: TlbEntry.code });
    fn.localGet(slot);
    fn.load('i32.load', { offset: REGION_CACHE + 12 });
    fn.op('i32.eq');
    fn.op('i32.and');
  }

  /** The budget before the interpreter runs, less that behind it; a stop that was requested meanwhile has only moved what was left of it. */
  function countInterpreted(sign: 'i32.add' | 'i32.sub'): void {
    fn.i32Const(0);
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.interpreted });
    for (const part of [Frame.budget, Frame.withheld]) {
      fn.i32Const(0);
      fn.load('i32.load', { offset: part });
      fn.op(sign);
    }
    fn.store('i32.store', { offset: Frame.interpreted });
  }

  function counterOf(local: number): void {
    fn.localGet(local);
    fn.i32Const(2);
    fn.op('i32.shl');
    fn.i32Const(REGION_USES);
    fn.op('i32.add');
  }
}
