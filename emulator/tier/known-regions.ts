import { PAGE_SIZE } from '../layout/memory-map.ts';
import { type CodeSpace, NOWHERE } from './code-space.ts';
import type { TranslationReason } from './engine-options.ts';
import type { Interpreter } from './interpreter/interpreter.ts';
import type { TierPolicy } from './policy.ts';
import type { CodeStore } from './region/code-store.ts';
import type { PlacedRegion, Region } from './region/region.ts';
import type { RegionTable } from './region/region-table.ts';
import type { Translator } from './region/translator.ts';

interface KnownParts {
  readonly policy: TierPolicy;
  readonly interpreter: Interpreter;
  readonly regions: RegionTable;
  readonly store: CodeStore;
  readonly translator: Translator;
  /** Installs what came from the store. */
  readonly add: (reason: TranslationReason, stored: PlacedRegion) => Region;
}

/** Takes from the store what was hot in another run or process, as soon as control is near: that costs no translation. */
export class KnownRegions {
  readonly #parts: KnownParts;
  readonly #code: CodeSpace;
  /** Places where stored code may begin, and control has not been since their pages were first executed. */
  readonly #expected = new Set<number>();
  /** Seeds of what was taken as known: when it is dropped, it is no more so. */
  readonly #promoted = new Set<number>();

  constructor(parts: KnownParts) {
    this.#parts = parts;
    this.#code = parts.interpreter.code;
  }

  /** Behind address translation, the page at a place is about to be executed for the first time, at a guest address: control comes out where stored code begins. */
  pageReached(page: number, pc: number): void {
    const { store, interpreter } = this.#parts;
    for (const seed of store.seedsIn(pc)) {
      this.#expected.add(page + seed - pc);
      interpreter.markEntry(page + seed - pc, true);
    }
  }

  /** Control is where an entry was, and there is none. When stored code was to be expected there, that is installed if it fits now. */
  reached(pc: number): void {
    const { interpreter, translator, add } = this.#parts;
    const place = this.#code.placeOf(pc);
    if (!this.#expected.delete(place)) return;
    interpreter.markEntry(place, false);
    const stored = translator.stored(pc);
    if (stored !== undefined) add('known', stored);
  }

  /**
   * Takes code around pc at once, and with it what follows by address, there and in the next page. How many regions that were not asked for; undefined
   * when there is nothing.
   */
  promote(pc: number): number | undefined {
    const { store, policy } = this.#parts;
    const here = store.seedsNear(pc);
    // Shapes made last know most, and come first.
    const known = here.find((seed) => this.#take(seed, 'known', pc));
    if (known === undefined) return undefined;
    const ahead = [...here, ...store.seedsNear(pc + PAGE_SIZE)].filter((seed) => seed > known);
    let prefetched = 0;
    for (const seed of ahead.sort((a, b) => a - b)) {
      if (prefetched === policy.prefetch) break;
      if (this.#take(seed, 'prefetched')) prefetched++;
    }
    return prefetched;
  }

  /** Installs stored code unless it does not fit, was taken before, is there, or does not hold `pc` where that matters. */
  #take(seed: number, reason: 'known' | 'prefetched', pc = seed): boolean {
    const { regions, translator, add } = this.#parts;
    if (this.#promoted.has(seed)) return false;
    const place = this.#code.placeOf(seed);
    if (place === NOWHERE) return false;
    const entry = regions.entryAt(seed);
    // Most of what is stored, in a run that has not begun with any.
    if (entry !== undefined && entry.region.site.entries[entry.number - 1] === place) return false;
    if (regions.holds(place)) return false;
    const stored = translator.stored(seed, (one) => one.ranges.some(([low, high]) => low <= pc && pc < high));
    if (stored === undefined) return false;
    this.#promoted.add(seed);
    const region = add(reason, stored);
    if (reason === 'prefetched') region.prefetched = true;
    return true;
  }
}
