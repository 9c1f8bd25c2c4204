import assert from 'node:assert/strict';
import { test } from 'node:test';
import { riscv64 } from '../../isa/riscv/index.ts';
import { CaseTable } from './case-table.ts';
import { COMMON_PAIRS, COMMON_TWINS, EARLY_FLOATS, MACHINE_PAIRS, MACHINE_TWINS } from './pairs.ts';
import { FIRST_CASE } from './record.ts';

const PAIRS = [...COMMON_PAIRS['riscv64']!, ...MACHINE_PAIRS['riscv64']!];
const whole = new CaseTable(riscv64, PAIRS);

test('a table of which only the numbering is known gives the same cases, whichever is asked for first', () => {
  const { all, pairs } = new CaseTable(riscv64, PAIRS);
  const known = new CaseTable(riscv64, [], JSON.parse(JSON.stringify(whole.numbering)));
  for (let op = FIRST_CASE + known.count - 1; op >= FIRST_CASE; op--) {
    const single = known.singleOp(op);
    const expected = all[single - FIRST_CASE]!;
    assert.equal(expected.op, single);
    assert.deepEqual(known.caseOf(op), expected);
    assert.equal(known.isTerminator(single), expected.terminator);
    assert.equal(known.casesOf(expected.row)!.cases.includes(known.caseOf(op)), true);
  }
  assert.deepEqual(known.all, all);
  assert.deepEqual(known.pairs, pairs);
});

test('cases that were forgotten are lifted again to the same', () => {
  const table = new CaseTable(riscv64, PAIRS);
  const { all, pairs } = table;
  table.forget();
  assert.notEqual(table.caseOf(FIRST_CASE), all[0]);
  assert.equal(table.caseOf(FIRST_CASE), table.caseOf(FIRST_CASE));
  assert.deepEqual(table.all, all);
  assert.deepEqual(table.pairs, pairs);
});

test('pairs are found by their cases, and begin with the first', () => {
  assert.equal(whole.pairs.length, PAIRS.length);
  for (const { op, first, second } of whole.pairs) {
    assert.equal(whole.pairOp(first.op, second.op), op);
    assert.equal(whole.singleOp(op), first.op);
    assert.equal(whole.caseOf(op), first);
  }
  const [{ first }] = whole.pairs as [(typeof whole.pairs)[0]];
  assert.equal(whole.pairOp(first.op, 0), 0);
  const named = new Set(whole.pairs.map((pair) => `${pair.first.key} ${pair.second.key}`));
  for (const a of whole.all)
    for (const b of whole.all) if (!named.has(`${a.key} ${b.key}`)) assert.equal(whole.pairOp(a.op, b.op), 0);
});

test('compressed rows have no cases, all others have', () => {
  for (const row of riscv64.rows) assert.equal(whole.casesOf(row) === undefined, row.expandsTo !== undefined, row.name);
});

test('twins and early cases are named as the table names them', () => {
  const keys = new Set(whole.all.map(({ key }) => key));
  for (const named of [COMMON_TWINS, MACHINE_TWINS, EARLY_FLOATS])
    for (const key of named['riscv64']!) assert.ok(keys.has(key), key);
});
