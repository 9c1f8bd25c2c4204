import { StateOffset } from '../../layout/state.ts';
import { type HelperContext, QuickOutcome } from '../instruction.ts';
import { CsrOperation } from './csr.ts';
import { Slot } from './csr-storage.ts';
import { pendingInterrupt } from './interrupt.ts';
import { CSR_STORAGE, FLOAT_OFF, Privilege, PRIVILEGE } from './registers.ts';
import { Status } from './status.ts';

const SSTATUS = 0x100;
const TIME = 0xc01;
/** Bit of the enabling registers. */
const TIME_ENABLED = 2;

const low = (bits: bigint): number => Number(BigInt.asIntN(32, bits));
const high = (bits: bigint): number => Number(BigInt.asIntN(32, bits >> 32n));
/** Low halves of sstatus: what can be written and is seen beside the state of the floating-point unit, and what of it decides on accesses to memory. */
const STORED = low(Status.sie | Status.spie | Status.spp | Status.sum | Status.mxr);
const TRANSLATING = low(Status.sum | Status.mxr);
const FLOAT_LOW = low(Status.fs);
const FLOAT_HIGH = high(Status.sd);
const LENGTHS_HIGH = high(Status.uxl);
const MSTATUS = slotOffset(Slot.mstatus);

/**
 * What kernels do all the time, as `accessCsr` does it: all of sstatus, which is written twice in every trap and system call, and reading the time. A boot of
 * Linux has 300,000 of these, one of U-Boot as many, and by way of BigInt each takes 0.35 µs.
 */
export function accessCsrQuickly(context: HelperContext): QuickOutcome {
  const { state } = context;
  switch (state.getInt32(StateOffset.arguments, true)) {
    case SSTATUS:
      return accessStatus(context, state.getInt32(StateOffset.arguments + 8, true));
    case TIME:
      return readTime(context, state.getInt32(StateOffset.arguments + 8, true));
    default:
      return QuickOutcome.declined;
  }
}

function accessStatus({ state, system }: HelperContext, operation: number): QuickOutcome {
  if (state.getUint32(PRIVILEGE.offset, true) < Privilege.supervisor) return QuickOutcome.declined;
  const word = state.getInt32(MSTATUS, true);
  // The floating-point unit is off or dirty (status.ts).
  const float = state.getInt32(FLOAT_OFF.offset, true) === 0 ? FLOAT_LOW : 0;
  const before = (word & STORED) | float;
  const operand = state.getInt32(StateOffset.arguments + 16, true);
  const isImmediate = operation === CsrOperation.setImmediate || operation === CsrOperation.clearImmediate;
  const writes = operation !== CsrOperation.read && !(isImmediate && isZero(state));
  state.setInt32(StateOffset.arguments, before, true);
  state.setInt32(StateOffset.arguments + 4, LENGTHS_HIGH | (float === 0 ? 0 : FLOAT_HIGH), true);
  if (!writes) return QuickOutcome.done;
  const after = afterWrite(operation, before, operand);
  state.setInt32(MSTATUS, (word & ~STORED) | (after & STORED), true);
  state.setInt32(FLOAT_OFF.offset, (after & FLOAT_LOW) === 0 ? 1 : 0, true);
  if (((before ^ after) & TRANSLATING) !== 0) system?.translationChanged();
  return pendingInterrupt(state) === undefined ? QuickOutcome.done : QuickOutcome.stop;
}

function afterWrite(operation: number, before: number, operand: number): number {
  switch (operation) {
    case CsrOperation.write:
      return operand;
    case CsrOperation.set:
    case CsrOperation.setImmediate:
      return before | operand;
    default:
      return before & ~operand;
  }
}

/** Whether the operand is 0: then an instruction with an immediate does not write. */
function isZero(state: DataView): boolean {
  return (
    state.getInt32(StateOffset.arguments + 16, true) === 0 && state.getInt32(StateOffset.arguments + 20, true) === 0
  );
}

function readTime({ state, time }: HelperContext, operation: number): QuickOutcome {
  if (operation !== CsrOperation.read) return QuickOutcome.declined;
  const privilege = state.getUint32(PRIVILEGE.offset, true);
  if (privilege !== Privilege.machine) {
    const enabled = privilege === Privilege.supervisor ? -1 : state.getInt32(slotOffset(Slot.scounteren), true);
    if ((state.getInt32(slotOffset(Slot.mcounteren), true) & enabled & TIME_ENABLED) === 0)
      return QuickOutcome.declined;
  }
  state.setBigUint64(StateOffset.arguments, time(), true);
  return QuickOutcome.done;
}

function slotOffset(slot: number): number {
  return CSR_STORAGE.offset + CSR_STORAGE.stride * slot;
}
