import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import type { Op, Value } from '../ir/block.ts';
import { constant, plainOp } from '../ir/make-op.ts';
import { type OpName, opRow } from '../ir/op.ts';
import { EDGE_VALUES, Random } from '../ir/random.ts';
import type { Type } from '../ir/type.ts';
import { WIDTH } from '../ir/type.ts';
import { RULES } from './algebra.ts';
import { signedWidth, unsignedWidth } from './known-width.ts';
import { Simplifier } from './simplifier.ts';

/** `i32` with eight bits only: all its values can be tried. The rules take widths from here. */
const NARROW: Readonly<Record<Type, number>> = { ...WIDTH, i32: 8 };
const VALUES = Array.from({ length: 256 }, (_, value) => BigInt(value));

/** An `i32` input, whose value the trial says. */
const INPUT = plainOp('get', 'i32', []);

const BINARY: readonly OpName[] = [
  ...([
    'add',
    'sub',
    'mul',
    'mulh_s',
    'mulh_u',
    'mulh_su',
    'div_s',
    'div_u',
    'rem_s',
    'rem_u',
    'and',
    'or',
    'xor',
  ] as const),
  ...(['shl', 'shr_s', 'shr_u', 'rotl', 'rotr', 'eq', 'ne', 'lt_s', 'lt_u', 'le_s', 'le_u'] as const),
];
const UNARY: readonly OpName[] = ['clz', 'ctz', 'popcnt', 'byte_reverse', 'bit_reverse', 'extend8_s'];

/** The values of pure ops by the op table, inputs given in order. */
function values(ops: readonly Op[], inputs: readonly bigint[], widths: Readonly<Record<Type, number>>): bigint[] {
  const known: bigint[] = [];
  let input = 0;
  for (const op of ops) {
    const args = op.args.map((value) => known[value]!);
    known.push(op.name === 'get' ? inputs[input++]! : opRow(op.name).evaluate!(args, widths[op.type as Type], op));
  }
  return known;
}

interface Simplified {
  readonly ops: readonly Op[];
  readonly value: Value;
  readonly changed: boolean;
}

/** The last op simplified, behind the others as they are. */
function simplifyLast(ops: readonly Op[], widths: Readonly<Record<Type, number>>): Simplified {
  const written = ops.slice(0, -1);
  const simplifier = new Simplifier({ ops: written, insert: (op) => written.push(op) - 1 }, RULES, widths);
  const simpler = simplifier.simplify(ops.at(-1)!);
  if (typeof simpler === 'number') return { ops: written, value: simpler, changed: true };
  written.push(simpler);
  return { ops: written, value: written.length - 1, changed: simpler !== ops.at(-1) };
}

/** Fails unless the simplified form gives the same for all inputs; true when it is another form. */
function checkAll(
  ops: readonly Op[],
  inputs: readonly (readonly bigint[])[],
  widths: Readonly<Record<Type, number>>,
): boolean {
  const { ops: written, value, changed } = simplifyLast(ops, widths);
  if (!changed) return false;
  for (const each of inputs) {
    const expected = values(ops, each, widths).at(-1);
    const actual = values(written, each, widths)[value];
    if (actual !== expected) {
      const show = (list: readonly Op[]) =>
        list.map((op, at) => `%${at} = ${op.name}.${op.type} ${op.bits ?? ''} ${op.args.join()}`).join('\n');
      assert.fail(
        `${each.join()}: ${actual} instead of ${expected}\n${show(ops)}\nbecame %${value} of\n${show(written)}`,
      );
    }
  }
  return true;
}

const constantOf = (bits: bigint, type: Type = 'i32') => constant(type, bits);
const one = VALUES.map((value) => [value]);

test('every op with every constant on either side gives the same for every value of eight bits', (t) => {
  let changed = 0;
  for (const name of BINARY) {
    for (const c of VALUES) {
      const right: Op[] = [INPUT, constantOf(c), plainOp(name, 'i32', [0, 1])];
      const left: Op[] = [INPUT, constantOf(c), plainOp(name, 'i32', [1, 0])];
      if (checkAll(right, one, NARROW)) changed++;
      if (checkAll(left, one, NARROW)) changed++;
    }
    if (checkAll([INPUT, plainOp(name, 'i32', [0, 0])], one, NARROW)) changed++;
  }
  t.diagnostic(`${changed} of ${BINARY.length * 513} simplify`);
  assert.ok(changed > 1000);
});

test('every op of two ops with constants gives the same for every value of eight bits', (t) => {
  const seed = testSeed();
  t.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const telling = [0n, 1n, 2n, 3n, 4n, 7n, 8n, 9n, 15n, 16n, 0x7fn, 0x80n, 0x81n, 0xf0n, 0xfen, 0xffn];
  const value = () => (random.chance(70) ? random.pick(telling) : random.pick(VALUES));
  let changed = 0;
  let tried = 0;
  for (const inner of [...BINARY, ...UNARY]) {
    for (const outer of [...BINARY, ...UNARY]) {
      for (let turn = 0; turn < 6; turn++) {
        const first = constantOf(value());
        const second = constantOf(random.chance(30) ? first.bits! : value());
        const args = random.chance(80) ? [0, 1] : [1, 0];
        const one_ = plainOp(inner, 'i32', UNARY.includes(inner) ? [0] : args);
        const two = plainOp(outer, 'i32', UNARY.includes(outer) ? [2] : random.chance(80) ? [2, 3] : [3, 2]);
        tried++;
        if (
          checkAll(
            [INPUT, first, one_, second, two],
            random.chance(25) ? one : one.filter(() => random.chance(12)),
            NARROW,
          )
        )
          changed++;
      }
    }
  }
  t.diagnostic(`${changed} of ${tried} simplify`);
  assert.ok(changed > 300);
});

