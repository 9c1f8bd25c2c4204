import assert from 'node:assert/strict';
import type { Block } from '../../emulator/ir/block.ts';
import { verify } from '../../emulator/ir/verify.ts';
import { optimize, type PassContext, PASSES } from '../../emulator/pass/pipeline.ts';
import { defineBench } from '../harness/define-bench.ts';
import { instructionsIn, programBlocks } from '../isa/program-text.ts';
import { GUESTS } from '../guests/guests.ts';
import { guestBlocks, guestInput } from './guest-text.ts';

const inputs = ['../isa/program-text.ts', '../guests/riscv64/libc'];
const BLOCKS = 400;
const WARMING = 60;

/** What holds of a user process with its rounding mode at rest. */
const CONTEXT: PassContext = {
  ordinaryMemory: true,
  writableIsReadable: true,
  knownIn: new Map([
    ['frm0', 0n],
    ['floatOff0', 0n],
  ]),
};

const opsIn = (blocks: readonly Block[]): number => blocks.reduce((sum, { ops }) => sum + ops.length, 0);

defineBench<Block[]>({
  id: 'pass/pipeline/all',
  title: 'all passes over blocks lifted from a program, once warm',
  unit: 'ns/op',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  inputs,
  target: { value: 1000, from: 'the passes of a region of 100 instructions in half a millisecond' },
  // Hundreds of small functions take long to be compiled themselves; what is measured is a JIT that has been at work for a while.
  setup: () => {
    const blocks = programBlocks(BLOCKS);
    for (let round = 0; round < WARMING; round++) for (const block of blocks) optimize(block, CONTEXT);
    return blocks;
  },
  work: (blocks) => blocks.map((block) => optimize(block, CONTEXT)),
  items: opsIn,
  check: (blocks, results) => {
    assert.deepEqual((results as Block[]).flatMap(verify), []);
    assert.ok(opsIn(results as Block[]) < opsIn(blocks));
  },
});

for (const [place, pass] of PASSES.entries()) {
  const name = PASSES.indexOf(pass) === place ? pass.name : `${pass.name}-again`;
  defineBench<Block[]>({
    id: `pass/pipeline/${name}`,
    title: pass.prose,
    unit: 'ns/op',
    kind: 'time',
    direction: 'lower',
    engine: 'tinybench',
    inputs,
    // The blocks as they come to the pass.
    setup: () =>
      programBlocks(BLOCKS).map((block) =>
        PASSES.slice(0, place).reduce((sofar, earlier) => earlier.run(sofar, CONTEXT), block),
      ),
    work: (blocks) => blocks.map((block) => pass.run(block, CONTEXT)),
    items: opsIn,
    check: (_, results) => assert.deepEqual((results as Block[]).flatMap(verify), []),
  });
}

for (const { name } of GUESTS) {
  defineBench<Block[]>({
    id: `pass/guest-ops/${name}`,
    title: `IR ops of ${name} before and after the passes, and with each of them off`,
    unit: 'ops',
    kind: 'counter',
    direction: 'lower',
    engine: 'counters',
    inputs: ['guest-text.ts', guestInput(name)],
    setup: () => guestBlocks(name),
    counters: (blocks) => {
      const after = (disabled: readonly string[]) =>
        opsIn(blocks.map((block) => optimize(block, CONTEXT, { disabled: new Set(disabled) })));
      return {
        instructions: blocks.reduce((sum, block) => sum + instructionsIn(block), 0),
        'ir-ops-lifted': opsIn(blocks),
        'ir-ops-left': after([]),
        ...Object.fromEntries(PASSES.map((pass) => [`without-${pass.name}`, after([pass.name])])),
      };
    },
  });
}
