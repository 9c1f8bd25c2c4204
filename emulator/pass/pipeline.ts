// hot: every block that is compiled goes through `optimize`; all passes are measured by the benchmark of this file.
import { assert } from '../check/assert.ts';
import type { Block } from '../ir/block.ts';
import { printBlock } from '../ir/print.ts';
import { verify } from '../ir/verify.ts';
import { algebra } from './algebra.ts';
import { constantFolding } from './constant-folding.ts';
import { deadCode } from './dead-code.ts';
import { deadRegisterStores } from './dead-register-stores.ts';
import { floatMoves } from './float-moves.ts';
import { memoryForwarding } from './memory-forwarding.ts';
import type { Pass, PassContext } from './pass.ts';
import { registerForwarding } from './register-forwarding.ts';
import { valueNumbering } from './value-numbering.ts';

export type { Pass, PassContext } from './pass.ts';
export { slotName } from './pass.ts';

/**
 * The passes in the order in which they are run. Any of them may be left out: results stay the same. Registers come first, since all others
 * see more when values are not hidden by them. Equal values are one before places in memory and halves of patterns are compared.
 * Registers that need not be written count no longer as uses in algebra, which folds the constants that it makes itself.
 */
export const PASSES: readonly Pass[] = [
  registerForwarding,
  constantFolding,
  valueNumbering,
  memoryForwarding,
  deadRegisterStores,
  algebra,
  floatMoves,
  deadCode,
];

/** What a pass has done since the counters were made, by its name. */
export interface PassCounters {
  [pass: string]: PassCounter;
}

interface PassCounter {
  runs: number;
  opsBefore: number;
  opsAfter: number;
  nanoseconds: number;
}

export interface OptimizeOptions {
  /** Names of passes to leave out. */
  readonly disabled?: ReadonlySet<string>;
  /** Added to. */
  readonly counters?: PassCounters;
  /** Milliseconds, such as `performance.now`; without it the counters hold no times. */
  readonly now?: () => number;
  /** Whether to verify the block after each pass, and throw an AssertionFailure that names the pass. */
  readonly verify?: boolean;
}

/** Runs all passes over a block whose operands and addresses are known (not one lifted with fields). The block given is not changed. */
export function optimize(block: Block, context: PassContext, options: OptimizeOptions = {}): Block {
  const { disabled, counters, now, verify: check = false } = options;
  let result = block;
  for (const pass of PASSES) {
    if (disabled?.has(pass.name) === true) continue;
    const before = result;
    const start = now?.() ?? 0;
    result = pass.run(before, context);
    if (counters !== undefined) {
      const counter = (counters[pass.name] ??= { runs: 0, opsBefore: 0, opsAfter: 0, nanoseconds: 0 });
      counter.runs++;
      counter.opsBefore += before.ops.length;
      counter.opsAfter += result.ops.length;
      if (now !== undefined) counter.nanoseconds += (now() - start) * 1e6;
    }
    if (check && result !== before) {
      const problems = verify(result);
      assert(problems.length === 0, `${pass.name} made a bad block: ${problems.join('; ')}\n${printBlock(result)}`);
    }
  }
  return result;
}
