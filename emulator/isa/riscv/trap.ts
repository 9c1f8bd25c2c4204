import { FaultKind, StateOffset } from '../../layout/state.ts';
import { PRIVILEGE, Privilege } from './registers.ts';
import { readCsrSlot, Slot, writeCsrSlot } from './csr-storage.ts';

/** Exception codes (Privileged ISA, "Machine Cause Register"). */
export const Cause = {
  instructionMisaligned: 0,
  instructionAccess: 1,
  illegalInstruction: 2,
  breakpoint: 3,
  loadMisaligned: 4,
  loadAccess: 5,
  storeMisaligned: 6,
  storeAccess: 7,
  environmentCallFromUser: 8,
  environmentCallFromSupervisor: 9,
  environmentCallFromMachine: 11,
} as const;

const MSTATUS = { mie: 1n << 3n, mpie: 1n << 7n, mpp: 3n << 11n, mppShift: 11n } as const;

/** The exception of a memory fault on a machine without address translation. */
export function causeOfFault(fault: number): number {
  switch (fault) {
    case FaultKind.load:
      return Cause.loadAccess;
    case FaultKind.store:
      return Cause.storeAccess;
    case FaultKind.fetch:
      return Cause.instructionAccess;
    case FaultKind.loadMisaligned:
      return Cause.loadMisaligned;
    default:
      return Cause.storeMisaligned;
  }
}

/**
 * Takes an exception into machine mode (Privileged ISA, "Machine-Mode Privileged Software", trap entry): `pc` in the state is the
 * instruction's address and becomes that of the handler. An environment call's cause is that of the mode it came from.
 */
export function deliverTrap(state: DataView, cause: number, value: bigint): void {
  const privilege = state.getUint32(PRIVILEGE.offset, true);
  const code = cause === Cause.environmentCallFromUser ? Cause.environmentCallFromUser + privilege : cause;
  writeCsrSlot(state, Slot.mepc, state.getBigUint64(StateOffset.pc, true));
  writeCsrSlot(state, Slot.mcause, BigInt(code));
  writeCsrSlot(state, Slot.mtval, code >= Cause.environmentCallFromUser ? 0n : value);
  const mstatus = readCsrSlot(state, Slot.mstatus);
  const enabled = (mstatus & MSTATUS.mie) === 0n ? 0n : MSTATUS.mpie;
  writeCsrSlot(
    state,
    Slot.mstatus,
    (mstatus & ~(MSTATUS.mie | MSTATUS.mpie | MSTATUS.mpp)) | enabled | (BigInt(privilege) << MSTATUS.mppShift),
  );
  state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
  // Exceptions go to the base in both modes of mtvec; only interrupts are spread (Privileged ISA, "Machine Trap-Vector Base-Address Register").
  state.setBigUint64(StateOffset.pc, readCsrSlot(state, Slot.mtvec) & ~3n, true);
}

/** MRET (Privileged ISA, "Trap-Return Instructions"): the address to go on at. */
export function returnFromMachineTrap(state: DataView): bigint {
  const mstatus = readCsrSlot(state, Slot.mstatus);
  const to = Number((mstatus & MSTATUS.mpp) >> MSTATUS.mppShift);
  const enabled = (mstatus & MSTATUS.mpie) === 0n ? 0n : MSTATUS.mie;
  const mprv = to === Privilege.machine ? 0n : 1n << 17n;
  writeCsrSlot(state, Slot.mstatus, (mstatus & ~(MSTATUS.mie | MSTATUS.mpp | mprv)) | MSTATUS.mpie | enabled);
  state.setUint32(PRIVILEGE.offset, to, true);
  return readCsrSlot(state, Slot.mepc);
}
