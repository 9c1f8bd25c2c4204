// Comparisons, minimum and maximum, sign operations and classification. None of them rounds.

import {
  decode,
  FloatFlag,
  type FloatResult,
  type Format,
  isNan,
  isSignalingNan,
  magnitude,
  type NanPolicy,
  propagateNan,
  signBit,
  withSign,
} from './float-format.ts';

/** A comparison's truth and the FloatFlag bits it raised. */
export interface Comparison {
  readonly value: boolean;
  readonly flags: number;
}

/** a = b; a quiet NaN compares unequal in silence, a signaling one raises invalid (feq). */
export function equalQuiet(format: Format, a: bigint, b: bigint): Comparison {
  return compare(format, a, b, false, (order) => order === 0n);
}

/** a = b, where any NaN raises invalid. */
export function equalSignaling(format: Format, a: bigint, b: bigint): Comparison {
  return compare(format, a, b, true, (order) => order === 0n);
}

/** a < b, where any NaN raises invalid (flt). */
export function lessSignaling(format: Format, a: bigint, b: bigint): Comparison {
  return compare(format, a, b, true, (order) => order < 0);
}

/** a <= b, where any NaN raises invalid (fle). */
export function lessEqualSignaling(format: Format, a: bigint, b: bigint): Comparison {
  return compare(format, a, b, true, (order) => order <= 0);
}

/** a < b, where only a signaling NaN raises invalid (fltq). */
export function lessQuiet(format: Format, a: bigint, b: bigint): Comparison {
  return compare(format, a, b, false, (order) => order < 0);
}

/** a <= b, where only a signaling NaN raises invalid (fleq). */
export function lessEqualQuiet(format: Format, a: bigint, b: bigint): Comparison {
  return compare(format, a, b, false, (order) => order <= 0);
}

/** Whether either operand is a NaN; only a signaling one raises invalid. */
export function unorderedQuiet(format: Format, a: bigint, b: bigint): Comparison {
  return { value: isNan(format, a) || isNan(format, b), flags: signalingFlag(format, a, b) };
}

/**
 * minimumNumber of IEEE 754-2019, RISC-V fmin: the number when one operand is a NaN, -0 below +0. A signaling NaN
 * raises invalid; two NaNs give the policy's NaN. Under `propagateSignaling` a signaling operand gives a NaN (minNum of
 * IEEE 754-2008, AArch64 FMINNM).
 */
export function minimumNumber(format: Format, a: bigint, b: bigint, nan: NanPolicy = 'canonical'): FloatResult {
  return selectNumber(format, a, b, nan, true);
}

/** maximumNumber of IEEE 754-2019, RISC-V fmax; otherwise as minimumNumber. */
export function maximumNumber(format: Format, a: bigint, b: bigint, nan: NanPolicy = 'canonical'): FloatResult {
  return selectNumber(format, a, b, nan, false);
}

/** minimum of IEEE 754-2019 (RISC-V fminm, AArch64 FMIN, WebAssembly min): any NaN operand gives a NaN; -0 below +0. */
export function minimum(format: Format, a: bigint, b: bigint, nan: NanPolicy = 'canonical'): FloatResult {
  return isNan(format, a) || isNan(format, b)
    ? propagateNan(format, [a, b], nan)
    : selectNumber(format, a, b, nan, true);
}

/** maximum of IEEE 754-2019; otherwise as minimum. */
export function maximum(format: Format, a: bigint, b: bigint, nan: NanPolicy = 'canonical'): FloatResult {
  return isNan(format, a) || isNan(format, b)
    ? propagateNan(format, [a, b], nan)
    : selectNumber(format, a, b, nan, false);
}

/** The bits of `a` with the sign of `b` (fsgnj). Sign operations treat NaNs as bits and raise nothing. */
export function copySign(format: Format, a: bigint, b: bigint): bigint {
  return withSign(format, (b & signBit(format)) !== 0n, a);
}

/** The bits of `a` with the opposite of the sign of `b` (fsgnjn). */
export function copySignNegated(format: Format, a: bigint, b: bigint): bigint {
  return withSign(format, (b & signBit(format)) === 0n, a);
}

/** The bits of `a` with its sign flipped if `b` is negative (fsgnjx). */
export function copySignXor(format: Format, a: bigint, b: bigint): bigint {
  return a ^ (b & signBit(format));
}

/**
 * The bit of each class in the fclass mask (RISC-V ISA Volume I, "Single-Precision Floating-Point Classify
 * Instruction").
 */
export const FloatClass = {
  negativeInfinity: 1 << 0,
  negativeNormal: 1 << 1,
  negativeSubnormal: 1 << 2,
  negativeZero: 1 << 3,
  positiveZero: 1 << 4,
  positiveSubnormal: 1 << 5,
  positiveNormal: 1 << 6,
  positiveInfinity: 1 << 7,
  signalingNan: 1 << 8,
  quietNan: 1 << 9,
} as const;
export type FloatClass = (typeof FloatClass)[keyof typeof FloatClass];

/** The one FloatClass bit that describes the datum. */
export function classify(format: Format, bits: bigint): FloatClass {
  const value = decode(format, bits);
  switch (value.kind) {
    case 'nan':
      return value.signaling ? FloatClass.signalingNan : FloatClass.quietNan;
    case 'infinite':
      return value.sign ? FloatClass.negativeInfinity : FloatClass.positiveInfinity;
    case 'zero':
      return value.sign ? FloatClass.negativeZero : FloatClass.positiveZero;
    case 'finite': {
      const normal = value.significand >= 1n << BigInt(format.fractionBits);
      if (value.sign) return normal ? FloatClass.negativeNormal : FloatClass.negativeSubnormal;
      return normal ? FloatClass.positiveNormal : FloatClass.positiveSubnormal;
    }
  }
}

/** An integer that orders the data that are not NaNs as their values; both zeros map to 0. */
function rank(format: Format, bits: bigint): bigint {
  const size = magnitude(format, bits);
  return (bits & signBit(format)) === 0n ? size : -size;
}

function signalingFlag(format: Format, a: bigint, b: bigint): number {
  return isSignalingNan(format, a) || isSignalingNan(format, b) ? FloatFlag.invalid : 0;
}

function compare(
  format: Format,
  a: bigint,
  b: bigint,
  signaling: boolean,
  holds: (order: bigint) => boolean,
): Comparison {
  if (isNan(format, a) || isNan(format, b)) {
    return { value: false, flags: signaling ? FloatFlag.invalid : signalingFlag(format, a, b) };
  }
  return { value: holds(rank(format, a) - rank(format, b)), flags: 0 };
}

function selectNumber(format: Format, a: bigint, b: bigint, nan: NanPolicy, least: boolean): FloatResult {
  const flags = signalingFlag(format, a, b);
  const aNan = isNan(format, a);
  const bNan = isNan(format, b);
  if ((aNan && bNan) || (nan === 'propagateSignaling' && flags !== 0)) return propagateNan(format, [a, b], nan);
  if (aNan) return { bits: b, flags };
  if (bNan) return { bits: a, flags };
  const order = rank(format, a) - rank(format, b);
  // Equal ranks are equal bits or zeros of unlike signs, among which the sign decides.
  const aLess = order === 0n ? (a & signBit(format)) !== 0n : order < 0n;
  return { bits: aLess === least ? a : b, flags };
}
