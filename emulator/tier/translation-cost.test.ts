import assert from 'node:assert/strict';
import test from 'node:test';
import { AUTO } from './policy.ts';
import { TranslationCost } from './translation-cost.ts';

const price = (guestInstructions: number, instructions: number) =>
  new TranslationCost(AUTO, { guestInstructions }, { instructions }).of(100);

test('translations become cheaper as V8 gets to know the translator', () => {
  assert.equal(price(0, 1e6), 100 * (AUTO.cost + AUTO.coldCost));
  assert.ok(price(2000, 1e12) < price(100, 1e12));
  assert.ok(price(2000, 1e12) > 100 * AUTO.cost);
});

test('they are dearer in a program that has had many and run for a short time', () => {
  assert.ok(price(2000, 5e6) > 3 * price(2000, 1e9));
  assert.ok(price(2000, 5e6) > price(1000, 5e6));
});
