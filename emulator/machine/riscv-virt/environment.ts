/** What the built-in SBI needs of a machine with one hart. */
import { assert } from '../../check/assert.ts';
import type { SystemHooks } from '../../isa/instruction.ts';
import { readCsrWord, Slot, writeCsrSlot } from '../../isa/riscv/csr-storage.ts';
import { Interrupt, pendingBits } from '../../isa/riscv/interrupt.ts';
import { Privilege, PRIVILEGE, WAITING, X } from '../../isa/riscv/registers.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import type { Mmu } from '../../memory/mmu.ts';
import { HartState, SUPERVISOR_DELEGATION, type RemoteFence, type SbiMachine, type SystemReset } from './sbi.ts';

export interface EnvironmentOptions {
  readonly state: DataView;
  readonly mmu: Mmu;
  readonly hooks: SystemHooks;
  readonly consoleWrite: (bytes: Uint8Array) => void;
  readonly consoleRead: (into: Uint8Array) => number;
  readonly systemReset: (reset: SystemReset, failure: boolean) => void;
}

/** menvcfg: STCE, PBMTE, and the cache-block instructions for lower modes. */
const ENVIRONMENT = (3n << 62n) | 0xf0n;
const NEVER = (1n << 64n) - 1n;
/** pmpcfg0 with one entry that lets everything through: NAPOT, R, W and X. */
const OPEN = 0x1fn;
/** Cycle, time and instruction counters for user mode: Linux's vDSO reads the time, and only drivers of real counters allow it themselves. */
const USER_COUNTERS = 7n;
/** Pages fenced one by one; for more, everything is. */
const FENCED_PAGES = 64n;
const A0 = 10;

/** The control registers as a kernel finds them when nothing runs in machine mode; the caller tells whoever translates addresses. */
export function enterSupervisor(state: DataView): void {
  for (const [name, value] of Object.entries(SUPERVISOR_DELEGATION)) {
    writeCsrSlot(state, Slot[name as keyof typeof SUPERVISOR_DELEGATION], value);
  }
  writeCsrSlot(state, Slot.menvcfg, ENVIRONMENT);
  writeCsrSlot(state, Slot.scounteren, USER_COUNTERS);
  writeCsrSlot(state, Slot.stimecmp, NEVER);
  writeCsrSlot(state, Slot.pmpConfiguration, OPEN);
  writeCsrSlot(state, Slot.pmpAddress, NEVER >> 10n);
  state.setUint32(PRIVILEGE.offset, Privilege.supervisor, true);
}

export function supervisorEnvironment(options: EnvironmentOptions): SbiMachine {
  const { state, mmu, hooks, consoleWrite, consoleRead, systemReset } = options;
  const bit = 1 << Interrupt.supervisorSoftware;
  // Only what software has set: the lines of devices must not stay in it when they fall.
  const pend = (raised: boolean): void => {
    const bits = readCsrWord(state, Slot.mip);
    writeCsrSlot(state, Slot.mip, BigInt(raised ? bits | bit : bits & ~bit));
  };
  const wait = (): void => state.setInt32(WAITING.offset, 1, true);
  return {
    harts: 1,
    memory: mmu.bus,
    consoleWrite,
    consoleRead,
    setTimer: (_, deadline) => writeCsrSlot(state, Slot.stimecmp, deadline),
    raiseSoftwareInterrupt: () => pend(true),
    clearSoftwareInterrupt: () => {
      const was = (pendingBits(state) & bit) !== 0;
      pend(false);
      return was;
    },
    fence: (_, fence) => fenceHart(hooks, fence),
    hartState: () => HartState.started,
    startHart: () => assert(false, 'the only hart is never stopped and asked to start'),
    stopHart: () => {
      // Nobody is left to start it.
      writeCsrSlot(state, Slot.mie, 0n);
      wait();
    },
    suspendHart: (hart, resume) => {
      wait();
      if (resume === undefined) return;
      // "Hart start" has the same: no translation, no interrupts, supervisor mode.
      writeCsrSlot(state, Slot.satp, 0n);
      writeCsrSlot(state, Slot.mstatus, 0n);
      state.setBigUint64(StateOffset.pc, resume.address, true);
      state.setBigUint64(X.offset + X.stride * A0, BigInt(hart), true);
      state.setBigUint64(X.offset + X.stride * (A0 + 1), resume.argument, true);
      hooks.translationChanged();
    },
    systemReset,
    readVirtual: (_, address) => {
      const low = Number(BigInt.asIntN(32, address));
      const high = Number(BigInt.asIntN(32, address >> 32n));
      if (mmu.read64(low, high) !== 0) return undefined;
      return (BigInt(mmu.high >>> 0) << 32n) | BigInt(mmu.low >>> 0);
    },
  };
}

function fenceHart(hooks: SystemHooks, fence: RemoteFence): void {
  // Blocks see stores to code as they are made: nothing is left to do for instructions.
  if (fence.kind === 'instructions') return;
  const asid = fence.asid === undefined ? undefined : Number(fence.asid);
  const { start, size } = fence;
  const page = BigInt(PAGE_SIZE);
  if (start === undefined || size === undefined || size > FENCED_PAGES * page) return hooks.fence(undefined, asid);
  for (let address = start & -page; address < start + size; address += page) {
    hooks.fence(BigInt.asUintN(64, address), asid);
  }
}