/** Ops between i32 and i64 that chains of conversions, masks and comparisons are made of. */
const TYPED: readonly {
  readonly name: OpName;
  readonly type: Type;
  readonly args: readonly Type[];
  readonly result: Type;
}[] = [
  ...BINARY.flatMap((name) =>
    (['i32', 'i64'] as const).map((type) => ({
      name,
      type,
      args: [type, type],
      result: opRow(name).result === 'i32' ? ('i32' as const) : type,
    })),
  ),
  ...(['extend8_s', 'extend16_s', 'extend32_s'] as const).map((name) => ({
    name,
    type: 'i64' as const,
    args: ['i64' as const],
    result: 'i64' as const,
  })),
  ...(['extend8_s', 'extend16_s'] as const).map((name) => ({
    name,
    type: 'i32' as const,
    args: ['i32' as const],
    result: 'i32' as const,
  })),
  ...(['widen_s', 'widen_u'] as const).flatMap((name) =>
    [1, 2, 3].map(() => ({ name, type: 'i64' as const, args: ['i32' as const], result: 'i64' as const })),
  ),
  ...[1, 2, 3, 4].map(() => ({
    name: 'wrap' as const,
    type: 'i32' as const,
    args: ['i64' as const],
    result: 'i32' as const,
  })),
  ...(['i32', 'i64'] as const).map((type) => ({
    name: 'select' as const,
    type,
    args: ['i32' as const, type, type],
    result: type,
  })),
];

const TELLING: Readonly<Record<'i32' | 'i64', readonly bigint[]>> = {
  i32: [0n, 1n, 8n, 16n, 24n, 31n, 0xffn, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn],
  i64: [0n, 1n, 8n, 32n, 48n, 56n, 63n, 0xffn, 0xffffn, 0xffff_ffffn, 0xffff_ffff_0000_0000n, (1n << 64n) - 1n],
};

interface Chain {
  readonly ops: Op[];
  readonly result: Type;
}

/** Two inputs and a few ops that feed each other and constants. */
function randomChain(random: Random): Chain {
  const ops: Op[] = [plainOp('get', 'i32', []), plainOp('get', 'i64', [])];
  const types: Type[] = ['i32', 'i64'];
  let result: Type = 'i64';
  const push = (op: Op, type: Type) => {
    types.push(type);
    return ops.push(op) - 1;
  };
  for (let left = 2 + random.below(4); left > 0; left--) {
    const row = random.pick(TYPED);
    const args = row.args.map((type, place) => {
      // The newest value of the type, mostly, so that ops are of ops; constants second.
      const newest = types.lastIndexOf(type);
      if (random.chance(place === 0 ? 90 : 45)) return newest;
      const telling = random.pick(TELLING[type as 'i32' | 'i64']);
      return push(constantOf(random.chance(80) ? telling : random.pick(EDGE_VALUES[type]), type), type);
    });
    push(plainOp(row.name, row.type, args), row.result);
    result = row.result;
  }
  return { ops, result };
}

const inputsOf = (random: Random) =>
  Array.from({ length: 12 }, () => [
    random.chance(60) ? random.pick(EDGE_VALUES.i32) : BigInt.asUintN(32, random.next()),
    random.chance(60) ? random.pick(EDGE_VALUES.i64) : random.next(),
  ]);

test('chains of ops at full width give the same, and known widths hold', (t) => {
  const base = testSeed();
  t.diagnostic(`SEED=${base}`);
  let changed = 0;
  for (let seed = base; seed < base + 20_000; seed++) {
    const random = new Random(seed);
    const { ops, result } = randomChain(random);
    const inputs = inputsOf(random);
    try {
      if (checkAll(ops, inputs, WIDTH)) changed++;
      const last = ops.length - 1;
      const unsigned = unsignedWidth(last, ops, WIDTH);
      const signed = signedWidth(last, ops, WIDTH);
      for (const each of inputs.slice(0, 4)) {
        const value = values(ops, each, WIDTH)[last]!;
        assert.ok(value >> BigInt(unsigned) === 0n, `${value} has more than ${unsigned} bits`);
        const extended = BigInt.asUintN(WIDTH[result], BigInt.asIntN(signed, value));
        assert.equal(extended, value, `${value} is not the sign extension of ${signed} bits`);
      }
    } catch (error) {
      throw new Error(`SEED=${seed}`, { cause: error });
    }
  }
  t.diagnostic(`${changed} simplify`);
  assert.ok(changed > 3000);
});
