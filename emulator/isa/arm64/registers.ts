import type { RegisterFile } from '../../ir/type.ts';
import { REGISTERS, StateOffset } from '../../layout/state.ts';

/** The number that means the zero register or the stack pointer in an encoding; which one, the instruction says. */
export const ZERO = 31;
/** Swallows writes to the zero register. */
export const SINK = 32;
/** Where the stack pointer is kept. */
export const STACK = 33;

/** x0…x30, the zero register (31, always 0), a sink (32) and the stack pointer (33). */
export const X: RegisterFile = { name: 'x', offset: REGISTERS, stride: 8, count: 34, type: 'i64', sink: SINK };
/** The stack pointer under its own name. */
export const SP: RegisterFile = { name: 'sp', offset: X.offset + X.stride * STACK, stride: 8, count: 1, type: 'i64' };
export const PC: RegisterFile = { name: 'pc', offset: StateOffset.pc, stride: 8, count: 1, type: 'i64' };

function flag(name: string, index: number): RegisterFile {
  return { name, offset: X.offset + X.stride * X.count + 4 * index, stride: 4, count: 1, type: 'i32' };
}

/** The condition flags of PSTATE, 0 or 1 each. */
export const N = flag('n', 0);
export const Z = flag('z', 1);
export const C = flag('c', 2);
export const V = flag('v', 3);

export const FILES = [X, SP, PC, N, Z, C, V] as const;
