import {
  GUEST,
  L2_TLB,
  L2_TLB_ENTRY_SIZE,
  L2_TLB_REPLACEMENT,
  L2TlbEntry,
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
  TLB_WRITTEN_MOST,
  TLB_WRITTEN_PAGE,
  TLB_WRITTEN_SHIFT,
  TlbControl,
  TlbEntry,
} from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { L2_GLOBAL_MASK, L2_GLOBAL_OWNER, L2_OWNER_MASK, type L2TlbOptions, RIGHTS } from './l2-tlb.ts';
import { Access } from './regime.ts';
import { type ReplacementPolicy, treeBits } from './replacement.ts';

const { i32, i64 } = ValType;
const PAGE_MASK = -PAGE_SIZE;
const PAGE_SHIFT = Math.log2(PAGE_SIZE);

/**
 * Of an address that misses the first level, as int32 halves, and an Access: its linear address when an entry of the second level serves the access,
 * which then has been entered in the first, and counted. Else L2_ABSENT or L2_REFUSED, and nothing has changed.
 */
export type L2Probe = (low: number, high: number, access: Access) => number;
/** No page of 4 KiB is known there. */
export const L2_ABSENT = 0;
/** One is, but does not serve the access, or there is more to it than generated code knows. */
export const L2_REFUSED = 1;

/** Modules by shape and policy: few are ever asked for, and each takes a while to compile. */
const modules = new Map<string, WebAssembly.Module>();

/**
 * The probe of the second level that lies in `memory`, in WebAssembly. [measured: a hit takes the host 38 ns when JavaScript looks it up and
 * 19 ns so, generated code 56 ns and 13 ns]
 */
export function l2Probe(memory: WebAssembly.Memory, { sets, ways, policy }: L2TlbOptions): L2Probe {
  const key = `${sets} ${ways} ${policy}`;
  let module = modules.get(key);
  if (module === undefined) {
    module = compile(sets, ways, policy);
    modules.set(key, module);
  }
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return instance.exports['probe'] as unknown as L2Probe;
}

function compile(sets: number, ways: number, policy: ReplacementPolicy): WebAssembly.Module {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initial: GUEST / 65536 });
  module.exportFunction('probe', probeFunction(module, sets, ways, policy));
  return new WebAssembly.Module(module.encode());
}

interface Locals {
  /** i32: the address's low half. */
  readonly low: number;
  /** i64: its page number, as tags have it. */
  readonly page: number;
  /** i32: the entry's word of that name. */
  readonly direct: number;
  /** i32: address of the first-level table in force for the access, and its number. */
  readonly table: number;
  readonly context: number;
  /** i32: Access bits in that table. */
  readonly allowed: number;
}

function probeFunction(module: ModuleBuilder, sets: number, ways: number, policy: ReplacementPolicy): FunctionBuilder {
  const fn = module.function('probe', [i32, i32, i32], [i32]);
  const [low, high, access] = [0, 1, 2];
  const set = fn.local(i32);
  const at = fn.local(i32);
  const locals: Locals = {
    low,
    page: fn.local(i64),
    direct: fn.local(i32),
    table: fn.local(i32),
    context: fn.local(i32),
    allowed: fn.local(i32),
  };
  fn.localGet(high);
  fn.op('i64.extend_i32_s');
  fn.i64Const(32 - PAGE_SHIFT);
  fn.op('i64.shl');
  pushShifted(fn, low, 'i32.shr_u', PAGE_SHIFT);
  fn.op('i64.extend_i32_u');
  fn.op('i64.or');
  fn.localSet(locals.page);
  pushShifted(fn, low, 'i32.shr_u', PAGE_SHIFT);
  fn.i32Const(sets - 1);
  fn.op('i32.and');
  fn.localTee(set);
  fn.i32Const(Math.log2(ways * L2_TLB_ENTRY_SIZE));
  fn.op('i32.shl');
  fn.localSet(at);
  const found = fn.block();
  for (let way = 0; way < ways; way++) {
    const next = fn.block();
    pushIsOther(fn, at, way, locals.page, () => fn.brIf(next));
    fn.localGet(at);
    fn.load('i32.load', { offset: L2_TLB + way * L2_TLB_ENTRY_SIZE + L2TlbEntry.direct });
    fn.localSet(locals.direct);
    writeRights(fn, locals, access);
    writeTouch(fn, policy, set, way, ways);
    fn.br(found);
    fn.end(next);
  }
  fn.i32Const(L2_ABSENT);
  fn.return();
  fn.end(found);
  writeFill(fn, locals);
  increment(fn, TlbControl.hits);
  fn.localGet(low);
  fn.i32Const(PAGE_SIZE - 1);
  fn.op('i32.and');
  fn.localGet(locals.direct);
  fn.op('i32.add');
  return fn;
}

