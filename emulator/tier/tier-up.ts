import type { Isa } from '../isa/instruction.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import { CompilerClient } from './background/client.ts';
import { BackgroundTranslation } from './background/translation.ts';
import type { CodeSpace } from './code-space.ts';
import type { TieredCounters, TieredOptions, TranslationReason } from './engine-options.ts';
import { Hotspots } from './hotspots.ts';
import type { Interpreter } from './interpreter/interpreter.ts';
import { KnownRegions } from './known-regions.ts';
import type { TierPolicy } from './policy.ts';
import { readPc } from './program-counter.ts';
import type { AddressMarks } from './region/address-marks.ts';
import { AddressSampler } from './region/address-sampler.ts';
import { CodeStore } from './region/code-store.ts';
import type { Discovery } from './region/discover.ts';
import { chooseEntry } from './region/entry.ts';
import type { RegionNode } from './region/node.ts';
import type { PlacedRegion, Region } from './region/region.ts';
import type { RegionTable } from './region/region-table.ts';
import { rangesOf } from './region/translate.ts';
import { Translator } from './region/translator.ts';
import { Stepper } from './stepper.ts';
import { type CodeGuard, tlbImports } from './tlb-imports.ts';
import { TranslationCost } from './translation-cost.ts';

/** How much code a region would hold, and where. */
interface Extent {
  readonly instructions: number;
  readonly ranges: readonly (readonly [number, number])[];
}

/** What a region would be. */
interface Survey extends Extent {
  readonly discovery: Discovery;
  readonly entry: number | undefined;
}

/** What an engine gives to the part of it that decides on translations. */
interface EngineParts {
  readonly policy: TierPolicy;
  readonly state: DataView<ArrayBuffer>;
  readonly interpreter: Interpreter;
  readonly regions: RegionTable;
  readonly counters: TieredCounters;
}

/** Decides what is translated and when, does it or has it done, and installs what comes of it. All by counts, so that runs repeat exactly. */
export class TierUp {
  /** Instructions retired when the present budget is used up. */
  end = 0;
  readonly translator: Translator;
  /** Level 3 of the translation cache. */
  readonly store: CodeStore;
  readonly #policy: TierPolicy;
  readonly #state: DataView<ArrayBuffer>;
  readonly #interpreter: Interpreter;
  readonly #regions: RegionTable;
  readonly #counters: TieredCounters;
  readonly #code: CodeSpace;
  readonly #hotspots = new Hotspots();
  readonly #addresses: AddressSampler;
  readonly #cost: TranslationCost;
  readonly #stepper: Stepper;
  readonly #known: KnownRegions;
  readonly #translated: TieredOptions['translated'];
  /** Undefined when the guest waits for translations. */
  #background: BackgroundTranslation | undefined;
  /** Eager translation does not try an address twice. */
  readonly #tried = new Set<number>();
  /** By guest address where control arrived, the region that was not worth being made there. */
  readonly #unworthy = new Map<number, Extent>();
  #withheld = false;

