import type { Block } from '../ir/block.ts';
import { verify } from '../ir/verify.ts';
import { optimize, type PassContext, PASSES } from '../pass/pipeline.ts';
import { CorpusError, type Corpus } from './format.ts';

/** What a corpus with `test pass` makes of its blocks. */
export type Optimizer = (block: Block) => Block;

const FLAGS = ['ordinaryMemory', 'writableIsReadable', 'floatOpsStay'] as const;

/** The passes and context that the header names. @throws CorpusError when it names what there is not. */
export function corpusPasses(corpus: Corpus): Optimizer {
  const names = new Set(PASSES.map(({ name }) => name));
  const wanted = new Set(corpus.passes.length === 1 && corpus.passes[0] === 'all' ? names : corpus.passes);
  const unknown = [...wanted].find((name) => !names.has(name));
  if (unknown !== undefined || wanted.size === 0) {
    const problem = unknown === undefined ? "there is no header line 'passes NAME…'" : `there is no pass '${unknown}'`;
    throw new CorpusError(`${problem}; there are all, ${[...names].join(', ')}`, corpus.path, 1);
  }
  const context = contextOf(corpus);
  const disabled = new Set([...names].filter((name) => !wanted.has(name)));
  return (block) => {
    const result = optimize(block, context, { disabled });
    const problems = verify(result);
    if (problems.length > 0)
      throw new CorpusError(`the passes make a bad block: ${problems.join('; ')}`, corpus.path, 1);
    return result;
  };
}

function contextOf(corpus: Corpus): PassContext {
  const context: { -readonly [Key in keyof PassContext]: PassContext[Key] } = {};
  for (const word of corpus.context) {
    const flag = FLAGS.find((name) => name === word);
    const [, key, list] = /^(deadOut|knownIn)=(\S+)$/.exec(word) ?? [];
    if (flag !== undefined) context[flag] = true;
    else if (key === 'deadOut') context.deadOut = new Set(list!.split(','));
    else if (key === 'knownIn') {
      context.knownIn = new Map(
        list!.split(',').map((pair) => {
          const [, name, bits] = /^(\w+):(\d+|0x[\da-f]+)$/i.exec(pair) ?? [];
          if (name === undefined) throw new CorpusError(`'${pair}' is no NAME:BITS`, corpus.path, 1);
          return [name, BigInt(bits!)] as const;
        }),
      );
    } else {
      const known = [...FLAGS, 'deadOut=x1,x2', 'knownIn=x1:0x5'].join(', ');
      throw new CorpusError(`'${word}' is no context; there are ${known}`, corpus.path, 1);
    }
  }
  return context;
}
