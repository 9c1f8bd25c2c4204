import {
  ARRIVALS,
  ARRIVALS_COUNT,
  REGION_CACHE,
  REGION_CACHE_ENTRIES,
  REGION_CACHE_ENTRY_SIZE,
  REGION_USES,
  REGIONS_MAX,
  SPRINGBOARD,
  STATE,
  PAGE_SIZE,
  TlbEntry,
  TRANSLATED_REGION_CACHE_ENTRIES,
} from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import { CHECK, CheckLevel } from '../../check/assert.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { PAGE_END, RecordField } from '../interpreter/record.ts';
import { addEntryOffset } from '../tlb-path.ts';
import { Status } from './status.ts';
import type { CodePage } from './code-page.ts';

const { i32, i64 } = ValType;
/** A cached address that no guest instruction has. */
const EMPTY = -1n;

/** A power of two: one of so many arrivals at code without a region comes out to be counted. */
export const ARRIVALS_LOOKED_AT = 32;

/** Bits of an index in the table of regions: behind address translation it shares a word of the cache with the entry's number. */
const INDEX_BITS = Math.log2(REGIONS_MAX);

const compiled: { flat?: WebAssembly.Module; translated?: WebAssembly.Module } = {};

/**
 * Runs regions one after the other, as the jump cache (level 1 of the translation cache) knows where control goes, and the interpreter
 * between them, without leaving WebAssembly.
 */
export class Dispatcher {
  /** Enters the region at an index of the table; the status is that of the region in `Frame.region`. */
  readonly run: (index: number, entry: number) => number;
  readonly table: WebAssembly.Table;
  readonly #view: DataView<ArrayBuffer>;
  /** log2 of the fewest bytes between two instructions. */
  readonly #shift: number;
  readonly #translated: boolean;
  /** Of the cache. */
  readonly #entries: number;

