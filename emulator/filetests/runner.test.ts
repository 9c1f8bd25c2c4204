import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateExecutor } from './evaluate-executor.ts';
import type { Executor } from './executor.ts';
import { CorpusError, parseCorpus } from './format.ts';
import { ISAS } from './registry.ts';
import { blessCorpus, checkCorpus, lineDifference } from './runner.ts';
import { parseTyped, parseValue } from './value-text.ts';

const options = { isas: new Map(), executors: new Map([['evaluate', evaluateExecutor]]) };
const check = (text: string, executors: ReadonlyMap<string, Executor> = options.executors) =>
  checkCorpus(parseCorpus('sample.ft', text), { ...options, executors });
const messages = (text: string, executors?: ReadonlyMap<string, Executor>) =>
  check(text, executors).failures.map(({ line, message }) => `${line}: ${message}`);
const HEADER = 'isa none\ntest evaluate\n\n';
const BLOCK = `${HEADER}insn pc=0x1000 length=4\n%a = get.i64 x1\n%r = load.i64 %a width=8\nset.i64 x2, %r\n`;

test('a right expectation passes, and each kind of wrong one is named', () => {
  assert.deepEqual(check(`${HEADER}add.i32\n; run: 1, 2 => 3\n; run: 1, 3 => 4\n`), { failures: [], checks: 2 });
  const wrong: readonly [string, string][] = [
    [`${HEADER}add.i32\n; run: 1, 2 => 4\n`, '5: evaluate: r is 0x3, expected 0x4'],
    [`${HEADER}fdiv.f32\n; run: 1.0, 0.0, 0 => inf\n`, '5: evaluate: fflags is dz, expected 0'],
    [`${HEADER}add.i32\n; run: 1 => 4\n`, '5: 1 arguments instead of 2'],
    [`${HEADER}add.i32\n; run: 1, x => 4\n`, "5: 'x' is no i32"],
    [`${HEADER}add.i32\n; run: 1, 1 => 0x100000000\n`, "5: '0x100000000' is no i32"],
    [`${BLOCK}; run: x1=0x2000 x2=5 mem[0x2000]=07 => x2=8\n`, '8: evaluate: x2 is 0x7, expected 0x8'],
    [`${BLOCK}; run: x1=0x2000 mem[0x2000]=07 =>\n`, '8: evaluate: x2 is 0x7, expected 0x0'],
    [
      `${BLOCK}; run: x1=0x2000 => mem[0x2003]=0102\n`,
      '8: evaluate: mem[0x2003] is 00000000000000000000000000000000, expected 01020000000000000000000000000000',
    ],
    [`${BLOCK}; run: x1=0x2000 => pc=0x1008\n`, '8: evaluate: pc is 0x1004, expected 0x1008'],
    [
      `${BLOCK}; run: x1=0x9000 =>\n`,
      '8: evaluate: stop is fault, expected end; pc is 0x1000, expected 0x1004; at is 0x9000, expected 0x0',
    ],
    [`${BLOCK}; run: x1=0x9000 => fault=store at=0x9000\n`, '8: evaluate: fault is load, expected store'],
    [`${BLOCK}; run: x1=0x9000 => fault=load at=0x9001\n`, '8: evaluate: at is 0x9000, expected 0x9001'],
    [`${BLOCK}; run: x1=0x9000 => fault=load\n`, '8: evaluate: at is 0x9000, expected 0x0'],
    [`${BLOCK}; run: y1=0x9000 =>\n`, "8: there is no register 'y1'"],
    [`${BLOCK}; run: x1 =>\n`, '8: write assignments such as x1=0x5 on both sides of =>'],
    [`${BLOCK}; run: page[0x2000]=rwxs =>\n`, '8: page[0x2000]=rwxs is no page and rwx'],
    ['isa none\ntest walk\n\nadd.i32\n; run: 1, 2 => 3\n', "1: there is no executor 'walk'"],
    ['isa z80\ntest evaluate\n\nadd.i32\n; run: 1, 2 => 3\n', "1: there is no ISA 'z80'"],
    [`${HEADER}add.i32\n`, '1: the corpus checks nothing'],
    [`${HEADER}frob.i32\n; run: => 1\n`, "4: 1:6: there is no op 'frob'"],
  ];
  for (const [text, expected] of wrong) assert.deepEqual(messages(text), [expected], text);
});

test('executors that disagree on what no run mentions are named', () => {
  const executors = new Map<string, Executor>([
    ['evaluate', evaluateExecutor],
    [
      'miscounts',
      { ...evaluateExecutor, name: 'miscounts', runBlock: (p) => ({ ...evaluateExecutor.runBlock!(p), retired: 7 }) },
    ],
    ['codeOnly', { ...evaluateExecutor, name: 'codeOnly', runBlock: undefined }],
  ]);
  const text = 'isa none\ntest evaluate miscounts codeOnly\n\nnext_pc.i64\n; run: => 0x1004\n';
  assert.deepEqual(messages(text, executors), [
    '5: miscounts gives retired=7 reservation=0xffffffffffffffff, evaluate retired=1 reservation=0xffffffffffffffff',
    '5: codeOnly cannot run IR blocks',
  ]);
});

