// Error-free transformations over doubles: what a machine that only rounds to nearest, and has neither flags nor a
// fused multiply-add (such as WebAssembly), must compute to know the error of an operation. Each function is a formula
// to be emitted as well as called; its range is stated, and error-free.test.ts verifies it against the integer
// arithmetic of float.ts.
//
// Notation: RN rounds to the nearest double, ties to even; RO rounds to odd; ulp is the unit in the last place. p = 53.
// Throughout, sums of doubles cannot underflow: a sum is a multiple of 2^-1074, so a result below 2^-1021 is exact.

/** 2^27 + 1, Veltkamp's constant for p = 53. */
const SPLITTER = 134_217_729;
const SMALLEST_NORMAL = 2 ** -1022;

/**
 * a + b - RN(a + b), exactly: the 2Sum of six additions, any order of magnitudes (Knuth, The Art of Computer
 * Programming volume 2, "Accuracy of Floating Point Arithmetic").
 *
 * Range: a, b and RN(a + b) finite, and |b| not the largest finite double, Omega. A later step overflows only if an
 * operand is Omega (Boldo, Graillat & Muller, "On the robustness of the 2Sum and Fast2Sum algorithms", 2017); in this
 * order of steps that is b, for b = -Omega and some positive a, and the result is NaN. It is NaN, too, when a, b or the
 * sum is not finite.
 */
export function twoSumError(a: number, b: number): number {
  const sum = a + b;
  const bVirtual = sum - a;
  const aVirtual = sum - bVirtual;
  return a - aVirtual + (b - bVirtual);
}

/**
 * Whether a + b is inexact, for all operands: overflow counts as inexact, an infinity or a NaN among the operands does
 * not.
 *
 * Formula for finite operands and sum: not (sum - a = b and sum - b = a). Proof: if the sum is exact, both differences
 * are exact. If both equalities hold, they are the two virtual operands of 2Sum, whose error is then (a - a) + (b - b)
 * = 0; no step overflowed, so the theorem of 2Sum applies. There is no exception at the largest finite double: a
 * difference that overflows equals neither operand, and rightly so. The same formula with f32 arithmetic decides f32
 * sums, and with b negated differences.
 */
export function sumIsInexact(a: number, b: number): boolean {
  const sum = a + b;
  if (!Number.isFinite(sum)) return Number.isFinite(a) && Number.isFinite(b);
  return sum - a !== b || sum - b !== a;
}

/**
 * Whether twoProductError(a, b) is exact: |a|, |b| <= 2^995, and an operand is zero or 2^-968 <= |RN(a * b)| <= 2^1021.
 *
 * Why. Above: SPLITTER * a stays below 2^1023, and each partial product below 2^1022. Below: with exponents ea and eb
 * of the leading bits, |a * b| < 2^(ea + eb + 2), and |a * b| >= 2^-968 (1 - 2^-53), so ea + eb >= -970. Every partial
 * product and the error are multiples of 2^(ea - 52) 2^(eb - 52) >= 2^-1074, hence free of underflow. Subnormal
 * operands only have coarser last bits. The bounds sit on powers of two so that a caller may test exponent fields
 * instead.
 */
export function productIsSafe(a: number, b: number): boolean {
  const size = Math.abs(a * b);
  const splits = Math.abs(a) <= 2 ** 995 && Math.abs(b) <= 2 ** 995;
  return splits && (a === 0 || b === 0 || (size >= 2 ** -968 && size <= 2 ** 1021));
}

/**
 * a * b - RN(a * b), exactly: Veltkamp's splitting into 26-bit halves (the sign of the low half carries the 53rd bit)
 * and Dekker's sum of the partial products, 17 operations (T. J. Dekker, "A floating-point technique for extending the
 * available precision", 1971; S. Boldo, "Pitfalls of a full floating-point proof: example on the formal proof of the
 * Veltkamp/Dekker algorithms", 2006).
 *
 * Range: productIsSafe(a, b).
 */
export function twoProductError(a: number, b: number): number {
  const product = a * b;
  const aScaled = SPLITTER * a;
  const aHigh = aScaled - (aScaled - a);
  const aLow = a - aHigh;
  const bScaled = SPLITTER * b;
  const bHigh = bScaled - (bScaled - b);
  const bLow = b - bHigh;
  return aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
}

/**
 * The exponent of the lowest one bit of a finite non-zero double: 0 for 1, 3 and 5, 1 for 2 and 6, -1074 for the
 * smallest subnormal. With the bits as an i64: max(biased exponent, 1) - 1075 + ctz(fraction | (biased exponent = 0 ? 0
 * : 2^52)).
 */
