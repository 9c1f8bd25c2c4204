import assert from 'node:assert/strict';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { PAGE_SIZE } from '../../emulator/layout/memory-map.ts';
import { generateInterpreter, type InterpreterModule } from '../../emulator/tier/interpreter/generate.ts';
import { defineBench } from '../harness/define-bench.ts';
import { PROGRAM_INPUT, programInstructions, programText } from '../isa/program-text.ts';

const inputs = ['../isa/program-text.ts', PROGRAM_INPUT];

interface Text {
  readonly bytes: Uint8Array;
  readonly instructions: number;
  readonly made: InterpreterModule;
  readonly records: Int32Array;
}

function setup(): Text {
  const made = generateInterpreter(riscv64, { guestSize: 2 ** 30 });
  made.templates.complete();
  return { ...programText(), instructions: programInstructions().length, made, records: new Int32Array(PAGE_SIZE) };
}

/** Calls `make` for every instruction's offset; gives how many it is one at. */
function each({ bytes }: Text, make: (offset: number) => boolean): number {
  let made = 0;
  for (let at = 0; at < bytes.length;) {
    if (make(at)) made++;
    at += (bytes[at]! & 3) === 3 ? 4 : 2;
  }
  return made;
}

const common = {
  unit: 'ns/instruction',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  tags: ['riscv64'],
  inputs,
  setup,
  items: ({ instructions }: Text) => instructions,
  check: ({ instructions }: Text, count: unknown) => assert.equal(count, instructions),
} as const;

defineBench<Text>({
  ...common,
  id: 'tier/records/templates',
  title: "make the interpreter's records of the text of a static C program (RV64GC), by templates",
  work: (text) => {
    const { bytes, made, records } = text;
    return each(text, (at) => {
      const word = riscv64.wordAt!(bytes, at);
      return word !== undefined && made.templates.write(word, at % PAGE_SIZE, records, (2 * at) % PAGE_SIZE) !== 0;
    });
  },
});

defineBench<Text>({
  ...common,
  id: 'tier/records/general',
  title: 'the same by decoding, expanding and encoding',
  work: (text) => {
    const { bytes, made, records } = text;
    return each(text, (at) => {
      const decoded = riscv64.decode(bytes, at);
      if (decoded === undefined) return false;
      records.set(made.encoder.encode(riscv64.canonical(decoded), at % PAGE_SIZE).words, (2 * at) % PAGE_SIZE);
      return true;
    });
  },
});
