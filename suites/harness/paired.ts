/**
 * The paired-run controller: base and head measured side by side on one machine.
 *
 * A pair is one fresh process of each side, run directly after one another in random order; its two figures give one
 * ratio, and the pair, not the sample, is what statistics count. Exact counters are taken once a side and compared as they are.
 */
import type { BenchmarkFacts, Direction, Measurement } from './measurement.ts';
import type { Progress } from './progress.ts';
import { seededRandom, shuffled } from './random.ts';
import { factsOfListing, failed, runBenchmarks } from './runner.ts';
import type { Sampling } from './sampling.ts';
import type { TrialPlace } from './trial-process.ts';
import type { Listing } from './trial-protocol.ts';

export interface Side {
  readonly place: TrialPlace;
  readonly root: string;
  readonly benches: readonly Listing[];
}

/** A benchmark that both sides have, and what the pairs gave. */
export interface PairedRow extends BenchmarkFacts {
  /** The head's facts are the row's own; this is the base's source hash. */
  readonly baseSourceHash: string;
  /** One figure a process in `unit` (see `processFigure`); index for index a pair. */
  readonly base: readonly number[];
  readonly head: readonly number[];
  readonly baseCounters: Readonly<Record<string, number>>;
  readonly headCounters: Readonly<Record<string, number>>;
  /** Why the row could not be measured, and on which side. */
  readonly error?: string;
}

export interface PairedOutcome {
  readonly rows: readonly PairedRow[];
  /** What only the head, or only the base, has. */
  readonly added: readonly BenchmarkFacts[];
  readonly removed: readonly BenchmarkFacts[];
  readonly seed: number;
  readonly interrupted: boolean;
  /** Whether the time budget ended the run before every undecided row had its pairs. */
  readonly outOfTime: boolean;
}

export interface PairedPlan {
  readonly sampling: Sampling;
  readonly seed: number;
  /** Numbers of pairs after which rows are looked at, rising; only undecided rows go on to the next look. */
  readonly looks: readonly number[];
  /** Whether a row needs no more pairs. Called at each look but the last. */
  readonly decided: (row: PairedRow) => boolean;
  /** Milliseconds after which no further pair is started. */
  readonly budget: number;
  readonly countersOnly: boolean;
  readonly progress?: (total: number) => Progress;
  readonly now?: () => number;
}

interface Row {
  readonly baseBench: Listing;
  readonly headBench: Listing;
  readonly base: number[];
  readonly head: number[];
  baseCounters: Readonly<Record<string, number>>;
  headCounters: Readonly<Record<string, number>>;
  error: string | undefined;
}

/** Measures both sides. Stops early when every row is decided; keeps what it has when time runs out or the signal comes. */
export async function runPaired(base: Side, head: Side, plan: PairedPlan): Promise<PairedOutcome> {
  const now = plan.now ?? Date.now;
  const deadline = now() + plan.budget;
  const random = seededRandom(plan.seed);
  const { rows, added, removed } = joinSides(base.benches, head.benches);
  const aborted = (): boolean => head.place.signal?.aborted === true;
  await countBothSides(rows, base, head, plan);

  const timed = rows.filter((row) => !plan.countersOnly && row.headBench.engine !== 'counters');
  let outOfTime = false;
  for (const [index, look] of plan.looks.entries()) {
    const open = timed.filter((row) => row.error === undefined && (index === 0 || !plan.decided(publicRow(row))));
    const missing = open.reduce((sum, row) => sum + look - row.head.length, 0);
    const progress = missing > 0 ? plan.progress?.(missing) : undefined;
    for (let round = 0; round < look; round++) {
      for (const row of shuffled(open, random)) {
        const baseFirst = random() < 0.5;
        if (row.head.length >= look || row.error !== undefined || outOfTime || aborted()) continue;
        if (now() >= deadline) {
          outOfTime = true;
          continue;
        }
        progress?.begin(`${row.headBench.id}, pair ${row.head.length + 1}`);
        await measurePair(row, baseFirst, base, head, plan.sampling);
        progress?.end(row.headBench.id, `pair ${row.head.length}`);
      }
    }
    progress?.clear();
    if (outOfTime || aborted()) break;
  }
  return { rows: rows.map(publicRow), added, removed, seed: plan.seed, interrupted: aborted(), outOfTime };
}