/** Gives `refuse` conditions to pop: the entry in a way of the set at `at` is of another page, or of another address space. */
function pushIsOther(fn: FunctionBuilder, at: number, way: number, page: number, refuse: () => void): void {
  const offset = L2_TLB + way * L2_TLB_ENTRY_SIZE;
  fn.localGet(at);
  fn.load('i64.load', { offset: offset + L2TlbEntry.page });
  fn.localGet(page);
  fn.op('i64.ne');
  refuse();
  fn.localGet(at);
  fn.load('i32.load', { offset: offset + L2TlbEntry.owner });
  fn.i32Const(L2_OWNER_MASK);
  fn.op('i32.and');
  pushControl(fn, TlbControl.owner);
  fn.op('i32.ne');
  fn.localGet(at);
  fn.load('i32.load', { offset: offset + L2TlbEntry.owner });
  fn.i32Const(L2_GLOBAL_MASK);
  fn.op('i32.and');
  fn.i32Const(L2_GLOBAL_OWNER);
  fn.op('i32.ne');
  fn.op('i32.and');
  refuse();
}

/** Finds the table, and what may be done in it with the page that `direct` tells of: returns L2_REFUSED when the access may not. */
function writeRights(fn: FunctionBuilder, { direct, table, context, allowed }: Locals, access: number): void {
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
  // Those of machine mode, whose addresses are not translated, are always clear.
  fn.localGet(direct);
  fn.localGet(context);
  fn.i32Const(RIGHTS);
  fn.op('i32.mul');
  fn.op('i32.shr_u');
  // Stores to pages with code are for JavaScript: one bit moved to the place of the other and inverted.
  fn.localGet(direct);
  fn.i32Const(GUEST);
  fn.op('i32.sub');
  fn.i32Const(PAGE_SHIFT);
  fn.op('i32.shr_u');
  fn.load('i32.load8_u', { offset: PERMISSION });
  fn.i32Const(Permission.code);
  fn.op('i32.and');
  fn.i32Const(Math.log2(Permission.code / Access.write));
  fn.op('i32.shr_u');
  fn.i32Const(-1);
  fn.op('i32.xor');
  fn.op('i32.and');
  fn.localTee(allowed);
  fn.localGet(access);
  fn.op('i32.and');
  fn.op('i32.eqz');
  const refused = fn.if();
  fn.i32Const(L2_REFUSED);
  fn.return();
  fn.end(refused);
  pushMasked(fn, direct, PAGE_MASK);
  fn.localSet(direct);
}

/** Does what `L1Tlb.fill` does, for a page of 4 KiB. */
function writeFill(fn: FunctionBuilder, locals: Locals): void {
  const { low, page, direct, table, allowed } = locals;
  const addend = fn.local(i32);
  const entry = fn.local(i32);
  const tag = fn.local(i64);
  fn.localGet(direct);
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
function writeNote(fn: FunctionBuilder, { context, low, direct }: Locals): void {
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
  pushShifted(fn, direct, 'i32.shl', TLB_WRITTEN_SHIFT);
  fn.i32Const(TLB_WRITTEN_PAGE);
  fn.op('i32.and');
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
function writeTouch(fn: FunctionBuilder, policy: ReplacementPolicy, set: number, way: number, ways: number): void {
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

/** Adds one to a number (f64) of TlbControl. */
function increment(fn: FunctionBuilder, number: number): void {
  const at = { offset: TLB_CONTROL + number };
  fn.i32Const(0);
  fn.i32Const(0);
  fn.load('f64.load', at);
  fn.f64Const(1);
  fn.op('f64.add');
  fn.store('f64.store', at);
}

function pushControl(fn: FunctionBuilder, word: number): void {
  fn.i32Const(0);
  fn.load('i32.load', { offset: TLB_CONTROL + word });
}

function pushShifted(fn: FunctionBuilder, local: number, op: 'i32.shl' | 'i32.shr_u', by: number): void {
  fn.localGet(local);
  fn.i32Const(by);
  fn.op(op);
}

function pushMasked(fn: FunctionBuilder, local: number, mask: number): void {
  fn.localGet(local);
  fn.i32Const(mask);
  fn.op('i32.and');
}
