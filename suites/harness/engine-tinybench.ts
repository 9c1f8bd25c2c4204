/**
 * Millisecond bodies through tinybench, one sample a call.
 *
 * Its retained samples are sorted, so order is recovered from a timestamp provider of our own: it is read exactly twice a
 * sample once `async` is stated. An error does not reject `run()`; the task's state is looked at instead.
 */
import { Bench } from 'tinybench';
import { HostError } from '../../emulator/check/errors.ts';
import { FEWEST_SAMPLES } from './engine.ts';
import type { EngineResult, EngineRun } from './engine.ts';
import { requireConversion } from './unit.ts';
import { WarmUp } from './warm-up.ts';

/** More would swell the stored result without narrowing the interval of a median noticeably. */
const MOST_SAMPLES = 1000;

export async function sampleWithTinybench({ bench, state, sampling, asynchronous }: EngineRun): Promise<EngineResult> {
  const own = bench.selfMeasured === true;
  const convert = own ? undefined : requireConversion(bench.unit, bench.id);
  const items = bench.items?.(state) ?? 1;
  const work = bench.work!;
  const reported: number[] = [];
  const body = asynchronous
    ? async () => void reported.push(own ? Number(await work(state)) : retain(await work(state)))
    : () => void reported.push(own ? Number(work(state)) : retain(work(state)));

  const call = async (): Promise<void> => {
    bench.beforeEach?.(state);
    const pending: unknown = body();
    if (pending !== undefined) await pending;
  };
  const milliseconds = sampling.warmup === 0 ? 0 : await fastestCall(call, sampling.warmup);
  reported.length = 0;

  const clock: number[] = [];
  const tiny = new Bench({
    warmup: false,
    time: 0,
    iterations: plan(milliseconds, sampling.time, sampling.samples),
    timestampProvider: {
      name: 'recording',
      fn: () => {
        const now = performance.now();
        clock.push(now);
        return now;
      },
      fromMs: (value: number) => value,
      toMs: (value: number | bigint) => Number(value),
    },
  });
  const options = { async: asynchronous, beforeEach: () => bench.beforeEach?.(state) };
  tiny.add(bench.id, body, bench.beforeEach === undefined ? { async: asynchronous } : options);
  await tiny.run();
  const result = tiny.tasks[0]!.result;
  if (result.state === 'errored') throw result.error;
  if (result.state !== 'completed')
    throw new HostError(`tinybench ended in state '${result.state}'`, { where: bench.id });

  if (convert === undefined) return { samples: reported, conditions: { batch: 1 } };
  const count = result.latency.samplesCount;
  const pairs = clock.slice(clock.length - 2 * count);
  if (pairs.length !== 2 * count) {
    throw new HostError(`tinybench read the clock ${clock.length} times for ${count} samples`, { where: bench.id });
  }
  const samples = Array.from({ length: count }, (_, i) => convert((pairs[2 * i + 1]! - pairs[2 * i]!) / 1e3, items));
  return { samples, conditions: { batch: 1 } };
}

/** Keeps results alive so that the work is not optimised away; the number pushed is not used. */
let retained: unknown;
function retain(value: unknown): number {
  retained = value;
  return retained === undefined ? 0 : 1;
}

async function fastestCall(call: () => Promise<void>, milliseconds: number): Promise<number> {
  const warmUp = new WarmUp(milliseconds);
  let last = performance.now();
  let fastest = Number.POSITIVE_INFINITY;
  do {
    await call();
    const now = performance.now();
    fastest = Math.min(fastest, now - last);
    last = now;
  } while (!warmUp.over);
  return fastest;
}

/** Calls that fit the time: at least the samples asked for when they fit, never fewer than a handful. */
function plan(milliseconds: number, time: number, samples: number): number {
  if (samples === 1) return 1;
  const fitting = Math.floor(time / Math.max(milliseconds, 1e-3));
  return Math.min(MOST_SAMPLES, Math.max(FEWEST_SAMPLES, fitting));
}
