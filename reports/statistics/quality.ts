/** Whether samples are good enough to quote, and what to do when they are not. */
import type { Summary } from './summary.ts';

export interface QualityFlag {
  readonly name: 'p95' | 'p99' | 'cv' | 'outliers';
  /** `P95 below 2x mean`. */
  readonly rule: string;
  readonly met: boolean;
  /** What was measured, in the rule's terms (a ratio or a fraction); null when the mean is 0. */
  readonly value: number | null;
  readonly limit: number;
  /** The next thing to try when not met. */
  readonly advice: string;
}

/** The limits of REQUIREMENTS E2. All four flags, met or not, in a fixed order. */
export function qualityFlags(summary: Summary): readonly QualityFlag[] {
  const { mean, p95, p99, cv, outliers } = summary;
  return [
    flag(
      'p95',
      'P95 below 2x mean',
      ratio(p95, mean),
      2,
      'give more warm-up, or look for garbage collection in the body',
    ),
    flag('p99', 'P99 below 5x mean', ratio(p99, mean), 5, 'look for collections, deoptimisation or a busy machine'),
    flag('cv', 'CV below 0.1', cv, 0.1, 'run dyno doctor, close other programs, take more samples'),
    flag(
      'outliers',
      'outliers below 2 %',
      outliers.rate,
      0.02,
      'take more samples and look at their order in the report',
    ),
  ];
}

function flag(
  name: QualityFlag['name'],
  rule: string,
  value: number | null,
  limit: number,
  advice: string,
): QualityFlag {
  return { name, rule, met: value !== null && value < limit, value, limit, advice };
}

/** 1 for all-zero samples: they have no tail. */
function ratio(percentile: number, mean: number): number | null {
  if (mean === 0) return percentile === 0 ? 1 : null;
  return percentile / mean;
}