  constructor(isa: Isa, memory: WebAssembly.Memory, options: TieredOptions, engine: EngineParts) {
    const { policy, state, interpreter, regions, counters } = engine;
    const { code } = interpreter;
    this.#policy = policy;
    this.#state = state;
    this.#interpreter = interpreter;
    this.#regions = regions;
    this.#counters = counters;
    this.#code = code;
    this.#translated = options.translated;
    this.#addresses = new AddressSampler(
      isa,
      memory.buffer as ArrayBuffer,
      options.guestSize,
      options.translation !== undefined,
    );
    this.store = options.store ?? new CodeStore();
    const jumpTargets = (pc: number) => this.#hotspots.jumpTargets(pc);
    this.translator = new Translator(isa, memory, this.#addresses, this.store, {
      guestSize: options.guestSize,
      translated: !code.contiguous,
      code,
      decodeExecuted: interpreter.decodeExecuted,
      classAt: interpreter.classAt,
      ...(options.translation
        ? { tlb: tlbImports(memory, options.translation.mmu, this.#guard()), helper: interpreter.callHelper }
        : {}),
      recordsOf: (place) => interpreter.recordsOf(place),
      admitPage: (place) => interpreter.admitPage(place),
      limits: policy.limits,
      passes: policy.passes,
      guardGain: policy.guardGain,
      ...(options.disabledPasses ? { disabledPasses: options.disabledPasses } : {}),
      isExecuted: (place) => interpreter.isDecodedAt(place),
      isKnown: (place) => this.translator.counters.reused > 0 && regions.holds(place),
      jumpTargets,
      withheld: () => this.#withhold(),
      floatCalled: () => counters.floatCalls++,
      ...(options.now ? { now: options.now } : {}),
    });
    const { translator, store } = this;
    this.#cost = new TranslationCost(policy, translator.counters, counters, options.account);
    this.#stepper = new Stepper({
      state,
      interpreter,
      translator,
      addresses: this.#addresses,
      hotspots: this.#hotspots,
      regions,
    });
    const add = (reason: TranslationReason, stored: PlacedRegion) => this.#addStored(reason, stored);
    this.#known = new KnownRegions({ policy, interpreter, regions, store, translator, add });
    if (options.compilers !== undefined && !policy.eager) {
      const connection = options.compilers.connect();
      this.#background = new BackgroundTranslation(
        new CompilerClient(isa, memory, options.guestSize, interpreter, jumpTargets, connection),
        {
          policy,
          state,
          interpreter,
          hotspots: this.#hotspots,
          regions,
          store,
          translator,
          add: (reason, placed, made) => this.#add(reason, placed, { nodes: [], ...made }),
        },
      );
    }
  }

  /** Whether a region was left since the last call because it was about to write over code, maybe its own: the interpreter does that. */
  takeWithheld(): boolean {
    const withheld = this.#withheld;
    this.#withheld = false;
    return withheld;
  }

  /** Decoded code of [place, place + length) is not what it was. */
  codeChanged(place: number, length: number): void {
    this.translator.forgetCode(place, length);
    this.#background?.client.changed(place, length);
    this.#regions.invalidate(place, length, 'code');
  }

  /** A page has code for the first time. */
  codePageAdded(page: number): void {
    // Behind translation nothing is assumed of memory.
    if (!this.#code.contiguous) return;
    this.#addresses.forget();
    this.#regions.invalidate(page, PAGE_SIZE, 'writes');
  }

  /** See `KnownRegions.pageReached`. */
  codePageReached(page: number, pc: number): void {
    if (!this.#policy.eager) this.#known.pageReached(page, pc);
  }

  /** See `KnownRegions.reached`. */
  expected(pc: number): void {
    this.#known.reached(pc);
  }

  /** Code or protection of guest bytes [gva, gva + length) may be anything now. */
  flushCode(gva: number, length: number): void {
    this.#background?.client.changed(gva, length);
    this.#regions.invalidate(gva, length, 'all');
    this.#addresses.forget();
    this.translator.forget();
    this.#tried.clear();
    this.#unworthy.clear();
  }

  /** A region was evicted or made invalid. */
  dropped({ seed }: Region): void {
    this.#tried.delete(seed);
  }

  /** Installs what has been compiled beside the guest. */
  takeCompiled(): void {
    if (this.#background?.take() !== 'lost') return;
    this.translator.counters.compilersLost++;
    this.#background = undefined;
  }

  /** Eager: translates from pc unless that has been tried. */
  reached(pc: number): void {
    if (this.#tried.has(pc) || this.#regions.entryAt(pc) !== undefined) return;
    this.#tried.add(pc);
    if (!this.#interpreter.prepare()) return;
    const stored = this.translator.stored(pc);
    if (stored !== undefined) this.#addStored('reached', stored);
    else this.#install('reached', this.translator.discovery(pc));
  }

  /** The interpreter has run so many samples' length and is at pc: translates what it has been seen at often enough to be worth the cost. */
  sampled(pc: number, times: number): void {
    const { sampleInterval, hotSamples, leastRegion, traceLength } = this.#policy;
    const samples = this.#hotspots.sampled(pc, times);
    const prefetched = this.#known.promote(pc);
    if (prefetched !== undefined) {
      this.#counters.prefetched += prefetched;
      return;
    }
    if (this.#background?.ready === true) return this.#background.sampled(pc, samples, this.end);
    if (samples < hotSamples || samples * sampleInterval < this.#cost.of(leastRegion)) return;
    // At the end of the budget there is nothing left to look at; the next sample may be elsewhere.
    if (this.#counters.instructions >= this.end || !this.#cost.mayBegin(this.#hotspots.lines)) return;
    const seed = this.#stepper.trace(traceLength, this.end);
    if (seed === undefined) {
      this.#hotspots.wait(pc, 2 * samples);
      return;
    }
    const { entry, discovery, instructions, ranges } = this.#survey(seed);
    const interpreted = sampleInterval * this.#hotspots.samplesIn(ranges);
    if (interpreted < this.#cost.of(instructions)) this.#hotspots.wait(pc, 2 * samples);
    else if (entry !== undefined) this.#install('sampled', discovery);
  }

  /** Control has left a region so many more times for pc, where there is none: the region grows or another begins there when that is worth it. */
  arrived(pc: number, more: number, region: Region): void {
    const { hotExits, leastRegion } = this.#policy;
    const arrival = this.#hotspots.arrived(pc, more);
    const { times } = arrival;
    if (times < hotExits || times < arrival.awaited || !this.#interpreter.isDecoded(pc)) return;
    if (this.#background?.ready === true) return this.#background.arrived(arrival, times * this.#arrivalCost(), region);
    if (!this.#cost.mayBegin(this.#hotspots.lines)) return;
    // To look is dear too, and what would be found is seldom smaller than it was.
    const before = this.#unworthy.get(pc);
    const mayBeWorth =
      before === undefined ? times * this.#arrivalCost() >= this.#cost.of(leastRegion) : this.#isWorth(before);
    if (!mayBeWorth) {
      arrival.awaited = 2 * times;
      return;
    }
    const survey = this.#survey(pc, this.#regions.entryMarks);
    const { entry: seed, discovery } = survey;
    if (seed === undefined) {
      arrival.awaited = 2 * times;
      return;
    }
    if (!this.#isWorth(survey)) {
      this.#unworthy.set(pc, { instructions: survey.instructions, ranges: survey.ranges });
      arrival.awaited = 2 * times;
      return;
    }
    const made = this.#install('arrivals', discovery);
    if (made !== undefined && region.live) made.parent = region;
  }

  /** What an arrival counts in the present mode. */
  #arrivalCost(): number {
    return this.#cost.ofArrival(this.#code.userMode);
  }

  /** Whether the interpreter, and regions that were left for it, have spent as much in this code as its translation costs. */
  #isWorth({ instructions, ranges }: Extent): boolean {
    const { sampleInterval } = this.#policy;
    const arrivalCost = this.#arrivalCost();
    let spent = sampleInterval * this.#hotspots.samplesIn(ranges);
    for (const [low, high] of ranges) spent += arrivalCost * this.#hotspots.arrivalsIn(low, high);
    return spent >= this.#cost.of(instructions);
  }

  /** Learns where an indirect jump of a region went; a region that does not know its targets is made anew. */
  jumped(region: Region, number: number): void {
    const exit = region.exit(number);
    if (exit.kind !== 'indirect') return;
    const { hotExits, exitCost } = this.#policy;
    this.#hotspots.jumped(exit.pc, readPc(this.#state));
    this.#background?.client.jumped(exit.pc);
    if (++region.exitCounts[number - 1]! >= this.#cost.worthwhile(region, hotExits, exitCost)) this.renew(region);
  }

  /** A region gave the instruction at pc back: when that keeps happening it is made anew to suit it. */
  refused(region: Region, pc: number): void {
    if (region.renewing) return;
    const { manyRefusals, refusalCost } = this.#policy;
    const times = this.#hotspots.refused(pc);
    if (times < this.#cost.worthwhile(region, manyRefusals, refusalCost)) return;
    this.#hotspots.refusalHeeded(pc);
    if (!this.#addresses.distrusted(pc)) {
      // A function that is called with addresses of another kind has more such instructions; and when one was not enough, so have others.
      const all = region.distrusts > 0 || region.code.counters.instructions >= this.#policy.dearToRenew;
      for (const [low, high] of region.code.ranges) if (all || (pc >= low && pc < high)) this.#distrust(low, high);
    } else {
      this.translator.refuse(pc);
      this.#background?.client.refused(pc);
    }
    this.renew(region, true);
  }

  /** Takes regions into those that keep going to them and back, when that has cost as much as translating both again. */
  merge(): void {
    const { chainCost, overhead } = this.#policy;
    const each = this.#cost.each();
    for (const region of this.#regions) {
      this.#regions.countUsesOf(region);
      // Not worth it for the region alone: so are nearly all of them.
      const alone = each * (overhead + region.instructions);
      if (region.parent === undefined || region.uses * chainCost < alone) continue;
      // The parent may have been made anew since.
      const parent = this.#regions.entryAt(region.parent.seed)?.region;
      if (parent === undefined || parent === region) continue;
      const instructions = region.instructions + parent.instructions;
      if (region.uses * chainCost < this.#cost.of(instructions)) continue;
      region.parent = undefined;
      if (this.#background?.ready === true) return this.#background.merge(region, parent);
      // A callee leads to its caller only by a return, so it is the caller that can take it in.
      for (const [outer, inner] of [
        [region, parent],
        [parent, region],
      ] as const) {
        const nodes = this.translator.shapeOf(this.translator.discovery(outer.seed));
        if (!nodes.some(({ pc }) => pc === inner.seed)) continue;
        this.renew(outer);
        break;
      }
      // The rest begins with a change of what is live.
      return;
    }
  }

  /** Translates a region again, for what is known by now; `refusal`: it gave instructions back. */
  renew(region: Region, refusal = false): void {
    const generation = refusal ? region.generation : region.generation + 1;
    if (!region.live || generation > this.#policy.generations) return;
    if (this.#background?.ready === true) return this.#background.renew(region, refusal);
    const nodes = this.translator.nodesOf(this.translator.discovery(region.seed));
    // Not to be read in this address space: others may go on with what there is.
    if (nodes.length === 0) return;
    this.#regions.remove(region);
    const placed = this.#translate(nodes);
    const renewed = this.#add('renewed', placed, { nodes, generation, reused: false });
    renewed.distrusts = region.distrusts + (refusal ? 1 : 0);
  }

  #guard(): CodeGuard {
    return {
      isCode: (linear, length) => this.#interpreter.codeWrites.changesCode(linear, length),
      withheld: () => this.#withhold(),
    };
  }

  #withhold(): void {
    this.#withheld = true;
  }

  #distrust(low: number, high: number): void {
    this.#addresses.distrust(low, high);
    this.#background?.client.distrusted(low, high);
  }

  /** The region that would be made around an address; no entry when it is there already or nothing can be translated. */
  #survey(seed: number, elsewhere?: AddressMarks): Survey {
    let discovery = this.translator.discovery(seed, elsewhere);
    let nodes = this.translator.shapeOf(discovery);
    if (nodes.length === 0) return { discovery, entry: undefined, instructions: 0, ranges: [] };
    const entry = chooseEntry(nodes);
    // A region that holds the seed already is come back to at its next entry.
    if (this.#regions.entryAt(entry)?.region.holds(seed) === true)
      return { discovery, entry: undefined, instructions: 0, ranges: [] };
    if (entry !== seed) {
      discovery = this.translator.discovery(entry, elsewhere);
      nodes = this.translator.shapeOf(discovery);
    }
    const instructions = nodes.reduce((sum, node) => sum + node.instructions, 0);
    return { discovery, entry, instructions, ranges: rangesOf(nodes) };
  }

  #install(reason: TranslationReason, discovery: Discovery): Region | undefined {
    const nodes = this.translator.nodesOf(discovery);
    if (nodes.length === 0) return undefined;
    const seed = nodes[0]!.pc;
    // What is there already does not hold what is wanted.
    const there = this.#regions.entryAt(seed)?.region.code;
    const stored = reason === 'reached' ? undefined : this.translator.stored(seed, (code) => code !== there);
    if (stored !== undefined) return this.#add(reason, stored, { nodes, generation: 0, reused: true });
    return this.#add(reason, this.#translate(nodes), { nodes, generation: 0, reused: false });
  }

  #translate(nodes: readonly RegionNode[]): PlacedRegion {
    if (this.#code.contiguous) this.#stepper.observe(nodes, this.#policy.observedSteps, this.end);
    return this.translator.translate(nodes);
  }

  #addStored(reason: TranslationReason, stored: PlacedRegion): Region {
    return this.#add(reason, stored, { nodes: [], generation: 0, reused: true });
  }

  #add(
    reason: TranslationReason,
    placed: PlacedRegion,
    made: { nodes: readonly RegionNode[]; generation: number; reused: boolean; module?: WebAssembly.Module },
  ): Region {
    const { nodes, generation, reused, module } = made;
    const { code, sites } = placed;
    // Not all of it need have been executed in this run.
    if (reused) for (const [low, high] of sites.ranges) this.#interpreter.guard(low, high - low);
    this.#counters.regions++;
    // An instruction that runs on into another page has no record there.
    if (!this.#code.contiguous) for (const [low, high] of sites.ranges) this.#interpreter.noteCode(low, high);
    const region = this.#regions.add(code, this.translator.instantiate(placed, module), generation, sites);
    this.#translated?.({ reason, instructions: this.#counters.instructions, nodes, region, reused });
    return region;
  }
}
