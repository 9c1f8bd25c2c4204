import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IR_FILES } from '../filetests/op-case.ts';
import { parseBlock } from '../ir/parse.ts';
import { printBlock } from '../ir/print.ts';
import { Random } from '../ir/random.ts';
import type { RegisterFile } from '../ir/type.ts';
import { StateOffset } from '../layout/state.ts';
import { optimize, type PassContext } from './pipeline.ts';
import { assertSame, randomStart } from './trial.ts';

// What text corpora cannot show: helpers, which they have none of, and the flags as a register.

const FILES: readonly RegisterFile[] = [
  ...IR_FILES,
  { name: 'fflags', offset: StateOffset.floatFlags, stride: 4, count: 1, type: 'i32' },
];
const USER: PassContext = { ordinaryMemory: true, writableIsReadable: true, floatOpsStay: true };

/** The ops that are left of a block, which must do the same as before from many starts. */
function left(text: string, context: PassContext = USER): string[] {
  const block = parseBlock(`insn pc=0x1000 length=4\n${text}`, { isa: 'none', files: FILES });
  const result = optimize(block, context, { verify: true });
  for (let seed = 0; seed < 40; seed++) {
    const start = randomStart(new Random(seed), FILES);
    assertSame(block, result, start, { context, files: FILES, what: `seed ${seed}` });
  }
  return printBlock(result)
    .split('\n')
    .map((line) => line.replace(/^%\d+ = /, '').split(/[ .]/)[0]!)
    .filter((name) => name !== '' && name !== 'insn' && name !== 'const');
}

const DIVISION = `%a = get.f64 f1
  %b = get.f64 f2
  %rm = const.i32 0x0`;

test('a float op is done again when its flags may have been taken back', () => {
  const again = (between: string) =>
    left(`${DIVISION}
      %c = fdiv.f64 %a, %b, %rm
      ${between}
      insn pc=0x1004 length=4
      %d = fdiv.f64 %a, %b, %rm
      set.f64 f3, %d`).filter((name) => name === 'fdiv').length;
  assert.equal(again(''), 1);
  assert.equal(again('%x = get.i32 x1\n set.i32 x2, %x'), 1);
  assert.equal(again('%x = get.i32 x1\n set.i32 fflags, %x'), 2);
  assert.equal(again('call @h'), 2);
});

test('the flags are read again behind a float op', () => {
  const ops = left(`%f = get.i32 fflags
    set.i32 x1, %f
    ${DIVISION}
    %c = fdiv.f64 %a, %b, %rm
    %g = get.i32 fflags
    set.i32 x2, %g`);
  assert.equal(ops.filter((name) => name === 'get').length, 4);
});

test('nothing of memory and registers is known behind a helper', () => {
  const ops = left(`%a = const.i64 0x2000
    %b = load.i64 %a width=64
    %x = get.i64 x0
    call @h
    %c = load.i64 %a width=64
    %y = get.i64 x0
    set.i64 x1, %b
    set.i64 x2, %x
    set.i64 x3, %c
    set.i64 x4, %y`);
  assert.deepEqual(ops.slice(0, 5), ['load', 'get', 'call', 'load', 'get']);
});

test('what registers hold at the start is not known behind a helper', () => {
  const text =
    '%x = get.i64 x5\n set.i64 x1, %x\n insn pc=0x1004 length=4\n call @h\n %y = get.i64 x5\n set.i64 x2, %y';
  const block = parseBlock(`insn pc=0x1000 length=4\n${text}`, { isa: 'none', files: FILES });
  const result = optimize(block, { knownIn: new Map([['x5', 7n]]) });
  assert.deepEqual(
    result.ops.map(({ name }) => name),
    ['insn', 'const', 'set', 'insn', 'call', 'get', 'set'],
  );
});
