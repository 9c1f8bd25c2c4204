import assert from 'node:assert/strict';
import test from 'node:test';
import type { InstructionFacts } from './instruction-facts.ts';
import { KnownCode } from './known-code.ts';

const FACTS: InstructionFacts = { length: 4, held: true, calls: [], terminator: undefined };
const PAGE = 0x5000;

function knowing(offset: number): KnownCode {
  const code = new KnownCode({ alignment: 2, maximumLength: 4 });
  code.pageAt(PAGE).add(offset, FACTS);
  return code;
}

test('an instruction is known where it was learnt, and only there', () => {
  const code = knowing(0x10);
  assert.equal(code.pageAt(PAGE).at(0x10), FACTS);
  assert.equal(code.pageAt(PAGE).at(0x12), undefined);
  assert.equal(code.pageAt(PAGE + 0x1000).at(0x10), undefined);
});

test('code that changes is forgotten, with what may run on into it', () => {
  const elsewhere = knowing(0x10);
  elsewhere.forget(PAGE + 0x1004, 4);
  assert.equal(elsewhere.pageAt(PAGE).at(0x10), FACTS);
  const before = knowing(0xffe);
  before.forget(PAGE + 0x1000, 2);
  assert.equal(before.pageAt(PAGE).at(0xffe), undefined);
  const over = knowing(0);
  over.forget(0, 2 ** 32);
  assert.equal(over.pageAt(PAGE).at(0), undefined);
});
