// Tables of NaNs, infinities and zeros, written out from the documents.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as compare from './float-compare.ts';
import { convertFormat, isNanBoxed, nanBox, nanUnbox, roundToIntegral, toInteger } from './float-convert.ts';
import {
  bitLength,
  canonicalNan,
  FloatFlag,
  type FloatResult,
  Format,
  infinity,
  largestFinite,
  type NanPolicy,
  round,
  Rounding,
} from './float-format.ts';
import * as float from './float.ts';

const { f32, f64 } = Format;
const nearest = { rounding: Rounding.nearestEven };
const one = 0x3f80_0000n;
const minusOne = 0xbf80_0000n;
const inf = 0x7f80_0000n;
const minusInf = 0xff80_0000n;
const minusZero = 0x8000_0000n;
const smallestNormal = 0x0080_0000n;
const quiet = 0x7fc0_0000n;
const quietPayload = 0xffc1_2345n;
const signaling = 0x7f81_2345n;
const signalingQuieted = 0x7fc1_2345n;
const { invalid, divideByZero, overflow, underflow, inexact } = FloatFlag;

const policies: readonly NanPolicy[] = ['canonical', 'propagate', 'propagateSignaling'];

test('the canonical NaN has a zero payload', () => {
  assert.equal(canonicalNan(Format.f16), 0x7e00n);
  assert.equal(canonicalNan(f32), 0x7fc0_0000n);
  assert.equal(canonicalNan(f64), 0x7ff8_0000_0000_0000n);
});

test('each policy chooses its NaN', () => {
  const rows: readonly (readonly [bigint, bigint, Record<NanPolicy, bigint>, number])[] = [
    [quietPayload, one, { canonical: quiet, propagate: quietPayload, propagateSignaling: quietPayload }, 0],
    [one, quietPayload, { canonical: quiet, propagate: quietPayload, propagateSignaling: quietPayload }, 0],
    [signaling, one, { canonical: quiet, propagate: signalingQuieted, propagateSignaling: signalingQuieted }, invalid],
    [
      quietPayload,
      signaling,
      { canonical: quiet, propagate: quietPayload, propagateSignaling: signalingQuieted },
      invalid,
    ],
    [quietPayload, quiet, { canonical: quiet, propagate: quietPayload, propagateSignaling: quietPayload }, 0],
    [inf, minusInf, { canonical: quiet, propagate: 0xffc0_0000n, propagateSignaling: quiet }, invalid],
  ];
  for (const [a, b, bits, flags] of rows) {
    for (const nan of policies) {
      assert.deepEqual(
        float.add(f32, a, b, { ...nearest, nan }),
        { bits: bits[nan], flags },
        `${a.toString(16)} + ${b.toString(16)} ${nan}`,
      );
    }
  }
});

test('subtraction and fused signs leave a NaN operand its sign', () => {
  const environment = { ...nearest, nan: 'propagate' } as const;
  assert.equal(float.sub(f32, one, quietPayload, environment).bits, quietPayload);
  const signs = { negateProduct: true, negateAddend: true };
  assert.equal(float.fusedMultiplyAdd(f32, quietPayload, one, one, environment, signs).bits, quietPayload);
  assert.equal(float.fusedMultiplyAdd(f32, one, one, quietPayload, environment, signs).bits, quietPayload);
});

test('a fused operation prefers a, b, c or, signaling first, c, a, b', () => {
  const [p, q, r] = [0x7fc0_0001n, 0x7fc0_0002n, 0x7fc0_0003n];
  const fused = (a: bigint, b: bigint, c: bigint, nan: NanPolicy): bigint =>
    float.fusedMultiplyAdd(f32, a, b, c, { ...nearest, nan }).bits;
  assert.equal(fused(p, q, r, 'propagate'), p);
  assert.equal(fused(one, q, r, 'propagate'), q);
  assert.equal(fused(p, q, r, 'propagateSignaling'), r);
  assert.equal(fused(p, q, one, 'propagateSignaling'), p);
  assert.equal(fused(p, signaling, r, 'propagateSignaling'), signalingQuieted);
});

test('infinity times zero plus a quiet NaN follows each architecture', () => {
  const fused = (nan: NanPolicy): FloatResult =>
    float.fusedMultiplyAdd(f32, inf, 0n, quietPayload, { ...nearest, nan });
  assert.deepEqual(fused('canonical'), { bits: quiet, flags: invalid });
  assert.deepEqual(fused('propagate'), { bits: quietPayload, flags: 0 });
  assert.deepEqual(fused('propagateSignaling'), { bits: quiet, flags: invalid });
});

