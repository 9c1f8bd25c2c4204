/**
 * Millisecond bodies through tinybench, one sample a call.
 *
 * Its retained samples are sorted, so order is recovered from a timestamp provider of our own: it is read exactly twice a
 * sample once `async` is stated. An error does not reject `run()`; the task's state is looked at instead.
 */
import { Bench } from 'tinybench';
import type { FnOptions } from 'tinybench';
import { HostError } from '../../emulator/check/errors.ts';
import { readClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { conditionsOf, FEWEST_SAMPLES } from './engine.ts';
import type { EngineResult, EngineRun } from './engine.ts';
import { requireConversion } from './unit.ts';
import { clockForSamples, warmUp } from './warm-up.ts';
import type { CallCost } from './warm-up.ts';

/** More would swell the stored result without narrowing the interval of a median noticeably. */
const MOST_SAMPLES = 1000;

export async function sampleWithTinybench({
  bench,
  state,
  sampling,
  asynchronous,
  clock: wanted,
}: EngineRun): Promise<EngineResult> {
  const own = bench.selfMeasured === true;
  const convert = own ? undefined : requireConversion(bench.unit, bench.id);
  const items = bench.items?.(state) ?? 1;
  const work = bench.work!;
  const reported: number[] = [];
  const body = asynchronous
    ? async () => void reported.push(own ? Number(await work(state)) : retain(await work(state)))
    : () => void reported.push(own ? Number(work(state)) : retain(work(state)));

  const hook = bench.beforeEach === undefined ? {} : { beforeEach: () => bench.beforeEach!(state) };
  const options = { async: asynchronous, ...hook };
  const run = (iterations: number, clock: Clock): Promise<number[]> =>
    runTinybench(bench.id, body, options, iterations, clock);

  // Warmed up in tinybench's own loop: V8 inlines a body into the loop that calls it, and begins anew in another loop.
  let cost: CallCost = { seconds: 0, waits: false };
  let clock: Clock = 'wall';
  let warm = 0;
  if (sampling.warmup > 0) {
    let last: readonly number[] = [];
    const round = async (calls: number): Promise<void> => void (last = await run(calls, wanted));
    cost = await warmUp(round, sampling.warmup, wanted, MOST_SAMPLES);
    clock = clockForSamples(wanted, cost, Math.min(...last));
    warm = reported.length;
  }
  reported.length = 0;
  const seconds = await run(plan(cost.seconds * 1e3, sampling.time, sampling.samples), clock);
  const samples = convert === undefined ? reported : seconds.map((each) => convert(each, items));
  return { samples, conditions: { batch: 1, discarded: warm, ...conditionsOf(cost, clock) } };
}

/** Seconds of each call in the order made. */
async function runTinybench(
  id: string,
  body: () => unknown,
  options: FnOptions & { readonly async: boolean },
  iterations: number,
  clock: Clock,
): Promise<number[]> {
  const readings: number[] = [];
  const tiny = new Bench({
    warmup: false,
    time: 0,
    iterations,
    timestampProvider: {
      name: 'recording',
      fn: () => {
        const seconds = readClock(clock);
        readings.push(seconds);
        return seconds * 1e3;
      },
      fromMs: (value: number) => value,
      toMs: (value: number | bigint) => Number(value),
    },
  });
  tiny.add(id, body, options);
  await tiny.run();
  const result = tiny.tasks[0]!.result;
  if (result.state === 'errored') throw result.error;
  if (result.state !== 'completed') throw new HostError(`tinybench ended in state '${result.state}'`, { where: id });
  const count = result.latency.samplesCount;
  const pairs = readings.slice(readings.length - 2 * count);
  if (pairs.length !== 2 * count) {
    throw new HostError(`tinybench read the clock ${readings.length} times for ${count} samples`, { where: id });
  }
  return Array.from({ length: count }, (_, i) => pairs[2 * i + 1]! - pairs[2 * i]!);
}

/** Keeps results alive so that the work is not optimised away; the number pushed is not used. */
let retained: unknown;
function retain(value: unknown): number {
  retained = value;
  return retained === undefined ? 0 : 1;
}

/** Calls that fit the time: at least the samples asked for when they fit, never fewer than a handful. */
function plan(milliseconds: number, time: number, samples: number): number {
  if (samples === 1) return 1;
  const fitting = Math.floor(time / Math.max(milliseconds, 1e-3));
  return Math.min(MOST_SAMPLES, Math.max(FEWEST_SAMPLES, fitting));
}
