import { readCsrSlot, Slot, writeCsrSlot } from './csr-storage.ts';
import { FLOAT_OFF } from './registers.ts';

/** Bits of mstatus (Privileged ISA, "Machine Status Registers"). */
export const Status = {
  sie: 1n << 1n,
  mie: 1n << 3n,
  spie: 1n << 5n,
  mpie: 1n << 7n,
  spp: 1n << 8n,
  mpp: 3n << 11n,
  fs: 3n << 13n,
  mprv: 1n << 17n,
  sum: 1n << 18n,
  mxr: 1n << 19n,
  tvm: 1n << 20n,
  tw: 1n << 21n,
  tsr: 1n << 22n,
  uxl: 2n << 32n,
  sxl: 2n << 34n,
  sd: 1n << 63n,
} as const;

export const MPP_SHIFT = 11n;

const WRITABLE =
  Status.sie |
  Status.mie |
  Status.spie |
  Status.mpie |
  Status.spp |
  Status.mpp |
  Status.mprv |
  Status.sum |
  Status.mxr |
  Status.tvm |
  Status.tw |
  Status.tsr;
/** What supervisor mode sees and may change of it. */
const SUPERVISOR_WRITABLE = Status.sie | Status.spie | Status.spp | Status.fs | Status.sum | Status.mxr;
const SUPERVISOR_VISIBLE = SUPERVISOR_WRITABLE | Status.uxl | Status.sd;

/**
 * mstatus. The floating-point unit is off or dirty: which of its registers were changed is not tracked, and then a write of Initial or Clean
 * is one of Dirty ("Extension Context Status in mstatus Register").
 */
export function readStatus(state: DataView): bigint {
  const float = state.getInt32(FLOAT_OFF.offset, true) === 0 ? Status.fs | Status.sd : 0n;
  return readCsrSlot(state, Slot.mstatus) | Status.uxl | Status.sxl | float;
}

export function writeStatus(state: DataView, value: bigint): void {
  const before = readCsrSlot(state, Slot.mstatus);
  // MPP takes machine, supervisor and user mode.
  const mpp = (value & Status.mpp) >> MPP_SHIFT === 2n ? before & Status.mpp : value & Status.mpp;
  writeCsrSlot(state, Slot.mstatus, (value & WRITABLE & ~Status.mpp) | mpp);
  state.setInt32(FLOAT_OFF.offset, (value & Status.fs) === 0n ? 1 : 0, true);
}

export function readSupervisorStatus(state: DataView): bigint {
  return readStatus(state) & SUPERVISOR_VISIBLE;
}

export function writeSupervisorStatus(state: DataView, value: bigint): void {
  writeStatus(state, (readStatus(state) & ~SUPERVISOR_WRITABLE) | (value & SUPERVISOR_WRITABLE));
}

/** Whether bits of mstatus are set. */
export function statusHas(state: DataView, bits: bigint): boolean {
  return (readCsrSlot(state, Slot.mstatus) & bits) !== 0n;
}
