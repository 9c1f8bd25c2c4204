import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBlock } from '../../ir/parse.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import { X } from '../../isa/riscv/registers.ts';
import type { RegionNode } from './node.ts';
import { findWordRegisters, narrowValues } from './word-registers.ts';

function node(text: string): RegionNode {
  const block = parseBlock(text, { isa: riscv64.name, files: [X] });
  return {
    index: 0,
    pc: 0,
    end: 4,
    instructions: 1,
    block,
    ending: { kind: 'leave', pc: 4 },
    continuation: undefined,
    usesModes: false,
    inlined: false,
  };
}

const names = (offsets: Iterable<number>) => [...offsets].map((offset) => `x${(offset - X.offset) / X.stride}`).sort();

/** As addw x5, x5, x6. */
const ADD_WORDS = `
  %a = get.i64 x5
  %b = get.i64 x6
  %s = add.i64 %a, %b
  %w = extend32_s.i64 %s
  set.i64 x5, %w`;

test('registers that all writes in the region give words are kept as words', () => {
  const copies = `
    %a = get.i64 x5
    set.i64 x7, %a`;
  assert.deepEqual(names(findWordRegisters([node(ADD_WORDS), node(copies)], () => true)), ['x5', 'x7']);
});

test('one write of something wider, also through a copy, makes a register wide', () => {
  const wide = `
    %c = get.i64 x5
    %one = const.i64 0x1
    %d = add.i64 %c, %one
    set.i64 x7, %d
    set.i64 x8, %c`;
  assert.deepEqual(names(findWordRegisters([node(ADD_WORDS), node(ADD_WORDS), node(wide)], () => true)), ['x5', 'x8']);
  const widened = `
    %c = get.i64 x9
    set.i64 x5, %c`;
  assert.deepEqual(
    names(findWordRegisters([node(ADD_WORDS), node(ADD_WORDS), node(wide), node(widened)], () => true)),
    [],
  );
});

test('a register that does not hold a word now, or is read whole more often than written, is not kept as one', () => {
  const block = node(ADD_WORDS);
  assert.deepEqual(names(findWordRegisters([block], (offset) => offset !== X.offset + 5 * X.stride)), []);
  const reads = `
    %a = get.i64 x5
    set.i64 x10, %a
    %l = load.i64 %a width=8`;
  assert.deepEqual(names(findWordRegisters([block, node(reads)], () => true)), []);
});

test('values are narrow when nothing asks for their high bits', () => {
  const { block } = node(`${ADD_WORDS}
    %x = get.i64 x11
    %y = add.i64 %x, %w
    set.i64 x12, %y`);
  // Of the sum and what it is made of only words are asked; its extension is part of an address.
  assert.deepEqual([...narrowValues(block, new Set())].slice(0, 4), [1, 1, 1, 0]);
  assert.equal(narrowValues(block, new Set())[6], 0);
});
