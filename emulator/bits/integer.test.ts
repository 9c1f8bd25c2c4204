import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import * as integer from './integer.ts';

const width = fc.constantFrom(8, 16, 32, 64, 128);
const widthAndValues = width.chain((bits) => {
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }),
    fc.constantFrom(0n, 1n, (1n << BigInt(bits)) - 1n, 1n << BigInt(bits - 1)),
  );
  return fc.tuple(fc.constant(bits), value, value);
});

/** The bits, least significant first: the other representation that the properties are stated in. */
function bitsOf(value: bigint, count: number): string[] {
  return [...value.toString(2).padStart(count, '0')].toReversed();
}

function fromBits(bits: readonly string[]): bigint {
  return BigInt(`0b${[...bits].toReversed().join('')}`);
}

test('counts, reversals and rotations agree with the written-out bits', () => {
  fc.assert(
    fc.property(widthAndValues, fc.integer({ min: -300, max: 300 }), ([count, value], amount) => {
      const bits = bitsOf(value, count);
      const highest = bits.lastIndexOf('1');
      const lowest = bits.indexOf('1');
      assert.equal(integer.countLeadingZeros(value, count), highest < 0 ? count : count - 1 - highest);
      assert.equal(integer.countTrailingZeros(value, count), lowest < 0 ? count : lowest);
      assert.equal(integer.population(value, count), bits.filter((bit) => bit === '1').length);
      assert.equal(integer.bitReverse(value, count), fromBits(bits.toReversed()));
      const bytes = Array.from({ length: count / 8 }, (_, byte) => bits.slice(8 * byte, 8 * byte + 8));
      assert.equal(integer.byteReverse(value, count), fromBits(bytes.toReversed().flat()));
      const turned = bits.map((_, index) => bits[(((index - amount) % count) + count) % count] ?? '?');
      assert.equal(integer.rotateLeft(value, amount, count), fromBits(turned));
      assert.equal(integer.rotateRight(integer.rotateLeft(value, amount, count), amount, count), value);
    }),
  );
});

test('signed and unsigned readings differ by 2^width for a set top bit', () => {
  fc.assert(
    fc.property(widthAndValues, ([count, value]) => {
      const top = bitsOf(value, count)[count - 1] === '1';
      assert.equal(integer.toSigned(value, count), top ? value - (1n << BigInt(count)) : value);
      assert.equal(integer.toUnsigned(integer.toSigned(value, count), count), value);
      const extended = integer.signExtend(value, count, 2 * count);
      assert.equal(extended & integer.mask(count), value);
      assert.equal(extended >> BigInt(count), top ? integer.mask(count) : 0n);
    }),
  );
});

test('high products complete the low product', () => {
  fc.assert(
    fc.property(widthAndValues, ([count, a, b]) => {
      const low = integer.toUnsigned(a * b, count);
      const whole = (high: bigint): bigint => integer.toSigned((high << BigInt(count)) | low, 2 * count);
      assert.equal((integer.multiplyHighUnsigned(a, b, count) << BigInt(count)) | low, a * b);
      assert.equal(
        whole(integer.multiplyHighSigned(a, b, count)),
        integer.toSigned(a, count) * integer.toSigned(b, count),
      );
      assert.equal(whole(integer.multiplyHighSignedUnsigned(a, b, count)), integer.toSigned(a, count) * b);
    }),
  );
});

test('carry-less multiplication is polynomial multiplication modulo 2', () => {
  fc.assert(
    fc.property(widthAndValues, ([count, a, b]) => {
      const product = Array.from({ length: 2 * count }, () => 0);
      const right = bitsOf(b, count);
      for (const [i, x] of bitsOf(a, count).entries()) {
        if (x === '1') for (const [j, y] of right.entries()) if (y === '1') product[i + j] = 1 - (product[i + j] ?? 0);
      }
      const whole = fromBits(product.map(String));
      assert.equal(integer.carrylessMultiply(a, b, count), whole & integer.mask(count));
      assert.equal(integer.carrylessMultiplyHigh(a, b, count), whole >> BigInt(count));
      assert.equal(integer.carrylessMultiplyReversed(a, b, count), (whole >> BigInt(count - 1)) & integer.mask(count));
    }),
  );
});

test('fields of 32-bit words agree with BigInt, at every position and width', () => {
  const words = [0, 1, -1, 0x7fff_ffff, -0x8000_0000, 0x1234_5678, 0xfedc_ba98];
  for (let lo = 0; lo < 32; lo += 1) {
    for (let count = 1; lo + count <= 32; count += 1) {
      for (const word of words) {
        const exact = BigInt.asUintN(32, BigInt(word));
        const field = (exact >> BigInt(lo)) & integer.mask(count);
        assert.equal(integer.extractBits(word, lo, count), Number(field));
        assert.equal(
          integer.signExtend32(integer.extractBits(word, lo, count), count),
          Number(integer.toSigned(field, count)),
        );
        const cleared = exact & ~(integer.mask(count) << BigInt(lo));
        const inserted = cleared | (BigInt.asUintN(count, 0x5a5a_a5a5n) << BigInt(lo));
        assert.equal(integer.insertBits(word, lo, count, 0x5a5a_a5a5), Number(inserted));
      }
    }
  }
});

test('a byte reversal of part of a byte is refused', () => {
  assert.throws(() => integer.byteReverse(1n, 12), RangeError);
});
