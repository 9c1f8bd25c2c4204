import { ReferenceCpu } from '../cpu/reference.ts';
import { Vcpu } from '../cpu/vcpu.ts';
import type { Isa } from '../isa/instruction.ts';
import type { FlatMemory } from '../memory/flat.ts';

/** How guest code is executed. `auto` takes the fastest there is. */
export type Tier = 'auto' | 'tiered' | 'interpreter' | 'reference';

/** A vCPU of the wished tier over a flat memory. `time` in nanoseconds. */
export function createCpu(tier: Tier, isa: Isa, memory: FlatMemory, time?: () => bigint): Vcpu | ReferenceCpu {
  const options = {
    guestSize: memory.size,
    ...(time ? { time } : {}),
    engine: tier === 'tiered' ? ('tiered' as const) : ('interpreter' as const),
  };
  return tier === 'reference' ? new ReferenceCpu(isa, memory.memory, options) : new Vcpu(isa, memory.memory, options);
}

/** Sums the numeric counters of several vCPUs. */
export function sumCounters(cpus: readonly { readonly counters: object }[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { counters } of cpus) {
    for (const [name, value] of Object.entries(counters))
      if (typeof value === 'number') sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}
