import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findGuest } from '../guests/guests.ts';
import { ablationTable, translationWithout } from './ablation.ts';

test('the table has geometric means in percent, and the guest that loses most', () => {
  const table = ablationTable([{ pass: 'p', irOps: [2, 0.5], wasmOps: [1.21], wasmBytes: [1], times: [0.9, 1.6] }]);
  assert.equal(table.split('\n')[2], '| `p` | 0.0 % | 21.0 % | 0.0 % | 20.0 % | 60.0 % |');
});

test('without a pass the regions of a guest are larger', () => {
  const sieve = findGuest('sieve');
  const all = translationWithout(sieve, 'quick', '');
  const less = translationWithout(sieve, 'quick', 'dead-code');
  assert.ok(all.guestInstructions > 0 && less.irOps / less.guestInstructions > all.irOps / all.guestInstructions);
});
