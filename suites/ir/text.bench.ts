import assert from 'node:assert/strict';
import type { Block } from '../../emulator/ir/block.ts';
import { parseBlock } from '../../emulator/ir/parse.ts';
import { printBlock } from '../../emulator/ir/print.ts';
import { verify } from '../../emulator/ir/verify.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { defineBench } from '../harness/define-bench.ts';
import { programBlocks } from '../isa/program-text.ts';

const inputs = ['../isa/program-text.ts', '../guests/riscv64/libc'];
const BLOCKS = 100;
const OPTIONS = { isa: 'riscv64', files: riscv64.files };

const ops = (blocks: readonly Block[]): number => blocks.reduce((sum, block) => sum + block.ops.length, 0);

defineBench<Block[]>({
  id: 'ir/text/print',
  title: 'print blocks lifted from a program',
  unit: 'ns/op',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  inputs,
  setup: () => programBlocks(BLOCKS),
  work: (blocks) => blocks.map(printBlock),
  items: ops,
  check: (blocks, texts) =>
    assert.deepEqual(
      (texts as string[]).map((text) => parseBlock(text, OPTIONS)),
      blocks,
    ),
  counters: (blocks) => ({ 'ir-ops': ops(blocks), characters: blocks.map(printBlock).join('').length }),
});

defineBench<{ blocks: Block[]; texts: string[] }>({
  id: 'ir/text/parse',
  title: 'parse printed blocks',
  unit: 'ns/op',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  inputs,
  setup: () => {
    const blocks = programBlocks(BLOCKS);
    return { blocks, texts: blocks.map(printBlock) };
  },
  work: ({ texts }) => texts.map((text) => parseBlock(text, OPTIONS)),
  items: ({ blocks }) => ops(blocks),
  check: ({ blocks }, parsed) => assert.deepEqual(parsed, blocks),
});

defineBench<Block[]>({
  id: 'ir/verify/program',
  title: 'verify blocks lifted from a program',
  unit: 'ns/op',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  inputs,
  setup: () => programBlocks(BLOCKS),
  work: (blocks) => blocks.flatMap(verify),
  items: ops,
  check: (blocks, problems) => {
    assert.deepEqual(problems, []);
    // A verifier that accepts everything would be fast.
    const broken = { ...blocks[0]!, ops: blocks[0]!.ops.slice(1) };
    assert.notDeepEqual(verify(broken), []);
  },
});
