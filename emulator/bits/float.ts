// IEEE 754 arithmetic by its definition: compute the exact value in integers, then round once. This is the reference
// meaning of every floating-point operation in the house: slow and obviously right. Intended use: `import * as float
// from '../bits/float.ts'`.
//
// Operands and results are raw bit patterns (see float-format.ts). The flags of a result are those the operation raises
// by itself; the caller ORs them into its accrued flags. Conversions live in float-convert.ts, comparisons and
// selections in float-compare.ts.

import {
  bitLength,
  decode,
  type Decoded,
  type FloatEnvironment,
  FloatFlag,
  type FloatResult,
  type Format,
  infinity,
  invalidOperation,
  propagateNan,
  round,
  Rounding,
  withSign,
} from './float-format.ts';

/** a + b. */
export function add(format: Format, a: bigint, b: bigint, environment: FloatEnvironment): FloatResult {
  const x = decode(format, a);
  const y = decode(format, b);
  if (x.kind === 'nan' || y.kind === 'nan') return propagateNan(format, [a, b], environment.nan);
  return addDecoded(format, x, y, environment);
}

/** a - b. */
export function sub(format: Format, a: bigint, b: bigint, environment: FloatEnvironment): FloatResult {
  const x = decode(format, a);
  const y = decode(format, b);
  // Subtraction is addition of the negated operand, except that a NaN operand keeps its own sign.
  if (x.kind === 'nan' || y.kind === 'nan') return propagateNan(format, [a, b], environment.nan);
  return addDecoded(format, x, negated(y), environment);
}

/** a * b. */
export function mul(format: Format, a: bigint, b: bigint, environment: FloatEnvironment): FloatResult {
  const x = decode(format, a);
  const y = decode(format, b);
  if (x.kind === 'nan' || y.kind === 'nan') return propagateNan(format, [a, b], environment.nan);
  const product = multiply(x, y);
  if (product === undefined) return invalidOperation(format, environment.nan);
  return finish(format, product, environment);
}

/** a / b. A finite non-zero number over zero is an infinity and raises divideByZero; 0/0 and inf/inf are invalid. */
export function div(format: Format, a: bigint, b: bigint, environment: FloatEnvironment): FloatResult {
  const x = decode(format, a);
  const y = decode(format, b);
  if (x.kind === 'nan' || y.kind === 'nan') return propagateNan(format, [a, b], environment.nan);
  const sign = x.sign !== y.sign;
  if (x.kind === y.kind && x.kind !== 'finite') return invalidOperation(format, environment.nan);
  if (x.kind === 'infinite') return exact(withSign(format, sign, infinity(format)));
  if (x.kind === 'zero' || y.kind === 'infinite') return exact(withSign(format, sign, 0n));
  if (y.kind === 'zero') return { bits: withSign(format, sign, infinity(format)), flags: FloatFlag.divideByZero };
  if (x.kind !== 'finite' || y.kind !== 'finite') throw new RangeError('div: unreachable operand class');
  // Scale the dividend so that the integer quotient has at least fractionBits + 3 bits; the remainder is the excess.
  const scale = format.fractionBits + 3 + bitLength(y.significand);
  const dividend = x.significand << BigInt(scale);
  const quotient = dividend / y.significand;
  const sticky = quotient * y.significand !== dividend;
  return round(format, sign, quotient, x.exponent - y.exponent - scale, sticky, environment);
}

/** The square root; that of -0 is -0, that of any other negative operand is invalid. */
export function sqrt(format: Format, a: bigint, environment: FloatEnvironment): FloatResult {
  const x = decode(format, a);
  if (x.kind === 'nan') return propagateNan(format, [a], environment.nan);
  if (x.kind === 'zero') return exact(a);
  if (x.sign) return invalidOperation(format, environment.nan);
  if (x.kind === 'infinite') return exact(a);
  // An even exponent, and so many added bits that the integer root has at least fractionBits + 3.
  const scale = 2 * (format.fractionBits + 3) + (x.exponent & 1);
  const radicand = x.significand << BigInt(scale);
  const root = integerSquareRoot(radicand);
  return round(format, false, root, (x.exponent - scale) / 2, root * root !== radicand, environment);
}

export interface FusedSigns {
  /** Compute -(a * b) ± c. */
  readonly negateProduct?: boolean;
  /** Compute ±(a * b) - c. */
  readonly negateAddend?: boolean;
}

