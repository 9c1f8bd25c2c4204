/**
 * The Wilcoxon signed-rank test and the estimate and interval that belong to it.
 *
 * Differences are one per pair of fresh processes: samples inside one process are pseudo-replicates, and a test over them
 * called identical code different in 73 % of 240 pairs, this one over 8 process pairs in 3 %.
 */
import { normalCdf, normalQuantile } from './normal.ts';
import { medianOf } from './summary.ts';

export interface SignedRank {
  /** Differences that are not zero; zeros say nothing about direction and are left out, as Wilcoxon did. */
  readonly count: number;
  /** Sum of the ranks of positive differences, ties at their mean rank. */
  readonly statistic: number;
  /** Two-sided. */
  readonly p: number;
  /** One-sided: small when the differences tend to be above zero. */
  readonly pAbove: number;
  readonly method: 'exact' | 'normal';
}

/** Counts of sign patterns stay exact integers in a double up to here (2^50 < 2^53). */
const EXACT_LIMIT = 50;

/**
 * Tests whether the differences are symmetric about zero (Wilcoxon, "Individual comparisons by ranking methods",
 * Biometrics Bulletin, 1945). Exact up to 50 differences, also with ties: the distribution over all sign patterns of the
 * ranks at hand (Pratt and Gibbons, Concepts of Nonparametric Theory). Beyond, normal with the correction for ties and
 * for continuity. No non-zero difference gives p = 1.
 */
export function signedRank(differences: readonly number[]): SignedRank {
  const nonZero = differences.filter((difference) => difference !== 0);
  const doubled = doubledRanks(nonZero);
  let statistic = 0;
  for (const [index, difference] of nonZero.entries()) if (difference > 0) statistic += doubled[index]!;
  const [pBelow, pAbove, method] =
    nonZero.length <= EXACT_LIMIT ? exactTails(doubled, statistic) : normalTails(doubled, statistic);
  const p = Math.min(1, 2 * Math.min(pBelow, pAbove));
  return { count: nonZero.length, statistic: statistic / 2, p, pAbove, method };
}

/**
 * The shift that leaves the differences most symmetric: the median of all pairwise means, each with itself too (Hodges and
 * Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics, 1963). NaN for no differences.
 */
export function hodgesLehmann(differences: readonly number[]): number {
  return differences.length === 0 ? Number.NaN : medianOf(walshAverages(differences));
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * The shifts the two-sided signed-rank test does not reject at 1 − confidence (Tukey's interval; Hollander and Wolfe,
 * Nonparametric Statistical Methods, "Distribution-free confidence interval based on the signed rank test").
 * Undefined when so few pairs cannot reach the confidence: 95 % needs 6, 99 % needs 8.
 */
export function signedRankInterval(differences: readonly number[], confidence: number): Interval | undefined {
  const count = differences.length;
  const cut = criticalValue(count, (1 - confidence) / 2);
  if (cut === undefined) return undefined;
  const walsh = walshAverages(differences).sort((a, b) => a - b);
  return { low: walsh[cut]!, high: walsh[walsh.length - 1 - cut]! };
}

/**
 * The largest w with P(W ≤ w) ≤ tail under the null hypothesis without ties, which is also how many of the smallest
 * (and largest) pairwise means fall outside the interval. Undefined when even P(W ≤ 0) = 2^−n exceeds the tail.
 */
export function criticalValue(count: number, tail: number): number | undefined {
  if (count === 0) return undefined;
  if (count > EXACT_LIMIT) {
    const mean = (count * (count + 1)) / 4;
    const sd = Math.sqrt((count * (count + 1) * (2 * count + 1)) / 24);
    // Rounded down and moved by the half of the continuity correction: wider, never narrower.
    return Math.max(0, Math.floor(mean + normalQuantile(tail) * sd - 0.5));
  }
  const ways = signPatterns(Array.from({ length: count }, (_, index) => index + 1));
  const limit = tail * 2 ** count;
  let sum = 0;
  let cut = 0;
  while (cut < ways.length && sum + ways[cut]! <= limit) sum += ways[cut++]!;
  return cut === 0 ? undefined : cut - 1;
}

function walshAverages(values: readonly number[]): number[] {
  const averages: number[] = [];
  for (const [index, value] of values.entries()) {
    for (let other = index; other < values.length; other++) averages.push((value + values[other]!) / 2);
  }
  return averages;
}

/** Twice the rank of each magnitude, so that mean ranks of ties stay integers. */
function doubledRanks(values: readonly number[]): number[] {
  const order = values.map((value, index) => ({ index, size: Math.abs(value) })).sort((a, b) => a.size - b.size);
  const ranks = Array.from(values, () => 0);
  for (let start = 0; start < order.length;) {
    let end = start + 1;
    while (end < order.length && order[end]!.size === order[start]!.size) end++;
    // Ranks start+1 … end, whose mean doubled is start + 1 + end.
    for (let at = start; at < end; at++) ranks[order[at]!.index] = start + 1 + end;
    start = end;
  }
  return ranks;
}

/** `ways[s]`: how many of the 2^n choices of signs give the positive ranks a sum of s. */
function signPatterns(ranks: readonly number[]): Float64Array {
  const total = ranks.reduce((sum, rank) => sum + rank, 0);
  const ways = new Float64Array(total + 1);
  ways[0] = 1;
  let reach = 0;
  for (const rank of ranks) {
    for (let sum = reach; sum >= 0; sum--) ways[sum + rank]! += ways[sum]!;
    reach += rank;
  }
  return ways;
}

type Tails = readonly [pBelow: number, pAbove: number, method: SignedRank['method']];

function exactTails(doubled: readonly number[], statistic: number): Tails {
  const ways = signPatterns(doubled);
  let below = 0;
  let above = 0;
  for (const [sum, count] of ways.entries()) {
    if (sum <= statistic) below += count;
    if (sum >= statistic) above += count;
  }
  const patterns = 2 ** doubled.length;
  return [below / patterns, above / patterns, 'exact'];
}

/** Under the null each rank r counts with probability ½: mean Σr/2, variance Σr²/4, ties included. */
function normalTails(doubled: readonly number[], statistic: number): Tails {
  const mean = doubled.reduce((sum, rank) => sum + rank, 0) / 2;
  const sd = Math.sqrt(doubled.reduce((sum, rank) => sum + rank * rank, 0)) / 2;
  // The doubled statistic moves in steps of 2, so half a step is 1.
  const pBelow = normalCdf((statistic + 1 - mean) / sd);
  const pAbove = normalCdf(-(statistic - 1 - mean) / sd);
  return [pBelow, pAbove, 'normal'];
}
