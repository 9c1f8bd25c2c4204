/** What the pairs at hand could have shown, and how many would show more. */
import { normalQuantile } from './normal.ts';
import { criticalValue, signedRankInterval } from './signed-rank.ts';

export interface PowerOptions {
  readonly confidence: number;
  /** The chance of seeing an effect of the stated size. */
  readonly power: number;
}

/** 95 % and 90 %. */
export const DEFAULT_POWER: PowerOptions = { confidence: 0.95, power: 0.9 };

/**
 * The smallest true shift whose interval would exclude zero with the given power, in the unit of the differences.
 * An estimate misses zero's side by its half-width h = z(confidence)·σ and must be luckier than its own scatter in `power`
 * of all cases, so h·(1 + z(power) ÷ z(confidence)); σ is read off the very interval the verdict uses (Lehmann,
 * Nonparametrics, "Power of the Wilcoxon test"). Undefined when there are too few pairs for an interval.
 */
export function smallestVisible(
  differences: readonly number[],
  { confidence, power }: PowerOptions = DEFAULT_POWER,
): number | undefined {
  const interval = signedRankInterval(differences, confidence);
  if (interval === undefined) return undefined;
  const halfWidth = (interval.high - interval.low) / 2;
  return halfWidth * (1 + normalQuantile(power) / normalQuantile((1 + confidence) / 2));
}

/**
 * About how many pairs like these would show a shift of `effect`: the visible shift falls with √n. Never fewer than the
 * confidence needs at all. Undefined when there are too few pairs to know their scatter.
 */
export function pairsNeeded(
  differences: readonly number[],
  effect: number,
  options: PowerOptions = DEFAULT_POWER,
): number | undefined {
  const visible = smallestVisible(differences, options);
  if (visible === undefined || !(effect > 0)) return undefined;
  const scaled = Math.ceil(differences.length * (visible / effect) ** 2);
  return Math.max(scaled, minimumPairs(options.confidence));
}

/** The fewest pairs that can reach the confidence: 2^(1−n) ≤ 1 − confidence. */
export function minimumPairs(confidence: number): number {
  let count = 1;
  while (count < 1000 && criticalValue(count, (1 - confidence) / 2) === undefined) count++;
  return count;
}
