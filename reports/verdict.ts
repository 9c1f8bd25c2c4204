/** Compares two runs, or judges pairs of fresh processes, row by row. */
import type { BenchmarkFacts, Fingerprint, Thresholds } from '../suites/harness/measurement.ts';
import { conclude } from './comparison.ts';
import type { ComparedRun, Comparison, ComparisonRow, RowVerdict } from './comparison.ts';
import { decide, decideCounter } from './decision.ts';
import type { CounterThresholds, Decision } from './decision.ts';
import { machineKey } from './machine.ts';
import { betweenProcessBound } from './process-noise.ts';
import { headlineValue } from './schema.ts';
import type { BenchmarkResult, ResultDocument } from './schema.ts';
import { pairsNeeded, smallestVisible } from './statistics/power.ts';
import { hodgesLehmann, signedRank, signedRankInterval } from './statistics/signed-rank.ts';
import { medianOf } from './statistics/summary.ts';

export type { ComparedRun, Comparison } from './comparison.ts';

export interface JudgeOptions {
  /** The thresholds in force for a benchmark. */
  readonly thresholds: (id: string) => Thresholds;
  /** By default any change for the worse is a regression, and the benchmark's critical threshold tells which are critical. */
  readonly counterThresholds?: (id: string, counter: string) => CounterThresholds;
  /** By default 0.95. */
  readonly confidence?: number;
  /** The chance of seeing the smallest visible change; by default 0.9. */
  readonly power?: number;
  /** How the reader knows the two runs. */
  readonly labels?: { readonly base: string; readonly head: string };
}

/** One benchmark of a paired run. */
export interface PairedRow {
  readonly facts: BenchmarkFacts;
  /** The base's hash, when it differs from that in `facts` the figures are not comparable. */
  readonly baseSourceHash?: string;
  /** One number for each fresh process: the median of its samples; base first, whichever ran first. */
  readonly pairs: readonly (readonly [base: number, head: number])[];
  readonly baseCounters: Readonly<Record<string, number>>;
  readonly headCounters: Readonly<Record<string, number>>;
  /** Why a process gave no figure; any makes the row an error. */
  readonly errors: readonly string[];
  /** Set when only one side has the benchmark. */
  readonly only?: 'base' | 'head';
}

export interface PairOptions extends JudgeOptions {
  readonly base: ComparedRun;
  readonly head: ComparedRun;
}

/** Judges a paired run by the rule of `decide`; the unit of statistics is the pair of processes. */
export function judgePairs(rows: readonly PairedRow[], options: PairOptions): Comparison {
  return conclude({
    confidence: options.confidence ?? 0.95,
    base: options.base,
    head: options.head,
    rows: rows.flatMap((row) => judgePair(row, options)),
    notes: [],
  });
}

/**
 * Compares two stored runs. Counters are compared exactly. A time or rate comes from one process on each side, and what
 * separates two processes of the same code is not in either one's samples, so the interval is the ratio of the medians
 * widened by the between-process bound of `betweenProcessBound`: most rows honestly say that they could not tell.
 * On another machine only counters are compared.
 */
export function compareDocuments(base: ResultDocument, head: ResultDocument, options: JudgeOptions): Comparison {
  const sameMachine = machineKey(base.fingerprint) === machineKey(head.fingerprint);
  const pairs = matchResults(base.results, head.results);
  return conclude({
    confidence: options.confidence ?? 0.95,
    base: comparedRun(base, options.labels?.base),
    head: comparedRun(head, options.labels?.head),
    rows: pairs.flatMap((pair) => compareResults(pair, base, head, options)),
    notes: sameMachine ? [] : ['the runs are from different machines or runtimes: only exact counters are compared'],
  });
}

function judgePair(row: PairedRow, options: PairOptions): ComparisonRow[] {
  const { facts } = row;
  const thresholds = options.thresholds(facts.id);
  const figures = { base: middle(row.pairs, 0), head: middle(row.pairs, 1) };
  const alone = aloneVerdict(row.only);
  if (alone !== undefined) return [unjudged(facts, figures, alone)];
  if (row.errors.length > 0) return [unjudged(facts, figures, { verdict: 'error', reason: row.errors[0]! })];
  if (row.baseSourceHash !== undefined && row.baseSourceHash !== facts.sourceHash) {
    return [unjudged(facts, figures, CHANGED)];
  }
  const counters = counterRows(facts, row.baseCounters, row.headCounters, thresholds, options);
  if (row.pairs.length === 0) {
    return counters.length > 0
      ? counters
      : [unjudged(facts, figures, { verdict: 'error', reason: 'nothing was measured' })];
  }
  return [timedRow(row, thresholds, options), ...counters];
}

