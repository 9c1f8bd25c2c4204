import type { Op } from '../../ir/block.ts';
import { BranchHint, type FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { Copies, Copy } from './byte-copies.ts';

/** How so many bytes are moved at once. */
const WHOLE = {
  2: { type: ValType.i32, load: 'i32.load16_u', store: 'i32.store16' },
  4: { type: ValType.i32, load: 'i32.load', store: 'i32.store' },
  8: { type: ValType.i64, load: 'i64.load', store: 'i64.store' },
} as const;

/** What the loads of a copy have read. */
interface Read {
  readonly value: number;
  /** i32 local that is 0 when it could not be read as one; undefined where it always can. */
  readonly served: number | undefined;
}

/** The code of a block's copies: all bytes are read behind the check of the first load and written behind that of the first store. */
export class ByteCopyCode {
  #copies: Copies | undefined;
  #reads: Map<Copy, Read> | undefined = undefined;
  /** Copies that their first store has made, with the i32 local that is 0 when it has not. */
  #made: Map<Copy, number | undefined> | undefined = undefined;

  /** Begins a block, and frees what the one before needed. */
  begin(fn: FunctionBuilder, copies: Copies | undefined): void {
    if (this.#copies !== undefined) this.#free(fn);
    this.#copies = copies === undefined || copies.ofStore.size === 0 ? undefined : copies;
  }

  #free(fn: FunctionBuilder): void {
    for (const { value, served } of this.#reads?.values() ?? []) {
      fn.freeLocal(value);
      if (served !== undefined) fn.freeLocal(served);
    }
    for (const local of this.#made?.values() ?? []) if (local !== undefined) fn.freeLocal(local);
    this.#reads = undefined;
    this.#made = undefined;
  }

  /** Whether a load is the first of a copy. */
  begins(load: Op): boolean {
    return this.#copies?.ofLoad.has(load) === true;
  }

  /**
   * Reads the copies that a load is the first of. `address`: local, i32, to which `offset` must be added for the load's; `isServed`: it is 0 where there is
   * none.
   */
  read(fn: FunctionBuilder, load: Op, address: number, offset: number, isServed = true): void {
    for (const copy of this.#copies!.ofLoad.get(load)!) {
      const whole = WHOLE[copy.bytes];
      const value = fn.takeLocal(whole.type);
      const served = isServed ? undefined : fn.takeLocal(ValType.i32);
      fn.localGet(address);
      if (served !== undefined) fn.localTee(served);
      const open = served === undefined ? undefined : fn.if(undefined, BranchHint.likely);
      if (open !== undefined) fn.localGet(address);
      fn.load(whole.load, { offset: moved(fn, offset + copy.loadDistance), align: 1 });
      fn.localSet(value);
      if (open !== undefined) fn.end(open);
      (this.#reads ??= new Map()).set(copy, { value, served });
    }
  }

  /** Whether a store is the first of a copy that was read. */
  writes(store: Op): boolean {
    const copy = this.#copies?.ofStore.get(store);
    return copy?.store === store && this.#reads?.has(copy) === true;
  }

  /** Writes what a copy has read; it has been, and can be, for sure. Pops the i32 to which `offset` must be added for the first store's address. */
  write(fn: FunctionBuilder, store: Op, offset: number): void {
    const copy = this.#copies!.ofStore.get(store)!;
    const place = moved(fn, offset + copy.storeDistance);
    fn.localGet(this.#reads!.get(copy)!.value);
    fn.store(WHOLE[copy.bytes].store, { offset: place, align: 1 });
    (this.#made ??= new Map()).set(copy, undefined);
  }

  /** The same where it may be that one of both could not be done as one. `address`: local, i32, 0 where there is none. */
  writeIf(fn: FunctionBuilder, store: Op, address: number, offset: number): void {
    const copy = this.#copies!.ofStore.get(store)!;
    const { served } = this.#reads!.get(copy)!;
    const made = fn.takeLocal(ValType.i32);
    fn.localGet(address);
    if (served !== undefined) {
      fn.i32Const(0);
      fn.localGet(served);
      fn.select();
    }
    fn.localTee(made);
    const open = fn.if(undefined, BranchHint.likely);
    fn.localGet(address);
    this.write(fn, store, offset);
    fn.end(open);
    (this.#made ??= new Map()).set(copy, made);
  }

  /** Writes a store's code for where the first of its copy may not have written its bytes. */
  unlessMade(fn: FunctionBuilder, op: Op, store: () => void): void {
    const made = this.isMade(op);
    if (typeof made !== 'number') return store();
    fn.localGet(made);
    fn.op('i32.eqz');
    const open = fn.if(undefined, BranchHint.unlikely);
    store();
    fn.end(open);
  }

  /** Whether a store's bytes have been written by the first of its copy: for sure, or where a local is not 0. */
  isMade(store: Op): boolean | number {
    const copy = this.#copies?.ofStore.get(store);
    return copy !== undefined && this.#made?.has(copy) === true && (this.#made.get(copy) ?? true);
  }
}

/** What is left to add to the i32 on the stack, which is moved back itself: an instruction cannot. */
function moved(fn: FunctionBuilder, offset: number): number {
  if (offset >= 0) return offset;
  fn.i32Const(offset);
  fn.op('i32.add');
  return 0;
}
