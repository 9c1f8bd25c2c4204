import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { programBlocks } from '../../suites/isa/program-text.ts';
import { optimize } from './pipeline.ts';
import { assertSame, randomContext, randomStart } from './trial.ts';

/** Blocks drawn from the program; more with BLOCKS=10000. */
const DRAWN = Number(process.env['BLOCKS'] ?? 800);

test('blocks of a real program do the same after the passes, whatever registers and memory hold', (t) => {
  const base = testSeed();
  t.diagnostic(`SEED=${base}`);
  const { files } = riscv64;
  const blocks = programBlocks(6000);
  const outcomes = new Map<string, number>();
  let [before, after] = [0, 0];
  for (let seed = base; seed < base + DRAWN; seed++) {
    const random = new Random(seed);
    const at = random.below(blocks.length);
    const block = blocks[at]!;
    const start = randomStart(random, files);
    const context = randomContext(random, files, start);
    const result = optimize(block, context, { verify: true });
    const { kind } = assertSame(block, result, start, { context, files, what: `SEED=${seed}, block ${at}` });
    outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
    before += block.ops.length;
    after += result.ops.length;
  }
  t.diagnostic(`${before} ops became ${after}; ${JSON.stringify(Object.fromEntries(outcomes))}`);
  assert.ok(after < 0.8 * before, 'real code has much to leave out');
  for (const kind of ['next', 'jump', 'fault'])
    assert.ok((outcomes.get(kind) ?? 0) > DRAWN / 50, `blocks end in ${kind}`);
});
