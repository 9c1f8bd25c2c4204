/** Settings to judgement: the thresholds in force for each benchmark, and paired rows in the shape the judge takes. */
import { thresholdsFor } from '../emulator/config/override.ts';
import type { Settings } from '../emulator/config/settings.ts';
import type { BenchmarkResult } from '../reports/schema.ts';
import { compareDocuments, judgePairs } from '../reports/verdict.ts';
import type { ComparedRun, Comparison, PairedRow as JudgedRow } from '../reports/verdict.ts';
import type { BenchmarkFacts, Thresholds } from '../suites/harness/measurement.ts';
import type { PairedOutcome, PairedRow } from '../suites/harness/paired.ts';
import type { ResolvedResult } from './resolve-result.ts';

/** Configured defaults < the benchmark's own < overrides by glob. */
export function thresholdsOf(
  settings: Settings,
  facts: readonly Pick<BenchmarkFacts | BenchmarkResult, 'id' | 'thresholds'>[],
  regression = settings.get('thresholds.regression'),
): (id: string) => Thresholds {
  const own = new Map(facts.map(({ id, thresholds }) => [id, thresholds ?? {}]));
  const configured: Thresholds = {
    regression,
    improvement: settings.get('thresholds.improvement'),
    critical: settings.get('thresholds.critical'),
  };
  return (id) => Object.assign({ ...configured }, own.get(id), thresholdsFor(settings.overrides, id)) as Thresholds;
}

export function judgeDocuments(base: ResolvedResult, head: ResolvedResult, settings: Settings): Comparison {
  return compareDocuments(base.document, head.document, {
    thresholds: thresholdsOf(settings, head.document.results),
    labels: { base: base.label, head: head.label },
  });
}

/** Judges what a paired run gave so far. */
export function judgeOutcome(
  outcome: Pick<PairedOutcome, 'rows' | 'added' | 'removed'>,
  settings: Settings,
  base: ComparedRun,
  head: ComparedRun,
): Comparison {
  // Pairs in one run see far smaller changes than runs of different days, so a gate has a threshold of its own.
  const thresholds = thresholdsOf(settings, outcome.rows, settings.get('harness.gate.tolerance'));
  const rows = [
    ...outcome.rows.map(judged),
    ...outcome.added.map((facts) => alone(facts, 'head')),
    ...outcome.removed.map((facts) => alone(facts, 'base')),
  ];
  return judgePairs(rows, { thresholds, base, head });
}

function judged({ base, head, baseCounters, headCounters, baseSourceHash, error, ...facts }: PairedRow): JudgedRow {
  return {
    facts,
    baseSourceHash,
    pairs: head.map((value, pair) => [base[pair]!, value] as const),
    baseCounters,
    headCounters,
    errors: error === undefined ? [] : [error],
  };
}

function alone(facts: BenchmarkFacts, only: 'base' | 'head'): JudgedRow {
  return { facts, pairs: [], baseCounters: {}, headCounters: {}, errors: [], only };
}
