import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import { ARGUMENTS, type HelperForm } from '../instruction.ts';
import { CsrOperation } from './csr.ts';
import { Slot } from './csr-storage.ts';
import { CSR_STORAGE, FFLAGS, FLOAT_OFF, Privilege, PRIVILEGE } from './registers.ts';
import { Status } from './status.ts';

/** Of sstatus: what can be changed here, what cannot, for accesses to memory go by it, and what is seen beside the state of the floating-point unit. */
const CHANGED = Status.sie | Status.spie | Status.spp;
const TRANSLATING = Status.sum | Status.mxr;
const SEEN = CHANGED | TRANSLATING;
const FLOAT_FLAGS = 31n;
const EVEN = -2n;

/**
 * What kernels do with control registers all the time, as `accessCsr` does it: switching interrupts off and on, and what their trap handlers begin and end with,
 * the state of the floating-point unit among it.
 * 230,000 of 450,000 calls of helpers in a boot of Linux are these, and going to JavaScript and back takes 0.2 µs.
 */
export const CSR_FORMS: readonly HelperForm[] = [
  { argument: 0x100, lift: accessSupervisorStatus },
  { argument: 0x140, lift: moveStored(Slot.sscratch) },
  { argument: 0x141, lift: moveStored(Slot.sepc, EVEN) },
  { argument: 0x142, lift: moveStored(Slot.scause) },
  { argument: 0x143, lift: moveStored(Slot.stval) },
  { argument: 0x001, lift: writeFloatFlags },
];

/** Declined: changes of bits that accesses to memory go by, and all while an enabled interrupt is pending. */
function accessSupervisorStatus(b: Builder): void {
  const operation = operationOf(b);
  requireSupervisor(b);
  const pending = b.op('or', 'i64', b.get(CSR_STORAGE, Slot.mip), b.get(CSR_STORAGE, Slot.interruptLines));
  declineIf(b, hasBits(b, pending, b.get(CSR_STORAGE, Slot.mie)));
  const stored = b.get(CSR_STORAGE, Slot.mstatus);
  // The floating-point unit is off or dirty (status.ts).
  const isFloatOn = b.op('eq', 'i32', b.get(FLOAT_OFF, 0), b.const('i32', 0));
  const float = b.select('i64', isFloatOn, b.const('i64', Status.fs | Status.sd), b.const('i64', 0n));
  const before = b.op('or', 'i64', b.op('and', 'i64', stored, b.const('i64', SEEN)), float);
  // The operand of a read is 0. CsrOperation.set and setImmediate are even, clear and clearImmediate odd.
  const operand = b.get(ARGUMENTS, 2);
  const clears = b.op('and', 'i32', operation, b.const('i32', 1));
  const set = b.op('or', 'i64', before, operand);
  const changed = b.select('i64', clears, b.op('xor', 'i64', set, operand), set);
  const writes = b.op('eq', 'i32', operation, b.const('i32', CsrOperation.write));
  const after = b.select('i64', writes, operand, changed);
  const difference = b.op('xor', 'i64', before, after);
  declineIf(b, hasBits(b, difference, b.const('i64', TRANSLATING)));
  const kept = b.op('and', 'i64', difference, b.const('i64', CHANGED));
  b.set(CSR_STORAGE, Slot.mstatus, b.op('xor', 'i64', stored, kept));
  const isFloatOff = b.op('eq', 'i64', b.op('and', 'i64', after, b.const('i64', Status.fs)), b.const('i64', 0n));
  b.set(FLOAT_OFF, 0, isFloatOff);
  b.set(ARGUMENTS, 0, b.op('or', 'i64', before, b.const('i64', Status.uxl)));
}

/** Reads and writes of a register that has no effect by itself; setting and clearing bits of it is declined. */
function moveStored(slot: number, writable?: bigint) {
  return (b: Builder): void => {
    const operation = operationOf(b);
    declineIf(b, b.op('lt_u', 'i32', b.const('i32', CsrOperation.write), operation));
    requireSupervisor(b);
    const operand = b.get(ARGUMENTS, 2);
    const value = writable === undefined ? operand : b.op('and', 'i64', operand, b.const('i64', writable));
    const before = b.get(CSR_STORAGE, slot);
    // CsrOperation.read is 0.
    b.set(CSR_STORAGE, slot, b.select('i64', operation, value, before));
    b.set(ARGUMENTS, 0, before);
  };
}

function writeFloatFlags(b: Builder): void {
  declineIf(b, b.op('ne', 'i32', operationOf(b), b.const('i32', CsrOperation.write)));
  declineIf(b, b.get(FLOAT_OFF, 0));
  const operand = b.get(ARGUMENTS, 2);
  const before = b.op('widen_u', 'i64', b.get(FFLAGS, 0));
  b.set(FFLAGS, 0, b.op('wrap', 'i32', b.op('and', 'i64', operand, b.const('i64', FLOAT_FLAGS))));
  b.set(ARGUMENTS, 0, before);
}

const operationOf = (b: Builder): Value => b.op('wrap', 'i32', b.get(ARGUMENTS, 1));

function requireSupervisor(b: Builder): void {
  declineIf(b, b.op('lt_u', 'i32', b.get(PRIVILEGE, 0), b.const('i32', Privilege.supervisor)));
}

function hasBits(b: Builder, value: Value, bits: Value): Value {
  return b.op('ne', 'i64', b.op('and', 'i64', value, bits), b.const('i64', 0n));
}

/** A trap declines, whatever its cause. */
function declineIf(b: Builder, condition: Value): void {
  b.trapIf(condition, 0, b.const('i64', 0n));
}
