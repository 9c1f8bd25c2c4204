import type { Block, Op } from '../../ir/block.ts';
import { opRow, type OpName } from '../../ir/op.ts';

/** Instructions of a node, [first, end), of which all are undone when the check of one result fails; so results may be checked by way of later ones. */
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

/** What a window writes is kept aside to its end, in host registers or on the stack. */
const MOST_INSTRUCTIONS = 64;

/** Operations that make an infinity or a NaN of one. */
const ARITHMETIC: ReadonlySet<OpName> = new Set<OpName>(['fadd', 'fsub', 'fmul', 'fdiv', 'fsqrt', 'fma']);

/**
 * Finds the longest runs of instructions that can be repeated from the first one on as if nothing had happened: when a check in it fails,
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
  const hasArithmetic = (instruction: number) =>
    block.ops.slice(starts[instruction]!, starts[instruction + 1]!).some(isArithmetic);
  let first = from;
  let end = to;
  while (first < end && !hasArithmetic(first)) first++;
  while (first < end && !hasArithmetic(end - 1)) end--;
  const ops = block.ops.slice(starts[first]!, starts[end]!);
  const arithmetic = new Set(ops.filter(isArithmetic));
  // Sums, products, quotients and roots of what is infinite or a NaN are that too; only a quotient by an infinity is zero, and then it is looked at.
  const covered = new Set<Op>();
  for (const { args, name } of arithmetic) {
    const operands = opRow(name).args.length - 1;
    for (const value of args.slice(0, operands)) {
      const operand = block.ops[value]!;
      if (arithmetic.has(operand)) covered.add(operand);
    }
  }
  return covered.size === 0 ? undefined : { first, end, covered };
}

function isArithmetic({ name, type }: Op): boolean {
  return type === 'f64' && ARITHMETIC.has(name);
}
