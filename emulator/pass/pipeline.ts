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

/** What passes do, counted as they run. */
export class PassTally {
  /** In the order of PASSES. */
  readonly counters: readonly PassCounter[] = PASSES.map(() => ({
    runs: 0,
    opsBefore: 0,
    opsAfter: 0,
    nanoseconds: 0,
  }));

  /** Those of the passes that have run. */
  byName(): PassCounters {
    const named: PassCounters = {};
    for (const [index, { name }] of PASSES.entries()) {
      const counter = this.counters[index]!;
      if (counter.runs > 0) named[name] = { ...counter };
    }
    return named;
  }

  /** Adds what was counted elsewhere. */
  add(named: PassCounters): void {
    for (const [index, { name }] of PASSES.entries()) {
      const more = named[name];
      if (more === undefined) continue;
      const sum = this.counters[index]!;
      sum.runs += more.runs;
      sum.opsBefore += more.opsBefore;
      sum.opsAfter += more.opsAfter;
      sum.nanoseconds += more.nanoseconds;
    }
  }
}

export interface OptimizeOptions {
  /** Names of passes to leave out. */
  readonly disabled?: ReadonlySet<string> | undefined;
  /** Added to. */
  readonly tally?: PassTally | undefined;
  /** Milliseconds, such as `performance.now`; without it the counters hold no times. */
  readonly now?: (() => number) | undefined;
  /** Whether to verify the block after each pass, and throw an AssertionFailure that names the pass. */
  readonly verify?: boolean;
}

/** Runs all passes over a block whose operands and addresses are known (not one lifted with fields). The block given is not changed. */
export function optimize(block: Block, context: PassContext, options: OptimizeOptions = {}): Block {
  const { disabled, tally, now, verify: check = false } = options;
  let result = block;
  let time = now === undefined ? 0 : now();
  for (let index = 0; index < PASSES.length; index++) {
    const pass = PASSES[index]!;
    if (disabled !== undefined && disabled.has(pass.name)) continue;
    const before = result;
    result = pass.run(before, context);
    if (tally !== undefined) {
      const counter = tally.counters[index]!;
      counter.runs++;
      counter.opsBefore += before.ops.length;
      counter.opsAfter += result.ops.length;
      if (now !== undefined) {
        // One pass begins where the one before ended: looking at the clock costs as much as a pass of a small block.
        const end = now();
        counter.nanoseconds += (end - time) * 1e6;
        time = end;
      }
    }
    if (check && result !== before) {
      const problems = verify(result);
      assert(problems.length === 0, `${pass.name} made a bad block: ${problems.join('; ')}\n${printBlock(result)}`);
    }
  }
  return result;
}
