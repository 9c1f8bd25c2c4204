import { CSR_STORAGE } from './registers.ts';

/** Where each register that keeps a value has its 64 bits. */
export const Slot = {
  mstatus: 0,
  medeleg: 1,
  mideleg: 2,
  mie: 3,
  mtvec: 4,
  mcounteren: 5,
  mscratch: 6,
  mepc: 7,
  mcause: 8,
  mtval: 9,
  mip: 10,
  menvcfg: 11,
  mcountinhibit: 12,
  /** What is added to the count of retired instructions to give mcycle and minstret; while mcountinhibit stops one, its value. */
  cycleOffset: 13,
  instructionOffset: 14,
  pmpConfiguration: 16,
  pmpAddress: 18,
  /** Interrupts that devices hold pending, by the bits of mip: set by the machine, or-ed to what software has written to mip. */
  interruptLines: 34,
  stvec: 35,
  scounteren: 36,
  senvcfg: 37,
  sscratch: 38,
  sepc: 39,
  scause: 40,
  stval: 41,
  stimecmp: 42,
  satp: 43,
} as const;

export function readCsrSlot(state: DataView, slot: number): bigint {
  return state.getBigUint64(CSR_STORAGE.offset + CSR_STORAGE.stride * slot, true);
}

/** The low 32 bits: enough for interrupts and the lower half of mstatus. */
export function readCsrWord(state: DataView, slot: number): number {
  return state.getInt32(CSR_STORAGE.offset + CSR_STORAGE.stride * slot, true);
}

/** The rest. */
export function readCsrHighWord(state: DataView, slot: number): number {
  return state.getInt32(CSR_STORAGE.offset + CSR_STORAGE.stride * slot + 4, true);
}

export function writeCsrSlot(state: DataView, slot: number, value: bigint): void {
  state.setBigUint64(CSR_STORAGE.offset + CSR_STORAGE.stride * slot, BigInt.asUintN(64, value), true);
}
