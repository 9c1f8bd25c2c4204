import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyOp, makeOp, opKind } from './make-op.ts';
import { OP_NAMES, opRow } from './op.ts';
import { testSeed } from '../bits/float-operands.ts';
import { IR_FILES } from '../filetests/op-case.ts';
import { Random, randomBlock } from './random.ts';

const shapeOf = (op: object) => Object.keys(op).join();

test('ops of all kinds are objects of four shapes, however they were made', (t) => {
  const seed = testSeed();
  t.diagnostic(`SEED=${seed}`);
  const shapes = new Set<string>();
  const kinds = new Set<string>();
  for (let turn = 0; turn < 200; turn++) {
    for (const op of randomBlock(new Random(seed + turn), { isa: 'none', files: IR_FILES }).ops) {
      kinds.add(op.name);
      for (const made of [op, copyOp(op, op.args), makeOp({ ...op })]) {
        shapes.add(shapeOf(made));
        assert.deepEqual(made, op);
        assert.equal(OP_NAMES[made.kind], op.name);
      }
    }
  }
  assert.ok(kinds.size > OP_NAMES.length / 2, `${kinds.size} kinds of ops`);
  assert.equal(shapes.size, 4);
});

test('an op has the attributes that its row names', () => {
  const op = makeOp({ name: 'add', type: 'i64', args: [1, 2], width: 8, bits: 3n });
  assert.deepEqual(op, { name: 'add', kind: opKind('add'), type: 'i64', args: [1, 2] });
  for (const name of OP_NAMES) {
    for (const attribute of opRow(name).attributes ?? [])
      assert.ok(attribute in makeOp({ name, type: 'none', args: [] }), `${name} has ${attribute}`);
  }
});
