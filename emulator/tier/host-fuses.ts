import { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';

/**
 * Whether the host's relaxed multiply-add rounds once. The instruction may do either, but always the same (WebAssembly, "Relaxed SIMD"),
 * so one product tells whose rounding would lose its last bit.
 */
export const HOST_FUSES: boolean = hostFuses();

function hostFuses(): boolean {
  const module = new ModuleBuilder();
  const fn = module.function('fused', [ValType.f64, ValType.f64, ValType.f64], [ValType.f64]);
  for (const local of [0, 1, 2]) {
    fn.localGet(local);
    fn.op('f64x2.splat');
  }
  fn.op('f64x2.relaxed_madd');
  fn.laneOp('f64x2.extract_lane', 0);
  module.exportFunction('fused', fn);
  const bytes = module.encode();
  if (!WebAssembly.validate(bytes)) return false;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  const fused = instance.exports['fused'] as (a: number, b: number, c: number) => number;
  const next = 1 + 2 ** -52;
  return fused(next, next, -(1 + 2 ** -51)) === 2 ** -104;
}
