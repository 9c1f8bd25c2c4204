import type { Isa } from '../isa/instruction.ts';
import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason } from '../layout/state.ts';
import { Approach } from './interpreter/decoded-pages.ts';
import { ENTERED, Interpreter } from './interpreter/interpreter.ts';
import type { PassCounters } from '../pass/pipeline.ts';
import type { CodeSpace } from './code-space.ts';
import type { TieredCounters, TieredOptions } from './engine-options.ts';
import { AUTO, type TierPolicy } from './policy.ts';
import { readPc, writePc } from './program-counter.ts';
import type { CodeStore } from './region/code-store.ts';
import { Dispatcher, NO_REGION } from './region/dispatcher.ts';
import { ARRIVALS_LOOKED_AT } from './region/dispatcher-code.ts';
import type { Region } from './region/region.ts';
import { type Entry, RegionTable } from './region/region-table.ts';
import { Status } from './region/status.ts';
import type { TranslationCounters } from './region/translator.ts';
import { TierUp } from './tier-up.ts';

/** Transitions between regions before it is looked whether some should be one. */
const MANY_CHAINED = 10_000;
/** The same for each region that lives: all of them are looked at. */
const CHAINED_A_REGION = 100;
/** A sample that is due is looked for within 2^SAMPLE_BITS instructions: a system call has some hundred. */
const SAMPLE_BITS = 11;
/** Instructions of the last entry of regions where more may retire than the budget says: several regions would end it one by one. */
const LAST_SLICE = 2000;
/** Instructions interpreted before an entry that was refused is tried again. */
const FEW_INSTRUCTIONS = 100;

/**
 * The interpreter, and on top of it regions of hot code as WebAssembly functions. Where the interpreter spends its time is sampled; what is
 * found hot is traced, translated and entered from then on. A region that meets something it does not do itself (a fault, a system
 * call, an odd floating-point operand) leaves the instruction to the interpreter.
 */
export class TieredEngine {
  readonly counters: TieredCounters;
  readonly #policy: TierPolicy;
  readonly #interpreter: Interpreter;
  readonly #state: DataView<ArrayBuffer>;
  readonly #code: CodeSpace;
  readonly #dispatcher: Dispatcher;
  readonly #regions: RegionTable;
  readonly #tierUp: TierUp;
  #untilSample: number;
  #lottery = 0;
  #chainedBefore = 0;
  /** Instructions of the next entry of regions. */
  #slice: number;
  /** Instructions retired when the most of the present budget is. */
  #limit = 0;

