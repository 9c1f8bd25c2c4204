// Binary interchange formats, the floating-point environment, and the one place where an exact value is rounded.
//
// A datum travels as its raw bit pattern: an unsigned bigint below 2^width. A finite non-zero datum is, exactly,
// (-1)^sign * significand * 2^exponent with an integer significand, so every operation is integer arithmetic followed
// by `round`. IEEE 754-2019, "Specification levels", is the map: decode, compute as if with unbounded range and
// precision, round once.

/**
 * A binary interchange format; the width is 1 + exponentBits + fractionBits. Any small sizes work, which the exhaustive
 * tests use.
 */
export interface Format {
  readonly exponentBits: number;
  /** Stored significand bits, without the implicit leading one. */
  readonly fractionBits: number;
}

export const Format = {
  f16: { exponentBits: 5, fractionBits: 10 },
  f32: { exponentBits: 8, fractionBits: 23 },
  f64: { exponentBits: 11, fractionBits: 52 },
} as const satisfies Record<string, Format>;

/**
 * Rounding modes, numbered as in the `frm` field (RISC-V ISA Volume I, "Floating-Point Control and Status Register").
 */
export const Rounding = {
  nearestEven: 0,
  towardZero: 1,
  down: 2,
  up: 3,
  nearestMaxMagnitude: 4,
} as const;
export type Rounding = (typeof Rounding)[keyof typeof Rounding];

/** Accrued exception flags, numbered as in `fflags` (same section). */
export const FloatFlag = { inexact: 1, underflow: 2, overflow: 4, divideByZero: 8, invalid: 16 } as const;
export type FloatFlag = (typeof FloatFlag)[keyof typeof FloatFlag];

/**
 * What a NaN result is.
 * - `canonical`: always the positive quiet NaN with a zero payload (RISC-V; AArch64 with FPCR.DN = 1).
 * - `propagate`: the first operand that is a NaN, quieted; a NaN from no NaN is the *negative* default NaN (x86 SSE,
 *   "QNaN floating-point indefinite").
 * - `propagateSignaling`: the first signaling operand, else the first quiet one, quieted; a NaN from no NaN is the
 *   positive default NaN (AArch64, `FPProcessNaNs`).
 */
export type NanPolicy = 'canonical' | 'propagate' | 'propagateSignaling';

/**
 * When tininess is detected: `after` rounding (RISC-V, x86) or `before` (AArch64). It decides the underflow flag only.
 */
export type Tininess = 'after' | 'before';

export interface FloatEnvironment {
  readonly rounding: Rounding;
  /** Default `canonical`. */
  readonly nan?: NanPolicy;
  /** Default `after`. */
  readonly tininess?: Tininess;
}

/** The result's raw bits and the FloatFlag bits which the operation raised. */
export interface FloatResult {
  readonly bits: bigint;
  readonly flags: number;
}

/** A decoded datum. `finite`: the magnitude is significand * 2^exponent, with significand > 0. */
export type Decoded =
  | { readonly kind: 'zero'; readonly sign: boolean }
  | { readonly kind: 'infinite'; readonly sign: boolean }
  | { readonly kind: 'finite'; readonly sign: boolean; readonly significand: bigint; readonly exponent: number }
  | { readonly kind: 'nan'; readonly sign: boolean; readonly signaling: boolean };

export function formatWidth(format: Format): number {
  return 1 + format.exponentBits + format.fractionBits;
}

export function signBit(format: Format): bigint {
  return 1n << BigInt(formatWidth(format) - 1);
}

/** The bits of positive infinity, which are also the mask of the exponent field. */
export function infinity(format: Format): bigint {
  return ((1n << BigInt(format.exponentBits)) - 1n) << BigInt(format.fractionBits);
}

export function largestFinite(format: Format): bigint {
  return infinity(format) - 1n;
}

/** The positive quiet NaN with a zero payload: 0x7e00, 0x7fc00000, 0x7ff8000000000000. */
export function canonicalNan(format: Format): bigint {
  return infinity(format) | quietBit(format);
}

/** The exponent of the smallest subnormal: 2^-149 for f32, 2^-1074 for f64. */
export function smallestExponent(format: Format): number {
  return 2 - (1 << (format.exponentBits - 1)) - format.fractionBits;
}

export function isNan(format: Format, bits: bigint): boolean {
  return magnitude(format, bits) > infinity(format);
}

export function isSignalingNan(format: Format, bits: bigint): boolean {
  return isNan(format, bits) && (bits & quietBit(format)) === 0n;
}

/** The bits without the sign. */
export function magnitude(format: Format, bits: bigint): bigint {
  return bits & (signBit(format) - 1n);
}

export function withSign(format: Format, sign: boolean, bits: bigint): bigint {
  return magnitude(format, bits) | (sign ? signBit(format) : 0n);
}

export function decode(format: Format, bits: bigint): Decoded {
  const sign = (bits & signBit(format)) !== 0n;
  const size = magnitude(format, bits);
  if (size === 0n) return { kind: 'zero', sign };
  if (size === infinity(format)) return { kind: 'infinite', sign };
  if (size > infinity(format)) return { kind: 'nan', sign, signaling: (bits & quietBit(format)) === 0n };
  const implicit = 1n << BigInt(format.fractionBits);
  const biased = Number(size >> BigInt(format.fractionBits));
  const fraction = size & (implicit - 1n);
  const significand = biased === 0 ? fraction : fraction | implicit;
  return { kind: 'finite', sign, significand, exponent: smallestExponent(format) + Math.max(biased - 1, 0) };
}

