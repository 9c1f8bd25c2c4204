import { StateOffset } from '../../layout/state.ts';
import type { HelperContext, HelperOutcome } from '../instruction.ts';
import {
  counter,
  counterInhibit,
  type Csr,
  Effect,
  EVERY_BIT,
  fixed,
  readOnlyView,
  stored,
  view,
  word,
} from './csr-row.ts';
import { readCsrSlot, readCsrWord, Slot, writeCsrSlot } from './csr-storage.ts';
import {
  ALL_INTERRUPTS,
  Interrupt,
  pendingBits,
  pendingInterrupt,
  SUPERVISOR_INTERRUPTS,
  updateSupervisorTimer,
} from './interrupt.ts';
import { PMP_CSRS } from './pmp-csr.ts';
import { FLOAT_OFF, Privilege, PRIVILEGE } from './registers.ts';
import { readStatus, readSupervisorStatus, Status, statusHas, writeStatus, writeSupervisorStatus } from './status.ts';
import { Cause } from './trap.ts';

/** How a CSR instruction changes the register (Unprivileged ISA, "Zicsr"). */
export const CsrOperation = { read: 0, write: 1, set: 2, clear: 3, setImmediate: 4, clearImmediate: 5 } as const;

/** RV64 with A, B, C, D, F, I, M, S and U. */
const MISA =
  (2n << 62n) | [...'ABCDFIMSU'].reduce((bits, letter) => bits | (1n << BigInt(letter.charCodeAt(0) - 65)), 0n);
/** Exceptions that supervisor mode may be given: all but calls from machine mode, and none that do not exist. */
const DELEGABLE = 0xb3ffn;
/** FIOM, CBIE, CBCFE, CBZE; in menvcfg also ADUE, PBMTE, STCE (Privileged ISA, "Machine Environment Configuration Register"). */
const SUPERVISOR_ENVIRONMENT = 0xf1n;
const MACHINE_ENVIRONMENT = SUPERVISOR_ENVIRONMENT | (7n << 61n);
const STCE = 1n << 63n;
const CACHE_INVALIDATE = 3n << 4n;
const RESERVED_INVALIDATE = 2n << 4n;
/** Of satp: Sv39, Sv48 and Sv57. */
const TRANSLATION_MODES: readonly bigint[] = [8n, 9n, 10n];
const TIMER_BIT = 1 << Interrupt.supervisorTimer;

const mstatus: Csr = {
  name: 'mstatus',
  read: ({ state }) => readStatus(state),
  write: ({ state }, value) => writeStatus(state, value),
  effect: Effect.translation | Effect.interrupts,
};
const sstatus: Csr = {
  name: 'sstatus',
  read: ({ state }) => readSupervisorStatus(state),
  write: ({ state }, value) => writeSupervisorStatus(state, value),
  effect: Effect.translation | Effect.interrupts,
};
const mie = stored('mie', Slot.mie, BigInt(ALL_INTERRUPTS), Effect.interrupts);
const delegated = (state: DataView): bigint => BigInt(readCsrWord(state, Slot.mideleg));

/** The bits that software may set stay apart from the lines that devices hold; reading shows both. */
const mip: Csr = {
  name: 'mip',
  read: ({ state, time }) => {
    if (comparesTime(state)) updateSupervisorTimer(state, time());
    return BigInt(pendingBits(state));
  },
  write: ({ state }, value) => {
    // With stimecmp the supervisor timer's bit is what the comparison says ("Sstc" Extension).
    const writable = comparesTime(state) ? SUPERVISOR_INTERRUPTS & ~TIMER_BIT : SUPERVISOR_INTERRUPTS;
    writeCsrSlot(state, Slot.mip, value & BigInt(writable));
  },
  effect: Effect.interrupts,
};
const sie = view('sie', mie, delegated);
/** Of what is delegated supervisor mode can set the software interrupt only. */
const sip: Csr = {
  name: 'sip',
  read: (context) => mip.read(context) & delegated(context.state),
  write: ({ state }, value) => {
    const writable = delegated(state) & (1n << BigInt(Interrupt.supervisorSoftware));
    writeCsrSlot(state, Slot.mip, (readCsrSlot(state, Slot.mip) & ~writable) | (value & writable));
  },
  effect: Effect.interrupts,
};

