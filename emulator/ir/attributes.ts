import type { Field, Shape, Slot, Type } from './type.ts';

/** Ordering of a memory access, as in C11; `none` is a plain access. */
export const ORDERS = ['none', 'acquire', 'release', 'acqRel', 'seqCst'] as const;
export type Order = (typeof ORDERS)[number];

/** What an atomic read-modify-write does to the old value. */
export const RMWS = ['add', 'and', 'or', 'xor', 'xchg', 'minS', 'maxS', 'minU', 'maxU'] as const;
export type Rmw = (typeof RMWS)[number];

/** What a jump is for, so that return addresses can be predicted. */
export const JUMP_HINTS = ['none', 'call', 'return'] as const;
export type JumpHint = (typeof JUMP_HINTS)[number];

/** `natural` faults on a misaligned address, `any` does not. */
export const ALIGNMENTS = ['any', 'natural'] as const;
type Alignment = (typeof ALIGNMENTS)[number];

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
  /** Narrow loads, narrow lanes, conversions between floats and integers: whether the integer is signed. */
  readonly signed?: boolean;
  readonly order?: Order;
  readonly rmw?: Rmw;
  readonly alignment?: Alignment;
  /** Conversions: the type converted from. */
  readonly from?: Type;
  /** Vector ops: what the 128 bits hold. */
  readonly shape?: Shape;
  readonly lane?: number;
  /** `v_shuffle`: 16 lane numbers, 0 to 31. */
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
