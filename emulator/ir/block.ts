import type { OpName } from './op.ts';
import type { Field, Slot, Type } from './type.ts';

/** The index, in `Block.ops`, of the op that defines the value. */
export type Value = number;

/** Ordering of a memory access, as in C11; `none` is a plain access. */
export type Order = 'none' | 'acquire' | 'release' | 'acqRel' | 'seqCst';

/** What an atomic read-modify-write does to the old value. */
export type Rmw = 'add' | 'and' | 'or' | 'xor' | 'xchg' | 'minS' | 'maxS' | 'minU' | 'maxU';

/** What a jump is for, so that return addresses can be predicted. */
export type JumpHint = 'none' | 'call' | 'return';

/**
 * What an op carries beside its arguments. Which of these an op has, and must have, is said by its row in `op.ts`;
 * the verifier holds it. All ops have this one shape, so that passes stay monomorphic.
 */
export interface Attributes {
  /** `const`: the bit pattern, unsigned. */
  readonly bits?: bigint;
  /** `field`: the operand field read at run time; `signed` says how it extends. */
  readonly field?: Field;
  /** `get`, `set`: the register. */
  readonly slot?: Slot;
  /** Memory ops: bits accessed, 8 to 128. */
  readonly width?: number;
  /** Narrow loads, conversions between floats and integers: whether the integer is signed. */
  readonly signed?: boolean;
  readonly order?: Order;
  readonly rmw?: Rmw;
  /** Memory ops: `natural` faults on a misaligned address, `any` does not. */
  readonly alignment?: 'any' | 'natural';
  /** Conversions: the type converted from. */
  readonly from?: Type;
  /** Vector ops: `i8x16`, `i16x8`, `i32x4`, `i64x2`, `f32x4`, `f64x2`. */
  readonly shape?: string;
  readonly lane?: number;
  /** `v_shuffle`: 16 lane numbers. */
  readonly lanes?: readonly number[];
  /** `call`: the helper's name in the ISA's helper table. */
  readonly helper?: string;
  /** `trap`, `trap_if`: the ISA's own cause number. */
  readonly cause?: number;
  /** `jump_rel`, `branch`: bytes from the start of the instruction to the target. */
  readonly displacement?: number | Field;
  readonly hint?: JumpHint;
  /** `insn`: where the guest instruction stands and its length in bytes. */
  readonly pc?: bigint;
  readonly length?: number;
}

export interface Op extends Attributes {
  readonly name: OpName;
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
