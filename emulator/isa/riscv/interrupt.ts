import { readCsrSlot, readCsrWord, Slot, writeCsrSlot } from './csr-storage.ts';
import { Privilege, PRIVILEGE } from './registers.ts';

/** Interrupt codes, which are also the bits of mip, mie and mideleg (Privileged ISA, "Machine Cause Register"). */
export const Interrupt = {
  supervisorSoftware: 1,
  machineSoftware: 3,
  supervisorTimer: 5,
  machineTimer: 7,
  supervisorExternal: 9,
  machineExternal: 11,
} as const;
export type Interrupt = (typeof Interrupt)[keyof typeof Interrupt];

const bit = (code: Interrupt): number => 1 << code;

/** Those of supervisor mode: what may be delegated. */
export const SUPERVISOR_INTERRUPTS =
  bit(Interrupt.supervisorSoftware) | bit(Interrupt.supervisorTimer) | bit(Interrupt.supervisorExternal);
export const ALL_INTERRUPTS =
  SUPERVISOR_INTERRUPTS | bit(Interrupt.machineSoftware) | bit(Interrupt.machineTimer) | bit(Interrupt.machineExternal);

/** Highest first ("Machine Interrupt Registers (mip and mie)"). */
const PRIORITY = [
  Interrupt.machineExternal,
  Interrupt.machineSoftware,
  Interrupt.machineTimer,
  Interrupt.supervisorExternal,
  Interrupt.supervisorSoftware,
  Interrupt.supervisorTimer,
] as const;

const MSTATUS_SIE = 1 << 1;
const MSTATUS_MIE = 1 << 3;
/** menvcfg.STCE: stimecmp exists and makes the supervisor timer interrupt. */
const TIMER_COMPARE = 1n << 63n;

/** All pending interrupts, by the bits of mip: those held by devices and those that software has set. */
export function pendingBits(state: DataView): number {
  return readCsrWord(state, Slot.mip) | readCsrWord(state, Slot.interruptLines);
}

/** Raises or lowers the line of an interrupt: for timers and interrupt controllers. */
export function setInterruptLine(state: DataView, code: Interrupt, raised: boolean): void {
  const lines = readCsrWord(state, Slot.interruptLines);
  writeCsrSlot(state, Slot.interruptLines, BigInt(raised ? lines | bit(code) : lines & ~bit(code)));
}

/**
 * The interrupt to take before the next instruction, or undefined: pending, enabled, and not masked at this privilege ("Machine Interrupt
 * Registers"). The run loop asks after every run, and whenever a line was raised; `deliverInterrupt` takes it.
 */
export function pendingInterrupt(state: DataView): Interrupt | undefined {
  const ready = pendingBits(state) & readCsrWord(state, Slot.mie);
  if (ready === 0) return undefined;
  const privilege = state.getUint32(PRIVILEGE.offset, true);
  const status = readCsrWord(state, Slot.mstatus);
  const delegated = readCsrWord(state, Slot.mideleg);
  const machineTakes = privilege < Privilege.machine || (status & MSTATUS_MIE) !== 0;
  const supervisorTakes =
    privilege < Privilege.supervisor || (privilege === Privilege.supervisor && (status & MSTATUS_SIE) !== 0);
  // All that goes to machine mode comes before all that is delegated.
  const candidates =
    machineTakes && (ready & ~delegated) !== 0 ? ready & ~delegated : supervisorTakes ? ready & delegated : 0;
  return candidates === 0 ? undefined : PRIORITY.find((code) => (candidates & bit(code)) !== 0);
}

/** Whether a hart that waits (WFI) is to go on: an interrupt is pending and enabled by itself, whatever mstatus says ("Wait for Interrupt"). */
export function wakes(state: DataView): boolean {
  return (pendingBits(state) & readCsrWord(state, Slot.mie)) !== 0;
}

/** The value of `time` at which the supervisor timer interrupt becomes pending, or undefined while there is no stimecmp (Sstc). */
export function supervisorTimerDeadline(state: DataView): bigint | undefined {
  return (readCsrSlot(state, Slot.menvcfg) & TIMER_COMPARE) === 0n ? undefined : readCsrSlot(state, Slot.stimecmp);
}

/** Brings the supervisor timer's line up to date with `time`, in ticks of the time CSR ("Sstc" Extension). To be called before `pendingInterrupt`. */
export function updateSupervisorTimer(state: DataView, time: bigint): void {
  const deadline = supervisorTimerDeadline(state);
  setInterruptLine(state, Interrupt.supervisorTimer, deadline !== undefined && BigInt.asUintN(64, time) >= deadline);
}
