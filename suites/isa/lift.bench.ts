import assert from 'node:assert/strict';
import type { Block } from '../../emulator/ir/block.ts';
import { verify } from '../../emulator/ir/verify.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { liftInstructions } from '../../emulator/filetests/lift.ts';
import { defineBench } from '../harness/define-bench.ts';
import { programInstructions, PROGRAM_INPUT, type DecodedAt } from './program-text.ts';

const INSTRUCTIONS = 5_000;

/** Each instruction a block of its own, so that jumps are lifted like everything else. */
function liftAll(instructions: readonly DecodedAt[]): Block[] {
  return instructions.map((each) => liftInstructions(riscv64, [each]));
}

function opsIn(blocks: readonly Block[]): number {
  return blocks.reduce((sum, { ops }) => sum + ops.length, 0);
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
  check: (_, blocks) => assert.deepEqual((blocks as Block[]).flatMap(verify), []),
  counters: (instructions) => ({ instructions: instructions.length, 'ir-ops': opsIn(liftAll(instructions)) }),
});