export function lowestBitExponent(value: number): number {
  const bits = bitsOf(value);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xf_ffff_ffff_ffffn;
  const significand = biased === 0 ? fraction : fraction | 0x10_0000_0000_0000n;
  const low = Number(significand & 0xffff_ffffn);
  const trailing = low === 0 ? 32 + trailingZeros(Number(significand >> 32n)) : trailingZeros(low);
  return Math.max(biased, 1) - 1075 + trailing;
}

/**
 * Whether a * b is inexact, for all operands, subnormal results included; overflow and underflow to zero count, zero,
 * infinite and NaN operands do not.
 *
 * Formula for finite non-zero operands: lowestBit(RN(a * b)) != lowestBit(a) + lowestBit(b). Proof: the lowest bit of
 * an integer product is at the sum of the lowest bits. An exact result has that very bit; an inexact one was rounded to
 * a multiple of some 2^q above that bit, so its lowest bit lies higher. It holds for a result rounded in any direction.
 * No range to check, and no Dekker product.
 */
export function productIsInexact(a: number, b: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return false;
  const product = a * b;
  if (product === 0 || !Number.isFinite(product)) return true;
  return lowestBitExponent(product) !== lowestBitExponent(a) + lowestBitExponent(b);
}

/**
 * Whether a / b is inexact, for all operands as in productIsInexact; a zero divisor is not inexact.
 *
 * Formula for finite non-zero operands, q = RN(a / b) finite and non-zero: RN(q * b) != a or lowestBit(q) +
 * lowestBit(b) != lowestBit(a). Proof: the quotient is exact when q * b = a, and by the argument of productIsInexact
 * the two equalities hold together just when q * b is exactly a.
 */
export function quotientIsInexact(a: number, b: number): boolean {
  if (!Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) return false;
  const quotient = a / b;
  if (quotient === 0 || !Number.isFinite(quotient)) return true;
  return quotient * b !== a || lowestBitExponent(quotient) + lowestBitExponent(b) !== lowestBitExponent(a);
}

/**
 * Whether the square root of a is inexact, for all operands: RN(r * r) != a or 2 lowestBit(r) != lowestBit(a), as for
 * quotients.
 */
export function rootIsInexact(a: number): boolean {
  if (!(a > 0 && a < Infinity)) return false;
  const root = Math.sqrt(a);
  return root * root !== a || 2 * lowestBitExponent(root) !== lowestBitExponent(a);
}

/**
 * Whether a * b raises underflow: inexact, and below 2^-1022 after rounding to 53 bits with an unbounded exponent.
 *
 * Formula, when |RN(a * b)| <= 2^-1022 and the product is inexact: |RN((2^512 s) * l)| < 2^-510, where s is the operand
 * of smaller magnitude. Since |s| < 2^-510, scaling is exact and cannot overflow, and 2^512 a b > 2^-1022 unless a * b
 * < 2^-1534, when the product is far below either way. The same test without the first condition's equality, |a * b| <
 * 2^-1022, is tininess before rounding except at RN(a * b) = 2^-1022, where it needs the sign of the error.
 */
export function productUnderflows(a: number, b: number): boolean {
  if (Math.abs(a * b) > SMALLEST_NORMAL || !productIsInexact(a, b)) return false;
  const small = Math.min(Math.abs(a), Math.abs(b));
  const large = Math.max(Math.abs(a), Math.abs(b));
  return small * 2 ** 512 * large < 2 ** -510;
}

/**
 * Whether a / b raises underflow, as productUnderflows. |RN((2^512 a) / b)| < 2^-510 for inexact |RN(a / b)| <=
 * 2^-1022, where |a| < 4 so that scaling is exact. Sums, differences and square roots never underflow inexactly.
 */
export function quotientUnderflows(a: number, b: number): boolean {
  if (!(Math.abs(a / b) <= SMALLEST_NORMAL) || !quotientIsInexact(a, b)) return false;
  return Math.abs((a * 2 ** 512) / b) < 2 ** -510;
}

/**
 * a - RN(a / b) * b, exactly, whose sign times the sign of b is that of the quotient's error. The remainder is a double
 * (Bohlender, Walter, Kornerup & Matula, "Semantics for exact floating point operations", 1991; Boldo & Daumas,
 * "Representable correcting terms for possibly underflowing floating point operations", 2003), and a - RN(q * b) is
 * exact since the two are within an ulp or so.
 *
 * Range: quotientIsSafe(a, b).
 */
