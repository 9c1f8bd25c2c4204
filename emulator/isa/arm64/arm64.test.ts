import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Builder } from '../../ir/builder.ts';
import { evaluate } from '../../ir/evaluate.ts';
import { LinearMemory } from '../../ir/evaluator-memory.ts';
import type { Operand } from '../../ir/type.ts';
import { verify } from '../../ir/verify.ts';
import { STATE_SIZE } from '../../layout/memory-map.ts';
import { overlapsIn } from '../decoder.ts';
import { encodeInstruction } from '../syntax.ts';
import { arm64 } from './index.ts';
import { decodeLogicalImmediate, encodeLogicalImmediate, logicalImmediate } from './logical-immediate.ts';
import { X } from './registers.ts';
import { A64 } from './rows.ts';

const PC = 0x1_0000n;

/** Operand values to try for a row: its kinds' samples, each alone against the first of the others, and all the last ones. */
function* samples(row: (typeof A64)[number]): Generator<Record<string, number>> {
  const lists = Object.entries(row.operands).map(
    ([name, kind]) => [name, kind.samples.map((raw) => kind.decode(raw))] as const,
  );
  const first = Object.fromEntries(lists.map(([name, values]) => [name, values[0]!]));
  yield first;
  yield Object.fromEntries(lists.map(([name, values]) => [name, values.at(-1)!]));
  for (const [name, values] of lists) for (const value of values) yield { ...first, [name]: value };
}

function bytesOf(word: number): Uint8Array {
  return Uint8Array.from({ length: 4 }, (_, i) => (word >>> (8 * i)) & 0xff);
}

test('no two rows match one word', () => assert.deepEqual(overlapsIn(A64), []));

test('every row decodes from what it encodes, and its line assembles to the same word', (t) => {
  let count = 0;
  for (const row of A64) {
    for (const operands of samples(row)) {
      const word = encodeInstruction(row, operands);
      assert.ok(typeof word === 'number', `${row.name} ${JSON.stringify(operands)}`);
      const decoded = arm64.decode(bytesOf(word), 0);
      assert.ok(decoded, row.name);
      assert.equal(decoded.row, row);
      assert.equal(decoded.length, 4);
      assert.deepEqual(decoded.operands, operands, row.name);
      const line = arm64.disassemble(decoded, PC);
      assert.deepEqual(arm64.assemble(line, PC), bytesOf(word), line);
      count++;
    }
  }
  t.diagnostic(`${count} encodings of ${A64.length} rows`);
});

test('every row lifts to a block that verifies, with operands known and with fields', () => {
  for (const row of A64) {
    for (const operands of samples(row)) {
      const known = new Builder('aarch64');
      known.beginInstruction(PC, 4);
      row.lift(known, operands);
      assert.deepEqual(verify(known.block), [], row.name);
    }
    const fields = Object.entries(row.operands).map(([name, kind]): [string, Operand] => [
      name,
      kind.specialise ? kind.specialise.at(-1)! : { field: name },
    ]);
    const symbolic = new Builder('aarch64');
    symbolic.beginInstruction(undefined, 4);
    row.lift(symbolic, Object.fromEntries(fields));
    assert.deepEqual(verify(symbolic.block), [], row.name);
  }
});

test('every row names its section', () => {
  for (const row of A64) assert.match(row.spec, /^A-profile Arm ARM, "/, row.name);
});

test('logical immediates have 5334 values, and each value an encoding that gives it back', () => {
  const values = new Set<bigint>();
  for (let encoded = 0; encoded < 1 << 13; encoded++) {
    const value = decodeLogicalImmediate(encoded);
    if (value === undefined) continue;
    values.add(value);
    const again = encodeLogicalImmediate(value);
    assert.ok(again !== undefined);
    assert.equal(decodeLogicalImmediate(again), value);
  }
  // Of an element of w bits there are w·(w−1) values: 2 + 12 + 56 + 240 + 992 + 4032.
  assert.equal(values.size, 5334);
  assert.equal(decodeLogicalImmediate(0b1_000000_000111), 0xffn);
  assert.equal(decodeLogicalImmediate(0b0_000001_111100), 0xaaaa_aaaa_aaaa_aaaan);
  assert.equal(encodeLogicalImmediate(0n), undefined);
  assert.equal(encodeLogicalImmediate(-1n), undefined);
});

test('a logical immediate in a field is worked out as the constant it is', () => {
  const state = new DataView(new ArrayBuffer(STATE_SIZE));
  const memory = new LinearMemory(new ArrayBuffer(0), 0);
  for (const type of ['i64', 'i32'] as const) {
    const b = new Builder('aarch64');
    b.beginInstruction(undefined, 4);
    const value = logicalImmediate(b, type, { field: 'mask' });
    b.set(X, 0, type === 'i64' ? value : b.op('widen_u', 'i64', value));
    for (let encoded = 0; encoded < 1 << (type === 'i64' ? 13 : 12); encoded++) {
      const expected = decodeLogicalImmediate(encoded);
      if (expected === undefined) continue;
      evaluate(b.block, { state, memory, fields: { mask: encoded }, pc: PC });
      const found = state.getBigUint64(X.offset, true);
      assert.equal(found, BigInt.asUintN(type === 'i64' ? 64 : 32, expected), encoded.toString(2));
    }
  }
});

test('any bytes decode to an instruction that encodes back, or to nothing', () => {
  const word = fc.oneof(
    fc.integer({ min: 0, max: 0xffff_ffff }),
    fc
      .tuple(fc.constantFrom(...A64), fc.integer({ min: 0, max: 0xffff_ffff }), fc.nat(40))
      .map(([{ mask, match }, rest, bit]) => (((rest & ~mask) | match) ^ (bit < 32 ? 1 << bit : 0)) >>> 0),
  );
  fc.assert(
    fc.property(word, fc.integer({ min: -1, max: 2 }), fc.nat(5), (bits, offset, length) => {
      const decoded = arm64.decode(bytesOf(bits).subarray(0, length), offset);
      if (length < 4 || offset !== 0) return void assert.equal(decoded, undefined);
      if (!decoded) return;
      assert.equal(encodeInstruction(decoded.row, decoded.operands), bits, decoded.row.name);
      assert.equal(typeof arm64.disassemble(decoded, PC), 'string');
      const builder = new Builder('aarch64');
      builder.beginInstruction(PC, 4);
      const { row, operands } = arm64.canonical(decoded);
      row.lift(builder, operands);
      assert.deepEqual(verify(builder.block), []);
    }),
    { numRuns: 20_000 },
  );
});
