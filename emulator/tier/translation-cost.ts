import type { TierPolicy } from './policy.ts';
import type { Region } from './region/region.ts';
import type { TranslationCounters } from './region/translator.ts';

/** Guest instructions after whose translation the translator has become half as dear again. */
const COLD_INSTRUCTIONS = 200;

/** What translations cost, in interpreted instructions, so that it can be held against what they would save. */
export class TranslationCost {
  readonly #policy: TierPolicy;
  readonly #done: TranslationCounters;

  /** `done`: what has been translated. */
  constructor(policy: TierPolicy, done: TranslationCounters) {
    this.#policy = policy;
    this.#done = done;
  }

  /** Of so many guest instructions; the first are dearer, for V8 has not compiled the translator. */
  of(instructions: number): number {
    const { cost, coldCost } = this.#policy;
    return instructions * (cost + coldCost / (1 + this.#done.guestInstructions / COLD_INSTRUCTIONS));
  }

  /** How many events of that price, but no fewer than `least`, cost as much as translating a region again. */
  worthwhile({ code }: Region, least: number, price: number): number {
    return Math.max(least, Math.ceil(this.of(code.counters.instructions) / price));
  }
}
