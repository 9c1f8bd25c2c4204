/**
 * Nanosecond bodies through mitata's `measure()`: its generated loop, batching and guard against dead-code elimination.
 *
 * Two of its habits would bias the result and are worked around: it sorts the samples and cuts the two lowest and highest
 * (so the clock handed to it records them in order, uncut), and without `--expose-gc` its forced collection allocates
 * 1 GiB (so `gc: false`).
 */
import { do_not_optimize as keep, measure } from 'mitata';
import { HostError } from '../../emulator/check/errors.ts';
import { DISCARDED_SAMPLES, FEWEST_SAMPLES } from './engine.ts';
import type { EngineResult, EngineRun } from './engine.ts';
import { requireConversion } from './unit.ts';
import { WarmUp } from './warm-up.ts';

/** mitata unrolls its batch loop by this. */
const UNROLL = 4;
const LARGEST_BATCH = 1 << 24;

export async function sampleWithMitata({ bench, state, sampling, asynchronous }: EngineRun): Promise<EngineResult> {
  const work = bench.work!;
  const convert = requireConversion(bench.unit, bench.id);
  const items = bench.items?.(state) ?? 1;
  const body = asynchronous
    ? async () => keep(await work(state))
    : () => {
        keep(work(state));
      };
  if (sampling.samples === 1) {
    const start = performance.now();
    await body();
    return { samples: [convert((performance.now() - start) / 1e3, items)], conditions: { batch: 1, discarded: 0 } };
  }

  const cost = await secondsPerCall(body, sampling.warmup);
  const { batch, samples } = plan(cost, sampling.time / 1e3, sampling.samples);
  const wanted = samples + DISCARDED_SAMPLES;
  const clock: number[] = [];
  const stats = await measure(body, {
    gc: false,
    min_cpu_time: 0,
    min_samples: wanted,
    max_samples: wanted,
    batch_unroll: UNROLL,
    batch_samples: batch,
    // mitata batches only bodies it finds faster than the threshold; the decision is made here, from a longer look.
    batch_threshold: batch > 1 ? Number.MAX_VALUE : 0,
    warmup_threshold: Number.MAX_VALUE,
    now: () => {
      const nanoseconds = performance.now() * 1e6;
      clock.push(nanoseconds);
      return nanoseconds;
    },
  });
  if (clock.length !== 2 * wanted) {
    throw new HostError(`mitata read the clock ${clock.length} times for ${wanted} samples`, { where: bench.id });
  }
  const perSample = stats.ticks / stats.samples.length;
  const taken = Array.from({ length: wanted }, (_, i) => (clock[2 * i + 1]! - clock[2 * i]!) / 1e9 / perSample);
  return {
    samples: taken.slice(DISCARDED_SAMPLES).map((seconds) => convert(seconds, items)),
    conditions: { batch: perSample, discarded: DISCARDED_SAMPLES },
  };
}

/** Runs the body for `milliseconds`, in growing rounds, and gives the seconds one call took in the last round. */
async function secondsPerCall(body: () => unknown, milliseconds: number): Promise<number> {
  const warmUp = new WarmUp(milliseconds);
  for (let calls = 1; ; calls *= 2) {
    const roundStart = performance.now();
    for (let call = 0; call < calls; call++) {
      const pending = body();
      if (pending !== undefined) await pending;
    }
    const now = performance.now();
    // A round below 1 ms says little about the cost of a call: the clock ticks in 5 µs steps under some flags.
    if ((warmUp.over && now - roundStart >= 1) || calls > LARGEST_BATCH) {
      return (now - roundStart) / 1e3 / calls;
    }
  }
}

/** Splits the measuring time evenly over the samples; bodies too slow for that are called once a sample, fewer times. */
function plan(cost: number, seconds: number, samples: number): { batch: number; samples: number } {
  const calls = seconds / samples / Math.max(cost, 1e-10);
  if (calls < UNROLL) {
    return { batch: 1, samples: Math.min(samples, Math.max(FEWEST_SAMPLES, Math.floor(seconds / cost))) };
  }
  return { batch: Math.min(LARGEST_BATCH, Math.ceil(calls / UNROLL) * UNROLL), samples };
}
