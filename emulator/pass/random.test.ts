import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { IR_FILES } from '../filetests/op-case.ts';
import type { Block } from '../ir/block.ts';
import { OP_NAMES, type OpName, opRow } from '../ir/op.ts';
import { Random, randomBlock } from '../ir/random.ts';
import type { RegisterFile } from '../ir/type.ts';
import { verify } from '../ir/verify.ts';
import { REGISTERS, StateOffset } from '../layout/state.ts';
import { optimize, PASSES } from './pipeline.ts';
import { assertSame, randomContext, randomStart, WINDOW } from './trial.ts';

/** Blocks tried; more with BLOCKS=100000. */
const BLOCKS = Number(process.env['BLOCKS'] ?? 800);

/** The registers of IR corpora; a file that overlaps x, as AArch64's sp does; the accrued flags as a register; a file with a sink. */
const FILES: readonly RegisterFile[] = [
  ...IR_FILES,
  { name: 'y', offset: REGISTERS + 8 * 7, stride: 8, count: 1, type: 'i64' },
  { name: 'fflags', offset: StateOffset.floatFlags, stride: 4, count: 1, type: 'i32' },
  { name: 's', offset: REGISTERS + 0x200, stride: 8, count: 3, type: 'i64', sink: 2 },
  { name: 'h', offset: REGISTERS + 8 * 6, stride: 4, count: 4, type: 'i32' },
];
/** Few of them, so that reads meet writes: some of `x` in halves and under another name, one float, the flags. */
const FEW: readonly RegisterFile[] = FILES.filter(({ name }) => ['y', 'fflags', 'h'].includes(name)).concat([
  { name: 'x', offset: REGISTERS + 8 * 6, stride: 8, count: 2, type: 'i64' },
  { name: 'f', offset: REGISTERS + 0x40, stride: 8, count: 1, type: 'f64' },
]);

const effects = (names: readonly OpName[], ...kinds: string[]) =>
  names.filter((name) => kinds.includes(opRow(name).effect));
const INTEGERS = OP_NAMES.filter((name) => opRow(name).types.some((type) => type === 'i32' || type === 'i64'));

/** Kinds of blocks: everything there is, and fewer ops of which more feed each other. */
const MIXES: readonly (readonly OpName[])[] = [
  OP_NAMES,
  [...effects(INTEGERS, 'none', 'reads', 'writes'), 'branch', 'jump'],
  ['add', 'sub', 'load', 'store', 'get', 'set', 'const', 'widen_s', 'wrap', 'jump_rel'],
  ['load', 'store', 'get', 'set', 'const', 'call', 'fence', 'atomic_rmw', 'trap_if', 'branch'],
  ['load', 'store', 'call', 'get'],
  ['store', 'extend8_s', 'extend16_s', 'extend32_s', 'and', 'xor', 'bitcast', 'wrap', 'widen_u', 'get'],
  ['fadd', 'f_to_int', 'int_to_f', 'set', 'get', 'call', 'const'],
  ['and', 'or', 'xor', 'shl', 'shr_s', 'shr_u', 'widen_u', 'widen_s', 'wrap', 'extend8_s', 'extend32_s', 'bitcast'],
  ['eq', 'ne', 'lt_s', 'lt_u', 'le_s', 'le_u', 'widen_u', 'select', 'branch', 'trap_if', 'and', 'xor'],
  ['load', 'store', 'get', 'set', 'const', 'bitcast', 'branch'],
  [...effects(OP_NAMES, 'flags'), 'bitcast', 'trap_if', 'set', 'get', 'fneg', 'fabs', 'fcopysign'],
];

function blockOf(random: Random, files: readonly RegisterFile[]): Block {
  return randomBlock(random, {
    isa: 'none',
    files,
    instructions: 1 + random.below(8),
    ops: random.pick(MIXES),
    helpers: { h: 2 },
    // A few words only, so that accesses meet.
    window: random.chance(50) ? WINDOW : { base: WINDOW.base, size: 64 },
  });
}

const base = testSeed();

test('random blocks do the same after each pass, after all, and after all but each one', (t) => {
  t.diagnostic(`SEED=${base}`);
  const changed = new Map<string, number>();
  const outcomes = new Map<string, number>();
  let [before, after] = [0, 0];
  for (let seed = base; seed < base + BLOCKS; seed++) {
    const random = new Random(seed);
    const files = random.chance(50) ? FILES : FEW;
    const block = blockOf(random, files);
    assert.deepEqual(verify(block), [], `seed ${seed}`);
    const start = randomStart(random, files);
    const context = randomContext(random, files, start);
    const compare = (result: Block, what: string) => {
      if (result === block) return;
      changed.set(what, (changed.get(what) ?? 0) + 1);
      const options = { context, files, what: `SEED=${seed}, ${what}, ${JSON.stringify(context)}` };
      const { kind } = assertSame(block, result, start, options);
      outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
    };
    const copy = structuredClone(block.ops.map(({ slot, ...rest }) => ({ ...rest, index: slot?.index })));
    for (const pass of new Set(PASSES)) compare(pass.run(block, context), pass.name);
    const whole = optimize(block, context, { verify: true });
    compare(whole, 'all');
    before += block.ops.length;
    after += whole.ops.length;
    for (const { name } of new Set(PASSES)) {
      compare(optimize(block, context, { disabled: new Set([name]) }), `all but ${name}`);
    }
    assert.deepEqual(
      block.ops.map(({ slot, ...rest }) => ({ ...rest, index: slot?.index })),
      copy,
      `seed ${seed}: a pass changed its block`,
    );
  }
  t.diagnostic(`${before} ops became ${after}; ${JSON.stringify(Object.fromEntries(outcomes))}`);
  t.diagnostic(JSON.stringify(Object.fromEntries(changed)));
  for (const { name } of PASSES) {
    assert.ok((changed.get(name) ?? 0) > BLOCKS / 150, `${name} finds something to do`);
  }
  for (const kind of ['next', 'jump', 'trap', 'fault']) {
    assert.ok((outcomes.get(kind) ?? 0) > BLOCKS / 50, `blocks end in ${kind}`);
  }
});

test('what passes make of ops are objects of four shapes', (t) => {
  const seed = testSeed();
  t.diagnostic(`SEED=${seed}`);
  const shapes = new Set<string>();
  for (let turn = 0; turn < 400; turn++) {
    const random = new Random(seed + turn);
    const files = random.chance(50) ? FILES : FEW;
    const block = blockOf(random, files);
    const context = randomContext(random, files, randomStart(random, files));
    // Objects with the same properties are of two shapes when their classes differ.
    for (const op of optimize(block, context).ops) shapes.add(`${op.constructor.name} ${Object.keys(op).join()}`);
  }
  assert.equal(shapes.size, 4, [...shapes].join('; '));
});
