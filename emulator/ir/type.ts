/** The value types of the IR; a truth value is an `i32` that is 0 or 1. */
export type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

/** Bits in one value of the type. */
export const WIDTH: Readonly<Record<Type, number>> = { i32: 32, i64: 64, f32: 32, f64: 64, v128: 128 };

/** What the 128 bits of a vector are taken to hold, lane 0 in the low bits. */
export type Shape = 'i8x16' | 'i16x8' | 'i32x4' | 'i64x2' | 'f32x4' | 'f64x2';

/** Per shape: the bits of a lane, how many there are, and the type of one lane taken out (narrow integer lanes are `i32`). */
export const SHAPES: Readonly<
  Record<Shape, { readonly laneWidth: number; readonly lanes: number; readonly scalar: Type }>
> = {
  i8x16: { laneWidth: 8, lanes: 16, scalar: 'i32' },
  i16x8: { laneWidth: 16, lanes: 8, scalar: 'i32' },
  i32x4: { laneWidth: 32, lanes: 4, scalar: 'i32' },
  i64x2: { laneWidth: 64, lanes: 2, scalar: 'i64' },
  f32x4: { laneWidth: 32, lanes: 4, scalar: 'f32' },
  f64x2: { laneWidth: 64, lanes: 2, scalar: 'f64' },
};

/**
 * An instruction's operand field as the interpreter sees it: known by name, its value read from the decoded record at run time.
 * The JIT and the evaluator see plain numbers instead.
 */
export interface Field {
  readonly field: string;
}

/** What a lifter is handed for each operand: the number itself, or the field that will hold it. */
export type Operand = number | bigint | Field;

/** Whether the operand's value is only known at run time. */
export function isField(operand: Operand): operand is Field {
  return typeof operand === 'object';
}

/**
 * A file of guest registers in the vCPU state. Register `i` stands at `offset + stride * i` bytes from the start of the state.
 * `sink` is the index that swallows writes to a register that reads as zero (RISC-V x0, AArch64 xzr): decoders put it in place of
 * such a destination, so that neither interpreter nor lifter tests for it.
 */
export interface RegisterFile {
  readonly name: string;
  readonly offset: number;
  readonly stride: number;
  readonly count: number;
  readonly type: Type;
  readonly sink?: number;
}

/** One guest register: a file and an index in it. */
export interface Slot {
  readonly file: RegisterFile;
  readonly index: number | Field;
}
