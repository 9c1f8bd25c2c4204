import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Thresholds } from '../suites/harness/measurement.ts';
import { SAMPLE_FINGERPRINT, sampleDocument, sampleFacts, sampleMeasurement } from './sample-document.ts';
import { compareDocuments, judgePairs } from './verdict.ts';
import type { PairedRow } from './verdict.ts';

const LIMITS: Thresholds = { regression: 0.03, improvement: 0.03, critical: 0.2 };
const run = { label: 'x', commit: null, dirty: false, startedAt: null };
const options = { thresholds: () => LIMITS, base: run, head: run };

/** Deterministic noise around 1 with the given half-width. */
function pairs(count: number, ratio: number, noise: number): [number, number][] {
  return Array.from({ length: count }, (_, index) => {
    const wobble = 1 + noise * (((index * 7) % 11) / 5 - 1);
    return [100, 100 * ratio * wobble];
  });
}

function row(changes: Partial<PairedRow> = {}): PairedRow {
  return {
    facts: sampleFacts('decode/riscv/all'),
    pairs: pairs(12, 1, 0.01),
    baseCounters: { 'ir-ops': 100 },
    headCounters: { 'ir-ops': 100 },
    errors: [],
    ...changes,
  };
}

test('identical code passes, with the smallest change that would have been seen', () => {
  const result = judgePairs([row()], options);
  assert.deepEqual([result.verdict, result.exitCode], ['pass', 0]);
  assert.equal(result.tested, 1);
  assert.equal(result.summary, 'pass: 2 no-change; 1 row tested statistically');
  assert.equal(result.rows.length, 2);
  const time = result.rows[0]!;
  assert.equal(time.verdict, 'no-change');
  assert.ok(time.smallestVisible! > 0.001 && time.smallestVisible! < 0.03);
  assert.ok(time.interval!.low < 0 && time.interval!.high > 0);
});

test('a planted 5 % slowdown is a regression, 30 % is critical, 5 % faster is an improvement', () => {
  const verdictOf = (ratio: number): string =>
    judgePairs([row({ pairs: pairs(12, ratio, 0.01) })], options).rows[0]!.verdict;
  assert.equal(verdictOf(1.05), 'regression');
  assert.equal(verdictOf(1.3), 'critical');
  assert.equal(verdictOf(0.95), 'improvement');
  assert.equal(verdictOf(1.01), 'no-change');
  assert.equal(judgePairs([row({ pairs: pairs(12, 1.05, 0.01) })], options).exitCode, 1);
});

test('for a throughput the same ratios judge the other way', () => {
  const facts = sampleFacts('run/guest/sieve', { kind: 'throughput', direction: 'higher', unit: 'MIPS' });
  const verdictOf = (ratio: number): string =>
    judgePairs([row({ facts, pairs: pairs(12, ratio, 0.01) })], options).rows[0]!.verdict;
  assert.equal(verdictOf(1.06), 'improvement');
  assert.equal(verdictOf(0.94), 'regression');
  assert.equal(verdictOf(1), 'no-change');
});

test('too much noise is "could not tell", never a pass, and says how many pairs would do', () => {
  const result = judgePairs([row({ pairs: pairs(8, 1, 0.2) })], options);
  assert.deepEqual([result.verdict, result.exitCode], ['inconclusive', 3]);
  assert.match(result.rows[0]!.reason, /could not tell/);
  assert.ok(result.rows[0]!.pairsNeeded! > 8);
});

test('five pairs cannot decide whatever they show', () => {
  assert.equal(judgePairs([row({ pairs: pairs(5, 2, 0) })], options).rows[0]!.verdict, 'inconclusive');
});

test('one more IR op is a regression even when time did not move; fewer is an improvement', () => {
  const more = judgePairs([row({ headCounters: { 'ir-ops': 101 } })], options);
  assert.deepEqual([more.verdict, more.exitCode], ['regression', 1]);
  assert.deepEqual(
    more.rows.map(({ counter, verdict }) => [counter, verdict]),
    [
      [undefined, 'no-change'],
      ['ir-ops', 'regression'],
    ],
  );
  assert.equal(judgePairs([row({ headCounters: { 'ir-ops': 99 } })], options).rows[1]!.verdict, 'improvement');
  assert.equal(judgePairs([row({ headCounters: { 'ir-ops': 121 } })], options).rows[1]!.verdict, 'critical');
});

