/** A distribution-free confidence interval of the median from order statistics. */

export interface MedianInterval {
  readonly low: number;
  readonly high: number;
  /** Exact coverage of this interval; below what was asked when there are too few samples. */
  readonly coverage: number;
}

/**
 * The narrowest symmetric pair of order statistics that covers the median with at least `confidence`, after Conover,
 * Practical Nonparametric Statistics, "Confidence interval for a quantile": P(x₍k₎ ≤ median ≤ x₍n+1−k₎) is
 * 1 − 2·P(Binomial(n, ½) < k). Fewer than 6 samples cannot reach 95 %: then the extremes, with the coverage they have.
 * `sorted` ascending and not empty.
 */
export function medianInterval(sorted: readonly number[], confidence: number): MedianInterval {
  const count = sorted.length;
  let rank = 1;
  let tail = binomialHalf(count, 0);
  while (rank < count / 2) {
    const next = tail + binomialHalf(count, rank);
    if (2 * next > 1 - confidence) break;
    tail = next;
    rank++;
  }
  return { low: sorted[rank - 1]!, high: sorted[count - rank]!, coverage: Math.max(0, 1 - 2 * tail) };
}

/** P(Binomial(n, ½) = k), through logarithms so that large n does not underflow early. */
function binomialHalf(count: number, k: number): number {
  let logarithm = -count * Math.LN2;
  for (let i = 1; i <= k; i++) logarithm += Math.log((count - k + i) / i);
  return Math.exp(logarithm);
}