function timedRow({ facts, pairs }: PairedRow, thresholds: Thresholds, options: PairOptions): ComparisonRow {
  const figures = { base: middle(pairs, 0), head: middle(pairs, 1) };
  const differences = pairs.map(([base, head]) => logRatio(base, head));
  const first = differences.findIndex((difference) => !Number.isFinite(difference));
  if (first !== -1) {
    return unjudged(facts, figures, {
      verdict: 'inconclusive',
      reason: `pair ${first + 1} has a figure of zero or less`,
    });
  }
  const confidence = options.confidence ?? 0.95;
  const power = { confidence, power: options.power ?? 0.9 };
  const estimate = hodgesLehmann(differences);
  const interval = signedRankInterval(differences, confidence);
  const visible = smallestVisible(differences, power);
  return {
    ...unjudged(facts, figures, decide({ estimate, interval }, facts.direction, thresholds)),
    change: Math.expm1(estimate),
    interval:
      interval === undefined ? null : { low: Math.expm1(interval.low), high: Math.expm1(interval.high), confidence },
    smallestVisible: visible === undefined ? null : Math.expm1(visible),
    p: signedRank(differences).p,
    pairs: pairs.length,
    pairsNeeded: pairsNeeded(differences, Math.log1p(thresholds.regression), power) ?? null,
    threshold: thresholds.regression,
  };
}

interface Match {
  readonly base: BenchmarkResult | undefined;
  readonly head: BenchmarkResult | undefined;
}

/** Head order, then what only the base has. A head benchmark that names a base id as its former one continues it. */
function matchResults(base: readonly BenchmarkResult[], head: readonly BenchmarkResult[]): Match[] {
  const unmatched = new Map(base.map((result) => [result.id, result]));
  const take = (id: string): BenchmarkResult | undefined => {
    const found = unmatched.get(id);
    unmatched.delete(id);
    return found;
  };
  const headIds = new Set(head.map(({ id }) => id));
  const matches = head.map((result): Match => {
    const former = [result.id, ...result.aliases.filter((alias) => !headIds.has(alias))];
    const id = former.find((candidate) => unmatched.has(candidate));
    return { base: id === undefined ? undefined : take(id), head: result };
  });
  return [...matches, ...[...unmatched.values()].map((result): Match => ({ base: result, head: undefined }))];
}

function compareResults(
  { base, head }: Match,
  baseRun: ResultDocument,
  headRun: ResultDocument,
  options: JudgeOptions,
): ComparisonRow[] {
  const facts = (head ?? base)!;
  const figures = {
    base: base === undefined ? null : headlineValue(base),
    head: head === undefined ? null : headlineValue(head),
  };
  if (base === undefined || head === undefined) {
    return [unjudged(facts, figures, aloneVerdict(base === undefined ? 'head' : 'base')!)];
  }
  const failed = head.error ?? base.error;
  if (failed !== undefined) {
    const side = head.error === undefined ? 'base' : 'head';
    return [unjudged(facts, figures, { verdict: 'error', reason: `${side}: ${failed}` })];
  }
  if (base.sourceHash !== head.sourceHash) return [unjudged(facts, figures, CHANGED)];
  const thresholds = options.thresholds(head.id);
  const counters = counterRows(head, base.counters, head.counters, thresholds, options);
  if (base.statistics === null || head.statistics === null) {
    if (base.statistics === null && head.statistics === null && counters.length > 0) return counters;
    const verdict = base.statistics === null ? 'new' : 'removed';
    const reason = `only the ${base.statistics === null ? 'head' : 'base'} took samples`;
    return [unjudged(facts, figures, { verdict, reason }), ...counters];
  }
  return [singleProcessRow(base, head, baseRun.fingerprint, headRun.fingerprint, thresholds), ...counters];
}

