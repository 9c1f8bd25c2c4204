import type { HelperContext } from '../instruction.ts';
import { type Csr, Effect, fixed } from './csr-row.ts';
import { CSR_STORAGE } from './registers.ts';
import { readCsrSlot, Slot, writeCsrSlot } from './csr-storage.ts';

const ENTRIES = 16;
const LOCKED = 0x80;
/** A (matching) of a configuration byte; this one takes its lower end from the entry before. */
const MATCHING = 0x18;
const TOP_OF_RANGE = 0x08;
const READ = 1;
const WRITE = 2;
const ADDRESS = (1n << 54n) - 1n;

const configurationOffset = (entry: number): number =>
  CSR_STORAGE.offset + CSR_STORAGE.stride * Slot.pmpConfiguration + entry;

/** Eight entries' configuration; bytes of locked entries keep their values ("Physical Memory Protection CSRs"). */
function configuration(register: number): Csr {
  const first = 4 * register;
  return {
    name: `pmpcfg${register}`,
    read: ({ state }) => state.getBigUint64(configurationOffset(first), true),
    write: ({ state }, value) => {
      for (let i = 0; i < 8; i++) {
        const offset = configurationOffset(first + i);
        if ((state.getUint8(offset) & LOCKED) !== 0) continue;
        let byte = Number((value >> BigInt(8 * i)) & 0x9fn);
        // Writable but not readable is reserved.
        if ((byte & (READ | WRITE)) === WRITE) byte &= ~WRITE;
        state.setUint8(offset, byte);
      }
    },
    effect: Effect.protection,
  };
}

function address(entry: number): Csr {
  const slot = Slot.pmpAddress + entry;
  const locked = ({ state }: HelperContext): boolean => {
    const own = state.getUint8(configurationOffset(entry));
    const next = entry + 1 < ENTRIES ? state.getUint8(configurationOffset(entry + 1)) : 0;
    return (own & LOCKED) !== 0 || ((next & LOCKED) !== 0 && (next & MATCHING) === TOP_OF_RANGE);
  };
  return {
    name: `pmpaddr${entry}`,
    read: ({ state }) => readCsrSlot(state, slot),
    write: (context, value) => {
      if (!locked(context)) writeCsrSlot(context.state, slot, value & ADDRESS);
    },
    effect: Effect.protection,
  };
}

/** 16 entries; the registers of the 48 others read as zero. */
export const PMP_CSRS: readonly (readonly [number, Csr])[] = [
  ...[...Array(8).keys()].map(
    (n) => [0x3a0 + 2 * n, n < 2 ? configuration(2 * n) : fixed(`pmpcfg${2 * n}`, 0n)] as const,
  ),
  ...[...Array(64).keys()].map((n) => [0x3b0 + n, n < ENTRIES ? address(n) : fixed(`pmpaddr${n}`, 0n)] as const),
];
