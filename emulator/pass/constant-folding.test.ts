import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { IR_FILES } from '../filetests/op-case.ts';
import { constant } from '../ir/make-op.ts';
import { OP_NAMES, opRow } from '../ir/op.ts';
import { Random, randomBlock } from '../ir/random.ts';
import { constantFolding } from './constant-folding.ts';
import { assertSame, randomStart } from './trial.ts';

const FOLDABLE = OP_NAMES.filter((name) => {
  const { evaluate, evaluateFloat, args } = opRow(name);
  return args.length > 0 && (evaluate !== undefined || evaluateFloat !== undefined);
});
const BLOCKS_EACH = 25;

test('every op that has a meaning folds, to what the evaluator says and with the flags it raises', (t) => {
  const base = testSeed();
  t.diagnostic(`SEED=${base}`);
  const unfolded: string[] = [];
  const start = randomStart(new Random(base), IR_FILES);
  let folded = 0;
  for (const name of FOLDABLE) {
    let found = 0;
    for (let seed = base; seed < base + BLOCKS_EACH; seed++) {
      const random = new Random(seed);
      // No register is read: every argument is a constant, or comes from an op of constants that raises flags.
      const block = randomBlock(random, { isa: 'none', files: IR_FILES, ops: [name, 'const'], instructions: 2 });
      const constants = { ...block, ops: block.ops.map(asConstant) };
      const result = constantFolding.run(constants, {});
      const count = (ops: typeof block.ops) => ops.filter((op) => op.name === name).length;
      found += count(constants.ops) - count(result.ops);
      assertSame(constants, result, start, { context: {}, files: IR_FILES, what: `SEED=${seed}, ${name}` });
    }
    if (found === 0) unfolded.push(name);
    folded += found;
  }
  t.diagnostic(`${folded} ops of ${FOLDABLE.length} kinds folded`);
  assert.deepEqual(unfolded, []);

  function asConstant(op: ReturnType<typeof randomBlock>['ops'][number]) {
    if (op.name !== 'get') return op;
    const bits = op.type === 'v128' ? 0x7fc0_0000_0001_0203n : 0x3f80_0000n;
    return constant(op.type, bits);
  }
});
