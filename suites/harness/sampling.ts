/** How much one benchmark is sampled. */
import type { Settings } from '../../emulator/config/settings.ts';
import type { Clock } from './clock.ts';

export interface Sampling {
  readonly samples: number;
  /** Milliseconds. */
  readonly warmup: number;
  /** Milliseconds. */
  readonly time: number;
  /** What samples are read from; a body that waits is timed by the wall clock whatever stands here. */
  readonly clock: Clock;
}

export type Profile = 'smoke' | 'quick' | 'full' | 'gate';

/** Smoke calls every body once: it proves that the benchmark runs, not how fast. */
const SMOKE: Sampling = { samples: 1, warmup: 0, time: 0, clock: 'wall' };

export function samplingFor(profile: Profile, settings: Settings): Sampling {
  if (profile === 'smoke') return SMOKE;
  return {
    samples: settings.get(`harness.${profile}.samples`),
    warmup: settings.get(`harness.${profile}.warmup`),
    time: settings.get(`harness.${profile}.time`),
    clock: profile === 'gate' && settings.get('harness.gate.singleThreaded') ? 'cpu' : 'wall',
  };
}
