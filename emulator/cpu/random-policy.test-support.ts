import type { Random } from '../ir/random.ts';
import { AUTO, type TierPolicy } from '../tier/policy.ts';

/** Translates what is sampled, like `auto`, but early and in odd shapes. */
export function sampledPolicy(random: Random): TierPolicy {
  return {
    ...AUTO,
    sampleInterval: 1 + random.below(50),
    hotSamples: 1,
    traceLength: random.below(40),
    hotExits: 1 + random.below(4),
    cost: random.below(30),
    coldCost: 0,
    warmUp: 0,
    leastRegion: 0,
    slice: 1 + random.below(400),
    guardGain: [0, 0, 0.2, 1.5][random.below(4)]!,
  };
}
