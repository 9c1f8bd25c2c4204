import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Builder } from '../ir/builder.ts';
import { parseBlock } from '../ir/parse.ts';
import { printBlock } from '../ir/print.ts';
import type { Operand } from '../ir/type.ts';
import { verify } from '../ir/verify.ts';
import type { Instruction } from '../isa/instruction.ts';
import { corpusPaths, readCorpus } from './corpora.ts';
import { liftInstructions } from './lift.ts';
import { ISAS } from './registry.ts';

/** One set of operands a sample: the first operand's first value with the second's second and so on, so that each value is met. */
function samples(row: Instruction): Record<string, number>[] {
  const kinds = Object.entries(row.operands);
  const count = Math.max(1, ...kinds.map(([, kind]) => kind.samples.length));
  return Array.from({ length: count }, (_, turn) =>
    Object.fromEntries(
      kinds.map(([name, kind], place) => {
        const raw = kind.samples[(turn + place) % kind.samples.length]!;
        return [name, kind.decode(raw)];
      }),
    ),
  );
}

/** The operands as the interpreter generator gives them: fields, but for those it makes cases of. */
function symbolic(row: Instruction): Record<string, Operand>[] {
  const special = Object.entries(row.operands).filter(([, kind]) => kind.specialise !== undefined);
  const rest = Object.fromEntries(Object.keys(row.operands).map((name) => [name, { field: name }]));
  return special.reduce<Record<string, Operand>[]>(
    (sets, [name, kind]) => sets.flatMap((set) => kind.specialise!.map((value) => ({ ...set, [name]: value }))),
    [rest],
  );
}

for (const isa of ISAS.values()) {
  // Rows of varying length get their operands from decoding bytes, not from kinds: x86.test.ts lifts them.
  const fixed = isa.rows.every(({ length }) => length > 0);
  test(
    `every instruction of ${isa.name} lifts to blocks that verify, and survive print and parse`,
    { skip: !fixed },
    (t) => {
      let blocks = 0;
      for (const row of isa.rows) {
        for (const operands of samples(row)) {
          const block = liftInstructions(isa, [{ decoded: { row, length: row.length, operands }, pc: 0x1000n }]);
          const text = printBlock(block);
          assert.deepEqual(verify(block), [], `${row.name} ${JSON.stringify(operands)}\n${text}`);
          assert.deepEqual(parseBlock(text, { isa: isa.name, files: isa.files }), block, row.name);
          blocks++;
        }
        if (row.expandsTo !== undefined) continue;
        for (const operands of symbolic(row)) {
          const builder = new Builder(isa.name);
          builder.beginInstruction(undefined, row.length);
          row.lift(builder, operands);
          const text = printBlock(builder.block);
          assert.deepEqual(verify(builder.block), [], `${row.name} with fields\n${text}`);
          assert.deepEqual(parseBlock(text, { isa: isa.name, files: isa.files }), builder.block, row.name);
          blocks++;
        }
      }
      t.diagnostic(`${isa.rows.length} instructions, ${blocks} blocks`);
      assert.ok(blocks >= isa.rows.length);
    },
  );

  test(`every instruction of ${isa.name} runs in some corpus`, () => {
    const seen = new Set<string>();
    for (const corpus of corpusPaths().map((path) => readCorpus(path))) {
      if (corpus.isa !== isa.name) continue;
      for (const { source, runs } of corpus.cases) {
        if (runs.length > 0) for (const { text } of source) seen.add(text.split(/\s/)[0]!);
      }
    }
    // The ordering of an atomic is part of RISC-V mnemonics, but runs alike on one processor.
    const mnemonics = new Set(isa.rows.map((row) => row.mnemonic.replace(/\.(aq|rl|aqrl)$/, '')));
    assert.deepEqual(
      [...mnemonics].filter((mnemonic) => !seen.has(mnemonic)),
      [],
    );
  });
}
