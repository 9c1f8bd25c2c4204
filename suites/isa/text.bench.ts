import assert from 'node:assert/strict';
import type { Isa } from '../../emulator/isa/instruction.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { encodeInstruction } from '../../emulator/isa/syntax.ts';
import { defineBench } from '../harness/define-bench.ts';
import { programInstructions, PROGRAM_INPUT, type DecodedAt } from './program-text.ts';

const inputs = ['program-text.ts', PROGRAM_INPUT];
/** Enough for every common instruction, few enough for a sample of a few milliseconds. */
const INSTRUCTIONS = 5_000;

defineBench<DecodedAt[]>({
  id: 'isa/encode/riscv64',
  title: 'encode instructions from rows and operands',
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs,
  setup: () => programInstructions(INSTRUCTIONS),
  work: (instructions) => {
    let sum = 0;
    for (const { decoded } of instructions)
      sum = (sum + (encodeInstruction(decoded.row, decoded.operands) as number)) | 0;
    return sum;
  },
  items: (instructions) => instructions.length,
  check: (instructions) => {
    for (const { decoded } of instructions) {
      const word = encodeInstruction(decoded.row, decoded.operands);
      assert(typeof word === 'number');
      const bytes = Uint8Array.from({ length: decoded.length }, (_, i) => word >>> (8 * i));
      assert.deepEqual(riscv64.decode(bytes, 0)?.operands, decoded.operands);
    }
  },
});

defineBench<DecodedAt[]>({
  id: 'isa/disassemble/riscv64',
  title: 'disassemble decoded instructions',
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs,
  setup: () => programInstructions(INSTRUCTIONS),
  work: (instructions) => {
    let characters = 0;
    for (const { decoded, pc } of instructions) characters += riscv64.disassemble(decoded, pc).length;
    return characters;
  },
  items: (instructions) => instructions.length,
  check: (instructions, characters) => assert.equal(characters, lines(riscv64, instructions).join('').length),
  counters: (instructions) => ({ characters: lines(riscv64, instructions).join('').length }),
});

interface Lines {
  readonly instructions: readonly DecodedAt[];
  readonly text: readonly string[];
}

defineBench<Lines>({
  id: 'isa/assemble/riscv64',
  title: 'assemble disassembled lines',
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs,
  setup: () => {
    const instructions = programInstructions(INSTRUCTIONS);
    return { instructions, text: lines(riscv64, instructions) };
  },
  work: ({ instructions, text }) => {
    let bytes = 0;
    for (let i = 0; i < text.length; i++) {
      const code = riscv64.assemble(text[i]!, instructions[i]!.pc);
      if (!('error' in code)) bytes += code.length;
    }
    return bytes;
  },
  items: ({ text }) => text.length,
  check: ({ instructions }, bytes) =>
    assert.equal(
      bytes,
      instructions.reduce((sum, { decoded }) => sum + decoded.length, 0),
    ),
});

function lines(isa: Isa, instructions: readonly DecodedAt[]): string[] {
  return instructions.map(({ decoded, pc }) => isa.disassemble(decoded, pc));
}
