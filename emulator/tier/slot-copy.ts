import { STATE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import type { FunctionBuilder } from '../wasm/function.ts';

const SLOT = STATE + StateOffset.arguments;

/** By the logarithm of the width; the slot gets a zero-extended value. */
const COPIES = [
  { load: 'i64.load8_u', store: 'i64.store8' },
  { load: 'i64.load16_u', store: 'i64.store16' },
  { load: 'i64.load32_u', store: 'i64.store32' },
  { load: 'i64.load', store: 'i64.store' },
] as const;

/**
 * Copies 1, 2, 4, 8 or 16 bytes (`pushBytes`) between the argument slots and a linear address (i32 local), from there for a load. Behind that comes
 * `finish`, once for each width, which returns from the function.
 */
export function writeSlotCopy(
  fn: FunctionBuilder,
  linear: number,
  direction: 'load' | 'store',
  pushBytes: () => void,
  finish: () => void,
): void {
  const copy = ({ load, store }: (typeof COPIES)[number], offset: number) => {
    if (direction === 'load') {
      fn.i32Const(0);
      fn.localGet(linear);
      fn.load(load, { offset, align: 1 });
      fn.store('i64.store', { offset: SLOT + offset });
    } else {
      fn.localGet(linear);
      fn.i32Const(0);
      fn.load(load, { offset: SLOT + offset });
      fn.store(store, { offset, align: 1 });
    }
  };
  const wide = fn.block();
  const labels = COPIES.map(() => fn.block()).toReversed();
  pushBytes();
  fn.op('i32.ctz');
  fn.brTable(labels, wide);
  labels.forEach((label, width) => {
    fn.end(label);
    copy(COPIES[width]!, 0);
    finish();
  });
  fn.end(wide);
  copy(COPIES[3], 0);
  copy(COPIES[3], 8);
  finish();
}