export function quotientRemainder(a: number, b: number): number {
  const quotient = a / b;
  return a - quotient * b - twoProductError(quotient, b);
}

/**
 * Whether quotientRemainder(a, b) is exact: b is not zero, the quotient is zero or normal, and its product with b is
 * safe.
 */
export function quotientIsSafe(a: number, b: number): boolean {
  const quotient = a / b;
  return b !== 0 && (a === 0 || Math.abs(quotient) >= SMALLEST_NORMAL) && productIsSafe(quotient, b);
}

/** a - RN(sqrt(a))^2, exactly, for 2^-967 <= a <= 2^1021 (same sources); its sign is that of the root's error. */
export function rootRemainder(a: number): number {
  const root = Math.sqrt(a);
  return a - root * root - twoProductError(root, root);
}

/**
 * RO(a + b): the sum if it is a double, else that neighbour of it whose last significand bit is one.
 *
 * Formula: s = RN(a + b); if its error e is not zero and the last bit of s is even, move s by one unit of its bit
 * pattern towards e, which is bits(s) + 1 when e and s have one sign, else bits(s) - 1. Range: that of twoSumError.
 */
export function roundToOddSum(a: number, b: number): number {
  const sum = a + b;
  const error = twoSumError(a, b);
  if (!(error < 0 || error > 0)) return sum;
  const bits = bitsOf(sum);
  if ((bits & 1n) === 1n) return sum;
  return fromBits(error > 0 === sum > 0 ? bits + 1n : bits - 1n);
}

/**
 * Whether fusedMultiplyAdd64(a, b, c) is correct: productIsSafe(a, b) and |c| <= 2^1021. Nothing bounds c or the result
 * from below.
 */
export function fusedIsSafe(a: number, b: number, c: number): boolean {
  return productIsSafe(a, b) && Math.abs(c) <= 2 ** 1021;
}

/**
 * RN(a * b + c), rounded once: with (u, u') the product and its error, (t, t') = 2Sum(c, u'), (v, v') = 2Sum(u, t), the
 * result is RN(v + RO(t' + v')) (S. Boldo & G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved
 * algorithms using rounding to odd", 2008).
 *
 * Range: fusedIsSafe(a, b, c). Then all of u, u' and c are multiples of 2^-1074 and the rest is sums, so that the
 * proof's unbounded exponents are no restriction: subnormal results are exact and raise no underflow. A zero product is
 * added directly, for the sign of a zero result.
 */
export function fusedMultiplyAdd64(a: number, b: number, c: number): number {
  const u = a * b;
  if (a === 0 || b === 0) return u + c;
  const uError = twoProductError(a, b);
  const t = c + uError;
  const tError = twoSumError(c, uError);
  return u + t + roundToOddSum(tError, twoSumError(u, t));
}

/**
 * Whether a * b + c is inexact: whether v + z is, with z = RO(t' + v') as in fusedMultiplyAdd64. Range: fusedIsSafe(a,
 * b, c).
 *
 * Proof: if z is t' + v' exactly, v + z is the exact value. Otherwise v' is not zero, so u + t did not cancel, |t| <= 2
 * |v| or so, and |z| is at most about 2 ulp(v). A rounded z is odd in its 53rd bit, which lies 50 places or more below
 * ulp(v): no double is v + z.
 */
export function fusedIsInexact(a: number, b: number, c: number): boolean {
  const u = a * b;
  if (a === 0 || b === 0) return false;
  const uError = twoProductError(a, b);
  const t = c + uError;
  const tError = twoSumError(c, uError);
  return sumIsInexact(u + t, roundToOddSum(tError, twoSumError(u, t)));
}

/**
 * The directed rounding of an exact value from its nearest double and the sign of the error (exact minus nearest): the
 * nearest double, moved by one unit of its bit pattern when the error lies on the wanted side.
 *
 * Range: `nearest` finite, and not zero unless the error is zero; subnormal numbers are no exception as long as the
 * error's sign is right. The overflow of a directed mode is not handled, and a zero sum of unlike operands needs its own
 * sign rule.
 */
export function directFromNearest(nearest: number, error: number, toward: 'zero' | 'down' | 'up'): number {
  if (!(error < 0 || error > 0)) return nearest;
  const grows = error > 0 === nearest > 0;
  const wantsGrowth = toward !== 'zero' && (toward === 'up') === nearest > 0;
  if (grows) return wantsGrowth ? fromBits(bitsOf(nearest) + 1n) : nearest;
  return wantsGrowth ? nearest : fromBits(bitsOf(nearest) - 1n);
}

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function bitsOf(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

function fromBits(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}
