import assert from 'node:assert/strict';
import { test } from 'node:test';
import { disassemble } from './disassemble.ts';
import type { FunctionBuilder } from './function.ts';
import { ModuleBuilder } from './module.ts';
import type { OpName } from './opcode.ts';
import { ValType } from './type.ts';

const { i32, i64, f64, v128 } = ValType;

function unchecked(): { module: ModuleBuilder; fn: FunctionBuilder } {
  const module = new ModuleBuilder();
  module.memory({ initial: 1 });
  return { module, fn: module.function('f', [i32], []) };
}

const misuse: [string, (fn: FunctionBuilder, module: ModuleBuilder) => void, RegExp][] = [
  ['a branch to a closed label', (fn) => closedLabel(fn), /branch to label 1, which is not open/u],
  ['a branch to a label never made', (fn) => fn.brIf(99), /label 99/u],
  ['a closed label in a br_table', (fn) => tableOfClosed(fn), /which is not open/u],
  ['the end of an outer block', (fn) => endOuter(fn), /end of label 1 while 2 is innermost/u],
  ['an end too many', (fn) => fn.end(), /end without an open block/u],
  ['a block left open', (fn, module) => (fn.loop(), module.encode()), /f: 1 blocks left open/u],
  ['a scratch local not freed', (fn, module) => (fn.takeLocal(f64), module.encode()), /scratch locals 1 not freed/u],
  ['a local freed twice', (fn) => freeTwice(fn), /local 1 is not a taken scratch local/u],
  ['a local that is not there', (fn) => fn.localGet(1), /no local 1/u],
  ['op with immediates', (fn) => fn.op('i32.load'), /i32\.load takes immediates \(memarg\)/u],
  ['a name that is no instruction', (fn) => fn.op('i32.addd' as OpName), /i32\.addd is no instruction/u],
  ['end through op', (fn) => fn.op('end'), /end has a method of its own/u],
  ['a load that is none', (fn) => fn.load('i32.add'), /no memory access/u],
  ['alignment above the natural one', (fn) => fn.load('i32.load', { align: 8 }), /alignment of 8 bytes/u],
  ['alignment that is no power of two', (fn) => fn.load('i64.load', { align: 3 }), /alignment of 3 bytes/u],
  ['an atomic below its alignment', (fn) => fn.load('i64.atomic.load', { align: 4 }), /alignment of 4 bytes/u],
  ['a negative offset', (fn) => fn.load('i32.load', { offset: -4 }), /offset -4/u],
  ['a lane beyond the shape', (fn) => fn.laneOp('i64x2.extract_lane', 2), /no lane 2/u],
  ['a memory lane beyond the shape', (fn) => fn.memoryLane('v128.load32_lane', {}, 4), /no lane 4/u],
  ['a v128 of the wrong size', (fn) => fn.v128Const(new Uint8Array(15)), /15 bytes/u],
  ['a shuffle of byte 32', (fn) => fn.shuffle(new Uint8Array(16).fill(32)), /shuffle/u],
  ['an i64 that a number cannot hold', (fn) => fn.i64Const(2 ** 60), /safe integer/u],
  ['an index too few', (fn) => fn.indexed('table.copy', 0), /table\.copy takes other immediates/u],
  ['code after finish', (fn) => (fn.finish(), fn.unreachable()), /f: is finished/u],
  ['a late function import', (_, module) => module.importFunction('m', 'g', [], []), /comes after the function f/u],
  ['a late memory import', (_, module) => module.importMemory('m', 'g', { initial: 1 }), /after a memory/u],
  ['an export given twice', (fn, module) => exportTwice(fn, module), /given twice/u],
  ['an export of nothing', (_, module) => module.exportTable('t'), /index 0 is not there/u],
  ['a shared memory without maximum', (_, module) => module.memory({ initial: 1, shared: true }), /maximum/u],
  ['limits upside down', (_, module) => module.table({ initial: 2, maximum: 1 }), /maximum 1 is below/u],
];

for (const [name, misbehave, message] of misuse) {
  test(`${name} is refused with its reason`, () => {
    const { module, fn } = unchecked();
    assert.throws(() => misbehave(fn, module), { name: 'AssertionFailure', message });
  });
}

test('scratch locals are used again by type', () => {
  const { fn } = unchecked();
  const first = fn.takeLocal(i64);
  const second = fn.takeLocal(v128);
  fn.freeLocal(first);
  assert.notEqual(fn.takeLocal(v128), first);
  assert.equal(fn.takeLocal(i64), first);
  assert.equal(fn.localType(second), v128);
});

test('a local that is read behind its write at once is kept on the stack, unless a block ends between', () => {
  const module = new ModuleBuilder({ check: true });
  const fn = module.function('f', [i32], [i32]);
  const [one, other] = [fn.local(i32), fn.local(i32)];
  fn.localGet(0);
  fn.localSet(one);
  fn.localGet(one);
  fn.localSet(other);
  const block = fn.block();
  fn.localGet(other);
  fn.localSet(one);
  fn.end(block);
  fn.localGet(one);
  fn.localSet(other);
  fn.localGet(one);
  fn.localGet(other);
  fn.op('i32.add');
  module.exportFunction('f', fn);
  const text = disassemble(module.encode());
  const written = text.split('\n').flatMap((line) => /local\.\w+ \d/.exec(line)?.[0] ?? []);
  assert.deepEqual(written, [
    'local.get 0',
    'local.tee 1',
    'local.set 2',
    'local.get 2',
    'local.set 1',
    'local.get 1',
    'local.set 2',
    'local.get 1',
    'local.get 2',
  ]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()));
  assert.equal((exports['f'] as (value: number) => number)(21), 42);
});

test('labels name the right depth whatever is opened between', () => {
  const module = new ModuleBuilder({ check: true });
  const fn = module.function('f', [], [i32]);
  const outer = fn.block(i32);
  fn.end(fn.block());
  const inner = fn.loop();
  fn.i32Const(5);
  fn.br(outer);
  fn.end(inner);
  fn.i32Const(6);
  fn.end(outer);
  module.exportFunction('f', fn);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()));
  assert.equal((exports['f'] as () => number)(), 5);
});

function closedLabel(fn: FunctionBuilder): void {
  const label = fn.block();
  fn.end(label);
  fn.br(label);
}

function tableOfClosed(fn: FunctionBuilder): void {
  const label = fn.block();
  fn.end(label);
  fn.brTable([fn.bodyLabel, label], fn.bodyLabel);
}

function endOuter(fn: FunctionBuilder): void {
  const outer = fn.block();
  fn.loop();
  fn.end(outer);
}

function freeTwice(fn: FunctionBuilder): void {
  const local = fn.takeLocal(i64);
  fn.freeLocal(local);
  fn.freeLocal(local);
}

function exportTwice(fn: FunctionBuilder, module: ModuleBuilder): void {
  module.exportFunction('f', fn);
  module.exportFunction('f', fn);
}
