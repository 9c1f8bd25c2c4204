/** Measures one benchmark in this process. */
import { oneLine, UserFacingError } from '../../emulator/check/errors.ts';
import { ConditionWatch } from './conditions.ts';
import type { Conditions } from './conditions.ts';
import { waits } from './define-bench.ts';
import type { Benchmark } from './define-bench.ts';
import { factsOf } from './discover.ts';
import type { Discovered } from './discover.ts';
import { sampleWithMitata } from './engine-mitata.ts';
import { sampleProcesses } from './engine-process.ts';
import { sampleWithTinybench } from './engine-tinybench.ts';
import type { EngineResult, EngineRun } from './engine.ts';
import type { Measurement } from './measurement.ts';
import type { Sampling } from './sampling.ts';

export interface MeasureOptions {
  readonly sampling: Sampling;
  /** Take the exact counters. */
  readonly counters: boolean;
  /** Take timed samples. */
  readonly samples: boolean;
}

/** Never throws for a benchmark's own failure: that is the measurement's `error`. */
export async function measureBenchmark(found: Discovered, options: MeasureOptions): Promise<Measurement> {
  const facts = await factsOf(found);
  const watch = new ConditionWatch();
  let counters: Readonly<Record<string, number>> = {};
  let result: EngineResult = { samples: [], conditions: {} };
  let error: string | undefined;
  try {
    if (options.counters) counters = await countExactly(found.bench);
    if (options.samples && found.bench.engine !== 'counters') result = await sample(found.bench, options.sampling);
  } catch (thrown) {
    error = describe(thrown);
  }
  const conditions: Conditions = { ...result.conditions, ...(await watch.finish()) };
  return {
    ...facts,
    samples: error === undefined ? result.samples : [],
    counters,
    conditions,
    ...(error === undefined ? {} : { error }),
  };
}

/** Counts twice from fresh set-ups. @throws when the two differ or are not whole numbers. */
export async function countExactly(bench: Benchmark): Promise<Readonly<Record<string, number>>> {
  if (bench.counters === undefined) return {};
  const first = await countOnce(bench);
  const second = await countOnce(bench);
  for (const name of new Set([...Object.keys(first), ...Object.keys(second)])) {
    if (!Number.isSafeInteger(first[name])) throw new Error(`counter '${name}' is ${first[name]}, not a whole number`);
    if (first[name] !== second[name]) {
      throw new Error(`counter '${name}' is not deterministic: ${first[name]}, then ${second[name]}`);
    }
  }
  return first;
}

async function countOnce(bench: Benchmark): Promise<Readonly<Record<string, number>>> {
  const state = await bench.setup?.();
  try {
    return { ...(await bench.counters!(state)) };
  } finally {
    await bench.teardown?.(state);
  }
}

const ENGINES = { mitata: sampleWithMitata, tinybench: sampleWithTinybench, process: sampleProcesses };

async function sample(bench: Benchmark, sampling: Sampling): Promise<EngineResult> {
  const state = await bench.setup?.();
  try {
    const asynchronous = bench.engine === 'process' ? true : await selfCheck(bench, state);
    const alone = waits(bench) || asynchronous;
    const computes = bench.waits === false && !asynchronous;
    const clock = computes ? 'cpu' : alone ? 'wall' : sampling.clock;
    const run: EngineRun = { bench, state, sampling, asynchronous, clock };
    const sampled = await ENGINES[bench.engine as keyof typeof ENGINES](run);
    const result = alone ? { ...sampled, conditions: { ...sampled.conditions, waits: 1 } } : sampled;
    const wrong = result.samples.find((value) => !Number.isFinite(value) || value < 0);
    if (wrong !== undefined) throw new Error(`a sample is ${wrong}`);
    // Again at the end: optimised code must still give the right answer.
    if (bench.engine !== 'process' && sampling.samples > 1) await selfCheck(bench, state);
    return result;
  } finally {
    await bench.teardown?.(state);
  }
}

/** Calls the work once and checks its result; says whether it is asynchronous. */
async function selfCheck(bench: Benchmark, state: unknown): Promise<boolean> {
  bench.beforeEach?.(state);
  const pending = bench.work!(state);
  const asynchronous = pending instanceof Promise;
  const result = asynchronous ? await pending : pending;
  await bench.check?.(state, result);
  return asynchronous;
}

function describe(thrown: unknown): string {
  if (thrown instanceof UserFacingError) return thrown.line();
  return oneLine(thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown));
}