test('operations without a value are invalid', () => {
  const rows: readonly (readonly [string, FloatResult])[] = [
    ['inf - inf', float.sub(f32, inf, inf, nearest)],
    ['0 * inf', float.mul(f32, 0n, inf, nearest)],
    ['0 / 0', float.div(f32, 0n, minusZero, nearest)],
    ['inf / inf', float.div(f32, inf, minusInf, nearest)],
    ['sqrt -1', float.sqrt(f32, minusOne, nearest)],
    ['sqrt -inf', float.sqrt(f32, minusInf, nearest)],
    ['inf * 1 - inf', float.fusedMultiplyAdd(f32, inf, one, inf, nearest, { negateAddend: true })],
  ];
  for (const [name, result] of rows) assert.deepEqual(result, { bits: quiet, flags: invalid }, name);
});

test('infinities and zeros keep their signs', () => {
  const rows: readonly (readonly [string, FloatResult, bigint, number])[] = [
    ['1 / 0', float.div(f32, one, 0n, nearest), inf, divideByZero],
    ['-1 / 0', float.div(f32, minusOne, 0n, nearest), minusInf, divideByZero],
    ['1 / -0', float.div(f32, one, minusZero, nearest), minusInf, divideByZero],
    ['inf / 0', float.div(f32, inf, 0n, nearest), inf, 0],
    ['-1 / inf', float.div(f32, minusOne, inf, nearest), minusZero, 0],
    ['-0 * 1', float.mul(f32, minusZero, one, nearest), minusZero, 0],
    ['sqrt -0', float.sqrt(f32, minusZero, nearest), minusZero, 0],
    ['sqrt inf', float.sqrt(f32, inf, nearest), inf, 0],
    ['-0 + -0', float.add(f32, minusZero, minusZero, nearest), minusZero, 0],
    ['-0 + 0', float.add(f32, minusZero, 0n, nearest), 0n, 0],
    ['-0 + 0 down', float.add(f32, minusZero, 0n, { rounding: Rounding.down }), minusZero, 0],
    ['1 - 1', float.sub(f32, one, one, nearest), 0n, 0],
    ['1 - 1 down', float.sub(f32, one, one, { rounding: Rounding.down }), minusZero, 0],
    ['0 + 0 down', float.add(f32, 0n, 0n, { rounding: Rounding.down }), 0n, 0],
  ];
  for (const [name, result, bits, flags] of rows) assert.deepEqual(result, { bits, flags }, name);
});

test('overflow goes where the rounding mode points', () => {
  const largest = largestFinite(f32);
  const towards: Record<Rounding, readonly [bigint, bigint]> = {
    0: [inf, minusInf],
    1: [largest, largest | minusZero],
    2: [largest, minusInf],
    3: [inf, largest | minusZero],
    4: [inf, minusInf],
  };
  for (const rounding of Object.values(Rounding)) {
    const [positive, negative] = towards[rounding];
    assert.deepEqual(float.add(f32, largest, largest, { rounding }), { bits: positive, flags: overflow | inexact });
    assert.deepEqual(float.add(f32, largest | minusZero, largest | minusZero, { rounding }), {
      bits: negative,
      flags: overflow | inexact,
    });
  }
});

test('tininess before and after rounding differ just below the smallest normal number', () => {
  const product = (a: bigint, b: bigint, tininess: 'after' | 'before'): FloatResult =>
    float.mul(f32, a, b, { ...nearest, tininess });
  // (1 + 2^-13) 2^-26 times (1 - 2^-13) 2^-100 is (1 - 2^-26) 2^-126, which 24 bits of any exponent round up to 2^-126.
  assert.deepEqual(product(0x3280_0400n, 0x0d7f_f800n, 'after'), { bits: 0x0080_0000n, flags: inexact });
  assert.deepEqual(product(0x3280_0400n, 0x0d7f_f800n, 'before'), { bits: 0x0080_0000n, flags: inexact | underflow });
  // (1 - 2^-24) 2^-126 has 24 bits, so it stays below however it is rounded, although its subnormal result is the same.
  for (const tininess of ['after', 'before'] as const) {
    assert.deepEqual(product(0x3f7f_ffffn, smallestNormal, tininess), {
      bits: smallestNormal,
      flags: inexact | underflow,
    });
  }
});

