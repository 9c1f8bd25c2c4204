/** The result document: what one run stores, checked on every read. */
import { z } from 'zod';
import type { BenchmarkFacts, Fingerprint, Measurement } from '../suites/harness/measurement.ts';
import { parseHostileJson } from './hostile-json.ts';
import { migrate } from './migration.ts';
import { ResultError } from './result-error.ts';
import { qualityFlags } from './statistics/quality.ts';
import { summarize } from './statistics/summary.ts';

export const SCHEMA_VERSION = 1;

/** Squares and sums of this many stay far from overflow. */
const figure = z.number().min(-1e100).max(1e100);
const fraction = z.number().min(0).max(1);
/** A name people read: bounded, without control characters, which move a cursor, or marks that reorder text. */
const line = z
  .string()
  .max(500)
  .regex(/^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u, 'has a control character');
const name = line.min(1).max(120);
const benchmarkId = z
  .string()
  .max(120)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\/[a-z0-9]+(?:-[a-z0-9]+)*){1,5}$/, 'is not subsystem/group/name');
const counterName = z
  .string()
  .max(120)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/, 'is not a counter name');

const thresholds = z.strictObject({ regression: figure.min(0), improvement: figure.min(0), critical: figure.min(0) });

const summary = z.strictObject({
  count: z.int().min(1),
  mean: figure,
  median: figure,
  sd: figure.min(0),
  cv: figure.min(0).nullable(),
  min: figure,
  max: figure,
  p25: figure,
  p50: figure,
  p75: figure,
  p95: figure,
  p99: figure,
  mad: figure.min(0),
  ci95: z.strictObject({ low: figure, high: figure, coverage: fraction }),
  outliers: z.strictObject({ count: z.int().min(0), rate: fraction }),
});

const qualityFlag = z.strictObject({
  name: z.enum(['p95', 'p99', 'cv', 'outliers']),
  rule: line,
  met: z.boolean(),
  value: figure.nullable(),
  limit: figure,
  advice: line,
});

const attainment = z.strictObject({
  target: figure,
  from: line,
  /** What was measured, in the benchmark's unit; null when there is no value. */
  value: figure.nullable(),
  /** How much of the target is reached: ≥ 1 is met, whichever direction is better. */
  ratio: figure.min(0).nullable(),
  met: z.boolean(),
});

const benchmarkResult = z.strictObject({
  id: benchmarkId,
  title: line,
  unit: name,
  kind: z.enum(['time', 'throughput', 'counter', 'memory']),
  direction: z.enum(['lower', 'higher']),
  engine: z.enum(['mitata', 'tinybench', 'process', 'counters']),
  aliases: z.array(benchmarkId).max(50),
  tags: z.array(name).max(50),
  sourceHash: z.string().regex(/^[0-9a-f]{64}$/, 'is not a SHA-256'),
  target: z.strictObject({ value: figure, from: line }).exactOptional(),
  thresholds: thresholds.partial().exactOptional(),
  /** In the order taken. */
  samples: z.array(figure).max(1_000_000),
  counters: z.record(counterName, z.int()),
  conditions: z.record(name, z.union([figure, line])),
  /** Null when there are no samples. */
  statistics: summary.nullable(),
  quality: z.array(qualityFlag).max(16),
  /** Null when the benchmark has no target, or its figure was not taken. */
  attainment: attainment.nullable(),
  error: z.string().max(2000).exactOptional(),
});

const fingerprint = z.strictObject({
  cpu: line,
  cores: z.int().min(1),
  memoryMiB: z.int().min(0),
  os: line,
  arch: line,
  runtime: line,
  v8: line,
  flags: z.array(line).max(100),
  harness: line,
});

const shard = z
  .strictObject({ index: z.int().min(1), count: z.int().min(1).max(10_000) })
  .refine(({ index, count }) => index <= count, 'index is past count');

export const resultDocumentSchema = z.strictObject({
  schema: z.literal(SCHEMA_VERSION),
  runId: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'is not a run id'),
  startedAt: z.iso.datetime(),
  /** Full object name; null outside git. */
  commit: z
    .string()
    .regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, 'is not a full commit id')
    .nullable(),
  dirty: z.boolean(),
  profile: z.enum(['quick', 'full', 'counters', 'gate', 'smoke']),
  fingerprint,
  /** 1-based; absent for a whole run. */
  shard: shard.exactOptional(),
  results: z.array(benchmarkResult).max(20_000),
});

export type ResultDocument = z.infer<typeof resultDocumentSchema>;
export type BenchmarkResult = ResultDocument['results'][number];
export type Attainment = z.infer<typeof attainment>;
export type Profile = ResultDocument['profile'];

export interface RunFacts extends Omit<ResultDocument, 'schema' | 'results' | 'fingerprint' | 'startedAt'> {
  readonly startedAt: Date | string;
  readonly fingerprint: Fingerprint;
  readonly measurements: readonly Measurement[];
}

/** Adds statistics, quality flags and target attainment to what was measured. @throws ResultError when the facts are not valid. */
export function buildResultDocument({ measurements, startedAt, ...facts }: RunFacts): ResultDocument {
  const started = typeof startedAt === 'string' ? startedAt : startedAt.toISOString();
  return validated(
    { schema: SCHEMA_VERSION, ...facts, startedAt: started, results: measurements.map(resultOf) },
    `run ${facts.runId}`,
  );
}

