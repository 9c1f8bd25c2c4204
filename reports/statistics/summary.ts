/** Location, spread and tails of one process's samples. */
import { medianInterval } from './median-interval.ts';
import type { MedianInterval } from './median-interval.ts';

/** Figures are in the benchmark's unit; fractions are dimensionless. */
export interface Summary {
  readonly count: number;
  readonly mean: number;
  readonly median: number;
  /** Sample standard deviation (n − 1); 0 for one sample. */
  readonly sd: number;
  /** sd ÷ |mean|; null when the mean is 0 and the samples are not all 0. */
  readonly cv: number | null;
  readonly min: number;
  readonly max: number;
  readonly p25: number;
  readonly p50: number;
  readonly p75: number;
  readonly p95: number;
  readonly p99: number;
  /** Median absolute deviation from the median, not rescaled. */
  readonly mad: number;
  /** Of the median. Samples of one process are not independent trials: this describes them and judges nothing. */
  readonly ci95: MedianInterval;
  /** Samples further than three standard deviations from the mean. */
  readonly outliers: { readonly count: number; readonly rate: number };
}

/**
 * Summarises finite samples; undefined for an empty list.
 * Mean and sum of squares are updated one sample at a time (Welford, "Note on a method for calculating corrected sums of
 * squares and products", Technometrics 1962), so large offsets do not cancel.
 */
export function summarize(samples: readonly number[]): Summary | undefined {
  if (samples.length === 0) return undefined;
  // Adding 0 makes -0 into 0: the two compare as equal, so which of them came first would otherwise show.
  const sorted = samples.map((value) => value + 0).toSorted((a, b) => a - b);
  const { mean, sd } = moments(samples);
  const median = quantile(sorted, 0.5);
  const outliers = sorted.filter((value) => Math.abs(value - mean) > 3 * sd).length;
  return {
    count: sorted.length,
    mean,
    median,
    sd,
    cv: mean === 0 ? (sd === 0 ? 0 : null) : sd / Math.abs(mean),
    min: sorted[0]!,
    max: sorted.at(-1)!,
    p25: quantile(sorted, 0.25),
    p50: median,
    p75: quantile(sorted, 0.75),
    p95: quantile(sorted, 0.95),
    p99: quantile(sorted, 0.99),
    mad: medianOf(sorted.map((value) => Math.abs(value - median))),
    ci95: medianInterval(sorted, 0.95),
    outliers: { count: outliers, rate: outliers / sorted.length },
  };
}

/**
 * Linear interpolation between order statistics, definition 7 of Hyndman and Fan, "Sample quantiles in statistical
 * packages" (The American Statistician, 1996). `sorted` ascending and not empty, 0 ≤ p ≤ 1.
 */
export function quantile(sorted: readonly number[], p: number): number {
  const position = (sorted.length - 1) * p;
  const below = Math.floor(position);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  // Clamped: rounding must not push a quantile past its neighbours.
  return Math.min(Math.max(low + (high - low) * (position - below), low), high);
}

/** Of values in any order; not empty. */
export function medianOf(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}

function moments(samples: readonly number[]): { mean: number; sd: number } {
  let mean = 0;
  let squares = 0;
  for (const [index, value] of samples.entries()) {
    const delta = value - mean;
    mean += delta / (index + 1);
    squares += delta * (value - mean);
  }
  return { mean, sd: samples.length < 2 ? 0 : Math.sqrt(squares / (samples.length - 1)) };
}
