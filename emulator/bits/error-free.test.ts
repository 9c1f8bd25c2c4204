// Verifies every formula of error-free.ts and error-free-f32.ts against the exact integer arithmetic of float.ts. CASES
// per formula by default; ERROR_FREE_CASES=1000000 for a long run.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import * as single from './error-free-f32.ts';
import * as free from './error-free.ts';
import { bitsFromNumber, convertFormat, numberFromBits } from './float-convert.ts';
import { decode, FloatFlag, type FloatResult, Format, Rounding } from './float-format.ts';
import { boundaryOperands, drawOperands, randomWords, type RandomWords, testSeed } from './float-operands.ts';
import * as float from './float.ts';

const { f32, f64 } = Format;
const nearest = { rounding: Rounding.nearestEven };
const CASES = Number(process.env['ERROR_FREE_CASES'] ?? 15_000);

type Draw = (count: number) => number[];

/** Runs the check over drawn tuples of numbers and, for two operands or fewer, over all pairs of boundary data. */
function overNumbers(
  t: TestContext,
  format: Format,
  count: number,
  check: (numbers: readonly number[], where: string) => void,
): void {
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  const visit = (operands: readonly bigint[]): void => {
    const numbers = operands.map((bits) => numberFromBits(format, bits));
    check(numbers, `operands ${numbers.join(', ')}; SEED=${seed}`);
  };
  const signed = boundaryOperands(format).flatMap((bits) => [
    bits,
    bits | (1n << BigInt(format.exponentBits + format.fractionBits)),
  ]);
  if (count <= 2) for (const a of signed) for (const b of signed) visit([a, b].slice(0, count));
  for (let index = 0; index < CASES; index += 1)
    visit(index % 2 === 0 ? drawOperands(format, count, random) : drawClose(format, count, random));
}

/**
 * Operands whose exact results lie in or near one binade of each other, with few or many significant bits: ties and
 * near-ties.
 */
function drawClose(format: Format, count: number, random: RandomWords): bigint[] {
  const middle = (1n << BigInt(format.exponentBits - 1)) - 1n;
  const spread = random() % 4 === 0 ? format.fractionBits * 2 + 8 : 4;
  return Array.from({ length: count }, () => {
    const drop = BigInt(random() % 3 === 0 ? random() % (format.fractionBits + 1) : 0);
    const wide = (BigInt(random()) << 32n) | BigInt(random());
    const fraction = (BigInt.asUintN(format.fractionBits, wide) >> drop) << drop;
    const biased = middle + BigInt((random() % spread) - Math.floor(spread / 2));
    const sign = BigInt(random() & 1) << BigInt(format.exponentBits + format.fractionBits);
    return sign | (biased << BigInt(format.fractionBits)) | fraction;
  });
}

function inexact(result: FloatResult): boolean {
  return (result.flags & FloatFlag.inexact) !== 0;
}

function underflows(result: FloatResult): boolean {
  return (result.flags & FloatFlag.underflow) !== 0;
}

function bits64(value: number): bigint {
  return bitsFromNumber(value);
}

function bits32(value: number): bigint {
  return convertFormat(f64, f32, bitsFromNumber(value), nearest).bits;
}

/** A finite double as an integer multiple of 2^-2200, which holds every product of two doubles exactly. */
function scaled(value: number): bigint {
  const { kind, ...rest } = decode(f64, bits64(value));
  if (kind === 'zero') return 0n;
  assert.ok('significand' in rest, `${value} is not finite`);
  const size = rest.significand << BigInt(rest.exponent + 2200);
  return rest.sign ? -size : size;
}

/** The product of two such multiples, as another. */
function scaledProduct(a: number, b: number): bigint {
  return (scaled(a) * scaled(b)) >> 2200n;
}

/**
 * That at least one case in `divisor` was within the stated range: a predicate that refuses everything would pass every
 * check.
 */
function assertCovered(t: TestContext, safe: number, divisor: number): void {
  t.diagnostic(`${safe} cases in range`);
  assert.ok(safe >= CASES / divisor, `only ${safe} of ${CASES} cases were in range`);
}

