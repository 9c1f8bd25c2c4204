import assert from 'node:assert/strict';
import { test } from 'node:test';
import { geometricMean, median, peerTable } from './peers.ts';

test('the median of an even count lies between the middle two', () => {
  assert.equal(median([9, 1, 3, 5]), 4);
  assert.equal(median([9, 1, 3]), 3);
});

test('the table has a column for each peer, and means over the guests that have one', () => {
  const rows = [
    { guest: 'a', millionInstructions: 100, times: { 'tier 0': [100, 200, 300], native: [20] } },
    { guest: 'b', millionInstructions: 100, times: { 'tier 0': [100, 100, 100] } },
  ];
  const [header, , a, b, bottom] = peerTable(rows).split('\n');
  assert.equal(header, '| guest | M instructions | tier 0, ms | native, ms | tier 0, MIPS |');
  assert.equal(a, '| a | 100.0 | 200 ±50 % | 20.0 ±0 % | 500 |');
  assert.equal(b, '| b | 100.0 | 100 ±0 % | – | 1000 |');
  assert.match(bottom!, /\| 1\.000 \| 0\.100 \| 707 \|$/);
});

test('a geometric mean is the root of the product', () => {
  assert.ok(Math.abs(geometricMean([2, 8]) - 4) < 1e-12);
});
