import { CODE_LINE, CODE_LINES, CODE_LINES_COUNT, PAGE_SIZE, PERMISSION, Permission } from '../layout/memory-map.ts';
import type { FunctionBuilder } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';

/**
 * A function of a guest address (i64) and a number of bytes (i32, at most a page): gives 1 when they are not all in guest memory of
 * `size` bytes that may be read, or with `write` also be written without touching code, else 0. For lookups that are seldom needed: each
 * is a call instead of some eighty bytes of code.
 */
export function pageCheckFunction(module: ModuleBuilder, size: number, write: boolean): FunctionBuilder {
  const fn = module.function(write ? 'refusesWrite' : 'refusesRead', [ValType.i64, ValType.i32], [ValType.i32]);
  const address = 0;
  const bytes = 1;
  const returnOne = () => {
    fn.i32Const(1);
    fn.return();
  };
  fn.localGet(address);
  fn.i64Const(size);
  fn.localGet(bytes);
  fn.op('i64.extend_i32_u');
  fn.op('i64.sub');
  fn.op('i64.gt_u');
  const outside = fn.if();
  returnOne();
  fn.end(outside);
  const first = () => {
    fn.localGet(address);
    fn.op('i32.wrap_i64');
  };
  const last = () => {
    first();
    fn.localGet(bytes);
    fn.op('i32.add');
    fn.i32Const(1);
    fn.op('i32.sub');
  };
  const page = (pushAddress: () => void) => {
    pushAddress();
    fn.i32Const(Math.log2(PAGE_SIZE));
    fn.op('i32.shr_u');
    fn.load('i32.load8_u', { offset: PERMISSION });
  };
  if (!write) {
    page(first);
    page(last);
    fn.op('i32.and');
    fn.i32Const(Permission.read);
    fn.op('i32.and');
    fn.op('i32.eqz');
    return fn;
  }
  const both = Permission.read | Permission.write;
  page(first);
  page(last);
  fn.op('i32.and');
  fn.i32Const(both);
  fn.op('i32.and');
  fn.i32Const(both);
  fn.op('i32.ne');
  const denied = fn.if();
  returnOne();
  fn.end(denied);
  page(first);
  page(last);
  fn.op('i32.or');
  fn.i32Const(Permission.code);
  fn.op('i32.and');
  fn.op('i32.eqz');
  const plain = fn.if();
  fn.i32Const(0);
  fn.return();
  fn.end(plain);
  // More bytes than a line may have code between the first and the last.
  fn.localGet(bytes);
  fn.i32Const(CODE_LINE);
  fn.op('i32.gt_u');
  codeLine(fn, first);
  fn.op('i32.or');
  codeLine(fn, last);
  fn.op('i32.or');
  return fn;
}

/**
 * Code that leaves in the i32 local `room` how many bytes from the guest address in the i64 local on, to the end of the next page at most,
 * lie in guest memory of `size` bytes that may be read, or with `write` also be written without touching a page with code; 0 for none.
 */
export function pageRoom(fn: FunctionBuilder, address: number, room: number, size: number, write: boolean): void {
  const page = fn.takeLocal(ValType.i32);
  const mask = write ? Permission.read | Permission.write | Permission.code : Permission.read;
  const need = write ? Permission.read | Permission.write : Permission.read;
  const allowed = (next: number) => {
    fn.localGet(page);
    fn.load('i32.load8_u', { offset: PERMISSION + next });
    fn.i32Const(mask);
    fn.op('i32.and');
    fn.i32Const(need);
    fn.op('i32.eq');
  };
  fn.i32Const(0);
  fn.localSet(room);
  fn.localGet(address);
  fn.i64Const(size);
  fn.op('i64.lt_u');
  const inside = fn.if();
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.i32Const(Math.log2(PAGE_SIZE));
  fn.op('i32.shr_u');
  fn.localSet(page);
  allowed(0);
  const here = fn.if();
  fn.i32Const(PAGE_SIZE);
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.i32Const(PAGE_SIZE - 1);
  fn.op('i32.and');
  fn.op('i32.sub');
  // Behind the last page's permissions there is a byte that allows nothing.
  allowed(1);
  fn.i32Const(Math.log2(PAGE_SIZE));
  fn.op('i32.shl');
  fn.op('i32.add');
  fn.localSet(room);
  fn.end(here);
  fn.end(inside);
  fn.freeLocal(page);
}

/** Pushes whether there may be code in the line of the i32 guest address that is pushed. */
export function codeLine(fn: FunctionBuilder, pushAddress: () => void): void {
  pushAddress();
  fn.i32Const(Math.log2(CODE_LINE));
  fn.op('i32.shr_u');
  fn.i32Const(CODE_LINES_COUNT - 1);
  fn.op('i32.and');
  fn.load('i32.load8_u', { offset: CODE_LINES });
}
