import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalCdf, normalQuantile } from './normal.ts';
import { minimumPairs, pairsNeeded, smallestVisible } from './power.ts';
import { criticalValue, hodgesLehmann, signedRank, signedRankInterval } from './signed-rank.ts';

const difference = fc.integer({ min: -6, max: 6 });

/** Two-sided p by trying every sign pattern, with ranks found by counting. */
function enumerated(differences: readonly number[]): { statistic: number; p: number; pAbove: number } {
  const sizes = differences.filter((d) => d !== 0).map(Math.abs);
  const ranks = sizes.map((size) => {
    const smaller = sizes.filter((other) => other < size).length;
    const equal = sizes.filter((other) => other === size).length;
    return smaller + (equal + 1) / 2;
  });
  const signs = differences.filter((d) => d !== 0).map((d) => d > 0);
  const sumOf = (pick: (index: number) => boolean): number =>
    ranks.reduce((sum, rank, index) => sum + (pick(index) ? rank : 0), 0);
  const statistic = sumOf((index) => signs[index]!);
  let below = 0;
  let above = 0;
  for (let pattern = 0; pattern < 2 ** ranks.length; pattern++) {
    const sum = sumOf((index) => ((pattern >> index) & 1) === 1);
    if (sum <= statistic) below++;
    if (sum >= statistic) above++;
  }
  const patterns = 2 ** ranks.length;
  return { statistic, p: Math.min(1, (2 * Math.min(below, above)) / patterns), pAbove: above / patterns };
}

test('the exact p equals the enumeration of all sign patterns, ties and zeros included', () => {
  fc.assert(
    fc.property(fc.array(difference, { maxLength: 10 }), (differences) => {
      const { statistic, p, pAbove, method } = signedRank(differences);
      const oracle = enumerated(differences);
      assert.equal(method, 'exact');
      assert.equal(statistic, oracle.statistic);
      assert.ok(Math.abs(p - oracle.p) < 1e-12);
      assert.ok(Math.abs(pAbove - oracle.pAbove) < 1e-12);
    }),
  );
});

test('published two-sided critical values at 5 % and 1 % are reproduced', () => {
  // The usual table "Critical values of the Wilcoxon signed-ranks test": the largest T that is significant, by n.
  const fivePercent = {
    6: 0,
    7: 2,
    8: 3,
    9: 5,
    10: 8,
    11: 10,
    12: 13,
    13: 17,
    14: 21,
    15: 25,
    20: 52,
    25: 89,
    30: 137,
  };
  const onePercent = { 8: 0, 9: 1, 10: 3, 11: 5, 12: 7, 13: 9, 14: 12, 15: 15, 20: 37, 25: 68, 30: 109 };
  for (const [count, critical] of Object.entries(fivePercent)) assert.equal(criticalValue(+count, 0.025), critical);
  for (const [count, critical] of Object.entries(onePercent)) assert.equal(criticalValue(+count, 0.005), critical);
  assert.equal(criticalValue(5, 0.025), undefined);
  assert.equal(criticalValue(7, 0.005), undefined);
  assert.equal(criticalValue(0, 0.025), undefined);
});

test('five pairs can never reach 95 %, six can', () => {
  assert.equal(signedRank([1, 2, 3, 4, 5]).p, 0.0625);
  assert.equal(signedRankInterval([1, 2, 3, 4, 5], 0.95), undefined);
  assert.equal(signedRank([1, 2, 3, 4, 5, 6]).p, 0.03125);
  assert.deepEqual(signedRankInterval([1, 2, 3, 4, 5, 6], 0.95), { low: 1, high: 6 });
  assert.equal(minimumPairs(0.95), 6);
  assert.equal(minimumPairs(0.99), 8);
});

test('the normal approximation agrees with the exact distribution where they meet', () => {
  const differences = Array.from({ length: 50 }, (_, index) => (index % 3 === 0 ? -1 : 1) * (index + 1.5));
  const exact = signedRank(differences);
  const normal = signedRank([...differences, 0.25]);
  assert.equal(exact.method, 'exact');
  assert.equal(normal.method, 'normal');
  assert.ok(Math.abs(exact.p - normal.p) < 0.004, `${exact.p} ${normal.p}`);
  // Exact 50: T = 434 at 5 % in the published table; the approximation for 51 must be close above it.
  assert.equal(criticalValue(50, 0.025), 434);
  assert.equal(criticalValue(51, 0.025), 453);
  // Both tails: the mirror image has the same two-sided p and the complementary one-sided p.
  const mirrored = signedRank([...differences, 0.25].map((difference) => -difference));
  assert.ok(Math.abs(mirrored.p - normal.p) < 1e-12);
  assert.ok(normal.pAbove < 0.5 && mirrored.pAbove > 0.5);
  assert.ok(mirrored.pAbove + normal.pAbove > 1, 'each tail includes the statistic itself');
});