  /**
   * `interpret`: the interpreter's main function; `recordShift`: log2 of its record bytes per byte of guest code; `translated`: guest
   * addresses are, so a region is entered only where the TLB still leads to its code.
   */
  constructor(
    memory: WebAssembly.Memory,
    alignment: number,
    interpret: () => number,
    recordShift: number,
    translated: boolean,
  ) {
    this.#translated = translated;
    const module = (compiled[translated ? 'translated' : 'flat'] ??= new WebAssembly.Module(generate(translated)));
    this.#shift = Math.log2(alignment);
    const shift = new WebAssembly.Global({ value: 'i32' }, this.#shift);
    // Guest address less this is what the springboard's record must be told.
    const springboard = new WebAssembly.Global({ value: 'i64' }, BigInt(SPRINGBOARD >> recordShift));
    const instance = new WebAssembly.Instance(module, { env: { memory, shift, springboard, interpret } });
    this.run = instance.exports['run'] as (index: number, entry: number) => number;
    this.table = instance.exports['regions'] as WebAssembly.Table;
    this.#view = new DataView(memory.buffer as ArrayBuffer);
    this.#entries = cacheEntries(translated);
    // No entry has a tag of all ones.
    new Uint8Array(memory.buffer, REGION_CACHE, REGION_CACHE_ENTRY_SIZE * this.#entries).fill(0xff);
    new Uint8Array(memory.buffer, REGION_USES, 4 * REGIONS_MAX).fill(0);
    new Uint8Array(memory.buffer, ARRIVALS, 4 * ARRIVALS_COUNT).fill(0);
    this.#view.setInt32(Frame.chained, 0, true);
    this.#view.setInt32(Frame.missed, 0, true);
    this.#view.setInt32(Frame.interpreted, 0, true);
    this.#view.setUint16(SPRINGBOARD + RecordField.op, PAGE_END, true);
  }

  /** Instructions that the interpreter has retired between regions, since the last call. */
  takeInterpreted(): number {
    const count = this.#view.getInt32(Frame.interpreted, true);
    this.#view.setInt32(Frame.interpreted, 0, true);
    return count;
  }

  /** The region that ran last. */
  get lastIndex(): number {
    return this.#view.getInt32(Frame.region, true);
  }

  /** Times that control went from one region to another without coming out, since the last call. */
  takeChained(): number {
    const count = this.#view.getInt32(Frame.chained, true);
    this.#view.setInt32(Frame.chained, 0, true);
    return count;
  }

  /** Times that the cache did not hold where control went, since the last call. */
  takeMissed(): number {
    const count = this.#view.getInt32(Frame.missed, true);
    this.#view.setInt32(Frame.missed, 0, true);
    return count;
  }

  /** Times that control went to a region by the cache, since the last call. */
  takeUses(index: number): number {
    const at = REGION_USES + 4 * index;
    const uses = this.#view.getUint32(at, true);
    this.#view.setUint32(at, 0, true);
    return uses;
  }

  /** Lets control that leaves for a guest address go to a region. */
  cache(pc: number, index: number, entry: number, pages: readonly CodePage[]): void {
    const first = this.#slot(pc);
    const second = first ^ REGION_CACHE_ENTRY_SIZE;
    // Two addresses that both want the first may be in turn, all the time. [measured: 26,000 times in a counting loop of the shell]
    const isFree = this.#tag(second) === BigInt(pc) || (this.#tag(second) === EMPTY && this.#tag(first) !== EMPTY);
    const at = this.#tag(first) !== BigInt(pc) && isFree ? second : first;
    this.#view.setBigInt64(at, BigInt(pc), true);
    if (!this.#translated) {
      this.#view.setInt32(at + 8, index, true);
      this.#view.setInt32(at + 12, entry, true);
      return;
    }
    const page = Math.floor(pc / PAGE_SIZE) * PAGE_SIZE;
    this.#view.setInt32(at + 8, index | (entry << INDEX_BITS), true);
    this.#view.setInt32(at + 12, pages.find((other) => other.pc === page)!.records, true);
  }

  forget(pc: number): void {
    for (const at of [this.#slot(pc), this.#slot(pc) ^ REGION_CACHE_ENTRY_SIZE])
      if (this.#tag(at) === BigInt(pc)) this.#view.setBigInt64(at, EMPTY, true);
  }

  /** The guest address whose region an entry of the cache leads to. */
  #tag(at: number): bigint {
    return this.#view.getBigInt64(at, true);
  }

  /** The entry of the cache where an address is looked for first; the other one of its pair is second. */
  #slot(pc: number): number {
    return REGION_CACHE + ((pc >>> this.#shift) & (this.#entries - 1)) * REGION_CACHE_ENTRY_SIZE;
  }
}

function cacheEntries(translated: boolean): number {
  return translated ? TRANSLATED_REGION_CACHE_ENTRIES : REGION_CACHE_ENTRIES;
}

function generate(translated: boolean): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  const interpret = module.importFunction('env', 'interpret', [], [i32]);
  module.importMemory('env', 'memory', { initial: 1 });
  const shift = module.importGlobal('env', 'shift', i32, false);
  const springboard = module.importGlobal('env', 'springboard', i64, false);
  const table = module.table({ initial: REGIONS_MAX, maximum: REGIONS_MAX });
  const regionType = module.type([i32], [i32]);
  const fn = module.function('run', [i32, i32], [i32]);
  const [index, entry] = [0, 1];
  const status = fn.local(i32);
  const slot = fn.local(i32);
  const count = fn.local(i32);
  const pc = fn.local(i64);
  const next = fn.loop();
  fn.i32Const(0);
  fn.localGet(index);
  fn.store('i32.store', { offset: Frame.region });
  fn.localGet(entry);
  fn.localGet(index);
  fn.callIndirect(regionType, table);
  fn.localSet(status);
  const chains = fn.block();
  fn.localGet(status);
  fn.op('i32.eqz');
  fn.brIf(chains);
  fn.localGet(status);
  fn.i32Const(Status.dynamic);
  fn.op('i32.and');
  fn.brIf(chains);
  fn.localGet(status);
  fn.return();
  fn.end(chains);
  probe(() => fn.br(next));
  // No region there. Whoever decides what to translate looks at jumps without known targets, and at every so manieth other arrival.
  fn.localGet(status);
  fn.i32Const(Status.indirect);
  fn.op('i32.and');
  const unknown = fn.if();
  fn.localGet(status);
  fn.return();
  fn.end(unknown);
  fn.localGet(pc);
  fn.op('i32.wrap_i64');
  fn.globalGet(shift);
  fn.op('i32.shr_u');
  fn.i32Const(ARRIVALS_COUNT - 1);
  fn.op('i32.and');
  fn.i32Const(2);
  fn.op('i32.shl');
  fn.localTee(slot);
  fn.localGet(slot);
  fn.load('i32.load', { offset: ARRIVALS });
  fn.i32Const(1);
  fn.op('i32.add');
  fn.localTee(count);
  fn.store('i32.store', { offset: ARRIVALS });
  fn.localGet(count);
  fn.i32Const(ARRIVALS_LOOKED_AT - 1);
  fn.op('i32.and');
  fn.op('i32.eqz');
  const look = fn.if();
  fn.localGet(status);
  fn.return();
  fn.end(look);
  // The interpreter goes on until it comes to a region.
  fn.i32Const(0);
  fn.i32Const(SPRINGBOARD);
  fn.store('i32.store', { offset: Frame.record });
  fn.i32Const(0);
  fn.localGet(pc);
  fn.globalGet(springboard);
  fn.op('i64.sub');
  fn.store('i64.store', { offset: Frame.pcDelta });
  countInterpreted('i32.add');
  fn.call(interpret);
  fn.localSet(status);
  countInterpreted('i32.sub');
  fn.localGet(status);
  fn.i32Const(ExitReason.miss);
  fn.op('i32.eq');
  const missed = fn.if();
  probe(() => fn.br(next));
  fn.end(missed);
  fn.localGet(status);
  fn.i32Const(Status.interpreted);
  fn.op('i32.or');
  fn.return();
  fn.end(next);
  fn.unreachable();
  module.exportFunction('run', fn);
  module.exportTable('regions', table);
  return module.encode();

  /** Code that goes where the state's pc is if the cache holds it, with index and entry set; else falls through with it in `pc`. */
  function probe(go: () => void): void {
    fn.i32Const(0);
    fn.load('i64.load', { offset: STATE + StateOffset.pc });
    fn.localTee(pc);
    fn.op('i32.wrap_i64');
    fn.globalGet(shift);
    fn.op('i32.shr_u');
    fn.i32Const(cacheEntries(translated) - 1);
    fn.op('i32.and');
    fn.i32Const(Math.log2(REGION_CACHE_ENTRY_SIZE));
    fn.op('i32.shl');
    fn.localSet(slot);
    found(go);
    fn.localGet(slot);
    fn.i32Const(REGION_CACHE_ENTRY_SIZE);
    fn.op('i32.xor');
    fn.localSet(slot);
    found(go);
    increment(() => fn.i32Const(Frame.missed));
  }

  /** Code that goes on, with index and entry set, if the entry of the cache at `slot` is that of `pc`; else falls through. */
  function found(go: () => void): void {
    fn.localGet(slot);
    fn.load('i64.load', { offset: REGION_CACHE });
    fn.localGet(pc);
    fn.op('i64.eq');
    if (translated) leadsToRecords();
    const hit = fn.if();
    fn.localGet(slot);
    fn.load('i32.load', { offset: REGION_CACHE + (translated ? 8 : 12) });
    if (translated) {
      fn.localTee(index);
      fn.i32Const(INDEX_BITS);
      fn.op('i32.shr_u');
    }
    fn.localSet(entry);
    if (translated) {
      fn.localGet(index);
      fn.i32Const(REGIONS_MAX - 1);
      fn.op('i32.and');
    } else {
      fn.localGet(slot);
      fn.load('i32.load', { offset: REGION_CACHE + 8 });
    }
    fn.localSet(index);
    increment(() => fn.i32Const(Frame.chained));
    increment(() => counterOf(index));
    go();
    fn.end(hit);
  }

  /** Adds one to the number in memory whose address is pushed. */
  function increment(push: () => void): void {
    push();
    push();
    fn.load('i32.load');
    fn.i32Const(1);
    fn.op('i32.add');
    fn.store('i32.store');
  }

  /** Makes the condition on the stack false unless the TLB leads fetches at `pc` to the decoded page that `slot` tells of. */
  function leadsToRecords(): void {
    fn.i32Const(0);
    fn.load('i32.load', { offset: STATE + StateOffset.fetchTlb });
    addEntryOffset(fn, pc);
    fn.localTee(count);
    fn.load('i64.load', { offset: TlbEntry.execute });
    fn.localGet(pc);
    fn.i64Const(-PAGE_SIZE);
    fn.op('i64.and');
    fn.op('i64.eq');
    fn.op('i32.and');
    fn.localGet(count);
    fn.load('i32.load', { offset: TlbEntry.code });
    fn.localGet(slot);
    fn.load('i32.load', { offset: REGION_CACHE + 12 });
    fn.op('i32.eq');
    fn.op('i32.and');
  }

  /** The budget before the interpreter runs, less that behind it. */
  function countInterpreted(sign: 'i32.add' | 'i32.sub'): void {
    fn.i32Const(0);
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.interpreted });
    fn.i32Const(0);
    fn.load('i32.load', { offset: Frame.budget });
    fn.op(sign);
    fn.store('i32.store', { offset: Frame.interpreted });
  }

  function counterOf(local: number): void {
    fn.localGet(local);
    fn.i32Const(2);
    fn.op('i32.shl');
    fn.i32Const(REGION_USES);
    fn.op('i32.add');
  }
}
