import type { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { PASSES } from '../pass/pipeline.ts';
import { DeferredCompilers } from '../tier/background/deferred-compilers.test-support.ts';
import { AUTO, BASELINE, OPTIMIZED, type TierPolicy } from '../tier/policy.ts';
import { GUEST_SIZE } from './random-code.test-support.ts';
import type { VcpuOptions } from './vcpu.ts';

export type Tiers = NonNullable<VcpuOptions['tiers']>;

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
    lineCost: 0,
    warmUp: 0,
    leastRegion: 0,
    slice: 1 + random.below(400),
    guardGain: [0, 0, 0.2, 1.5][random.below(4)]!,
  };
}

/** Who answers at random times, and has been told of another guest before. */
function compilersFor(policy: TierPolicy, random: Random, guestSize: number, translated: boolean): DeferredCompilers {
  const subject = { isa: riscv64.name, guestSize, translated, policy, disabledPasses: [] };
  const longest = 1 + random.below(3) ** 4;
  return new DeferredCompilers(riscv64, subject, () => random.below(longest));
}

/** A policy that has others translate, and them. */
export function besidePolicy(
  sampled: TierPolicy,
  random: Random,
  guestSize: number,
  translated: boolean,
): { policy: TierPolicy; compilers: DeferredCompilers } {
  const [arrivalCost, systemArrivalCost] = [1 + random.below(50), 1 + random.below(50)];
  const policy: TierPolicy = { ...sampled, backgroundCost: random.below(100), arrivalCost, systemArrivalCost };
  return { policy, compilers: compilersFor(policy, random, guestSize, translated) };
}

/** Policies that translate early and in odd shapes. */
export function randomPolicies(random: Random): Record<string, Tiers> {
  const shaped: TierPolicy = {
    ...OPTIMIZED,
    limits: { instructions: 1 + random.below(80), inlined: random.below(40) },
    slice: 1 + random.below(400),
    manyRefusals: 1 + random.below(5),
    observedSteps: random.below(20),
  };
  const sampled = sampledPolicy(random);
  const without = random.pick(PASSES).name;
  return {
    optimized: { policy: OPTIMIZED },
    baseline: { policy: BASELINE },
    shaped: { policy: shaped },
    sampled: { policy: sampled },
    background: besidePolicy(sampled, random, GUEST_SIZE, false),
    [`without ${without}`]: { policy: shaped, disabledPasses: new Set([without]) },
  };
}
