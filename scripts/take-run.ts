/** Measures and makes the result document: the part that `run` and `bench` share. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ConfigError } from '../emulator/check/errors.ts';
import { buildResultDocument, serializeResultDocument } from '../reports/schema.ts';
import type { Profile, ResultDocument } from '../reports/schema.ts';
import { fingerprint } from '../suites/harness/fingerprint.ts';
import { formatDuration, Progress } from '../suites/harness/progress.ts';
import { listBenchmarks, runBenchmarks } from '../suites/harness/runner.ts';
import { samplingFor } from '../suites/harness/sampling.ts';
import { selectBenchmarks, shardOf, THOROUGH, withoutThorough } from '../suites/harness/select.ts';
import { Interrupted } from './exit.ts';
import { note, writeWhole } from './output.ts';
import { Repository } from './repository.ts';
import { placeOf } from './session.ts';
import type { Session } from './session.ts';

export interface Shard {
  readonly index: number;
  readonly count: number;
}

export interface RunRequest {
  readonly filters: readonly string[];
  readonly profile: Exclude<Profile, 'gate'>;
  readonly shard?: Shard | undefined;
}

/** `2/5`: the second of five parts. @throws ConfigError for anything else. */
export function parseShard(text: string): Shard {
  const match = /^([1-9][0-9]{0,3})\/([1-9][0-9]{0,3})$/.exec(text);
  const shard = { index: Number(match?.[1]), count: Number(match?.[2]) };
  if (match !== null && shard.index <= shard.count) return shard;
  throw new ConfigError(`'${text}' is not a shard`, {
    where: '--shard',
    mend: 'write I/N with 1 ≤ I ≤ N, such as 2/5',
  });
}

/**
 * Runs the chosen benchmarks and builds the document.
 * @throws Interrupted after Ctrl-C; what was measured until then is in a file of its own, never among the stored results.
 */
export async function takeRun(session: Session, request: RunRequest): Promise<ResultDocument> {
  const startedAt = new Date();
  const place = placeOf(session);
  const counted = request.profile === 'counters';
  const chosen = selectBenchmarks(await listBenchmarks(place, session.suites), request.filters);
  const thinned = request.profile === 'quick' && request.filters.length === 0 ? withoutThorough(chosen) : chosen;
  if (thinned.length < chosen.length)
    note(`${chosen.length - thinned.length} benchmarks tagged '${THOROUGH}' are left to filters and 'dyno run --full'`);
  const selected = counted ? chosen.filter(({ counts }) => counts) : thinned;
  const benches = request.shard === undefined ? selected : shardOf(selected, request.shard.index, request.shard.count);
  if (benches.length === 0) {
    if (selected.length === 0)
      throw new ConfigError('none of these benchmarks counts anything', { where: '--counters-only' });
    throw new ConfigError('this shard has no benchmarks', {
      where: '--shard',
      mend: `there are ${selected.length} in all`,
    });
  }
  // Asked before measuring: what is edited meanwhile is not what was measured.
  const repository = await Repository.open(session.directory);
  const commit = (await repository?.head()) ?? null;
  const dirty = (await repository?.isDirty()) ?? false;
  const progress = new Progress(process.stderr, benches.length);
  const outcome = await runBenchmarks(benches, {
    place,
    root: session.suites,
    sampling: samplingFor(request.profile === 'counters' ? 'smoke' : request.profile, session.settings),
    counters: true,
    samples: !counted,
    isolation: counted || request.profile === 'smoke' ? 'file' : 'benchmark',
    progress,
  });
  progress.clear();
  const document = buildResultDocument({
    runId: runIdFor(startedAt, commit),
    startedAt,
    commit,
    dirty,
    profile: request.profile,
    fingerprint: fingerprint(place.flags),
    measurements: outcome.measurements,
    ...(request.shard === undefined ? {} : { shard: request.shard }),
  });
  if (outcome.interrupted) await abandon(session, document, benches.length);
  note(`measured ${benches.length} benchmarks in ${formatDuration(Date.now() - startedAt.getTime())}`);
  return document;
}

/** One line for each benchmark that gave no result. */
export function reportFailures(document: ResultDocument): number {
  const failures = document.results.filter(({ error }) => error !== undefined);
  for (const { id, error } of failures) note(`${id}: failed: ${error}`);
  return failures.length;
}

async function abandon(session: Session, document: ResultDocument, wanted: number): Promise<never> {
  const taken = document.results.length;
  if (taken === 0) throw new Interrupted('stopped; nothing had been measured, nothing was stored');
  const path = join(session.directory, '.dyno', `interrupted-${document.runId}.json`);
  await writeWhole(path, serializeResultDocument(document));
  throw new Interrupted(`stopped; nothing was stored; the ${taken} of ${wanted} results taken are in ${path}`);
}

/** Sorts by time, and two machines that start in the same second still differ. */
function runIdFor(startedAt: Date, commit: string | null): string {
  const time = startedAt.toISOString().replaceAll(/[-:]|\.[0-9]+/g, '');
  return `${time}-${(commit ?? 'nogit').slice(0, 10)}-${randomBytes(4).toString('hex')}`;
}