function singleProcessRow(
  base: BenchmarkResult,
  head: BenchmarkResult,
  baseMachine: Fingerprint,
  headMachine: Fingerprint,
  thresholds: Thresholds,
): ComparisonRow {
  const figures = { base: headlineValue(base), head: headlineValue(head) };
  const estimate = logRatio(figures.base ?? 0, figures.head ?? 0);
  const change = Number.isFinite(estimate) ? Math.expm1(estimate) : null;
  if (machineKey(baseMachine) !== machineKey(headMachine)) {
    const row = unjudged(head, figures, { verdict: 'other-machine', reason: 'measured on another machine or runtime' });
    return { ...row, change };
  }
  if (change === null) {
    return unjudged(head, figures, { verdict: 'inconclusive', reason: 'a figure is zero or less' });
  }
  const bound = betweenProcessBound(head.kind, baseMachine, headMachine);
  const within = logRatio(base.statistics!.ci95.low, base.statistics!.ci95.high);
  const beyond = logRatio(head.statistics!.ci95.low, head.statistics!.ci95.high);
  // The medians' own uncertainty: half the width of each, added in quadrature to what lies between processes.
  const own = [within, beyond].map((width) => (Number.isFinite(width) ? width / 2 : 0));
  const halfWidth = Math.hypot(bound, ...own);
  const interval = { low: estimate - halfWidth, high: estimate + halfWidth };
  const decision = decide({ estimate, interval }, head.direction, thresholds);
  const remark = decision.verdict === 'inconclusive' ? '; one process on each side: use dyno gate for pairs' : '';
  return {
    ...unjudged(head, figures, { ...decision, reason: `${decision.reason}${remark}` }),
    change,
    interval: { low: Math.expm1(interval.low), high: Math.expm1(interval.high), confidence: 0.95 },
    smallestVisible: Math.expm1(halfWidth),
    threshold: thresholds.regression,
  };
}

function counterRows(
  facts: BenchmarkFacts | BenchmarkResult,
  base: Readonly<Record<string, number>>,
  head: Readonly<Record<string, number>>,
  thresholds: Thresholds,
  options: JudgeOptions,
): ComparisonRow[] {
  // Beside a time or a rate, counters are costs whichever way the benchmark's own figure counts.
  const direction = facts.kind === 'counter' ? facts.direction : 'lower';
  return [...new Set([...Object.keys(base), ...Object.keys(head)])].sort().map((counter): ComparisonRow => {
    const before = Object.hasOwn(base, counter) ? base[counter]! : null;
    const after = Object.hasOwn(head, counter) ? head[counter]! : null;
    const limits = options.counterThresholds?.(facts.id, counter) ?? { regression: 0, critical: thresholds.critical };
    const decision =
      before === null || after === null
        ? aloneVerdict(before === null ? 'head' : 'base')!
        : decideCounter(before, after, direction, limits);
    const row = unjudged({ ...facts, kind: 'counter', direction }, { base: before, head: after }, decision);
    const change = before === null || after === null ? null : relative(before, after);
    return {
      ...row,
      unit: facts.kind === 'counter' ? facts.unit : 'count',
      counter,
      change,
      threshold: limits.regression,
    };
  });
}

const CHANGED: Decision = {
  verdict: 'changed-benchmark',
  reason: 'the benchmark itself changed, so its figures start anew',
};

function aloneVerdict(only: 'base' | 'head' | undefined): Decision | undefined {
  if (only === undefined) return undefined;
  return only === 'head'
    ? { verdict: 'new', reason: 'only the head has it' }
    : { verdict: 'removed', reason: 'only the base has it' };
}

function unjudged(
  { id, title, unit, kind, direction }: Pick<BenchmarkFacts, 'id' | 'title' | 'unit' | 'kind' | 'direction'>,
  { base, head }: { readonly base: number | null; readonly head: number | null },
  { verdict, reason }: { readonly verdict: RowVerdict; readonly reason: string },
): ComparisonRow {
  const none = {
    change: null,
    interval: null,
    smallestVisible: null,
    p: null,
    pairs: 0,
    pairsNeeded: null,
    threshold: null,
  };
  return { id, title, unit, kind, direction, base, head, ...none, verdict, reason };
}

function comparedRun(document: ResultDocument, label?: string): ComparedRun {
  const { commit, dirty, startedAt, runId } = document;
  return { label: label ?? commit?.slice(0, 12) ?? runId, commit, dirty, startedAt };
}

function middle(pairs: PairedRow['pairs'], side: 0 | 1): number | null {
  return pairs.length === 0 ? null : medianOf(pairs.map((pair) => pair[side]));
}

/** Equal figures, also two zeros, did not change; otherwise a ratio needs both above zero (NaN or infinite if not). */
function logRatio(base: number, head: number): number {
  if (base === head) return 0;
  return base > 0 && head > 0 ? Math.log(head / base) : Number.NaN;
}

function relative(base: number, head: number): number | null {
  if (base === head) return 0;
  return base === 0 ? null : (head - base) / Math.abs(base);
}
