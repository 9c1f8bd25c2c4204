import type { Op } from '../ir/block.ts';
import type { Lowering } from './lower.ts';

/**
 * `fclass` on the bits. With the sign off they order as the numbers do, so three comparisons count +0 4, subnormal 5, normal 6,
 * infinity 7; negative numbers mirror that to 3 to 0; NaNs are 8 (signaling) and 9 (quiet).
 */
export function classify(lowering: Lowering, op: Op): void {
  const { fn } = lowering;
  const wide = op.type === 'f64';
  const type = wide ? 'i64' : 'i32';
  const infinity = wide ? 0x7ff0_0000_0000_0000n : 0x7f80_0000n;
  const quiet = wide ? 0x7ff8_0000_0000_0000n : 0x7fc0_0000n;
  const leastNormal = wide ? 0x0010_0000_0000_0000n : 0x0080_0000n;
  const allButSign = wide ? (1n << 63n) - 1n : (1n << 31n) - 1n;
  const constant = (bits: bigint) => (wide ? fn.i64Const(bits) : fn.i32Const(Number(bits)));

  lowering.scratch([type, 'i32', 'i32'], (magnitude, index, negative) => {
    lowering.push(op.args[0]!);
    fn.op(wide ? 'i64.reinterpret_f64' : 'i32.reinterpret_f32');
    fn.localTee(magnitude);
    constant(0n);
    fn.op(`${type}.lt_s`);
    fn.localSet(negative);
    fn.localGet(magnitude);
    constant(allButSign);
    fn.op(`${type}.and`);
    fn.localSet(magnitude);

    fn.i32Const(4);
    for (const bound of [1n, leastNormal, infinity]) {
      fn.localGet(magnitude);
      constant(bound);
      fn.op(`${type}.ge_u`);
      fn.op('i32.add');
    }
    fn.localSet(index);

    fn.i32Const(1);
    fn.i32Const(8);
    fn.localGet(magnitude);
    constant(quiet);
    fn.op(`${type}.ge_u`);
    fn.op('i32.add');
    fn.i32Const(7);
    fn.localGet(index);
    fn.op('i32.sub');
    fn.localGet(index);
    fn.localGet(negative);
    fn.select();
    fn.localGet(magnitude);
    constant(infinity);
    fn.op(`${type}.gt_u`);
    fn.select();
    fn.op('i32.shl');
  });
}