test('twoSumError is the exact error of a sum', (t) => {
  let safe = 0;
  overNumbers(t, f64, 2, ([a = 0, b = 0], where) => {
    if (!Number.isFinite(a + b) || Math.abs(b) >= Number.MAX_VALUE) return;
    safe += 1;
    assert.equal(scaled(a) + scaled(b) - scaled(a + b), scaled(free.twoSumError(a, b)), where);
  });
  assertCovered(t, safe, 2);
});

test('twoSumError is out of its range when the second operand is the largest number', () => {
  const a = 4.748305875575491e307;
  assert.ok(Number.isNaN(free.twoSumError(a, -Number.MAX_VALUE)));
  assert.equal(
    scaled(free.twoSumError(-Number.MAX_VALUE, a)),
    scaled(a) - scaled(Number.MAX_VALUE) - scaled(a - Number.MAX_VALUE),
  );
  assert.equal(free.sumIsInexact(a, -Number.MAX_VALUE), true);
});

test('twoProductError is the exact error of a safe product', (t) => {
  let safe = 0;
  overNumbers(t, f64, 2, ([a = 0, b = 0], where) => {
    if (!free.productIsSafe(a, b)) return;
    safe += 1;
    assert.equal(scaledProduct(a, b) - scaled(a * b), scaled(free.twoProductError(a, b)), where);
  });
  assertCovered(t, safe, 4);
});

test('twoProductError and fusedMultiplyAdd64 hold at the very bounds of their ranges', (t) => {
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  let safe = 0;
  const draw: Draw = (count) => drawClose(f64, count, random).map((bits) => numberFromBits(f64, bits));
  for (let index = 0; index < CASES; index += 1) {
    const [x = 1, y = 1] = draw(2);
    const shift = (random() % 995) * (random() % 2 === 0 ? 1 : -1);
    const target = random() % 2 === 0 ? -968 : 1021;
    const a = x * 2 ** shift;
    const b = y * 2 ** Math.min(Math.max(target - shift, -1070), 995);
    if (!free.productIsSafe(a, b)) continue;
    safe += 1;
    assert.equal(scaledProduct(a, b) - scaled(a * b), scaled(free.twoProductError(a, b)), `${a} * ${b}; SEED=${seed}`);
    for (const c of [
      Number.MIN_VALUE * (random() % 64),
      -(a * b),
      x * 2 ** -1022,
      Math.sign(y) * (2 ** 1021 - 2 ** 969 * (random() % 64)),
      y * 2 ** -1000,
    ]) {
      assert.ok(free.fusedIsSafe(a, b, c), `${a} * ${b} + ${c}`);
      const wanted = float.fusedMultiplyAdd(f64, bits64(a), bits64(b), bits64(c), nearest);
      assert.equal(bits64(free.fusedMultiplyAdd64(a, b, c)), wanted.bits, `${a} * ${b} + ${c}; SEED=${seed}`);
      assert.equal(free.fusedIsInexact(a, b, c), inexact(wanted), `inexact ${a} * ${b} + ${c}; SEED=${seed}`);
    }
  }
  assertCovered(t, safe, 8);
});

test('the inexact and underflow predicates of f64 hold for all operands', (t) => {
  overNumbers(t, f64, 2, ([a = 0, b = 0], where) => {
    const [x, y] = [bits64(a), bits64(b)];
    assert.equal(free.sumIsInexact(a, b), inexact(float.add(f64, x, y, nearest)), `sum, ${where}`);
    const product = float.mul(f64, x, y, nearest);
    assert.equal(free.productIsInexact(a, b), inexact(product), `product, ${where}`);
    assert.equal(free.productUnderflows(a, b), underflows(product), `product underflow, ${where}`);
    const quotient = float.div(f64, x, y, nearest);
    assert.equal(free.quotientIsInexact(a, b), inexact(quotient), `quotient, ${where}`);
    assert.equal(free.quotientUnderflows(a, b), underflows(quotient), `quotient underflow, ${where}`);
    assert.equal(free.rootIsInexact(a), inexact(float.sqrt(f64, x, nearest)), `root, ${where}`);
  });
});

