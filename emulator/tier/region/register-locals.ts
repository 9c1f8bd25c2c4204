import { assert } from '../../check/assert.ts';
import type { RegisterFile, Slot, Type } from '../../ir/type.ts';
import { STATE } from '../../layout/memory-map.ts';
import type { FunctionBuilder } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import { loadRegister, storeRegister } from '../register-access.ts';
import type { RegionNode } from './node.ts';

/** What registers are while writes to them are put off, by state offset. */
export interface Deferred {
  /** By how much they are more than their locals. */
  readonly moved: ReadonlyMap<number, number>;
  /** Those of the state whose values are aside. */
  readonly aside: ReadonlySet<number>;
}

interface Changing extends Deferred {
  readonly moved: Map<number, number>;
  readonly aside: Set<number>;
}

const NOTHING: Changing = { moved: new Map(), aside: new Set() };
/** Nothing is put off: every register is in its place. */
export const SETTLED: Deferred = NOTHING;

/** Registers of 64 bits lie at multiples of this. */
const UNIT = 4;

interface Kept {
  readonly local: number;
  readonly type: 'i64' | 'f64';
  readonly offset: number;
  readonly written: boolean;
}

interface Usage {
  readonly offset: number;
  asFloat: boolean;
  read: boolean;
  written: boolean;
}

/**
 * The guest registers that a region keeps in locals: those of files with several 64-bit registers. Others (flags, modes) stay in the
 * state, where helpers and slow paths look for them.
 */
export class RegisterLocals {
  readonly #fn: FunctionBuilder;
  /** In the order of their locals. */
  readonly #all: Kept[] = [];
  /** By state offset, in units of four bytes. */
  readonly #kept: (Kept | undefined)[] = [];
  /** Whether writes may be put off: where control goes from node to node without a label, so that it is known here what was. */
  deferring = false;
  /** Replaced rather than changed when it is NOTHING, as it is all along in most regions. */
  #deferred = NOTHING;
  /** Locals for the values of registers that are in the state, by their offset. */
  #asides: Map<number, { readonly local: number; readonly type: 'i64' | 'f64' }> | undefined = undefined;

  /** `isSmall`: the region is little more than a loop. */
  constructor(fn: FunctionBuilder, nodes: readonly RegionNode[], isSmall: boolean) {
    this.#fn = fn;
    const usages: (Usage | undefined)[] = [];
    const found: Usage[] = [];
    for (const { block } of nodes) {
      const { ops } = block;
      for (let index = 0; index < ops.length; index++) {
        const op = ops[index]!;
        if (op.name !== 'get' && op.name !== 'set') continue;
        const slot = op.slot!;
        if (!keepsLocals(slot.file) || isSink(slot)) continue;
        const offset = offsetOf(slot);
        let usage = usages[offset / UNIT];
        if (usage === undefined) {
          usage = { offset, asFloat: false, read: false, written: false };
          usages[offset / UNIT] = usage;
          found.push(usage);
        }
        if (op.type === 'f64') usage.asFloat = true;
        if (op.name === 'set') usage.written = true;
        else usage.read = true;
      }
    }
    for (const { offset, asFloat, read, written } of found) {
      // What blocks only leave behind for others goes to the state at once: a local would be kept alive around every loop for the exits.
      // In a small loop V8 has registers for that, and when it unrolls the loop one write does for several rounds.
      if (!read && !isSmall) continue;
      const type = asFloat ? 'f64' : 'i64';
      const kept: Kept = { local: fn.local(ValType[type]), type, offset, written };
      this.#all.push(kept);
      this.#kept[offset / UNIT] = kept;
    }
  }

