// Conversions between floating-point formats and to and from integers, by the same rule as float.ts: exact value, one
// rounding.

import {
  canonicalNan,
  decode,
  type FloatEnvironment,
  FloatFlag,
  type FloatResult,
  type Format,
  formatWidth,
  infinity,
  quietBit,
  round,
  type Rounding,
  roundToQuantum,
  withSign,
} from './float-format.ts';

/**
 * What an integer conversion gives for NaN, an infinity or a value out of range (each raises invalid and nothing else).
 * - `saturate`: the nearest bound, and the *largest* for NaN of either sign (RISC-V ISA Volume I, "Single-Precision
 *   Floating-Point Conversion and Move Instructions").
 * - `saturateNanZero`: the nearest bound, and 0 for NaN (AArch64 `FPToFixed`).
 * - `indefinite`: the integer indefinite, 1 << (width - 1), or all ones when unsigned (x86 CVT* and VCVT*2U*).
 */
export type IntegerOverflow = 'saturate' | 'saturateNanZero' | 'indefinite';

export interface ToIntegerOptions {
  readonly width: 32 | 64;
  readonly signed: boolean;
  readonly rounding: Rounding;
  /** Default `saturate`. */
  readonly overflow?: IntegerOverflow;
}

/**
 * From one format to another. Under the propagating NaN policies the payload keeps its leading bits, as on x86 and
 * AArch64. A signaling NaN raises invalid.
 */
export function convertFormat(from: Format, to: Format, bits: bigint, environment: FloatEnvironment): FloatResult {
  const value = decode(from, bits);
  switch (value.kind) {
    case 'zero':
      return { bits: withSign(to, value.sign, 0n), flags: 0 };
    case 'infinite':
      return { bits: withSign(to, value.sign, infinity(to)), flags: 0 };
    case 'finite':
      return round(to, value.sign, value.significand, value.exponent, false, environment);
    case 'nan': {
      const flags = value.signaling ? FloatFlag.invalid : 0;
      if ((environment.nan ?? 'canonical') === 'canonical') return { bits: canonicalNan(to), flags };
      const payload = bits & (quietBit(from) - 1n);
      const lost = from.fractionBits - to.fractionBits;
      const aligned = lost > 0 ? payload >> BigInt(lost) : payload << BigInt(-lost);
      return { bits: withSign(to, value.sign, canonicalNan(to) | aligned), flags };
    }
  }
}

/**
 * To an integer, returned as its unsigned width-bit pattern. The value is rounded first and then tested against the
 * range, so -0.5 toward zero is a good unsigned 0 (inexact), while -1 is not (invalid).
 */
export function toInteger(format: Format, bits: bigint, options: ToIntegerOptions): FloatResult {
  const { width, signed, rounding, overflow = 'saturate' } = options;
  const lowest = signed ? -(1n << BigInt(width - 1)) : 0n;
  const highest = (1n << BigInt(signed ? width - 1 : width)) - 1n;
  const pattern = (integer: bigint): bigint => BigInt.asUintN(width, integer);
  const invalid = (bound: bigint): FloatResult => ({
    bits: pattern(overflow === 'indefinite' ? (signed ? lowest : highest) : bound),
    flags: FloatFlag.invalid,
  });

  const value = decode(format, bits);
  if (value.kind === 'nan') return invalid(overflow === 'saturateNanZero' ? 0n : highest);
  if (value.kind === 'infinite') return invalid(value.sign ? lowest : highest);
  if (value.kind === 'zero') return { bits: 0n, flags: 0 };
  const { integer, inexact } = roundToQuantum(value.sign, value.significand, value.exponent, false, 0, rounding);
  const rounded = value.sign ? -integer : integer;
  if (rounded < lowest) return invalid(lowest);
  if (rounded > highest) return invalid(highest);
  return { bits: pattern(rounded), flags: inexact ? FloatFlag.inexact : 0 };
}

/** From the low `width` bits of an integer. Integer zero is +0 in every rounding mode. */
export function fromInteger(
  format: Format,
  integer: bigint,
  options: { readonly width: 32 | 64; readonly signed: boolean } & FloatEnvironment,
): FloatResult {
  const value = options.signed ? BigInt.asIntN(options.width, integer) : BigInt.asUintN(options.width, integer);
  if (value === 0n) return { bits: 0n, flags: 0 };
  return round(format, value < 0n, value < 0n ? -value : value, 0, false, options);
}

/**
 * To an integral value in the same format, keeping the sign of a zero result. `signalInexact` (default false) tells
 * whether a changed value raises inexact: roundToIntegralExact, froundnx, FRINTX do; fround, FRINTN and the like do
 * not.
 */
export function roundToIntegral(
  format: Format,
  bits: bigint,
  environment: FloatEnvironment & { readonly signalInexact?: boolean },
): FloatResult {
  const value = decode(format, bits);
  if (value.kind === 'nan') return convertFormat(format, format, bits, environment);
  if (value.kind !== 'finite') return { bits, flags: 0 };
  const { integer, inexact } = roundToQuantum(
    value.sign,
    value.significand,
    value.exponent,
    false,
    0,
    environment.rounding,
  );
  const flags = inexact && environment.signalInexact === true ? FloatFlag.inexact : 0;
  if (integer === 0n) return { bits: withSign(format, value.sign, 0n), flags };
  // The integer part of a number of p significant bits, or the power of two above it, is representable: this rounding
  // is exact, unless a tiny format's largest number rounds up to beyond its range.
  const result = round(format, value.sign, integer, 0, false, environment);
  return { bits: result.bits, flags: flags | result.flags };
}

/** Whether a register holds a properly NaN-boxed value of the narrower format: all upper bits are ones. */
export function isNanBoxed(format: Format, registerWidth: number, register: bigint): boolean {
  const width = BigInt(formatWidth(format));
  return register >> width === (1n << (BigInt(registerWidth) - width)) - 1n;
}

/** Sets every bit above the value (RISC-V ISA Volume I, "NaN Boxing of Narrower Values"). */
export function nanBox(format: Format, registerWidth: number, bits: bigint): bigint {
  return bits | ((1n << BigInt(registerWidth)) - (1n << BigInt(formatWidth(format))));
}

/** The narrower value in a register; the canonical NaN when the register is not properly boxed (same section). */
export function nanUnbox(format: Format, registerWidth: number, register: bigint): bigint {
  if (!isNanBoxed(format, registerWidth, register)) return canonicalNan(format);
  return BigInt.asUintN(formatWidth(format), register);
}

/** The f64 bits of a JavaScript number. The payload of a NaN is the engine's choice. */
export function bitsFromNumber(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

/** The exact value of a datum as a JavaScript number, for formats no wider than f64. */
export function numberFromBits(format: Format, bits: bigint): number {
  const value = decode(format, bits);
  if (value.kind === 'nan') return Number.NaN;
  const size =
    value.kind === 'infinite' ? Infinity : value.kind === 'zero' ? 0 : Number(value.significand) * 2 ** value.exponent;
  return value.sign ? -size : size;
}
