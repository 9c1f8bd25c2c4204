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
 * the verifier holds it. One that it does not have is missing or undefined.
 */
export interface Attributes {
  /** `const`: the bit pattern, unsigned. */
  readonly bits?: bigint | undefined;
  /** `field`: the operand field read at run time; `signed` says how it extends. */
  readonly field?: Field | undefined;
  /** `get`, `set`: the register. */
  readonly slot?: Slot | undefined;
  /** Memory ops: bits accessed, 8 to 128. */
  readonly width?: number | undefined;
  /** Narrow loads, narrow lanes, conversions between floats and integers: whether the integer is signed. */
  readonly signed?: boolean | undefined;
  readonly order?: Order | undefined;
  readonly rmw?: Rmw | undefined;
  readonly alignment?: Alignment | undefined;
  /** Conversions: the type converted from. */
  readonly from?: Type | undefined;
  /** Vector ops: what the 128 bits hold. */
  readonly shape?: Shape | undefined;
  readonly lane?: number | undefined;
  /** `v_shuffle`: 16 lane numbers, 0 to 31. */
  readonly lanes?: readonly number[] | undefined;
  /** `call`: the helper's name in the ISA's helper table. */
  readonly helper?: string | undefined;
  /** `trap`, `trap_if`: the ISA's own cause number. */
  readonly cause?: number | undefined;
  /** `jump_rel`, `branch`: bytes from the start of the instruction to the target. */
  readonly displacement?: number | Field | undefined;
  readonly hint?: JumpHint | undefined;
  /** `insn`: where the guest instruction stands and its length in bytes. */
  readonly pc?: bigint | undefined;
  readonly length?: number | undefined;
}
