import type { Attributes } from './attributes.ts';
import type { OpName } from './op.ts';
import type { Type } from './type.ts';

export type { Attributes, JumpHint, Rmw } from './attributes.ts';

/** The index, in `Block.ops`, of the op that defines the value. */
export type Value = number;

export interface Op extends Attributes {
  readonly name: OpName;
  /** Its place in OP_NAMES: what passes look up for every op is in lists by it, which takes a tenth of what a table by name takes. */
  readonly kind: number;
  /** The type the op works on; `none` for ops that have none (`insn`, `fence`, `trap`, jumps). */
  readonly type: Type | 'none';
  readonly args: readonly Value[];
}

/**
 * Straight-line code of one or more guest instructions. Each begins with an `insn` op; control leaves through the last op when that is
 * a terminator, else it falls through to the address after the last instruction. Ops that fault or trap leave before any later op.
 */
export interface Block {
  readonly isa: string;
  readonly ops: Op[];
}
