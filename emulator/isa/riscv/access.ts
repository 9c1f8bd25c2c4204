import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import { isField, type Operand } from '../../ir/type.ts';
import { F, FLOAT_OFF, FRM, X } from './registers.ts';
import { Cause } from './trap.ts';

/** Reads an integer register; a register known to be x0 is the constant 0. */
export function readX(b: Builder, register: Operand): Value {
  return !isField(register) && Number(register) === 0 ? b.const('i64', 0n) : b.get(X, register);
}

/** Writes an integer register; a write to a register known to be x0 has no effect. */
export function writeX(b: Builder, register: Operand, value: Value): void {
  if (isField(register) || Number(register) !== 0) b.set(X, register, value);
}

/** Writes the sign-extended low word (Unprivileged ISA, "RV64I Base Integer Instruction Set"). */
export function writeWord(b: Builder, register: Operand, word: Value): void {
  writeX(b, register, b.op('widen_s', 'i64', word));
}

export function readWord(b: Builder, register: Operand): Value {
  return b.op('wrap', 'i32', readX(b, register));
}

/** rs1 + immediate. */
export function address(b: Builder, base: Operand, displacement: Operand): Value {
  return b.op('add', 'i64', readX(b, base), b.immediate('i64', displacement));
}

export type FloatType = 'f32' | 'f64';

/** Begins every floating-point instruction: it is illegal while the unit is off (Privileged ISA, "Extension Context Status in mstatus Register"). */
export function requireFloat(b: Builder): void {
  b.trapIf(b.get(FLOAT_OFF, 0, 'i32'), Cause.illegalInstruction, b.const('i64', 0n));
}

const BOX = 0xffff_ffff_0000_0000n;

/** Reads a floating-point register; a single that is not boxed reads as the canonical NaN (Unprivileged ISA, "NaN Boxing of Narrower Values"). */
export function readF(b: Builder, type: FloatType, register: Operand): Value {
  if (type === 'f64') return b.get(F, register, 'f64');
  return b.emit('bitcast', 'f32', [readSingleBits(b, register)], { from: 'i32' });
}

/** The bits of a boxed single, or those of the canonical NaN. */
export function readSingleBits(b: Builder, register: Operand): Value {
  const bits = b.get(F, register, 'i64');
  const boxed = b.op('le_u', 'i64', b.const('i64', BOX), bits);
  return b.select('i32', boxed, b.op('wrap', 'i32', bits), b.const('i32', 0x7fc0_0000n));
}

export function writeF(b: Builder, type: FloatType, register: Operand, value: Value): void {
  if (type === 'f64') b.set(F, register, value, 'f64');
  else writeSingleBits(b, register, b.emit('bitcast', 'i32', [value], { from: 'f32' }));
}

export function writeSingleBits(b: Builder, register: Operand, bits: Value): void {
  b.set(F, register, b.op('or', 'i64', b.op('widen_u', 'i64', bits), b.const('i64', BOX)), 'i64');
}

/** The rounding mode as a value: static, or that of frm, which traps when it holds a reserved encoding. */
export function roundingMode(b: Builder, rm: Operand): Value {
  if (isField(rm) || Number(rm) !== 7) return b.immediate('i32', rm, false);
  const dynamic = b.get(FRM, 0, 'i32');
  b.trapIf(b.op('lt_u', 'i32', b.const('i32', 4n), dynamic), Cause.illegalInstruction, b.const('i64', 0n));
  return dynamic;
}
