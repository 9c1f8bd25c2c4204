import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Op } from './block.ts';
import { Builder } from './builder.ts';
import { makeOp, type OpParts } from './make-op.ts';
import { OP_NAMES } from './op.ts';
import { IrSyntaxError, parseBlock } from './parse.ts';
import { printBlock } from './print.ts';
import { Random, randomBlock } from './random.ts';
import type { RegisterFile } from './type.ts';
import { verify } from './verify.ts';

const x: RegisterFile = { name: 'x', offset: 0x100, stride: 8, count: 32, type: 'i64', sink: 32 };
const f: RegisterFile = { name: 'f', offset: 0x300, stride: 8, count: 32, type: 'f64' };
const v: RegisterFile = { name: 'v', offset: 0x400, stride: 16, count: 4, type: 'v128' };
const flags: RegisterFile = { name: 'flags', offset: 0x480, stride: 8, count: 1, type: 'i64' };
const options = { isa: 'test', files: [x, f, v, flags] };
const parse = (text: string) => parseBlock(text, options);

test('a block prints as text', () => {
  const b = new Builder('test');
  b.beginInstruction(0x1000n, 4);
  const base = b.get(x, 5);
  const loaded = b.load('i64', 32, base, { signed: true });
  const sum = b.op('add', 'i64', loaded, b.const('i64', -1));
  b.set(x, { field: 'rd' }, sum);
  b.set(flags, 0, b.emit('v_extract', 'v128', [b.get(v, 1)], { shape: 'i64x2', lane: 1, signed: false }));
  b.branch(b.op('eq', 'i64', sum, base), -8);
  assert.equal(
    printBlock(b.block),
    `insn pc=0x1000 length=4
%1 = get.i64 x5
%2 = load.i64 %1 width=32 signed
%3 = const.i64 0xffffffffffffffff
%4 = add.i64 %2, %3
set.i64 x{rd}, %4
%6 = get.v128 v1
%7 = v_extract.i64x2 %6 lane=1
set.i64 flags, %7
%9 = eq.i64 %4, %1
branch %9 displacement=-8
`,
  );
  assert.deepEqual(verify(b.block), []);
});

test('text may name values freely, set attributes in any order, and carry comments', () => {
  const block = parse(`
    insn pc=0x10 length=2   ; an instruction
    %base = get.i64 x32     ; the sink
    %word = load.i32 alignment=natural width=32 %base order=acquire
    call @log, %base
    %c = call.i64 @time
    jump %c hint=return`);
  assert.deepEqual(verify(block), []);
  assert.equal(
    printBlock(block),
    `insn pc=0x10 length=2
%1 = get.i64 x32
%2 = load.i32 %1 width=32 alignment=natural order=acquire
call @log, %1
%4 = call.i64 @time
jump %4 hint=return
`,
  );
});

test('random blocks over all ops verify, and survive print and parse', () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 300; seed++) {
    const block = randomBlock(new Random(seed), { ...options, helpers: { time: 0, log: 2 } });
    for (const op of block.ops) seen.add(op.name);
    const text = printBlock(block);
    assert.deepEqual(verify(block), [], `seed ${seed}\n${text}`);
    assert.deepEqual(parse(text), block, `seed ${seed}\n${text}`);
  }
  assert.deepEqual(
    OP_NAMES.filter((name) => !seen.has(name)),
    ['field'],
    'random blocks use every op',
  );
});

test('mistakes in the text are refused at their line and column', () => {
  const refusals: readonly [string, string, RegExp][] = [
    ['insn pc=0x0 length=4\n%1 = frob.i64', '2:6', /no op 'frob'/],
    ['%1 = add.v128 %0, %0', '1:6', /needs a type of i32, i64/],
    ['%1 = v_add.f32x4', '1:6', /needs a shape of i8x16, i16x8/],
    ['%1 = add.i32 %0, %0', '1:14', /no value %0/],
    ['%1 = get.i64 y5', '1:14', /no register y5/],
    ['%1 = get.i64 x33', '1:14', /no register x33/],
    ['%1 = get.i64', '1:6', /needs a register/],
    ['get.i64 x5', '1:1', /needs a name/],
    ['%1 fence', '1:4', /expected =/],
    ['%1 =', '1:1', /expected an op/],
    ['%1 = fence', '1:1', /gives no value/],
    ['fence order=weak', '1:7', /order is not none, acquire/],
    ['fence order=none order=none', '1:18', /takes no order/],
    ['fence 12', '1:7', /cannot take '12'/],
    ['fence.i32', '1:1', /has no type/],
    ['%1 = const.i32 12', '1:16', /cannot take '12'/],
    ['%1 = const.i32 0x1\n%1 = const.i32 0x2', '2:1', /defined twice/],
    ['%1 = const.i32 0x1\n%2 = load.i32 %1 signed', '2:6', /needs width/],
    ['insn pc=12 length=4', '1:6', /pc is not an address/],
    ['%1 = const.v128 0x0\n%2 = v_shuffle.v128 %1, %1 lanes=[0 x]', '2:28', /lanes is not/],
    ['%a-b = const.i32 0x1', '1:1', /no name for a value/],
  ];
  for (const [text, where, message] of refusals) {
    assert.throws(
      () => parse(text),
      (error) => error instanceof IrSyntaxError && error.where === where && message.test(error.message),
      `${text} at ${where}`,
    );
  }
});

