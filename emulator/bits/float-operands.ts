// Floating-point operands worth trying, for tests and fuzzers: uniform bits hardly ever meet a cancellation, a
// subnormal or a NaN.

import { canonicalNan, type Format, formatWidth, infinity, largestFinite, quietBit, signBit } from './float-format.ts';

/** A stream of 32-bit integers, unsigned. */
export type RandomWords = () => number;

/** A seeded stream (G. Marsaglia, "Xorshift RNGs", 2003, the 128-bit generator). */
export function randomWords(seed: number): RandomWords {
  let x = seed | 0;
  let y = 362_436_069;
  let z = 521_288_629;
  let w = 88_675_123;
  const next = (): number => {
    const t = x ^ (x << 11);
    x = y;
    y = z;
    z = w;
    w = w ^ (w >>> 19) ^ t ^ (t >>> 8);
    return w >>> 0;
  };
  // The seed reaches every word of the state only after some steps.
  for (let step = 0; step < 20; step += 1) next();
  return next;
}

/** The seed of a test run: SEED from the environment, to repeat a failure, or a fresh one, to be printed. */
export function testSeed(): number {
  const given = process.env['SEED'];
  if (given === undefined) return Date.now() % 0x7fff_ffff;
  const seed = Number(given);
  if (!Number.isSafeInteger(seed)) throw new RangeError(`SEED is '${given}'; expected an integer`);
  return seed;
}

/**
 * The positive boundary data of a format: zero, subnormal and normal limits, one and its neighbours, infinity, NaNs of
 * both kinds.
 */
export function boundaryOperands(format: Format): readonly bigint[] {
  const smallestNormal = 1n << BigInt(format.fractionBits);
  const one = (infinity(format) >> 1n) & ~(smallestNormal - 1n);
  return [
    0n,
    1n,
    2n,
    smallestNormal - 1n,
    smallestNormal,
    smallestNormal + 1n,
    one - 1n,
    one,
    one + 1n,
    one + smallestNormal,
    largestFinite(format) - 1n,
    largestFinite(format),
    infinity(format),
    infinity(format) | 1n,
    canonicalNan(format),
    canonicalNan(format) | 3n,
    infinity(format) | (quietBit(format) >> 1n),
  ];
}

/**
 * A tuple of operands, drawn so that interesting meetings are common: boundary data, uniform bits, few significant
 * bits, and, for the second and later ones, neighbours in exponent or in value of the first.
 */
export function drawOperands(format: Format, count: number, random: RandomWords): bigint[] {
  const boundaries = boundaryOperands(format);
  const operands: bigint[] = [];
  for (let index = 0; index < count; index += 1) {
    const uniform = BigInt.asUintN(formatWidth(format), (BigInt(random()) << 32n) | BigInt(random()));
    const first = operands[0] ?? uniform;
    const sign = uniform & signBit(format);
    switch (random() % 8) {
      case 0:
        operands.push((boundaries[random() % boundaries.length] ?? 0n) | sign);
        break;
      case 1:
        operands.push(uniform);
        break;
      case 2: {
        // At most a few significant bits: exact results and ties.
        const drop = BigInt(random() % (format.fractionBits + 1));
        operands.push((uniform >> drop) << drop);
        break;
      }
      case 3:
        // A neighbour in value, of either sign: cancellation.
        operands.push(BigInt.asUintN(formatWidth(format), (first ^ sign) + BigInt(random() % 7) - 3n));
        break;
      case 4:
        operands.push(withExponentNear(format, uniform, 1, random));
        break;
      case 5:
        operands.push(
          withExponentNear(format, uniform, Number(infinity(format) >> BigInt(format.fractionBits)) - 1, random),
        );
        break;
      case 6:
        operands.push(
          withExponentNear(format, uniform, Number(infinity(format) >> BigInt(format.fractionBits + 1)), random),
        );
        break;
      default: {
        const exponent = Number((first & infinity(format)) >> BigInt(format.fractionBits));
        operands.push(withExponentNear(format, uniform, exponent, random));
      }
    }
  }
  return operands;
}

/** The sign and fraction of `bits` with a biased exponent within a significand's length of `exponent`, kept finite. */
function withExponentNear(format: Format, bits: bigint, exponent: number, random: RandomWords): bigint {
  const reach = format.fractionBits + 3;
  const highest = (1 << format.exponentBits) - 2;
  const drawn = exponent + (random() % (2 * reach + 1)) - reach;
  const biased = BigInt(Math.min(Math.max(drawn, 0), highest));
  return (bits & ~infinity(format)) | (biased << BigInt(format.fractionBits));
}
