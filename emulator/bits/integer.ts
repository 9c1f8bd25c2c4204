// Fixed-width integer operations. The bigint functions are the reference meaning of IR operations and take and return
// *unsigned* values below 2^width unless they say otherwise; the number functions take 32-bit instruction words apart.

/** 2^width - 1. */
export function mask(width: number): bigint {
  return (1n << BigInt(width)) - 1n;
}

/** The low `width` bits as an unsigned integer, for any integer, negative ones included. */
export function toUnsigned(value: bigint, width: number): bigint {
  return BigInt.asUintN(width, value);
}

/** The low `width` bits as a two's-complement integer. */
export function toSigned(value: bigint, width: number): bigint {
  return BigInt.asIntN(width, value);
}

/** Extends the low `from` bits with copies of their top bit; the result is unsigned, below 2^to. */
export function signExtend(value: bigint, from: number, to: number): bigint {
  return BigInt.asUintN(to, BigInt.asIntN(from, value));
}

/** The number of zero bits above the highest one; `width` for 0. */
export function countLeadingZeros(value: bigint, width: number): number {
  const unsigned = BigInt.asUintN(width, value);
  return unsigned === 0n ? width : width - unsigned.toString(2).length;
}

/** The number of zero bits below the lowest one; `width` for 0. */
export function countTrailingZeros(value: bigint, width: number): number {
  const unsigned = BigInt.asUintN(width, value);
  return unsigned === 0n ? width : (unsigned & -unsigned).toString(2).length - 1;
}

/** The number of one bits. */
export function population(value: bigint, width: number): number {
  let count = 0;
  for (const digit of BigInt.asUintN(width, value).toString(2)) if (digit === '1') count += 1;
  return count;
}

/** Rotates towards the high end; the amount counts modulo width and may be negative. */
export function rotateLeft(value: bigint, amount: number, width: number): bigint {
  const unsigned = BigInt.asUintN(width, value);
  const left = BigInt(((amount % width) + width) % width);
  return BigInt.asUintN(width, unsigned << left) | (unsigned >> (BigInt(width) - left));
}

/** Rotates towards the low end; the amount counts modulo width and may be negative. */
export function rotateRight(value: bigint, amount: number, width: number): bigint {
  return rotateLeft(value, -amount, width);
}

/** The bytes in the opposite order; `width` is a multiple of 8. */
export function byteReverse(value: bigint, width: number): bigint {
  if (width % 8 !== 0) throw new RangeError(`byteReverse: width ${width} is not a multiple of 8`);
  let rest = BigInt.asUintN(width, value);
  let reversed = 0n;
  for (let byte = 0; byte < width; byte += 8) {
    reversed = (reversed << 8n) | (rest & 0xffn);
    rest >>= 8n;
  }
  return reversed;
}

/** The bits in the opposite order. */
export function bitReverse(value: bigint, width: number): bigint {
  let rest = BigInt.asUintN(width, value);
  let reversed = 0n;
  for (let bit = 0; bit < width; bit += 1) {
    reversed = (reversed << 1n) | (rest & 1n);
    rest >>= 1n;
  }
  return reversed;
}

/**
 * The low `width` bits of the carry-less product, which is the product of polynomials over GF(2) (RISC-V Zbc `clmul`).
 */
export function carrylessMultiply(a: bigint, b: bigint, width: number): bigint {
  return BigInt.asUintN(width, carrylessProduct(a, b, width));
}

/** The high `width` bits of the 2*width-bit carry-less product (`clmulh`). */
export function carrylessMultiplyHigh(a: bigint, b: bigint, width: number): bigint {
  return carrylessProduct(a, b, width) >> BigInt(width);
}

/** Bits width-1 to 2*width-2 of the carry-less product (`clmulr`). */
export function carrylessMultiplyReversed(a: bigint, b: bigint, width: number): bigint {
  return BigInt.asUintN(width, carrylessProduct(a, b, width) >> BigInt(width - 1));
}

/** The high half of the product of two unsigned integers. */
export function multiplyHighUnsigned(a: bigint, b: bigint, width: number): bigint {
  return (BigInt.asUintN(width, a) * BigInt.asUintN(width, b)) >> BigInt(width);
}

/** The high half of the product of two two's-complement integers. */
export function multiplyHighSigned(a: bigint, b: bigint, width: number): bigint {
  return BigInt.asUintN(width, (BigInt.asIntN(width, a) * BigInt.asIntN(width, b)) >> BigInt(width));
}

/** The high half of the product of a two's-complement and an unsigned integer (`mulhsu`). */
export function multiplyHighSignedUnsigned(a: bigint, b: bigint, width: number): bigint {
  return BigInt.asUintN(width, (BigInt.asIntN(width, a) * BigInt.asUintN(width, b)) >> BigInt(width));
}

/** Bits lo to lo+width-1 of a 32-bit word, unsigned; 1 <= width, lo + width <= 32. */
export function extractBits(word: number, lo: number, width: number): number {
  return width === 32 ? word >>> 0 : (word >>> lo) & ((1 << width) - 1);
}

/** The word, unsigned, with bits lo to lo+width-1 replaced by the low bits of the value. */
export function insertBits(word: number, lo: number, width: number, value: number): number {
  const field = width === 32 ? -1 : (1 << width) - 1;
  return ((word & ~(field << lo)) | ((value & field) << lo)) >>> 0;
}

/** The low `width` bits (1 to 32) as a two's-complement 32-bit integer. */
export function signExtend32(value: number, width: number): number {
  return (value << (32 - width)) >> (32 - width);
}

function carrylessProduct(a: bigint, b: bigint, width: number): bigint {
  const multiplicand = BigInt.asUintN(width, a);
  const multiplier = BigInt.asUintN(width, b);
  let product = 0n;
  for (let bit = 0n; bit < BigInt(width); bit += 1n) {
    if (((multiplier >> bit) & 1n) === 1n) product ^= multiplicand << bit;
  }
  return product;
}
