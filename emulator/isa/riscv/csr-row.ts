import type { HelperContext } from '../instruction.ts';
import { readCsrSlot, Slot, writeCsrSlot } from './csr-storage.ts';

/** What a write may have changed beside the register. */
export const Effect = {
  none: 0,
  /** How addresses are translated. */
  translation: 1,
  /** From where instructions are fetched: translation, at once. */
  fetch: 2,
  protection: 4,
  /** Which interrupts are pending or enabled. */
  interrupts: 8,
} as const;

/** One control and status register. A register without `write` ignores writes (WARL with one legal value). */
export interface Csr {
  readonly name: string;
  readonly read: (context: HelperContext) => bigint;
  readonly write?: (context: HelperContext, value: bigint) => void;
  /** Effect bits. */
  readonly effect?: number;
}

export const EVERY_BIT = (1n << 64n) - 1n;

/** A register whose value lies in a slot; of which only some bits can be written. */
export function stored(name: string, slot: number, writable: bigint = EVERY_BIT, effect: number = Effect.none): Csr {
  return {
    name,
    read: ({ state }) => readCsrSlot(state, slot),
    write: ({ state }, value) => writeCsrSlot(state, slot, (readCsrSlot(state, slot) & ~writable) | (value & writable)),
    effect,
  };
}

export function fixed(name: string, value: bigint): Csr {
  return { name, read: () => value };
}

export function word(name: string, offset: number, mask: number): Csr {
  return {
    name,
    read: ({ state }) => BigInt(state.getUint32(offset, true)),
    write: ({ state }, value) => state.setUint32(offset, Number(value & BigInt(mask)), true),
  };
}

/** The same register under a number that only reads it. */
export function readOnlyView(name: string, of: Csr): Csr {
  return { name, read: of.read };
}

/** Part of another register, which may be written too. */
export function view(name: string, of: Csr, visible: (state: DataView) => bigint): Csr {
  return {
    name,
    read: (context) => of.read(context) & visible(context.state),
    write: (context, value) => {
      const mask = visible(context.state);
      of.write?.(context, (of.read(context) & ~mask) | (value & mask));
    },
    effect: of.effect ?? Effect.none,
  };
}

/**
 * A counter of retired instructions. A write takes effect after this instruction, which then is not counted. While the bit of mcountinhibit
 * is set the slot holds the value itself (Privileged ISA, "Machine Counter-Inhibit Register").
 */
export function counter(name: string, slot: number, bit: number): Csr {
  return {
    name,
    read: ({ state, retired }) => {
      const kept = readCsrSlot(state, slot);
      return inhibited(state, bit) ? kept : BigInt.asUintN(64, retired() + kept);
    },
    write: ({ state, retired }, value) =>
      writeCsrSlot(state, slot, inhibited(state, bit) ? value : value - retired() - 1n),
  };
}

/** Stops and starts counters: those of `slots`, by their bit. */
export function counterInhibit(name: string, slots: readonly (readonly [bit: number, slot: number])[]): Csr {
  const mask = slots.reduce((bits, [bit]) => bits | (1n << BigInt(bit)), 0n);
  return {
    name,
    read: ({ state }) => readCsrSlot(state, Slot.mcountinhibit),
    write: ({ state, retired }, value) => {
      // The instruction that stops a counter is still counted, the one that starts it is not.
      const now = retired() + 1n;
      for (const [bit, slot] of slots) {
        const stops = ((value >> BigInt(bit)) & 1n) === 1n;
        if (stops === inhibited(state, bit)) continue;
        const kept = readCsrSlot(state, slot);
        writeCsrSlot(state, slot, stops ? kept + now : kept - now);
      }
      writeCsrSlot(state, Slot.mcountinhibit, value & mask);
    },
  };
}

function inhibited(state: DataView, bit: number): boolean {
  return ((readCsrSlot(state, Slot.mcountinhibit) >> BigInt(bit)) & 1n) === 1n;
}
