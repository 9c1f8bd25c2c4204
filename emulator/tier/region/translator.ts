import { FloatFlag } from '../../bits/float-format.ts';
import { assert } from '../../check/assert.ts';
import type { Block } from '../../ir/block.ts';
import type { Decoded, Isa } from '../../isa/instruction.ts';
import { PAGE_SIZE, STATE, STATE_SIZE, TLB } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import {
  optimize,
  type OptimizeOptions,
  slotName,
  type PassContext,
  type PassCounters,
  PassTally,
} from '../../pass/pipeline.ts';
import { type CodeSource, NOWHERE } from '../code-space.ts';
import { exactFloat } from '../host-imports.ts';
import type { RuntimeOptions } from '../runtime.ts';
import type { TlbImports } from '../second-level.ts';
import type { AddressMarks } from './address-marks.ts';
import type { AddressSampler } from './address-sampler.ts';
import { type CodePage, recordsImport } from './code-page.ts';
import { CodeReader, type ReadableCode, ReadablePages } from './code-reader.ts';
import { type CodeStore, importsAlike, isSource, sourceOf, type StoredCode, type WarmCode } from './code-store.ts';
import { Discovery, type DiscoveryLimits } from './discover.ts';
import type { KnownPage } from './known-code.ts';
import type { RegionNode } from './node.ts';
import { PageCachePlaces } from './page-cache.ts';
import { type PlacedRegion, type RegionSites, sitesOf } from './region.ts';
import type { LiftedBlock } from './straight-run.ts';
import { type CompiledRegion, type Present, type TranslationOptions, translateRegion } from './translate.ts';

/** What translation looks at and reports to. */
export interface TranslatorOptions extends RuntimeOptions, ReadableCode {
  /** The slow paths behind address translation. */
  readonly tlb?: TlbImports;
  /** Calls helper `index` of the ISA; regions leave such instructions to the interpreter unless given. */
  readonly helper?: (index: number) => number;
  /** As `recordsOf`, but lets a page have records that has none. */
  readonly admitPage: (place: number) => number;
  readonly limits: DiscoveryLimits;
  /** Names of passes to leave out; all when `passes` is false. */
  readonly disabledPasses?: ReadonlySet<string>;
  readonly passes: boolean;
  readonly guardGain: number;
  readonly jumpTargets: (pc: number) => readonly number[];
  /** A region is about to be left for a store to code, which it has not done. */
  readonly withheld: () => void;
  readonly floatCalled: () => void;
  /** See PageCachePlaces; 0 unless given. */
  readonly firstPageCache?: number;
  /** Milliseconds; without it no times are taken. */
  readonly now?: () => number;
}

/** Exact but for the time. */
export interface TranslationCounters {
  /** Regions made from guest code. */
  translated: number;
  /** Regions taken from the store of emitted code. */
  reused: number;
  guestInstructions: number;
  irOps: number;
  wasmOps: number;
  wasmBytes: number;
  /** In finding what belongs to regions, lifting it and the passes; regions that were not made included. */
  discoverMilliseconds: number;
  /** In emitting WebAssembly. */
  milliseconds: number;
  /** In `new WebAssembly.Module` and `Instance`. */
  compileMilliseconds: number;
  /** Regions made in the background that were of no use any more: code, modes or memory had changed. */
  outdated: number;
  /** Times that whoever compiles in the background was gone. */
  compilersLost: number;
}

/** What was made of the code between two addresses. */
interface KnownBlock extends LiftedBlock {
  readonly end: number;
  readonly modes: string;
  /** Where its first and its last byte were, with the code that was there. */
  readonly first: KnownPage;
  readonly last: KnownPage;
}

/** What the mode registers hold. */
interface ModeValues {
  readonly key: string;
  readonly context: PassContext;
}

/** Blocks remembered; then they are forgotten and begun anew. [measured: of a boot's that are made again three quarters are within so many] */
const MOST_BLOCKS = 2000;

/** Switch guards of loops, their copies, windows of floating-point checks and copies of bytes as one off by name, as passes are. */
export const LOOP_GUARDS = 'loop-guards';
export const UNROLLING = 'unrolling';
export const FLOAT_WINDOWS = 'float-windows';
export const BYTE_COPIES = 'byte-copies';

