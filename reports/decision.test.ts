import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decide, decideCounter, percent } from './decision.ts';

const LIMITS = { regression: 0.1, improvement: 0.05, critical: 0.2 };
const at = (estimate: number, half: number, limits = LIMITS) =>
  decide(
    {
      estimate: Math.log1p(estimate),
      interval: { low: Math.log1p(estimate) - half, high: Math.log1p(estimate) + half },
    },
    'lower',
    limits,
  );

test('each region of estimate and interval has its verdict', () => {
  const table: readonly [estimate: number, half: number, verdict: string][] = [
    [0, 0, 'no-change'],
    [0, 0.05, 'no-change'],
    [0, 0.2, 'inconclusive'],
    [0.05, 0.01, 'no-change'],
    [0.08, 0.05, 'inconclusive'],
    [0.12, 0.05, 'regression'],
    [0.12, 0.2, 'inconclusive'],
    [0.19, 0.01, 'regression'],
    [0.21, 0.01, 'critical'],
    [0.21, 0.4, 'inconclusive'],
    [-0.03, 0.01, 'no-change'],
    [-0.06, 0.01, 'improvement'],
    [-0.06, 0.1, 'no-change'],
    [-0.06, 0.3, 'inconclusive'],
  ];
  for (const [estimate, half, verdict] of table)
    assert.equal(at(estimate, half).verdict, verdict, `${estimate} ± ${half}`);
});

test('what is worse but not shown to be past the threshold says so', () => {
  assert.match(at(0.08, 0.05).reason, /^worse, but not shown/);
  assert.match(at(0, 0.2).reason, /^could not tell/);
});

test('a threshold of zero still lets exactly equal figures pass', () => {
  assert.equal(at(0, 0, { regression: 0, improvement: 0, critical: 1 }).verdict, 'no-change');
});

test('a wider interval never turns a row towards a definite worsening', () => {
  const estimate = fc.double({ min: -0.5, max: 0.5, noNaN: true });
  const half = fc.double({ min: 0, max: 0.5, noNaN: true });
  const bad = (verdict: string): boolean => verdict === 'regression' || verdict === 'critical';
  fc.assert(
    fc.property(estimate, half, half, (value, narrow, more) => {
      if (bad(at(value, narrow + more).verdict)) assert.ok(bad(at(value, narrow).verdict));
      if (at(value, narrow + more).verdict === 'no-change') assert.ok(!bad(at(value, narrow).verdict));
    }),
  );
});

test('counters: equal, within, past, critical, better, from zero', () => {
  const limits = { regression: 0.02, critical: 0.1 };
  const verdict = (base: number, head: number) => decideCounter(base, head, 'lower', limits).verdict;
  assert.equal(verdict(100, 100), 'no-change');
  assert.equal(verdict(100, 102), 'no-change');
  assert.equal(verdict(100, 103), 'regression');
  assert.equal(verdict(100, 110), 'regression');
  assert.equal(verdict(100, 111), 'critical');
  assert.equal(verdict(100, 99), 'improvement');
  assert.equal(verdict(0, 1), 'critical');
  assert.equal(decideCounter(100, 90, 'higher', limits).verdict, 'regression');
  assert.equal(percent(0.025), '2.5 %');
});