  /** Code that brings the registers in. */
  load(): void {
    for (const { local, type, offset } of this.#all) {
      this.#fn.i32Const(0);
      loadRegister(this.#fn, type, STATE + offset);
      this.#fn.localSet(local);
    }
  }

  /** Code that writes back those the region writes. */
  store(): void {
    for (const { local, type, offset, written } of this.#all) {
      if (!written) continue;
      this.#fn.i32Const(0);
      this.#fn.localGet(local);
      storeRegister(this.#fn, type, STATE + offset);
    }
  }

  /** What is put off. */
  get deferred(): Deferred {
    if (this.isSettled) return SETTLED;
    return copyOf(this.#deferred);
  }

  set deferred(deferred: Deferred) {
    const isSettled = deferred.moved.size === 0 && deferred.aside.size === 0;
    this.#deferred = isSettled ? NOTHING : copyOf(deferred);
  }

  get isSettled(): boolean {
    return this.#deferred.moved.size === 0 && this.#deferred.aside.size === 0;
  }

  /** Code that makes all writes that are put off, on one of several ways that control takes. */
  settle({ moved, aside }: Deferred = this.#deferred): void {
    const fn = this.#fn;
    for (const [offset, by] of moved) {
      const { local } = this.#kept[offset / UNIT]!;
      fn.localGet(local);
      fn.i64Const(by);
      fn.op('i64.add');
      fn.localSet(local);
    }
    for (const offset of aside) {
      const { local, type } = this.#asides!.get(offset)!;
      fn.i32Const(0);
      fn.localGet(local);
      storeRegister(fn, type, STATE + offset);
    }
  }

  /** Makes all writes that are put off. */
  flush(): void {
    this.settle();
    this.deferred = SETTLED;
  }

  /** Before turns of a loop that go straight into each other: what its nodes write to the state alone is put off from now on. */
  beginTurns(nodes: readonly RegionNode[]): void {
    const fn = this.#fn;
    for (const offset of this.#writtenAside(nodes)) {
      this.#putAside(offset, 'i64', () => {
        fn.i32Const(0);
        loadRegister(fn, 'i64', STATE + offset);
      });
    }
  }

  /** The registers that nodes write to the state alone. */
  #writtenAside(nodes: readonly RegionNode[]): ReadonlySet<number> {
    const offsets = new Set<number>();
    for (const { block } of nodes) {
      for (const { name, type, slot } of block.ops) {
        if (name !== 'set' || !keepsLocals(slot!.file) || isSink(slot!)) continue;
        if ((type === 'i64' || type === 'f64') && this.#kept[offsetOf(slot!) / UNIT] === undefined)
          offsets.add(offsetOf(slot!));
      }
    }
    return offsets;
  }

  /** Behind a turn that another one follows: what is in locals is so in them. */
  endTurn(): void {
    const { moved, aside } = this.#deferred;
    this.settle({ moved, aside: SETTLED.aside });
    this.deferred = { moved: SETTLED.moved, aside };
  }

  /** Behind the last of them. `nodes`: those that come next, and are not left before their end: what they write again nobody sees. */
  endTurns(nodes: readonly RegionNode[]): void {
    const again = this.#writtenAside(nodes);
    const { moved, aside } = this.#deferred;
    this.settle({ moved, aside: new Set([...aside].filter((offset) => !again.has(offset))) });
    this.deferred = SETTLED;
  }

  /** Whether it can be put off to make a register `by` more than its local. */
  canMove(offset: number, by: number): boolean {
    return this.deferring && this.#kept[offset / UNIT]?.type === 'i64' && Math.abs(by) < 2 ** 31;
  }

  /** Makes a register `by` more than its local. */
  move(offset: number, by: number): void {
    if (by === 0) this.#stay(offset);
    else this.#change().moved.set(offset, by);
  }

  /** A register is in its local as it is. */
  #stay(offset: number): void {
    if (this.#deferred.moved.has(offset)) this.#change().moved.delete(offset);
  }

  /** What is put off, to be changed. */
  #change(): Changing {
    if (this.#deferred === NOTHING) this.#deferred = copyOf(NOTHING);
    return this.#deferred;
  }

  /** By how much a register is more than what `baseAt` pushes. */
  movedBy(offset: number): number {
    return this.#deferred.moved.get(offset) ?? 0;
  }

  /** Pushes what the i64 register at an offset in the state was before it was moved. */
  baseAt(offset: number): void {
    this.#push(offset, 0);
  }

  /** Pushes the i64 register at an offset in the state. */
  readAt(offset: number): void {
    this.#push(offset, this.movedBy(offset));
  }

  #push(offset: number, by: number): void {
    const kept = this.#kept[offset / UNIT];
    if (kept === undefined) {
      this.#fn.i32Const(0);
      loadRegister(this.#fn, 'i64', STATE + offset);
      return;
    }
    this.#fn.localGet(kept.local);
    if (kept.type === 'f64') this.#fn.op('i64.reinterpret_f64');
    this.#add(by);
  }

  #add(by: number): void {
    if (by === 0) return;
    this.#fn.i64Const(by);
    this.#fn.op('i64.add');
  }

