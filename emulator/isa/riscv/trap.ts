import { FaultKind, StateOffset } from '../../layout/state.ts';
import { readCsrSlot, readCsrWord, Slot, writeCsrSlot } from './csr-storage.ts';
import type { Interrupt } from './interrupt.ts';
import { PRIVILEGE, Privilege } from './registers.ts';
import { MPP_SHIFT, Status } from './status.ts';

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
  instructionPage: 12,
  loadPage: 13,
  storePage: 15,
} as const;

const INTERRUPT = 1n << 63n;
const VECTORED = 1n;

/** Where the two modes that take traps keep what a trap leaves. */
const TAKEN = {
  machine: { tvec: Slot.mtvec, epc: Slot.mepc, cause: Slot.mcause, tval: Slot.mtval },
  supervisor: { tvec: Slot.stvec, epc: Slot.sepc, cause: Slot.scause, tval: Slot.stval },
} as const;

/** The exception of a memory fault. */
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
    case FaultKind.loadPage:
      return Cause.loadPage;
    case FaultKind.storePage:
      return Cause.storePage;
    case FaultKind.fetchPage:
      return Cause.instructionPage;
    default:
      return Cause.storeMisaligned;
  }
}

/**
 * Takes an exception: `pc` in the state is the instruction's address and becomes that of the handler, in supervisor mode where the exception
 * is delegated (Privileged ISA, "Machine Trap Delegation Registers"), else in machine mode. An environment call's cause is that of the mode
 * it came from. The privilege mode changes: whoever translates addresses has to be told.
 */
export function deliverTrap(state: DataView, cause: number, value: bigint): void {
  const privilege = state.getUint32(PRIVILEGE.offset, true);
  const call = cause === Cause.environmentCallFromUser;
  const code = call ? Cause.environmentCallFromUser + privilege : cause;
  const delegated = ((readCsrWord(state, Slot.medeleg) >>> code) & 1) !== 0;
  enter(state, privilege, delegated && privilege !== Privilege.machine, code, false, call ? 0n : value);
}

/** Takes an interrupt that `pendingInterrupt` gave, before the instruction at `pc`. */
export function deliverInterrupt(state: DataView, code: Interrupt): void {
  const privilege = state.getUint32(PRIVILEGE.offset, true);
  const delegated = ((readCsrWord(state, Slot.mideleg) >>> code) & 1) !== 0;
  enter(state, privilege, delegated && privilege !== Privilege.machine, code, true, 0n);
}

function enter(
  state: DataView,
  privilege: number,
  toSupervisor: boolean,
  code: number,
  interrupt: boolean,
  value: bigint,
): void {
  const slots = toSupervisor ? TAKEN.supervisor : TAKEN.machine;
  writeCsrSlot(state, slots.epc, state.getBigUint64(StateOffset.pc, true));
  writeCsrSlot(state, slots.cause, BigInt(code) | (interrupt ? INTERRUPT : 0n));
  writeCsrSlot(state, slots.tval, value);
  const status = readCsrSlot(state, Slot.mstatus);
  if (toSupervisor) {
    const enabled = (status & Status.sie) === 0n ? 0n : Status.spie;
    const from = privilege === Privilege.user ? 0n : Status.spp;
    writeCsrSlot(state, Slot.mstatus, (status & ~(Status.sie | Status.spie | Status.spp)) | enabled | from);
  } else {
    const enabled = (status & Status.mie) === 0n ? 0n : Status.mpie;
    const from = BigInt(privilege) << MPP_SHIFT;
    writeCsrSlot(state, Slot.mstatus, (status & ~(Status.mie | Status.mpie | Status.mpp)) | enabled | from);
  }
  state.setUint32(PRIVILEGE.offset, toSupervisor ? Privilege.supervisor : Privilege.machine, true);
  // Only interrupts are spread over the vector ("Machine Trap-Vector Base-Address Register").
  const vector = readCsrSlot(state, slots.tvec);
  const offset = interrupt && (vector & 3n) === VECTORED ? 4n * BigInt(code) : 0n;
  state.setBigUint64(StateOffset.pc, BigInt.asUintN(64, (vector & ~3n) + offset), true);
}

/** MRET (Privileged ISA, "Trap-Return Instructions"): the address to go on at. */
export function returnFromMachineTrap(state: DataView): bigint {
  const status = readCsrSlot(state, Slot.mstatus);
  const to = Number((status & Status.mpp) >> MPP_SHIFT);
  const enabled = (status & Status.mpie) === 0n ? 0n : Status.mie;
  const mprv = to === Privilege.machine ? 0n : Status.mprv;
  writeCsrSlot(state, Slot.mstatus, (status & ~(Status.mie | Status.mpp | mprv)) | Status.mpie | enabled);
  state.setUint32(PRIVILEGE.offset, to, true);
  return readCsrSlot(state, Slot.mepc);
}

/** SRET. */
export function returnFromSupervisorTrap(state: DataView): bigint {
  const status = readCsrSlot(state, Slot.mstatus);
  const to = (status & Status.spp) === 0n ? Privilege.user : Privilege.supervisor;
  const enabled = (status & Status.spie) === 0n ? 0n : Status.sie;
  writeCsrSlot(state, Slot.mstatus, (status & ~(Status.sie | Status.spp | Status.mprv)) | Status.spie | enabled);
  state.setUint32(PRIVILEGE.offset, to, true);
  return readCsrSlot(state, Slot.sepc);
}
