// Compares round-to-nearest-even arithmetic with the host's own doubles, and with floats through Math.fround: rounding
// a double result to f32 a second time is harmless for + - * / and sqrt, since 53 >= 2 * 24 + 2 (S. A. Figueroa, "When
// is double rounding innocuous?").

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bitsFromNumber,
  convertFormat,
  fromInteger,
  numberFromBits,
  roundToIntegral,
  toInteger,
} from './float-convert.ts';
import { type FloatResult, Format, Rounding } from './float-format.ts';
import { boundaryOperands, drawOperands, randomWords, testSeed } from './float-operands.ts';
import * as float from './float.ts';

const nearest = { rounding: Rounding.nearestEven };
const CASES = 20_000;

const operations: readonly {
  readonly name: string;
  readonly run: (format: Format, a: bigint, b: bigint) => FloatResult;
  readonly host: (x: number, y: number) => number;
}[] = [
  { name: 'add', run: (format, a, b) => float.add(format, a, b, nearest), host: (x, y) => x + y },
  { name: 'sub', run: (format, a, b) => float.sub(format, a, b, nearest), host: (x, y) => x - y },
  { name: 'mul', run: (format, a, b) => float.mul(format, a, b, nearest), host: (x, y) => x * y },
  { name: 'div', run: (format, a, b) => float.div(format, a, b, nearest), host: (x, y) => x / y },
  { name: 'sqrt', run: (format, a) => float.sqrt(format, a, nearest), host: (x) => Math.sqrt(x) },
];

for (const { name, run, host } of operations) {
  for (const label of ['f32', 'f64'] as const) {
    test(`${name} of ${label} agrees with the host`, (t) => {
      const seed = testSeed();
      t.diagnostic(`seed ${seed}`);
      const random = randomWords(seed);
      const format = Format[label];
      const narrow = label === 'f32' ? Math.fround : (value: number): number => value;
      const compare = (a: bigint, b: bigint): void => {
        const wanted = narrow(host(numberFromBits(format, a), numberFromBits(format, b)));
        const actual = numberFromBits(format, run(format, a, b).bits);
        assert.ok(
          Object.is(actual, wanted),
          `${name} ${a.toString(16)} ${b.toString(16)}: ${actual}, not ${wanted}; SEED=${seed}`,
        );
      };
      const signed = boundaryOperands(format).flatMap((bits) => [
        bits,
        bits | (1n << BigInt(format.exponentBits + format.fractionBits)),
      ]);
      for (const a of signed) for (const b of signed) compare(a, b);
      for (let index = 0; index < CASES; index += 1) {
        const [a = 0n, b = 0n] = drawOperands(format, 2, random);
        compare(a, b);
      }
    });
  }
}

test('conversions agree with the host', (t) => {
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  for (let index = 0; index < CASES; index += 1) {
    const [wide = 0n] = drawOperands(Format.f64, 1, random);
    const [narrow = 0n] = drawOperands(Format.f32, 1, random);
    const x = numberFromBits(Format.f64, wide);
    const message = `${wide.toString(16)}; SEED=${seed}`;
    assert.ok(
      Object.is(numberFromBits(Format.f32, convertFormat(Format.f64, Format.f32, wide, nearest).bits), Math.fround(x)),
      message,
    );
    assert.ok(
      Object.is(
        numberFromBits(Format.f64, convertFormat(Format.f32, Format.f64, narrow, nearest).bits),
        numberFromBits(Format.f32, narrow),
      ),
      message,
    );
    if (!Number.isNaN(x)) assert.equal(bitsFromNumber(x), wide);
    const trunc = roundToIntegral(Format.f64, wide, { rounding: Rounding.towardZero });
    assert.ok(Object.is(numberFromBits(Format.f64, trunc.bits), Math.trunc(x)), message);
    const floor = roundToIntegral(Format.f64, wide, { rounding: Rounding.down });
    assert.ok(Object.is(numberFromBits(Format.f64, floor.bits), Math.floor(x)), message);
    if (Number.isFinite(x) && Math.abs(x) < 2 ** 63) {
      const integer = toInteger(Format.f64, wide, { width: 64, signed: true, rounding: Rounding.up });
      assert.equal(BigInt.asIntN(64, integer.bits), BigInt(Math.ceil(x)), message);
    }
    const integer = BigInt.asIntN(64, wide);
    assert.equal(
      numberFromBits(Format.f64, fromInteger(Format.f64, wide, { ...nearest, width: 64, signed: true }).bits),
      Number(integer),
      message,
    );
    assert.equal(
      numberFromBits(Format.f64, fromInteger(Format.f64, wide, { ...nearest, width: 64, signed: false }).bits),
      Number(wide),
      message,
    );
  }
});
