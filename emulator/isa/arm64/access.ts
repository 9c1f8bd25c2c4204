import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import { isField, type Operand } from '../../ir/type.ts';
import { C, N, SINK, V, X, Z, ZERO } from './registers.ts';

/** The width an instruction works on: 64-bit X or 32-bit W registers. */
export type Width = 'i64' | 'i32';

/** Reads a register; W registers are the low halves. */
export function read(b: Builder, type: Width, register: Operand): Value {
  if (!isField(register) && Number(register) === ZERO) return b.const(type, 0n);
  return b.get(X, register, type);
}

/** Writes a register; a W write clears the upper half. Writes to the zero register have no effect. */
export function write(b: Builder, type: Width, register: Operand, value: Value): void {
  if (!isField(register) && (Number(register) === ZERO || Number(register) === SINK)) return;
  b.set(X, register, type === 'i32' ? b.op('widen_u', 'i64', value) : value);
}

/** Sets N and Z from a result. */
export function setResultFlags(b: Builder, type: Width, result: Value): void {
  const zero = b.const(type, 0n);
  b.set(N, 0, b.op('lt_s', type, result, zero));
  b.set(Z, 0, b.op('eq', type, result, zero));
}

/** a + b or a − b with all four flags (A-profile Arm ARM, "AddWithCarry"). */
export function addWithFlags(b: Builder, type: Width, x: Value, y: Value, subtract: boolean): Value {
  const result = b.op(subtract ? 'sub' : 'add', type, x, y);
  setResultFlags(b, type, result);
  b.set(C, 0, subtract ? b.op('le_u', type, y, x) : b.op('lt_u', type, result, x));
  const changed = b.op('xor', type, x, result);
  const against = subtract ? b.op('xor', type, x, y) : b.op('xor', type, y, result);
  b.set(V, 0, b.op('lt_s', type, b.op('and', type, changed, against), b.const(type, 0n)));
  return result;
}

/** Whether a condition holds, as 0 or 1 (A-profile Arm ARM, "ConditionHolds"). The number has to be known: its kind is specialised. */
export function conditionHolds(b: Builder, operand: Operand): Value {
  const condition = Number(operand);
  const one = b.const('i32', 1n);
  if (condition >= 14) return one;
  const not = (value: Value): Value => b.op('xor', 'i32', value, one);
  const flag = (file: typeof N): Value => b.get(file, 0);
  const sameSign = (): Value => b.op('eq', 'i32', flag(N), flag(V));
  const holds = [
    () => flag(Z),
    () => flag(C),
    () => flag(N),
    () => flag(V),
    () => b.op('and', 'i32', flag(C), not(flag(Z))),
    sameSign,
    () => b.op('and', 'i32', sameSign(), not(flag(Z))),
  ][condition >> 1]!();
  return (condition & 1) === 0 ? holds : not(holds);
}
