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
  /** What is added to the count of retired instructions to give mcycle and minstret. */
  cycleOffset: 13,
  instructionOffset: 14,
  pmpConfiguration: 16,
  pmpAddress: 18,
  hardwareCounter: 34,
  hardwareEvent: 63,
  tselect: 92,
  tdata1: 93,
  tdata2: 94,
} as const;

export function readCsrSlot(state: DataView, slot: number): bigint {
  return state.getBigUint64(CSR_STORAGE.offset + CSR_STORAGE.stride * slot, true);
}

export function writeCsrSlot(state: DataView, slot: number, value: bigint): void {
  state.setBigUint64(CSR_STORAGE.offset + CSR_STORAGE.stride * slot, BigInt.asUintN(64, value), true);
}
