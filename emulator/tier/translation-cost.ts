import { firstStage } from './interpreter/early-stage.ts';
import type { TierPolicy } from './policy.ts';
import type { Region } from './region/region.ts';
import type { TranslationCounters } from './region/translator.ts';

/** Guest instructions after whose translation the translator has become half as dear again. */
const COLD_INSTRUCTIONS = 200;

/** What the translation of a guest instruction really takes in a process that has only begun, in interpreted ones. */
const SPENT_EACH = 20_000;
/** Instructions of which a program may spend as much again on translations before these become dearer: that much is soon run. */
const ADVANCE = 2_000_000;

/** What an arrival costs at least, some instructions being interpreted each time. */
const LEAST_ARRIVAL = 50;

/**
 * How much longer a process that is not the only one of its program must have run for its translations: those of pipes end sooner than a program that has
 * run alone for as long. [measured: emulator/docs/decisions.md, "When to translate, in short programs"]
 */
const ONE_OF_SEVERAL = 2;

/** What the guest processes of a run have done together: V8 compiles the translator once for all of them, and who waits for one waits for all. */
export class TranslationAccount {
  /** That there have been. */
  processes = 0;
  /** Guest instructions translated. */
  translated = 0;
  /** Instructions retired. */
  retired = 0;
  /** Of their interpreters. */
  readonly stage = firstStage();
}

/** What translations cost, in interpreted instructions, so that it can be held against what they would save. */
export class TranslationCost {
  readonly #policy: TierPolicy;
  readonly #done: Pick<TranslationCounters, 'guestInstructions'>;
  readonly #counted: { readonly instructions: number };
  readonly #account: TranslationAccount;
  #translated = 0;
  #retired = 0;

  /** `done`: what has been translated; `counted`: what has been executed; `account`: of these and of other processes. */
  constructor(
    policy: TierPolicy,
    done: Pick<TranslationCounters, 'guestInstructions'>,
    counted: { readonly instructions: number },
    account: TranslationAccount = new TranslationAccount(),
  ) {
    this.#policy = policy;
    this.#done = done;
    this.#counted = counted;
    this.#account = account;
    account.processes++;
  }

  /**
   * Of a region of so many guest instructions. The first are dearer, for V8 has not compiled the translator. So are more than the program has run long
   * enough for: one that ends soon would not get it back.
   */
  of(instructions: number): number {
    return (this.#policy.overhead + instructions) * this.each();
  }

  /** Of an instruction more. */
  each(): number {
    this.#bringUpToDate();
    const { cost, coldCost } = this.#policy;
    const { processes, translated, retired } = this.#account;
    const company = processes > 1 ? ONE_OF_SEVERAL : 1;
    const haste = (translated * SPENT_EACH) / (retired + ADVANCE);
    return company * (1 + haste) * (cost + coldCost / (1 + translated / COLD_INSTRUCTIONS));
  }

  /**
   * Whether a process that has been seen to be in so many lines of code has run for as long as the translation of all of them would take, or the
   * program for so long that it may do so for much longer. Of what is wide and flat, such as the short processes of pipes, one region after the other
   * would pay for itself only if the program went on.
   */
  mayBegin(lines: number): boolean {
    this.#bringUpToDate();
    const { warmUp, lineCost, longProgram } = this.#policy;
    const { instructions } = this.#counted;
    if (instructions < warmUp) return false;
    return instructions >= lineCost * lines || this.#account.retired >= longProgram;
  }

  /** What an arrival counts (TierPolicy), in interpreted instructions. */
  ofArrival(userMode: boolean): number {
    const { arrivalCost, systemArrivalCost, arrivalFade } = this.#policy;
    if (!userMode) return systemArrivalCost;
    this.#bringUpToDate();
    const faded = arrivalCost / (1 + this.#account.translated / arrivalFade);
    return Math.max(faded, Math.min(arrivalCost, LEAST_ARRIVAL));
  }

  /** How many events of that price, but no fewer than `least`, cost as much as translating a region again. */
  worthwhile({ code }: Region, least: number, price: number): number {
    return Math.max(least, Math.ceil(this.of(code.counters.instructions) / price));
  }

  #bringUpToDate(): void {
    const { guestInstructions } = this.#done;
    const { instructions } = this.#counted;
    this.#account.translated += guestInstructions - this.#translated;
    this.#account.retired += instructions - this.#retired;
    this.#translated = guestInstructions;
    this.#retired = instructions;
  }
}
