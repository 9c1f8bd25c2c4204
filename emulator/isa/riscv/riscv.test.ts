import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { extractField } from '../../bits/pattern.ts';
import { Builder } from '../../ir/builder.ts';
import { verify } from '../../ir/verify.ts';
import { overlapsIn } from '../decoder.ts';
import { encodeInstruction } from '../syntax.ts';
import type { TableRow } from '../table.ts';
import { riscv64 } from './index.ts';

const PC = 0x1_0000n;
const rows = riscv64.rows as readonly TableRow[];

/** Operand values to try for a row: its kinds' samples, each alone against the first of the others, and all the last ones. */
function* samples(row: TableRow): Generator<Record<string, number>> {
  const lists = Object.entries(row.operands).map(
    ([name, kind]) => [name, kind.samples.map((raw) => kind.decode(raw))] as const,
  );
  const first = Object.fromEntries(lists.map(([name, values]) => [name, values[0]!]));
  yield first;
  yield Object.fromEntries(lists.map(([name, values]) => [name, values.at(-1)!]));
  for (const [name, values] of lists) for (const value of values) yield { ...first, [name]: value };
}

function bytesOf(word: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (word >>> (8 * i)) & 0xff);
}

test('no two rows match one word unless one is a special case of the other', () => {
  assert.deepEqual(overlapsIn(rows), []);
  const [first] = rows as [TableRow];
  const { fields, operands } = first;
  assert.equal(overlapsIn([first, { ...first, name: 'twin', fields, operands }]).length, 1);
});

test('every row decodes from what it encodes, and a special case is preferred to the general', () => {
  for (const row of rows) {
    for (const operands of samples(row)) {
      const word = encodeInstruction(row, operands);
      assert.equal(typeof word, 'number', `${row.name} ${JSON.stringify(operands)}`);
      const decoded = riscv64.decode(bytesOf(word as number, row.length), 0);
      assert.ok(decoded, row.name);
      if (decoded.row !== row) {
        assert.equal(decoded.row.match & row.mask, row.match, `${row.name} decodes as ${decoded.row.name}`);
        continue;
      }
      assert.deepEqual(decoded.operands, operands, row.name);
      assert.equal(decoded.length, row.length);
    }
  }
});

test('every line that is shown assembles to the same bytes', () => {
  for (const row of rows) {
    if (row.name.endsWith('(reserved)')) continue;
    for (const operands of samples(row)) {
      const word = encodeInstruction(row, operands) as number;
      const bytes = bytesOf(word, row.length);
      const decoded = riscv64.decode(bytes, 0)!;
      const line = riscv64.disassemble(decoded, PC);
      const again = riscv64.assemble(line, PC);
      assert.ok(again instanceof Uint8Array, `${line}: ${JSON.stringify(again)}`);
      const back = riscv64.decode(again, 0)!;
      assert.equal(riscv64.disassemble(back, PC), line);
      if (!('any' in operands)) assert.deepEqual(again, bytes, line);
    }
  }
});

test('every row lifts to a block that verifies, with operands known and with fields', () => {
  for (const row of rows) {
    for (const operands of samples(row)) {
      const known = new Builder('riscv64');
      known.beginInstruction(PC, row.length);
      row.lift(known, operands);
      assert.deepEqual(verify(known.block), [], row.name);
    }
    if (row.expandsTo) continue;
    const symbolic = new Builder('riscv64');
    symbolic.beginInstruction(undefined, row.length);
    row.lift(
      symbolic,
      Object.fromEntries(
        Object.entries(row.operands).map(([name, kind]) => [
          name,
          kind.specialise ? kind.specialise[0]! : { field: name },
        ]),
      ),
    );
    assert.deepEqual(verify(symbolic.block), [], row.name);
  }
});

test('a compressed row means what its base instruction means', () => {
  for (const row of rows) {
    if (!row.expandsTo) continue;
    for (const operands of samples(row)) {
      const { row: base, operands: mapped } = row.expandsTo(operands);
      assert.deepEqual(Object.keys(mapped).toSorted(), Object.keys(base.operands).toSorted(), row.name);
      assert.equal(typeof encodeInstruction(base, mapped), 'number', `${row.name} ${JSON.stringify(mapped)}`);
    }
  }
});

test('every row names its section and extension', () => {
  for (const row of rows) {
    assert.match(row.spec, /ISA, "/, row.name);
    assert.match(row.extension, /^(I|M|A|F|D|C|[ZS]\w+)$/, row.name);
  }
});

test('any bytes decode to an instruction that encodes back, or to nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0, maxLength: 6 }), fc.integer({ min: -1, max: 7 }), (bytes, offset) => {
      const decoded = riscv64.decode(bytes, offset);
      if (!decoded) return;
      assert.ok(offset >= 0 && offset + decoded.length <= bytes.length);
      const row = decoded.row as TableRow;
      let word = 0;
      for (let i = 0; i < decoded.length; i++) word |= bytes[offset + i]! << (8 * i);
      word >>>= 0;
      for (const [name, field] of Object.entries(row.fields))
        assert.equal(
          row.operands[name]!.encode(decoded.operands[name]!),
          extractField(word, field),
          `${row.name} ${name}`,
        );
      assert.equal(encodeInstruction(row, decoded.operands), word, row.name);
      assert.equal(typeof riscv64.disassemble(decoded, PC), 'string');
      riscv64.canonical(decoded);
    }),
    { numRuns: 30_000 },
  );
});
