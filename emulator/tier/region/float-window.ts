import type { Block, Op } from '../../ir/block.ts';
import { opRow, type OpName } from '../../ir/op.ts';

/** Instructions of a node, [first, end), whose floating-point results are checked at once, behind the last of them. */
export interface FloatWindow {
  readonly first: number;
  readonly end: number;
  /** Results that need no check for being finite: one that does is infinite or a NaN when they are. */
  readonly covered: ReadonlySet<Op>;
}

/** What a node's instructions are, by their number. */
export interface WindowInstructions {
  /** Where each one's ops begin, and behind them all. */
  readonly starts: readonly number[];
  /** It has its common course in line, was never refused, and leaves nothing behind but registers in locals. */
  readonly isRepeatable: (instruction: number) => boolean;
  /** It was refused before. */
  readonly isRefused: (instruction: number) => boolean;
}

/** What a window keeps for its check must be in registers or on the stack until then. */
const MOST_INSTRUCTIONS = 64;

/** Whether a result can be checked later: arithmetic of doubles whose bad results are to be seen in the result itself. */
export function isDeferrable({ name, type }: Op): boolean {
  return type === 'f64' && ARITHMETIC.has(name);
}

const ARITHMETIC: ReadonlySet<OpName> = new Set<OpName>(['fadd', 'fsub', 'fmul', 'fdiv', 'fsqrt', 'fma']);

/**
 * Finds the longest runs of instructions that can be repeated from the first one on as if nothing had happened: when the check at the end fails,
 * the region is left before the run, and the interpreter does it with exact flags. A run with an instruction that was refused before has
 * no window, so that the next refusal tells which instruction it is about.
 */
export function planFloatWindows(block: Block, instructions: WindowInstructions): FloatWindow[] {
  const { starts, isRepeatable, isRefused } = instructions;
  const windows: FloatWindow[] = [];
  const count = starts.length - 1;
  for (let first = 0; first < count; first++) {
    let end = first;
    let refused = false;
    while (end < count && end - first < MOST_INSTRUCTIONS && (isRepeatable(end) || isRefused(end))) {
      refused ||= isRefused(end);
      end++;
    }
    if (end === first) continue;
    const window = refused ? undefined : windowOf(block, starts, first, end);
    if (window !== undefined) windows.push(window);
    first = end - 1;
  }
  return windows;
}

function windowOf(block: Block, starts: readonly number[], from: number, to: number): FloatWindow | undefined {
  const hasDeferred = (instruction: number) =>
    block.ops.slice(starts[instruction]!, starts[instruction + 1]!).some(isDeferrable);
  let first = from;
  let end = to;
  while (first < end && !hasDeferred(first)) first++;
  while (first < end && !hasDeferred(end - 1)) end--;
  const ops = block.ops.slice(starts[first]!, starts[end]!);
  const deferred = new Set(ops.filter(isDeferrable));
  // Sums, products, quotients and roots of what is infinite or a NaN are that too; only a quotient by an infinity is zero, and then it is looked at.
  const covered = new Set<Op>();
  for (const { args, name } of deferred) {
    const operands = opRow(name).args.length - 1;
    for (const value of args.slice(0, operands)) {
      const operand = block.ops[value]!;
      if (deferred.has(operand)) covered.add(operand);
    }
  }
  return covered.size === 0 ? undefined : { first, end, covered };
}