test('an exact subnormal result does not underflow', () => {
  assert.deepEqual(float.div(f32, 0x0080_0000n, 0x4000_0000n, nearest), { bits: 0x0040_0000n, flags: 0 });
});

test('minimumNumber prefers the number, minimum the NaN', () => {
  assert.deepEqual(compare.minimumNumber(f32, quietPayload, one), { bits: one, flags: 0 });
  assert.deepEqual(compare.maximumNumber(f32, one, signaling), { bits: one, flags: invalid });
  assert.deepEqual(compare.minimumNumber(f32, quietPayload, signaling), { bits: quiet, flags: invalid });
  assert.deepEqual(compare.minimumNumber(f32, signaling, one, 'propagateSignaling'), {
    bits: signalingQuieted,
    flags: invalid,
  });
  assert.deepEqual(compare.minimum(f32, quietPayload, one), { bits: quiet, flags: 0 });
  assert.deepEqual(compare.maximum(f32, one, signaling), { bits: quiet, flags: invalid });
  for (const [a, b] of [
    [0n, minusZero],
    [minusZero, 0n],
  ] as const) {
    for (const least of [compare.minimum, compare.minimumNumber]) assert.equal(least(f32, a, b).bits, minusZero);
    for (const most of [compare.maximum, compare.maximumNumber]) assert.equal(most(f32, a, b).bits, 0n);
  }
});

test('comparisons are quiet or signaling as named', () => {
  const all = [
    compare.equalQuiet,
    compare.equalSignaling,
    compare.lessQuiet,
    compare.lessSignaling,
    compare.lessEqualQuiet,
    compare.lessEqualSignaling,
  ];
  for (const comparison of all) {
    const loud = comparison.name.endsWith('Signaling');
    assert.deepEqual(comparison(f32, quiet, quiet), { value: false, flags: loud ? invalid : 0 }, comparison.name);
    assert.deepEqual(comparison(f32, one, signaling), { value: false, flags: invalid }, comparison.name);
    assert.equal(
      comparison(f32, 0n, minusZero).value,
      !comparison.name.startsWith('less') || comparison.name.includes('Equal'),
      comparison.name,
    );
    assert.equal(comparison(f32, minusInf, minusOne).value, comparison.name.startsWith('less'), comparison.name);
    assert.equal(comparison(f32, one, minusOne).value, false, comparison.name);
  }
  assert.deepEqual(compare.unorderedQuiet(f32, one, quiet), { value: true, flags: 0 });
  assert.deepEqual(compare.unorderedQuiet(f32, signaling, one), { value: true, flags: invalid });
  assert.deepEqual(compare.unorderedQuiet(f32, inf, one), { value: false, flags: 0 });
});

test('every class has its bit', () => {
  const rows: readonly (readonly [bigint, number])[] = [
    [minusInf, 0],
    [minusOne, 1],
    [0x8000_0001n, 2],
    [minusZero, 3],
    [0n, 4],
    [0x007f_ffffn, 5],
    [0x0080_0000n, 6],
    [inf, 7],
    [signaling, 8],
    [quietPayload, 9],
  ];
  for (const [bits, bit] of rows) assert.equal(compare.classify(f32, bits), 1 << bit, bits.toString(16));
});

test('sign operations treat NaNs as bits', () => {
  assert.equal(compare.copySign(f32, signaling, minusOne), signaling | minusZero);
  assert.equal(compare.copySignNegated(f32, signaling, minusOne), signaling);
  assert.equal(compare.copySignXor(f32, minusOne, minusOne), one);
  assert.equal(compare.copySignXor(f32, minusOne, quiet), minusOne);
});

