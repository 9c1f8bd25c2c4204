import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Block, Op } from '../../ir/block.ts';
import { parseBlock } from '../../ir/parse.ts';
import { X } from '../../isa/riscv/registers.ts';
import type { AccessPlan, Check } from './access-plan.ts';
import { copiesOf, plannedChecks } from './byte-copies.ts';

/** A block that loads and stores bytes at the given distances from x10 and x11, the loads first. */
function copying(distances: readonly number[]) {
  const lines = ['%from = get.i64 x10', '%to = get.i64 x11'];
  for (const at of distances)
    lines.push(`%c${at} = const.i64 0x${at.toString(16)}`, `%f${at} = add.i64 %from, %c${at}`);
  for (const at of distances) lines.push(`%v${at} = load.i64 %f${at} width=8`);
  for (const at of distances) lines.push(`%t${at} = add.i64 %to, %c${at}`, `store.i64 %t${at}, %v${at} width=8`);
  return parseBlock(['insn pc=0x1000 length=4', ...lines].join('\n'), { isa: 'none', files: [X] });
}

/** The plan in which the first load has checked all loads and the first store all stores, but those at `alone` in their order, which do so themselves. */
function planned(ops: readonly Op[], alone: readonly number[] = []): AccessPlan {
  const plan = new Map<Op, Check>();
  for (const name of ['load', 'store']) {
    const accesses = ops.filter((op) => op.name === name);
    accesses.forEach((op, at) => {
      const own: Check = { kind: 'pages', low: 0, high: 8, write: name === 'store', inline: true, base: 0 };
      const covered: Check = { kind: 'covered', by: accesses[0]!, base: 0, entry: undefined };
      plan.set(op, at === 0 || alone.includes(at) ? own : covered);
    });
  }
  return plan;
}

/** Sizes of a block's copies, each once, in the order of their stores. */
function sizes(block: Block, plan: AccessPlan): number[] {
  const { ofStore } = copiesOf(block, plannedChecks(plan));
  return [...new Set(ofStore.values())].map(({ bytes }) => bytes);
}

test('neighbouring bytes are parted into copies of 8, 4 and 2', () => {
  const counts = [1, 2, 3, 4, 7, 8, 15, 16];
  const found = counts.map((count) => {
    const block = copying(Array.from({ length: count }, (_, at) => at));
    return sizes(block, planned(block.ops));
  });
  assert.deepEqual(found, [[], [2], [2], [4], [4, 2], [8], [8, 4, 2], [8, 8]]);
});

test('a copy begins at its lowest byte, whichever comes first', () => {
  const block = copying([5, 2, 3, 4]);
  const { ofStore, ofLoad } = copiesOf(block, plannedChecks(planned(block.ops)));
  const stores = block.ops.filter(({ name }) => name === 'store');
  const load = block.ops.find(({ name }) => name === 'load')!;
  const copy = ofStore.get(stores[0]!)!;
  assert.deepEqual(copy, { bytes: 4, load, loadDistance: -3, store: stores[0]!, storeDistance: -3 });
  assert.deepEqual(
    stores.map((store) => ofStore.get(store)),
    [copy, copy, copy, copy],
  );
  assert.deepEqual([...ofLoad], [[load, [copy]]]);
});

test('bytes with holes between them are none', () => {
  const block = copying([0, 2, 4, 6]);
  assert.deepEqual(sizes(block, planned(block.ops)), []);
});

test('what is checked apart is copied apart', () => {
  const block = copying([0, 1, 2, 3]);
  const { ops } = block;
  const whole = planned(ops);
  // From the third on, loads have a check of their own, and then stores.
  const kinds = ['load', 'store'].map((name) => {
    const parted = new Map(planned(ops, [2]));
    const accesses = ops.filter((op) => op.name === name);
    parted.set(accesses[3]!, { kind: 'covered', by: accesses[2]!, base: 0, entry: undefined });
    for (const [op, check] of whole) if (op.name !== name) parted.set(op, check);
    return sizes(block, parted);
  });
  // Behind the first stores memory is no longer what the loads have seen, as far as is known.
  assert.deepEqual(kinds, [[2], [2]]);
});

test('where loads may write memory, one that is checked elsewhere keeps bytes apart', () => {
  const text = `insn pc=0x1000 length=4
%from = get.i64 x10
%to = get.i64 x11
%other = get.i64 x12
%one = const.i64 0x1
%from1 = add.i64 %from, %one
%to1 = add.i64 %to, %one
%v0 = load.i64 %from width=8
%foreign = load.i64 %other width=8
%v1 = load.i64 %from1 width=8
store.i64 %to, %v0 width=8
store.i64 %to1, %v1 width=8`;
  const block = parseBlock(text, { isa: 'none', files: [X] });
  const checks = plannedChecks(planned(block.ops, [1]));
  const [first, , last] = block.ops.filter(({ name }) => name === 'load');
  const [store, behind] = block.ops.filter(({ name }) => name === 'store');
  const checkOf = (op: Op) => (op === last ? first : op === behind ? store : checks(op));
  assert.equal(copiesOf(block, checkOf, false).ofStore.size, 2);
  assert.equal(copiesOf(block, checkOf, true).ofStore.size, 0);
});
