import type { Op } from '../ir/block.ts';
import { plainOp } from '../ir/make-op.ts';
import { OP_NAMES, type OpName, opRow } from '../ir/op.ts';
import { mayLeave } from '../ir/verify.ts';

/** What passes ask about ops, as bits, from the op table. */
export const Effect = {
  /** Nothing but a value: without uses it is for nothing. A load may fault and a float op raises flags: they are not among these. */
  valueOnly: 1,
  /** The same for the same arguments: may stand for a later one of its like. Those that raise flags are, too. */
  repeatable: 2,
  /** Raises floating-point flags. */
  flags: 4,
  /** May leave the block before its end. */
  leaves: 8,
  /** Loads, stores, atomics and fences. */
  memory: 16,
  /** A helper call: it may change registers, flags and memory. */
  call: 32,
} as const;

const EFFECTS: readonly number[] = OP_NAMES.map(effectsOf);

function effectsOf(name: OpName): number {
  const { effect, args } = opRow(name);
  let bits = 0;
  if (effect === 'none' || effect === 'reads') bits |= Effect.valueOnly;
  if ((effect === 'none' || effect === 'flags') && args.length > 0) bits |= Effect.repeatable;
  if (effect === 'flags') bits |= Effect.flags;
  if (effect === 'memory') bits |= Effect.memory;
  if (effect === 'call') bits |= Effect.call;
  if (mayLeave(plainOp(name, 'none', []))) bits |= Effect.leaves;
  return bits;
}

/** The bits of an op. */
export function effects({ kind }: Op): number {
  return EFFECTS[kind]!;
}