function comparesTime(state: DataView): boolean {
  return (readCsrSlot(state, Slot.menvcfg) & STCE) !== 0n;
}

function environment(name: string, slot: number, writable: bigint, effect: number): Csr {
  return {
    name,
    read: ({ state }) => readCsrSlot(state, slot),
    write: ({ state, time }, value) => {
      const before = readCsrSlot(state, slot);
      const invalidate =
        (value & CACHE_INVALIDATE) === RESERVED_INVALIDATE ? before & CACHE_INVALIDATE : value & CACHE_INVALIDATE;
      writeCsrSlot(state, slot, (value & writable & ~CACHE_INVALIDATE) | invalidate);
      if (slot !== Slot.menvcfg) return;
      updateSupervisorTimer(state, time());
      if (comparesTime(state)) writeCsrSlot(state, Slot.mip, readCsrSlot(state, Slot.mip) & ~BigInt(TIMER_BIT));
    },
    effect,
  };
}

const stimecmp: Csr = {
  name: 'stimecmp',
  read: ({ state }) => readCsrSlot(state, Slot.stimecmp),
  write: ({ state, time }, value) => {
    writeCsrSlot(state, Slot.stimecmp, value);
    updateSupervisorTimer(state, time());
  },
  effect: Effect.interrupts,
};

/** A write with a mode that does not exist changes nothing. Where there is no address translation only mode 0, with zeros, does. */
const satp: Csr = {
  name: 'satp',
  read: ({ state }) => readCsrSlot(state, Slot.satp),
  write: ({ state, system }, value) => {
    const mode = value >> 60n;
    if (mode === 0n) writeCsrSlot(state, Slot.satp, system === undefined ? 0n : value);
    else if (system !== undefined && TRANSLATION_MODES.includes(mode)) writeCsrSlot(state, Slot.satp, value);
  },
  effect: Effect.translation | Effect.fetch,
};

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
const mcycle = counter('mcycle', Slot.cycleOffset, 0);
const minstret = counter('minstret', Slot.instructionOffset, 2);

const COUNTER_BITS = 0xffff_ffffn;
const VECTOR_BITS = EVERY_BIT & ~2n;
const ADDRESS_BITS = EVERY_BIT & ~1n;

/** Every CSR by number (Privileged ISA, "CSR Listing"). */
const CSRS: ReadonlyMap<number, Csr> = new Map<number, Csr>([
  [0x001, fflags],
  [0x002, frm],
  [0x003, fcsr],
  [0x100, sstatus],
  [0x104, sie],
  [0x105, stored('stvec', Slot.stvec, VECTOR_BITS)],
  [0x106, stored('scounteren', Slot.scounteren, COUNTER_BITS)],
  [0x10a, environment('senvcfg', Slot.senvcfg, SUPERVISOR_ENVIRONMENT, Effect.none)],
  [0x140, stored('sscratch', Slot.sscratch)],
  [0x141, stored('sepc', Slot.sepc, ADDRESS_BITS)],
  [0x142, stored('scause', Slot.scause)],
  [0x143, stored('stval', Slot.stval)],
  [0x144, sip],
  [0x14d, stimecmp],
  [0x180, satp],
  [0xc00, readOnlyView('cycle', mcycle)],
  [0xc01, { name: 'time', read: ({ time }) => time() }],
  [0xc02, readOnlyView('instret', minstret)],
  [0x300, mstatus],
  [0x301, fixed('misa', MISA)],
  [0x302, stored('medeleg', Slot.medeleg, DELEGABLE)],
  [0x303, stored('mideleg', Slot.mideleg, BigInt(SUPERVISOR_INTERRUPTS), Effect.interrupts)],
  [0x304, mie],
  [0x305, stored('mtvec', Slot.mtvec, VECTOR_BITS)],
  [0x306, stored('mcounteren', Slot.mcounteren, COUNTER_BITS)],
  [0x30a, environment('menvcfg', Slot.menvcfg, MACHINE_ENVIRONMENT, Effect.translation | Effect.interrupts)],
  [
    0x320,
    counterInhibit('mcountinhibit', [
      [0, Slot.cycleOffset],
      [2, Slot.instructionOffset],
    ]),
  ],
  [0x340, stored('mscratch', Slot.mscratch)],
  [0x341, stored('mepc', Slot.mepc, ADDRESS_BITS)],
  [0x342, stored('mcause', Slot.mcause)],
  [0x343, stored('mtval', Slot.mtval)],
  [0x344, mip],
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
  ...PMP_CSRS,
  ...[...Array(29).keys()].flatMap((n): [number, Csr][] => [
    [0xb03 + n, fixed(`mhpmcounter${n + 3}`, 0n)],
    [0xc03 + n, fixed(`hpmcounter${n + 3}`, 0n)],
    [0x323 + n, fixed(`mhpmevent${n + 3}`, 0n)],
  ]),
]);

