import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IR_FILES } from '../filetests/op-case.ts';
import { parseBlock } from '../ir/parse.ts';
import { printBlock } from '../ir/print.ts';
import { optimize, type PassCounters, PASSES } from './pipeline.ts';

const TEXT = `insn pc=0x1000 length=4
%1 = const.i64 0x5
%2 = const.i64 0x7
%3 = add.i64 %1, %2
set.i64 x1, %3
insn pc=0x1004 length=4
`;
const block = () => parseBlock(TEXT, { isa: 'none', files: IR_FILES });

test('optimize folds constants, drops what is dead, keeps every insn, and leaves the block it was given alone', () => {
  const given = block();
  const result = optimize(given, {}, { verify: true });
  assert.equal(
    printBlock(result),
    'insn pc=0x1000 length=4\n%1 = const.i64 0xc\nset.i64 x1, %1\ninsn pc=0x1004 length=4\n',
  );
  assert.deepEqual(given, block());
});

test('a block with nothing to do comes back itself', () => {
  const done = optimize(block(), {});
  assert.equal(optimize(done, {}), done);
});

test('a pass that is switched off does not run', () => {
  const disabled = new Set(PASSES.map(({ name }) => name));
  const given = block();
  assert.equal(optimize(given, {}, { disabled }), given);
});

test('counters tell runs, ops and time of each pass', () => {
  const counters: PassCounters = {};
  let clock = 0;
  optimize(block(), {}, { counters, now: () => clock++ });
  optimize(block(), {}, { counters, now: () => clock++ });
  assert.deepEqual(Object.keys(counters), [...new Set(PASSES.map(({ name }) => name))]);
  assert.equal(counters['dead-code']!.opsBefore, 12);
  assert.equal(counters['dead-code']!.opsAfter, 8);
  assert.equal(counters['dead-code']!.runs, 2);
  assert.equal(counters['dead-code']!.nanoseconds, 2e6);
});

test('passes have names of their own and say what they do in a sentence', () => {
  const names = PASSES.map(({ name }) => name);
  for (const { name, prose } of PASSES) {
    assert.match(name, /^[a-z]+(-[a-z]+)*$/);
    assert.match(prose, /^[A-Z].*\.$/, name);
  }
  assert.ok(new Set(names).size > 1);
});
