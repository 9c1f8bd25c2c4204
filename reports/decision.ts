/** The three-way decision on one measured figure, and the exact one on a counter. */
import type { Direction, Thresholds } from '../suites/harness/measurement.ts';
import type { RowVerdict } from './comparison.ts';
import type { Interval } from './statistics/signed-rank.ts';

/** What is known of a change, as natural logarithms of head ÷ base. */
export interface Evidence {
  readonly estimate: number;
  /** Undefined when there is too little to bound the change. */
  readonly interval: Interval | undefined;
}

export interface Decision {
  readonly verdict: RowVerdict;
  readonly reason: string;
}

/**
 * Judges a noisy figure. Let the change be counted so that positive is worse, with its interval, and let a threshold t be
 * a worsening of the figure by that fraction (a time times 1 + t; a throughput divided by 1 + t):
 *
 * - **regression**: the whole interval is worse than no change, and the estimate is worse than the threshold;
 *   **critical**: the same, with the estimate worse than the critical threshold too;
 * - **no-change**: the whole interval is better than the regression threshold, so such a regression is excluded;
 *   **improvement**: of these, when also the whole interval is better than no change and the estimate is better by at least
 *   the improvement threshold;
 * - **inconclusive** otherwise: a regression past the threshold is neither shown nor excluded.
 *
 * The estimate printed is the one judged. Identical code is called a regression only when both the one-sided test errs
 * (half of 1 − confidence) and chance alone moves the estimate past the threshold. Early stopping enters by giving an
 * interval that is wider for having been looked at before; the rule stays.
 */
export function decide({ estimate, interval }: Evidence, direction: Direction, thresholds: Thresholds): Decision {
  if (interval === undefined) return { verdict: 'inconclusive', reason: 'too few pairs to bound the change' };
  const sign = direction === 'lower' ? 1 : -1;
  const worse = sign * estimate;
  const low = Math.min(sign * interval.low, sign * interval.high);
  const high = Math.max(sign * interval.low, sign * interval.high);
  if (low > 0 && worse > Math.log1p(thresholds.regression)) {
    if (worse > Math.log1p(thresholds.critical)) {
      return { verdict: 'critical', reason: `worse by more than ${percent(thresholds.critical)}` };
    }
    return { verdict: 'regression', reason: `worse by more than ${percent(thresholds.regression)}` };
  }
  if (high < Math.log1p(thresholds.regression) || (high === 0 && low === 0)) {
    if (high < 0 && -worse >= Math.log1p(thresholds.improvement)) {
      return { verdict: 'improvement', reason: `better by at least ${percent(thresholds.improvement)}` };
    }
    return { verdict: 'no-change', reason: `worse by ${percent(thresholds.regression)} is excluded` };
  }
  if (low > 0) {
    return { verdict: 'inconclusive', reason: `worse, but not shown to be by ${percent(thresholds.regression)}` };
  }
  return {
    verdict: 'inconclusive',
    reason: `could not tell: worse by ${percent(thresholds.regression)} is not excluded`,
  };
}

/** How far a counter may move the wrong way, as fractions of the base. */
export interface CounterThresholds {
  readonly regression: number;
  readonly critical: number;
}

/** Counters are exact, so every difference is real; only its size is judged. */
export function decideCounter(
  base: number,
  head: number,
  direction: Direction,
  { regression, critical }: CounterThresholds,
): Decision {
  if (base === head) return { verdict: 'no-change', reason: 'equal' };
  const worse = direction === 'lower' ? head - base : base - head;
  const moved = `${head > base ? 'up' : 'down'} by exactly ${Math.abs(head - base)}`;
  if (worse < 0) return { verdict: 'improvement', reason: moved };
  // From zero every worsening is past any fraction.
  const share = base === 0 ? Number.POSITIVE_INFINITY : worse / Math.abs(base);
  if (share <= regression) return { verdict: 'no-change', reason: `${moved}, within ${percent(regression)}` };
  return { verdict: share > critical ? 'critical' : 'regression', reason: moved };
}

/** `2.5 %`. */
export function percent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(3))} %`;
}