/** Makes regions of guest code. */
export class Translator {
  readonly counters: TranslationCounters = {
    translated: 0,
    reused: 0,
    guestInstructions: 0,
    irOps: 0,
    wasmOps: 0,
    wasmBytes: 0,
    discoverMilliseconds: 0,
    milliseconds: 0,
    compileMilliseconds: 0,
    outdated: 0,
    compilersLost: 0,
  };
  readonly #isa: Isa;
  readonly #options: TranslatorOptions;
  readonly #addresses: AddressSampler;
  readonly #store: CodeStore;
  readonly #code: CodeSource;
  readonly #state: DataView<ArrayBuffer>;
  /** What regions import. */
  readonly #env: WebAssembly.ModuleImports;
  /** Of modules with several regions, for those that import the same. */
  readonly #shared = new WeakMap<WebAssembly.Module, WebAssembly.Instance>();
  readonly #reader: CodeReader;
  readonly #blocks = new Map<number, KnownBlock>();
  readonly #pageCaches: PageCachePlaces;
  #lastModes: ModeValues | undefined = undefined;
  #passes: OptimizeOptions & { readonly tally: PassTally };
  readonly #translation: TranslationOptions;
  /** Instructions whose common course is refused too often. */
  readonly #refused = new Set<number>();

  constructor(
    isa: Isa,
    memory: WebAssembly.Memory,
    addresses: AddressSampler,
    store: CodeStore,
    options: TranslatorOptions,
  ) {
    const buffer = memory.buffer as ArrayBuffer;
    this.#isa = isa;
    this.#addresses = addresses;
    this.#store = store;
    this.#options = options;
    this.#reader = new CodeReader(isa, options);
    this.#code = options.code;
    this.#pageCaches = new PageCachePlaces(options.firstPageCache);
    this.#state = new DataView(buffer, STATE, STATE_SIZE);
    const { withheld, helper = noHelper, tlb, passes, disabledPasses, guestSize, translated } = options;
    this.#passes = { tally: new PassTally(), disabled: disabledPasses, now: options.now };
    this.#translation = {
      guestSize,
      ...(translated === undefined ? {} : { translated }),
      guardGain: disabledPasses?.has(LOOP_GUARDS) === true ? Infinity : options.guardGain,
      unrolling: passes && disabledPasses?.has(UNROLLING) !== true,
      floatWindows: disabledPasses?.has(FLOAT_WINDOWS) !== true,
      byteCopies: passes && disabledPasses?.has(BYTE_COPIES) !== true,
    };
    this.#env = { memory, helper, float: noFloat, codeWritten: withheld, ...tlb };
  }

  /** The instruction at a guest address as executed, whether it may be translated or not. */
  decode(pc: number): Decoded | undefined {
    return this.#reader.decode(pc);
  }

  /** Gives an instruction its slow paths in line from now on. */
  refuse(pc: number): void {
    this.#refused.add(pc);
  }

  /** The region that would begin at a guest address. `elsewhere`: where other regions begin, which code is left to; nowhere unless given. */
  discovery(seed: number, elsewhere?: AddressMarks): Discovery {
    const { jumpTargets, limits } = this.#options;
    const pages = new ReadablePages(this.#reader, elsewhere);
    let modes: ModeValues | undefined;
    const view = {
      partAt: (pc: number) => pages.partAt(pc),
      jumpTargets,
      holdsCall: (name: string) => this.#options.helper !== undefined && this.#isa.helpers[name]!.straight === true,
      blockOf: (pc: number, end: number, lift: () => Block) =>
        this.#blockOf(pages, pc, end, (modes ??= this.#modeValues()), lift),
    };
    return new Discovery(this.#isa, view, seed, limits);
  }

  /** The nodes of a region without their blocks; empty when there is nothing to translate. */
  shapeOf(discovery: Discovery): RegionNode[] {
    return this.#timed(() => discovery.shape());
  }

  /** The nodes of a region; empty when there is nothing to translate. */
  nodesOf(discovery: Discovery): RegionNode[] {
    return this.#timed(() => discovery.nodes());
  }

  #timed(find: () => RegionNode[]): RegionNode[] {
    const { now } = this.#options;
    if (now === undefined) return find();
    const begin = now();
    const nodes = find();
    this.counters.discoverMilliseconds += now() - begin;
    return nodes;
  }

  /** The emitted code of an earlier translation from `seed` that is wanted and still fits, if there is one. */
  stored(seed: number, isWanted: (code: CompiledRegion) => boolean = () => true): PlacedRegion | undefined {
    const use = (stored: StoredCode) => (isWanted(stored.code) ? this.#place(stored) : undefined);
    let found = this.#store.find(seed, use);
    while (found !== undefined && !this.#store.verify(found.code)) found = this.#store.find(seed, use);
    if (found !== undefined) this.counters.reused++;
    return found;
  }

  /** Where the code of a stored translation is now, if all of that is known and the bytes are what they were. */
  #place({ code, source }: StoredCode): PlacedRegion | undefined {
    if (!this.#fits(code)) return undefined;
    const pages: { readonly pc: number; readonly place: number; records: number }[] = [];
    for (const pc of code.pages) {
      const place = this.#code.placeOf(pc);
      if (place === NOWHERE) return undefined;
      pages.push({ pc, place, records: 0 });
    }
    const sites = sitesOf(code, pages);
    if (!isSource(this.#code.bytes, sites.ranges, source)) return undefined;
    for (const page of pages) page.records = this.#options.admitPage(page.place);
    // To make room, the records of another of them may have been given up.
    if (pages.some(({ place, records }) => this.#options.recordsOf(place) !== records)) return undefined;
    return { code, sites };
  }

  /** The guest bytes that a region was made of, range after range. */
  sourceOf({ ranges }: RegionSites): Uint8Array<ArrayBuffer> {
    return sourceOf(this.#code.bytes, ranges);
  }

  /** Emits the code of a region. */
  translate(nodes: readonly RegionNode[]): PlacedRegion {
    const { now } = this.#options;
    const begin = now?.() ?? 0;
    const pages = this.#pagesOf(nodes);
    const code = translateRegion(
      this.#isa,
      nodes,
      this.#translation,
      this.#refused,
      this.#addresses,
      this.#circumstances(),
      addressesOf(pages),
    );
    const { counters } = this;
    counters.translated++;
    counters.guestInstructions += code.counters.instructions;
    counters.irOps += code.counters.irOps;
    counters.wasmOps += code.counters.wasmOps;
    counters.wasmBytes += code.bytes.length;
    if (now !== undefined) counters.milliseconds += now() - begin;
    const sites = sitesOf(code, pages);
    this.#store.add(code, this.sourceOf(sites));
    return { code, sites };
  }

  /** Takes up code made elsewhere of `source`; false when it does not fit any more. */
  adopt({ code, sites }: PlacedRegion, source: Uint8Array): boolean {
    if (!isSource(this.#code.bytes, sites.ranges, source)) return false;
    // Behind translation it looks itself where its pages are and what the modes are: the guest may just be in its kernel, or in another process.
    const fits = this.#code.contiguous
      ? this.#fits(code)
      : sites.pages.every(({ place, records }) => this.#options.recordsOf(place) === records);
    if (!fits) return false;
    this.#store.add(code, source);
    return true;
  }

  get passCounters(): PassCounters {
    return this.#passes.tally.byName();
  }

  /** What passes have done since this was asked last. */
  takePassCounters(): PassCounters {
    const { passCounters } = this;
    this.#passes = { ...this.#passes, tally: new PassTally() };
    return passCounters;
  }

  /** Counts what was done elsewhere. */
  count(counters: TranslationCounters, passCounters: PassCounters): void {
    for (const [name, value] of Object.entries(counters)) this.counters[name as keyof TranslationCounters] += value;
    this.#passes.tally.add(passCounters);
  }

  /** The `run` of emitted code, which may have been compiled already. */
  instantiate({ code, sites }: PlacedRegion, compiled?: WebAssembly.Module): WebAssembly.ExportValue {
    const { now } = this.#options;
    const begin = now?.() ?? 0;
    const { module, name, combined } = this.#moduleOf(code, compiled);
    const isShared = combined && importsAlike(code);
    let instance = isShared ? this.#shared.get(module) : undefined;
    if (instance === undefined) {
      const env = importsAlike(code)
        ? this.#env
        : { ...this.#env, float: this.#floatOf(code), ...recordsOf(sites.pages) };
      instance = new WebAssembly.Instance(module, { env });
      if (isShared) this.#shared.set(module, instance);
    }
    if (now !== undefined) this.counters.compileMilliseconds += now() - begin;
    return instance.exports[name]!;
  }

  #floatOf({ floatOps }: CompiledRegion): (index: number) => void {
    const { floatCalled } = this.#options;
    const computeFloat = exactFloat(this.#state, floatOps);
    return (index) => {
      floatCalled();
      computeFloat(index);
    };
  }

  #moduleOf(code: CompiledRegion, compiled: WebAssembly.Module | undefined): WarmCode {
    return compiled === undefined ? this.#store.moduleOf(code) : this.#store.keepWarm(code, compiled);
  }

  /** Code may have changed: nothing decoded or lifted before is to be used again. */
  forget(): void {
    this.#reader.known.forgetAll();
    this.#blocks.clear();
  }

  /** The same where only code of [place, place + length) has. */
  forgetCode(place: number, length: number): void {
    this.#reader.known.forget(place, length);
  }

  /** Regions that overlap, and the same one made anew, share the work on their blocks. */
  #blockOf(pages: ReadablePages, pc: number, end: number, modes: ModeValues, lift: () => Block): LiftedBlock {
    const first = pages.knownAt(pc);
    const last = pages.knownAt(end - 1);
    const there = this.#blocks.get(pc);
    const isSame = there?.end === end && there.first === first && there.last === last && there.modes === modes.key;
    if (isSame) return there;
    const lifted = lift();
    const made = { usesModes: this.#readsModes(lifted), block: this.#optimize(lifted, modes) };
    if (first === undefined || last === undefined) return made;
    if (this.#blocks.size >= MOST_BLOCKS) this.#blocks.clear();
    this.#blocks.set(pc, { ...made, end, modes: modes.key, first, last });
    return made;
  }

  #readsModes({ ops }: Block): boolean {
    const files = this.#isa.modes ?? [];
    for (let index = 0; index < ops.length; index++) {
      const op = ops[index]!;
      if (op.name === 'get' && files.includes(op.slot!.file)) return true;
    }
    return false;
  }

  /** The pages that nodes are in, the first node's first; none where addresses are not translated. */
  #pagesOf(nodes: readonly RegionNode[]): readonly CodePage[] {
    if (this.#code.contiguous) return [];
    const pages: CodePage[] = [];
    this.#addPages(pages, nodes[0]!.pc, nodes[0]!.pc + 1);
    for (let index = 0; index < nodes.length; index++) this.#addPages(pages, nodes[index]!.pc, nodes[index]!.end);
    // But for the first they are in the order of their addresses.
    return pages.length < 3 ? pages : [pages[0]!, ...pages.slice(1).sort((a, b) => a.pc - b.pc)];
  }

  /** Adds the pages of the guest bytes [start, end) that are not there; most regions are in one. */
  #addPages(pages: CodePage[], start: number, end: number): void {
    if (start === end) return;
    for (let page = Math.floor(start / PAGE_SIZE) * PAGE_SIZE; page < end; page += PAGE_SIZE) {
      let at = 0;
      while (at < pages.length && pages[at]!.pc !== page) at++;
      if (at < pages.length) continue;
      const place = this.#code.placeOf(page);
      assert(place !== NOWHERE, 'code that was just read is there');
      pages.push({ pc: page, place, records: this.#options.recordsOf(place) });
    }
  }

  #modeValues(): ModeValues {
    const files = this.#isa.modes ?? [];
    const held = files.map(({ offset }) => this.#mode(offset));
    const key = held.join();
    // They seldom change from one region to the next.
    if (key === this.#lastModes?.key) return this.#lastModes;
    const known = files.map((file, at) => [slotName({ file, index: 0 }), BigInt(held[at]! >>> 0)] as const);
    const ordinaryMemory = this.#code.contiguous;
    const context = { knownIn: new Map(known), modes: files, ordinaryMemory, writableIsReadable: ordinaryMemory };
    this.#lastModes = { key, context };
    return this.#lastModes;
  }

  #optimize(block: Block, modes: ModeValues): Block {
    return this.#options.passes ? optimize(block, modes.context, this.#passes) : block;
  }

  #mode(offset: number): number {
    return this.#state.getInt32(offset, true);
  }

  #circumstances(): Present {
    const files = this.#isa.modes ?? [];
    const modes: (readonly [number, number])[] = [];
    for (let at = 0; at < files.length; at++) modes.push([files[at]!.offset, this.#mode(files[at]!.offset)]);
    const inexactAccrued = (this.#state.getUint32(StateOffset.floatFlags, true) & FloatFlag.inexact) !== 0;
    if (this.#code.contiguous || this.#mode(StateOffset.dataTlb) !== TLB) return { modes, inexactAccrued };
    return { modes, inexactAccrued, pageCaches: this.#pageCaches };
  }

  /** Whether emitted code may run now: its assumptions about memory hold, and modes and flags are the same. */
  #fits({ assumptions, circumstances }: CompiledRegion): boolean {
    if (circumstances.modes.some(([offset, value]) => this.#mode(offset) !== value)) return false;
    if (circumstances.inexactAccrued && !this.#circumstances().inexactAccrued) return false;
    return assumptions.every((assumption) => this.#addresses.holds(assumption));
  }
}

function addressesOf(pages: readonly CodePage[]): readonly number[] {
  const addresses: number[] = [];
  for (let at = 0; at < pages.length; at++) addresses.push(pages[at]!.pc);
  return addresses;
}

/** What regions import of their pages. */
function recordsOf(pages: readonly CodePage[]): WebAssembly.ModuleImports {
  const globals: WebAssembly.ModuleImports = {};
  for (let at = 0; at < pages.length; at++) globals[recordsImport(at)] = pages[at]!.records;
  return globals;
}

function noFloat(): void {
  throw new TypeError('a region asks for operations that it lists');
}

/** Regions hold no instruction that calls a helper, unless they are given one to call. */
function noHelper(): number {
  throw new TypeError('a region has no helper calls');
}
