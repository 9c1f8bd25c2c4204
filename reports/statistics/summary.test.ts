import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { medianInterval } from './median-interval.ts';
import { qualityFlags } from './quality.ts';
import { quantile, summarize } from './summary.ts';

const samples = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 200 });

test('a summary of a known list has the figures worked out by hand', () => {
  const summary = summarize([2, 4, 4, 4, 5, 5, 7, 9])!;
  assert.equal(summary.count, 8);
  assert.equal(summary.mean, 5);
  assert.ok(Math.abs(summary.sd - Math.sqrt(32 / 7)) < 1e-15);
  assert.equal(summary.median, 4.5);
  assert.equal(summary.p25, 4);
  assert.equal(summary.p75, 5.5);
  assert.ok(Math.abs(summary.p95 - 8.3) < 1e-12);
  assert.equal(summary.mad, 0.5);
  assert.deepEqual(summary.outliers, { count: 0, rate: 0 });
  assert.equal(summarize([]), undefined);
});

test('one far sample among many is an outlier by three standard deviations', () => {
  const summary = summarize([...Array.from({ length: 99 }, (_, index) => 10 + (index % 3)), 1000])!;
  assert.deepEqual(summary.outliers, { count: 1, rate: 0.01 });
});

test('order does not matter, and every figure lies where it must', () => {
  fc.assert(
    fc.property(samples, (values) => {
      const summary = summarize(values)!;
      const reversed = summarize(values.toReversed())!;
      assert.equal(summary.median, reversed.median);
      assert.equal(summary.p99, reversed.p99);
      const figures = [summary.min, summary.p25, summary.p50, summary.p75, summary.p95, summary.p99, summary.max];
      assert.deepEqual(
        figures,
        figures.toSorted((a, b) => a - b),
      );
      const slack = 1e-9 * Math.max(1, Math.abs(summary.min), Math.abs(summary.max));
      assert.ok(summary.mean >= summary.min - slack && summary.mean <= summary.max + slack);
      assert.ok(summary.ci95.low <= summary.median && summary.median <= summary.ci95.high);
      assert.ok(summary.sd >= 0 && summary.mad >= 0);
    }),
    { examples: [[[-0, 0]], [[0, -0]]] },
  );
});

test('a large offset does not destroy the spread', () => {
  const summary = summarize([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])!;
  assert.equal(summary.mean, 1e9 + 10);
  assert.ok(Math.abs(summary.sd - Math.sqrt(30)) < 1e-9);
});

test('quantiles interpolate between order statistics', () => {
  assert.equal(quantile([10], 0.99), 10);
  assert.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  assert.equal(quantile([1, 2, 3, 4], 0), 1);
  assert.equal(quantile([1, 2, 3, 4], 1), 4);
});

test('the interval of the median has the ranks and coverage of the published table', () => {
  // n: rank of the lower end and coverage, from the sign test's binomial table at 95 %.
  const table: readonly [number, number, number][] = [
    [6, 1, 0.96875],
    [9, 2, 0.9609375],
    [10, 2, 0.978515625],
    [20, 6, 0.9586105346679688],
    [25, 8, 0.9567147493362427],
  ];
  for (const [count, rank, coverage] of table) {
    const sorted = Array.from({ length: count }, (_, index) => index + 1);
    const interval = medianInterval(sorted, 0.95);
    assert.equal(interval.low, rank, `n = ${count}`);
    assert.equal(interval.high, count + 1 - rank);
    assert.ok(Math.abs(interval.coverage - coverage) < 1e-9);
  }
});

test('fewer than six samples say which coverage they have', () => {
  assert.deepEqual(medianInterval([7], 0.95), { low: 7, high: 7, coverage: 0 });
  const { low, high, coverage } = medianInterval([1, 2, 3, 4, 5], 0.95);
  assert.deepEqual([low, high], [1, 5]);
  assert.ok(Math.abs(coverage - 0.9375) < 1e-12);
});

test('quality flags follow the four rules', () => {
  const steady = qualityFlags(summarize(Array.from({ length: 100 }, (_, index) => 100 + (index % 5)))!);
  assert.deepEqual(
    steady.map(({ name, met }) => [name, met]),
    [
      ['p95', true],
      ['p99', true],
      ['cv', true],
      ['outliers', true],
    ],
  );
  const tailed = [...Array.from({ length: 90 }, () => 1), ...Array.from({ length: 10 }, () => 60)];
  const flags = qualityFlags(summarize(tailed)!);
  assert.deepEqual(
    flags.filter(({ met }) => !met).map(({ name }) => name),
    ['p95', 'p99', 'cv'],
  );
  assert.ok(flags.every(({ advice }) => advice.length > 10));
  const spiked = [...Array.from({ length: 97 }, (_, i) => 100 + (i % 2)), 200, 210, 220];
  assert.equal(qualityFlags(summarize(spiked)!).at(-1)?.met, false);
});

test('samples that are all zero have no tail and no spread; a mean of zero with spread fails honestly', () => {
  assert.ok(qualityFlags(summarize([0, 0, 0])!).every(({ met }) => met));
  const around = summarize([-1, 1])!;
  assert.equal(around.cv, null);
  assert.ok(qualityFlags(around).some(({ met }) => !met));
});
