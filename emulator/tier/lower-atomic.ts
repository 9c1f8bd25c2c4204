import type { Op } from '../ir/block.ts';
import type { OpName } from '../ir/op.ts';
import { STATE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { ValType } from '../wasm/type.ts';
import type { OpName as WasmOp } from '../wasm/opcode.ts';
import type { Lowering, OpLowering } from './lower.ts';

// One vCPU runs in an unshared memory, so plain accesses are atomic and fences order nothing.

const RESERVATION = STATE + StateOffset.reservation;
const RESERVED = STATE + StateOffset.reserved;

/** Pushes the value of a local, its low `width` bits sign-extended. */
function signExtended({ fn }: Lowering, local: number, width: number): void {
  fn.localGet(local);
  if (width < 64) fn.op(`i64.extend${width}_s` as WasmOp);
}

function loadReserved(lowering: Lowering, op: Op): void {
  const { fn } = lowering;
  lowering.argumentsInLocals(op, ['i64'], (address) => {
    lowering.scratch(['i64'], (value) => {
      lowering.memory.loadForUpdate(lowering, address, op.width!, 'reserve');
      fn.localSet(value);
      fn.i32Const(0);
      fn.localGet(address);
      fn.store('i64.store', { offset: RESERVATION });
      fn.i32Const(0);
      fn.localGet(value);
      fn.store('i64.store', { offset: RESERVED });
      fn.localGet(value);
    });
  });
}

function storeConditional(lowering: Lowering, op: Op): void {
  const { fn } = lowering;
  lowering.argumentsInLocals(op, ['i64', 'i64'], (address, value) => {
    lowering.memory.loadForUpdate(lowering, address, op.width!, 'update');
    fn.i32Const(0);
    fn.load('i64.load', { offset: RESERVED });
    fn.op('i64.eq');
    fn.i32Const(0);
    fn.load('i64.load', { offset: RESERVATION });
    fn.localGet(address);
    fn.op('i64.eq');
    fn.op('i32.and');
    const held = fn.if(ValType.i32);
    lowering.memory.storeForUpdate(lowering, address, op.width!, value);
    fn.i32Const(0);
    fn.else();
    fn.i32Const(1);
    fn.end(held);
    fn.i32Const(0);
    fn.i64Const(-1);
    fn.store('i64.store', { offset: RESERVATION });
  });
}

const PLAIN: Readonly<Record<string, WasmOp>> = { add: 'i64.add', and: 'i64.and', or: 'i64.or', xor: 'i64.xor' };
/** The comparison under which the old value stays. */
const KEEP_OLD: Readonly<Record<string, WasmOp>> = {
  minS: 'i64.le_s',
  maxS: 'i64.ge_s',
  minU: 'i64.le_u',
  maxU: 'i64.ge_u',
};

function readModifyWrite(lowering: Lowering, op: Op): void {
  const { fn } = lowering;
  const { rmw } = op;
  const width = op.width!;
  lowering.argumentsInLocals(op, ['i64', 'i64'], (address, operand) => {
    lowering.scratch(['i64'], (old) => {
      lowering.memory.loadForUpdate(lowering, address, width, 'update');
      fn.localSet(old);
      lowering.scratch(['i64'], (updated) => {
        const plain = PLAIN[rmw!];
        const keep = KEEP_OLD[rmw!];
        if (plain !== undefined) {
          fn.localGet(old);
          fn.localGet(operand);
          fn.op(plain);
        } else if (keep !== undefined) {
          // Sign extension of both keeps the unsigned order too.
          signExtended(lowering, operand, width);
          fn.localSet(operand);
          fn.localGet(old);
          fn.localGet(operand);
          fn.localGet(old);
          fn.localGet(operand);
          fn.op(keep);
          fn.select();
        } else {
          fn.localGet(operand);
        }
        fn.localSet(updated);
        lowering.memory.storeForUpdate(lowering, address, width, updated);
      });
      fn.localGet(old);
    });
  });
}

function compareAndSwap(lowering: Lowering, op: Op): void {
  const { fn } = lowering;
  const width = op.width!;
  lowering.argumentsInLocals(op, ['i64', 'i64', 'i64'], (address, expected, desired) => {
    lowering.scratch(['i64'], (old) => {
      lowering.memory.loadForUpdate(lowering, address, width, 'update');
      fn.localTee(old);
      signExtended(lowering, expected, width);
      fn.op('i64.eq');
      const equal = fn.if();
      lowering.memory.storeForUpdate(lowering, address, width, desired);
      fn.end(equal);
      fn.localGet(old);
    });
  });
}

export const ATOMIC_LOWERING: Partial<Record<OpName, OpLowering>> = {
  load_reserved: loadReserved,
  store_conditional: storeConditional,
  atomic_rmw: readModifyWrite,
  atomic_cas: compareAndSwap,
};
