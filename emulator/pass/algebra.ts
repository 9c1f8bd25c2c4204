import type { Block, Op } from '../ir/block.ts';
import { OP_NAMES } from '../ir/op.ts';
import { ARITHMETIC_RULES } from './arithmetic-rules.ts';
import { COMPARISON_RULES } from './comparison-rules.ts';
import { foldConstant } from './constant-folding.ts';
import { CONVERSION_RULES } from './conversion-rules.ts';
import type { Pass } from './pass.ts';
import { filled, Rewriter } from './rewriter.ts';
import { type Rules, type RuleTable, Simplifier } from './simplifier.ts';

/** What ops are simplified by; algebra.test.ts holds each rule against the evaluator. */
export const RULES: RuleTable = byKind({ ...ARITHMETIC_RULES, ...COMPARISON_RULES, ...CONVERSION_RULES });

function byKind(rules: Rules): RuleTable {
  return OP_NAMES.map((name) => rules[name]);
}

function run(block: Block): Block {
  const rewriter = new Rewriter(block);
  const simplifier = new Simplifier(rewriter, RULES);
  const uses = countUses(block);
  for (let index = 0; index < block.ops.length; index++) {
    const old = block.ops[index]!;
    // Registers that are read, constants and marks of instructions.
    if (old.args.length === 0) {
      simplifier.uses[rewriter.keep(index)] = uses[index]!;
      continue;
    }
    const op: Op = rewriter.renamed(old);
    // What has become of the arguments may have made them constants.
    const folded = op === old ? undefined : foldConstant(op, rewriter.ops);
    const simpler = folded ?? simplifier.simplify(op);
    if (typeof simpler === 'number') {
      rewriter.forward(index, op, simpler);
      simplifier.use([simpler], uses[index]!);
      simplifier.use(op.args, -1);
    } else {
      simplifier.uses[rewriter.replace(index, simpler)] = uses[index]!;
      if (simpler !== op) {
        simplifier.use(op.args, -1);
        simplifier.use(simpler.args, 1);
      }
    }
  }
  return rewriter.finish();
}

function countUses(block: Block): number[] {
  const uses = filled(block.ops.length, 0);
  for (let index = 0; index < block.ops.length; index++) {
    const { args } = block.ops[index]!;
    for (let place = 0; place < args.length; place++) uses[args[place]!]!++;
  }
  return uses;
}

export const algebra: Pass = {
  name: 'algebra',
  prose:
    'Simplifies ops by identities: x + 0, multiplication by powers of two, extensions of what is extended already, comparisons of comparisons.',
  run,
};
