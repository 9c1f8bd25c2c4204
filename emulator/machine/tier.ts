import { ReferenceCpu } from '../cpu/reference.ts';
import { Vcpu } from '../cpu/vcpu.ts';
import type { Isa } from '../isa/instruction.ts';
import type { FlatMemory } from '../memory/flat.ts';
import type { TranslationOptions as AddressTranslation } from '../tier/interpreter/interpreter.ts';
import { AUTO, AUTO_TRANSLATED, BASELINE, OPTIMIZED, type TierPolicy } from '../tier/policy.ts';
import type { TieredOptions } from '../tier/engine-options.ts';
import type { TranslationCounters } from '../tier/region/translator.ts';
import { SystemReference } from './system-reference.ts';

/** How guest code can be executed. `auto` interprets and translates what is hot; `optimized` and `baseline` translate from the first instruction on. */
export const TIERS = ['auto', 'optimized', 'baseline', 'interpreter', 'reference'] as const;
export type Tier = (typeof TIERS)[number];

const POLICIES = { auto: AUTO, optimized: OPTIMIZED, baseline: BASELINE } as const;

/** What a tier translates by; undefined when it translates nothing. */
export function policyOf(tier: Tier): TierPolicy | undefined {
  return tier === 'interpreter' || tier === 'reference' ? undefined : POLICIES[tier];
}

/** The same behind address translation. */
export function translatedPolicyOf(tier: Tier): TierPolicy | undefined {
  return tier === 'auto' ? AUTO_TRANSLATED : policyOf(tier);
}

/** What tiers that translate can be given. */
export type TranslationOptions = Pick<
  TieredOptions,
  'store' | 'account' | 'now' | 'translated' | 'disabledPasses' | 'compilers'
>;

/** A vCPU of the wished tier over a flat memory. `time` in nanoseconds. */
export function createCpu(
  tier: Tier,
  isa: Isa,
  memory: FlatMemory,
  time?: () => bigint,
  translation: TranslationOptions = {},
): Vcpu | ReferenceCpu {
  const options = { guestSize: memory.size, ...(time ? { time } : {}) };
  if (tier === 'reference') return new ReferenceCpu(isa, memory.memory, options);
  const policy = policyOf(tier);
  return new Vcpu(
    isa,
    memory.memory,
    policy === undefined ? options : { ...options, tiers: { ...translation, policy } },
  );
}

/**
 * A vCPU of the wished tier behind an MMU, over `ramSize` bytes of RAM from GUEST up. `time`: ticks of the machine's time base; one for each
 * retired instruction unless given.
 */
export function createTranslatedCpu(
  tier: Tier,
  isa: Isa,
  memory: WebAssembly.Memory,
  ramSize: number,
  translation: AddressTranslation,
  time?: () => bigint,
  tiers: TranslationOptions = {},
): Vcpu | SystemReference {
  const { mmu, hooks } = translation;
  if (tier === 'reference') return new SystemReference(isa, memory, mmu, { hooks, ...(time ? { time } : {}) });
  const policy = translatedPolicyOf(tier);
  return new Vcpu(isa, memory, {
    guestSize: ramSize,
    translation,
    ...(time ? { time } : {}),
    ...(policy ? { tiers: { ...tiers, policy } } : {}),
  });
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

/** WebAssembly of the regions that are alive, in bytes; 0 for tiers that translate nothing. */
export function codeBytesOf(cpu: object): number {
  return cpu instanceof Vcpu ? (cpu.tiers?.liveBytes ?? 0) : 0;
}

/** What has been translated; undefined for tiers that translate nothing. */
export function translationOf(cpu: object): Readonly<TranslationCounters> | undefined {
  return cpu instanceof Vcpu && cpu.tiers !== undefined ? { ...cpu.tiers.translation } : undefined;
}
