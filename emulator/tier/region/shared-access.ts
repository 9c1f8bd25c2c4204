import { PAGE_CACHES_USED, STATE, TlbEntry } from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import type { FunctionBuilder, FunctionIndex } from '../../wasm/function.ts';
import type { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { writeSlotCopy } from '../slot-copy.ts';
import { addEntryOffset } from '../tlb-path.ts';
import { ACCESS_HIGH_SHIFT, AccessCode } from './access-code.ts';
import { defineFindPage, type FindPage } from './page-cache.ts';
import { Status } from './status.ts';

const { i32, i64 } = ValType;
const PAGE_MASK = -4096;
const SLOT = STATE + StateOffset.arguments;
const [ADDRESS, ACCESS, BUDGET, VALUE] = [0, 1, 2, 3];

const LOAD = { name: 'regionLoad', params: [i64, i64, i32], results: [i64, i32, i32] } as const;
const STORE = { name: 'regionStore', params: [i64, i64, i32, i64], results: [i32, i32] } as const;
const NOTE = { name: 'notePageCache', params: [i32], results: [] } as const;

/** What regions call for accesses that their code does not do in line, by its place in a module. */
export interface RegionAccess {
  readonly load: FunctionIndex;
  readonly store: FunctionIndex;
  /** Where regions have page caches (page-cache.ts). */
  readonly find: FindPage | undefined;
}

/** Declares their imports and defines what else there is: behind all imports, before all functions of the module's own. */
export function importRegionAccess(module: ModuleBuilder, pageCaches: boolean): RegionAccess {
  const load = module.importFunction('env', LOAD.name, LOAD.params, LOAD.results);
  const store = module.importFunction('env', STORE.name, STORE.params, STORE.results);
  if (!pageCaches) return { load, store, find: undefined };
  const note = module.importFunction('env', NOTE.name, NOTE.params, NOTE.results);
  return { load, store, find: defineFindPage(module, note) };
}

/**
 * Defines and exports what all regions call for accesses that they do not do in line; written into each of them, it was an eighth of their code.
 *
 * - `regionLoad: (address, access, budget) -> (value, status, budget)`. The value has zeros above; of 16 bytes it is the lower half. All of it is in the
 *   argument slots too. `access`: AccessCode.
 * - `regionStore: (address, access, budget, value) -> (status, budget)`. Of 16 bytes, the upper half is in the argument slots.
 *
 * - `notePageCache: (cache)`: a page cache (page-cache.ts) is no longer empty.
 *
 * The status is 0 or, after a fault, the exit with its reason; the budget is what has become of it. `slow`: TlbImports. Before they call that they look
 * into the first level of the TLB, for accesses that were looked up with others: at the end of a page most of them lie in one of the two.
 */
export function defineRegionAccess(module: ModuleBuilder, slow: Pick<RegionAccess, 'load' | 'store'>): void {
  defineLoad(module, slow.load);
  defineStore(module, slow.store);
  defineNote(module);
}

function defineNote(module: ModuleBuilder): void {
  const fn = module.function(NOTE.name, NOTE.params, NOTE.results);
  module.exportFunction(NOTE.name, fn);
  const count = fn.local(i32);
  fn.i32Const(0);
  fn.i32Const(0);
  fn.load('i32.load', { offset: PAGE_CACHES_USED });
  fn.i32Const(1);
  fn.op('i32.add');
  fn.localTee(count);
  fn.store('i32.store', { offset: PAGE_CACHES_USED });
  fn.localGet(count);
  fn.i32Const(2);
  fn.op('i32.shl');
  fn.localGet(0);
  fn.store('i32.store', { offset: PAGE_CACHES_USED });
}

function defineLoad(module: ModuleBuilder, slow: FunctionIndex): void {
  const fn = module.function(LOAD.name, LOAD.params, LOAD.results);
  module.exportFunction(LOAD.name, fn);
  const access = takeApart(fn);
  writeProbe(fn, access, 'load', () => {
    pushLoaded(fn);
    fn.i32Const(0);
    fn.localGet(BUDGET);
    fn.return();
  });
  const status = fn.local(i32);
  callSlow(fn, access, slow);
  fn.localSet(status);
  pushLoaded(fn);
  pushExit(fn, access);
  fn.i32Const(0);
  fn.localGet(status);
  fn.select();
  pushBudget(fn);
}

function defineStore(module: ModuleBuilder, slow: FunctionIndex): void {
  const fn = module.function(STORE.name, STORE.params, STORE.results);
  module.exportFunction(STORE.name, fn);
  const access = takeApart(fn);
  fn.i32Const(0);
  fn.localGet(VALUE);
  fn.store('i64.store', { offset: SLOT });
  writeProbe(fn, access, 'store', () => {
    fn.i32Const(0);
    fn.localGet(BUDGET);
    fn.return();
  });
  pushExit(fn, access);
  fn.i32Const(0);
  callSlow(fn, access, slow);
  fn.select();
  pushBudget(fn);
}

/** Locals, i32. */
interface Access {
  readonly bytes: number;
  readonly flags: number;
  /** AccessCode. */
  readonly code: number;
}

/** Makes the address that of the access, and takes apart what else its constant says. */
function takeApart(fn: FunctionBuilder): Access {
  const [bytes, flags, code] = [fn.local(i32), fn.local(i32), fn.local(i32)];
  fn.localGet(ADDRESS);
  fn.localGet(ACCESS);
  fn.i64Const(ACCESS_HIGH_SHIFT);
  fn.op('i64.shr_s');
  fn.op('i64.add');
  fn.localSet(ADDRESS);
  fn.i32Const(1);
  fn.localGet(ACCESS);
  fn.op('i32.wrap_i64');
  fn.localTee(code);
  fn.i32Const(AccessCode.widthMask);
  fn.op('i32.and');
  fn.op('i32.shl');
  fn.localSet(bytes);
  fn.localGet(code);
  fn.i32Const(AccessCode.flagsShift);
  fn.op('i32.shr_u');
  fn.i32Const(AccessCode.flagsMask);
  fn.op('i32.and');
  fn.localSet(flags);
  return { bytes, flags, code };
}

/** Pushes the status for a fault. */
function pushExit(fn: FunctionBuilder, { code }: Access): void {
  fn.localGet(code);
  fn.i32Const(AccessCode.exitShift);
  fn.op('i32.shr_u');
  fn.i32Const(ExitReason.fault << Status.reasonShift);
  fn.op('i32.or');
}

/** Does the access when the TLB serves it, and then writes `finish`, which returns. Those with flags are not looked at. */
function writeProbe(
  fn: FunctionBuilder,
  { bytes, flags }: Access,
  direction: 'load' | 'store',
  finish: () => void,
): void {
  const entry = fn.local(i32);
  const refused = fn.block();
  fn.localGet(flags);
  fn.brIf(refused);
  fn.i32Const(0);
  fn.load('i32.load', { offset: STATE + StateOffset.dataTlb });
  addEntryOffset(fn, ADDRESS);
  fn.localTee(entry);
  fn.load('i64.load', { offset: direction === 'load' ? TlbEntry.read : TlbEntry.write });
  fn.localGet(ADDRESS);
  fn.localGet(bytes);
  fn.op('i64.extend_i32_u');
  fn.op('i64.add');
  fn.i64Const(1);
  fn.op('i64.sub');
  fn.i64Const(PAGE_MASK);
  fn.op('i64.and');
  fn.op('i64.ne');
  fn.brIf(refused);
  fn.localGet(entry);
  fn.load('i32.load', { offset: TlbEntry.addend });
  fn.localGet(ADDRESS);
  fn.op('i32.wrap_i64');
  fn.op('i32.add');
  fn.localSet(entry);
  writeSlotCopy(fn, entry, direction, () => fn.localGet(bytes), finish);
  fn.end(refused);
}

/** Pushes the status of the slow path, which may look at the budget. */
function callSlow(fn: FunctionBuilder, { bytes, flags }: Access, slow: FunctionIndex): void {
  fn.i32Const(0);
  fn.localGet(BUDGET);
  fn.store('i32.store', { offset: Frame.budget });
  fn.localGet(ADDRESS);
  fn.op('i32.wrap_i64');
  fn.localGet(ADDRESS);
  fn.i64Const(32);
  fn.op('i64.shr_u');
  fn.op('i32.wrap_i64');
  fn.localGet(bytes);
  fn.localGet(flags);
  fn.call(slow);
}

function pushLoaded(fn: FunctionBuilder): void {
  fn.i32Const(0);
  fn.load('i64.load', { offset: SLOT });
}

/** A device may want an interrupt to be taken, and have withheld the rest. */
function pushBudget(fn: FunctionBuilder): void {
  fn.i32Const(0);
  fn.load('i32.load', { offset: Frame.budget });
}