/** Names for assembly: those implemented, and the others that the listing gives, so that any program can be shown. */
export const CSR_NAMES: ReadonlyMap<number, string> = new Map([
  ...[...CSRS].map(([number, { name }]): [number, string] => [number, name]),
  ...Object.entries({
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

const ILLEGAL: HelperOutcome = { trap: Cause.illegalInstruction, value: 0n };

/**
 * Executes a CSR instruction: the old value, or an illegal-instruction trap when the register does not exist, is not for this privilege
 * mode, or is read-only and would be written (Privileged ISA, "CSR Address Mapping Conventions").
 */
export function accessCsr(context: HelperContext, number: number, operation: number, operand: bigint): HelperOutcome {
  const csr = CSRS.get(number);
  const privilege = context.state.getUint32(PRIVILEGE.offset, true);
  if (!csr || privilege < ((number >> 8) & 3) || !permitted(context, number, privilege)) return ILLEGAL;
  const immediate = operation === CsrOperation.setImmediate || operation === CsrOperation.clearImmediate;
  const writes = operation !== CsrOperation.read && !(immediate && operand === 0n);
  if (writes && number >> 10 === 3) return ILLEGAL;
  const before = csr.read(context);
  if (!writes) return { result: before };
  const sets = operation === CsrOperation.set || operation === CsrOperation.setImmediate;
  // What a device holds pending is read as set, and is not to become set by software on the way back (mip in read-modify-write).
  const kept = csr === mip ? readCsrSlot(context.state, Slot.mip) : before;
  csr.write?.(context, operation === CsrOperation.write ? operand : sets ? kept | operand : kept & ~operand);
  return { result: before, stop: takeEffect(context, csr.effect ?? Effect.none) };
}

/** Whether control has to come back after the instruction. */
function takeEffect({ state, system }: HelperContext, effect: number): boolean {
  if ((effect & Effect.translation) !== 0) system?.translationChanged();
  if ((effect & Effect.protection) !== 0) system?.protectionChanged();
  if ((effect & (Effect.fetch | Effect.protection)) !== 0) return true;
  return (effect & Effect.interrupts) !== 0 && pendingInterrupt(state) !== undefined;
}

/** Registers that other registers can close. */
function permitted({ state }: HelperContext, number: number, privilege: number): boolean {
  switch (number) {
    case 0x001:
    case 0x002:
    case 0x003:
      return state.getInt32(FLOAT_OFF.offset, true) === 0;
    case 0x14d:
      return privilege === Privilege.machine || (comparesTime(state) && counterEnabled(state, Slot.mcounteren, 1));
    case 0x180:
      return privilege === Privilege.machine || !statusHas(state, Status.tvm);
    default:
      break;
  }
  // Counters below machine mode need their bit of mcounteren, in user mode that of scounteren too.
  if (number < 0xc00 || number > 0xc1f || privilege === Privilege.machine) return true;
  if (!counterEnabled(state, Slot.mcounteren, number & 31)) return false;
  return privilege === Privilege.supervisor || counterEnabled(state, Slot.scounteren, number & 31);
}

function counterEnabled(state: DataView, slot: number, bit: number): boolean {
  return ((readCsrWord(state, slot) >>> bit) & 1) !== 0;
}