test('a counter threshold loosens, and a counter benchmark follows its own direction', () => {
  const counterThresholds = () => ({ regression: 0.02, critical: 0.5 });
  const loose = judgePairs([row({ headCounters: { 'ir-ops': 102 } })], { ...options, counterThresholds });
  assert.equal(loose.verdict, 'pass');
  const facts = sampleFacts('cache/block/hits', { kind: 'counter', direction: 'higher', engine: 'counters' });
  const hits = row({ facts, pairs: [], baseCounters: { hits: 5 }, headCounters: { hits: 6 } });
  assert.equal(judgePairs([hits], options).rows[0]!.verdict, 'improvement');
  assert.equal(judgePairs([{ ...hits, headCounters: { hits: 4 } }], options).verdict, 'regression');
  assert.equal(
    judgePairs([{ ...hits, baseCounters: { hits: 0 }, headCounters: { hits: 0 } }], options).verdict,
    'pass',
  );
});

test('a failed benchmark is an error unless a regression is proven elsewhere', () => {
  const failed = row({ errors: ['head: wrong result'] });
  assert.deepEqual(
    [judgePairs([failed, row()], options).verdict, judgePairs([failed], options).exitCode],
    ['error', 2],
  );
  const slow = row({ pairs: pairs(12, 1.5, 0) });
  assert.equal(judgePairs([failed, slow], options).verdict, 'regression');
  assert.equal(judgePairs([row({ pairs: [], baseCounters: {}, headCounters: {} })], options).verdict, 'error');
});

test('nothing in common is "nothing compared", exit 4', () => {
  const only = judgePairs([row({ only: 'head' }), row({ only: 'base' })], options);
  assert.deepEqual([only.verdict, only.exitCode], ['nothing-compared', 4]);
  assert.deepEqual(
    only.rows.map(({ verdict }) => verdict),
    ['new', 'removed'],
  );
  assert.equal(judgePairs([], options).exitCode, 4);
  assert.match(judgePairs([], options).summary, /^nothing-compared: no rows; 0 rows tested/);
  const changed = judgePairs([row({ baseSourceHash: 'b'.repeat(64) })], options);
  assert.equal(changed.rows[0]!.verdict, 'changed-benchmark');
  assert.equal(changed.verdict, 'nothing-compared');
});

test('a figure of zero cannot make a ratio; two zeros did not change', () => {
  assert.equal(judgePairs([row({ pairs: [...pairs(9, 1, 0), [0, 5]] })], options).rows[0]!.verdict, 'inconclusive');
  const zeros = Array.from({ length: 8 }, (): [number, number] => [0, 0]);
  assert.equal(judgePairs([row({ pairs: zeros })], options).rows[0]!.verdict, 'no-change');
});

test('swapping base and head mirrors the verdict of clear changes', () => {
  fc.assert(
    fc.property(fc.double({ min: 1.1, max: 3, noNaN: true }), fc.integer({ min: 8, max: 20 }), (ratio, count) => {
      const forward = pairs(count, ratio, 0.005);
      const backward = forward.map(([base, head]): [number, number] => [head, base]);
      const there = judgePairs([row({ pairs: forward })], options).rows[0]!;
      const back = judgePairs([row({ pairs: backward })], options).rows[0]!;
      assert.ok(there.verdict === 'regression' || there.verdict === 'critical');
      assert.equal(back.verdict, 'improvement');
      assert.ok(Math.abs((1 + there.change!) * (1 + back.change!) - 1) < 1e-9);
    }),
  );
});

