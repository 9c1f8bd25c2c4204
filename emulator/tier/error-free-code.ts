import { assert } from '../check/assert.ts';
import { FloatFlag } from '../bits/float-format.ts';
import { STATE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';

// Error-free transformations: sums and products of floats as an unevaluated sum of a rounded result and its error (Muller et al.,
// "Handbook of Floating-Point Arithmetic", "Exact addition", "Exact multiplication").

const { i32, i64, f32, f64 } = ValType;
const FLAGS = STATE + StateOffset.floatFlags;

/** Accrues `inexact` when the pushed truth value holds. */
export function addFlags(fn: FunctionBuilder, pushInexact: () => void): void {
  fn.i32Const(0);
  fn.i32Const(0);
  fn.load('i32.load', { offset: FLAGS });
  pushInexact();
  assert(FloatFlag.inexact === 1, 'a truth value is the inexact flag');
  fn.op('i32.or');
  fn.store('i32.store', { offset: FLAGS });
}

/**
 * Pushes the exact error of `sum` = a + b rounded to nearest (Knuth's 2Sum, any magnitudes). A NaN or infinity when an intermediate
 * overflows; addition cannot underflow. `virtual` is a scratch local.
 */
export function sumError(
  fn: FunctionBuilder,
  type: 'f32' | 'f64',
  a: number,
  b: number,
  sum: number,
  virtual: number,
): void {
  fn.localGet(sum);
  fn.localGet(a);
  fn.op(`${type}.sub`);
  fn.localSet(virtual);
  fn.localGet(a);
  fn.localGet(sum);
  fn.localGet(virtual);
  fn.op(`${type}.sub`);
  fn.op(`${type}.sub`);
  fn.localGet(b);
  fn.localGet(virtual);
  fn.op(`${type}.sub`);
  fn.op(`${type}.add`);
}

/**
 * `(a, b) -> i32`: whether the product of two finite f64 needs more than 53 significant bits. The significands without trailing zeros have
 * `la` and `lb` bits and their product `la + lb` or one less: only at 54 must the product itself be looked at.
 */
export function productInexactFunction(module: ModuleBuilder): FunctionBuilder {
  const fn = module.function('productInexact', [f64, f64], [i32]);
  const significands = [fn.local(i64), fn.local(i64)] as const;
  const bits = fn.local(i64);
  for (const parameter of [0, 1] as const) {
    const significand = significands[parameter];
    fn.localGet(parameter);
    fn.op('i64.reinterpret_f64');
    fn.localTee(bits);
    fn.i64Const((1n << 52n) - 1n);
    fn.op('i64.and');
    fn.localGet(bits);
    fn.i64Const(0x7ff0_0000_0000_0000n);
    fn.op('i64.and');
    fn.op('i64.eqz');
    fn.op('i32.eqz');
    fn.op('i64.extend_i32_u');
    fn.i64Const(52);
    fn.op('i64.shl');
    fn.op('i64.or');
    fn.localTee(significand);
    fn.localGet(significand);
    fn.op('i64.ctz');
    fn.op('i64.shr_u');
    fn.localSet(significand);
  }
  fn.i64Const(128);
  for (const significand of significands) {
    fn.localGet(significand);
    fn.op('i64.clz');
    fn.op('i64.sub');
  }
  fn.localTee(bits);
  fn.i64Const(54);
  fn.op('i64.gt_s');
  const long = fn.if(i32);
  fn.i32Const(1);
  fn.else();
  fn.localGet(significands[0]);
  fn.localGet(significands[1]);
  fn.op('i64.mul');
  fn.i64Const(53);
  fn.op('i64.shr_u');
  fn.op('i64.eqz');
  fn.op('i32.eqz');
  fn.end(long);
  return fn;
}

/** Moves the f64 in `sum` to the neighbour with an odd last bit on the side of `error`, which is the exact sum less `sum`, if not 0. */
function roundToOdd(fn: FunctionBuilder, sum: number, error: number, bits: number): void {
  fn.localGet(error);
  fn.f64Const(0);
  fn.op('f64.ne');
  fn.localGet(sum);
  fn.op('i64.reinterpret_f64');
  fn.localTee(bits);
  fn.op('i32.wrap_i64');
  fn.i32Const(1);
  fn.op('i32.and');
  fn.op('i32.eqz');
  fn.op('i32.and');
  const even = fn.if();
  fn.localGet(bits);
  fn.i64Const(1);
  fn.i64Const(-1);
  fn.localGet(error);
  fn.f64Const(0);
  fn.op('f64.gt');
  fn.localGet(sum);
  fn.f64Const(0);
  fn.op('f64.gt');
  fn.op('i32.eq');
  fn.select();
  fn.op('i64.add');
  fn.op('f64.reinterpret_i64');
  fn.localSet(sum);
  fn.end(even);
}

/** Magnitudes between which nothing below overflows or loses bits to underflow: products of two 53-bit halves stay above 2^-1022. */
const GREATEST_FACTOR = 2 ** 500;
const GREATEST_ADDEND = 2 ** 1000;
const LEAST = 2 ** -400;
/** Veltkamp's constant for splitting 53 bits in two halves of 26. */
const SPLITTER = 2 ** 27 + 1;

/**
 * `(a, b, c) -> f64`: a * b + c rounded once, to nearest even, `inexact` accrued; a NaN for operands outside the range in which the
 * algorithm is proven. Boldo and Melquiond, "Emulation of FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to Odd":
 * the product is split exactly, the two small parts are added with rounding to odd, and one rounding to nearest remains.
 */
export function fusedMultiplyAdd64Function(module: ModuleBuilder): FunctionBuilder {
  const fn = module.function('fusedMultiplyAdd64', [f64, f64, f64], [f64]);
  const [a, b, c] = [0, 1, 2];
  const locals = Array.from({ length: 13 }, () => fn.local(f64)) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [uh, ul, ah, al, bh, bl, th, tl, vh, vl, z, virtual, result] = locals;
  const bits = fn.local(i64);
  const magnitude = (local: number, instruction: 'f64.le' | 'f64.ge', limit: number) => {
    fn.localGet(local);
    fn.op('f64.abs');
    fn.f64Const(limit);
    fn.op(instruction);
  };
  const set = (target: number, x: number, instruction: 'f64.add' | 'f64.sub' | 'f64.mul', y: number) => {
    fn.localGet(x);
    fn.localGet(y);
    fn.op(instruction);
    fn.localSet(target);
  };
  const sumWithError = (sum: number, error: number, x: number, y: number) => {
    set(sum, x, 'f64.add', y);
    sumError(fn, 'f64', x, y, sum, virtual);
    fn.localSet(error);
  };
  const split = (high: number, low: number, x: number) => {
    fn.localGet(x);
    fn.f64Const(SPLITTER);
    fn.op('f64.mul');
    fn.localTee(virtual);
    fn.localGet(virtual);
    fn.localGet(x);
    fn.op('f64.sub');
    fn.op('f64.sub');
    fn.localSet(high);
    set(low, x, 'f64.sub', high);
  };

  magnitude(a, 'f64.le', GREATEST_FACTOR);
  magnitude(b, 'f64.le', GREATEST_FACTOR);
  fn.op('i32.and');
  magnitude(c, 'f64.le', GREATEST_ADDEND);
  fn.op('i32.and');
  fn.op('i32.eqz');
  const large = fn.if();
  fn.f64Const(NaN);
  fn.return();
  fn.end(large);

  set(uh, a, 'f64.mul', b);
  fn.localGet(a);
  fn.f64Const(0);
  fn.op('f64.eq');
  fn.localGet(b);
  fn.f64Const(0);
  fn.op('f64.eq');
  fn.op('i32.or');
  const zero = fn.if();
  fn.localGet(uh);
  fn.localGet(c);
  fn.op('f64.add');
  fn.return();
  fn.end(zero);

  magnitude(uh, 'f64.ge', LEAST);
  magnitude(c, 'f64.ge', LEAST);
  fn.localGet(c);
  fn.f64Const(0);
  fn.op('f64.eq');
  fn.op('i32.or');
  fn.op('i32.and');
  fn.op('i32.eqz');
  const small = fn.if();
  fn.f64Const(NaN);
  fn.return();
  fn.end(small);

  split(ah, al, a);
  split(bh, bl, b);
  // ul = al*bl - (((uh - ah*bh) - al*bh) - ah*bl), Dekker's product
  fn.localGet(al);
  fn.localGet(bl);
  fn.op('f64.mul');
  fn.localGet(uh);
  for (const [x, y] of [
    [ah, bh],
    [al, bh],
    [ah, bl],
  ] as const) {
    fn.localGet(x);
    fn.localGet(y);
    fn.op('f64.mul');
    fn.op('f64.sub');
  }
  fn.op('f64.sub');
  fn.localSet(ul);
  sumWithError(th, tl, c, ul);
  sumWithError(vh, vl, uh, th);
  // From here ah and al hold errors, which are not 0 exactly when the whole is inexact.
  sumWithError(z, ah, tl, vl);
  roundToOdd(fn, z, ah, bits);
  sumWithError(result, al, vh, z);
  addFlags(fn, () => {
    fn.localGet(ah);
    fn.f64Const(0);
    fn.op('f64.ne');
    fn.localGet(al);
    fn.f64Const(0);
    fn.op('f64.ne');
    fn.op('i32.or');
  });
  fn.localGet(result);
  return fn;
}

/**
 * `(a, b, c) -> f32`: likewise. The f64 product is exact; the f64 sum rounded to odd keeps enough to be rounded again (53 >= 2 * 24 + 2).
 * NaN for tiny, infinite and NaN results.
 */
export function fusedMultiplyAdd32Function(module: ModuleBuilder): FunctionBuilder {
  const fn = module.function('fusedMultiplyAdd32', [f32, f32, f32], [f32]);
  const product = fn.local(f64);
  const addend = fn.local(f64);
  const sum = fn.local(f64);
  const error = fn.local(f64);
  const virtual = fn.local(f64);
  const bits = fn.local(i64);
  const result = fn.local(f32);
  fn.localGet(0);
  fn.op('f64.promote_f32');
  fn.localGet(1);
  fn.op('f64.promote_f32');
  fn.op('f64.mul');
  fn.localTee(product);
  fn.localGet(2);
  fn.op('f64.promote_f32');
  fn.localTee(addend);
  fn.op('f64.add');
  fn.localSet(sum);
  sumError(fn, 'f64', product, addend, sum, virtual);
  fn.localSet(error);
  roundToOdd(fn, sum, error, bits);
  fn.localGet(sum);
  fn.op('f32.demote_f64');
  fn.localTee(result);
  fn.op('f32.abs');
  fn.f32Const(2 ** -126);
  fn.op('f32.gt');
  fn.localGet(result);
  fn.op('f32.abs');
  fn.f32Const(Infinity);
  fn.op('f32.lt');
  fn.op('i32.and');
  fn.localGet(sum);
  fn.f64Const(0);
  fn.op('f64.eq');
  fn.op('i32.or');
  fn.op('i32.eqz');
  const unusual = fn.if();
  fn.f32Const(NaN);
  fn.return();
  fn.end(unusual);
  addFlags(fn, () => {
    fn.localGet(error);
    fn.f64Const(0);
    fn.op('f64.ne');
    fn.localGet(result);
    fn.op('f64.promote_f32');
    fn.localGet(sum);
    fn.op('f64.ne');
    fn.op('i32.or');
  });
  fn.localGet(result);
  return fn;
}
