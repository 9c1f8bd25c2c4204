/**
 * Nanosecond bodies through mitata's `measure()`: its generated loop, batching and guard against dead-code elimination.
 *
 * Two of its habits would bias the result and are worked around: it sorts the samples and cuts the two lowest and highest
 * (so the clock handed to it records them in order, uncut), and without `--expose-gc` its forced collection allocates
 * 1 GiB (so `gc: false`).
 */
import { do_not_optimize as keep, measure } from 'mitata';
import { HostError } from '../../emulator/check/errors.ts';
import { readClock } from './clock.ts';
import { conditionsOf, DISCARDED_SAMPLES, FEWEST_SAMPLES } from './engine.ts';
import type { EngineResult, EngineRun } from './engine.ts';
import { requireConversion } from './unit.ts';
import { clockForSamples, WarmUp, warmUp } from './warm-up.ts';

/** mitata unrolls its batch loop by this. */
const UNROLL = 4;
const LARGEST_BATCH = 1 << 24;
/** mitata's array of samples holds this many. */
const MOST_SAMPLES = 1 << 20;
/** A reading of the clock after which mitata's time is up, in ns. */
const NEVER = 1e30;

/**
 * The part of the warm-up that finds out what a call costs. The rest is spent in mitata's loop, which is made anew for each
 * measurement: V8 inlines a body into the loop that calls it, so a body that is hot in one loop starts in a slow tier again
 * in the next (an emitter took 36 instead of 22 ns for the first 100 ms of sampling, whatever the warm-up elsewhere).
 */
const ESTIMATE_SHARE = 1 / 3;

export async function sampleWithMitata({
  bench,
  state,
  sampling,
  asynchronous,
  clock: wanted,
}: EngineRun): Promise<EngineResult> {
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

  const cost = await warmUp(roundsOf(body), sampling.warmup * ESTIMATE_SHARE, wanted);
  const { batch, samples } = plan(cost.seconds, sampling.time / 1e3, sampling.samples);
  const clock = clockForSamples(wanted, cost, cost.seconds * batch);
  // The rest of the warm-up is spent in mitata's own loop (see ESTIMATE_SHARE), as samples that are not kept.
  const rest = new WarmUp(sampling.warmup * (1 - ESTIMATE_SHARE));
  const readings: number[] = [];
  let discarded: number | undefined;
  await measure(body, {
    gc: false,
    // The clock below ends the sampling: it alone knows when the warm-up is over.
    min_cpu_time: NEVER / 2,
    min_samples: 1,
    max_samples: MOST_SAMPLES,
    batch_unroll: UNROLL,
    batch_samples: batch,
    // mitata batches only bodies it finds faster than the threshold; the decision is made here, from a longer look.
    batch_threshold: batch > 1 ? Number.MAX_VALUE : 0,
    warmup_threshold: Number.MAX_VALUE,
    now: () => {
      const taken = readings.length / 2;
      const startsSample = Number.isInteger(taken);
      if (startsSample && discarded === undefined && taken >= DISCARDED_SAMPLES && rest.over) discarded = taken;
      readings.push(readClock(clock));
      const last = discarded !== undefined && readings.length === 2 * (discarded + samples);
      return last ? NEVER : 0;
    },
  });
  const kept = readings.slice(2 * (discarded ?? 0));
  if (discarded === undefined || kept.length !== 2 * samples) {
    throw new HostError(`mitata gave ${kept.length / 2} samples instead of ${samples}`, { where: bench.id });
  }
  const perSample = batch === 1 ? 1 : Math.floor(batch / UNROLL) * UNROLL;
  const seconds = Array.from({ length: samples }, (_, i) => (kept[2 * i + 1]! - kept[2 * i]!) / perSample);
  return {
    samples: seconds.map((each) => convert(each, items)),
    conditions: { batch: perSample, discarded, ...conditionsOf(cost, clock) },
  };
}

function roundsOf(body: () => unknown): (calls: number) => Promise<void> {
  return async (calls) => {
    for (let call = 0; call < calls; call++) {
      const pending = body();
      if (pending !== undefined) await pending;
    }
  };
}

/** Splits the measuring time evenly over the samples; bodies too slow for that are called once a sample, fewer times. */
function plan(cost: number, seconds: number, samples: number): { batch: number; samples: number } {
  const calls = seconds / samples / Math.max(cost, 1e-10);
  if (calls < UNROLL) {
    return { batch: 1, samples: Math.min(samples, Math.max(FEWEST_SAMPLES, Math.floor(seconds / cost))) };
  }
  return { batch: Math.min(LARGEST_BATCH, Math.ceil(calls / UNROLL) * UNROLL), samples };
}
