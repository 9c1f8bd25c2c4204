/** Runs benchmarks in fresh processes, one after the other. */
import { HostError, UserFacingError } from '../../emulator/check/errors.ts';
import type { BenchmarkFacts, Measurement } from './measurement.ts';
import type { Progress } from './progress.ts';
import { formatDuration } from './progress.ts';
import type { Sampling } from './sampling.ts';
import { runTrial } from './trial-process.ts';
import type { TrialPlace } from './trial-process.ts';
import { TRIAL_PROTOCOL } from './trial-protocol.ts';
import type { Listing } from './trial-protocol.ts';

export interface RunOptions {
  readonly place: TrialPlace;
  /** Folder of the suites in the checkout. */
  readonly root: string;
  readonly sampling: Sampling;
  readonly counters: boolean;
  readonly samples: boolean;
  /**
   * One process a benchmark, so that no case is measured in a runtime another one has shaped; or one a suite file, which
   * is quicker and enough where only counters or mere success are wanted.
   */
  readonly isolation: 'benchmark' | 'file';
  readonly progress?: Progress;
}

export interface RunOutcome {
  readonly measurements: readonly Measurement[];
  /** The signal was raised before all were measured; what was measured is there. */
  readonly interrupted: boolean;
}

/** Every benchmark a checkout defines. @throws HostError or ConfigError when a suite cannot be loaded. */
export async function listBenchmarks(place: TrialPlace, root: string): Promise<readonly Listing[]> {
  let benches: readonly Listing[] | undefined;
  const sampling: Sampling = { samples: 1, warmup: 0, time: 0, clock: 'wall' };
  const request = { protocol: TRIAL_PROTOCOL, root, ids: [], sampling, counters: false, samples: false };
  await runTrial(request, place, (message) => {
    if (message.type === 'listing') benches = message.benches;
  });
  if (benches === undefined) throw new HostError('the listing did not arrive', { where: root });
  return benches;
}

/** Measures the benchmarks in order. A benchmark that fails is a measurement with an `error`, never an exception. */
export async function runBenchmarks(benches: readonly Listing[], options: RunOptions): Promise<RunOutcome> {
  const measurements: Measurement[] = [];
  for (const group of groupsOf(benches, options.isolation)) {
    if (options.place.signal?.aborted === true) return { measurements, interrupted: true };
    await runGroup(group, options, (measurement) => measurements.push(measurement));
  }
  return { measurements, interrupted: options.place.signal?.aborted === true };
}

async function runGroup(
  group: readonly Listing[],
  { place, root, sampling, counters, samples, progress }: RunOptions,
  onMeasurement: (measurement: Measurement) => void,
): Promise<void> {
  const pending = new Map(group.map((bench) => [bench.id, bench]));
  const ids = [...pending.keys()];
  const request = { protocol: TRIAL_PROTOCOL, root, file: group[0]!.file, ids, sampling, counters, samples };
  let startedAt = Date.now();
  const accept = (measurement: Measurement): void => {
    pending.delete(measurement.id);
    onMeasurement(measurement);
    progress?.end(measurement.id, measurement.error ?? formatDuration(Date.now() - startedAt));
  };
  try {
    await runTrial(request, { ...place, timeout: place.timeout * group.length }, (message) => {
      if (message.type === 'start') {
        startedAt = Date.now();
        progress?.begin(message.id);
      }
      if (message.type === 'measurement') accept(message.measurement);
    });
  } catch (error) {
    if (place.signal?.aborted === true) return;
    if (!(error instanceof UserFacingError)) throw error;
    for (const bench of pending.values()) accept(failed(bench, error.message));
  }
}

/** What stands in the results for a benchmark whose process died. */
export function failed(bench: Listing, error: string): Measurement {
  return { ...factsOfListing(bench), samples: [], counters: {}, conditions: {}, error };
}

/** The facts alone: where the suite file lies is no part of a result. */
export function factsOfListing({ file: _file, counts: _counts, waits: _waits, ...facts }: Listing): BenchmarkFacts {
  return facts;
}

function groupsOf(benches: readonly Listing[], isolation: RunOptions['isolation']): Listing[][] {
  if (isolation === 'benchmark') return benches.map((bench) => [bench]);
  const byFile = Map.groupBy(benches, ({ file }) => file);
  return [...byFile.values()];
}
