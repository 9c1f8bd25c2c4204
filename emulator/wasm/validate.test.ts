import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { FunctionBuilder } from './function.ts';
import { ModuleBuilder } from './module.ts';
import { opcode, opNames } from './opcode.ts';
import type { OpName } from './opcode.ts';
import { ValType } from './type.ts';

const { i32, i64, f32, f64, funcref } = ValType;

type Emit = (fn: FunctionBuilder) => void;

/** Bodies of `(func (param i32 i64) (result i64))` that do not type, and what is said about them. */
const illTyped: [string, Emit, RegExp][] = [
  [
    'operand of another type',
    (fn) => get(fn, 0, 'i64.eqz'),
    /f: i64\.eqz ending at code byte 3: i64 expected, i32 found/u,
  ],
  ['operand missing', (fn) => get(fn, 1, 'i64.add'), /i64\.add .*: i64 expected, the stack is empty/u],
  ['drop of nothing', (fn) => fn.drop(), /drop .*: an operand is missing/u],
  ['result missing', () => undefined, /end .*: i64 expected, the stack is empty/u],
  ['operand left over', (fn) => (fn.localGet(1), fn.localGet(1)), /1 operands left at the end of the function/u],
  ['local of another type', (fn) => (fn.localGet(1), fn.localSet(0)), /local\.set .*: i32 expected, i64 found/u],
  ['condition of a brIf', conditionType, /i32 expected/u],
  ['branch without its value', (fn) => (fn.localGet(0), fn.br(fn.bodyLabel)), /br .*: i64 expected, i32 found/u],
  ['a block that takes from outside', takesFromOutside, /i64 expected, the stack is empty/u],
  ['an if without else that gives', ifWithoutElse, /must give what it takes/u],
  ['else in a block', elseInBlock, /else outside an if/u],
  ['br_table of different arities', tableArities, /targets differ in their operands/u],
  ['select of two types', (fn) => (get(fn, 0), get(fn, 1), get(fn, 0), fn.select()), /operands are i32 and i64/u],
  ['select of references', (fn) => (twoReferences(fn), get(fn, 0), fn.select()), /references need select_t/u],
  ['a number as reference', (fn) => get(fn, 0, 'ref.is_null'), /i32 is no reference/u],
  ['a global that is constant', (fn) => (fn.i64Const(1), fn.globalSet(0)), /global 0 is immutable/u],
  ['a global that is not there', (fn) => fn.globalGet(1), /no global 1/u],
  ['a callee that is not there', (fn) => fn.call(7), /no function 7/u],
  ['a table that is not there', (fn) => (get(fn, 0), fn.callIndirect(0, 3)), /no table 3/u],
  ['a tail call with other results', (fn) => fn.returnCall(1), /the callee's results are not the caller's/u],
  ['an argument of another type', (fn) => (get(fn, 0), get(fn, 0), fn.call(0)), /call .*: i64 expected, i32 found/u],
  ['memory that is not there', (fn) => get(fn, 0, 'memory.grow'), /has no memory/u],
  ['a block type that is not there', (fn) => blockOfType(fn, 99), /no type 99/u],
];

for (const [name, emit, message] of illTyped) {
  test(`ill-typed: ${name}`, () => {
    assert.throws(() => body(true, emit).encode(), { name: 'AssertionFailure', message });
    assert.equal(WebAssembly.validate(body(false, emit).encode()), false);
  });
}

test('unreachable code takes whatever is asked of it', () => {
  const module = body(true, (fn) => {
    fn.unreachable();
    fn.op('i32.add');
    fn.drop();
    fn.select();
    fn.op('i64.eqz');
    fn.brTable([fn.bodyLabel], fn.bodyLabel);
  });
  assert.ok(WebAssembly.validate(module.encode()));
});

type Step =
  | { readonly kind: 'op' | 'fed'; readonly name: OpName }
  | { readonly kind: 'get' | 'set'; readonly index: number }
  | { readonly kind: 'block' | 'loop' | 'if'; readonly type: ValType | undefined }
  | { readonly kind: 'end' | 'brIf' };

