// The error of f32 operations through f64 arithmetic, in which every f32 product is exact and every f32 is far from
// overflow and underflow. So nothing here has a range to check: operands are any f32 values, as doubles. Verified in
// error-free.test.ts.

import { roundToOddSum, sumIsInexact } from './error-free.ts';

/** The values below which a result is tiny after rounding to 24 bits: 2^-126 less half of the last place below it. */
const TINY_AFTER_ROUNDING = 2 ** -126 - 2 ** -151;

/** Whether demoting x to f32 is inexact: promote(demote(x)) != x, and x is not a NaN. Overflow counts. */
export function narrowingIsInexact(x: number): boolean {
  return Math.fround(x) !== x && !Number.isNaN(x);
}

/**
 * Whether demoting x raises underflow: inexact and |x| < 2^-126 - 2^-151. At that bound itself x is a tie which 24 bits
 * round to 2^-126.
 */
export function narrowingUnderflows(x: number): boolean {
  return Math.abs(x) < TINY_AFTER_ROUNDING && narrowingIsInexact(x);
}

/**
 * Whether the f32 sum is inexact: the f64 sum is, or its demotion. Emitted with f32 arithmetic, sumIsInexact's formula
 * is shorter.
 */
export function sumIsInexact32(a: number, b: number): boolean {
  return sumIsInexact(a, b) || narrowingIsInexact(a + b);
}

/**
 * Whether the f32 product is inexact: the f64 product is exact (24 + 24 <= 53 bits, exponents -298 to 256), so only
 * demotion can be.
 */
export function productIsInexact32(a: number, b: number): boolean {
  return narrowingIsInexact(a * b);
}

/** Whether the f32 product raises underflow. */
export function productUnderflows32(a: number, b: number): boolean {
  return narrowingUnderflows(a * b);
}

/**
 * Whether the f32 quotient is inexact: promote(q) * b, exact in f64, is not a. Not for infinite, NaN or zero operands.
 */
export function quotientIsInexact32(a: number, b: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b) || b === 0) return false;
  return Math.fround(a / b) * b !== a;
}

/**
 * Whether the f32 quotient raises underflow: inexact and |RN64(a / b)| < 2^-126 - 2^-151. The f64 quotient stands for
 * the exact one, since a quotient of 24-bit integers that differs from a bound of 25 bits does so by a part in 2^50 at
 * least.
 */
export function quotientUnderflows32(a: number, b: number): boolean {
  return Math.abs(a / b) < TINY_AFTER_ROUNDING && quotientIsInexact32(a, b);
}

/** Whether the f32 square root is inexact: promote(r) * promote(r), exact in f64, is not a. */
export function rootIsInexact32(a: number): boolean {
  if (!(a > 0 && a < Infinity)) return false;
  const root = Math.fround(Math.sqrt(a));
  return root * root !== a;
}

/**
 * RN32(a * b + c), rounded once, for all f32 operands: demote(RO(a * b + c)), where a * b is exact. Rounding to odd
 * with 53 bits and then to nearest with at most 24 is rounding once, for 53 >= 24 + 2 (Boldo & Melquiond, as for
 * fusedMultiplyAdd64).
 */
export function fusedMultiplyAdd32(a: number, b: number, c: number): number {
  return Math.fround(roundToOddSum(a * b, c));
}

/**
 * Whether the f32 a * b + c is inexact: demoting RO(a * b + c) is. A rounded RO is odd in its 53rd bit, which demotion
 * drops.
 */
export function fusedIsInexact32(a: number, b: number, c: number): boolean {
  return narrowingIsInexact(roundToOddSum(a * b, c));
}

/**
 * Whether the f32 a * b + c raises underflow: |RO(a * b + c)| < 2^-126 - 2^-151 and inexact. Rounding to odd keeps
 * strict order against the bound, whose last of 53 bits is even.
 */
export function fusedUnderflows32(a: number, b: number, c: number): boolean {
  return Math.abs(roundToOddSum(a * b, c)) < TINY_AFTER_ROUNDING && fusedIsInexact32(a, b, c);
}