test('integer conversions follow the RISC-V table of domains', () => {
  // "Domains of float-to-integer conversions and behavior for invalid inputs", RISC-V ISA Volume I.
  const rows: readonly (readonly [bigint, 32 | 64, boolean, bigint])[] = [
    [quiet, 32, true, 0x7fff_ffffn],
    [quietPayload, 32, false, 0xffff_ffffn],
    [inf, 32, true, 0x7fff_ffffn],
    [minusInf, 32, true, 0x8000_0000n],
    [minusInf, 32, false, 0n],
    [quiet, 64, true, 0x7fff_ffff_ffff_ffffn],
    [quiet, 64, false, 0xffff_ffff_ffff_ffffn],
    [minusOne, 64, false, 0n],
    [0x4f00_0000n, 32, true, 0x7fff_ffffn],
    [0x5f80_0000n, 64, false, 0xffff_ffff_ffff_ffffn],
  ];
  for (const [bits, width, signed, wanted] of rows) {
    assert.deepEqual(
      toInteger(f32, bits, { width, signed, rounding: Rounding.towardZero }),
      { bits: wanted, flags: invalid },
      bits.toString(16),
    );
  }
  const largest = { width: 32, signed: true, rounding: Rounding.towardZero } as const;
  assert.deepEqual(toInteger(f64, 0x41df_ffff_ffc0_0000n, largest), { bits: 0x7fff_ffffn, flags: 0 });
  const minusHalf = 0xbf00_0000n;
  assert.deepEqual(toInteger(f32, minusHalf, { width: 32, signed: false, rounding: Rounding.towardZero }), {
    bits: 0n,
    flags: inexact,
  });
  assert.deepEqual(toInteger(f32, minusHalf, { width: 32, signed: false, rounding: Rounding.down }), {
    bits: 0n,
    flags: invalid,
  });
  assert.deepEqual(toInteger(f32, 0xcf00_0000n, { width: 32, signed: true, rounding: Rounding.towardZero }), {
    bits: 0x8000_0000n,
    flags: 0,
  });
});

test('integer conversions have the indefinite and the zero for NaN on request', () => {
  const options = { width: 32, signed: true, rounding: Rounding.towardZero } as const;
  assert.equal(toInteger(f32, inf, { ...options, overflow: 'indefinite' }).bits, 0x8000_0000n);
  assert.equal(toInteger(f32, quiet, { ...options, overflow: 'indefinite' }).bits, 0x8000_0000n);
  assert.equal(toInteger(f32, minusOne, { ...options, signed: false, overflow: 'indefinite' }).bits, 0xffff_ffffn);
  assert.deepEqual(toInteger(f32, quiet, { ...options, overflow: 'saturateNanZero' }), { bits: 0n, flags: invalid });
  assert.equal(toInteger(f32, inf, { ...options, overflow: 'saturateNanZero' }).bits, 0x7fff_ffffn);
});

test('conversion and rounding of NaNs quiet them and keep leading payload bits', () => {
  const environment = { ...nearest, nan: 'propagate' } as const;
  assert.deepEqual(convertFormat(f32, f64, signaling, environment), { bits: 0x7ff8_2468_a000_0000n, flags: invalid });
  assert.deepEqual(convertFormat(f64, f32, 0xfff8_2468_bfff_ffffn, environment), { bits: 0xffc1_2345n, flags: 0 });
  assert.deepEqual(convertFormat(f32, f64, quietPayload, nearest), { bits: canonicalNan(f64), flags: 0 });
  assert.deepEqual(roundToIntegral(f32, signaling, environment), { bits: signalingQuieted, flags: invalid });
  assert.deepEqual(roundToIntegral(f32, minusInf, nearest), { bits: minusInf, flags: 0 });
  assert.deepEqual(roundToIntegral(f32, 0xbe80_0000n, nearest), { bits: minusZero, flags: 0 });
});

test('NaN boxing wraps, unwraps and refuses', () => {
  const boxed = nanBox(f32, 64, one);
  assert.equal(boxed, 0xffff_ffff_3f80_0000n);
  assert.ok(isNanBoxed(f32, 64, boxed));
  assert.equal(nanUnbox(f32, 64, boxed), one);
  assert.equal(nanUnbox(f32, 64, 0x7fff_ffff_3f80_0000n), canonicalNan(f32));
  assert.equal(nanUnbox(f32, 64, one), canonicalNan(f32));
  assert.equal(nanUnbox(Format.f16, 32, 0xffff_3c00n), 0x3c00n);
  assert.equal(nanUnbox(f64, 64, 5n), 5n);
});

test('round refuses an excess that reaches the rounding position', () => {
  assert.throws(() => round(f32, false, 3n, 0, true, nearest), RangeError);
  assert.equal(round(f32, false, 1n, 1000, false, nearest).bits, infinity(f32));
});

test('bitLength counts across digit boundaries', () => {
  assert.equal(bitLength(0n), 0);
  for (let bits = 1; bits < 140; bits += 1) {
    assert.equal(bitLength(1n << BigInt(bits - 1)), bits);
    assert.equal(bitLength((1n << BigInt(bits)) - 1n), bits);
  }
});
