import { StateOffset } from '../../layout/state.ts';
import type { HelperContext, HelperOutcome } from '../instruction.ts';
import { readCsrSlot, Slot, writeCsrSlot } from './csr-storage.ts';
import { Privilege, PRIVILEGE } from './registers.ts';
import { Cause } from './trap.ts';

/** How a CSR instruction changes the register (Unprivileged ISA, "Zicsr"). */
export const CsrOperation = { read: 0, write: 1, set: 2, clear: 3, setImmediate: 4, clearImmediate: 5 } as const;

/** One control and status register. A register without `write` ignores writes (WARL with one legal value). */
interface Csr {
  readonly name: string;
  readonly read: (context: HelperContext) => bigint;
  readonly write?: (context: HelperContext, value: bigint) => void;
}

const EVERY_BIT = (1n << 64n) - 1n;

function stored(name: string, slot: number, writable: bigint = EVERY_BIT): Csr {
  return {
    name,
    read: ({ state }) => readCsrSlot(state, slot),
    write: ({ state }, value) => writeCsrSlot(state, slot, (readCsrSlot(state, slot) & ~writable) | (value & writable)),
  };
}

function fixed(name: string, value: bigint): Csr {
  return { name, read: () => value };
}

function word(name: string, offset: number, mask: number): Csr {
  return {
    name,
    read: ({ state }) => BigInt(state.getUint32(offset, true)),
    write: ({ state }, value) => state.setUint32(offset, Number(value & BigInt(mask)), true),
  };
}

/** The count of retired instructions plus what a write has set it off by. A write takes effect after this instruction, which then is not counted. */
function counter(name: string, slot: number): Csr {
  return {
    name,
    read: ({ state, retired }) => BigInt.asUintN(64, retired() + readCsrSlot(state, slot)),
    write: ({ state, retired }, value) => writeCsrSlot(state, slot, value - retired() - 1n),
  };
}

function readOnlyView(name: string, of: Csr): Csr {
  return { name, read: of.read };
}

/** MIE, MPIE, MPRV, MPP of mstatus; MPP takes machine and user mode only. FS reads as dirty: the unit is always on. */
const MSTATUS_WRITABLE = (1n << 3n) | (1n << 7n) | (3n << 11n) | (1n << 17n) | (1n << 21n);
const MSTATUS_FIXED = (2n << 32n) | (3n << 13n) | (1n << 63n);
const mstatus: Csr = {
  name: 'mstatus',
  read: ({ state }) => (readCsrSlot(state, Slot.mstatus) & MSTATUS_WRITABLE) | MSTATUS_FIXED,
  write: ({ state }, value) => {
    const mpp = (value >> 11n) & 3n;
    const legal =
      mpp === 3n || mpp === 0n ? value : (value & ~(3n << 11n)) | (readCsrSlot(state, Slot.mstatus) & (3n << 11n));
    writeCsrSlot(state, Slot.mstatus, legal & MSTATUS_WRITABLE);
  },
};
/** RV64 with A, B, C, D, F, I, M and U. */
const MISA =
  (2n << 62n) | [...'ABCDFIMU'].reduce((bits, letter) => bits | (1n << BigInt(letter.charCodeAt(0) - 65)), 0n);
const fflags = word('fflags', StateOffset.floatFlags, 0x1f);
const frm = word('frm', StateOffset.floatRounding, 7);
const fcsr: Csr = {
  name: 'fcsr',
  read: ({ state }) =>
    BigInt((state.getUint32(StateOffset.floatRounding, true) << 5) | state.getUint32(StateOffset.floatFlags, true)),
  write: ({ state }, value) => {
    state.setUint32(StateOffset.floatFlags, Number(value & 0x1fn), true);
    state.setUint32(StateOffset.floatRounding, Number((value >> 5n) & 7n), true);
  },
};
const mcycle = counter('mcycle', Slot.cycleOffset);
const minstret = counter('minstret', Slot.instructionOffset);

