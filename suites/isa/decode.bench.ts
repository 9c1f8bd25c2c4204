import assert from 'node:assert/strict';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { defineBench } from '../harness/define-bench.ts';
import { programInstructions, PROGRAM_INPUT, programText, type DecodedAt, type ProgramText } from './program-text.ts';

const inputs = ['program-text.ts', PROGRAM_INPUT];

interface Text extends ProgramText {
  readonly instructions: number;
}

/** Decodes all of it; gives how many instructions it found. */
function decodeAll({ bytes }: ProgramText): number {
  let instructions = 0;
  for (let at = 0; at < bytes.length;) {
    const decoded = riscv64.decode(bytes, at);
    if (decoded !== undefined) instructions++;
    at += decoded?.length ?? riscv64.alignment;
  }
  return instructions;
}

defineBench<Text>({
  id: 'isa/decode/riscv64',
  title: 'decode the text of a static C program (RV64GC)',
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs,
  setup: () => ({ ...programText(), instructions: programInstructions().length }),
  work: decodeAll,
  items: ({ instructions }) => instructions,
  check: ({ instructions }, count) => assert.equal(count, instructions),
  counters: ({ bytes, instructions }) => ({ 'text-bytes': bytes.length, instructions }),
});

defineBench<DecodedAt[]>({
  id: 'isa/canonical/riscv64',
  title: 'expand compressed forms and replace zero destinations',
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs,
  setup: () => programInstructions(),
  work: (instructions) => {
    let expanded = 0;
    for (const { decoded } of instructions) if (riscv64.canonical(decoded).row.expandsTo === undefined) expanded++;
    return expanded;
  },
  items: (instructions) => instructions.length,
  check: (instructions, expanded) => assert.equal(expanded, instructions.length),
  counters: (instructions) => ({
    compressed: instructions.filter(({ decoded }) => decoded.row.expandsTo !== undefined).length,
  }),
});