test('products and quotients made exact, subnormal or barely tiny are told apart', (t) => {
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  let tiny = 0;
  let exact = 0;
  for (let index = 0; index < CASES; index += 1) {
    // (1 + x)(1 - x) is just below one; scaled to the smallest normal number it is a test of tininess. Few bits give
    // exact subnormal results.
    const step = 2 ** -(20 + (random() % 12));
    const few = 1 + (random() % 4096) / 4096;
    const [m, n] = index % 2 === 0 ? [1 + step, 1 - step] : [few, 1 + (random() % 64) / 64];
    const shift = random() % 500;
    const below = index % 4 < 2 ? 0 : random() % 54;
    const a = m * 2 ** -(shift + below);
    const b = n * 2 ** (shift - 1022);
    const where = `${a}, ${b}; SEED=${seed}`;
    const product = float.mul(f64, bits64(a), bits64(b), nearest);
    assert.equal(free.productIsInexact(a, b), inexact(product), `product ${where}`);
    assert.equal(free.productUnderflows(a, b), underflows(product), `product underflow ${where}`);
    const divisor = 2 ** shift * (index % 3 === 0 ? 1 + step : n);
    const quotient = float.div(f64, bits64(b), bits64(divisor), nearest);
    assert.equal(free.quotientIsInexact(b, divisor), inexact(quotient), `quotient ${b}, ${divisor}; SEED=${seed}`);
    assert.equal(
      free.quotientUnderflows(b, divisor),
      underflows(quotient),
      `quotient underflow ${b}, ${divisor}; SEED=${seed}`,
    );
    if (underflows(product)) tiny += 1;
    if (!inexact(product) && Math.abs(a * b) < 2 ** -1022) exact += 1;
  }
  assertCovered(t, Math.min(tiny, exact), 20);
});

test('remainders of quotients and roots are exact in their ranges', (t) => {
  let safe = 0;
  overNumbers(t, f64, 2, ([a = 0, b = 0], where) => {
    if (free.quotientIsSafe(a, b)) {
      safe += 1;
      assert.equal(scaled(a) - scaledProduct(a / b, b), scaled(free.quotientRemainder(a, b)), `quotient, ${where}`);
    }
    if (a >= 2 ** -967 && a <= 2 ** 1021) {
      const root = Math.sqrt(a);
      assert.equal(scaled(a) - scaledProduct(root, root), scaled(free.rootRemainder(a)), `root, ${where}`);
    }
  });
  assertCovered(t, safe, 4);
});

test('fusedMultiplyAdd64 and its inexactness are those of the exact arithmetic, in range', (t) => {
  let safe = 0;
  const check = (a: number, b: number, c: number, where: string): void => {
    if (!free.fusedIsSafe(a, b, c)) return;
    safe += 1;
    const wanted = float.fusedMultiplyAdd(f64, bits64(a), bits64(b), bits64(c), nearest);
    const actual = free.fusedMultiplyAdd64(a, b, c);
    assert.equal(bits64(actual), wanted.bits, where);
    assert.equal(free.fusedIsInexact(a, b, c), inexact(wanted), `inexact, ${where}`);
    assert.equal(underflows(wanted), false, `underflow, ${where}`);
  };
  overNumbers(t, f64, 3, ([a = 0, b = 0, c = 0], where) => {
    check(a, b, c, where);
    // Cancellation against the rounded product and its neighbours, and a product that is half of the addend's last
    // place: the ties.
    check(a, b, -(a * b), where);
    check(a, b, -(a * b) * (1 + 2 ** -52), where);
    check(a, b, a * b * 2 ** 53, where);
    check(a, 2 ** -53, a, where);
    check(a, 2 ** -53 * (1 + 2 ** -52), a, where);
    check(b, c, Number.MIN_VALUE, where);
  });
  assertCovered(t, safe, 1);
});

test('roundToOddSum is exact or odd, on the right side', (t) => {
  overNumbers(t, f64, 2, ([a = 0, b = 0], where) => {
    if (!Number.isFinite(a + b) || Math.abs(b) >= Number.MAX_VALUE) return;
    const odd = free.roundToOddSum(a, b);
    const down = float.add(f64, bits64(a), bits64(b), { rounding: Rounding.down });
    const up = float.add(f64, bits64(a), bits64(b), { rounding: Rounding.up });
    if (!inexact(down)) assert.equal(odd, a + b, where);
    else assert.equal(bits64(odd), (down.bits & 1n) === 1n ? down.bits : up.bits, where);
  });
});

