// hot: whatever the inline probe of the TLB does not serve comes here.
import { CHECK, CheckLevel } from '../check/assert.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission } from '../layout/memory-map.ts';
import { FaultKind } from '../layout/state.ts';
import { NO_RAM, type Bus } from './bus.ts';
import { L1Tlb, TlbContext } from './l1-tlb.ts';
import { L2Tlb, type L2TlbOptions } from './l2-tlb.ts';
import { Pmp, PMP_MIXED } from './pmp.ts';
import { Access, bareRegime, PrivilegeMode, type Regime } from './regime.ts';
import { leafAllows, LEVEL_PAGES, pageWithin, Pte, SvWalker, Walk } from './sv.ts';

export interface MmuOptions {
  /** The second level; 512 sets of 4 ways with pseudo-LRU unless given. */
  readonly l2?: L2TlbOptions;
  /** Whether a walk also enters the page after the one it was for; true unless given. */
  readonly prefetch?: boolean;
}

/** What the MMU has done since it was made; all exact. Inline hits in generated code are not seen. */
export interface MmuCounters {
  /** Accesses that the first level did not serve. */
  l1Misses: number;
  l2Hits: number;
  /** Page-table walks, and entries read by them. */
  walks: number;
  walkSteps: number;
  /** Pages entered by prefetch, and those of them that were used later. */
  prefetched: number;
  prefetchHits: number;
  pageFaults: number;
  accessFaults: number;
  deviceReads: number;
  deviceWrites: number;
  /** Fences of any form, and changes of regime that emptied tables of the first level. */
  fences: number;
  flushes: number;
  /** Stores to pages with decoded code. */
  codeWrites: number;
}

/** Returned by `translate` in place of a linear address: the fault is in the fields. */
export const TRANSLATION_FAULT = 0;
/** The same: a device is there, at `deviceAddress`. */
export const TRANSLATION_DEVICE = 1;

const PAGE_MASK = -PAGE_SIZE;
const ALL = Access.read | Access.write | Access.execute;
const DEFAULT_L2: L2TlbOptions = { sets: 512, ways: 4, policy: 'pseudo-lru' };

/** From virtual to linear addresses: regime, protection, both TLB levels and the walker behind them. */
export class AddressTranslation {
  readonly bus: Bus;
  readonly pmp = new Pmp();
  readonly l1: L1Tlb;
  readonly l2: L2Tlb;
  readonly counters: MmuCounters = {
    l1Misses: 0,
    l2Hits: 0,
    walks: 0,
    walkSteps: 0,
    prefetched: 0,
    prefetchHits: 0,
    pageFaults: 0,
    accessFaults: 0,
    deviceReads: 0,
    deviceWrites: 0,
    fences: 0,
    flushes: 0,
    codeWrites: 0,
  };
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
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #walker: SvWalker;
  readonly #prefetch: boolean;
  #dataContext: TlbContext = TlbContext.machine;
  #fetchContext: TlbContext = TlbContext.machine;
  // What the first level was filled under.
  #levels = 0;
  #asid = 0;
  #executableReadable = false;
  /** Physical page and leaf flags of the last translation, and the pages of the large page it is in. */
  #page = 0;
  #flags = 0;
  #levelPages = 1;

  constructor(memory: WebAssembly.Memory, bus: Bus, options: MmuOptions) {
    this.bus = bus;
    this.l1 = new L1Tlb(memory);
    this.l2 = new L2Tlb(options.l2 ?? DEFAULT_L2);
    this.#bytes = new Uint8Array(memory.buffer as ArrayBuffer);
    this.#walker = new SvWalker(memory, bus, this.pmp);
    this.#prefetch = options.prefetch ?? true;
    bus.onWrite = (linear, length) => this.wroteRam(linear, length);
    this.regimeChanged();
  }

  /**
   * The linear address (int32) of a byte that may be accessed so, with all `length` bytes if they end in its page; TRANSLATION_DEVICE or
   * TRANSLATION_FAULT where there is no RAM or no right.
   */
  translate(low: number, high: number, access: Access, length: number): number {
    const context = access === Access.execute ? this.#fetchContext : this.#dataContext;
    const linear = this.l1.probe(context, low, high, access);
    return linear !== 0 ? linear : this.#resolve(low, high, access, length);
  }

