import { STATE, TlbEntry } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import { BranchHint, type FunctionBuilder } from '../../wasm/function.ts';
import type { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { writeSlotCopy } from '../slot-copy.ts';
import { addEntryOffset, type TlbSlowPaths } from '../tlb-path.ts';

const { i32, i64 } = ValType;
/** In the second parameter, the SlowAccess bits are above the width in bytes. */
export const FLAGS_SHIFT = 8;
const PAGE_MASK = -4096;

/**
 * A function of a region's module for what its code does not do in line: `(address, bytes | flags << FLAGS_SHIFT, budget) -> status`, with the value
 * in the argument slots as for the slow paths. With `probes` it looks into the first level of the TLB before it calls JavaScript, for accesses that were
 * looked up with others: at the end of a page most of them lie in one of the two. [measured: a third of the time of `memops` under Linux
 * went to JavaScript without that]
 */
export function outlineSlow(
  module: ModuleBuilder,
  slow: TlbSlowPaths,
  direction: 'load' | 'store',
  probes: boolean,
): FunctionBuilder {
  const fn = module.function(probes ? `probe-${direction}` : 'slow', [i64, i32, i32], [i32]);
  const [address, access, budget] = [0, 1, 2];
  fn.i32Const(0);
  fn.localGet(budget);
  fn.store('i32.store', { offset: Frame.budget });
  if (probes) writeProbe(fn, direction);
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.localGet(address);
  fn.i64Const(32);
  fn.op('i64.shr_u');
  fn.op('i32.wrap_i64');
  pushBytes(fn);
  fn.localGet(access);
  fn.i32Const(FLAGS_SHIFT);
  fn.op('i32.shr_u');
  fn.call(slow[direction]);
  return fn;
}

/** Returns 0 from the function when the TLB serves the access; alignment is not asked for. */
function writeProbe(fn: FunctionBuilder, direction: 'load' | 'store'): void {
  const address = 0;
  const entry = fn.local(i32);
  fn.i32Const(0);
  fn.load('i32.load', { offset: STATE + StateOffset.dataTlb });
  addEntryOffset(fn, address);
  fn.localTee(entry);
  fn.load('i64.load', { offset: direction === 'load' ? TlbEntry.read : TlbEntry.write });
  fn.localGet(address);
  pushBytes(fn);
  fn.op('i64.extend_i32_u');
  fn.op('i64.add');
  fn.i64Const(1);
  fn.op('i64.sub');
  fn.i64Const(PAGE_MASK);
  fn.op('i64.and');
  fn.op('i64.eq');
  const served = fn.if(undefined, BranchHint.likely);
  fn.localGet(entry);
  fn.load('i32.load', { offset: TlbEntry.addend });
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.op('i32.add');
  fn.localSet(entry);
  writeSlotCopy(fn, entry, direction, () => pushBytes(fn));
  fn.end(served);
}

function pushBytes(fn: FunctionBuilder): void {
  fn.localGet(1);
  fn.i32Const((1 << FLAGS_SHIFT) - 1);
  fn.op('i32.and');
}
