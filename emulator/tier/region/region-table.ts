import { PAGE_SIZE, REGIONS_MAX } from '../../layout/memory-map.ts';
import { assert } from '../../check/assert.ts';
import { AddressMarks } from './address-marks.ts';
import type { Dispatcher } from './dispatcher.ts';
import { Region, type RegionSites } from './region.ts';
import type { CompiledRegion } from './translate.ts';

/** A way into a region. */
export interface Entry {
  readonly region: Region;
  readonly number: number;
}

/** WebAssembly of live regions, in bytes; V8's machine code for it is some ten times as much. */
const CAPACITY = 4 << 20;

/** The live regions (level 2 of the translation cache): by entry address, by index, and by what they were made from. */
export class RegionTable {
  readonly #dispatcher: Dispatcher;
  readonly #mark: (place: number, marked: boolean) => void;
  readonly #dropped: (region: Region) => void;
  readonly #entries = new Map<number, Entry>();
  /** Of all entries. */
  readonly entryMarks = new AddressMarks();
  readonly #byIndex: (Region | undefined)[] = [];
  readonly #live = new Set<Region>();
  readonly #free: number[] = [];
  /** Regions by the pages (places) that they have code in. */
  readonly #byPage = new Map<number, Set<Region>>();
  readonly #capacity: number;
  #bytes = 0;

  /** `mark` makes the interpreter stop at an entry, or no longer; `dropped` is told of regions evicted or invalidated. */
  constructor(
    dispatcher: Dispatcher,
    mark: (place: number, marked: boolean) => void,
    dropped: (region: Region) => void,
    capacity = CAPACITY,
  ) {
    this.#dispatcher = dispatcher;
    this.#mark = mark;
    this.#dropped = dropped;
    this.#capacity = capacity;
  }

  get size(): number {
    return this.#live.size;
  }

  /** Bytes of WebAssembly that live regions have. */
  get bytes(): number {
    return this.#bytes;
  }

  [Symbol.iterator](): IterableIterator<Region> {
    return this.#live.values();
  }

  entryAt(pc: number): Entry | undefined {
    return this.#entries.get(pc);
  }

  /** Whether a region translates the instruction at a place. */
  holds(place: number): boolean {
    const there = this.#byPage.get(place - (place % PAGE_SIZE));
    if (there === undefined) return false;
    for (const { site } of there) if (isWithin(site.ranges, place, place + 1)) return true;
    return false;
  }

