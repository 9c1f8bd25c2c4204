import type { TierPolicy } from './policy.ts';
import type { Region } from './region/region.ts';
import type { TranslationCounters } from './region/translator.ts';

/** Guest instructions after whose translation the translator has become half as dear again. */
const COLD_INSTRUCTIONS = 200;

/** What the translation of a guest instruction really takes in a process that has only begun, in interpreted ones. */
const SPENT_EACH = 20_000;
/** Instructions of which a program may spend as much again on translations before these become dearer: that much is soon run. */
const ADVANCE = 2_000_000;

/** What translations cost, in interpreted instructions, so that it can be held against what they would save. */
export class TranslationCost {
  readonly #policy: TierPolicy;
  readonly #done: Pick<TranslationCounters, 'guestInstructions'>;
  readonly #retired: { readonly instructions: number };

  /** `done`: what has been translated; `retired`: what has been executed. */
  constructor(
    policy: TierPolicy,
    done: Pick<TranslationCounters, 'guestInstructions'>,
    retired: { readonly instructions: number },
  ) {
    this.#policy = policy;
    this.#done = done;
    this.#retired = retired;
  }

  /**
   * Of so many guest instructions. The first are dearer, for V8 has not compiled the translator. So are more than the program has run long
   * enough for: one that ends soon would not get it back.
   */
  of(instructions: number): number {
    const { cost, coldCost } = this.#policy;
    const done = this.#done.guestInstructions;
    const haste = (done * SPENT_EACH) / (this.#retired.instructions + ADVANCE);
    return instructions * (1 + haste) * (cost + coldCost / (1 + done / COLD_INSTRUCTIONS));
  }

  /** How many events of that price, but no fewer than `least`, cost as much as translating a region again. */
  worthwhile({ code }: Region, least: number, price: number): number {
    return Math.max(least, Math.ceil(this.of(code.counters.instructions) / price));
  }
}
