import { assert } from '../check/assert.ts';
import type { Op } from '../ir/block.ts';
import type { Isa } from '../isa/instruction.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission, STATE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, StateOffset } from '../layout/state.ts';
import type { FunctionBuilder, FunctionIndex } from '../wasm/function.ts';
import type { ModuleBuilder } from '../wasm/module.ts';
import { ValType } from '../wasm/type.ts';
import { codeLine, pageCheckFunction } from './page-check.ts';
import { fusedMultiplyAdd32Function, fusedMultiplyAdd64Function, productInexactFunction } from './error-free-code.ts';

const { i32, i64 } = ValType;
const WASM_PAGE = 65536;

/** What generated modules import, under the module name `env`. */
export interface RuntimeImports {
  readonly memory: WebAssembly.Memory;
  /** Calls helper `index` of the ISA: arguments and result in the state. 1 when it trapped. */
  readonly helper: (index: number) => number;
  /** Computes floating-point operation `index` exactly: arguments, rounding mode last, and result in the state. */
  readonly float: (index: number) => void;
  /** Guest bytes [address, address + bytes), with decoded code in their lines, are being written, or would have been (`RuntimeOptions.leavesCode`). */
  readonly codeWritten: (address: number, bytes: number) => void;
}

export interface RuntimeOptions {
  /** Bytes of guest address space; behind address translation, of guest RAM. */
  readonly guestSize: number;
  /** Guest memory is behind address translation (tlb-path.ts); else it is flat. */
  readonly translated?: boolean;
  /** A store to code is not done where memory is flat: `codeWritten` is told of it, and the code is left as for a fault. */
  readonly leavesCode?: boolean;
}

/** Functions that generated modules import. */
export interface RuntimeFunctions {
  readonly helper: FunctionIndex;
  readonly float: FunctionIndex;
  /** Behind address translation it is the MMU that knows where code is. */
  readonly codeWritten: FunctionIndex | undefined;
}

/** Declares what generated modules import, the memory included. */
export function importRuntime(module: ModuleBuilder, options: RuntimeOptions): RuntimeFunctions {
  const translated = options.translated === true;
  const functions = {
    helper: module.importFunction('env', 'helper', [i32], [i32]),
    float: module.importFunction('env', 'float', [i32], []),
    codeWritten: translated ? undefined : module.importFunction('env', 'codeWritten', [i32, i32], []),
  };
  // Behind translation one piece of code serves machines of any size.
  const guest = translated ? 0 : options.guestSize;
  module.importMemory('env', 'memory', { initial: Math.ceil((GUEST + guest) / WASM_PAGE) });
  return functions;
}

/** The functions that generated code calls: imports, and the slow paths of memory accesses. Made before anything else in a module, for imports come first. */
export class Runtime {
  readonly module: ModuleBuilder;
  readonly options: RuntimeOptions;
  readonly helper: FunctionIndex;
  readonly float: FunctionIndex;
  /** The floating-point operations that code may ask for; the index is `float`'s argument. */
  readonly floatOps: Op[] = [];
  readonly #helpers: Isa['helpers'];
  readonly #codeWritten: FunctionIndex | undefined;
  #slowLoad: FunctionBuilder | undefined = undefined;
  #slowStore: FunctionBuilder | undefined = undefined;
  #productInexact: FunctionBuilder | undefined = undefined;
  #fusedMultiplyAdd64: FunctionBuilder | undefined = undefined;
  #pageChecks: (FunctionBuilder | undefined)[] | undefined = undefined;
  #fusedMultiplyAdd32: FunctionBuilder | undefined = undefined;
  #floatIndices: Map<string, number> | undefined = undefined;

  /** `imported`: given where the module has a model with these imports. */
  constructor(module: ModuleBuilder, isa: Isa, options: RuntimeOptions, imported = importRuntime(module, options)) {
    this.module = module;
    this.options = options;
    this.#helpers = isa.helpers;
    this.helper = imported.helper;
    this.float = imported.float;
    this.#codeWritten = imported.codeWritten;
  }

