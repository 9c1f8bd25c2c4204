import type { Block } from '../ir/block.ts';
import { Builder } from '../ir/builder.ts';
import type { Isa } from '../isa/instruction.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import type { PassCounters } from '../pass/pipeline.ts';
import type { CodeStoreCounters } from '../tier/region/code-store.ts';
import type { RegionNode } from '../tier/region/node.ts';
import type { Region } from '../tier/region/region.ts';
import type { TranslationCounters } from '../tier/region/translator.ts';
import type { TranslationEvent, TranslationReason } from '../tier/engine-options.ts';
import type { TieredEngine } from '../tier/tiered.ts';

/** One row of the tier timeline. Addresses are guest addresses, as signed numbers. */
export interface LoggedTranslation {
  /** Instructions that the process had retired. */
  readonly at: number;
  readonly seed: number;
  readonly reason: TranslationReason;
  /** Translations of the same code before it. */
  readonly generation: number;
  /** Taken from the store of emitted code. */
  readonly reused: boolean;
  readonly nodes: number;
  readonly instructions: number;
  readonly irOps: number;
  readonly wasmBytes: number;
}

/** A region as it was made: what dumps show. */
export interface KeptRegion {
  readonly region: Region;
  readonly nodes: readonly RegionNode[];
  readonly reused: boolean;
  /** The blocks of the nodes before the passes, at the same positions. */
  readonly before: readonly Block[];
}

/** A program that generates code for ever would fill the host's memory with the log. */
const LONGEST_LOG = 10_000;

/** Takes note of translations; the regions that hold `watched` are kept whole. */
export class TranslationLog {
  readonly entries: LoggedTranslation[] = [];
  readonly #watched: number | undefined;
  /** Translations that found the log full. */
  dropped = 0;
  #kept: KeptRegion | undefined;

  constructor(watched?: number) {
    this.#watched = watched;
  }

  /** `bytes`: what the places of the region's code index (tier/code-space.ts). */
  note({ instructions, region, nodes, reason, reused }: TranslationEvent, isa: Isa, bytes: Uint8Array): void {
    const { seed, generation, code } = region;
    const { nodes: count, instructions: translated, irOps, wasmBytes } = code.counters;
    const sizes = { nodes: count, instructions: translated, irOps, wasmBytes };
    if (this.entries.length < LONGEST_LOG)
      this.entries.push({ at: instructions, seed, reason, generation, reused, ...sizes });
    else this.dropped++;
    if (this.#watched === undefined || !region.holds(this.#watched)) return;
    const fetch = fetchIn(region, bytes, isa.maximumLength);
    this.#kept = { region, nodes, reused, before: nodes.map(({ pc, end }) => liftRange(isa, fetch, pc, end)) };
  }

  /** The newest region that holds the watched address; look at `region.live` whether it is still in use. */
  get kept(): KeptRegion | undefined {
    return this.#kept;
  }
}

/** The code of a region by guest address: up to `most` bytes, those of two pages together where an instruction may be in both. */
function fetchIn({ site }: Region, bytes: Uint8Array, most: number): (pc: number) => Uint8Array {
  const { pages } = site;
  if (pages.length === 0) return (pc) => bytes.subarray(pc, pc + most);
  const inPage = (pc: number): Uint8Array => {
    const page = pages.find((each) => each.pc <= pc && pc < each.pc + PAGE_SIZE);
    if (page === undefined) return new Uint8Array();
    const at = page.place + (pc - page.pc);
    return bytes.subarray(at, Math.min(at + most, page.place + PAGE_SIZE));
  };
  return (pc) => {
    const first = inPage(pc);
    return first.length === most ? first : Buffer.concat([first, inPage(pc + first.length)]).subarray(0, most);
  };
}

/** The instructions in [pc, end) as one block, as lifting leaves it. */
function liftRange(isa: Isa, fetch: (pc: number) => Uint8Array, pc: number, end: number): Block {
  const builder = new Builder(isa.name);
  for (let at = pc; at < end;) {
    const found = isa.decode(fetch(at), 0);
    if (found === undefined) break;
    const { row, length, operands } = isa.canonical(found);
    builder.beginInstruction(BigInt(at), length);
    row.lift(builder, operands);
    at += length;
  }
  return builder.block;
}

/** What engines have translated, and what is left of it. */
export interface TranslationStatistics extends TranslationCounters {
  readonly passes: PassCounters;
  readonly liveRegions: number;
  /** WebAssembly of live regions (level 2), in bytes. */
  readonly liveBytes: number;
  /** WebAssembly kept without an instance (level 3), in bytes. */
  readonly storeBytes: number;
  /** Of live regions that were prefetched, those that control has not come to. */
  readonly prefetchedUnused: number;
  /** How stored code became warmer and colder. */
  readonly store: CodeStoreCounters;
}

/** Sums over engines that may be gone by the time the sum is wanted. */
export class TranslationTotals {
  readonly counters: Record<string, number> = {};
  readonly passes: PassCounters = {};

  add({ translation, passCounters }: Pick<TieredEngine, 'translation' | 'passCounters'>): void {
    for (const [name, value] of Object.entries(translation))
      this.counters[name] = (this.counters[name] ?? 0) + Number(value);
    for (const [name, { runs, opsBefore, opsAfter, nanoseconds }] of Object.entries(passCounters)) {
      const sum = (this.passes[name] ??= { runs: 0, opsBefore: 0, opsAfter: 0, nanoseconds: 0 });
      sum.runs += runs;
      sum.opsBefore += opsBefore;
      sum.opsAfter += opsAfter;
      sum.nanoseconds += nanoseconds;
    }
  }
}

/** What `engines` and those already in `totals` translated, and what `engines` still hold of it. */
export function sumTranslation(
  engines: readonly TieredEngine[],
  totals: TranslationTotals = new TranslationTotals(),
): TranslationStatistics {
  for (const engine of engines) totals.add(engine);
  // Processes of one run may share a store.
  const stores = [...new Set(engines.map(({ store }) => store))];
  const store = { warmed: 0, warmHits: 0, cooled: 0, forgotten: 0, refused: 0 };
  for (const { counters } of stores)
    for (const name of Object.keys(store) as (keyof CodeStoreCounters)[]) store[name] += counters[name];
  return {
    ...(totals.counters as unknown as TranslationCounters),
    passes: totals.passes,
    liveRegions: engines.reduce((sum, { regions }) => sum + [...regions].length, 0),
    prefetchedUnused: engines.reduce((sum, engine) => sum + engine.prefetchedUnused, 0),
    liveBytes: engines.reduce((sum, { liveBytes }) => sum + liveBytes, 0),
    storeBytes: stores.reduce((sum, { bytes }) => sum + bytes, 0),
    store,
  };
}
