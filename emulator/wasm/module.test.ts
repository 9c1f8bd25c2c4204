import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BranchHint, type FunctionBuilder } from './function.ts';
import { BRANCH_HINTS, ModuleBuilder } from './module.ts';
import type { ModuleOptions } from './module.ts';
import type { ModuleModel } from './module-model.ts';
import { ValType } from './type.ts';

const { i32, i64, f32, f64, v128 } = ValType;
const CHECKED: ModuleOptions = { check: true };

type Exports = Record<string, (...operands: (number | bigint)[]) => number | bigint>;

function instantiate(module: ModuleBuilder, imports: WebAssembly.Imports = {}): Exports {
  const compiled = new WebAssembly.Module(module.encode());
  return new WebAssembly.Instance(compiled, imports).exports as Exports;
}

/** A module whose one function `f` has this body. */
function single(
  params: readonly ValType[],
  results: readonly ValType[],
  body: (fn: FunctionBuilder, module: ModuleBuilder) => void,
): Exports {
  const module = new ModuleBuilder(CHECKED);
  module.memory({ initial: 1, maximum: 1, shared: true });
  const fn = module.function('f', params, results);
  body(fn, module);
  module.exportFunction('f', fn);
  return instantiate(module);
}

test('a module with nothing in it is its header', () => {
  assert.deepEqual([...new ModuleBuilder().encode()], [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
});

test('a loop computes Fibonacci numbers', () => {
  const { f } = single([i32], [i64], (fn) => {
    const next = fn.local(i64);
    const current = fn.local(i64);
    fn.i64Const(1);
    fn.localSet(next);
    const out = fn.block();
    const top = fn.loop();
    fn.localGet(0);
    fn.op('i32.eqz');
    fn.brIf(out);
    fn.localGet(next);
    fn.localGet(next);
    fn.localGet(current);
    fn.op('i64.add');
    fn.localSet(next);
    fn.localSet(current);
    fn.localGet(0);
    fn.i32Const(-1);
    fn.op('i32.add');
    fn.localSet(0);
    fn.br(top);
    fn.end(top);
    fn.end(out);
    fn.localGet(current);
  });
  assert.equal(f!(90), 2880067194370816120n);
});

test('br_table chooses among nested blocks', () => {
  const { f } = single([i32], [i32], (fn) => {
    const otherwise = fn.block();
    const one = fn.block();
    const zero = fn.block();
    fn.localGet(0);
    fn.brTable([zero, one, zero], otherwise);
    fn.end(zero);
    fn.i32Const(100);
    fn.return();
    fn.end(one);
    fn.i32Const(101);
    fn.return();
    fn.end(otherwise);
    fn.i32Const(-7);
  });
  assert.deepEqual(
    [0, 1, 2, 3, -1].map((index) => f!(index)),
    [100, 101, 100, -7, -7],
  );
});

test('if with a result takes either arm, and block types by index carry parameters', () => {
  const { f } = single([i32], [i32], (fn, module) => {
    const unary = { type: module.type([i32], [i32]) };
    fn.i32Const(10);
    fn.localGet(0);
    const arms = fn.if(unary);
    fn.i32Const(1);
    fn.op('i32.add');
    fn.else();
    fn.i32Const(1);
    fn.op('i32.sub');
    fn.end(arms);
  });
  assert.deepEqual([f!(1), f!(0)], [11, 9]);
});

test('memory instructions extend, wrap, fill and copy', () => {
  const { f } = single([i32], [i64], (fn) => {
    fn.i32Const(200);
    fn.localGet(0);
    fn.i32Const(8);
    fn.op('memory.fill');
    fn.i32Const(300);
    fn.i32Const(200);
    fn.i32Const(8);
    fn.op('memory.copy');
    fn.i32Const(300);
    fn.i64Const(0x1_ff7f);
    fn.store('i64.store16', { offset: 2, align: 1 });
    fn.i32Const(0);
    fn.load('i64.load32_s', { offset: 300 });
  });
  assert.equal(f!(0x80), BigInt.asIntN(32, 0xff7f_8080n));
});

test('functions call each other in any order, and tail calls do not grow the stack', () => {
  const module = new ModuleBuilder(CHECKED);
  const even = module.function('even', [i32], [i32]);
  const odd = module.function('odd', [i32], [i32]);
  const table = module.table({ initial: 4 });
  module.elementSegment(table, 2, [even, odd]);
  for (const [fn, answer] of [
    [even, 1],
    [odd, 0],
  ] as const) {
    fn.localGet(0);
    fn.op('i32.eqz');
    const zero = fn.if();
    fn.i32Const(answer);
    fn.return();
    fn.end(zero);
    fn.localGet(0);
    fn.i32Const(1);
    fn.op('i32.sub');
  }
  even.returnCall(odd);
  odd.i32Const(2);
  odd.returnCallIndirect(even.typeIndex, table);
  module.exportFunction('even', even);
  const { even: isEven } = instantiate(module);
  assert.deepEqual([isEven!(1_000_000), isEven!(999_999)], [1, 0]);
});

test('vector lanes splat, add, shuffle and extract', () => {
  const { f } = single([i32], [i32], (fn) => {
    fn.localGet(0);
    fn.op('i32x4.splat');
    fn.v128Const(Uint8Array.from({ length: 16 }, (_, index) => (index % 4 === 0 ? index / 4 : 0)));
    fn.op('i32x4.add');
    fn.localTee(fn.local(v128));
    fn.localGet(1);
    fn.shuffle(Uint8Array.of(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    fn.laneOp('i32x4.extract_lane', 0);
    fn.i32Const(1000);
    fn.op('i32.mul');
    fn.localGet(1);
    fn.laneOp('i32x4.extract_lane', 1);
    fn.op('i32.add');
  });
  assert.equal(f!(50), 53 * 1000 + 51);
});

test('lane loads and stores touch one lane', () => {
  const { f } = single([], [i32], (fn) => {
    const vector = fn.local(v128);
    fn.i32Const(64);
    fn.i32Const(0xbeef);
    fn.store('i32.store');
    fn.i32Const(0);
    fn.localGet(vector);
    fn.memoryLane('v128.load16_lane', { offset: 64 }, 7);
    fn.localSet(vector);
    fn.i32Const(96);
    fn.localGet(vector);
    fn.memoryLane('v128.store64_lane', {}, 1);
    fn.i32Const(96);
    fn.load('i32.load', { offset: 4 });
  });
  assert.equal(f!(), 0xbeef << 16);
});

test('atomics work on shared memory', () => {
  const { f } = single([i64], [i64], (fn) => {
    fn.i32Const(8);
    fn.localGet(0);
    fn.store('i64.atomic.store');
    fn.i32Const(8);
    fn.i64Const(5);
    fn.load('i64.atomic.rmw.add');
    fn.drop();
    fn.i32Const(0);
    fn.i64Const(47);
    fn.i64Const(1000);
    fn.load('i64.atomic.rmw.cmpxchg', { offset: 8 });
    fn.op('atomic.fence');
    fn.i32Const(8);
    fn.load('i64.atomic.load');
    fn.op('i64.add');
  });
  assert.equal(f!(42n), 47n + 1000n);
  assert.equal(f!(1n), 6n + 6n);
});

test('constants keep every bit', () => {
  const module = new ModuleBuilder(CHECKED);
  const body: [string, ValType, (fn: FunctionBuilder) => void][] = [
    ['bigint', i64, (fn) => fn.i64Const(-(1n << 63n))],
    ['safe', i64, (fn) => fn.i64Const(-0x1_2345_6789)],
    ['halves', i64, (fn) => fn.i64ConstHalves(0x89ab_cdef, 0x0123_4567)],
    ['unsigned', i32, (fn) => fn.i32Const(0xffff_ffff)],
  ];
  for (const [name, type, emit] of body) {
    const fn = module.function(name, [], [type]);
    emit(fn);
    module.exportFunction(name, fn);
  }
  const nan = module.function('nan', [], [i64]);
  nan.f64ConstBits(1, 0x7ff4_0000);
  nan.op('i64.reinterpret_f64');
  module.exportFunction('nan', nan);
  const nan32 = module.function('nan32', [], [i32]);
  nan32.f32ConstBits(0xffa0_0001);
  nan32.op('i32.reinterpret_f32');
  module.exportFunction('nan32', nan32);
  const exports = instantiate(module);
  assert.equal(exports['bigint']!(), -(1n << 63n));
  assert.equal(exports['safe']!(), -0x1_2345_6789n);
  assert.equal(exports['halves']!(), 0x0123_4567_89ab_cdefn);
  assert.equal(exports['unsigned']!(), -1);
  assert.equal(exports['nan']!(), 0x7ff4_0000_0000_0001n);
  assert.equal(exports['nan32']!(), 0xffa0_0001 | 0);
});

test('imports of every kind come first and keep their indices', () => {
  const module = new ModuleBuilder(CHECKED);
  const double = module.importFunction('host', 'double', [i32], [i32]);
  module.importMemory('host', 'memory', { initial: 1, maximum: 2, shared: true });
  const table = module.importTable('host', 'table', { initial: 1 });
  const base = module.importGlobal('host', 'base', i32, true);
  const copy = module.global(f64, false, 2.5);
  const fn = module.function('f', [], [i32]);
  fn.globalGet(base);
  fn.call(double);
  fn.globalGet(copy);
  fn.op('i32.trunc_sat_f64_s');
  fn.op('i32.add');
  fn.globalSet(base);
  fn.i32Const(0);
  fn.load('i32.load8_u');
  module.elementSegment(table, 0, [fn]);
  module.dataSegment(Uint8Array.of(77), 0);
  module.exportGlobal('base', base);
  module.exportMemory('memory');
  module.exportTable('table');
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const host = {
    double: (value: number) => value * 2,
    memory,
    table: new WebAssembly.Table({ initial: 1, element: 'anyfunc' }),
    base: new WebAssembly.Global({ value: 'i32', mutable: true }, 20),
  };
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { host });
  assert.equal((host.table.get(0) as () => number)(), 77);
  assert.equal(host.base.value, 42);
  assert.equal(exports['memory'], memory);
});

test('passive segments, start function and 64-bit globals', () => {
  const module = new ModuleBuilder(CHECKED);
  module.memory({ initial: 1 });
  const counter = module.global(i64, true, -3n);
  const start = module.function('start', [], []);
  start.i32Const(10);
  start.i32Const(1);
  start.i32Const(2);
  start.indexed('memory.init', module.dataSegment(Uint8Array.of(1, 2, 3)), 0);
  start.globalGet(counter);
  start.i32Const(0);
  start.load('i64.load', { offset: 10 });
  start.op('i64.add');
  start.globalSet(counter);
  module.start(start);
  module.exportGlobal('counter', counter);
  const exports = instantiate(module) as unknown as { counter: WebAssembly.Global };
  assert.equal(exports.counter.value, 0x302n - 3n);
});

test('types are interned, locals are grouped, names are written on request', () => {
  const module = new ModuleBuilder();
  assert.equal(module.type([i32, i64], [f32]), module.type([i32, i64], [f32]));
  assert.notEqual(module.type([i32], [i64]), module.type([i32, i64], []));
  const fn = module.function('näme', [], []);
  for (const type of [i32, i32, i32, f64, f64, i32]) fn.local(type);
  const bytes = module.encode();
  assert.ok(Buffer.from(bytes).includes(Buffer.from([3, 3, i32, 2, f64, 1, i32, 0x0b])));
  const named = new WebAssembly.Module(module.encode({ names: true }));
  assert.equal(WebAssembly.Module.customSections(named, 'name').length, 1);
  assert.ok(Buffer.from(module.encode({ names: true })).includes(Buffer.from('näme')));
});

test('branch hints name the byte of each instruction, counted from the local declarations, before the code', () => {
  const module = new ModuleBuilder(CHECKED);
  module.function('plain', [], []);
  const fn = module.function('hinted', [i32], []);
  fn.local(i64);
  fn.localGet(0);
  fn.brIf(fn.bodyLabel, BranchHint.unlikely);
  fn.localGet(0);
  const then = fn.if(undefined, BranchHint.likely);
  fn.end(then);
  const bytes = module.encode();
  const [section, ...others] = WebAssembly.Module.customSections(new WebAssembly.Module(bytes), BRANCH_HINTS);
  assert.deepEqual(others, []);
  // One function, number 1, two hints: `br_if` behind three bytes of declarations and two of `local.get`, `if` four bytes on.
  assert.deepEqual([...new Uint8Array(section!)], [1, 1, 2, 5, 1, 0, 9, 1, 1]);
  assert.ok(Buffer.from(bytes).indexOf(BRANCH_HINTS) < Buffer.from(bytes).indexOf(Buffer.from([0x0d, 0])));
});

test('counters tell instructions and bytes exactly', () => {
  const module = new ModuleBuilder();
  const fn = module.function('f', [], []);
  fn.i32Const(64);
  fn.drop();
  assert.deepEqual([fn.operators, fn.byteLength], [2, 4]);
  fn.finish();
  assert.deepEqual([fn.operators, module.operators], [3, 3]);
});

/** A module that imports a memory and a function, with its imports from a model or declared by itself. */
function importing(model: ModuleModel | undefined, types: readonly (readonly ValType[])[]): ModuleBuilder {
  const module = new ModuleBuilder(model === undefined ? CHECKED : { ...CHECKED, model });
  return addFunctions(model === undefined ? declareImports(module) : module, types);
}

function addFunctions(module: ModuleBuilder, types: readonly (readonly ValType[])[]): ModuleBuilder {
  for (const [at, params] of types.entries()) {
    const fn = module.function('f', params, [i32]);
    const scratch = fn.takeLocal(i32);
    fn.i32Const(8);
    fn.localTee(scratch);
    fn.load('i32.load', { offset: 4 });
    fn.call(0);
    fn.localGet(scratch);
    fn.freeLocal(scratch);
    fn.op('i32.add');
    if (at === 0) module.exportFunction('f', fn);
  }
  return module;
}

function declareImports(module: ModuleBuilder): ModuleBuilder {
  module.importFunction('env', 'twice', [i32], [i32]);
  module.importMemory('env', 'memory', { initial: 1 });
  return module;
}

test('modules with a model are as they would be without it', () => {
  const model = declareImports(new ModuleBuilder(CHECKED)).asModel();
  // One has no types but the model's; two are being built at the same time, and a model serves on after that.
  const cases = [[[i32]], [[i64]], [[i32], [i64, f64]], [], [[i32]]];
  const open = cases.slice(0, 2).map((types) => importing(model, types));
  for (const [at, types] of cases.entries())
    assert.deepEqual((open[at] ?? importing(model, types)).encode(), importing(undefined, types).encode());
});

test('a module with a model imports nothing else, and is encoded once', () => {
  const model = declareImports(new ModuleBuilder()).asModel();
  const module = importing(model, [[i32]]);
  assert.throws(() => new ModuleBuilder({ model }).importFunction('env', 'other', [], []), /is not the model's/);
  module.encode();
  assert.throws(() => module.encode(), /encoded twice/);
});

test('modules with a model have its functions before their own', () => {
  const declare = (module: ModuleBuilder) => {
    const shared = declareImports(module).function('f', [i32], [i32]);
    shared.localGet(0);
    shared.call(0);
    shared.call(0);
    return module;
  };
  const model = declare(new ModuleBuilder(CHECKED)).asModel();
  const cases = [[[i32]], [[i64], [i32]], []];
  for (const types of cases) {
    const alone = addFunctions(declare(new ModuleBuilder(CHECKED)), types);
    assert.deepEqual(addFunctions(new ModuleBuilder({ ...CHECKED, model }), types).encode(), alone.encode());
  }
  const own = new ModuleBuilder({ ...CHECKED, model });
  const fn = own.function('f', [i32], [i32]);
  fn.localGet(0);
  fn.call(1);
  own.exportFunction('f', fn);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(own.encode()), {
    env: { twice: (x: number) => 2 * x, memory: new WebAssembly.Memory({ initial: 1 }) },
  });
  assert.equal((exports['f'] as (x: number) => number)(5), 20);
});

test('a model has no functions with branch hints, whose indices are encoded anew for each module', () => {
  const module = new ModuleBuilder();
  const fn = module.function('f', [i32], []);
  fn.localGet(0);
  fn.end(fn.if(undefined, BranchHint.unlikely));
  assert.throws(() => module.asModel(), /f with branch hints/);
});