const insn = { name: 'insn', type: 'none', args: [], pc: 0n, length: 4 } as const;
const one = { name: 'const', type: 'i32', args: [], bits: 1n } as const;
const address = { name: 'const', type: 'i64', args: [], bits: 0n } as const;
const load = {
  name: 'load',
  type: 'i64',
  args: [1],
  width: 64,
  signed: false,
  alignment: 'any',
  order: 'none',
} as const;
const vector = { name: 'const', type: 'v128', args: [], bits: 0n } as const;

test('the verifier names what breaks a rule', () => {
  const breaks: readonly [readonly OpParts[], RegExp][] = [
    [[one], /op 0 \(const\): the first op of a block is insn/],
    [[insn, { ...one, type: 'none' }], /op 1 \(const\): type none is not i32/],
    [[insn, { ...insn, type: 'i32' }], /op 1 \(insn\): type i32 is not none/],
    [[insn, one, { name: 'add', type: 'i64', args: [1, 1] }], /argument 0, %1, is i32 instead of i64/],
    [[insn, one, { name: 'add', type: 'i32', args: [1] }], /1 arguments instead of 2/],
    [[insn, { name: 'clz', type: 'i32', args: [1] }], /argument 0, %1, is not defined before/],
    [[insn, { name: 'clz', type: 'i32', args: [-1] }], /argument 0, %-1, is not defined before/],
    [[insn, { name: 'clz', type: 'i32', args: [0] }], /argument 0, %0 \(insn\), has no value/],
    [[insn, { ...one, bits: 1n << 32n }], /bits do not fit the type/],
    [[insn, { name: 'const', type: 'i32', args: [] }], /bits is missing/],
    [
      [insn, { name: 'jump_rel', type: 'none', args: [], displacement: 4, hint: 'none' }, one],
      /a terminator is the last op/,
    ],
    [[insn, address, { ...load, width: 128 }], /width is 128, not 8, 16, 32, 64/],
    [[insn, address, { ...load, type: 'v128', signed: true }], /signed is only for integers/],
    [[insn, address, { ...load, type: 'f64', width: 32 }], /width is 32, not 64/],
    [[insn, { name: 'get', type: 'v128', args: [], slot: { file: x, index: 1 } }], /x1 has no room for v128/],
    [[insn, { name: 'get', type: 'i64', args: [], slot: { file: x, index: 33 } }], /x33 is not among 32 registers/],
    [
      [insn, address, { name: 'set', type: 'i64', args: [1], slot: { file: x, index: 1 } }, load],
      /may fault or trap after a register was written/,
    ],
    [[insn, one, { name: 'bitcast', type: 'f64', args: [1], from: 'i32' }], /from is i32, not i64/],
    [[insn, vector, { name: 'v_min_u', type: 'v128', args: [1, 1], shape: 'i64x2' }], /shape is i64x2/],
    [
      [insn, vector, { name: 'v_extract', type: 'v128', args: [1], shape: 'i64x2', lane: 2, signed: false }],
      /lane is 2, not 0 to 1/,
    ],
    [
      [insn, vector, { name: 'v_extract', type: 'v128', args: [1], shape: 'i32x4', lane: 2, signed: true }],
      /signed is only for lanes narrower/,
    ],
    [[insn, vector, { name: 'v_shuffle', type: 'v128', args: [1, 1], lanes: [32] }], /lanes are not 16 numbers/],
    [[insn, one, { name: 'fadd', type: 'f32', args: [1, 1, 1] }], /argument 1, %1, is i32 instead of f32/],
    [[insn, one, address, { name: 'trap_if', type: 'none', args: [1, 2], cause: -1 }], /cause is -1/],
    [[{ ...insn, length: 0 }], /length is 0, not 1 to 15/],
  ];
  const problems = (...ops: Op[]) => verify({ isa: 'test', ops }).join('\n');
  for (const [ops, message] of breaks) assert.match(problems(...ops.map(makeOp)), message);
  assert.match(problems(makeOp(insn), { ...makeOp(one), lane: 1 }), /lane does not belong here/);
  assert.equal(problems(makeOp(insn), makeOp(address), makeOp(load)), '');
});
