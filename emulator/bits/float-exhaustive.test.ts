// Exhaustive checks over tiny formats against an oracle of another making: values are doubles (in which everything here
// is exact), a result is found by *searching* the list of representable values, and quotients and roots are never
// computed, only compared with candidates by multiplying out. It shares no arithmetic with float.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { convertFormat, fromInteger, numberFromBits, roundToIntegral, toInteger } from './float-convert.ts';
import {
  canonicalNan,
  type FloatEnvironment,
  FloatFlag,
  type FloatResult,
  Format,
  isNan,
  isSignalingNan,
  Rounding,
} from './float-format.ts';
import * as float from './float.ts';

const roundings = Object.values(Rounding);
const tininesses = ['after', 'before'] as const;
const f7: Format = { exponentBits: 3, fractionBits: 3 };
const f6: Format = { exponentBits: 3, fractionBits: 2 };

/**
 * A positive exact value, known only through its sign when compared with a candidate: below 0, 0 or above when it is
 * less, equal or more.
 */
type Against = (candidate: number) => number;

class Ladder {
  readonly format: Format;
  /**
   * Every non-negative finite value in order, then the value that would follow the largest. The index is the datum's
   * bits.
   */
  readonly values: readonly number[];
  readonly smallestNormal: number;
  /** The value of precision fractionBits + 1 just below the smallest normal one, were the exponent unbounded. */
  readonly belowNormal: number;

  constructor(format: Format) {
    this.format = format;
    const bias = 2 ** (format.exponentBits - 1) - 1;
    const steps = 2 ** format.fractionBits;
    const values: number[] = [];
    for (let biased = 0; biased < 2 ** format.exponentBits - 1; biased += 1) {
      for (let fraction = 0; fraction < steps; fraction += 1) {
        values.push(
          biased === 0 ? (fraction / steps) * 2 ** (1 - bias) : (1 + fraction / steps) * 2 ** (biased - bias),
        );
      }
    }
    values.push(2 ** (bias + 1));
    this.values = values;
    this.smallestNormal = 2 ** (1 - bias);
    this.belowNormal = this.smallestNormal * (1 - 2 ** -(format.fractionBits + 1));
  }

  round(negative: boolean, against: Against, rounding: Rounding, tininess: 'after' | 'before'): FloatResult {
    let low = 0;
    let high = this.values.length - 1;
    if (against(this.values[high]!) >= 0) low = high;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (against(this.values[middle]!) >= 0) low = middle;
      else high = middle;
    }
    const exact = low < this.values.length - 1 && against(this.values[low]!) === 0;
    const sign = negative ? BigInt(this.values.length - 1 + 2 ** this.format.fractionBits) : 0n;
    if (exact) return { bits: sign + BigInt(low), flags: 0 };

    const infinity = this.values.length - 1;
    const beyond = low === infinity;
    const chosen = beyond
      ? infinity
      : pick(negative, low, high, against((this.values[low]! + this.values[high]!) / 2), rounding);
    if (chosen === infinity) {
      const away = rounding === 0 || rounding === 4 || (rounding === 2 && negative) || (rounding === 3 && !negative);
      return { bits: sign + BigInt(away ? infinity : infinity - 1), flags: FloatFlag.overflow | FloatFlag.inexact };
    }
    let tiny = against(this.smallestNormal) < 0;
    if (tiny && tininess === 'after' && against(this.belowNormal) >= 0) {
      // Between the two neighbours of unbounded exponent, of which the lower has an odd significand (all ones) and the
      // upper an even one.
      const middle = against((this.belowNormal + this.smallestNormal) / 2);
      const isBelow = against(this.belowNormal) === 0;
      tiny = isBelow || pick(negative, 1, 2, middle, rounding) === 1;
    }
    return { bits: sign + BigInt(chosen), flags: FloatFlag.inexact | (tiny ? FloatFlag.underflow : 0) };
  }
}

/**
 * One of two neighbouring indices, whose parity is their significands'; `middle` compares the exact value with the
 * midpoint.
 */
function pick(negative: boolean, low: number, high: number, middle: number, rounding: Rounding): number {
  if (rounding === Rounding.towardZero) return low;
  if (rounding === Rounding.down) return negative ? high : low;
  if (rounding === Rounding.up) return negative ? low : high;
  if (middle !== 0) return middle > 0 ? high : low;
  if (rounding === Rounding.nearestMaxMagnitude) return high;
  return low % 2 === 0 ? low : high;
}

interface Exact {
  /**
   * The operation on doubles: only its class (NaN, infinite, zero) and sign are used, and all bits of it when `against`
   * is absent.
   */
  readonly value: number;
  /** For a finite non-zero value that no double may hold; the default compares `value`. */
  readonly against?: Against;
  readonly dividesByZero?: boolean;
}

