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
/** Low halves of sstatus: what may be set and cleared here, and what is seen beside the state of the floating-point unit. */
const CHANGED = low(Status.sie | Status.spie | Status.spp | Status.sum);
const SEEN = CHANGED | low(Status.mxr);
const FLOAT_LOW = low(Status.fs);
const FLOAT_HIGH = high(Status.sd);
const LENGTHS_HIGH = high(Status.uxl);
const WRITABLE = SEEN | FLOAT_LOW;
const USER_MEMORY = low(Status.sum);
const MSTATUS = slotOffset(Slot.mstatus);

/**
 * What kernels do all the time, as `accessCsr` does it: switching interrupts and access to user memory in sstatus, and reading the time. A boot of
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
  if (operation === CsrOperation.write || state.getUint32(PRIVILEGE.offset, true) < Privilege.supervisor)
    return QuickOutcome.declined;
  const before = state.getInt32(MSTATUS, true);
  const isImmediate = operation === CsrOperation.setImmediate || operation === CsrOperation.clearImmediate;
  const bits = state.getInt32(StateOffset.arguments + 16, true) & WRITABLE;
  const writes = operation !== CsrOperation.read && !(isImmediate && bits === 0 && isZero(state));
  if (writes) {
    if ((bits & ~CHANGED) !== 0) return QuickOutcome.declined;
    const sets = operation === CsrOperation.set || operation === CsrOperation.setImmediate;
    const after = sets ? before | bits : before & ~bits;
    state.setInt32(MSTATUS, after, true);
    if (((before ^ after) & USER_MEMORY) !== 0) system?.translationChanged();
  }
  const float = state.getInt32(FLOAT_OFF.offset, true) === 0;
  state.setInt32(StateOffset.arguments, (before & SEEN) | (float ? FLOAT_LOW : 0), true);
  state.setInt32(StateOffset.arguments + 4, LENGTHS_HIGH | (float ? FLOAT_HIGH : 0), true);
  return writes && pendingInterrupt(state) !== undefined ? QuickOutcome.stop : QuickOutcome.done;
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
