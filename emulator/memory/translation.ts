import { CHECK, CheckLevel } from '../check/assert.ts';
import { PAGE_SIZE, TLB_ENTRIES, TLB_ENTRY_SIZE, TlbEntry } from '../layout/memory-map.ts';
import { NO_RAM, type Bus } from './bus.ts';
import { CodePages } from './code-pages.ts';
import { DevicePage } from './device-page.ts';
import { ALL_SPACES } from './forget-code.ts';
import { L1Tlb, TlbContext } from './l1-tlb.ts';
import { L2_ABSENT, L2_REFUSED, missCode, type L2Probe, type MissCode } from './l2-probe.ts';
import { L2Tlb, type L2TlbOptions, RIGHTS } from './l2-tlb.ts';
import { LeafSequence } from './leaf-sequence.ts';
import { OpenRam } from './open-ram.ts';
import { Pmp, PMP_MIXED } from './pmp.ts';
import { PublishedRegime } from './published-regime.ts';
import { Access, bareRegime, PrivilegeMode, type Regime } from './regime.ts';
import { contextOf, faultKind, rightsOf } from './rights.ts';
import { LEVEL_PAGES, pageWithin, SvWalker, Walk } from './sv.ts';
import { EVEN_CODE } from './tlb-code.ts';
import { createCounters, type MmuCounters, type SlowCounts } from './translation-counters.ts';

export interface MmuOptions {
  /** The second level; 4096 sets of 4 ways with pseudo-LRU unless given. */
  readonly l2?: L2TlbOptions;
  /**
   * Whether a walk also enters the page after the one it was for; not unless given. In a boot of Linux, 634 of 5553 pages entered so were used
   * before they were forgotten, and each costs a third of a walk.
   */
  readonly prefetch?: boolean;
}

/** Returned by `translate` in place of a linear address: the fault is in the fields. */
export const TRANSLATION_FAULT = 0;
/** The same: a device is there, at `deviceAddress`. */
export const TRANSLATION_DEVICE = 1;

const PAGE_MASK = -PAGE_SIZE;
const ALL = Access.read | Access.write | Access.execute;
/** `low >>> INDEX_SHIFT` with the bits of INDEX_BITS kept is an entry's first word in its table. */
const INDEX_SHIFT = 12 - Math.log2(TLB_ENTRY_SIZE / 4);
const INDEX_BITS = ((TLB_ENTRIES - 1) * TLB_ENTRY_SIZE) / 4;
const ADDEND = TlbEntry.addend / 4;
/** Pages of a 64 KiB range. */
const CONTIGUOUS_PAGES = 16;
const DEFAULT_L2: L2TlbOptions = { sets: 4096, ways: 4, policy: 'pseudo-lru' };

/** From virtual to linear addresses: regime, protection, both TLB levels and the walker behind them. */
export class AddressTranslation {
  readonly bus: Bus;
  readonly pmp = new Pmp();
  readonly l1: L1Tlb;
  readonly l2: L2Tlb;
  /** Serves what is plain behind the first level, for generated code too. */
  readonly serveMiss: L2Probe;
  readonly #probeL2: L2Probe;
  /** Does plain fences of an address, and counts them. */
  readonly forget: MissCode['forget'];
  readonly counters: MmuCounters;
  readonly #slow: SlowCounts = { misses: 0, hits: 0, walks: 0, fences: 0 };
  /** To be changed by the ISA's code only, which then calls `regimeChanged`. */
  readonly regime: Regime = bareRegime();
  /** Called after a store to a page with Permission.code: linear address and bytes. */
  onCodeWrite: (linear: number, length: number) => void = () => {};
  faultKind = 0;
  faultLow = 0;
  faultHigh = 0;
  deviceAddress = 0;
  /** First word of the first-level table for loads and stores. */
  protected table = 0;
  /** The last answer of `translateForBulk` holds for all of the page. */
  protected whole = false;
  /** Words from there to the one for fetches. */
  #fetchOffset = 0;
  readonly #words: Int32Array<ArrayBuffer>;
  protected readonly codePages: CodePages;
  readonly #walker: SvWalker;
  readonly #leaves: LeafSequence;
  readonly #open: OpenRam;
  readonly #prefetch: boolean;
  readonly #published: PublishedRegime;
  readonly #devicePage = new DevicePage();
  #dataContext: TlbContext = TlbContext.machine;
  #fetchContext: TlbContext = TlbContext.machine;
  // What the first level was filled under.
  #levels = 0;
  #asid = 0;
  #executableReadable = false;