function expected(
  ladder: Ladder,
  operands: readonly bigint[],
  exact: Exact,
  environment: Required<FloatEnvironment>,
  cancelled: boolean,
): FloatResult {
  const { format } = ladder;
  if (Number.isNaN(exact.value)) {
    const invalid =
      operands.some((bits) => isSignalingNan(format, bits)) || !operands.some((bits) => isNan(format, bits));
    return { bits: canonicalNan(format), flags: invalid ? FloatFlag.invalid : 0 };
  }
  const negative = exact.value < 0 || Object.is(exact.value, -0);
  const sign = negative ? BigInt(ladder.values.length - 1 + 2 ** format.fractionBits) : 0n;
  if (exact.value === 0) {
    const minusZero = cancelled ? environment.rounding === Rounding.down : negative;
    return { bits: minusZero ? BigInt(ladder.values.length - 1 + 2 ** format.fractionBits) : 0n, flags: 0 };
  }
  if (!Number.isFinite(exact.value)) {
    return {
      bits: sign + BigInt(ladder.values.length - 1),
      flags: exact.dividesByZero === true ? FloatFlag.divideByZero : 0,
    };
  }
  const size = Math.abs(exact.value);
  return ladder.round(
    negative,
    exact.against ?? ((candidate) => size - candidate),
    environment.rounding,
    environment.tininess,
  );
}

function everyEnvironment(visit: (environment: Required<FloatEnvironment>) => void): void {
  for (const rounding of roundings) for (const tininess of tininesses) visit({ rounding, tininess, nan: 'canonical' });
}

function data(format: Format): readonly { readonly bits: bigint; readonly value: number }[] {
  return Array.from({ length: 2 ** (1 + format.exponentBits + format.fractionBits) }, (_, index) => ({
    bits: BigInt(index),
    value: numberFromBits(format, BigInt(index)),
  }));
}

function check(actual: FloatResult, wanted: FloatResult, describe: () => string): void {
  if (actual.bits === wanted.bits && actual.flags === wanted.flags) return;
  assert.deepEqual(actual, wanted, describe());
}

const binary: readonly {
  readonly name: string;
  readonly run: (format: Format, a: bigint, b: bigint, environment: FloatEnvironment) => FloatResult;
  readonly exact: (x: number, y: number) => Exact;
  readonly cancels: (x: number, y: number) => boolean;
}[] = [
  {
    name: 'add',
    run: float.add,
    exact: (x, y) => ({ value: x + y }),
    cancels: (x, y) => x + y === 0 && !(Object.is(x, -0) && Object.is(y, -0)) && !(Object.is(x, 0) && Object.is(y, 0)),
  },
  {
    name: 'sub',
    run: float.sub,
    exact: (x, y) => ({ value: x - y }),
    cancels: (x, y) => x - y === 0 && !(Object.is(x, -0) && Object.is(y, 0)) && !(Object.is(x, 0) && Object.is(y, -0)),
  },
  { name: 'mul', run: float.mul, exact: (x, y) => ({ value: x * y }), cancels: () => false },
  {
    name: 'div',
    run: float.div,
    exact: (x, y) => ({
      value: x / y,
      against: (candidate) => Math.abs(x) - candidate * Math.abs(y),
      dividesByZero: y === 0 && Number.isFinite(x),
    }),
    cancels: () => false,
  },
];

for (const { name, run, exact, cancels } of binary) {
  test(`${name} of every pair of 7-bit operands, in every mode`, () => {
    const ladder = new Ladder(f7);
    const all = data(f7);
    everyEnvironment((environment) => {
      for (const a of all) {
        for (const b of all) {
          const wanted = expected(
            ladder,
            [a.bits, b.bits],
            exact(a.value, b.value),
            environment,
            cancels(a.value, b.value),
          );
          check(
            run(f7, a.bits, b.bits, environment),
            wanted,
            () => `${name} ${a.bits} ${b.bits} ${JSON.stringify(environment)}`,
          );
        }
      }
    });
  });
}

for (const [label, format] of [
  ['7-bit', f7],
  ['f16', Format.f16],
] as const) {
  test(`sqrt of every ${label} operand, in every rounding`, () => {
    const ladder = new Ladder(format);
    const all = data(format);
    for (const rounding of roundings) {
      const environment = { rounding, tininess: 'after', nan: 'canonical' } as const;
      for (const { bits, value } of all) {
        const exact: Exact = { value: Math.sqrt(value), against: (candidate) => value - candidate * candidate };
        check(
          float.sqrt(format, bits, environment),
          expected(ladder, [bits], exact, environment, false),
          () => `sqrt ${bits} ${rounding}`,
        );
      }
    }
  });
}

