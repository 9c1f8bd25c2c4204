/** What passes between the controller and a measuring process: one JSON request as argument, JSON lines back on descriptor 3. */
import { z } from 'zod';
import type { BenchmarkFacts, Measurement } from './measurement.ts';

/** A gate talks to the measuring script of another commit; both must mean the same by these messages. */
export const TRIAL_PROTOCOL = 2;
export const TRIAL_DESCRIPTOR = 3;

const samplingSchema = z.strictObject({
  samples: z.int().min(1).max(100_000),
  warmup: z.number().min(0),
  time: z.number().min(0),
  clock: z.enum(['wall', 'cpu']),
});

export const trialRequestSchema = z.strictObject({
  protocol: z.int(),
  /** Suite file; absent to list every benchmark below `root`. */
  file: z.string().optional(),
  root: z.string(),
  /** Ids to measure, all in `file`; empty with `list`. */
  ids: z.array(z.string()),
  sampling: samplingSchema,
  counters: z.boolean(),
  samples: z.boolean(),
});
export type TrialRequest = z.infer<typeof trialRequestSchema>;

/** One benchmark as listed by the checkout that owns it. */
export interface Listing extends BenchmarkFacts {
  /** Suite file, absolute. */
  readonly file: string;
  /** Whether it takes exact counters. */
  readonly counts: boolean;
  /** Whether it is known to wait (see `BenchmarkSpec.waits`). */
  readonly waits: boolean;
}

export type TrialMessage =
  | { readonly type: 'listing'; readonly benches: readonly Listing[] }
  | { readonly type: 'start'; readonly id: string }
  | { readonly type: 'measurement'; readonly measurement: Measurement }
  | { readonly type: 'refused'; readonly line: string }
  | { readonly type: 'done'; readonly protocol: number };
