import {
  REGION_CACHE,
  REGION_CACHE_ENTRIES,
  REGION_CACHE_ENTRY_SIZE,
  REGION_USES,
  REGIONS_MAX,
  STATE,
} from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import { CHECK, CheckLevel } from '../../check/assert.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { Frame } from '../interpreter/frame.ts';
import { Status } from './status.ts';

const { i32, i64 } = ValType;
/** A cached address that no guest instruction has. */
const EMPTY = -1n;

let compiled: WebAssembly.Module | undefined;

/**
 * Runs regions one after the other as long as the jump cache (level 1 of the translation cache) knows where control goes, without
 * leaving WebAssembly.
 */
export class Dispatcher {
  /** Enters the region at an index of the table; the status is that of the region in `Frame.region`. */
  readonly run: (index: number, entry: number) => number;
  readonly table: WebAssembly.Table;
  readonly #view: DataView<ArrayBuffer>;
  /** log2 of the fewest bytes between two instructions. */
  readonly #shift: number;

  constructor(memory: WebAssembly.Memory, alignment: number) {
    compiled ??= new WebAssembly.Module(generate());
    this.#shift = Math.log2(alignment);
    const shift = new WebAssembly.Global({ value: 'i32' }, this.#shift);
    const instance = new WebAssembly.Instance(compiled, { env: { memory, shift } });
    this.run = instance.exports['run'] as (index: number, entry: number) => number;
    this.table = instance.exports['regions'] as WebAssembly.Table;
    this.#view = new DataView(memory.buffer as ArrayBuffer);
    for (let slot = 0; slot < REGION_CACHE_ENTRIES; slot++)
      this.#view.setBigInt64(REGION_CACHE + slot * REGION_CACHE_ENTRY_SIZE, EMPTY, true);
    new Uint8Array(memory.buffer, REGION_USES, 4 * REGIONS_MAX).fill(0);
    this.#view.setInt32(Frame.chained, 0, true);
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

  /** Times that control went to a region by the cache, since the last call. */
  takeUses(index: number): number {
    const at = REGION_USES + 4 * index;
    const uses = this.#view.getUint32(at, true);
    this.#view.setUint32(at, 0, true);
    return uses;
  }

  /** Lets control that leaves for a guest address go to a region. */
  cache(pc: number, index: number, entry: number): void {
    const at = this.#slot(pc);
    this.#view.setBigInt64(at, BigInt(pc), true);
    this.#view.setInt32(at + 8, index, true);
    this.#view.setInt32(at + 12, entry, true);
  }

  forget(pc: number): void {
    const at = this.#slot(pc);
    if (this.#view.getBigInt64(at, true) === BigInt(pc)) this.#view.setBigInt64(at, EMPTY, true);
  }

  #slot(pc: number): number {
    return REGION_CACHE + ((pc >>> this.#shift) & (REGION_CACHE_ENTRIES - 1)) * REGION_CACHE_ENTRY_SIZE;
  }
}

function generate(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ check: CHECK >= CheckLevel.full });
  module.importMemory('env', 'memory', { initial: 1 });
  const shift = module.importGlobal('env', 'shift', i32, false);
  const table = module.table({ initial: REGIONS_MAX, maximum: REGIONS_MAX });
  const regionType = module.type([i32], [i32]);
  const fn = module.function('run', [i32, i32], [i32]);
  const [index, entry] = [0, 1];
  const status = fn.local(i32);
  const slot = fn.local(i32);
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
  fn.i32Const(0);
  fn.load('i64.load', { offset: STATE + StateOffset.pc });
  fn.localTee(pc);
  fn.op('i32.wrap_i64');
  fn.globalGet(shift);
  fn.op('i32.shr_u');
  fn.i32Const(REGION_CACHE_ENTRIES - 1);
  fn.op('i32.and');
  fn.i32Const(Math.log2(REGION_CACHE_ENTRY_SIZE));
  fn.op('i32.shl');
  fn.localTee(slot);
  fn.load('i64.load', { offset: REGION_CACHE });
  fn.localGet(pc);
  fn.op('i64.eq');
  const hit = fn.if();
  fn.localGet(slot);
  fn.load('i32.load', { offset: REGION_CACHE + 12 });
  fn.localSet(entry);
  fn.localGet(slot);
  fn.load('i32.load', { offset: REGION_CACHE + 8 });
  fn.localSet(index);
  for (const push of [() => fn.i32Const(Frame.chained), () => counterOf(index)]) {
    push();
    push();
    fn.load('i32.load');
    fn.i32Const(1);
    fn.op('i32.add');
    fn.store('i32.store');
  }
  fn.br(next);
  fn.end(hit);
  fn.end(next);
  fn.localGet(status);
  module.exportFunction('run', fn);
  module.exportTable('regions', table);
  return module.encode();

  function counterOf(local: number): void {
    fn.localGet(local);
    fn.i32Const(2);
    fn.op('i32.shl');
    fn.i32Const(REGION_USES);
    fn.op('i32.add');
  }
}