  /** The local that holds a register as it is; undefined where there is none, or writes of it may be put off. */
  localOf(slot: Slot, type: Type): number | undefined {
    if (this.deferring) return undefined;
    const kept = this.#kept[offsetOf(slot) / UNIT];
    return kept !== undefined && kept.type === type ? kept.local : undefined;
  }

  /** Pushes a register, or its low part. */
  read(slot: Slot, type: Type): void {
    const fn = this.#fn;
    const kept = this.#kept[offsetOf(slot) / UNIT];
    if (kept === undefined) {
      fn.i32Const(0);
      loadRegister(fn, type, STATE + offsetOf(slot));
      return;
    }
    fn.localGet(kept.local);
    this.#add(this.movedBy(offsetOf(slot)));
    if (type === kept.type) return;
    if (kept.type === 'f64') fn.op('i64.reinterpret_f64');
    if (type === 'i64') return;
    fn.op('i32.wrap_i64');
    if (type === 'f32') fn.op('f32.reinterpret_i32');
    else assert(type === 'i32', 'a register of 64 bits is read as a scalar');
  }

  /** Writes what `push` pushes. */
  write(slot: Slot, type: Type, push: () => void): void {
    const fn = this.#fn;
    if (isSink(slot)) {
      push();
      fn.drop();
      return;
    }
    const offset = offsetOf(slot);
    const kept = this.#kept[offset / UNIT];
    if (kept === undefined && this.deferring && (type === 'i64' || type === 'f64') && keepsLocals(slot.file)) {
      this.#putAside(offset, type, push);
      return;
    }
    if (kept === undefined) {
      fn.i32Const(0);
      push();
      storeRegister(fn, type, STATE + offsetOf(slot));
      return;
    }
    push();
    this.#stay(offset);
    if (type !== kept.type) {
      if (type === 'f64') fn.op('i64.reinterpret_f64');
      else if (type !== 'i64') this.#mergeLow(kept, type);
      if (kept.type === 'f64') fn.op('f64.reinterpret_i64');
    }
    fn.localSet(kept.local);
  }

  #putAside(offset: number, type: 'i64' | 'f64', push: () => void): void {
    const fn = this.#fn;
    this.#asides ??= new Map();
    let aside = this.#asides.get(offset);
    if (aside === undefined) this.#asides.set(offset, (aside = { local: fn.local(ValType[type]), type }));
    push();
    if (aside.type !== type) fn.op(type === 'f64' ? 'i64.reinterpret_f64' : 'f64.reinterpret_i64');
    fn.localSet(aside.local);
    if (!this.#deferred.aside.has(offset)) this.#change().aside.add(offset);
  }

  /** Makes the 64 bits of a register of the 32 pushed and its own high half. */
  #mergeLow(kept: Kept, type: Type): void {
    const fn = this.#fn;
    if (type === 'f32') fn.op('i32.reinterpret_f32');
    else assert(type === 'i32', 'a register of 64 bits is written as a scalar');
    fn.op('i64.extend_i32_u');
    fn.localGet(kept.local);
    if (kept.type === 'f64') fn.op('i64.reinterpret_f64');
    fn.i64Const(0xffff_ffff_0000_0000n);
    fn.op('i64.and');
    fn.op('i64.or');
  }
}

function copyOf({ moved, aside }: Deferred): Changing {
  return { moved: new Map(moved), aside: new Set(aside) };
}

function keepsLocals({ count, type }: RegisterFile): boolean {
  return count > 1 && count <= 64 && (type === 'i64' || type === 'f64');
}

function isSink({ file, index }: Slot): boolean {
  return file.sink !== undefined && index === file.sink;
}

function offsetOf({ file, index }: Slot): number {
  assert(typeof index === 'number', 'a region knows its registers');
  return file.offset + file.stride * index;
}