/**
 * Rounds (-1)^sign * (significand + excess) * 2^exponent to the format, where significand > 0 and the excess, present
 * when `sticky`, is somewhere strictly between 0 and 1. With `sticky` the significand must have at least fractionBits +
 * 3 bits, so that the excess lies below the rounding position.
 */
export function round(
  format: Format,
  sign: boolean,
  significand: bigint,
  exponent: number,
  sticky: boolean,
  environment: FloatEnvironment,
): FloatResult {
  const { rounding, tininess = 'after' } = environment;
  const leading = bitLength(significand) - 1 + exponent;
  const smallest = smallestExponent(format);
  // The exponent of the result's last place, were the exponent range unbounded below; and as it is.
  const unbounded = leading - format.fractionBits;
  const quantum = Math.max(unbounded, smallest);

  const rounded = roundToQuantum(sign, significand, exponent, sticky, quantum, rounding);
  // One sum serves subnormals (quantum = smallest, no implicit bit) and normals (the implicit bit adds one to the
  // exponent field), and a carry out of the significand lands in the exponent field, where it belongs.
  const bits = (BigInt(quantum - smallest) << BigInt(format.fractionBits)) + rounded.integer;

  if (bits >= infinity(format)) {
    const away =
      rounding === Rounding.nearestEven ||
      rounding === Rounding.nearestMaxMagnitude ||
      rounding === (sign ? Rounding.down : Rounding.up);
    return {
      bits: withSign(format, sign, away ? infinity(format) : largestFinite(format)),
      flags: FloatFlag.overflow | FloatFlag.inexact,
    };
  }
  let flags = 0;
  if (rounded.inexact) {
    flags = FloatFlag.inexact;
    let tiny = unbounded < smallest;
    if (tiny && tininess === 'after') {
      const precise = roundToQuantum(sign, significand, exponent, sticky, unbounded, rounding);
      const top = bitLength(precise.integer) - 1 + unbounded;
      tiny = top - format.fractionBits < smallest;
    }
    if (tiny) flags |= FloatFlag.underflow;
  }
  return { bits: withSign(format, sign, bits), flags };
}

/**
 * Rounds the magnitude (significand + excess) * 2^exponent to an integer multiple of 2^quantum. The sign matters to the
 * directed modes. With `sticky`, quantum must exceed exponent.
 */
export function roundToQuantum(
  sign: boolean,
  significand: bigint,
  exponent: number,
  sticky: boolean,
  quantum: number,
  rounding: Rounding,
): { readonly integer: bigint; readonly inexact: boolean } {
  const shift = quantum - exponent;
  if (shift <= 0) {
    if (sticky) throw new RangeError('roundToQuantum: the excess reaches the rounding position');
    return { integer: significand << BigInt(-shift), inexact: false };
  }
  const integer = significand >> BigInt(shift);
  // Twice the remainder, plus one for the excess, against twice the half unit: the excess can break a tie but not reach
  // one.
  const remainder = 2n * (significand - (integer << BigInt(shift))) + (sticky ? 1n : 0n);
  const half = 1n << BigInt(shift);
  if (remainder === 0n) return { integer, inexact: false };
  return { integer: roundsAway(sign, integer, remainder, half, rounding) ? integer + 1n : integer, inexact: true };
}

/**
 * The result when an operand is a NaN; `operands` in the order in which the policy prefers them. Raises invalid for a
 * signaling one.
 */
export function propagateNan(format: Format, operands: readonly bigint[], nan: NanPolicy = 'canonical'): FloatResult {
  const signaling = operands.find((bits) => isSignalingNan(format, bits));
  const flags = signaling === undefined ? 0 : FloatFlag.invalid;
  const first = operands.find((bits) => isNan(format, bits));
  if (first === undefined) throw new RangeError('propagateNan: no operand is a NaN');
  if (nan === 'canonical') return { bits: canonicalNan(format), flags };
  const chosen = nan === 'propagateSignaling' ? (signaling ?? first) : first;
  return { bits: chosen | quietBit(format), flags };
}

/** The result of an invalid operation on operands of which none is a NaN. */
export function invalidOperation(format: Format, nan: NanPolicy = 'canonical'): FloatResult {
  return { bits: withSign(format, nan === 'propagate', canonicalNan(format)), flags: FloatFlag.invalid };
}

/** The number of bits of a non-negative integer; 0 for 0. */
export function bitLength(value: bigint): number {
  if (value === 0n) return 0;
  const digits = value.toString(16);
  return 4 * digits.length - Math.clz32(Number.parseInt(digits.charAt(0), 16)) + 28;
}

/** The quiet bit: the first bit of the fraction. */
export function quietBit(format: Format): bigint {
  return 1n << BigInt(format.fractionBits - 1);
}

function roundsAway(sign: boolean, integer: bigint, remainder: bigint, half: bigint, rounding: Rounding): boolean {
  switch (rounding) {
    case Rounding.nearestEven:
      return remainder > half || (remainder === half && (integer & 1n) === 1n);
    case Rounding.nearestMaxMagnitude:
      return remainder >= half;
    case Rounding.towardZero:
      return false;
    case Rounding.down:
      return sign;
    case Rounding.up:
      return !sign;
  }
}
