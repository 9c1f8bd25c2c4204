import type { Isa } from '../isa/instruction.ts';
import { PAGE_SIZE, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import { Hotspots } from './hotspots.ts';
import { ENTERED, Interpreter } from './interpreter/interpreter.ts';
import type { PassCounters } from '../pass/pipeline.ts';
import { CompilerClient } from './background/client.ts';
import { BackgroundTranslation } from './background/translation.ts';
import type { TieredCounters, TieredOptions, TranslationReason } from './engine-options.ts';
import { AUTO, type TierPolicy } from './policy.ts';
import { AddressSampler } from './region/address-sampler.ts';
import { CodeStore } from './region/code-store.ts';
import { ARRIVALS_LOOKED_AT, Dispatcher } from './region/dispatcher.ts';
import { chooseEntry } from './region/entry.ts';
import type { RegionNode } from './region/node.ts';
import type { CodeSpace } from './code-space.ts';
import { tlbImports } from './tlb-path.ts';
import { sitesOf, type Region } from './region/region.ts';
import { type Entry, RegionTable } from './region/region-table.ts';
import { Status } from './region/status.ts';
import { type CompiledRegion, rangesOf } from './region/translate.ts';
import { Translator, type TranslationCounters } from './region/translator.ts';

/** Guest instructions after whose translation the translator has become half as dear again. */
const COLD_INSTRUCTIONS = 200;
/** Transitions between regions before it is looked whether some should be one. */
const MANY_CHAINED = 10_000;
/** The same for each region that lives: all of them are looked at. */
const CHAINED_A_REGION = 100;
/** Times in a row that a region is tried again at once. */
const FEW_EVICTIONS = 4;
/** Instructions interpreted before an entry that was refused is tried again. */
const FEW_INSTRUCTIONS = 100;

/**
 * The interpreter, and on top of it regions of hot code as WebAssembly functions. Where the interpreter spends its time is sampled; what is
 * found hot is traced, translated and entered from then on. A region that meets something it does not do itself (a fault, a system
 * call, an odd floating-point operand) leaves the instruction to the interpreter.
 */
export class TieredEngine {
  readonly counters: TieredCounters;
  /** Level 3 of the translation cache. */
  readonly store: CodeStore;
  readonly #policy: TierPolicy;
  readonly #interpreter: Interpreter;
  readonly #state: DataView<ArrayBuffer>;
  readonly #hotspots = new Hotspots();
  readonly #addresses: AddressSampler;
  readonly #translator: Translator;
  readonly #code: CodeSpace;
  readonly #dispatcher: Dispatcher;
  readonly #regions: RegionTable;
  readonly #translated: TieredOptions['translated'];
  /** Undefined when the guest waits for translations. */
  #background: BackgroundTranslation | undefined;
  /** Eager translation does not try an address twice. */
  readonly #tried = new Set<number>();
  #untilSample: number;
  #chainedBefore = 0;
  /** Instructions of the next entry of regions. */
  #slice: number;
  /** Instructions retired when the present budget is used up. */
  #end = 0;

  constructor(isa: Isa, memory: WebAssembly.Memory, options: TieredOptions) {
    const buffer = memory.buffer as ArrayBuffer;
    const policy = options.policy ?? AUTO;
    this.#policy = policy;
    this.#translated = options.translated;
    this.#untilSample = policy.sampleInterval;
    this.#slice = policy.slice;
    this.#state = new DataView(buffer, STATE, STATE_SIZE);
    this.#addresses = new AddressSampler(isa, buffer, options.guestSize);
    this.#interpreter = new Interpreter(isa, memory, {
      ...options,
      codeChanged: (place, length) => {
        this.#translator.forget();
        this.#background?.client.changed(place, length);
        this.#regions.invalidate(place, length, 'code');
      },
      codePageAdded: (page) => {
        // Behind translation nothing is assumed of memory.
        if (options.translation !== undefined) return;
        this.#addresses.forget();
        this.#regions.invalidate(page, PAGE_SIZE, 'writes');
      },
    });
    const counters = Object.assign(this.#interpreter.counters, {
      regions: 0,
      regionEntries: 0,
      chained: 0,
      chainMisses: 0,
      arrivals: 0,
      regionInstructions: 0,
      refusals: 0,
      unsuited: 0,
      regionsDropped: 0,
    });
    this.counters = counters;
    const { code, main, recordShift } = this.#interpreter;
    this.#code = code;
    this.#dispatcher = new Dispatcher(memory, isa.alignment, main, recordShift, !code.contiguous);
    this.#regions = new RegionTable(
      this.#dispatcher,
      (place, marked) => this.#interpreter.markEntry(place, marked),
      ({ seed }) => {
        counters.regionsDropped++;
        this.#tried.delete(seed);
      },
    );
    this.store = options.store ?? new CodeStore();
    this.#translator = new Translator(isa, memory, this.#addresses, this.store, {
      guestSize: options.guestSize,
      translated: !code.contiguous,
      code,
      ...(options.translation
        ? { tlb: tlbImports(memory, options.translation.mmu), helper: this.#interpreter.callHelper }
        : {}),
      recordsOf: (place) => this.#interpreter.recordsOf(place),
      limits: policy.limits,
      passes: policy.passes,
      ...(options.disabledPasses ? { disabledPasses: options.disabledPasses } : {}),
      mayTranslate: (pc) => this.#interpreter.isDecoded(pc),
      jumpTargets: (pc) => this.#hotspots.jumpTargets(pc),
      codeWritten: (address, bytes) => this.#interpreter.codeWritten(address, bytes),
      floatCalled: () => counters.floatCalls++,
      ...(options.now ? { now: options.now } : {}),
    });
    if (options.compilers !== undefined && !policy.eager && options.translation === undefined) {
      const jumpTargets = (pc: number) => this.#hotspots.jumpTargets(pc);
      const connection = options.compilers.connect();
      this.#background = new BackgroundTranslation(
        new CompilerClient(isa, memory, options.guestSize, this.#interpreter, jumpTargets, connection),
        {
          policy,
          state: this.#state,
          interpreter: this.#interpreter,
          hotspots: this.#hotspots,
          regions: this.#regions,
          store: this.store,
          translator: this.#translator,
          add: (reason, code, made) => this.#add(reason, code, { nodes: [], ...made }),
        },
      );
    }
  }

  get translation(): TranslationCounters {
    return this.#translator.counters;
  }

  get passCounters(): PassCounters {
    return this.#translator.passCounters;
  }

  get regions(): Iterable<Region> {
    return this.#regions;
  }

  /** Bytes of WebAssembly that live regions have. */
  get liveBytes(): number {
    return this.#regions.bytes;
  }

  requestStop(): void {
    this.#interpreter.requestStop();
  }

  /** See Interpreter. */
  get retired(): number {
    return this.#interpreter.retired;
  }

  /** Whether a stop has been requested since the last call. */
  takeStop(): boolean {
    return this.#interpreter.takeStop();
  }

  /** See Vcpu.run. */
  run(budget: number): ExitReason {
    const { counters } = this;
    const end = counters.instructions + budget;
    this.#end = end;
    for (;;) {
      if (this.#interpreter.stopRequested) return ExitReason.helper;
      if (counters.instructions >= end) return ExitReason.budget;
      if (this.#policy.eager) this.#translateNow();
      const left = end - counters.instructions;
      const entry = this.#entryAt(this.#pc());
      let reason: ExitReason;
      if (left === 0) return ExitReason.budget;
      if (entry === undefined) reason = this.#interpret(left);
      else if (left < entry.region.code.longest) return this.#interpreter.runPastEntries(left);
      else reason = this.#runRegions(entry.region, entry.number);
      if (reason !== ExitReason.budget) return reason;
    }
  }

  /** The region that can be entered at a guest address now. Behind translation the TLB is made to lead to all of its pages. */
  #entryAt(pc: number): Entry | undefined {
    const entry = this.#regions.entryAt(pc);
    if (entry === undefined) return undefined;
    const { pages } = entry.region.code;
    for (const page of pages) {
      if (this.#code.placeOf(page.pc) !== page.place) return undefined;
      this.#code.link(page.pc | 0, Math.floor(page.pc / 2 ** 32), page.records);
    }
    return entry;
  }

  flushCode(gva: number, length: number): void {
    this.#background?.client.changed(gva, length);
    this.#regions.invalidate(gva, length, 'all');
    this.#addresses.forget();
    this.#translator.forget();
    this.#tried.clear();
    this.#interpreter.flushCode(gva, length);
  }

  checkInvariants(): void {
    this.#interpreter.checkInvariants();
    this.#regions.checkInvariants();
  }

  /** Interprets until an entry, a sample or the end of the budget; `budget` means go on. */
  #interpret(left: number): ExitReason {
    const { counters } = this;
    const eager = this.#policy.eager;
    const before = counters.instructions;
    const reason = this.#interpreter.run(eager ? 1 : Math.min(left, this.#untilSample));
    this.#untilSample -= counters.instructions - before;
    this.#takeCompiled();
    if (reason === ENTERED) {
      if (this.#entryAt(this.#pc()) !== undefined) return ExitReason.budget;
      // Another address of the same code, or another address space at the same address.
      return this.#interpreter.runPastEntries(Math.min(this.#end - counters.instructions, FEW_INSTRUCTIONS));
    }
    if (reason === ExitReason.budget && this.#untilSample <= 0) this.#sample();
    return reason;
  }

  /** Runs regions until control is where there is none; `budget` means go on at pc. */
  #runRegions(first: Region, number: number): ExitReason {
    const { counters } = this;
    let index = first.index;
    let entry = number;
    for (;;) {
      const least = this.#regions.byIndex(index).code.longest;
      const slice = Math.min(this.#end - counters.instructions, Math.max(this.#slice, least));
      this.#interpreter.beginSlice(slice);
      counters.regionEntries++;
      const status = this.#dispatcher.run(index, entry);
      counters.chained += this.#dispatcher.takeChained();
      const withheld = this.#interpreter.withheld;
      // What was withheld while the interpreter ran looks as if it had retired it.
      const counted = this.#dispatcher.takeInterpreted();
      const interpreted = (status & Status.interpreted) === 0 ? counted : counted - withheld;
      counters.regionInstructions -= interpreted;
      const retired = this.#interpreter.endSlice();
      if ((status & Status.interpreted) !== 0) {
        this.#retire(retired);
        return this.#interpretedUntil(status & ~Status.interpreted, interpreted);
      }
      index = this.#dispatcher.lastIndex;
      const region = this.#regions.byIndex(index);
      this.#slice = Math.min(4 * slice, this.#policy.slice);
      if ((status & Status.spent) !== 0) {
        this.#retire(retired);
        entry = status & ~Status.spent;
        this.#setPc(region.code.entries[entry - 1]!.pc);
        if (counters.chained - this.#chainedBefore > MANY_CHAINED + CHAINED_A_REGION * this.#regions.size) {
          this.#chainedBefore = counters.chained;
          this.#merge();
          return ExitReason.budget;
        }
        this.#takeCompiled();
        if (!region.live || this.#end - counters.instructions < region.code.longest) return ExitReason.budget;
        if (this.#interpreter.stopRequested) return ExitReason.budget;
        continue;
      }
      if (status === Status.unsuited) {
        this.#retire(retired);
        return this.#unsuited(region);
      }
      const number = status & Status.exitMask;
      if (status === Status.left || (status & Status.dynamic) !== 0) {
        this.#retire(retired);
        if (number !== 0) this.#noteJump(region, number);
        return this.#arrive(region);
      }
      const exit = region.exit(number);
      region.exitCounts[number - 1]!++;
      this.#retire(retired - exit.refund);
      this.#setPc(exit.pc);
      const reason = (status >>> Status.reasonShift) & Status.reasonMask;
      if (reason !== 0) return reason as ExitReason;
      if (exit.kind === 'unheld') {
        const reason = this.#interpreter.runPastEntries(Math.min(1, this.#end - counters.instructions));
        return reason === ExitReason.budget ? this.#arrive(region) : reason;
      }
      counters.refusals++;
      this.#refuse(region, exit.pc);
      return this.#interpreter.runPastEntries(Math.min(1, this.#end - counters.instructions));
    }
  }

  /** The interpreter was the last to run. It is sampled as when it runs alone, so slices are short as long as it does. */
  #interpretedUntil(reason: number, interpreted: number): ExitReason {
    this.#untilSample -= interpreted;
    this.#takeCompiled();
    this.#slice = Math.min(this.#policy.slice, 2 * this.#policy.sampleInterval);
    const outcome = this.#interpreter.conclude(reason);
    if (outcome !== ExitReason.budget && outcome !== ExitReason.miss) return outcome;
    if (outcome === ExitReason.budget && this.#untilSample <= 0) this.#sample();
    return ExitReason.budget;
  }

  #retire(instructions: number): void {
    this.counters.instructions += instructions;
    this.counters.regionInstructions += instructions;
  }

  #pc(): number {
    const state = this.#state;
    return state.getUint32(StateOffset.pc, true) + 2 ** 32 * state.getInt32(StateOffset.pc + 4, true);
  }

  #setPc(pc: number): void {
    this.#state.setInt32(StateOffset.pc, pc | 0, true);
    this.#state.setInt32(StateOffset.pc + 4, Math.floor(pc / 2 ** 32), true);
  }

  /** Learns where an indirect jump of a region goes; a region that does not know its targets is made anew. */
  #noteJump(region: Region, number: number): void {
    const exit = region.exit(number);
    if (exit.kind !== 'indirect') return;
    this.#hotspots.jumped(exit.pc, this.#pc());
    this.#background?.client.jumped(exit.pc);
    if (++region.exitCounts[number - 1]! === this.#worthwhile(region, this.#policy.hotExits)) this.#renew(region);
  }

  /** Control left a region: when it keeps going to code without one, the region grows or another begins there. */
  #arrive(region: Region): ExitReason {
    const pc = this.#pc();
    const entry = this.#entryAt(pc);
    if (entry !== undefined) {
      this.counters.chainMisses++;
      this.#dispatcher.cache(pc, entry.region.index, entry.number, entry.region.code.pages);
      return ExitReason.budget;
    }
    this.counters.arrivals++;
    const times = this.#hotspots.arrived(pc, this.#policy.eager ? 1 : ARRIVALS_LOOKED_AT);
    if (times < this.#policy.hotExits || times < this.#hotspots.awaited(pc) || !this.#interpreter.isDecoded(pc))
      return ExitReason.budget;
    if (this.#background?.ready === true) {
      this.#background.arrived(pc, times, region);
      return ExitReason.budget;
    }
    const isElsewhere = (at: number) => this.#regions.entryAt(at) !== undefined;
    const { entry: seed, instructions } = this.#survey(pc, isElsewhere);
    if (seed === undefined) return ExitReason.budget;
    if (times * this.#policy.exitCost < this.#cost(instructions)) {
      this.#hotspots.await(pc, 2 * times);
      return ExitReason.budget;
    }
    const made = this.#install('arrivals', seed, this.#translator.discover(seed, { isElsewhere }));
    if (made !== undefined && region.live) made.parent = region;
    return ExitReason.budget;
  }

  /** Takes regions into those that keep going to them and back, when that has cost as much as translating both again. */
  #merge(): void {
    this.#regions.countUses();
    const { chainCost } = this.#policy;
    for (const region of this.#regions) {
      // The parent may have been made anew since.
      const parent = region.parent && this.#regions.entryAt(region.parent.seed)?.region;
      if (parent === undefined || parent === region) continue;
      const instructions = region.code.counters.instructions + parent.code.counters.instructions;
      if (region.uses * chainCost < this.#cost(instructions)) continue;
      region.parent = undefined;
      if (this.#background?.ready === true) return this.#background.merge(region, parent);
      // A callee leads to its caller only by a return, so it is the caller that can take it in.
      for (const [outer, inner] of [
        [region, parent],
        [parent, region],
      ] as const) {
        const nodes = this.#translator.discover(outer.seed, { shapeOnly: true });
        if (!nodes.some(({ pc }) => pc === inner.seed)) continue;
        this.#renew(outer);
        break;
      }
      // The rest begins with a change of what is live.
      return;
    }
  }

  /** What translating so many guest instructions costs, in interpreted ones; the first are dearer, for V8 has not compiled the translator. */
  #cost(instructions: number): number {
    const { cost, coldCost } = this.#policy;
    const done = this.#translator.counters.guestInstructions;
    return instructions * (cost + coldCost / (1 + done / COLD_INSTRUCTIONS));
  }

  /** How many exits of a region, but no fewer than `least`, cost as much as translating it again. */
  #worthwhile({ code }: Region, least: number, price = this.#policy.exitCost): number {
    return Math.max(least, Math.ceil(this.#cost(code.counters.instructions) / price));
  }

  /** Modes or flags are not those of the region; when that keeps happening it is made anew for what they are now. */
  #unsuited(region: Region): ExitReason {
    this.counters.unsuited++;
    const { pages } = region.code;
    // A page was evicted from the TLB: on the way here it has been entered again, unless it is elsewhere now or two evict each other.
    if (pages.length > 1 && ++region.evictions % FEW_EVICTIONS !== 0) return ExitReason.budget;
    if (++region.refusedEntries === this.#policy.manyRefusals) this.#renew(region);
    return this.#interpreter.runPastEntries(Math.min(this.#end - this.counters.instructions, FEW_INSTRUCTIONS));
  }

  /** A region gave an instruction back. */
  #refuse(region: Region, pc: number): void {
    if (region.renewing) return;
    const times = this.#hotspots.refused(pc);
    if (times % this.#worthwhile(region, this.#policy.manyRefusals, this.#policy.refusalCost) !== 0) return;
    if (!this.#addresses.distrusted(pc)) {
      // A function that is called with addresses of another kind has more such instructions; and when one was not enough, so have others.
      for (const [low, high] of region.code.ranges)
        if (region.distrusts > 0 || (pc >= low && pc < high)) this.#distrust(low, high);
    } else {
      this.#translator.refuse(pc);
      this.#background?.client.refused(pc);
    }
    this.#renew(region, true);
  }

  #distrust(low: number, high: number): void {
    this.#addresses.distrust(low, high);
    this.#background?.client.distrusted(low, high);
  }

  /** Looks where the interpreter is, and translates what it has been seen at often enough to be worth the cost. */
  #sample(): void {
    const { sampleInterval, hotSamples, leastRegion, warmUp } = this.#policy;
    this.#untilSample = sampleInterval;
    const pc = this.#pc();
    const samples = this.#hotspots.sampled(pc);
    if (this.#background?.ready === true) return this.#background.sampled(pc, samples, this.#end);
    if (samples < hotSamples || samples * sampleInterval < this.#cost(leastRegion)) return;
    // At the end of the budget there is nothing left to look at; the next sample may be elsewhere.
    if (this.counters.instructions < warmUp || this.counters.instructions >= this.#end) return;
    const seed = this.#trace();
    if (seed === undefined) {
      this.#hotspots.wait(pc, 2 * samples);
      return;
    }
    const { entry, instructions, ranges } = this.#survey(seed);
    const interpreted =
      sampleInterval * ranges.reduce((sum, [low, high]) => sum + this.#hotspots.samplesIn(low, high), 0);
    if (interpreted < this.#cost(instructions)) this.#hotspots.wait(pc, 2 * samples);
    else if (entry !== undefined) this.#install('sampled', entry, this.#translator.discover(entry));
  }

  /** The region that would be made around an address, without its code; no entry when it is there already or nothing can be translated. */
  #survey(
    seed: number,
    isElsewhere: (pc: number) => boolean = () => false,
  ): { entry?: number; instructions: number; ranges: readonly (readonly [number, number])[] } {
    let nodes = this.#translator.discover(seed, { shapeOnly: true, isElsewhere });
    if (nodes.length === 0) return { instructions: 0, ranges: [] };
    const entry = chooseEntry(nodes);
    // A region that holds the seed already is come back to at its next entry.
    if (this.#regions.entryAt(entry)?.region.holds(seed) === true) return { instructions: 0, ranges: [] };
    if (entry !== seed) nodes = this.#translator.discover(entry, { shapeOnly: true, isElsewhere });
    return { entry, instructions: instructionsOf(nodes), ranges: rangesOf(nodes) };
  }

  /** Runs instruction by instruction and gives the address that backward jumps and calls reached most often. */
  #trace(): number | undefined {
    const { counters } = this;
    const seen = new Map<number, number>();
    let best: number | undefined;
    let most = 0;
    for (let step = 0; step < this.#policy.traceLength && counters.instructions < this.#end; step++) {
      const from = this.#pc();
      if (this.#regions.entryAt(from) !== undefined) return best;
      const decoded = this.#translator.decode(from);
      if (decoded === undefined) return best;
      this.#addresses.note(from, decoded);
      // What traps or faults is not done yet, and comes out of the next run.
      if (this.#interpreter.run(1) !== ExitReason.budget) return best;
      const to = this.#pc();
      if (to === from + decoded.length) continue;
      this.#hotspots.jumped(from, to);
      if (to > from) continue;
      const times = (seen.get(to) ?? 0) + 1;
      seen.set(to, times);
      if (times > most) {
        most = times;
        best = to;
      }
    }
    return best;
  }

  /** Eager: translates from pc unless that has been tried. */
  #translateNow(): void {
    const pc = this.#pc();
    if (this.#tried.has(pc) || this.#regions.entryAt(pc) !== undefined) return;
    this.#tried.add(pc);
    if (!this.#interpreter.prepare()) return;
    this.#install('reached', pc, this.#translator.discover(pc));
  }

  #install(reason: TranslationReason, seed: number, nodes: readonly RegionNode[], generation = 0): Region | undefined {
    if (nodes.length === 0) return undefined;
    const stored = reason === 'renewed' ? undefined : this.#translator.stored(seed);
    if (stored === undefined && this.#code.contiguous) this.#observe(nodes);
    const code = stored ?? this.#translator.translate(nodes);
    return this.#add(reason, code, { nodes, generation, reused: stored !== undefined });
  }

  #add(
    reason: TranslationReason,
    code: CompiledRegion,
    made: { nodes: readonly RegionNode[]; generation: number; reused: boolean; module?: WebAssembly.Module },
  ): Region {
    const { nodes, generation, reused, module } = made;
    // Not all of it need have been executed in this run; without translation, addresses are places.
    if (reused) for (const [low, high] of code.ranges) this.#interpreter.guard(low, high - low);
    const { counters } = this;
    counters.regions++;
    const sites = sitesOf(code);
    // An instruction that runs on into another page has no record there.
    if (!this.#code.contiguous) for (const [low, high] of sites.ranges) this.#interpreter.noteCode(low, high);
    const region = this.#regions.add(code, this.#translator.instantiate(code, module), generation, sites);
    this.#translated?.({ reason, instructions: counters.instructions, nodes, region, reused });
    return region;
  }

  /** Runs some instructions one by one to see where those of the nodes access memory. */
  #observe(nodes: readonly RegionNode[]): void {
    const wanted = new Set<number>();
    for (const { block } of nodes) {
      let pc = 0;
      for (const op of block.ops) {
        if (op.name === 'insn') pc = Number(op.pc);
        else if ((op.name === 'load' || op.name === 'store') && this.#addresses.observed(pc) === undefined)
          wanted.add(pc);
      }
    }
    const { counters } = this;
    for (let step = 0; step < this.#policy.observedSteps && wanted.size > 0; step++) {
      if (counters.instructions >= this.#end) return;
      const pc = this.#pc();
      const decoded = this.#translator.decode(pc);
      if (decoded === undefined) return;
      if (wanted.delete(pc)) this.#addresses.note(pc, decoded);
      if (this.#interpreter.runPastEntries(1) !== ExitReason.budget) return;
    }
  }

  #takeCompiled(): void {
    if (this.#background?.take() !== 'lost') return;
    this.#translator.counters.compilersLost++;
    this.#background = undefined;
  }

  /** Translates a region again, for what is known by now; `refusal`: it gave instructions back. */
  #renew(region: Region, refusal = false): void {
    const generation = refusal ? region.generation : region.generation + 1;
    if (!region.live || generation > this.#policy.generations) return;
    if (this.#background?.ready === true) return this.#background.renew(region, refusal);
    this.#regions.remove(region);
    const renewed = this.#install('renewed', region.seed, this.#translator.discover(region.seed), generation);
    if (renewed !== undefined) renewed.distrusts = region.distrusts + (refusal ? 1 : 0);
  }
}

function instructionsOf(nodes: readonly RegionNode[]): number {
  return nodes.reduce((sum, { instructions }) => sum + instructions, 0);
}
