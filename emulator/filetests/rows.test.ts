import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Block } from '../ir/block.ts';
import { Builder } from '../ir/builder.ts';
import { parseBlock } from '../ir/parse.ts';
import { printBlock } from '../ir/print.ts';
import type { Operand } from '../ir/type.ts';
import { verify } from '../ir/verify.ts';
import type { Decoded, Instruction, Isa } from '../isa/instruction.ts';
import { assembleCase } from './assembly.ts';
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

/** Instructions of the corpora, decoded: operands of an ISA of varying length come from its bytes, not from samples of their kinds. */
function* decodedFromCorpora(isa: Isa): Generator<Decoded> {
  for (const corpus of corpusPaths().map((path) => readCorpus(path))) {
    if (corpus.isa !== isa.name) continue;
    for (const { instructions } of corpus.cases.map((each) => assembleCase(each, isa, 0x1000n))) {
      for (const { bytes } of instructions) {
        const decoded = isa.decode(bytes, 0);
        if (decoded !== undefined) yield decoded;
      }
    }
  }
}

for (const isa of ISAS.values()) {
  const fixed = isa.rows.every(({ length }) => length > 0);
  test(`every instruction of ${isa.name} lifts to blocks that verify, and survive print and parse`, (t) => {
    let blocks = 0;
    // Of a varying-length ISA each mnemonic is lifted here, and each encoding of it in the test of its table.
    const nameOf = (row: Instruction): string => (fixed ? row.name : row.mnemonic);
    const lifted = new Set<string>();
    const hold = (block: Block, row: Instruction, operands: unknown): void => {
      const text = printBlock(block);
      assert.deepEqual(verify(block), [], `${row.name} ${JSON.stringify(operands)}\n${text}`);
      assert.deepEqual(parseBlock(text, { isa: isa.name, files: isa.files }), block, row.name);
      lifted.add(nameOf(row));
      blocks++;
    };
    const decoded = fixed
      ? isa.rows.flatMap((row) => samples(row).map((operands) => ({ row, length: row.length, operands })))
      : decodedFromCorpora(isa);
    for (const each of decoded) hold(liftInstructions(isa, [{ decoded: each, pc: 0x1000n }]), each.row, each.operands);
    for (const row of fixed ? isa.rows : []) {
      if (row.expandsTo !== undefined) continue;
      for (const operands of symbolic(row)) {
        const builder = new Builder(isa.name);
        builder.beginInstruction(undefined, row.length);
        row.lift(builder, operands);
        hold(builder.block, row, operands);
      }
    }
    t.diagnostic(`${isa.rows.length} instructions, ${blocks} blocks`);
    assert.deepEqual(
      isa.rows.map(nameOf).filter((name) => !lifted.has(name)),
      [],
    );
  });

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
