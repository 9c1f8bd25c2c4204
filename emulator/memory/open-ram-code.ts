import { TlbControl } from '../layout/memory-map.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import { pushControl, pushWide } from './tlb-code.ts';

/** Gives `refuse` a condition to pop: an address (i64), a multiple of eight or of the page size, is not in open RAM. */
export function refuseUnlessOpen(fn: FunctionBuilder, address: number, refuse: () => void): void {
  pushIsOpen(fn, address);
  fn.op('i32.eqz');
  refuse();
}

/** Pushes whether such an address is. */
export function pushIsOpen(fn: FunctionBuilder, address: number): void {
  fn.localGet(address);
  pushWide(fn, TlbControl.openFrom);
  fn.op('i64.sub');
  pushWide(fn, TlbControl.openSpan);
  fn.op('i64.lt_u');
}

/** The linear address of a physical one in open RAM. */
export function pushLinear(fn: FunctionBuilder, address: number): void {
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  pushControl(fn, TlbControl.openOffset);
  fn.op('i32.add');
}