test('identical code with heavy-tailed noise is called a regression in under 2.5 % of trials', () => {
  let state = 2024;
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const noise = (): number => Math.exp(0.02 * (uniform() - 0.5) + (uniform() < 0.1 ? 0.08 * (uniform() - 0.5) : 0));
  let red = 0;
  for (let trial = 0; trial < 1000; trial++) {
    const sampled = Array.from({ length: 12 }, (): [number, number] => [100 * noise(), 100 * noise()]);
    const tight = { ...options, thresholds: () => ({ regression: 0.001, improvement: 0.001, critical: 1 }) };
    if (judgePairs([row({ pairs: sampled })], tight).verdict === 'regression') red++;
  }
  assert.ok(red > 0 && red < 40, `${red} of 1000`);
});

const documentOptions = { thresholds: (): Thresholds => ({ regression: 0.1, improvement: 0.05, critical: 0.2 }) };

function scaled(factor: number): number[] {
  return [100, 101, 102, 100, 101, 103, 100, 101, 102, 101].map((value) => value * factor);
}

test('two single processes: a small change could not be told, a large one is shown, counters stay exact', () => {
  const base = sampleDocument();
  const compare = (factor: number, ops = 1000) =>
    compareDocuments(
      base,
      sampleDocument({ runId: 'sample-2' }, [
        sampleMeasurement('decode/riscv/all', { samples: scaled(factor), counters: { 'guest-instructions': ops } }),
      ]),
      documentOptions,
    );
  assert.deepEqual([compare(1).verdict, compare(1).exitCode], ['inconclusive', 3]);
  assert.match(compare(1.05).rows[0]!.reason, /dyno gate/);
  assert.equal(compare(1.5).rows[0]!.verdict, 'critical');
  assert.equal(compare(1.19).rows[0]!.verdict, 'regression');
  assert.equal(compare(0.7).rows[0]!.verdict, 'improvement');
  assert.equal(compare(1, 1001).verdict, 'regression');
  assert.equal(compare(1).rows[1]!.verdict, 'no-change');
});

test('with default flags the bound between processes is wider', () => {
  const fingerprint = { ...SAMPLE_FINGERPRINT, flags: [] };
  const head = sampleDocument({ fingerprint }, [sampleMeasurement('decode/riscv/all', { samples: scaled(1.25) })]);
  const row = compareDocuments(sampleDocument({ fingerprint }), head, documentOptions).rows[0]!;
  assert.equal(row.verdict, 'inconclusive');
});

test('another machine compares counters only', () => {
  const other = sampleDocument({ fingerprint: { ...SAMPLE_FINGERPRINT, cpu: 'Other' } });
  const result = compareDocuments(sampleDocument(), other, documentOptions);
  assert.deepEqual(
    result.rows.map(({ verdict }) => verdict),
    ['other-machine', 'no-change'],
  );
  assert.equal(result.verdict, 'pass');
  assert.equal(result.notes.length, 1);
});

test('a renamed benchmark continues its history, a changed one starts anew, missing ones are listed', () => {
  const base = sampleDocument({}, [
    sampleMeasurement('decode/riscv/old'),
    sampleMeasurement('decode/riscv/gone'),
    sampleMeasurement('decode/riscv/edited'),
  ]);
  const head = sampleDocument({}, [
    sampleMeasurement('decode/riscv/fresh', { aliases: ['decode/riscv/old'] }),
    sampleMeasurement('decode/riscv/edited', { sourceHash: 'c'.repeat(64) }),
    sampleMeasurement('decode/riscv/added'),
  ]);
  const verdicts = compareDocuments(base, head, documentOptions).rows.map(({ id, verdict }) => `${id} ${verdict}`);
  assert.deepEqual(verdicts, [
    'decode/riscv/fresh inconclusive',
    'decode/riscv/fresh no-change',
    'decode/riscv/edited changed-benchmark',
    'decode/riscv/added new',
    'decode/riscv/gone removed',
  ]);
});

test('an error on either side is an error row that names the side', () => {
  const bad = sampleDocument({}, [sampleMeasurement('decode/riscv/all', { samples: [], error: 'boom' })]);
  const result = compareDocuments(sampleDocument(), bad, documentOptions);
  assert.equal(result.exitCode, 2);
  assert.equal(result.rows[0]!.reason, 'head: boom');
});
