import type { Block, Op } from '../ir/block.ts';
import { Effect, effects } from './effects.ts';
import type { Pass } from './pass.ts';
import { filled, Rewriter } from './rewriter.ts';

function run(block: Block): Block {
  const source = block.ops;
  const live = filled(source.length, 0);
  let dead = 0;
  for (let index = source.length - 1; index >= 0; index--) {
    const op: Op = source[index]!;
    if (live[index] === 0) {
      if ((effects(op) & Effect.valueOnly) !== 0) {
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
    if (live[index] === 1) rewriter.keep(index);
    else rewriter.remove(index);
  }
  return rewriter.finish();
}

export const deadCode: Pass = {
  name: 'dead-code',
  prose: 'Removes ops that only give a value which nobody uses.',
  run,
};
