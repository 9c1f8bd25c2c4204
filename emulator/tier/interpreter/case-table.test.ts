import assert from 'node:assert/strict';
import { test } from 'node:test';
import { riscv64 } from '../../isa/riscv/index.ts';
import { sequenceName } from './case.ts';
import { CaseTable } from './case-table.ts';
import { COMMON_TWINS, EARLY_FLOATS, MACHINE_TWINS, PROGRAM_SEQUENCES } from './sequences.ts';
import { MACHINE_SEQUENCES } from './machine-sequences.ts';
import { FIRST_CASE } from './record.ts';

const SEQUENCES = [...new Set([...MACHINE_SEQUENCES['riscv64']!, ...PROGRAM_SEQUENCES['riscv64']!])];
const whole = new CaseTable(riscv64, SEQUENCES);

test('a table of which only the numbering is known gives the same cases, whichever is asked for first', () => {
  const { all, sequences } = new CaseTable(riscv64, SEQUENCES);
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
  assert.deepEqual(known.sequences, sequences);
});

test('cases that were forgotten are lifted again to the same', () => {
  const table = new CaseTable(riscv64, SEQUENCES);
  const { all, sequences } = table;
  table.forget();
  assert.notEqual(table.caseOf(FIRST_CASE), all[0]);
  assert.equal(table.caseOf(FIRST_CASE), table.caseOf(FIRST_CASE));
  assert.deepEqual(table.all, all);
  assert.deepEqual(table.sequences, sequences);
});

test('sequences are found by their cases, and begin with the first', () => {
  assert.equal(whole.sequences.length, SEQUENCES.length);
  const { trie } = whole;
  const named = new Map(whole.sequences.map((sequence) => [sequenceName(sequence), sequence.op]));
  assert.deepEqual([...named.keys()], SEQUENCES);
  assert.equal(trie.longest, Math.max(...whole.sequences.map(({ cases }) => cases.length)));
  for (const { op, cases } of whole.sequences) {
    assert.equal(whole.singleOp(op), cases[0]!.op);
    assert.equal(whole.caseOf(op), cases[0]);
    let node = trie.first(cases[0]!.op);
    for (const [at, { op: member }] of cases.slice(1).entries()) {
      node = trie.next(node, member);
      assert.notEqual(node, 0);
      const name = sequenceName({ op: 0, cases: cases.slice(0, at + 2) });
      assert.equal(trie.opOf(node), named.get(name) ?? 0);
      assert.equal(trie.next(node, 0), 0);
    }
    assert.equal(trie.opOf(node), op);
  }
  for (const a of whole.all)
    for (const b of whole.all)
      assert.equal(trie.opOf(trie.next(trie.first(a.op), b.op)), named.get(`${a.key} ${b.key}`) ?? 0);
});

test('compressed rows have no cases, all others have', () => {
  for (const row of riscv64.rows) assert.equal(whole.casesOf(row) === undefined, row.expandsTo !== undefined, row.name);
});

test('twins and early cases are named as the table names them', () => {
  const keys = new Set(whole.all.map(({ key }) => key));
  for (const named of [COMMON_TWINS, MACHINE_TWINS, EARLY_FLOATS])
    for (const key of named['riscv64']!) assert.ok(keys.has(key), key);
});
