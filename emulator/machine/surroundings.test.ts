import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostRandom } from './surroundings.ts';

test('random bytes of the host fill an array to its end, with others each time', () => {
  // Of 4096 bytes all values are there but with a chance of 256 · e^-16.
  const first = new Uint8Array(4096);
  hostRandom(first);
  assert.equal(new Set(first).size, 256);
  assert.equal(new Set(first.subarray(-256)).size > 100, true);
  const second = new Uint8Array(4096);
  hostRandom(second);
  assert.notDeepEqual(first, second);
});
