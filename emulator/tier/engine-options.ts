import type { RegionCompilers } from './background/message.ts';
import type { InterpreterCounters, InterpreterOptions } from './interpreter/interpreter.ts';
import type { TierPolicy } from './policy.ts';
import type { CodeStore } from './region/code-store.ts';
import type { RegionNode } from './region/node.ts';
import type { Region } from './region/region.ts';
import type { TranslationAccount } from './translation-cost.ts';

/** Exact counts beside the interpreter's. */
export interface TieredCounters extends InterpreterCounters {
  /** Regions installed. */
  regions: number;
  /** Times control entered regions from outside WebAssembly. */
  regionEntries: number;
  /** Times control went from region to region by the jump cache. */
  chained: number;
  /** Times that the jump cache was asked where control went, and did not hold it. */
  chainMisses: number;
  /** Times that a region was there all the same: it was entered from JavaScript, and the cache holds it again. */
  chainRefills: number;
  /** Times that control left regions for code without one, as far as that was looked at. */
  arrivals: number;
  /** Instructions retired in regions. */
  regionInstructions: number;
  /** Instructions that a region left to the interpreter. */
  refusals: number;
  /** Entries refused since modes or flags were others. */
  unsuited: number;
  /** Regions evicted or made invalid. */
  regionsDropped: number;
  /** Regions taken from the store because control was near, before it was there. */
  prefetched: number;
  /** Of these, the ones dropped that control never came to. */
  prefetchedInVain: number;
}

export interface TieredOptions extends InterpreterOptions {
  readonly policy?: TierPolicy;
  readonly disabledPasses?: ReadonlySet<string>;
  /** Emitted code of earlier runs and processes; one of its own unless given. */
  readonly store?: CodeStore;
  /** What processes that share a store have done; of this engine alone unless given. */
  readonly account?: TranslationAccount;
  /** Milliseconds, for the times in `translation`. */
  readonly now?: () => number;
  /** Compiles beside the guest, unless the policy is eager; the guest waits for every translation unless given. */
  readonly compilers?: RegionCompilers;
  /** Is told of every region installed. */
  readonly translated?: (event: TranslationEvent) => void;
}

/**
 * Why a translation was made: code was sampled, control kept arriving there, it was reached (eager), or what was known has changed;
 * `known` code was hot in another run or process, and `prefetched` code near it.
 */
export type TranslationReason = 'sampled' | 'arrivals' | 'reached' | 'renewed' | 'known' | 'prefetched';

/** One step of the tier timeline: a region was installed. */
export interface TranslationEvent {
  readonly reason: TranslationReason;
  /** Instructions that had retired. */
  readonly instructions: number;
  /** None when it was made elsewhere. */
  readonly nodes: readonly RegionNode[];
  readonly region: Region;
  /** Its code came from the store: the nodes are those that it would be made of now. */
  readonly reused: boolean;
}