test('goldens are compared, shown as a difference and blessed in place', () => {
  const source = 'isa none\ntest print\n\ninsn pc=0x0 length=4\nfence\n';
  const text = `# Kept.\n${source}; ir:\n;   insn pc=0x0 length=4\n;   fence order=acquire\n\n# Also kept.\ninsn pc=0x4 length=2\n`;
  const [first, second] = messages(text);
  assert.equal(
    first,
    "5: the golden lines differ; 'npm run bless' accepts the new one\n    - fence order=acquire\n    + fence",
  );
  assert.match(second!, /^12: the golden lines differ/);
  const blessed = blessCorpus(parseCorpus('sample.ft', text), options.isas);
  assert.equal(
    blessed,
    `# Kept.\n${source}; ir:\n;   insn pc=0x0 length=4\n;   fence\n\n# Also kept.\ninsn pc=0x4 length=2\n; ir:\n;   insn pc=0x4 length=2\n`,
  );
  assert.deepEqual(messages(blessed), []);
  assert.equal(blessCorpus(parseCorpus('sample.ft', blessed), options.isas), blessed);
  assert.equal(lineDifference(['a', 'b', 'c'], ['a', 'x', 'y', 'c']), '    - b\n    + x\n    + y');
});

test('assembly and bytes must agree both ways', () => {
  const decode = (text: string) =>
    checkCorpus(parseCorpus('sample.ft', `isa riscv64\ntest decode\n\n${text}`), {
      ...options,
      isas: ISAS,
    }).failures.map(({ line, message }) => `${line}: ${message}`);
  assert.deepEqual(decode('addi a0,  a1,-1\nc.addi a0, 1\n; bytes: 13 85 f5 ff 05 05\n'), []);
  assert.deepEqual(decode('.4byte 0xfff58513\n; bytes: 1385f5ff\n'), []);
  assert.deepEqual(decode('.4byte 0xffffffff\n; illegal\n'), []);
  const wrong: readonly [string, string][] = [
    ['addi a0, a1, -1\n; bytes: 13 85 f5 00\n', '5: assembles to 13 85 f5 ff, expected 13 85 f5 00'],
    ['addi a0, a1, -1\n', '4: a decode case gives its bytes or says that they are illegal'],
    [
      'addi a0, a1, 0xff\n; bytes: 13 85 f5 0f\n',
      "4: disassembles as 'addi a0, a1, 255', expected 'addi a0, a1, 0xff'",
    ],
    ['.byte 0x13 0x85 0xf5\n; bytes: 13 85 f5\n', "4: '.byte 0x13 0x85 0xf5' (13 85 f5) does not decode"],
    ['.byte 0x05 0x05 0x05 0x05\n; bytes: 05 05 05 05\n', '4: decodes with 2 bytes instead of 4'],
    ['.4byte 0xfff58513\n; illegal\n', "4: decodes as 'addi a0, a1, -1', expected none"],
    ['.2byte 0x10000\n; illegal\n', "4: '.2byte 0x10000': not numbers of 2 bytes"],
    ['addi a0, a9, 1\n; bytes: 00\n', "4: 'addi a0, a9, 1': addi does not take 'a0, a9, 1'"],
  ];
  for (const [text, expected] of wrong) assert.deepEqual(decode(text), [expected], text);
});

test('a file that is not well-formed is refused at its line', () => {
  const refusals: readonly [string, string, RegExp][] = [
    ['', 'f.ft:1', /isa NAME/],
    ['isa none\n\nadd.i32\n', 'f.ft:1', /test KIND/],
    ['isa none\nisa none\n', 'f.ft:2', /twice/],
    ['isa none\ntest print\n', 'f.ft:3', /no cases/],
    ['isa none\ntest print\nat 12\n\nfence\n', 'f.ft:1', /no address/],
    [`${HEADER}; run: => 1\n`, 'f.ft:4', /without source/],
    [`${HEADER}add.i32\n; walk: 1\n`, 'f.ft:5', /no directive/],
    [`${HEADER}add.i32\n; run: 1\n`, 'f.ft:5', /write ; run/],
    [`${HEADER}add.i32\n; run: 1 => 2\nsub.i32\n`, 'f.ft:6', /source after a directive/],
  ];
  for (const [text, where, message] of refusals) {
    assert.throws(
      () => parseCorpus('f.ft', text),
      (error) => error instanceof CorpusError && error.where === where && message.test(error.message),
      text,
    );
  }
});

test('values are read in every notation', () => {
  const values: readonly [string, number, bigint | undefined][] = [
    ['-1', 64, 2n ** 64n - 1n],
    ['-0x80', 8, 0x80n],
    ['-129', 8, undefined],
    ['256', 8, undefined],
    ['0x1_0000', 32, 0x1_0000n],
    ['f32:1.5', 64, 0x3fc0_0000n],
    ['box:1.5', 64, 0xffff_ffff_3fc0_0000n],
    ['box:-nan', 64, 0xffff_ffff_ffc0_0000n],
    ['f64:-inf', 64, 0xfff0_0000_0000_0000n],
    ['f64:snan', 64, 0x7ff0_0000_0000_0001n],
    ['f64:1', 32, undefined],
    ['i64x2[1 -1]', 128, ((2n ** 64n - 1n) << 64n) | 1n],
    ['i64x2[1]', 128, undefined],
    ['i64x2[1 1]', 64, undefined],
    ['f32x4[1.0 0 -0.0 0x7]', 128, (7n << 96n) | (0x8000_0000n << 64n) | 0x3f80_0000n],
    ['x', 64, undefined],
  ];
  for (const [text, width, expected] of values) assert.equal(parseValue(text, width), expected, text);
  assert.equal(parseTyped('2', 'f64'), 0x4000_0000_0000_0000n);
  assert.equal(parseTyped('0x2', 'f64'), 2n);
});
