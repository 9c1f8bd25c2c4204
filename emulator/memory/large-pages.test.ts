import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LARGE_FILTER, LARGE_NOTES, LARGE_PENDING_SIZE } from '../layout/memory-map.ts';
import { LargePages } from './large-pages.ts';

const address = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const halves = (at: bigint): [number, number] => [Number(BigInt.asIntN(32, at)), Number(at >> 32n)];
/** Svnapot, and the levels of Sv57. */
const SIZES = [16, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36];

const none = () =>
  new LargePages(new Int32Array(2 * LARGE_NOTES), new Uint8Array(LARGE_FILTER), new Int32Array(LARGE_PENDING_SIZE / 4));

test('an address lies in a large page when one was added around it, whatever its size', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ at: address, size: fc.constantFrom(...SIZES) }), { maxLength: 12 }),
      fc.array(address, { maxLength: 8 }),
      (added, others) => {
        const pages = none();
        for (const { at, size } of added) pages.add(...halves(at), size);
        const near = added.flatMap(({ at, size }) => {
          const bytes = BigInt(size) * 4096n;
          const begin = at - (BigInt.asUintN(64, at) % bytes);
          return [at, begin, begin + bytes - 1n, begin + bytes, begin - 1n].map((one) => BigInt.asIntN(64, one));
        });
        for (const at of [...near, ...others]) {
          const numberOf = (one: bigint, size: number) => one >> BigInt(12 + Math.log2(size));
          const expected = added.some((one) => numberOf(one.at, one.size) === numberOf(at, one.size));
          assert.equal(pages.mayHold(...halves(at)), expected, `0x${BigInt.asUintN(64, at).toString(16)}`);
        }
        pages.checkInvariants();
        pages.clear();
        assert.ok(!near.some((at) => pages.mayHold(...halves(at))));
      },
    ),
  );
});

test('when there are too many to tell apart, any address may lie in one, until they are forgotten', () => {
  const pages = none();
  for (let n = 0; n < 5000; n++) pages.add(0, n, 512);
  assert.ok(pages.mayHold(0x1234_5678, -7));
  pages.clear();
  assert.ok(!pages.mayHold(0x1234_5678, -7));
  pages.add(0x4000_0000, 3, 512);
  assert.ok(pages.mayHold(0x401f_ffff, 3) && !pages.mayHold(0x4020_0000, 3));
});