  /** Where regions can be entered. */
  get entryAddresses(): number[] {
    return [...this.#entries.keys()];
  }

  byIndex(index: number): Region {
    const region = this.#byIndex[index];
    assert(region !== undefined, 'a region that runs has been installed');
    return region;
  }

  /**
   * Installs a translation, in place of regions that it covers, unless these can be entered where it cannot: a function that it has copied is called
   * from elsewhere too, and would be translated again for that. [measured: a script in `awk` made 1853 translations, 55 since]
   */
  add(code: CompiledRegion, run: WebAssembly.ExportValue, generation: number, site: RegionSites): Region {
    const pages = pagesOf(site.ranges);
    this.#removeCovered(code, site, pages);
    this.#makeRoom(code.bytes.length);
    const index = this.#free.pop() ?? this.#byIndex.length;
    const region = new Region(code, index, generation, site);
    this.#byIndex[index] = region;
    this.#live.add(region);
    for (let at = 0; at < pages.length; at++) {
      const there = this.#byPage.get(pages[at]!);
      if (there === undefined) this.#byPage.set(pages[at]!, new Set([region]));
      else there.add(region);
    }
    this.#bytes += code.bytes.length;
    this.#dispatcher.table.set(index, run);
    this.#dispatcher.takeUses(index);
    const { entries, seed } = code;
    for (let at = 0; at < entries.length; at++) {
      const { pc, inlined } = entries[at]!;
      if (inlined || (pc !== seed && this.#entries.has(pc))) continue;
      this.#entries.set(pc, { region, number: at + 1 });
      this.entryMarks.add(pc);
      this.#dispatcher.cache(pc, index, at + 1, site.pages);
      this.#mark(site.entries[at]!, true);
    }
    return region;
  }

  #removeCovered(code: CompiledRegion, site: RegionSites, pages: readonly number[]): void {
    for (let at = 0; at < pages.length; at++) {
      const there = this.#byPage.get(pages[at]!);
      if (there === undefined) continue;
      for (const other of there)
        if (covers(site.ranges, other.site.ranges) && this.#entriesOf(other).every((pc) => isEnterable(code, pc)))
          this.remove(other);
    }
  }

  /** A region that runs, and has written over its own code, is still found by its index until it has come out. */
  remove(region: Region): void {
    if (!region.live) return;
    region.live = false;
    this.#live.delete(region);
    const pages = pagesOf(region.site.ranges);
    for (let at = 0; at < pages.length; at++) {
      const there = this.#byPage.get(pages[at]!)!;
      there.delete(region);
      if (there.size === 0) this.#byPage.delete(pages[at]!);
    }
    this.#free.push(region.index);
    this.#bytes -= region.code.bytes.length;
    this.#dispatcher.table.set(region.index, null);
    for (const [position, { pc }] of region.code.entries.entries()) {
      if (this.#entries.get(pc)?.region !== region) continue;
      this.#entries.delete(pc);
      this.entryMarks.delete(pc);
      this.#dispatcher.forget(pc);
      this.#mark(region.site.entries[position]!, false);
    }
  }

  /** Where control goes to this region and to no other. */
  #entriesOf(region: Region): number[] {
    return region.code.entries.map(({ pc }) => pc).filter((pc) => this.#entries.get(pc)?.region === region);
  }

  /** Removes regions whose code, assumptions about writable memory, or any of these meet the bytes [place, place + length). */
  invalidate(place: number, length: number, what: 'code' | 'writes' | 'all'): void {
    const end = place + length;
    const hit = new Set<Region>();
    if (what !== 'writes') {
      for (const region of this.#near(place, end)) {
        if (region.site.ranges.some(([low, high]) => low < end && place < high)) hit.add(region);
      }
    }
    if (what !== 'code') {
      for (const region of this.#live) {
        const { assumptions } = region.code;
        if (assumptions.some(({ low, high, write }) => (write || what === 'all') && low < end && place < high))
          hit.add(region);
      }
    }
    for (const region of hit) {
      this.remove(region);
      this.#dropped(region);
    }
  }

  /** The regions with code in a page of [low, high). */
  #near(low: number, high: number): Set<Region> {
    const near = new Set<Region>();
    const first = low - (low % PAGE_SIZE);
    if ((high - first) / PAGE_SIZE > this.#byPage.size) for (const region of this.#live) near.add(region);
    else
      for (let page = first; page < high; page += PAGE_SIZE)
        for (const region of this.#byPage.get(page) ?? []) near.add(region);
    return near;
  }

  /** Brings `uses` of every region up to date. */
  countUses(): void {
    for (const region of this.#live) this.countUsesOf(region);
  }

  /** Brings `uses` of a region up to date. */
  countUsesOf(region: Region): void {
    region.uses += this.#dispatcher.takeUses(region.index);
  }

  checkInvariants(): void {
    let bytes = 0;
    for (const there of this.#byPage.values())
      for (const region of there) assert(region.live, 'a page has live regions');
    for (const region of this.#live) {
      bytes += region.code.bytes.length;
      for (const page of pagesOf(region.site.ranges))
        assert(this.#byPage.get(page)?.has(region) === true, 'a region is found by its pages');
      assert(region.live && this.#byIndex[region.index] === region, 'a live region is found by its index');
    }
    assert(bytes === this.#bytes, 'the bytes of live regions are counted');
    for (const [pc, { region, number }] of this.#entries) {
      assert(region.live && region.code.entries[number - 1]?.pc === pc, 'an entry leads to a live region');
      const page = Math.floor(pc / PAGE_SIZE) * PAGE_SIZE;
      assert(this.entryMarks.inPage(page)?.[pc - page] === 1, 'entries are marked');
    }
  }

  /** Evicts the coldest regions until a translation of so many bytes fits; heat is use since the last time, and half of what was before. */
  #makeRoom(bytes: number): void {
    if (this.#bytes + bytes <= this.#capacity && this.#live.size < REGIONS_MAX) return;
    this.countUses();
    for (const region of this.#live) {
      region.heat = region.heat / 2 + region.uses - region.usesBefore;
      region.usesBefore = region.uses;
    }
    const coldest = [...this.#live].sort((a, b) => a.heat - b.heat);
    // A quarter at once, so that sorting is rare.
    const goal = Math.max(0, 0.75 * this.#capacity - bytes);
    for (const region of coldest) {
      if (this.#bytes <= goal && this.#live.size < 0.75 * REGIONS_MAX) break;
      this.remove(region);
      this.#dropped(region);
    }
  }
}

/** The pages that a region's ranges touch: a few. */
function pagesOf(ranges: readonly (readonly [number, number])[]): number[] {
  const pages: number[] = [];
  for (let index = 0; index < ranges.length; index++) {
    const [low, high] = ranges[index]!;
    for (let page = low - (low % PAGE_SIZE); page < high; page += PAGE_SIZE)
      if (!pages.includes(page)) pages.push(page);
  }
  return pages;
}

/** Whether control can go from elsewhere to an address in a region. */
function isEnterable({ entries }: CompiledRegion, pc: number): boolean {
  return entries.some((entry) => entry.pc === pc && !entry.inlined);
}

/** Whether every byte of `inner` is in `outer`; both are ascending and without overlap. */
function covers(outer: readonly (readonly [number, number])[], inner: readonly (readonly [number, number])[]): boolean {
  for (let index = 0; index < inner.length; index++) {
    const range = inner[index]!;
    if (!isWithin(outer, range[0], range[1])) return false;
  }
  return true;
}

/** Whether one of the ranges holds all of [from, to). By index: asked of each region in the pages of every new one. */
function isWithin(ranges: readonly (readonly [number, number])[], from: number, to: number): boolean {
  for (let index = 0; index < ranges.length; index++) {
    const range = ranges[index]!;
    if (range[0] <= from && to <= range[1]) return true;
  }
  return false;
}
