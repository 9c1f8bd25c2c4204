import { StateOffset } from '../layout/state.ts';
import { readNumber, writeNumber, type Abi } from './abi.ts';
import type { FileStatus } from './file.ts';
import { Signal } from './signal.ts';
import { GENERIC_SYSTEM_CALLS } from './system-call-names.ts';
import { ElfMachine } from '../loader/elf.ts';
import { Slot, writeCsrSlot } from '../isa/riscv/csr-storage.ts';
import { F, Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { Cause } from '../isa/riscv/trap.ts';

const x = (index: number): number => X.offset + X.stride * index;
const f = (index: number): number => F.offset + F.stride * index;
const RA = 1;
const SP = 2;
const TP = 4;
const A0 = 10;
const A7 = 17;

/** Where `struct ucontext` of RISC-V Linux keeps the signal mask, the registers (pc, x1…x31), the floating-point registers and fcsr. */
const Context = { mask: 40, registers: 176, floats: 432, fcsr: 688, size: 960 } as const;

/** RISC-V Linux, LP64D (RISC-V ELF psABI; arch/riscv/include/uapi/asm). */
export const riscv64Abi: Abi = {
  elfMachine: ElfMachine.riscv,
  machine: 'riscv64',
  systemCalls: GENERIC_SYSTEM_CALLS,
  initialise: (state) => {
    state.setUint32(PRIVILEGE.offset, Privilege.user, true);
    // Linux lets programs read cycle, time and instret.
    writeCsrSlot(state, Slot.mcounteren, 7n);
    writeCsrSlot(state, Slot.scounteren, 7n);
  },
  callNumber: (state) => readNumber(state, x(A7)),
  argument: (state, index) => readNumber(state, x(A0 + index)),
  setResult: (state, value) => writeNumber(state, x(A0), value),
  stackPointer: (state) => readNumber(state, x(SP)),
  setStackPointer: (state, address) => writeNumber(state, x(SP), address),
  setThreadPointer: (state, address) => writeNumber(state, x(TP), address),
  callCause: Cause.environmentCallFromUser,
  callLength: 4,
  signalOfTrap: (cause) => (cause === Cause.breakpoint ? Signal.SIGTRAP : Signal.SIGILL),
  // A, C, D, F, I, M: bit n stands for the letter.
  hardwareCapabilities: [...'ACDFIM'].reduce((bits, letter) => bits | (1 << (letter.charCodeAt(0) - 65)), 0),
  // li a7, 139 (rt_sigreturn); ecall
  signalReturn: Uint8Array.of(0x93, 0x08, 0xb0, 0x08, 0x73, 0x00, 0x00, 0x00),
  contextSize: Context.size,
  saveContext: (state, frame, mask) => {
    frame.setBigUint64(Context.mask, mask, true);
    frame.setBigUint64(Context.registers, state.getBigUint64(StateOffset.pc, true), true);
    for (let i = 1; i < 32; i++) frame.setBigUint64(Context.registers + 8 * i, state.getBigUint64(x(i), true), true);
    for (let i = 0; i < 32; i++) frame.setBigUint64(Context.floats + 8 * i, state.getBigUint64(f(i), true), true);
    frame.setUint32(
      Context.fcsr,
      (state.getUint32(StateOffset.floatRounding, true) << 5) | state.getUint32(StateOffset.floatFlags, true),
      true,
    );
  },
  restoreContext: (state, frame) => {
    state.setBigUint64(StateOffset.pc, frame.getBigUint64(Context.registers, true), true);
    for (let i = 1; i < 32; i++) state.setBigUint64(x(i), frame.getBigUint64(Context.registers + 8 * i, true), true);
    for (let i = 0; i < 32; i++) state.setBigUint64(f(i), frame.getBigUint64(Context.floats + 8 * i, true), true);
    const fcsr = frame.getUint32(Context.fcsr, true);
    state.setUint32(StateOffset.floatFlags, fcsr & 31, true);
    state.setUint32(StateOffset.floatRounding, (fcsr >> 5) & 7, true);
    return frame.getBigUint64(Context.mask, true);
  },
  enterHandler: (state, handler, signal, info, context, stack, returnTo) => {
    writeNumber(state, StateOffset.pc, handler);
    writeNumber(state, x(RA), returnTo);
    writeNumber(state, x(SP), stack);
    writeNumber(state, x(A0), signal);
    writeNumber(state, x(A0 + 1), info);
    writeNumber(state, x(A0 + 2), context);
  },
  statSize: 128,
  writeStat: writeGenericStat,
};

/** `struct stat` of the generic 64-bit layout (include/uapi/asm-generic/stat.h). */
function writeGenericStat(view: DataView, status: FileStatus): void {
  writeNumber(view, 0, status.device);
  writeNumber(view, 8, status.inode);
  view.setUint32(16, status.mode, true);
  view.setUint32(20, status.links, true);
  writeNumber(view, 32, status.rdev);
  writeNumber(view, 48, status.size);
  view.setInt32(56, 4096, true);
  writeNumber(view, 64, Math.ceil(status.size / 512));
  const time = (offset: number, nanoseconds: bigint) => {
    view.setBigInt64(offset, nanoseconds / 1_000_000_000n, true);
    view.setBigInt64(offset + 8, nanoseconds % 1_000_000_000n, true);
  };
  time(72, status.accessed);
  time(88, status.modified);
  time(104, status.changed);
}
