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
  /** The range asked about last, as far as one entry (or none) decides alone: one page table is walked again and again. */
  windowFrom = Infinity;
  windowTo = 0;
  #machine = 0;
  #others = 0;
  readonly #active: number[] = [];
  /** How often the entries were taken over: answers hold as long as it stays. */
  revision = 0;

  /**
   * Takes over all entries: `configuration` one byte each, as in pmpcfg; `address` the values of pmpaddr (bits 55…2 of an address).
   */
  configure(configuration: ArrayLike<number>, address: readonly bigint[]): void {
    this.#active.length = 0;
    this.revision++;
    this.windowFrom = Infinity;
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
    const permitted = this.permissionsOf(gpa, length, machine);
    return permitted !== PMP_MIXED && (permitted & access) !== 0;
  }

  /** The Access bits that hold for every byte of [gpa, gpa + length), or PMP_MIXED when a boundary runs through it. */
  permissionsOf(gpa: number, length: number, machine: boolean): number {
    const end = gpa + length;
    if ((gpa < this.windowFrom || end > this.windowTo) && !this.#findWindow(gpa, end)) return PMP_MIXED;
    return machine ? this.#machine : this.#others;
  }

  /** Sets the window around [gpa, end); false when a boundary runs through that. */
  #findWindow(gpa: number, end: number): boolean {
    let from = 0;
    let to = Infinity;
    for (const entry of this.#active) {
      const low = this.#low[entry]!;
      const high = this.#high[entry]!;
      if (end <= low) to = Math.min(to, low);
      else if (gpa >= high) from = Math.max(from, high);
      else if (gpa < low || end > high) return false;
      else {
        const flags = this.#flags[entry]!;
        this.windowFrom = Math.max(from, low);
        this.windowTo = Math.min(to, high);
        this.#others = flags & ALL;
        this.#machine = (flags & LOCKED) === 0 ? ALL : flags & ALL;
        return true;
      }
    }
    this.windowFrom = from;
    this.windowTo = to;
    this.#others = 0;
    this.#machine = ALL;
    return true;
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
