/** What the sampling engines share. */
import type { Benchmark } from './define-bench.ts';
import type { Clock } from './clock.ts';
import type { Conditions } from './conditions.ts';
import type { Sampling } from './sampling.ts';

export interface EngineRun {
  readonly bench: Benchmark;
  readonly state: unknown;
  readonly sampling: Sampling;
  /** Whether the work returned a promise when it was called for its self-check. */
  readonly asynchronous: boolean;
  /** What samples are read from, where the body allows it (see `CallCost`). */
  readonly clock: Clock;
}

export interface EngineResult {
  /** In the benchmark's unit, in the order taken. */
  readonly samples: readonly number[];
  readonly conditions: Conditions;
}

/** The first samples of a fresh sampling loop run in the runtime's slow tiers; the number dropped is fixed in advance. */
export const DISCARDED_SAMPLES = 2;

/** Slow bodies get fewer samples than asked for, but never fewer than this. */
export const FEWEST_SAMPLES = 5;

/** What the result says about the clock; wall time, the usual one, goes without saying. */
export function conditionsOf({ waits }: { readonly waits: boolean }, clock: Clock): Conditions {
  return { ...(clock === 'wall' ? {} : { clock }), ...(waits ? { waits: 1 } : {}) };
}
