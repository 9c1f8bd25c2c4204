import type { Op } from '../ir/block.ts';
import { WIDTH, type Type } from '../ir/type.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import type { OpName as WasmOp } from '../wasm/opcode.ts';
import { ValType } from '../wasm/type.ts';
import type { Lowering } from './lower.ts';
import { SlowAccess } from './runtime.ts';

/** How generated code reaches guest memory. */
export interface MemoryPath {
  /** Lowers a `load` op; its value is left on the stack. */
  load(lowering: Lowering, op: Op): void;
  /** Lowers a `store` op. */
  store(lowering: Lowering, op: Op): void;
  /** Loads for an atomic, which needs write permission too unless `access` is `reserve`: address in an i64 local, pushes i64. */
  loadForUpdate(lowering: Lowering, address: number, width: number, access: 'update' | 'reserve'): void;
  /** The store of an atomic; address and i64 value in locals. */
  storeForUpdate(lowering: Lowering, address: number, width: number, value: number): void;
}

/** What is moved between guest memory and a value. */
export interface Transfer {
  readonly type: Type;
  /** Bits in memory. */
  readonly width: number;
  readonly signed: boolean;
}

interface AccessKind extends Transfer {
  /** SlowAccess bits. */
  readonly flags: number;
  /** Permission bits that must be set; others of `mask` must be clear. */
  readonly need: number;
  readonly mask: number;
}

/** What a `load` or `store` op moves. */
export function accessOf(op: Op): Transfer {
  return { type: op.type as Type, width: op.width!, signed: op.signed === true };
}

const NOT_CODE = Permission.write | Permission.code;

/**
 * Guest address `a` is linear address GUEST + a. For an access of w = 2^k bytes, `rotr(a, k) < size >> k` tests bounds and alignment at
 * once; then the page's permission byte is looked up. All else is the slow path's business.
 */
export class FlatMemoryPath implements MemoryPath {
  readonly #size: number;

  /** `size`: bytes of guest address space, a multiple of 64 KiB. */
  constructor(size: number) {
    this.#size = size;
  }

