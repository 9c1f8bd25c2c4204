import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findGuest } from '../guests/guests.ts';
import { cacheTable, guestCacheCounts, sumOfCounts } from './cache-rates.ts';

test('shares are of all jumps, or of those that lead to a region', () => {
  const counts = { instructions: 2e6, inRegions: 1e6, held: 90, refilled: 10, absent: 100 };
  const line = (text: string) => text.split('\n')[2];
  assert.equal(line(cacheTable([['p', counts]])), '| p | 2.0 | 50.00 % | 200 | 45.00 % | 90.00 % | 50.00 % |');
  assert.equal(
    line(cacheTable([['both', sumOfCounts([counts, counts])]])),
    '| both | 4.0 | 50.00 % | 400 | 45.00 % | 90.00 % | 50.00 % |',
  );
});

test('every jump of a guest is held, refilled or to code without a region, and most are held', () => {
  const { held, refilled, absent } = guestCacheCounts(findGuest('hash'), 'quick');
  assert.ok(refilled >= 0 && absent >= 0, 'a refill is a miss too');
  assert.ok(held > 0.95 * (held + refilled + absent), `${held} of ${held + refilled + absent}`);
});