/** Every CSR by number (Privileged ISA, "CSR Listing"). */
const CSRS: ReadonlyMap<number, Csr> = new Map<number, Csr>([
  [0x001, fflags],
  [0x002, frm],
  [0x003, fcsr],
  [0xc00, readOnlyView('cycle', mcycle)],
  [0xc01, { name: 'time', read: ({ time }) => time() }],
  [0xc02, readOnlyView('instret', minstret)],
  [0x300, mstatus],
  [0x301, fixed('misa', MISA)],
  [0x304, stored('mie', Slot.mie, 0x888n)],
  [0x305, stored('mtvec', Slot.mtvec, EVERY_BIT & ~2n)],
  [0x306, stored('mcounteren', Slot.mcounteren, 0xffff_ffffn)],
  [0x30a, stored('menvcfg', Slot.menvcfg, 1n)],
  [0x320, stored('mcountinhibit', Slot.mcountinhibit, 0xffff_fffdn)],
  [0x340, stored('mscratch', Slot.mscratch)],
  [0x341, stored('mepc', Slot.mepc, EVERY_BIT & ~1n)],
  [0x342, stored('mcause', Slot.mcause)],
  [0x343, stored('mtval', Slot.mtval)],
  [0x344, stored('mip', Slot.mip, 0n)],
  [0x747, fixed('mseccfg', 0n)],
  [0x7a0, fixed('tselect', 0n)],
  [0x7a1, fixed('tdata1', 0n)],
  [0x7a2, fixed('tdata2', 0n)],
  [0x7a3, fixed('tdata3', 0n)],
  [0xb00, mcycle],
  [0xb02, minstret],
  [0xf11, fixed('mvendorid', 0n)],
  [0xf12, fixed('marchid', 0n)],
  [0xf13, fixed('mimpid', 0n)],
  [0xf14, fixed('mhartid', 0n)],
  [0xf15, fixed('mconfigptr', 0n)],
  ...[0, 2].map((n): [number, Csr] => [
    0x3a0 + n,
    stored(`pmpcfg${n}`, Slot.pmpConfiguration + n / 2, 0x9f9f_9f9f_9f9f_9f9fn),
  ]),
  ...range(16).map((n): [number, Csr] => [0x3b0 + n, stored(`pmpaddr${n}`, Slot.pmpAddress + n, (1n << 54n) - 1n)]),
  ...range(29).flatMap((n): [number, Csr][] => [
    [0xb03 + n, fixed(`mhpmcounter${n + 3}`, 0n)],
    [0xc03 + n, fixed(`hpmcounter${n + 3}`, 0n)],
    [0x323 + n, fixed(`mhpmevent${n + 3}`, 0n)],
  ]),
]);

/** Names for assembly: those implemented, and the others that the listing gives, so that any program can be shown. */
export const CSR_NAMES: ReadonlyMap<number, string> = new Map([
  ...[...CSRS].map(([number, { name }]): [number, string] => [number, name]),
  ...Object.entries({
    0x100: 'sstatus',
    0x104: 'sie',
    0x105: 'stvec',
    0x106: 'scounteren',
    0x10a: 'senvcfg',
    0x140: 'sscratch',
    0x141: 'sepc',
    0x142: 'scause',
    0x143: 'stval',
    0x144: 'sip',
    0x14d: 'stimecmp',
    0x180: 'satp',
    0x302: 'medeleg',
    0x303: 'mideleg',
    0x310: 'mstatush',
    0x34a: 'mtinst',
    0x34b: 'mtval2',
    0x3a1: 'pmpcfg1',
    0x3a3: 'pmpcfg3',
    0x008: 'vstart',
    0x009: 'vxsat',
    0x00a: 'vxrm',
    0x00f: 'vcsr',
    0xc20: 'vl',
    0xc21: 'vtype',
    0xc22: 'vlenb',
    0x7b0: 'dcsr',
    0x7b1: 'dpc',
    0x7b2: 'dscratch0',
    0x7b3: 'dscratch1',
  }).map(([number, name]): [number, string] => [Number(number), name]),
]);

function range(count: number): number[] {
  return [...Array(count).keys()];
}

/**
 * Executes a CSR instruction: the old value, or an illegal-instruction trap when the register does not exist, is not for this privilege
 * mode, or is read-only and would be written (Privileged ISA, "CSR Address Mapping Conventions").
 */
export function accessCsr(context: HelperContext, number: number, operation: number, operand: bigint): HelperOutcome {
  const illegal: HelperOutcome = { trap: Cause.illegalInstruction, value: 0n };
  const csr = CSRS.get(number);
  const privilege = context.state.getUint32(PRIVILEGE.offset, true);
  if (!csr || privilege < ((number >> 8) & 3) || !counterAllowed(context, number, privilege)) return illegal;
  const immediate = operation === CsrOperation.setImmediate || operation === CsrOperation.clearImmediate;
  const writes = operation !== CsrOperation.read && !(immediate && operand === 0n);
  if (writes && number >> 10 === 3) return illegal;
  const before = csr.read(context);
  if (writes) {
    const sets = operation === CsrOperation.set || operation === CsrOperation.setImmediate;
    csr.write?.(context, operation === CsrOperation.write ? operand : sets ? before | operand : before & ~operand);
  }
  return { result: before };
}

/** Counters below machine mode need their bit of mcounteren (Privileged ISA, "Machine Counter-Enable Register"). */
function counterAllowed({ state }: HelperContext, number: number, privilege: number): boolean {
  if (privilege === Privilege.machine || number < 0xc00 || number > 0xc1f) return true;
  return (readCsrSlot(state, Slot.mcounteren) & (1n << BigInt(number & 31))) !== 0n;
}
