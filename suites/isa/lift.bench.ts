import assert from 'node:assert/strict';
import { liftInstructions } from '../../emulator/filetests/lift.ts';
import { verify } from '../../emulator/ir/verify.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { defineBench } from '../harness/define-bench.ts';
import { programInstructions, PROGRAM_INPUT, type DecodedAt } from './program-text.ts';

const INSTRUCTIONS = 2_000;

/**
 * Each instruction a block of its own, so that jumps are lifted like everything else; gives the number of ops. No block is kept: the
 * collection of kept ones was 1.4 of the coefficient of variation.
 */
function liftAll(instructions: readonly DecodedAt[]): number {
  let ops = 0;
  for (const each of instructions) ops += liftInstructions(riscv64, [each]).ops.length;
  return ops;
}

defineBench<DecodedAt[]>({
  id: 'isa/lift/riscv64',
  title: 'lift decoded instructions to IR',
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs: ['program-text.ts', PROGRAM_INPUT],
  setup: () => programInstructions(INSTRUCTIONS),
  work: liftAll,
  items: (instructions) => instructions.length,
  check: (instructions, ops) => {
    const blocks = instructions.map((each) => liftInstructions(riscv64, [each]));
    assert.deepEqual(blocks.flatMap(verify), []);
    assert.equal(ops, blocks.flatMap((block) => block.ops).length);
  },
  counters: (instructions) => ({ instructions: instructions.length, 'ir-ops': liftAll(instructions) }),
});