test('directed roundings follow from the nearest double and the sign of the error', (t) => {
  const modes = [
    ['zero', Rounding.towardZero],
    ['down', Rounding.down],
    ['up', Rounding.up],
  ] as const;
  overNumbers(t, f64, 2, ([a = 0, b = 0], where) => {
    for (const [toward, rounding] of modes) {
      const agree = (wanted: FloatResult, actual: number, name: string): void =>
        assert.equal(bits64(actual), wanted.bits, `${name} ${toward}, ${where}`);
      const [x, y] = [bits64(a), bits64(b)];
      if (a + b !== 0 && Number.isFinite(a + b) && Math.abs(b) < Number.MAX_VALUE) {
        agree(float.add(f64, x, y, { rounding }), free.directFromNearest(a + b, free.twoSumError(a, b), toward), 'sum');
      }
      if (free.productIsSafe(a, b)) {
        agree(
          float.mul(f64, x, y, { rounding }),
          free.directFromNearest(a * b, free.twoProductError(a, b), toward),
          'product',
        );
      }
      if (free.quotientIsSafe(a, b)) {
        const error = free.quotientRemainder(a, b) * Math.sign(b);

        agree(float.div(f64, x, y, { rounding }), free.directFromNearest(a / b, error, toward), 'quotient');
      }
      if (a >= 2 ** -967 && a <= 2 ** 1021) {
        agree(
          float.sqrt(f64, x, { rounding }),
          free.directFromNearest(Math.sqrt(a), free.rootRemainder(a), toward),
          'root',
        );
      }
    }
  });
});

test('the f32 formulas hold for all operands', (t) => {
  overNumbers(t, f32, 3, ([a = 0, b = 0, c = 0], where) => {
    const [x, y, z] = [bits32(a), bits32(b), bits32(c)];
    assert.equal(single.sumIsInexact32(a, b), inexact(float.add(f32, x, y, nearest)), `sum, ${where}`);
    const product = float.mul(f32, x, y, nearest);
    assert.equal(single.productIsInexact32(a, b), inexact(product), `product, ${where}`);
    assert.equal(single.productUnderflows32(a, b), underflows(product), `product underflow, ${where}`);
    const quotient = float.div(f32, x, y, nearest);
    assert.equal(single.quotientIsInexact32(a, b), inexact(quotient), `quotient, ${where}`);
    assert.equal(single.quotientUnderflows32(a, b), underflows(quotient), `quotient underflow, ${where}`);
    assert.equal(single.rootIsInexact32(a), inexact(float.sqrt(f32, x, nearest)), `root, ${where}`);
    for (const [addend, bits] of [
      [c, z],
      [Math.fround(-a * b), bits32(-a * b)],
    ] as const) {
      const fused = float.fusedMultiplyAdd(f32, x, y, bits, nearest);
      assert.ok(Object.is(single.fusedMultiplyAdd32(a, b, addend), numberFromBits(f32, fused.bits)), `fused, ${where}`);
      assert.equal(single.fusedIsInexact32(a, b, addend), inexact(fused), `fused inexact, ${where}`);
      assert.equal(single.fusedUnderflows32(a, b, addend), underflows(fused), `fused underflow, ${where}`);
    }
  });
});

test('demotion is inexact and underflows as the exact arithmetic says', (t) => {
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  let tiny = 0;
  for (let index = 0; index < CASES; index += 1) {
    const [wide = 0n, narrow = 0n] = [...drawOperands(f64, 1, random), ...drawOperands(f32, 1, random)];
    const near = 2 ** -126 * (1 - (random() % 8) * 2 ** -26 + ((random() % 3) - 1) * 2 ** -53);
    for (const x of [
      numberFromBits(f64, wide),
      numberFromBits(f32, narrow) * (1 + (random() % 16) * 2 ** -26),
      near,
      -near,
    ]) {
      const wanted = convertFormat(f64, f32, bits64(x), nearest);
      assert.equal(single.narrowingIsInexact(x), inexact(wanted), `${x}; SEED=${seed}`);
      assert.equal(single.narrowingUnderflows(x), underflows(wanted), `${x}; SEED=${seed}`);
      if (underflows(wanted)) tiny += 1;
    }
  }
  assertCovered(t, tiny, 4);
});
