import { GUEST, PAGE_SIZE, STATE, TlbEntry } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { L2_REFUSED, type L2Probe } from '../memory/l2-probe.ts';
import { Access } from '../memory/regime.ts';
import { pushAddress } from '../memory/tlb-code.ts';
import type { FunctionBuilder, FunctionIndex } from '../wasm/function.ts';
import { keptModule } from '../wasm/kept-modules.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { defineRegionAccess } from './region/shared-access.ts';
import { SlowAccess } from './runtime.ts';
import { writeSlotCopy } from './slot-copy.ts';
import { addEntryOffset } from './tlb-path.ts';

const { i32, i64 } = ValType;
const [LOW, HIGH, BYTES, FLAGS] = [0, 1, 2, 3];

/** What serves accesses that an inline probe does not: to be bound beside the other imports from `env`. */
export interface TlbImports {
  /**
   * `(address low, address high, bytes, SlowAccess bits) -> status`: 0 with the zero-extended value in the argument slots, or
   * `ExitReason.fault` with the fault in the state.
   */
  readonly tlbLoad: (low: number, high: number, bytes: number, flags: number) => number;
  /** The same for a store of the low bytes of the argument slots. */
  readonly tlbStore: (low: number, high: number, bytes: number, flags: number) => number;
  /** What regions call instead (region/shared-access.ts). */
  readonly regionLoad: WebAssembly.ExportValue;
  readonly regionStore: WebAssembly.ExportValue;
  readonly notePageCache: WebAssembly.ExportValue;
}

/**
 * The same imports, with accesses in one page that the second level or a plain walk serves done in WebAssembly, so that they are but calls from one module to another.
 * All others are left to `slow`.
 */
export function behindSecondLevel(
  memory: WebAssembly.Memory,
  probe: L2Probe,
  slow: Pick<TlbImports, 'tlbLoad' | 'tlbStore'>,
): TlbImports {
  const module = keptModule('second level', generate);
  const { exports } = new WebAssembly.Instance(module, { env: { memory, probe, ...slow } });
  return exports as unknown as TlbImports;
}

function generate(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initial: GUEST / 65536 });
  const probe = module.importFunction('env', 'probe', [i32, i32, i32], [i32]);
  const slow = {
    load: module.importFunction('env', 'tlbLoad', [i32, i32, i32, i32], [i32]),
    store: module.importFunction('env', 'tlbStore', [i32, i32, i32, i32], [i32]),
  };
  const load = defineAccess(module, 'load', probe, slow.load);
  const store = defineAccess(module, 'store', probe, slow.store);
  defineRegionAccess(module, { load: load.index, store: store.index });
  return module.encode();
}

function defineAccess(
  module: ModuleBuilder,
  direction: 'load' | 'store',
  probe: FunctionIndex,
  slow: FunctionIndex,
): FunctionBuilder {
  const name = direction === 'load' ? 'tlbLoad' : 'tlbStore';
  const fn = module.function(name, [i32, i32, i32, i32], [i32]);
  const access = fn.local(i32);
  const linear = fn.local(i32);
  const entry = fn.local(i32);
  module.exportFunction(name, fn);
  const refused = fn.block();
  // Misaligned, and to be a fault for it.
  fn.localGet(LOW);
  fn.localGet(BYTES);
  fn.i32Const(1);
  fn.op('i32.sub');
  fn.op('i32.and');
  fn.i32Const(0);
  fn.localGet(FLAGS);
  fn.i32Const(SlowAccess.natural);
  fn.op('i32.and');
  fn.select();
  fn.brIf(refused);
  // On into the next page.
  fn.localGet(LOW);
  fn.i32Const(PAGE_SIZE - 1);
  fn.op('i32.and');
  fn.localGet(BYTES);
  fn.op('i32.add');
  fn.i32Const(PAGE_SIZE);
  fn.op('i32.gt_u');
  fn.brIf(refused);
  if (direction === 'store') fn.i32Const(Access.write);
  else {
    fn.i32Const(Access.write);
    fn.i32Const(Access.read);
    fn.localGet(FLAGS);
    fn.i32Const(SlowAccess.update);
    fn.op('i32.and');
    fn.select();
  }
  fn.localSet(access);
  pushFirstLevel(fn, access, entry);
  const served = fn.if();
  fn.localGet(entry);
  fn.load('i32.load', { offset: TlbEntry.addend });
  fn.localGet(LOW);
  fn.op('i32.add');
  fn.localSet(linear);
  fn.else();
  fn.localGet(LOW);
  fn.localGet(HIGH);
  fn.localGet(access);
  fn.call(probe);
  fn.localTee(linear);
  fn.i32Const(L2_REFUSED);
  fn.op('i32.le_u');
  fn.brIf(refused);
  fn.end(served);
  writeSlotCopy(
    fn,
    linear,
    direction,
    () => fn.localGet(BYTES),
    () => {
      fn.i32Const(0);
      fn.return();
    },
  );
  fn.end(refused);
  fn.localGet(LOW);
  fn.localGet(HIGH);
  fn.localGet(BYTES);
  fn.localGet(FLAGS);
  fn.call(slow);
  return fn;
}

/**
 * Leaves the first level's entry for the address in a local and pushes whether it serves the access: regions call for some that it does, and those
 * are no misses.
 */
function pushFirstLevel(fn: FunctionBuilder, access: number, entry: number): void {
  const address = fn.local(i64);
  pushAddress(fn, LOW, HIGH);
  fn.localSet(address);
  fn.i32Const(0);
  fn.load('i32.load', { offset: STATE + StateOffset.dataTlb });
  addEntryOffset(fn, address);
  fn.localTee(entry);
  // The tag of reads is the first, that of writes comes eight bytes later.
  fn.localGet(access);
  fn.i32Const(Access.write);
  fn.op('i32.and');
  fn.i32Const(Math.log2(TlbEntry.write / Access.write));
  fn.op('i32.shl');
  fn.op('i32.add');
  fn.load('i64.load', { offset: TlbEntry.read });
  fn.localGet(address);
  fn.i64Const(-PAGE_SIZE);
  fn.op('i64.and');
  fn.op('i64.eq');
}
