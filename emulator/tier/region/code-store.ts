import { assert } from '../../check/assert.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { combineModules } from './combined-module.ts';
import { regionModule, runName } from './region-module.ts';
import type { CompiledRegion } from './translate.ts';

/** A translation and the guest bytes it was made of, range after range. */
export interface StoredCode {
  readonly code: CompiledRegion;
  readonly source: Uint8Array;
}

/** Emitted bytes kept beyond the life of their instances, with FIXED_BYTES for each. */
const CAPACITY = 16 << 20;
/** Of these, as much is kept compiled too; V8's machine code for it is some ten times as much. */
const WARM_CAPACITY = 2 << 20;
/** What a region needs beside its bytes, in such bytes: V8's module takes 10 KiB however short it is, its description here some more. */
const FIXED_BYTES = 2048;
/** Translations kept of one seed: other code may have been there, or other modes been set. */
const VERSIONS = 4;

/**
 * Code read from a file that is compiled together: what is wanted, and what follows it there, as that was wanted next in another run. V8 gives up the
 * machine code of all when none is used any more.
 */
const COMBINED = 16;

/** Emitted code that V8 has compiled. */
export interface WarmCode {
  readonly module: WebAssembly.Module;
  /** What the module exports for it. */
  readonly name: string;
  /** Others are in that module too: their imports are the same. */
  readonly combined: boolean;
}

/** How code moved between the temperatures. */
export interface CodeStoreCounters {
  /** Promotions from cold to warm: V8 compiled the bytes. */
  warmed: number;
  /** Promotions from warm to hot: a module was there already. */
  warmHits: number;
  /** Demotions from warm to cold: the module was given up. */
  cooled: number;
  /** Cold code given up. */
  forgotten: number;
  /** Code of a file that turned out to be no region when it was first wanted. */
  refused: number;
}

/**
 * Emitted code without an instance (level 3 of the translation cache), by the guest address it was formed from. What is found was made of
 * the same guest bytes; the oldest is given up when room is short. Code is *cold* here as bytes alone and *warm* as a module of V8, the
 * ones used last; it is *hot* as a live region. Processes of one run share a store, so code that one has made is warm for the others.
 */
export class CodeStore {
  readonly counters: CodeStoreCounters = { warmed: 0, warmHits: 0, cooled: 0, forgotten: 0, refused: 0 };
  readonly #bySeed = new Map<number, StoredCode[]>();
  /** By the guest pages that it has bytes in; in each the oldest first. */
  readonly #byPage = new Map<number, Set<CompiledRegion>>();
  /** What came from a file and has not been looked into: to compile all of it before a boot of Linux took 0.1 s. */
  readonly #unverified = new Set<CompiledRegion>();
  /** What has been compiled together with other code and not been wanted yet: V8 has its bytes, but no machine code. */
  readonly #ready = new Map<CompiledRegion, WarmCode>();
  /** Least recently used first. */
  readonly #warm = new Map<CompiledRegion, WarmCode>();
  readonly #capacity: number;
  readonly #warmCapacity: number;
  #bytes = 0;
  #warmBytes = 0;