  constructor(memory: WebAssembly.Memory, bus: Bus, options: MmuOptions) {
    this.bus = bus;
    this.l1 = new L1Tlb(memory);
    const l2 = options.l2 ?? DEFAULT_L2;
    this.l2 = new L2Tlb(l2, memory);
    this.#prefetch = options.prefetch ?? false;
    const { probe, walk, forget } = missCode(memory, l2);
    this.forget = forget;
    this.#probeL2 = probe;
    this.serveMiss = this.#prefetch ? probe : walk;
    this.#words = new Int32Array(memory.buffer as ArrayBuffer);
    this.codePages = new CodePages(memory, this.l1, (linear, length) => {
      this.counters.codeWrites++;
      this.onCodeWrite(linear, length);
    });
    this.#open = new OpenRam(memory, bus, this.pmp);
    this.#walker = new SvWalker(memory, bus, this.pmp, this.#open);
    this.#leaves = new LeafSequence(bus, this.pmp, this.#walker);
    this.counters = createCounters(memory, this.#slow, this.#walker);
    this.#published = new PublishedRegime(memory);
    bus.onWrite = (linear, length) => this.codePages.wrote(linear, length);
    this.regimeChanged();
  }

  /**
   * The linear address (int32) of a byte that may be accessed so, with all `length` bytes if they end in its page; TRANSLATION_DEVICE or
   * TRANSLATION_FAULT where there is no RAM or no right.
   */
  translate(low: number, high: number, access: Access, length: number): number {
    const words = this.#words;
    // Read 1, write 2 and execute 4 have their tags at words 0, 2 and 4 of 8; a choice of tables and sums instead took 1.4 ns more. [measured: 4.9
    // ns a lookup, 5.0 with two comparisons, 5.4 when V8 cannot see that both results are of 32 bits]
    const entry = (this.table + (-(access >> 2) & this.#fetchOffset) + ((low >>> INDEX_SHIFT) & INDEX_BITS)) | 0;
    const tag = entry | (access & 6);
    if (((words[tag]! ^ (low & PAGE_MASK)) | (words[tag | 1]! ^ high)) === 0) return (low + words[entry | ADDEND]!) | 0;
    return this.#resolve(low, high, access, length, this.serveMiss) | 0;
  }

  /** To be called after `regime` has been changed. */
  regimeChanged(): void {
    const { regime } = this;
    const newTables =
      regime.levels !== this.#levels ||
      regime.asid !== this.#asid ||
      regime.makeExecutableReadable !== this.#executableReadable;
    if (newTables) {
      this.#devicePage.forget();
      // Entries of the first level bear no ASID. The second level keeps what it has, unless formats or rights are others now.
      const otherSpace = regime.asid !== this.#asid && regime.levels === this.#levels;
      if (!otherSpace) this.l2.flushAll();
      if (otherSpace && regime.makeExecutableReadable === this.#executableReadable) this.#flushSpace();
      else this.#flushTranslated();
      this.#levels = regime.levels;
      this.#asid = regime.asid;
      this.l2.select(regime.asid);
      this.#executableReadable = regime.makeExecutableReadable;
    }
    this.#published.publish(regime);
    this.#dataContext = contextOf(regime.dataPrivilege, regime.supervisorUserMemory);
    this.#fetchContext = contextOf(regime.fetchPrivilege, false);
    this.table = this.l1.firstWord(this.#dataContext);
    this.#fetchOffset = this.l1.firstWord(this.#fetchContext) - this.table;
    this.l1.select(this.#dataContext, this.#fetchContext);
  }

  /** To be called after `pmp` has been configured anew. */
  protectionChanged(): void {
    this.counters.flushes++;
    this.#open.forget();
    this.#devicePage.forget();
    this.l1.flushAll();
    this.l2.flushAll();
  }

  /** SFENCE.VMA without an address: all address spaces, or the one given, whose global entries may stay. */
  fence(asid: number | undefined): void {
    this.#slow.fences++;
    if (asid === undefined) this.l2.flushAll();
    else this.l2.flushAsid(asid);
    // The first level holds nothing of any other address space, but global pages.
    if (asid === undefined) this.#flushTranslated();
    else if (asid === this.#asid) this.#flushSpace();
    if (CHECK >= CheckLevel.full) this.checkInvariants();
  }

  /** SFENCE.VMA for the page of an address. */
  fenceAddress(low: number, high: number, asid: number | undefined): void {
    if (this.forget(low, high, asid ?? ALL_SPACES) === 0) {
      this.#slow.fences++;
      this.l2.flushAddress(low, high, asid);
      if (asid === undefined || asid === this.#asid) {
        this.l1.flushPage(TlbContext.user, low, high);
        this.l1.flushPage(TlbContext.supervisor, low, high);
        this.l1.flushPage(TlbContext.supervisorUserMemory, low, high);
      }
    }
    if (CHECK >= CheckLevel.full) this.checkInvariants();
  }

  /**
   * The linear address (int32) of an instruction where a level of the TLB knows it, else 0. Nothing that the guest could see changes:
   * page tables are not read, and there are no faults.
   */
  lookUpCode(low: number, high: number): number {
    const { regime, l2 } = this;
    const context = this.#fetchContext;
    const linear = this.l1.probe(context, low, high, Access.execute);
    if (linear !== 0) return linear;
    if (context === TlbContext.machine || regime.levels === 0) {
      const page = (low >>> 12) + (high >>> 0) * 0x10_0000;
      const machine = context === TlbContext.machine;
      const protection = this.pmp.permissionsOf(page * PAGE_SIZE, PAGE_SIZE, machine);
      const linearPage = this.bus.ramAt(page * PAGE_SIZE, PAGE_SIZE);
      if (linearPage === NO_RAM || protection === PMP_MIXED || (protection & Access.execute) === 0) return 0;
      this.l1.fill(context, low, high, linearPage, this.codePages.rightsTo(linearPage, ALL & protection), 1);
      return (linearPage + (low & ~PAGE_MASK)) | 0;
    }
    const entry = l2.find(low, high, regime.asid);
    if (entry < 0 || l2.linearOf(entry) === NO_RAM) return 0;
    if (((l2.rightsOf(entry) >>> (RIGHTS * context)) & Access.execute) === 0) return 0;
    return this.#useEntry(entry, low, high, context, Access.execute, 2) | 0;
  }

  /**
   * Marks the page of RAM around a linear address as one with decoded code: every store to it is reported from now on. False when it was
   * marked already.
   */
  protectCode(linear: number): boolean {
    return this.codePages.add(linear);
  }

  /** Takes the mark away, and what the tiers noted in the TLB about the page. */
  releaseCode(linear: number): void {
    this.codePages.delete(linear);
  }

  checkInvariants(): void {
    this.l1.checkInvariants();
    this.l2.checkInvariants();
    this.bus.checkInvariants();
  }

  /** As `translate`; says in `whole` whether the answer holds for the rest of the page. */
  protected translateForBulk(low: number, high: number, access: Access): number {
    const linear = this.l1.probe(this.#dataContext, low, high, access);
    // The walker is to have found the leaf: it is followed.
    if (linear === 0) return this.#followLeaf(low, high, access) || this.#resolve(low, high, access, 1, this.#probeL2);
    this.whole = true;
    return linear;
  }

  /**
   * Of at most `pages` pages from a page address on, how many are known to lie in RAM from a linear address on: by the first level, or by the leaves
   * after the one walked for last. [measured: a transfer of 64 MiB is 0.98 times as fast as the host's own memcpy; 0.86 when each page is
   * asked for]
   */
  protected knownRun(low: number, high: number, access: Access, linear: number, pages: number): number {
    const known = this.l1.run(this.#dataContext, low, high, access, linear, pages);
    if (known !== 0 || !this.#leaves.isNext(low, high)) return known;
    const run = this.#leaves.run(low, high, linear, pages);
    this.#slow.misses += run;
    return run;
  }

  /** To be called before the first `translateForBulk` of a transfer: page tables may have changed since the last one. */
  protected beginBulk(): void {
    this.#leaves.forget();
  }

  #followLeaf(low: number, high: number, access: Access): number {
    if (!this.#leaves.isNext(low, high)) return 0;
    const linear = this.#leaves.follow(low, high, access, translatedPrivilege(this.#dataContext), this.regime);
    if (linear === 0) return 0;
    this.#slow.misses++;
    this.whole = true;
    return linear;
  }

  /** What `translate` gives when the first level does not know the page. */
  #resolve(low: number, high: number, access: Access, length: number, serve: L2Probe): number {
    if (this.#devicePage.holds(this.#dataContext, low, high, access)) {
      this.#slow.misses++;
      this.whole = false;
      this.deviceAddress = (high >>> 0) * 2 ** 32 + (low >>> 0);
      return TRANSLATION_DEVICE;
    }
    const served = serve(low, high, access | EVEN_CODE);
    if (served === L2_ABSENT || served === L2_REFUSED) return this.#resolveSlowly(low, high, access, length, served);
    this.whole = true;
    return served;
  }

  /**
   * The same when the probe of the second level does not serve it. All in one piece, which V8 does not have inline in `translate`: that would then be
   * so large that V8 has it inline nowhere else, and a lookup took 8.1 instead of 4.9 ns in half of all processes.
   */
  #resolveSlowly(low: number, high: number, access: Access, length: number, served: number): number {
    const { regime, counters, l2 } = this;
    const context = access === Access.execute ? this.#fetchContext : this.#dataContext;
    this.#slow.misses++;
    if (context === TlbContext.machine || regime.levels === 0) {
      const page = (low >>> 12) + (high >>> 0) * 0x10_0000;
      return this.#reach(low, high, page, ALL, 1, false, context, access, length);
    }
    const entry = served === L2_ABSENT ? l2.findLarge(low, high, regime.asid) : l2.find(low, high, regime.asid);
    if (entry >= 0) {
      if (l2.takePrefetched(entry)) counters.prefetchHits++;
      // An entry that does not permit the access may be stale: the page table has the last word.
      if (((l2.rightsOf(entry) >>> (RIGHTS * context)) & access) !== 0) {
        this.#slow.hits++;
        return this.#useEntry(entry, low, high, context, access, length);
      }
    }
    const walker = this.#walker;
    this.#slow.walks++;
    const outcome = walker.walk(low, high, access, translatedPrivilege(context), regime);
    if (outcome !== Walk.done) {
      this.fault(outcome === Walk.pageFault, access, low, high);
      return TRANSLATION_FAULT;
    }
    const linear = this.#useEntry(this.#enter(low, high, false), low, high, context, access, length);
    // A prefetch moves the walker on.
    if (!this.#prefetch) this.#leaves.foundAt(low, high);
    else if (walker.nextLeaf(regime)) {
      const nextLow = (low + PAGE_SIZE) | 0;
      const nextHigh = nextLow >= 0 && low < 0 ? (high + 1) | 0 : high;
      counters.prefetched++;
      this.#enter(nextLow, nextHigh, true);
    }
    return linear;
  }

  /** Serves an access that an entry of the second level permits. */
  #useEntry(entry: number, low: number, high: number, context: TlbContext, access: Access, length: number): number {
    const { l2 } = this;
    const level = l2.levelOf(entry);
    const allowed = (l2.rightsOf(entry) >>> (RIGHTS * context)) & ALL;
    const within = level === 0 ? 0 : pageWithin(low, high, level);
    const levelPages = l2.isContiguous(entry) ? CONTIGUOUS_PAGES : LEVEL_PAGES[level]!;
    const global = l2.isGlobal(entry);
    const start = l2.linearOf(entry);
    if (start === NO_RAM)
      return this.#reach(low, high, l2.pageOf(entry) + within, allowed, levelPages, global, context, access, length);
    const linear = (start + (within << 12)) | 0;
    this.whole = true;
    const rights = this.codePages.rightsTo(linear, allowed);
    this.l1.fill(context, low, high, linear, rights, levelPages, global);
    return linear + (low & ~PAGE_MASK);
  }

  /** Enters what the walker found last, unless it is only prefetched and known already. The entry, or -1. */
  #enter(low: number, high: number, prefetched: boolean): number {
    const { l2, regime } = this;
    const { page, flags, level, contiguous } = this.#walker;
    const entry = l2.insert(low, high, regime.asid, flags, level, contiguous, prefetched);
    if (entry < 0) return entry;
    const start = page - pageWithin(low, high, level);
    const size = LEVEL_PAGES[level]! * PAGE_SIZE;
    const rights = rightsOf(flags, regime.makeExecutableReadable);
    l2.describe(entry, start, this.#open.at(start * PAGE_SIZE, size), rights);
    return entry;
  }

  /** Serves an access to a physical page whose translation permits it: from RAM, as far as PMP lets it, or by a device. */
  #reach(
    low: number,
    high: number,
    page: number,
    allowed: number,
    levelPages: number,
    global: boolean,
    context: TlbContext,
    access: Access,
    length: number,
  ): number {
    // What is open to the others is open to machine mode.
    const open = this.#open.at(page * PAGE_SIZE, PAGE_SIZE);
    if (open !== NO_RAM) {
      this.whole = true;
      this.l1.fill(context, low, high, open, this.codePages.rightsTo(open, allowed), levelPages, global);
      return (open + (low & ~PAGE_MASK)) | 0;
    }
    const machine = context === TlbContext.machine;
    const protection = this.pmp.permissionsOf(page * PAGE_SIZE, PAGE_SIZE, machine);
    const linearPage = this.bus.ramAt(page * PAGE_SIZE, PAGE_SIZE);
    this.whole = protection !== PMP_MIXED && linearPage !== NO_RAM;
    const gpa = page * PAGE_SIZE + (low & ~PAGE_MASK);
    if (this.whole ? (protection & access) === 0 : !this.pmp.allows(gpa, length, access, machine)) {
      this.fault(false, access, low, high);
      return TRANSLATION_FAULT;
    }
    if (this.whole) {
      const rights = this.codePages.rightsTo(linearPage, allowed & protection);
      this.l1.fill(context, low, high, linearPage, rights, levelPages, global);
      return (linearPage + (low & ~PAGE_MASK)) | 0;
    }
    const linear = this.bus.ramAt(gpa, length);
    if (linear !== NO_RAM) return linear | 0;
    // Instructions are fetched from RAM only.
    if (access === Access.execute) {
      this.fault(false, access, low, high);
      return TRANSLATION_FAULT;
    }
    this.deviceAddress = gpa;
    if (protection !== PMP_MIXED && (machine || this.regime.levels === 0))
      this.#devicePage.note(context, low, high, protection);
    return TRANSLATION_DEVICE;
  }

  /** Empties the tables that translated addresses are in. */
  #flushTranslated(): void {
    this.counters.flushes++;
    this.l1.flush(TlbContext.user);
    this.l1.flush(TlbContext.supervisor);
    this.l1.flush(TlbContext.supervisorUserMemory);
  }

  /** Empties them of what is in the address space in force only. */
  #flushSpace(): void {
    this.counters.flushes++;
    this.l1.flushSpace(TlbContext.user);
    this.l1.flushSpace(TlbContext.supervisor);
    this.l1.flushSpace(TlbContext.supervisorUserMemory);
  }

  protected fault(page: boolean, access: Access, low: number, high: number): number {
    if (page) this.counters.pageFaults++;
    else this.counters.accessFaults++;
    this.faultLow = low;
    this.faultHigh = high;
    return (this.faultKind = faultKind(page, access));
  }
}

/** Of the modes that a table with translated addresses is for. */
function translatedPrivilege(context: TlbContext): number {
  return context === TlbContext.user ? PrivilegeMode.user : PrivilegeMode.supervisor;
}
