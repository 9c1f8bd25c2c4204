import type { Block, Op } from '../ir/block.ts';
import { OP_NAMES, type OpName, opRow } from '../ir/op.ts';
import type { Pass } from './pass.ts';
import { Rewriter } from './rewriter.ts';

/** Ops that do nothing but give a value. A load may fault and a floating-point op raises flags: they stay without uses too. */
export const VALUE_ONLY: ReadonlySet<OpName> = new Set(
  OP_NAMES.filter((name) => ['none', 'reads'].includes(opRow(name).effect)),
);

function run(block: Block): Block {
  const source = block.ops;
  const live = new Uint8Array(source.length);
  let dead = 0;
  for (let index = source.length - 1; index >= 0; index--) {
    const op: Op = source[index]!;
    if (live[index] === 0) {
      if (VALUE_ONLY.has(op.name)) {
        dead++;
        continue;
      }
      live[index] = 1;
    }
    for (let place = 0; place < op.args.length; place++) live[op.args[place]!] = 1;
  }
  if (dead === 0) return block;
  const rewriter = new Rewriter(block);
  for (let index = 0; index < source.length; index++) {
    if (live[index] === 1) rewriter.replace(index, rewriter.renamed(source[index]!));
    else rewriter.drop(index);
  }
  return rewriter.finish();
}

export const deadCode: Pass = {
  name: 'dead-code',
  prose: 'Removes ops that only give a value which nobody uses.',
  run,
};
