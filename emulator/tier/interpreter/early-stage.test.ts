import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EarlyStage } from './early-stage.ts';

test('the early function runs first, the main one for an entry and then for good', () => {
  const stage = new EarlyStage({ glimpse: 100, end: 500 });
  const seen: boolean[] = [];
  for (let entry = 0; entry < 8; entry++) {
    seen.push(stage.isEarly);
    stage.add(70);
  }
  assert.deepEqual(seen, [true, true, false, true, true, true, true, true]);
  assert.equal(stage.isEarly, false);
});

test('an entry in which nothing was interpreted is none', () => {
  const stage = new EarlyStage({ glimpse: 100, end: 500 });
  stage.add(100);
  stage.add(0);
  assert.equal(stage.isEarly, false);
  stage.add(1);
  assert.equal(stage.isEarly, true);
});

test('where the main function is needed the early one is done', () => {
  const stage = new EarlyStage();
  assert.equal(stage.isEarly, true);
  stage.end();
  assert.equal(stage.isEarly, false);
});
