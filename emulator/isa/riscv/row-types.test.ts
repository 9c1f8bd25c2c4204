/**
 * Names in a row that do not agree are compile errors, which only `tsc` can see: each line below that it accepts would be an
 * unused `@ts-expect-error`, and so an error of the check "types".
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readX, writeX } from './access.ts';
import { instruction } from './operands.ts';

const FACTS = { spec: 'a row of this test', extension: 'I' } as const;
const WORD = '0000000 rs2:5 rs1:5 000 rd:5 0110011';

test('a row whose names agree is a row', () => {
  const row = instruction(
    'good',
    WORD,
    '{rd},{rs1},{rs2}',
    (b, { rd, rs1, rs2 }) => {
      writeX(b, rd, b.op('add', 'i64', readX(b, rs1), readX(b, rs2)));
    },
    FACTS,
  );
  assert.equal(row.mnemonic, 'good');
});

/** Never called: the compiler is the test. */
const misspelt = (): unknown[] => [
  // @ts-expect-error: no field is called rs3
  instruction('syntax', WORD, '{rd},{rs1},{rs3}', () => {}, FACTS),
  // @ts-expect-error: the meaning asks for an operand that the encoding lacks
  instruction('meaning', WORD, '{rd},{rs1},{rs2}', (_b, { shamt }) => void shamt, FACTS),
  // @ts-expect-error: no operand of this ISA is called rx
  instruction('encoding', '0000000 rx:5 rs1:5 000 rd:5 0110011', '{rd},{rs1},{rx}', () => {}, FACTS),
];

test('the misspelt rows compile for their errors only', () => assert.equal(typeof misspelt, 'function'));