test('fusedMultiplyAdd of every triple of 6-bit operands, in every rounding, the signs taking turns', () => {
  const ladder = new Ladder(f6);
  const all = data(f6);
  let turn = 0;
  for (const rounding of roundings) {
    for (const a of all) {
      for (const b of all) {
        for (const c of all) {
          // One of the four choices of signs and the two of tininess for each triple and rounding.
          turn += 1;
          const choice = turn + Number(a.bits) + Number(b.bits) + 3 * rounding;
          const environment = {
            rounding,
            tininess: (choice & 4) === 0 ? 'after' : 'before',
            nan: 'canonical',
          } as const;
          const negateProduct = (choice & 1) !== 0;
          const negateAddend = (choice & 2) !== 0;
          const product = negateProduct ? -(a.value * b.value) : a.value * b.value;
          const addend = negateAddend ? -c.value : c.value;
          const value = product + addend;
          const sameZeros = product === 0 && addend === 0 && Object.is(product, addend);
          const wanted = expected(ladder, [a.bits, b.bits, c.bits], { value }, environment, value === 0 && !sameZeros);
          // IEEE 754-2019 leaves infinity times zero plus a quiet NaN open; RISC-V raises invalid.
          const infinityTimesZero = Number.isNaN(a.value * b.value) && !Number.isNaN(a.value) && !Number.isNaN(b.value);
          check(
            float.fusedMultiplyAdd(f6, a.bits, b.bits, c.bits, environment, { negateProduct, negateAddend }),
            infinityTimesZero ? { ...wanted, flags: FloatFlag.invalid } : wanted,
            () => `fma ${a.bits} ${b.bits} ${c.bits} ${negateProduct} ${negateAddend} ${JSON.stringify(environment)}`,
          );
        }
      }
    }
  }
});

test('f16 converts to 7 bits and back from every datum, in every mode', () => {
  const ladder = new Ladder(f7);
  everyEnvironment((environment) => {
    for (const { bits, value } of data(Format.f16)) {
      const wanted = expected(ladder, [bits], { value }, environment, false);
      const flags = isSignalingNan(Format.f16, bits) ? FloatFlag.invalid : Number.isNaN(value) ? 0 : wanted.flags;
      check(
        convertFormat(Format.f16, f7, bits, environment),
        { bits: wanted.bits, flags },
        () => `f16 to f7 ${bits} ${JSON.stringify(environment)}`,
      );
    }
  });
  for (const { bits, value } of data(f7)) {
    const wide = convertFormat(f7, Format.f16, bits, { rounding: Rounding.nearestEven });
    assert.ok(Object.is(numberFromBits(Format.f16, wide.bits), value));
  }
});

test('every f16 datum converts to integers as floor and ceiling say, in every rounding', () => {
  for (const { bits, value } of data(Format.f16)) {
    for (const rounding of roundings) {
      const integral = Number.isFinite(value) ? roundNumber(value, rounding) : value;
      for (const signed of [true, false]) {
        const actual = toInteger(Format.f16, bits, { width: 32, signed, rounding });
        // Every finite f16 fits 32 bits, so only the unsigned lower bound is ever in the way.
        let wanted: FloatResult;
        if (Number.isNaN(value) || value === Infinity)
          wanted = { bits: signed ? 0x7fff_ffffn : 0xffff_ffffn, flags: FloatFlag.invalid };
        else if (value === -Infinity) wanted = { bits: signed ? 0x8000_0000n : 0n, flags: FloatFlag.invalid };
        else if (!signed && integral < 0) wanted = { bits: 0n, flags: FloatFlag.invalid };
        else wanted = { bits: BigInt.asUintN(32, BigInt(integral)), flags: integral === value ? 0 : FloatFlag.inexact };
        check(actual, wanted, () => `toInteger ${bits} ${value} ${rounding} ${signed}`);
      }
      if (Number.isNaN(value)) continue;
      const rounded = roundToIntegral(Format.f16, bits, { rounding, signalInexact: true });
      assert.ok(Object.is(numberFromBits(Format.f16, rounded.bits), integral), `roundToIntegral ${value} ${rounding}`);
      assert.equal(rounded.flags, integral === value ? 0 : FloatFlag.inexact);
      assert.equal(roundToIntegral(Format.f16, bits, { rounding }).flags, 0);
    }
  }
});

test('integers up to beyond the range of f16 convert, in every rounding', () => {
  const ladder = new Ladder(Format.f16);
  for (let integer = -70_000; integer <= 70_000; integer += 7) {
    for (const rounding of roundings) {
      const environment = { rounding, tininess: 'after', nan: 'canonical' } as const;
      const wanted = expected(ladder, [], { value: integer }, environment, false);
      const actual = fromInteger(Format.f16, BigInt.asUintN(32, BigInt(integer)), {
        width: 32,
        signed: true,
        rounding,
      });
      check(actual, wanted, () => `fromInteger ${integer} ${rounding}`);
    }
  }
});

/** A finite double to an integral one, keeping the sign of zero. */
function roundNumber(value: number, rounding: Rounding): number {
  const size = Math.abs(value);
  const low = Math.floor(size);
  const rest = size - low;
  const index = rest === 0 ? low : pick(value < 0, low, low + 1, rest - 0.5, rounding);
  return value < 0 || Object.is(value, -0) ? -index : index;
}