  load(lowering: Lowering, op: Op): void {
    lowering.scratch(['i64'], (address) => {
      lowering.push(op.args[0]!);
      lowering.fn.localSet(address);
      this.#load(lowering, address, {
        type: op.type as Type,
        width: op.width!,
        signed: op.signed === true,
        flags: op.alignment === 'natural' ? SlowAccess.natural : 0,
        need: Permission.read,
        mask: Permission.read,
      });
    });
  }

  store(lowering: Lowering, op: Op): void {
    const { fn } = lowering;
    const kind: AccessKind = {
      type: op.type as Type,
      width: op.width!,
      signed: false,
      flags: op.alignment === 'natural' ? SlowAccess.natural : 0,
      need: Permission.write,
      mask: NOT_CODE,
    };
    lowering.scratch(['i64'], (address) => {
      lowering.push(op.args[0]!);
      fn.localSet(address);
      if (lowering.site.inline) {
        this.#storeInline(lowering, address, kind, () => lowering.push(op.args[1]!));
        return;
      }
      lowering.scratch([kind.type], (value) => {
        lowering.push(op.args[1]!);
        fn.localSet(value);
        this.#storeOrLeave(lowering, address, kind, value);
      });
    });
  }

  loadForUpdate(lowering: Lowering, address: number, width: number, access: 'update' | 'reserve'): void {
    const update = access === 'update';
    this.#load(lowering, address, {
      type: 'i64',
      width,
      signed: true,
      flags: SlowAccess.natural | (update ? SlowAccess.update : 0),
      need: update ? Permission.read | Permission.write : Permission.read,
      mask: update ? Permission.read | Permission.write : Permission.read,
    });
  }

  storeForUpdate(lowering: Lowering, address: number, width: number, value: number): void {
    const kind: AccessKind = {
      type: 'i64',
      width,
      signed: false,
      flags: SlowAccess.natural,
      need: Permission.write,
      mask: NOT_CODE,
    };
    if (lowering.site.inline) this.#storeInline(lowering, address, kind, () => lowering.fn.localGet(value));
    else this.#storeOrLeave(lowering, address, kind, value);
  }

  /** Tests the address; `refuse` pops a condition. Leaves the i32 address in `index`. */
  #check(lowering: Lowering, address: number, index: number, kind: AccessKind, refuse: () => void): void {
    const { fn } = lowering;
    const shift = Math.log2(kind.width / 8);
    fn.localGet(address);
    if (shift > 0) {
      fn.i64Const(shift);
      fn.op('i64.rotr');
    }
    fn.i64Const(Math.floor(this.#size / 2 ** shift));
    fn.op('i64.ge_u');
    refuse();
    fn.localGet(address);
    fn.op('i32.wrap_i64');
    fn.localTee(index);
    fn.i32Const(Math.log2(PAGE_SIZE));
    fn.op('i32.shr_u');
    fn.load('i32.load8_u', { offset: PERMISSION });
    fn.i32Const(kind.mask);
    fn.op('i32.and');
    if (kind.mask === kind.need && (kind.need & (kind.need - 1)) === 0) {
      fn.op('i32.eqz');
    } else {
      fn.i32Const(kind.need);
      fn.op('i32.ne');
    }
    refuse();
  }

  #load(lowering: Lowering, address: number, kind: AccessKind): void {
    const { fn, site, runtime } = lowering;
    lowering.scratch(['i32'], (index) => {
      if (site.inline) {
        this.#check(lowering, address, index, kind, () => site.bailIf());
        fn.localGet(index);
        loadInstruction(lowering, kind, GUEST);
        return;
      }
      const done = fn.block(ValType[kind.type]);
      const slow = fn.block();
      this.#check(lowering, address, index, kind, () => fn.brIf(slow));
      fn.localGet(index);
      loadInstruction(lowering, kind, GUEST);
      fn.br(done);
      fn.end(slow);
      fn.localGet(address);
      fn.i32Const(kind.width / 8);
      fn.i32Const(kind.flags);
      fn.call(runtime.slowLoad);
      const faulted = fn.if();
      site.leave(ExitReason.fault);
      fn.end(faulted);
      fn.i32Const(0);
      loadInstruction(lowering, kind, STATE + StateOffset.arguments);
      fn.end(done);
    });
  }

  #storeInline(lowering: Lowering, address: number, kind: AccessKind, pushValue: () => void): void {
    lowering.scratch(['i32'], (index) => {
      this.#check(lowering, address, index, kind, () => lowering.site.bailIf());
      lowering.fn.localGet(index);
      pushValue();
      storeInstruction(lowering, kind, GUEST);
    });
  }

  #storeOrLeave(lowering: Lowering, address: number, kind: AccessKind, value: number): void {
    const { fn, site, runtime } = lowering;
    lowering.scratch(['i32'], (index) => {
      const done = fn.block();
      const slow = fn.block();
      this.#check(lowering, address, index, kind, () => fn.brIf(slow));
      fn.localGet(index);
      fn.localGet(value);
      storeInstruction(lowering, kind, GUEST);
      fn.br(done);
      fn.end(slow);
      fn.i32Const(0);
      fn.localGet(value);
      storeInstruction(lowering, kind, STATE + StateOffset.arguments);
      fn.localGet(address);
      fn.i32Const(kind.width / 8);
      fn.i32Const(kind.flags);
      fn.call(runtime.slowStore);
      const faulted = fn.if();
      site.leave(ExitReason.fault);
      fn.end(faulted);
      fn.end(done);
    });
  }
}

/** The address is on the stack. */
export function loadInstruction({ fn }: Lowering, kind: Transfer, offset: number): void {
  const { type, width } = kind;
  if (type === 'v128') {
    fn.load(width === 128 ? 'v128.load' : width === 64 ? 'v128.load64_zero' : 'v128.load32_zero', { offset, align: 1 });
    return;
  }
  const names = LOADS[type];
  fn.load((kind.signed ? names.signed : names.unsigned)[width]!, { offset, align: 1 });
}

/** Address and value are on the stack. */
export function storeInstruction({ fn }: Lowering, kind: Transfer, offset: number): void {
  const { type, width } = kind;
  if (type === 'v128' && width < 128) {
    fn.memoryLane(width === 64 ? 'v128.store64_lane' : 'v128.store32_lane', { offset, align: 1 }, 0);
    return;
  }
  fn.store(STORES[type][width]!, { offset, align: 1 });
}

/** By width in bits; putting a name together takes as long as writing the instruction. */
type ByWidth = Readonly<Record<number, WasmOp>>;

const TYPES = ['i32', 'i64', 'f32', 'f64', 'v128'] as const satisfies readonly Type[];
const LOADS = byType((type) => ({ signed: names(type, 'load', '_s'), unsigned: names(type, 'load', '_u') }));
const STORES = byType((type) => names(type, 'store', ''));

function byType<T>(each: (type: Type) => T): Readonly<Record<Type, T>> {
  return Object.fromEntries(TYPES.map((type) => [type, each(type)])) as Record<Type, T>;
}

/** `suffix`: of accesses narrower than the type, which floats do not have. */
function names(type: Type, access: 'load' | 'store', suffix: string): ByWidth {
  const whole = WIDTH[type];
  const all: Record<number, WasmOp> = { [whole]: `${type}.${access}` as WasmOp };
  if (type === 'i32' || type === 'i64')
    for (const width of [8, 16, 32]) if (width < whole) all[width] = `${type}.${access}${width}${suffix}` as WasmOp;
  return all;
}