  constructor(isa: Isa, memory: WebAssembly.Memory, options: TieredOptions) {
    const buffer = memory.buffer as ArrayBuffer;
    const policy = options.policy ?? AUTO;
    this.#policy = policy;
    this.#untilSample = policy.sampleInterval;
    this.#slice = policy.slice;
    this.#state = new DataView(buffer, STATE, STATE_SIZE);
    this.#interpreter = new Interpreter(isa, memory, {
      ...options,
      ...(options.account === undefined ? {} : { stage: options.account.stage }),
      codeChanged: (place, length) => this.#tierUp.codeChanged(place, length),
      codePageAdded: (page) => this.#tierUp.codePageAdded(page),
      codePageReached: (page, pc) => this.#tierUp.codePageReached(page, pc),
    });
    const counters = Object.assign(this.#interpreter.counters, {
      regions: 0,
      regionEntries: 0,
      chained: 0,
      chainMisses: 0,
      chainRefills: 0,
      arrivals: 0,
      regionInstructions: 0,
      refusals: 0,
      unsuited: 0,
      regionsDropped: 0,
      prefetched: 0,
      prefetchedInVain: 0,
    });
    this.counters = counters;
    const { code, main, recordShift } = this.#interpreter;
    this.#code = code;
    this.#dispatcher = new Dispatcher(memory, isa.alignment, main, recordShift, !code.contiguous);
    this.#regions = new RegionTable(
      this.#dispatcher,
      (place, marked) => this.#interpreter.markEntry(place, marked),
      (region) => {
        counters.regionsDropped++;
        if (isInVain(region)) counters.prefetchedInVain++;
        this.#tierUp.dropped(region);
      },
    );
    this.#tierUp = new TierUp(isa, memory, options, {
      policy,
      state: this.#state,
      interpreter: this.#interpreter,
      regions: this.#regions,
      counters,
    });
  }

  /** Level 3 of the translation cache. */
  get store(): CodeStore {
    return this.#tierUp.store;
  }

  get translation(): TranslationCounters {
    return this.#tierUp.translator.counters;
  }

  get passCounters(): PassCounters {
    return this.#tierUp.translator.passCounters;
  }

  get regions(): Iterable<Region> {
    return this.#regions;
  }

  /** Live regions that were prefetched, and to which control has not come. */
  get prefetchedUnused(): number {
    this.#regions.countUses();
    return [...this.#regions].filter(isInVain).length;
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
  run(budget: number, most = budget): ExitReason {
    const { counters } = this;
    const end = counters.instructions + budget;
    const limit = counters.instructions + most;
    this.#limit = limit;
    this.#tierUp.end = end;
    for (;;) {
      if (this.#interpreter.stopRequested) return ExitReason.helper;
      if (counters.instructions >= end) return ExitReason.budget;
      if (this.#policy.eager) this.#tierUp.reached(readPc(this.#state));
      const left = end - counters.instructions;
      const entry = this.#entryAt(readPc(this.#state));
      let reason: ExitReason;
      if (left === 0) return ExitReason.budget;
      if (entry === undefined) reason = this.#interpret(left);
      else if (limit - counters.instructions < entry.region.code.longest) return this.#interpreter.runPastEntries(left);
      else reason = this.#runFrom(entry.region.index, entry.number);
      if (reason !== ExitReason.budget) return reason;
    }
  }

  /** The region that can be entered at a guest address now. Behind translation the TLB is made to lead to all of its pages. */
  #entryAt(pc: number): Entry | undefined {
    const entry = this.#regions.entryAt(pc);
    if (entry === undefined) return undefined;
    const { pages } = entry.region.site;
    for (const page of pages) {
      if (this.#code.placeOf(page.pc) !== page.place) return undefined;
      this.#code.link(page.pc | 0, Math.floor(page.pc / 2 ** 32), page.records);
    }
    return entry;
  }

  flushCode(gva: number, length: number): void {
    this.#tierUp.flushCode(gva, length);
    this.#interpreter.flushCode(gva, length);
  }

  checkInvariants(): void {
    this.#interpreter.checkInvariants();
    this.#regions.checkInvariants();
    this.store.checkInvariants();
  }

  /** Interprets until a sample or the end of the budget, and on in regions that control comes to; `budget` means go on. */
  #interpret(left: number): ExitReason {
    if (this.#policy.eager || this.#regions.size === 0) return this.#interpretAlone(left);
    // The TLB is made to lead there.
    const found = this.#interpreter.look();
    // What is new is decoded bit by bit.
    if (found === Approach.unknown) return this.#interpretAlone(left);
    // Control would come out at once.
    if (found === Approach.entry) return this.#atClosedEntry();
    return this.#runFrom(NO_REGION, 0);
  }

  /** The same, but comes out at regions. */
  #interpretAlone(left: number): ExitReason {
    const { counters } = this;
    const before = counters.instructions;
    const reason = this.#interpreter.run(this.#policy.eager ? 1 : Math.min(left, this.#untilSample));
    this.#untilSample -= counters.instructions - before;
    this.#tierUp.takeCompiled();
    if (reason === ENTERED)
      return this.#entryAt(readPc(this.#state)) === undefined ? this.#atClosedEntry() : ExitReason.budget;
    if (reason === ExitReason.budget && this.#untilSample <= 0) this.#sample();
    return reason;
  }

  /** Control is where an entry is marked, and no region can be entered. */
  #atClosedEntry(): ExitReason {
    const pc = readPc(this.#state);
    this.#tierUp.expected(pc);
    if (this.#entryAt(pc) !== undefined) return ExitReason.budget;
    // Another address of the same code, or another address space at the same address.
    return this.#interpreter.runPastEntries(Math.min(this.#tierUp.end - this.counters.instructions, FEW_INSTRUCTIONS));
  }

  /** Looks where the interpreter is. */
  #sample(): void {
    const { sampleInterval } = this.#policy;
    const times = 1 + Math.floor(-this.#untilSample / sampleInterval);
    this.#untilSample = sampleInterval;
    this.#tierUp.sampled(readPc(this.#state), times);
  }

  /** Runs regions, the interpreter between them, from a region's entry or as NO_REGION says; `budget` means go on at pc. */
  #runFrom(first: number, number: number): ExitReason {
    const { counters } = this;
    let index = first;
    let entry = number;
    if (first !== NO_REGION) this.#regions.byIndex(first).entered = true;
    for (;;) {
      const isRegion = index !== NO_REGION;
      const left = this.#tierUp.end - counters.instructions;
      const rest = Math.min(LAST_SLICE, this.#limit - counters.instructions);
      const slice = isRegion
        ? Math.max(this.#regions.byIndex(index).code.longest, Math.min(Math.max(left, rest), this.#slice))
        : Math.min(left, Math.max(this.#untilSample, this.#shortSlice()));
      this.#interpreter.beginSlice(slice);
      if (isRegion) counters.regionEntries++;
      const status = this.#dispatcher.run(index, entry);
      counters.chained += this.#dispatcher.takeChained();
      counters.chainMisses += this.#dispatcher.takeMissed();
      const interpreted = this.#dispatcher.takeInterpreted();
      counters.regionInstructions -= interpreted;
      this.#interpreter.noteInterpreted(interpreted);
      const retired = this.#interpreter.endSlice();
      if ((status & Status.interpreted) !== 0) {
        this.#retire(retired);
        return this.#interpretedUntil(status & ~Status.interpreted, interpreted);
      }
      index = this.#dispatcher.lastIndex;
      const region = this.#regions.byIndex(index);
      this.#slice = Math.min(4 * Math.max(slice, this.#slice), this.#policy.slice);
      if ((status & Status.spent) !== 0) {
        this.#retire(retired);
        entry = status & ~Status.spent;
        writePc(this.#state, region.code.entries[entry - 1]!.pc);
        if (counters.chained - this.#chainedBefore > MANY_CHAINED + CHAINED_A_REGION * this.#regions.size) {
          this.#chainedBefore = counters.chained;
          this.#tierUp.merge();
          return ExitReason.budget;
        }
        this.#tierUp.takeCompiled();
        if (!region.live || this.#tierUp.end - counters.instructions < region.code.longest) return ExitReason.budget;
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
        if (number !== 0) this.#tierUp.jumped(region, number);
        return this.#arrive(region, true);
      }
      const exit = region.exit(number);
      region.exitCounts[number - 1]!++;
      this.#retire(retired - exit.refund);
      writePc(this.#state, exit.pc);
      const reason = (status >>> Status.reasonShift) & Status.reasonMask;
      if (reason === ExitReason.fault && this.#tierUp.takeWithheld())
        return this.#interpreter.runPastEntries(Math.min(1, this.#tierUp.end - counters.instructions));
      if (reason !== 0) return reason as ExitReason;
      if (exit.kind === 'unheld') {
        const reason = this.#interpreter.runPastEntries(Math.min(1, this.#tierUp.end - counters.instructions));
        return reason === ExitReason.budget ? this.#arrive(region, false) : reason;
      }
      counters.refusals++;
      this.#tierUp.refused(region, exit.pc);
      return this.#interpreter.runPastEntries(Math.min(1, this.#tierUp.end - counters.instructions));
    }
  }

  /** The interpreter was the last to run. It is sampled as when it runs alone, so slices are short as long as it does. */
  #interpretedUntil(reason: number, interpreted: number): ExitReason {
    this.#untilSample -= interpreted;
    this.#tierUp.takeCompiled();
    this.#slice = Math.min(this.#policy.slice, this.#shortSlice());
    const outcome = this.#interpreter.conclude(reason);
    if (outcome !== ExitReason.budget && outcome !== ExitReason.miss) return outcome;
    if (outcome === ExitReason.miss) {
      const pc = readPc(this.#state);
      const entry = this.#entryAt(pc);
      if (entry !== undefined) this.#refill(pc, entry);
    } else if (this.#untilSample <= 0) this.#sample();
    return ExitReason.budget;
  }

  /**
   * Instructions of a slice that the interpreter may have most of. A sample that is due is looked for within fewer, so that there is something left of the
   * budget behind it: what traps, or does what control has to come out for, all the time would be seen at the end of the machine's slice only, where it
   * cannot be followed. [measured: emulator/docs/booting.md, "Kernel work under Linux"]
   */
  #shortSlice(): number {
    if (this.#untilSample > 0) return 2 * this.#policy.sampleInterval;
    // Lengths differ, so that what is seen does. (Numerical Recipes, "Quick and Dirty Generators")
    this.#lottery = (Math.imul(this.#lottery, 1_664_525) + 1_013_904_223) >>> 0;
    return 1 + (this.#lottery >>> (32 - SAMPLE_BITS));
  }

  /** The jump cache did not hold a region that is there. */
  #refill(pc: number, { region, number }: Entry): void {
    this.counters.chainRefills++;
    this.#dispatcher.cache(pc, region.index, number, region.site.pages);
  }

  #retire(instructions: number): void {
    this.counters.instructions += instructions;
    this.counters.regionInstructions += instructions;
  }

  /** Control left a region: when it keeps going to code without one, the region grows or another begins there. `asked`: the jump cache was. */
  #arrive(region: Region, asked: boolean): ExitReason {
    const pc = readPc(this.#state);
    const entry = this.#entryAt(pc);
    if (entry !== undefined) {
      if (asked) this.#refill(pc, entry);
      return ExitReason.budget;
    }
    this.counters.arrivals++;
    this.#tierUp.arrived(pc, this.#policy.eager ? 1 : ARRIVALS_LOOKED_AT, region);
    return ExitReason.budget;
  }

  /**
   * Modes, flags or pages are not those of the region. When that keeps happening it is made anew for what they are now: a process may not have all
   * the pages that another has.
   */
  #unsuited(region: Region): ExitReason {
    this.counters.unsuited++;
    // That its pages are not in the TLB is no fault of the region's. They are entered again, unless they are elsewhere or two evict each other.
    const isMissed = !this.#isLinked(region) && this.#entryAt(readPc(this.#state)) !== undefined;
    if (isMissed && this.#isLinked(region)) return ExitReason.budget;
    if (++region.refusedEntries === this.#policy.manyRefusals) this.#tierUp.renew(region);
    return this.#interpreter.runPastEntries(Math.min(this.#tierUp.end - this.counters.instructions, FEW_INSTRUCTIONS));
  }

  /** Whether the TLB leads to all pages of a region. */
  #isLinked({ site }: Region): boolean {
    for (const { pc, records } of site.pages)
      if (!this.#code.isLinked(pc | 0, Math.floor(pc / 2 ** 32), records)) return false;
    return true;
  }
}

/** Whether control has never come to a region that was prefetched. */
function isInVain(region: Region): boolean {
  return region.prefetched && !region.entered && region.uses === 0;
}
