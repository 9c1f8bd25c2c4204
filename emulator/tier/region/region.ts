import { PAGE_SIZE } from '../../layout/memory-map.ts';
import type { CodePage } from './code-page.ts';
import type { CompiledRegion, Exit } from './translate.ts';

/** The places (tier/code-space.ts) of a region's code. */
export interface RegionSites {
  /** Like `CompiledRegion.ranges`. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Of each entry. */
  readonly entries: readonly number[];
  /** Like `CompiledRegion.pages`. */
  readonly pages: readonly CodePage[];
}

/** Emitted code, and where what it was made from is. */
export interface PlacedRegion {
  readonly code: CompiledRegion;
  readonly sites: RegionSites;
}

/** The places of code whose pages are given. */
export function sitesOf({ ranges, entries }: CompiledRegion, pages: readonly CodePage[]): RegionSites {
  const places: number[] = [];
  for (let at = 0; at < entries.length; at++) places.push(placeOf(entries[at]!.pc, pages));
  if (pages.length === 0) return { ranges, entries: places, pages };
  const parts: (readonly [number, number])[] = [];
  for (const [start, end] of ranges) {
    for (let at = start; at < end;) {
      const next = Math.min(end, Math.floor(at / PAGE_SIZE) * PAGE_SIZE + PAGE_SIZE);
      const place = placeOf(at, pages);
      parts.push([place, place + next - at]);
      at = next;
    }
  }
  return { ranges: parts, entries: places, pages };
}

function placeOf(pc: number, pages: readonly CodePage[]): number {
  for (let at = 0; at < pages.length; at++) {
    const page = pages[at]!;
    if (page.pc <= pc && pc < page.pc + PAGE_SIZE) return page.place + pc - page.pc;
  }
  return pc;
}

/** A translated region that is installed. */
export class Region {
  readonly code: CompiledRegion;
  /** Guest instructions that it translates. */
  readonly instructions: number;
  /** Its place in the table of regions. */
  readonly index: number;
  /** Times control came out at each exit, to JavaScript. */
  readonly exitCounts: Uint32Array;
  /** How many translations of the same code came before it. */
  readonly generation: number;
  live = true;
  /** Times it could not be entered because modes or flags were others, or a page was elsewhere. */
  refusedEntries = 0;
  /** How often translations of the same code were found to assume too much of memory. */
  distrusts = 0;
  /** The region that control kept leaving for this one's code, when that is why it was made. */
  parent: Region | undefined;
  /** It was taken from the store before control was there. */
  prefetched = false;
  /** Control has come here from JavaScript. */
  entered = false;
  /** Times control has come here by the jump cache. */
  uses = 0;
  /** That many when `heat` was counted last. */
  usesBefore = 0;
  /** It has been asked for again, for what is known by now. */
  renewing = false;
  /** Recent use, halved from time to time. */
  heat = 0;

  /** Where its code is. */
  readonly site: RegionSites;

  constructor(code: CompiledRegion, index: number, generation: number, site: RegionSites) {
    this.site = site;
    this.code = code;
    this.instructions = code.counters.instructions;
    this.index = index;
    this.generation = generation;
    this.exitCounts = new Uint32Array(code.exits.length);
  }

  /** Guest address it was formed from. */
  get seed(): number {
    return this.code.seed;
  }

  exit(number: number): Exit {
    return this.code.exits[number - 1]!;
  }

  /** Whether it translates the instruction at a guest address. */
  holds(pc: number): boolean {
    return this.code.ranges.some(([low, high]) => low <= pc && pc < high);
  }
}
