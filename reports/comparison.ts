/** What a comparison says: its rows, its verdict, and the exit code it ends with. */
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

/** Row verdicts in the order reports list them: what needs action first. */
export const ROW_VERDICTS: readonly RowVerdict[] = [
  'critical',
  'regression',
  'error',
  'inconclusive',
  'improvement',
  'changed-benchmark',
  'other-machine',
  'removed',
  'new',
  'no-change',
];

export interface ComparisonFacts {
  readonly confidence: number;
  readonly base: ComparedRun;
  readonly head: ComparedRun;
  readonly rows: readonly ComparisonRow[];
  readonly notes: readonly string[];
}

/**
 * Joins row verdicts: a proven regression outweighs everything; then a failed benchmark, since what it would have said is
 * unknown; then a row that could not tell; and a comparison in which no row was judged is never a pass.
 * Family-wise control enters here: it may only turn row verdicts towards inconclusive before they are joined.
 */
export function conclude({ rows, ...facts }: ComparisonFacts): Comparison {
  const counts = Object.fromEntries(ROW_VERDICTS.map((verdict) => [verdict, 0])) as Record<RowVerdict, number>;
  for (const { verdict } of rows) counts[verdict]++;
  const verdict = overall(counts);
  const tested = rows.filter(({ p }) => p !== null).length;
  return {
    ...facts,
    verdict,
    exitCode: EXIT_CODES[verdict],
    summary: sentence(verdict, counts, tested),
    tested,
    counts,
    rows,
  };
}

function overall(counts: Readonly<Record<RowVerdict, number>>): OverallVerdict {
  if (counts.critical + counts.regression > 0) return 'regression';
  if (counts.error > 0) return 'error';
  if (counts.inconclusive > 0) return 'inconclusive';
  return counts.improvement + counts['no-change'] > 0 ? 'pass' : 'nothing-compared';
}

function sentence(verdict: OverallVerdict, counts: Readonly<Record<RowVerdict, number>>, tested: number): string {
  const parts = ROW_VERDICTS.filter((row) => counts[row] > 0).map((row) => `${counts[row]} ${row}`);
  const said = parts.length === 0 ? 'no rows' : parts.join(', ');
  return `${verdict}: ${said}; ${tested} ${tested === 1 ? 'row' : 'rows'} tested statistically`;
}