  constructor(capacity = CAPACITY, warmCapacity = WARM_CAPACITY) {
    this.#capacity = capacity;
    this.#warmCapacity = warmCapacity;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Addresses from which there is code; whether it fits, `find` says. */
  seeds(): IterableIterator<number> {
    return this.#bySeed.keys();
  }

  /** `verified`: false when the bytes may be anything, so that `verify` must come before they are used. */
  add(code: CompiledRegion, source: Uint8Array, verified = true): void {
    if (!verified) this.#unverified.add(code);
    const versions = this.#bySeed.get(code.seed) ?? [];
    this.#bySeed.delete(code.seed);
    versions.unshift({ code, source });
    this.#bytes += costOf(code);
    for (const page of pagesOf(code)) {
      const there = this.#byPage.get(page);
      if (there === undefined) this.#byPage.set(page, new Set([code]));
      else there.add(code);
    }
    while (versions.length > VERSIONS) this.#forget(versions.pop()!.code);
    this.#bySeed.set(code.seed, versions);
    if (this.#bytes > this.#capacity) this.#makeRoom();
  }

  /** Gives up the oldest. */
  #makeRoom(): void {
    for (const [seed, oldest] of this.#bySeed) {
      if (this.#bytes <= this.#capacity) break;
      for (const { code: gone } of oldest) this.#forget(gone);
      this.#bySeed.delete(seed);
    }
  }

  /** What `use` makes of the newest translation from `seed` that it can use. */
  find<T>(seed: number, use: (stored: StoredCode) => T | undefined): T | undefined {
    for (const stored of this.#bySeed.get(seed) ?? []) {
      const used = use(stored);
      if (used !== undefined) return used;
    }
    return undefined;
  }

  /** Whether stored code is that of a region; what is not is given up. */
  verify(code: CompiledRegion): boolean {
    if (!this.#unverified.has(code)) return true;
    if (this.#verifyCombined(code)) return true;
    this.#unverified.delete(code);
    const module = regionModule(code.bytes);
    if (module === undefined) {
      this.counters.refused++;
      this.discard(code);
      return false;
    }
    this.counters.warmed++;
    this.keepWarm(code, module);
    return true;
  }

  /** The same for others with it, which V8 then compiles at once; false when there are none. */
  #verifyCombined(code: CompiledRegion): boolean {
    const codes: CompiledRegion[] = [];
    for (const other of this.#unverified) {
      if (codes.length === 0 ? other !== code : other.pages.length !== code.pages.length) continue;
      codes.push(other);
      if (codes.length === COMBINED) break;
    }
    const combined = combineModules(codes.map(({ bytes }) => bytes));
    const module = combined && regionModule(combined.bytes, combined.members.length);
    if (module === undefined) return false;
    for (const [at, member] of combined!.members.entries()) {
      this.#unverified.delete(codes[member]!);
      this.#ready.set(codes[member]!, { module, name: runName(at), combined: true });
    }
    return true;
  }

  /** Seeds of the code in the page around a guest address, of what was added last first. */
  seedsNear(pc: number): number[] {
    const there = this.#byPage.get(Math.floor(pc / PAGE_SIZE) * PAGE_SIZE);
    return there === undefined ? [] : [...new Set([...there].reverse().map(({ seed }) => seed))];
  }

  /** Seeds in the page around a guest address. */
  seedsIn(pc: number): number[] {
    const page = Math.floor(pc / PAGE_SIZE) * PAGE_SIZE;
    return this.seedsNear(pc).filter((seed) => seed >= page && seed < page + PAGE_SIZE);
  }

  /** A translation is not to be used again. */
  discard(code: CompiledRegion): void {
    const versions = this.#bySeed.get(code.seed);
    const at = versions?.findIndex((version) => version.code === code) ?? -1;
    if (versions === undefined || at < 0) return;
    versions.splice(at, 1);
    this.#forget(code);
  }

  /** Emitted code as a module: V8 compiles it unless it is warm. */
  moduleOf(code: CompiledRegion): WarmCode {
    const warm = this.#warm.get(code);
    if (warm !== undefined) {
      this.counters.warmHits++;
      this.#warm.delete(code);
      this.#warm.set(code, warm);
      return warm;
    }
    this.counters.warmed++;
    const ready = this.#ready.get(code);
    if (ready === undefined) return this.keepWarm(code, new WebAssembly.Module(code.bytes));
    this.#ready.delete(code);
    return this.#keepWarm(code, ready);
  }

  /** Keeps the module of emitted code that has been compiled elsewhere. */
  keepWarm(code: CompiledRegion, module: WebAssembly.Module): WarmCode {
    return this.#keepWarm(code, { module, name: runName(0), combined: false });
  }

  #keepWarm(code: CompiledRegion, warm: WarmCode): WarmCode {
    if (this.#warm.has(code)) return warm;
    this.#warm.set(code, warm);
    this.#warmBytes += costOf(code);
    if (this.#warmBytes <= this.#warmCapacity) return warm;
    for (const oldest of this.#warm.keys()) {
      if (this.#warmBytes <= this.#warmCapacity) break;
      this.counters.cooled++;
      this.#cool(oldest);
    }
    return warm;
  }

  /** Oldest first: added in this order, they make an equal store. */
  *[Symbol.iterator](): IterableIterator<StoredCode> {
    for (const versions of this.#bySeed.values()) yield* versions.toReversed();
  }

  checkInvariants(): void {
    const all = [...this].map(({ code }) => code);
    for (const code of all)
      for (const page of pagesOf(code))
        assert(this.#byPage.get(page)?.has(code) === true, 'stored code is found by its pages');
    const listed = new Set([...this.#byPage.values()].flatMap((there) => [...there]));
    assert(listed.size === all.length, 'what pages list is stored');
    for (const code of this.#unverified) assert(all.includes(code), 'what is to be verified is stored');
    for (const code of this.#ready.keys())
      assert(
        all.includes(code) && !this.#warm.has(code) && !this.#unverified.has(code),
        'what is ready is stored, verified and not warm',
      );
    assert(this.#bytes === sumOfCosts(all), 'the bytes of stored code are counted');
    assert(this.#bytes <= this.#capacity, 'stored code fits its capacity');
    assert(this.#warmBytes === sumOfCosts(this.#warm.keys()), 'the bytes of warm code are counted');
    assert(this.#warmBytes <= this.#warmCapacity, 'warm code fits its capacity');
  }

  #forget(code: CompiledRegion): void {
    this.counters.forgotten++;
    this.#unverified.delete(code);
    this.#ready.delete(code);
    this.#bytes -= costOf(code);
    for (const page of pagesOf(code)) {
      const there = this.#byPage.get(page)!;
      there.delete(code);
      if (there.size === 0) this.#byPage.delete(page);
    }
    this.#cool(code);
  }

  #cool(code: CompiledRegion): void {
    if (this.#warm.delete(code)) this.#warmBytes -= costOf(code);
  }
}

/** Whether all that a region imports is the same for all such regions of a process: it asks for no operation and need not look where its pages are. */
export function importsAlike({ floatOps, pages }: CompiledRegion): boolean {
  return floatOps.length === 0 && pages.length < 2;
}

/** Guest pages of a region's code. */
function pagesOf({ ranges }: CompiledRegion): readonly number[] {
  const pages: number[] = [];
  let last = -Infinity;
  // Ranges ascend.
  for (const [low, high] of ranges) {
    for (let page = Math.floor(low / PAGE_SIZE) * PAGE_SIZE; page < high; page += PAGE_SIZE) {
      if (page > last) pages.push(page);
      last = Math.max(last, page);
    }
  }
  return pages;
}

/** What stored code counts as, in bytes. */
export function costOf({ bytes }: CompiledRegion): number {
  return FIXED_BYTES + bytes.length;
}

function sumOfCosts(codes: Iterable<CompiledRegion>): number {
  let sum = 0;
  for (const code of codes) sum += costOf(code);
  return sum;
}

/** The guest bytes [low, high) of each range, one after the other. */
export function sourceOf(guest: Uint8Array, ranges: readonly (readonly [number, number])[]): Uint8Array<ArrayBuffer> {
  if (ranges.length === 1) return guest.slice(ranges[0]![0], ranges[0]![1]);
  const source = new Uint8Array(ranges.reduce((sum, [low, high]) => sum + high - low, 0));
  let at = 0;
  for (const [low, high] of ranges) {
    source.set(guest.subarray(low, high), at);
    at += high - low;
  }
  return source;
}

/** Whether the guest bytes of the ranges are these. */
export function isSource(
  guest: Uint8Array,
  ranges: readonly (readonly [number, number])[],
  source: Uint8Array,
): boolean {
  let at = 0;
  for (const [low, high] of ranges) {
    for (let byte = low; byte < high; byte++) if (guest[byte] !== source[at++]) return false;
  }
  return at === source.length;
}
