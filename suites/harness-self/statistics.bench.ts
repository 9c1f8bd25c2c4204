import assert from 'node:assert/strict';
import { hodgesLehmann, signedRank, signedRankInterval } from '../../reports/statistics/signed-rank.ts';
import { summarize } from '../../reports/statistics/summary.ts';
import { defineBench } from '../harness/define-bench.ts';
import { seededRandom } from '../harness/random.ts';

/** `count` differences around 0.03 with no ties, the same on every machine. */
function differences(count: number): number[] {
  const random = seededRandom(count);
  return Array.from({ length: count }, () => 0.03 + (random() - 0.5) / 10);
}

for (const pairs of [8, 25]) {
  defineBench({
    id: `harness/statistics/signed-rank-${pairs}`,
    title: `signed-rank test of ${pairs} pairs`,
    unit: 'µs',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: () => differences(pairs),
    work: signedRank,
    check: (values, result) => {
      const { p, count } = result as ReturnType<typeof signedRank>;
      assert.equal(count, values.length);
      assert.ok(p > 0 && p < 0.2, `p is ${p}`);
    },
  });
}

defineBench({
  id: 'harness/statistics/interval-25',
  title: 'shift and confidence interval of 25 pairs',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: () => differences(25),
  work: (values) => ({ shift: hodgesLehmann(values), interval: signedRankInterval(values, 0.95) }),
  check: (_, result) => {
    const { shift, interval } = result as { shift: number; interval: { low: number; high: number } };
    assert.ok(interval.low <= shift && shift <= interval.high);
    assert.ok(interval.low < 0.03 && 0.03 < interval.high);
  },
});

defineBench({
  id: 'harness/statistics/summarize-1000',
  title: 'summary of 1000 samples',
  unit: 'µs',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: () => differences(1000),
  work: summarize,
  check: (values, summary) => assert.equal((summary as { count: number }).count, values.length),
});
