/** Verdict types and the exit code each overall verdict ends with. */
import type { Kind, Direction } from '../suites/harness/measurement.ts';

export type RowVerdict =
  | 'improvement'
  | 'no-change'
  | 'regression'
  | 'critical'
  | 'inconclusive'
  | 'new'
  | 'removed'
  | 'changed-benchmark'
  | 'error'
  | 'other-machine';

export type OverallVerdict = 'pass' | 'regression' | 'inconclusive' | 'nothing-compared' | 'error';

export const EXIT_CODES: Readonly<Record<OverallVerdict, number>> = {
  pass: 0,
  regression: 1,
  error: 2,
  inconclusive: 3,
  'nothing-compared': 4,
};

/** One judged figure. Relative figures are fractions of the base: 0.03 is head 3 % larger than base. */
export interface ComparisonRow {
  readonly id: string;
  /** The counter's name; absent for the benchmark's own figure. */
  readonly counter?: string;
  readonly title: string;
  readonly unit: string;
  readonly kind: Kind;
  readonly direction: Direction;
  readonly base: number | null;
  readonly head: number | null;
  /** head ÷ base − 1, whichever direction is better; null when there is nothing to divide. */
  readonly change: number | null;
  /** Confidence interval of the change; null for exact counters and when there are too few pairs. */
  readonly interval: { readonly low: number; readonly high: number; readonly confidence: number } | null;
  /** The smallest change that would have been seen; null for exact counters. */
  readonly smallestVisible: number | null;
  /** Two-sided signed-rank p; null for exact counters. */
  readonly p: number | null;
  /** Process pairs behind the row; 0 for exact counters and for documents compared from disk. */
  readonly pairs: number;
  /** Pairs that would show the regression threshold; null when not known. */
  readonly pairsNeeded: number | null;
  /** The largest tolerated worsening, as a fraction. */
  readonly threshold: number | null;
  readonly verdict: RowVerdict;
  /** Why, in one line. */
  readonly reason: string;
}

/** Which runs were compared, for the reader. */
export interface ComparedRun {
  readonly label: string;
  readonly commit: string | null;
  readonly dirty: boolean;
  readonly startedAt: string | null;
}

export interface Comparison {
  readonly verdict: OverallVerdict;
  readonly exitCode: number;
  /** One line for people. */
  readonly summary: string;
  readonly confidence: number;
  /** How many rows were tested by a p value: at this confidence some are red by chance. */
  readonly tested: number;
  readonly counts: Readonly<Record<RowVerdict, number>>;
  readonly base: ComparedRun;
  readonly head: ComparedRun;
  readonly rows: readonly ComparisonRow[];
  /** Remarks that concern the whole comparison, e.g. another machine. */
  readonly notes: readonly string[];
}
