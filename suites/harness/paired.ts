/**
 * The paired-run controller: base and head measured side by side on one machine.
 *
 * A pair is one fresh process of each side; its two figures give one ratio, and the pair, not the sample, is what
 * statistics count. Exact counters are taken once a side and compared as they are.
 *
 * The two processes of a pair run at the same time on the same CPU, each timed by its own CPU time: the system alternates
 * them every few milliseconds, so whatever the machine does meanwhile (clock rates, neighbours, a busy sibling thread) falls
 * on both. `suites/harness/README.md` holds the figures. A body that waits is measured by the wall clock, one process
 * after the other.
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
  /** CPUs that pairs are measured on at the same time, one pair on each; by default the CPU of the head's place. */
  readonly cpus?: readonly (number | undefined)[];
  /** Runtime flags that both processes of a pair get and each pair has others, such as seeds of the runtime. */
  readonly seedFlags?: (seed: number) => readonly string[];
  /** Whether a row needs no more pairs. Called at each look but the last. */
  readonly decided: (row: PairedRow) => boolean;
  /** Milliseconds after which no further pair is started. */
  readonly budget: number;
  readonly countersOnly: boolean;
  readonly progress?: (total: number) => Progress;
  readonly now?: () => number;
}

interface Sides {
  readonly base: Side;
  readonly head: Side;
}

interface Row {
  readonly baseBench: Listing;
  readonly headBench: Listing;
  /** Measured by the wall clock with no other process beside it, since it waits. */
  alone: boolean;
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
  const stopped = (): boolean => {
    if (!outOfTime && now() >= deadline) outOfTime = true;
    return outOfTime || aborted();
  };
  for (const [index, look] of plan.looks.entries()) {
    const open = timed.filter((row) => row.error === undefined && (index === 0 || !plan.decided(publicRow(row))));
    const missing = open.reduce((sum, row) => sum + look - row.head.length, 0);
    if (missing === 0 || aborted()) continue;
    const progress = plan.progress?.(missing);
    const pairsOf = (some: readonly Row[]): Job[] => planPairs(some, look, random);
    const measure = async (job: Job, cpu: number | undefined): Promise<void> => {
      if (job.row.error !== undefined || stopped()) return;
      progress?.begin(job.row.headBench.id);
      await measurePair(job, { base: pinned(base, cpu), head: pinned(head, cpu) }, plan);
      progress?.end(job.row.headBench.id, `pair ${job.row.head.length}`);
    };
    const jobs = pairsOf(open.filter(({ alone }) => !alone))[Symbol.iterator]();
    const cpus = plan.cpus ?? [head.place.cpu];
    await Promise.all(
      cpus.map(async (cpu) => {
        for (const job of jobs) await measure(job, cpu);
      }),
    );
    // What waits runs with nothing beside it, also if that was found out just now.
    for (const job of pairsOf(open.filter(({ alone }) => alone))) await measure(job, head.place.cpu);
    progress?.clear();
    if (stopped()) break;
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
    const alone = baseBench.waits || headBench.waits;
    rows.push({
      baseBench,
      headBench,
      alone,
      base: [],
      head: [],
      baseCounters: {},
      headCounters: {},
      error: undefined,
    });
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

/** The sides of one pair in the order they are started. */
type Order = readonly ['base', 'head'] | readonly ['head', 'base'];

interface Job {
  readonly row: Row;
  readonly order: Order;
  readonly seed: number;
}

/** The pairs that rows lack for a look, round by round, so that no row has all of its pairs in one stretch of time. */
function planPairs(rows: readonly Row[], look: number, random: () => number): Job[] {
  const jobs: Job[] = [];
  for (let round = 0; round < look; round++) {
    for (const row of shuffled(rows, random)) {
      const order: Order = random() < 0.5 ? ['base', 'head'] : ['head', 'base'];
      const seed = Math.floor(random() * 2 ** 31);
      if (row.head.length + round < look) jobs.push({ row, order, seed });
    }
  }
  return jobs;
}

function pinned(side: Side, cpu: number | undefined): Side {
  return { ...side, place: { ...side.place, cpu } };
}

async function measurePair({ row, order, seed }: Job, sides: Sides, plan: PairedPlan): Promise<void> {
  const sampling: Sampling = row.alone ? { ...plan.sampling, clock: 'wall' } : plan.sampling;
  const together = sampling.clock === 'cpu';
  const start = (name: 'base' | 'head'): Promise<Measurement> => {
    const side = sides[name];
    const flags = [...side.place.flags, ...(plan.seedFlags?.(seed) ?? [])];
    return measureOnce({ ...side, place: { ...side.place, flags } }, row[`${name}Bench`], sampling);
  };
  const taken: Measurement[] = [];
  if (together) taken.push(...(await Promise.all(order.map(start))));
  else for (const name of order) taken.push(await start(name));
  if (sides.head.place.signal?.aborted === true) return;
  for (const [index, { error, samples }] of taken.entries()) {
    if (error !== undefined) row.error ??= `${order[index]!}: ${error}`;
    else if (samples.length === 0) row.error ??= `${order[index]!}: gave no samples`;
  }
  if (row.error !== undefined) return;
  if (together && (row.alone || taken.some(({ conditions }) => conditions['waits'] !== undefined))) {
    // Found out only now: what it gave beside another process is dropped.
    row.alone = true;
    row.base.length = 0;
    row.head.length = 0;
    return;
  }
  for (const [index, { samples }] of taken.entries()) {
    row[order[index]!].push(processFigure(samples, row.headBench.direction));
  }
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
