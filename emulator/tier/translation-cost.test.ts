import assert from 'node:assert/strict';
import test from 'node:test';
import { AUTO, AUTO_TRANSLATED } from './policy.ts';
import { TranslationAccount, TranslationCost } from './translation-cost.ts';

const price = (guestInstructions: number, instructions: number) =>
  new TranslationCost(AUTO, { guestInstructions }, { instructions }).of(100);

test('translations become cheaper as V8 gets to know the translator', () => {
  assert.equal(price(0, 1e6), 100 * (AUTO.cost + AUTO.coldCost));
  assert.ok(price(2000, 1e12) < price(100, 1e12));
  assert.ok(price(2000, 1e12) > 100 * AUTO.cost);
});

test('what is done for each region costs as much as some instructions', () => {
  const cost = new TranslationCost({ ...AUTO, overhead: 40 }, { guestInstructions: 0 }, { instructions: 0 });
  assert.equal(cost.each(), AUTO.cost + AUTO.coldCost);
  assert.equal(cost.of(60), 100 * cost.each());
});

test('they are dearer in a program that has had many and run for a short time', () => {
  assert.ok(price(2000, 5e6) > 3 * price(2000, 1e9));
  assert.ok(price(2000, 5e6) > price(1000, 5e6));
});

test('a process translates once it has run for as long as that takes for all its code', () => {
  const counted = { instructions: 0 };
  const cost = new TranslationCost(AUTO, { guestInstructions: 0 }, counted);
  counted.instructions = AUTO.warmUp - 1;
  assert.equal(cost.mayBegin(1), false);
  counted.instructions = 10 * AUTO.lineCost;
  assert.equal(cost.mayBegin(10), true);
  assert.equal(cost.mayBegin(11), false);
  counted.instructions = AUTO.longProgram;
  assert.equal(cost.mayBegin(1e6), true);
});

test('processes of a program count for one another', () => {
  const account = new TranslationAccount();
  const [done, counted] = [{ guestInstructions: 0 }, { instructions: 0 }];
  const first = new TranslationCost(AUTO, done, counted, account);
  const second = new TranslationCost(AUTO, { guestInstructions: 0 }, { instructions: AUTO.warmUp }, account);
  const before = second.of(100);
  assert.equal(second.mayBegin(1e6), false);
  counted.instructions = 1e12;
  done.guestInstructions = 5000;
  assert.equal(first.mayBegin(1e6), true);
  assert.equal(second.mayBegin(1e6), true);
  // V8 has come to know the translator.
  assert.ok(second.of(100) < before);
  const { processes, translated, retired } = account;
  assert.deepEqual({ processes, translated, retired }, { processes: 2, translated: 5000, retired: 1e12 + AUTO.warmUp });
});

test('they are dearer for a process that is not the only one', () => {
  const account = new TranslationAccount();
  const make = () => new TranslationCost(AUTO, { guestInstructions: 0 }, { instructions: AUTO.warmUp }, account);
  const first = make();
  const alone = first.of(100);
  make();
  assert.ok(first.of(100) > 1.5 * alone);
});

test('arrivals count less the more has been translated, in user mode, but something', () => {
  const done = { guestInstructions: 0 };
  const cost = new TranslationCost(AUTO, done, { instructions: 0 });
  assert.equal(cost.ofArrival(true), AUTO.arrivalCost);
  done.guestInstructions = AUTO.arrivalFade;
  assert.equal(cost.ofArrival(true), AUTO.arrivalCost / 2);
  assert.equal(cost.ofArrival(false), AUTO.systemArrivalCost);
  done.guestInstructions = 1e9;
  assert.equal(cost.ofArrival(true), 50);
  const least = new TranslationCost({ ...AUTO, arrivalCost: 7 }, done, { instructions: 0 });
  assert.equal(least.ofArrival(true), 7);
  const lasting = new TranslationCost(AUTO_TRANSLATED, done, { instructions: 0 });
  assert.equal(lasting.ofArrival(true), AUTO_TRANSLATED.arrivalCost);
});