const scalar = opNames.filter((name) => {
  const { code, immediates } = opcode[name];
  return immediates === 'none' && code < 0xfd_000 && name !== 'end' && name !== 'else';
});
const name = fc.constantFrom(...scalar);
const type = fc.constantFrom(undefined, i32, i64);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('fed' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('op' as const), name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('get' as const, 'set' as const), index: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('block' as const, 'loop' as const, 'if' as const), type }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('end' as const, 'brIf' as const) }) },
  { weight: 4, arbitrary: fc.constant<Step>({ kind: 'op', name: 'drop' }) },
);

const LOCALS = [i32, i64, f32, f64];

function run(fn: FunctionBuilder, steps: readonly Step[]): void {
  let open = 0;
  for (const each of steps) {
    switch (each.kind) {
      case 'fed':
        for (const param of opcode[each.name].signature?.params ?? []) fn.localGet(LOCALS.indexOf(param as typeof i32));
        fn.op(each.name);
        break;
      case 'op':
        fn.op(each.name);
        break;
      case 'get':
        fn.localGet(each.index);
        break;
      case 'set':
        fn.localSet(each.index);
        break;
      case 'brIf':
        fn.localGet(0);
        fn.brIf(fn.bodyLabel);
        break;
      case 'end':
        if (open === 0) break;
        fn.end();
        open--;
        break;
      default:
        if (each.kind === 'if') fn.localGet(0);
        fn[each.kind](each.type);
        open++;
    }
  }
  for (; open > 0; open--) fn.end();
}

test('the validator and the engine agree on random bodies', () => {
  const verdicts = { valid: 0, invalid: 0 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
      const build = (check: boolean): Uint8Array<ArrayBuffer> => {
        const module = new ModuleBuilder({ check });
        run(module.function('f', LOCALS, []), steps);
        return module.encode();
      };
      const accepted = WebAssembly.validate(build(false));
      if (accepted) build(true);
      else assert.throws(() => build(true), { name: 'AssertionFailure' });
      verdicts[accepted ? 'valid' : 'invalid']++;
    }),
    { numRuns: 3000 },
  );
  assert.ok(verdicts.valid > 100 && verdicts.invalid > 100, JSON.stringify(verdicts));
});

/** `f` among an immutable global, a table and two other functions. */
function body(check: boolean, emit: Emit): ModuleBuilder {
  const module = new ModuleBuilder({ check });
  module.global(i32, false, 0);
  module.table({ initial: 1 });
  const taker = module.function('taker', [i64], []);
  const giver = module.function('giver', [], [i32]);
  giver.i32Const(taker.index);
  emit(module.function('f', [i32, i64], [i64]));
  return module;
}

function get(fn: FunctionBuilder, local: number, op?: OpName): void {
  fn.localGet(local);
  if (op !== undefined) fn.op(op);
}

function takesFromOutside(fn: FunctionBuilder): void {
  fn.localGet(1);
  const label = fn.block(i64);
  fn.op('i64.clz');
  fn.end(label);
}

function ifWithoutElse(fn: FunctionBuilder): void {
  fn.localGet(0);
  const label = fn.if(i64);
  fn.localGet(1);
  fn.end(label);
}

function elseInBlock(fn: FunctionBuilder): void {
  const label = fn.block();
  fn.else();
  fn.end(label);
}

function tableArities(fn: FunctionBuilder): void {
  const label = fn.block();
  fn.localGet(1);
  fn.localGet(0);
  fn.brTable([label], fn.bodyLabel);
  fn.end(label);
}

function conditionType(fn: FunctionBuilder): void {
  const label = fn.block();
  fn.localGet(1);
  fn.brIf(label);
  fn.end(label);
}

function twoReferences(fn: FunctionBuilder): void {
  fn.refNull(funcref);
  fn.refNull(funcref);
}

function blockOfType(fn: FunctionBuilder, type: number): void {
  fn.end(fn.block({ type }));
}