/** Pairs benchmarks by id, or by a former id the head's definition names. */
export function joinSides(
  base: readonly Listing[],
  head: readonly Listing[],
): { rows: Row[]; added: BenchmarkFacts[]; removed: BenchmarkFacts[] } {
  const byId = new Map(base.map((bench) => [bench.id, bench]));
  const rows: Row[] = [];
  const added: BenchmarkFacts[] = [];
  for (const headBench of head) {
    const name = [headBench.id, ...headBench.aliases].find((candidate) => byId.has(candidate));
    if (name === undefined) {
      added.push(factsOfListing(headBench));
      continue;
    }
    const baseBench = byId.get(name)!;
    byId.delete(name);
    rows.push({ baseBench, headBench, base: [], head: [], baseCounters: {}, headCounters: {}, error: undefined });
  }
  return { rows, added, removed: [...byId.values()].map(factsOfListing) };
}

async function countBothSides(rows: readonly Row[], base: Side, head: Side, plan: PairedPlan): Promise<void> {
  for (const [name, side] of [
    ['base', base],
    ['head', head],
  ] as const) {
    const benches = rows.map((row) => row[`${name}Bench`]).filter(({ counts }) => counts);
    if (benches.length === 0) continue;
    const progress = plan.progress?.(benches.length);
    const outcome = await runBenchmarks(benches, {
      place: side.place,
      root: side.root,
      sampling: plan.sampling,
      counters: true,
      samples: false,
      isolation: 'file',
      ...(progress === undefined ? {} : { progress }),
    });
    progress?.clear();
    const byId = new Map(outcome.measurements.map((measurement) => [measurement.id, measurement]));
    for (const row of rows) {
      const measurement = byId.get(row[`${name}Bench`].id);
      if (measurement?.error !== undefined) row.error ??= `${name}: ${measurement.error}`;
      if (measurement !== undefined) row[`${name}Counters`] = measurement.counters;
    }
  }
}

async function measurePair(row: Row, baseFirst: boolean, base: Side, head: Side, sampling: Sampling): Promise<void> {
  const order = baseFirst ? (['base', 'head'] as const) : (['head', 'base'] as const);
  const figures = { base: 0, head: 0 };
  for (const name of order) {
    const side = name === 'base' ? base : head;
    const bench = row[`${name}Bench`];
    const measurement = await measureOnce(side, bench, sampling);
    if (side.place.signal?.aborted === true) return;
    if (measurement.error !== undefined || measurement.samples.length === 0) {
      row.error = `${name}: ${measurement.error ?? 'gave no samples'}`;
      return;
    }
    figures[name] = processFigure(measurement.samples, bench.direction);
  }
  row.base.push(figures.base);
  row.head.push(figures.head);
}

async function measureOnce(side: Side, bench: Listing, sampling: Sampling): Promise<Measurement> {
  const options = { place: side.place, root: side.root, sampling, counters: false, samples: true } as const;
  const { measurements } = await runBenchmarks([bench], { ...options, isolation: 'benchmark' });
  return measurements[0] ?? failed(bench, 'was stopped');
}

/**
 * The figure of one process: the quartile of its samples on the good side. What the machine does to a process only ever
 * makes it slower, so with half the samples disturbed (load 5 on 2 CPUs) the median moves and this does not.
 */
export function processFigure(samples: readonly number[], direction: Direction): number {
  const sorted = samples.toSorted((left, right) => left - right);
  const rank = Math.floor((sorted.length - 1) / 4);
  return direction === 'lower' ? sorted[rank]! : sorted[sorted.length - 1 - rank]!;
}

function publicRow(row: Row): PairedRow {
  return {
    ...factsOfListing(row.headBench),
    baseSourceHash: row.baseBench.sourceHash,
    base: [...row.base],
    head: [...row.head],
    baseCounters: row.baseCounters,
    headCounters: row.headCounters,
    ...(row.error === undefined ? {} : { error: row.error }),
  };
}