/** `origin` names the file or object in messages. @throws ResultError when the text is damaged, foreign or from a newer version. */
export function parseResultDocument(text: string, origin: string): ResultDocument {
  return validated(migrate(parseHostileJson(text, origin), SCHEMA_VERSION, origin), origin);
}

/** One line of JSON and a newline, with keys in schema order: the same document always gives the same bytes. */
export function serializeResultDocument(document: ResultDocument): string {
  return `${JSON.stringify(validated(document, `run ${document.runId}`))}\n`;
}

/**
 * Joins the shards of one run, in any order. The run id and the earliest start stay; the shard mark goes.
 * @throws ResultError when the shards differ in commit, machine or profile, overlap, or when one is missing.
 */
export function mergeShards(documents: readonly ResultDocument[]): ResultDocument {
  const first = documents[0];
  if (first === undefined) throw new ResultError('there are no shards to merge', { mend: 'name the result files' });
  const count = first.shard?.count ?? 1;
  const seen = new Set<number>();
  for (const document of documents) {
    const where = `run ${document.runId}`;
    for (const key of ['commit', 'dirty', 'profile', 'fingerprint'] as const) {
      if (JSON.stringify(document[key]) !== JSON.stringify(first[key])) {
        throw new ResultError(`differs in ${key} from run ${first.runId}`, {
          where,
          mend: 'merge shards of one run only',
        });
      }
    }
    if ((document.shard?.count ?? 1) !== count) throw new ResultError('has another number of shards', { where });
    const index = document.shard?.index ?? 1;
    if (seen.has(index)) throw new ResultError(`shard ${index} of ${count} is there twice`, { where });
    seen.add(index);
  }
  for (let index = 1; index <= count; index++) {
    if (!seen.has(index))
      throw new ResultError(`shard ${index} of ${count} is missing`, { mend: 'add its result file' });
  }
  const { shard: _shard, ...facts } = first;
  const inOrder = documents.toSorted((a, b) => (a.shard?.index ?? 1) - (b.shard?.index ?? 1));
  const startedAt = documents.map((document) => document.startedAt).toSorted(byInstant)[0]!;
  const { runId } = inOrder[0]!;
  return validated({ ...facts, runId, startedAt, results: inOrder.flatMap(({ results }) => results) }, `run ${runId}`);
}

/**
 * The figure a benchmark stands for, in its unit: the median of its samples, or, when counting is all it does, its only
 * counter; null when it failed, was not sampled or counts several things.
 */
export function headlineValue(
  result: Pick<BenchmarkResult, 'kind' | 'statistics' | 'counters' | 'error'>,
): number | null {
  if (result.error !== undefined) return null;
  if (result.statistics !== null) return result.statistics.median;
  // The unit of a timed benchmark is not that of what it counts besides.
  if (result.kind !== 'counter') return null;
  const counters = Object.values(result.counters);
  return counters.length === 1 ? counters[0]! : null;
}

function resultOf(measurement: Measurement): BenchmarkResult {
  const { samples, counters, conditions, error, aliases, tags, thresholds, target, ...facts } = measurement;
  const statistics = summarize(samples) ?? null;
  const result: BenchmarkResult = {
    ...facts,
    aliases: [...aliases],
    tags: [...tags],
    ...(target === undefined ? {} : { target: { ...target } }),
    ...(thresholds === undefined ? {} : { thresholds: { ...thresholds } }),
    samples: [...samples],
    counters: { ...counters },
    conditions: { ...conditions },
    statistics,
    quality: statistics === null ? [] : [...qualityFlags(statistics)],
    attainment: null,
    // A test's message may be pages long; the first part names the cause.
    ...(error === undefined ? {} : { error: error.slice(0, 2000) }),
  };
  const measured = statistics !== null || error !== undefined || result.kind === 'counter';
  return measured ? { ...result, attainment: attainmentOf(measurement, headlineValue(result)) } : result;
}

function attainmentOf({ target, direction }: BenchmarkFacts, value: number | null): Attainment | null {
  if (target === undefined) return null;
  const facts = { target: target.value, from: target.from, value };
  if (value === null) return { ...facts, ratio: null, met: false };
  const met = direction === 'lower' ? value <= target.value : value >= target.value;
  const ratio = direction === 'lower' ? target.value / value : value / target.value;
  return { ...facts, ratio: Number.isFinite(ratio) && ratio >= 0 ? ratio : null, met };
}

function validated(value: unknown, origin: string): ResultDocument {
  const parsed = resultDocumentSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const path = issue.path.map(String).join('.').slice(0, 120);
    throw new ResultError(`${path === '' ? 'the document' : path}: ${issue.message.slice(0, 200)}`, {
      where: origin,
      mend: 'this is not a result document, or it was damaged',
    });
  }
  refuseDuplicates(parsed.data, origin);
  return parsed.data;
}

function refuseDuplicates({ results }: ResultDocument, origin: string): void {
  const seen = new Set<string>();
  for (const { id } of results) {
    if (seen.has(id)) throw new ResultError(`has the benchmark '${id}' twice`, { where: origin });
    seen.add(id);
  }
}

function byInstant(a: string, b: string): number {
  return Date.parse(a) - Date.parse(b);
}