  /** To be called after `regime` has been changed. */
  regimeChanged(): void {
    const { regime } = this;
    const newTables =
      regime.levels !== this.#levels ||
      regime.asid !== this.#asid ||
      regime.makeExecutableReadable !== this.#executableReadable;
    if (newTables) {
      // Entries of the first level bear no ASID. The second level keeps what it has, unless its entries are of another format.
      if (regime.levels !== this.#levels) this.l2.flushAll();
      this.#flushTranslated();
      this.#levels = regime.levels;
      this.#asid = regime.asid;
      this.#executableReadable = regime.makeExecutableReadable;
    }
    this.#dataContext = contextOf(regime.dataPrivilege, regime.supervisorUserMemory);
    this.#fetchContext = contextOf(regime.fetchPrivilege, false);
    this.table = this.l1.firstWord(this.#dataContext);
    this.l1.select(this.#dataContext, this.#fetchContext);
  }

  /** To be called after `pmp` has been configured anew. */
  protectionChanged(): void {
    this.counters.flushes++;
    this.l1.flushAll();
  }

  /** SFENCE.VMA without an address: all address spaces, or the one given, whose global entries may stay. */
  fence(asid: number | undefined): void {
    this.counters.fences++;
    if (asid === undefined) this.l2.flushAll();
    else this.l2.flushAsid(asid);
    // The first level holds nothing of any other address space.
    if (asid === undefined || asid === this.#asid) this.#flushTranslated();
    if (CHECK >= CheckLevel.full) this.checkInvariants();
  }

  /** SFENCE.VMA for the page of an address. */
  fenceAddress(low: number, high: number, asid: number | undefined): void {
    this.counters.fences++;
    this.l2.flushAddress(low, high, asid);
    if (asid === undefined || asid === this.#asid) {
      this.l1.flushPage(TlbContext.user, low, high);
      this.l1.flushPage(TlbContext.supervisor, low, high);
      this.l1.flushPage(TlbContext.supervisorUserMemory, low, high);
    }
    if (CHECK >= CheckLevel.full) this.checkInvariants();
  }

  /** Marks the page of RAM around a linear address as one with decoded code: every store to it is reported from now on. */
  protectCode(linear: number): void {
    const page = pageIndex(linear);
    if ((this.#bytes[PERMISSION + page]! & Permission.code) !== 0) return;
    this.#bytes[PERMISSION + page]! |= Permission.code;
    this.l1.protectWrites(linear & PAGE_MASK);
  }

  /** Takes the mark away, and what the tiers noted in the TLB about the page. */
  releaseCode(linear: number): void {
    this.#bytes[PERMISSION + pageIndex(linear)]! &= ~Permission.code;
    this.l1.unlinkCode(linear & PAGE_MASK);
  }

  checkInvariants(): void {
    this.l1.checkInvariants();
    this.l2.checkInvariants();
    this.bus.checkInvariants();
  }

  /** After RAM was written past the inline path; the range may lie in several pages. */
  protected wroteRam(linear: number, length: number): void {
    const last = pageIndex(linear + Math.max(length, 1) - 1);
    for (let page = pageIndex(linear); page <= last; page++) {
      if ((this.#bytes[PERMISSION + page]! & Permission.code) === 0) continue;
      const begin = Math.max(linear, GUEST + page * PAGE_SIZE);
      const end = Math.min(linear + length, GUEST + (page + 1) * PAGE_SIZE);
      this.counters.codeWrites++;
      this.onCodeWrite(begin, end - begin);
    }
  }

  /** As `translate`; says in `whole` whether the answer holds for the rest of the page. */
  protected translateForBulk(low: number, high: number, access: Access): number {
    const linear = this.l1.probe(this.#dataContext, low, high, access);
    if (linear === 0) return this.#resolve(low, high, access, 1);
    this.whole = true;
    return linear;
  }
  /** What `translate` gives when the first level does not know the page. */
  #resolve(low: number, high: number, access: Access, length: number): number {
    const { regime, counters } = this;
    const fetch = access === Access.execute;
    const privilege = fetch ? regime.fetchPrivilege : regime.dataPrivilege;
    const machine = privilege === PrivilegeMode.machine;
    counters.l1Misses++;
    let allowed = ALL;
    this.#levelPages = 1;
    if (machine || regime.levels === 0) {
      this.#page = (low >>> 12) + (high >>> 0) * 0x10_0000;
    } else {
      const outcome = this.#lookUp(low, high, access, privilege);
      if (outcome !== Walk.done) {
        this.fault(outcome === Walk.pageFault, access, low, high);
        return TRANSLATION_FAULT;
      }
      allowed = this.#allowedBy(this.#flags, privilege);
    }
    const page = this.#page * PAGE_SIZE;
    const protection = this.pmp.permissionsOfPage(page, machine);
    const linearPage = this.bus.ramAt(page, PAGE_SIZE);
    this.whole = protection !== PMP_MIXED && linearPage !== NO_RAM;
    if (this.whole) {
      if ((protection & access) === 0) {
        this.fault(false, access, low, high);
        return TRANSLATION_FAULT;
      }
      if ((this.#bytes[PERMISSION + pageIndex(linearPage)]! & Permission.code) !== 0) allowed &= ~Access.write;
      const context = fetch ? this.#fetchContext : this.#dataContext;
      this.l1.fill(context, low, high, linearPage, allowed & protection, this.#levelPages);
      return (linearPage + (low & ~PAGE_MASK)) | 0;
    }
    const gpa = page + (low & ~PAGE_MASK);
    if (!this.pmp.allows(gpa, length, access, machine)) {
      this.fault(false, access, low, high);
      return TRANSLATION_FAULT;
    }
    const linear = this.bus.ramAt(gpa, length);
    if (linear !== NO_RAM) return linear | 0;
    // Instructions are fetched from RAM only.
    if (fetch) {
      this.fault(false, access, low, high);
      return TRANSLATION_FAULT;
    }
    this.deviceAddress = gpa;
    return TRANSLATION_DEVICE;
  }

  /** Finds the leaf for an access in the second level or the page table. */
  #lookUp(low: number, high: number, access: Access, privilege: number): Walk {
    const { regime, l2, counters } = this;
    if (l2.lookup(low, high, regime.asid)) {
      const { flags } = l2;
      if (l2.wasPrefetched) counters.prefetchHits++;
      // An entry that does not permit the access may be stale: the page table has the last word.
      const clean = access === Access.write && (flags & Pte.dirty) === 0;
      if (!clean && leafAllows(flags, access, privilege, regime)) {
        counters.l2Hits++;
        const { level } = l2;
        this.#page = l2.page + pageWithin(low, high, level);
        this.#flags = flags;
        this.#levelPages = l2.contiguous ? 16 : LEVEL_PAGES[level]!;
        return Walk.done;
      }
    }
    const walker = this.#walker;
    counters.walks++;
    const outcome = walker.walk(low, high, access, privilege, regime);
    counters.walkSteps = walker.steps;
    if (outcome !== Walk.done) return outcome;
    const { page, flags, level, contiguous } = walker;
    this.#page = page;
    this.#flags = flags;
    this.#levelPages = contiguous ? 16 : LEVEL_PAGES[level]!;
    const start = page - pageWithin(low, high, level);
    l2.insert(low, high, regime.asid, start, flags, level, contiguous, false);
    if (this.#prefetch && walker.nextLeaf(regime)) {
      const nextLow = (low + PAGE_SIZE) | 0;
      const nextHigh = (low & PAGE_MASK) === PAGE_MASK ? (high + 1) | 0 : high;
      counters.walkSteps = walker.steps;
      counters.prefetched++;
      l2.insert(nextLow, nextHigh, regime.asid, walker.page, walker.flags, 0, false, true);
    }
    return outcome;
  }

  /** Empties the tables that translated addresses are in. */
  #flushTranslated(): void {
    this.counters.flushes++;
    this.l1.flush(TlbContext.user);
    this.l1.flush(TlbContext.supervisor);
    this.l1.flush(TlbContext.supervisorUserMemory);
  }

  /** The Access bits that a leaf gives at a privilege without another look at it: a page that is not dirty yet is not written. */
  #allowedBy(flags: number, privilege: number): number {
    const { regime } = this;
    let allowed = 0;
    if (leafAllows(flags, Access.read, privilege, regime)) allowed |= Access.read;
    if (leafAllows(flags, Access.execute, privilege, regime)) allowed |= Access.execute;
    if ((flags & Pte.dirty) !== 0 && leafAllows(flags, Access.write, privilege, regime)) allowed |= Access.write;
    return allowed;
  }

  protected fault(page: boolean, access: Access, low: number, high: number): number {
    if (page) this.counters.pageFaults++;
    else this.counters.accessFaults++;
    this.faultLow = low;
    this.faultHigh = high;
    return (this.faultKind = faultKind(page, access));
  }
}

/** Which page of guest RAM a linear address is in, as the permission bytes count. */
function pageIndex(linear: number): number {
  return ((linear >>> 0) - GUEST) >>> 12;
}

function contextOf(privilege: number, supervisorUserMemory: boolean): TlbContext {
  if (privilege === PrivilegeMode.machine) return TlbContext.machine;
  if (privilege === PrivilegeMode.user) return TlbContext.user;
  return supervisorUserMemory ? TlbContext.supervisorUserMemory : TlbContext.supervisor;
}

function faultKind(page: boolean, access: Access): FaultKind {
  switch (access) {
    case Access.read:
      return page ? FaultKind.loadPage : FaultKind.load;
    case Access.write:
      return page ? FaultKind.storePage : FaultKind.store;
    default:
      return page ? FaultKind.fetchPage : FaultKind.fetch;
  }
}