/**
 * ±(a * b) ± c with one rounding. RISC-V: fmadd {}, fmsub {negateAddend}, fnmsub {negateProduct}, fnmadd both.
 *
 * A NaN operand propagates with its own sign under every choice of signs (the AArch64 lifter, whose pseudocode negates
 * the operand first, flips the sign bit before the call). Infinity times zero plus a NaN: `canonical` and
 * `propagateSignaling` raise invalid and give the default NaN; `propagate` gives the NaN operand and raises nothing
 * (Intel SDM Volume 1, "Fused-Multiply-ADD (FMA) Numeric Behavior"). Order of preference among NaNs: a, b, c;
 * `propagateSignaling`: c, a, b (`FPProcessNaNs3`).
 */
export function fusedMultiplyAdd(
  format: Format,
  a: bigint,
  b: bigint,
  c: bigint,
  environment: FloatEnvironment,
  signs: FusedSigns = {},
): FloatResult {
  const x = decode(format, a);
  const y = decode(format, b);
  const z = decode(format, c);
  const { nan = 'canonical' } = environment;
  if (x.kind === 'nan' || y.kind === 'nan' || z.kind === 'nan') {
    const infinityTimesZero =
      (x.kind === 'infinite' && y.kind === 'zero') || (x.kind === 'zero' && y.kind === 'infinite');
    const result = propagateNan(format, nan === 'propagateSignaling' ? [c, a, b] : [a, b, c], nan);
    if (!infinityTimesZero || nan === 'propagate') return result;
    if (nan === 'propagateSignaling' && result.flags !== 0) return result;
    return invalidOperation(format, nan);
  }
  const product = multiply(x, y);
  if (product === undefined) return invalidOperation(format, nan);
  return addDecoded(
    format,
    signs.negateProduct === true ? negated(product) : product,
    signs.negateAddend === true ? negated(z) : z,
    environment,
  );
}

/** The largest integer whose square does not exceed the value, by Newton's iteration from above. */
function integerSquareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

function exact(bits: bigint): FloatResult {
  return { bits, flags: 0 };
}

function negated(value: Decoded): Decoded {
  return { ...value, sign: !value.sign };
}

/** The exact product of two operands that are not NaNs; undefined for infinity times zero. */
function multiply(x: Decoded, y: Decoded): Decoded | undefined {
  const sign = x.sign !== y.sign;
  if (x.kind === 'finite' && y.kind === 'finite') {
    return { kind: 'finite', sign, significand: x.significand * y.significand, exponent: x.exponent + y.exponent };
  }
  const infinite = x.kind === 'infinite' || y.kind === 'infinite';
  const zero = x.kind === 'zero' || y.kind === 'zero';
  if (infinite && zero) return undefined;
  return { kind: infinite ? 'infinite' : 'zero', sign };
}

/** The rounded sum of two exact values, of which neither is a NaN (a product need not be representable). */
function addDecoded(format: Format, x: Decoded, y: Decoded, environment: FloatEnvironment): FloatResult {
  if (x.kind === 'infinite' && y.kind === 'infinite' && x.sign !== y.sign)
    return invalidOperation(format, environment.nan);
  if (x.kind === 'infinite') return finish(format, x, environment);
  if (y.kind === 'infinite') return finish(format, y, environment);
  // IEEE 754-2019, "The sign bit": a zero sum of operands of unlike signs is +0, or -0 when rounding down.
  const cancelled = environment.rounding === Rounding.down;
  if (x.kind === 'zero' && y.kind === 'zero')
    return exact(withSign(format, x.sign === y.sign ? x.sign : cancelled, 0n));
  if (x.kind !== 'finite') return finish(format, y, environment);
  if (y.kind !== 'finite') return finish(format, x, environment);
  const exponent = Math.min(x.exponent, y.exponent);
  const sum = signedInteger(x, exponent) + signedInteger(y, exponent);
  if (sum === 0n) return exact(withSign(format, cancelled, 0n));
  return round(format, sum < 0n, sum < 0n ? -sum : sum, exponent, false, environment);
}

function signedInteger(x: Extract<Decoded, { kind: 'finite' }>, exponent: number): bigint {
  const aligned = x.significand << BigInt(x.exponent - exponent);
  return x.sign ? -aligned : aligned;
}

function finish(format: Format, value: Decoded, environment: FloatEnvironment): FloatResult {
  if (value.kind === 'finite') return round(format, value.sign, value.significand, value.exponent, false, environment);
  return exact(withSign(format, value.sign, value.kind === 'zero' ? 0n : infinity(format)));
}