test('Hodges-Lehmann is the median of pairwise means, moves with a shift and scales', () => {
  // Walsh averages of 1, 2, 9: 1, 1.5, 2, 5, 5.5, 9.
  assert.equal(hodgesLehmann([1, 2, 9]), 3.5);
  assert.ok(Number.isNaN(hodgesLehmann([])));
  fc.assert(
    fc.property(fc.array(difference, { minLength: 1, maxLength: 30 }), difference, (differences, shift) => {
      const estimate = hodgesLehmann(differences);
      assert.equal(hodgesLehmann(differences.map((d) => d + shift)), estimate + shift);
      assert.equal(hodgesLehmann(differences.map((d) => d * 4)), estimate * 4);
      // -0 and 0 are one estimate.
      assert.ok(hodgesLehmann(differences.map((d) => -d)) === -estimate);
    }),
  );
});

test('the interval excludes zero exactly when the test rejects it', () => {
  const distinct = fc
    .uniqueArray(fc.integer({ min: -5000, max: 5000 }), { minLength: 6, maxLength: 20, selector: Math.abs })
    .filter((values) => values.every((value) => value !== 0));
  fc.assert(
    fc.property(distinct, (differences) => {
      const { low, high } = signedRankInterval(differences, 0.95)!;
      const estimate = hodgesLehmann(differences);
      assert.ok(low <= estimate && estimate <= high);
      // An end of exactly zero is a tie of the test at zero; the interval is closed and may keep it.
      if (low !== 0 && high !== 0) assert.equal(low > 0 || high < 0, signedRank(differences).p <= 0.05);
    }),
  );
});

test('the p value of identical code is uniform enough: at most 5 % of seeded trials reject', () => {
  let state = 12345;
  const uniform = (): number => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32 - 0.5;
  let rejected = 0;
  for (let trial = 0; trial < 2000; trial++) {
    const differences = Array.from({ length: 12 }, () => uniform() + uniform());
    if (signedRank(differences).p < 0.05) rejected++;
  }
  // Three standard errors of 2,000 trials around 4.2 %, the exact size at n = 12.
  assert.ok(rejected > 55 && rejected < 115, String(rejected));
});

test('a visible effect is seen in about nine of ten trials of that size', () => {
  let state = 99;
  const uniform = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const noise = (): number => uniform() + uniform() + uniform() + uniform();
  const visible: number[] = [];
  for (let trial = 0; trial < 200; trial++) {
    visible.push(smallestVisible(Array.from({ length: 15 }, noise))!);
  }
  const effect = visible.reduce((sum, value) => sum + value, 0) / visible.length;
  let seen = 0;
  for (let trial = 0; trial < 500; trial++) {
    if (
      signedRankInterval(
        Array.from({ length: 15 }, () => noise() + effect),
        0.95,
      )!.low > 0
    )
      seen++;
  }
  assert.ok(seen > 425 && seen < 480, String(seen));
});

test('pairs needed grow with the square of the wish', () => {
  const differences = [-3, -2, -1, 0.5, 1, 2, 3, 4, -4, 0.25];
  const visible = smallestVisible(differences)!;
  assert.equal(pairsNeeded(differences, visible), 10);
  assert.equal(pairsNeeded(differences, visible / 2), 40);
  assert.equal(pairsNeeded(differences, visible * 100), 6);
  assert.equal(pairsNeeded(differences, 0), undefined);
  assert.equal(pairsNeeded([1, 2], 1), undefined);
  assert.equal(smallestVisible([1, 2]), undefined);
});

test('the normal distribution agrees with published figures', () => {
  const quantiles = { 0.5: 0, 0.9: 1.2815515655446004, 0.975: 1.959963984540054, 0.995: 2.5758293035489004 };
  for (const [p, z] of Object.entries(quantiles)) assert.ok(Math.abs(normalQuantile(+p) - z) < 1e-12);
  assert.ok(Math.abs(normalCdf(-6) / 9.865876450376981e-10 - 1) < 1e-12);
  assert.ok(Math.abs(normalCdf(-3) / 1.349898031630095e-3 - 1) < 1e-12);
  assert.ok(Math.abs(normalCdf(4.0001) - normalCdf(3.9999) - 0.0002 * 1.3383e-4) < 1e-9);
});
