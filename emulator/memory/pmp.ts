import type { Access } from './regime.ts';

export const PMP_ENTRIES = 16;
const MATCHING = { off: 0, topOfRange: 1, fourBytes: 2, powerOfTwo: 3 } as const;
const LOCKED = 0x80;
const ALL = 7;
/** No one answer for all bytes. */
export const PMP_MIXED = -1;

/**
 * Physical memory protection (RISC-V Privileged ISA, "Physical Memory Protection"): 16 entries, the lowest-numbered match decides.
 * Addresses are numbers; above 2^53 they are rounded, where no memory is anyway.
 */
export class Pmp {
  readonly #low = new Float64Array(PMP_ENTRIES);
  readonly #high = new Float64Array(PMP_ENTRIES);
  /** Permission bits (Access) and LOCKED. */
  readonly #flags = new Uint8Array(PMP_ENTRIES);
  readonly #active: number[] = [];

  /**
   * Takes over all entries: `configuration` one byte each, as in pmpcfg; `address` the values of pmpaddr (bits 55…2 of an address).
   */
  configure(configuration: ArrayLike<number>, address: readonly bigint[]): void {
    this.#active.length = 0;
    for (let entry = 0; entry < PMP_ENTRIES; entry++) {
      const byte = configuration[entry] ?? 0;
      const encoded = address[entry] ?? 0n;
      const range = rangeOf((byte >> 3) & 3, encoded, entry === 0 ? 0n : (address[entry - 1] ?? 0n));
      if (range === undefined) continue;
      this.#low[entry] = Number(range[0]);
      this.#high[entry] = Number(range[1]);
      this.#flags[entry] = byte & (LOCKED | ALL);
      this.#active.push(entry);
    }
  }

  /** Whether [gpa, gpa + length) may be accessed. An access that an entry matches in part fails. */
  allows(gpa: number, length: number, access: Access, machine: boolean): boolean {
    const end = gpa + length;
    const active = this.#active;
    for (let i = 0; i < active.length; i++) {
      const entry = active[i]!;
      const low = this.#low[entry]!;
      const high = this.#high[entry]!;
      if (end <= low || gpa >= high) continue;
      if (gpa < low || end > high) return false;
      const flags = this.#flags[entry]!;
      return (machine && (flags & LOCKED) === 0) || (flags & access) !== 0;
    }
    return machine;
  }

  /** The Access bits that hold for every byte of [gpa, gpa + length), or PMP_MIXED when a boundary runs through it. */
  permissionsOf(gpa: number, length: number, machine: boolean): number {
    const end = gpa + length;
    const active = this.#active;
    for (let i = 0; i < active.length; i++) {
      const entry = active[i]!;
      const low = this.#low[entry]!;
      const high = this.#high[entry]!;
      if (end <= low || gpa >= high) continue;
      if (gpa < low || end > high) return PMP_MIXED;
      const flags = this.#flags[entry]!;
      return machine && (flags & LOCKED) === 0 ? ALL : flags & ALL;
    }
    return machine ? ALL : 0;
  }
}

/** Byte addresses [low, high) of an entry, or undefined when it is off or empty. */
function rangeOf(matching: number, address: bigint, previous: bigint): readonly [bigint, bigint] | undefined {
  switch (matching) {
    case MATCHING.off:
      return undefined;
    case MATCHING.topOfRange:
      return previous < address ? [previous << 2n, address << 2n] : undefined;
    case MATCHING.fourBytes:
      return [address << 2n, (address << 2n) + 4n];
    default: {
      // The number of low ones tells the size: none for 8 bytes, one more for each doubling.
      const ones = address & ~(address + 1n);
      const low = (address & ~ones) << 2n;
      return [low, low + ((ones + 1n) << 3n)];
    }
  }
}
