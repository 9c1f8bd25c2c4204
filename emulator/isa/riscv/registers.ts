import type { RegisterFile } from '../../ir/type.ts';
import { REGISTERS, StateOffset } from '../../layout/state.ts';

/** x0…x31, and a sink at 32 that swallows writes to x0, whose own slot always holds 0. */
export const X: RegisterFile = { name: 'x', offset: REGISTERS, stride: 8, count: 33, type: 'i64', sink: 32 };
/** f0…f31: 64 bits each; a single is boxed with ones above it. */
export const F: RegisterFile = { name: 'f', offset: REGISTERS + 0x110, stride: 8, count: 32, type: 'f64' };
export const FFLAGS: RegisterFile = {
  name: 'fflags',
  offset: StateOffset.floatFlags,
  stride: 4,
  count: 1,
  type: 'i32',
};
export const FRM: RegisterFile = { name: 'frm', offset: StateOffset.floatRounding, stride: 4, count: 1, type: 'i32' };
export const PC: RegisterFile = { name: 'pc', offset: StateOffset.pc, stride: 8, count: 1, type: 'i64' };
/** The privilege mode: 0 user, 1 supervisor, 3 machine. */
export const PRIVILEGE: RegisterFile = {
  name: 'privilege',
  offset: REGISTERS + 0x210,
  stride: 4,
  count: 1,
  type: 'i32',
};
/**
 * Not 0 while the floating-point unit is off (mstatus.FS). Kept apart from mstatus, and this way round, so that the check before every
 * floating-point instruction is one load, and a state of zeros has the unit on.
 */
export const FLOAT_OFF: RegisterFile = {
  name: 'floatOff',
  offset: REGISTERS + 0x214,
  stride: 4,
  count: 1,
  type: 'i32',
};
/** Not 0 after WFI found no interrupt pending. Whoever runs the hart clears it. */
export const WAITING: RegisterFile = {
  name: 'waiting',
  offset: REGISTERS + 0x218,
  stride: 4,
  count: 1,
  type: 'i32',
};
/** Storage of the control and status registers that keep a value; csr.ts numbers the slots. */
export const CSR_STORAGE: RegisterFile = { name: 'csr', offset: REGISTERS + 0x220, stride: 8, count: 128, type: 'i64' };

export const FILES = [X, F, FFLAGS, FRM, PC, PRIVILEGE, FLOAT_OFF, WAITING, CSR_STORAGE] as const;

export const Privilege = { user: 0, supervisor: 1, machine: 3 } as const;
export type Privilege = (typeof Privilege)[keyof typeof Privilege];

/** The names of the calling convention (RISC-V ELF psABI, "Register Convention"). */
export const X_NAMES = [
  'zero',
  'ra',
  'sp',
  'gp',
  'tp',
  't0',
  't1',
  't2',
  's0',
  's1',
  'a0',
  'a1',
  'a2',
  'a3',
  'a4',
  'a5',
  'a6',
  'a7',
  's2',
  's3',
  's4',
  's5',
  's6',
  's7',
  's8',
  's9',
  's10',
  's11',
  't3',
  't4',
  't5',
  't6',
] as const;
export const F_NAMES = [
  'ft0',
  'ft1',
  'ft2',
  'ft3',
  'ft4',
  'ft5',
  'ft6',
  'ft7',
  'fs0',
  'fs1',
  'fa0',
  'fa1',
  'fa2',
  'fa3',
  'fa4',
  'fa5',
  'fa6',
  'fa7',
  'fs2',
  'fs3',
  'fs4',
  'fs5',
  'fs6',
  'fs7',
  'fs8',
  'fs9',
  'fs10',
  'fs11',
  'ft8',
  'ft9',
  'ft10',
  'ft11',
] as const;