  /** Functions made when first asked for: any load that the fast path refuses. */
  get slowLoad(): FunctionBuilder {
    return (this.#slowLoad ??= slowLoad(this.module, this.options));
  }

  get slowStore(): FunctionBuilder {
    const codeWritten = this.#codeWritten;
    assert(codeWritten !== undefined, 'stores are checked here where addresses are not translated');
    return (this.#slowStore ??= slowStore(this.module, this.options, codeWritten));
  }

  get productInexact(): FunctionBuilder {
    return (this.#productInexact ??= productInexactFunction(this.module));
  }

  get fusedMultiplyAdd64(): FunctionBuilder {
    return (this.#fusedMultiplyAdd64 ??= fusedMultiplyAdd64Function(this.module));
  }

  get fusedMultiplyAdd32(): FunctionBuilder {
    return (this.#fusedMultiplyAdd32 ??= fusedMultiplyAdd32Function(this.module));
  }

  /** Whether bytes may not be accessed, by their pages: see `pageCheckFunction`. */
  pageCheck(write: boolean): FunctionBuilder {
    this.#pageChecks ??= [];
    return (this.#pageChecks[Number(write)] ??= pageCheckFunction(this.module, this.options.guestSize, write));
  }

  helperIndex(name: string): number {
    const index = Object.keys(this.#helpers).indexOf(name);
    assert(index >= 0, `the ISA has a helper ${name}`);
    return index;
  }

  /** Whether instructions may be found elsewhere after calls in `ops`. */
  fences(ops: readonly Op[]): boolean {
    return ops.some(({ name, helper }) => name === 'call' && this.#helpers[helper!]!.fences === true);
  }

  floatIndex(op: Op): number {
    const key = [op.name, op.type, op.from, op.signed].join();
    this.#floatIndices ??= new Map();
    let index = this.#floatIndices.get(key);
    if (index === undefined) {
      index = this.floatOps.push(op) - 1;
      this.#floatIndices.set(key, index);
    }
    return index;
  }
}

/** Bits of a slow path's last argument. */
export const SlowAccess = {
  /** A misaligned address faults. */
  natural: 1,
  /** A load that faults as a store does, and needs write permission too: the first half of an atomic. */
  update: 2,
} as const;

/**
 * Pushes 1 when not all bytes of the access may be used: [address, address + bytes) inside guest memory, and its first and last page
 * with all `need` bits. An access is at most 16 bytes, so it touches at most two pages.
 */
function forbidden(fn: FunctionBuilder, address: number, bytes: number, size: number, pushNeed: () => void): void {
  const result = fn.takeLocal(i32);
  fn.i32Const(1);
  fn.localSet(result);
  const outside = fn.block();
  fn.localGet(address);
  fn.i64Const(size);
  fn.op('i64.ge_u');
  fn.brIf(outside);
  fn.localGet(address);
  fn.localGet(bytes);
  fn.op('i64.extend_i32_u');
  fn.op('i64.add');
  fn.i64Const(size);
  fn.op('i64.gt_u');
  fn.brIf(outside);
  pagePermission(fn, () => {
    fn.localGet(address);
    fn.op('i32.wrap_i64');
  });
  pagePermission(fn, () => lastByte(fn, address, bytes));
  fn.op('i32.and');
  pushNeed();
  fn.op('i32.and');
  pushNeed();
  fn.op('i32.ne');
  fn.localSet(result);
  fn.end(outside);
  fn.localGet(result);
  fn.freeLocal(result);
}

function pagePermission(fn: FunctionBuilder, pushAddress: () => void): void {
  pushAddress();
  fn.i32Const(Math.log2(PAGE_SIZE));
  fn.op('i32.shr_u');
  fn.load('i32.load8_u', { offset: PERMISSION });
}

function lastByte(fn: FunctionBuilder, address: number, bytes: number): void {
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.localGet(bytes);
  fn.op('i32.add');
  fn.i32Const(1);
  fn.op('i32.sub');
}

/** Writes a fault to the state and returns `ExitReason.fault`. Which kind is on the stack. */
function returnFault(fn: FunctionBuilder, address: number, bytes: number, kind: number): void {
  fn.localSet(kind);
  fn.i32Const(0);
  fn.localGet(kind);
  fn.store('i32.store', { offset: STATE + StateOffset.cause });
  fn.i32Const(0);
  fn.localGet(address);
  fn.store('i64.store', { offset: STATE + StateOffset.value });
  fn.i32Const(0);
  fn.localGet(bytes);
  fn.store('i32.store', { offset: STATE + StateOffset.faultWidth });
  fn.i32Const(ExitReason.fault);
  fn.return();
}

/** `natural` and misaligned: pushes the condition. `bytes` is a power of two. */
function misaligned(fn: FunctionBuilder, address: number, bytes: number, flags: number): void {
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.localGet(bytes);
  fn.i32Const(1);
  fn.op('i32.sub');
  fn.op('i32.and');
  fn.i32Const(0);
  fn.op('i32.ne');
  fn.localGet(flags);
  fn.i32Const(SlowAccess.natural);
  fn.op('i32.and');
  fn.op('i32.and');
}

/** `memory.copy` between guest memory and the argument slots. */
function copyArguments(fn: FunctionBuilder, address: number, bytes: number, direction: 'load' | 'store'): void {
  const guest = () => {
    fn.localGet(address);
    fn.op('i32.wrap_i64');
    fn.i32Const(GUEST);
    fn.op('i32.add');
  };
  if (direction === 'store') guest();
  fn.i32Const(STATE + StateOffset.arguments);
  if (direction === 'load') guest();
  fn.localGet(bytes);
  fn.op('memory.copy');
}

/**
 * `(address, bytes, flags) -> status`: any load the fast path refuses. 0 with the zero-extended bytes in the argument slots, or
 * `ExitReason.fault` with the fault in the state. A fault's address is the access's own (ir/op/memory.ts).
 */
function slowLoad(module: ModuleBuilder, options: RuntimeOptions): FunctionBuilder {
  const fn = module.function('slowLoad', [i64, i32, i32], [i32]);
  const [address, bytes, flags] = [0, 1, 2];
  const kind = fn.local(i32);
  const update = (plain: number, updating: number) => {
    fn.i32Const(updating);
    fn.i32Const(plain);
    fn.localGet(flags);
    fn.i32Const(SlowAccess.update);
    fn.op('i32.and');
    fn.select();
  };
  misaligned(fn, address, bytes, flags);
  const crooked = fn.if();
  update(FaultKind.loadMisaligned, FaultKind.storeMisaligned);
  returnFault(fn, address, bytes, kind);
  fn.end(crooked);
  forbidden(fn, address, bytes, options.guestSize, () => update(Permission.read, Permission.read | Permission.write));
  const denied = fn.if();
  update(FaultKind.load, FaultKind.store);
  returnFault(fn, address, bytes, kind);
  fn.end(denied);
  for (const slot of [0, 8]) {
    fn.i32Const(0);
    fn.i64Const(0);
    fn.store('i64.store', { offset: STATE + StateOffset.arguments + slot });
  }
  copyArguments(fn, address, bytes, 'load');
  fn.i32Const(0);
  return fn;
}

/** `(address, bytes, flags) -> status`: stores the low bytes of the argument slots, whatever the fast path refuses; see `RuntimeOptions.leavesCode`. */
function slowStore(module: ModuleBuilder, options: RuntimeOptions, codeWritten: FunctionIndex): FunctionBuilder {
  const fn = module.function('slowStore', [i64, i32, i32], [i32]);
  const [address, bytes, flags] = [0, 1, 2];
  const kind = fn.local(i32);
  misaligned(fn, address, bytes, flags);
  const crooked = fn.if();
  fn.i32Const(FaultKind.storeMisaligned);
  returnFault(fn, address, bytes, kind);
  fn.end(crooked);
  forbidden(fn, address, bytes, options.guestSize, () => fn.i32Const(Permission.write));
  const denied = fn.if();
  fn.i32Const(FaultKind.store);
  returnFault(fn, address, bytes, kind);
  fn.end(denied);
  pagePermission(fn, () => {
    fn.localGet(address);
    fn.op('i32.wrap_i64');
  });
  pagePermission(fn, () => lastByte(fn, address, bytes));
  fn.op('i32.or');
  fn.i32Const(Permission.code);
  fn.op('i32.and');
  const page = fn.if();
  codeLine(fn, () => {
    fn.localGet(address);
    fn.op('i32.wrap_i64');
  });
  codeLine(fn, () => lastByte(fn, address, bytes));
  fn.op('i32.or');
  const code = fn.if();
  fn.localGet(address);
  fn.op('i32.wrap_i64');
  fn.localGet(bytes);
  fn.call(codeWritten);
  if (options.leavesCode === true) {
    fn.i32Const(ExitReason.fault);
    fn.return();
  }
  fn.end(code);
  fn.end(page);
  copyArguments(fn, address, bytes, 'store');
  fn.i32Const(0);
  return fn;
}
