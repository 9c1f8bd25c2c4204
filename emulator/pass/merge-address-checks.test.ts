import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { IR_FILES } from '../filetests/op-case.ts';
import type { Block, Value } from '../ir/block.ts';
import { evaluate } from '../ir/evaluate.ts';
import type { EvaluatorMemory } from '../ir/evaluator-memory.ts';
import { parseBlock } from '../ir/parse.ts';
import { printBlock } from '../ir/print.ts';
import { Random, randomBlock } from '../ir/random.ts';
import { type AddressGroup, addressGroups } from './merge-address-checks.ts';
import { optimize } from './pipeline.ts';
import { randomStart, WINDOW } from './trial.ts';

const parse = (text: string) => parseBlock(`insn pc=0x1000 length=4\n${text}`, { isa: 'none', files: IR_FILES });

test('accesses around one value are a group, others are not', () => {
  const block = parse(`%sp = get.i64 x2
    %a = const.i64 0x8
    %b = add.i64 %sp, %a
    %v = load.i64 %b width=64
    %c = const.i64 0x10
    %d = sub.i64 %sp, %c
    %other = get.i64 x3
    store.i64 %other, %v width=8
    store.i64 %d, %v width=32`);
  assert.deepEqual(addressGroups(block), [
    { base: 1, low: -16, high: 16, needRead: true, needWrite: true, members: [4, 9] },
  ]);
});

test('a chain of additions counts from its first value', () => {
  const block = parse(`%x = get.i64 x1
    %o = const.i64 0x4
    %y = add.i64 %x, %o
    %u = load.i64 %y width=16
    %z = add.i64 %y, %o
    %v = load.i64 %z width=8`);
  assert.deepEqual(addressGroups(block), [
    { base: 1, low: 4, high: 9, needRead: true, needWrite: false, members: [4, 6] },
  ]);
});

test('constant addresses count from the first of them', () => {
  const block = parse(`%x = const.i64 0x2000
    %y = const.i64 0x1ff8
    %u = load.i64 %x width=16
    store.i64 %y, %x width=64`);
  assert.deepEqual(addressGroups(block), [
    { base: 1, low: -8, high: 2, needRead: true, needWrite: true, members: [3, 4] },
  ]);
});

test('groups are shorter than a page, end at calls, and have no ordered or aligned accesses', () => {
  const far = parse(`%x = get.i64 x1
    %o = const.i64 0xffe
    %y = add.i64 %x, %o
    %u = load.i64 %x width=64
    %v = load.i64 %y width=8
    %w = load.i64 %y width=16`);
  assert.deepEqual(
    addressGroups(far).map(({ members }) => members),
    [[4, 5]],
  );
  const calls = parse('%x = get.i64 x1\n%u = load.i64 %x width=64\ncall @h\n%v = load.i64 %x width=64');
  assert.deepEqual(addressGroups(calls), []);
  const ordered = parse(`%x = get.i64 x1
    %u = load.i64 %x width=64 order=acquire
    %v = load.i64 %x width=64 alignment=natural
    %w = load.i64 %x width=64`);
  assert.deepEqual(addressGroups(ordered), []);
});

const EVERYTHING: EvaluatorMemory = { load: () => 0n, store: () => true, writable: () => true };

/** The value of an op: what a jump to it in front of `at` goes to; undefined when the block is left before. */
function valueBefore(block: Block, at: number, value: Value, state: Uint8Array): bigint | undefined {
  const ops = [...block.ops.slice(0, at), { name: 'jump', type: 'none', args: [value], hint: 'none' } as const];
  const copy = new DataView(state.slice().buffer);
  const { kind, pc } = evaluate({ isa: block.isa, ops }, { state: copy, memory: EVERYTHING });
  return kind === 'jump' ? pc : undefined;
}

/** False when an access that has to be aligned faults, so that not all members are run. */
function checkGroup(block: Block, group: AddressGroup, state: Uint8Array): boolean {
  const { base, low, high, members } = group;
  const from = valueBefore(block, members[0]!, base, state);
  const offsets = members.map((member) => {
    const op = block.ops[member]!;
    const address = valueBefore(block, member, op.args[0]!, state);
    const offset = from === undefined || address === undefined ? NaN : Number(BigInt.asIntN(64, address - from));
    return { start: offset, end: offset + op.width! / 8 };
  });
  if (offsets.some(({ start }) => Number.isNaN(start))) return false;
  assert.equal(Math.min(...offsets.map(({ start }) => start)), low);
  assert.equal(Math.max(...offsets.map(({ end }) => end)), high);
  assert.ok(high - low < 4096 && low > -4096 && high <= 4096);
  assert.ok(base < members[0]!, 'the base is there before the first access');
  return true;
}

test('whatever registers hold, members lie between low and high of the base', (t) => {
  const base = testSeed();
  t.diagnostic(`SEED=${base}`);
  let groups = 0;
  for (let seed = base; seed < base + 400; seed++) {
    const random = new Random(seed);
    const whole = randomBlock(random, {
      isa: 'none',
      files: IR_FILES,
      instructions: 5,
      ops: ['load', 'store', 'add', 'sub', 'get', 'set', 'const', 'widen_s', 'fence'],
      window: WINDOW,
    });
    const { state } = randomStart(random, IR_FILES);
    for (const block of [whole, optimize(whole, { ordinaryMemory: true })]) {
      for (const group of addressGroups(block)) {
        try {
          if (checkGroup(block, group, state)) groups++;
        } catch (error) {
          throw new Error(`SEED=${seed} ${JSON.stringify(group)}\n${printBlock(block)}`, { cause: error });
        }
      }
    }
  }
  t.diagnostic(`${groups} groups`);
  assert.ok(groups > 100);
});
