import type { Type } from '../ir/type.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { OpName as WasmOp } from '../wasm/opcode.ts';

const LOAD: Readonly<Record<Type, WasmOp>> = {
  i32: 'i32.load',
  i64: 'i64.load',
  f32: 'f32.load',
  f64: 'f64.load',
  v128: 'v128.load',
};
const STORE: Readonly<Record<Type, WasmOp>> = {
  i32: 'i32.store',
  i64: 'i64.store',
  f32: 'f32.store',
  f64: 'f64.store',
  v128: 'v128.store',
};

/** Loads a guest register from the vCPU state; its address is on the stack, `offset` is added to it. */
export function loadRegister(fn: FunctionBuilder, type: Type, offset: number): void {
  fn.load(LOAD[type], { offset });
}

/** Stores a guest register; address and value are on the stack. */
export function storeRegister(fn: FunctionBuilder, type: Type, offset: number): void {
  fn.store(STORE[type], { offset });
}
