import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IR_FILES } from '../filetests/op-case.ts';
import type { Op } from '../ir/block.ts';
import { accessOp, constant, insnOp, plainOp, registerOp } from '../ir/make-op.ts';
import { parseBlock } from '../ir/parse.ts';
import { printBlock } from '../ir/print.ts';
import type { RegisterFile } from '../ir/type.ts';
import { verify } from '../ir/verify.ts';
import { optimize, PASSES, PassTally } from './pipeline.ts';

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
  const tally = new PassTally();
  let clock = 0;
  optimize(block(), {}, { tally, now: () => clock++ });
  optimize(block(), {}, { tally, now: () => clock++ });
  const counters = tally.byName();
  assert.deepEqual(Object.keys(counters), [...new Set(PASSES.map(({ name }) => name))]);
  assert.equal(counters['dead-code']!.opsBefore, 12);
  assert.equal(counters['dead-code']!.opsAfter, 8);
  assert.equal(counters['dead-code']!.runs, 2);
  assert.equal(counters['dead-code']!.nanoseconds, 2e6);
  tally.add(counters);
  assert.equal(tally.byName()['dead-code']!.runs, 4);
});

test('passes have names of their own and say what they do in a sentence', () => {
  const names = PASSES.map(({ name }) => name);
  for (const { name, prose } of PASSES) {
    assert.match(name, /^[a-z]+(-[a-z]+)*$/);
    assert.match(prose, /^[A-Z].*\.$/, name);
  }
  assert.ok(new Set(names).size > 1);
});

test('blocks of 10^5 ops, each op of the one before, take no more than their share', () => {
  const [x] = IR_FILES as readonly [RegisterFile];
  const head: Op[] = [
    insnOp(0x1000n, 4),
    registerOp('get', 'i64', [], { file: x, index: 1 }),
    constant('i64', 0xff_0000_0000n),
  ];
  // What was quadratic: following masks from every op that looks at low bits, and candidates that have an argument in common.
  const chain = [...head];
  for (let value = 1; chain.length < 100_000; value = chain.length - 3) {
    chain.push(plainOp('or', 'i64', [value, 2]));
    chain.push(plainOp('wrap', 'i32', [chain.length - 1]));
    chain.push(registerOp('set', 'i32', [chain.length - 1], { file: x, index: chain.length % 8 }));
  }
  const star = [...head];
  while (star.length < 100_000) {
    star.push(constant('i64', BigInt(8 * star.length)));
    star.push(plainOp('add', 'i64', [1, star.length - 1]));
    star.push(accessOp('store', 'i64', [star.length - 1, 1], 64, undefined, {}));
  }
  for (const ops of [chain, star]) {
    const result = optimize({ isa: 'none', ops }, { ordinaryMemory: true, writableIsReadable: true });
    assert.deepEqual(verify(result), []);
    assert.ok(result.ops.length < ops.length);
  }
});
