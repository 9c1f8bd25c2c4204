import { NO_RAM, type Bus } from './bus.ts';
import type { OpenRam } from './open-ram.ts';
import type { Pmp } from './pmp.ts';
import { Access, PrivilegeMode, type Regime } from './regime.ts';

/** Bits of a page-table entry (RISC-V Privileged ISA, "Sv39: Page-Based 39-bit Virtual-Memory System", "Addressing and Memory Protection"). */
export const Pte = {
  valid: 1,
  read: 2,
  write: 4,
  execute: 8,
  user: 16,
  global: 32,
  accessed: 64,
  dirty: 128,
} as const;

/** Added to the low word of an entry: the page after its page. */
const NEXT_PAGE = 1 << 10;
/** The high word's parts: page number 53…32, reserved 60…54, memory type 62…61 (Svpbmt), contiguity 63 (Svnapot). */
const HIGH_PAGE = 0x3f_ffff;
const RESERVED = 0x1fc0_0000;
const MEMORY_TYPE = 0x6000_0000;
const NAPOT = 0x8000_0000 | 0;
/** What only a leaf may have set in its low byte. */
const LEAF_ONLY = Pte.user | Pte.accessed | Pte.dirty;
const NAPOT_PAGES = 16;

export const Walk = { done: 0, pageFault: 1, accessFault: 2 } as const;
export type Walk = (typeof Walk)[keyof typeof Walk];

/** Pages covered by a leaf of each level. */
export const LEVEL_PAGES: readonly number[] = [1, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36];

/**
 * Walks Sv39, Sv48 and Sv57 page tables: the same entries on three, four and five levels. Virtual addresses are given as halves, int32
 * each. What was found is left in the fields.
 */
export class SvWalker {
  /** Physical page number of the address itself, not of the large page around it. */
  page = 0;
  /** Low byte of the leaf. */
  flags = 0;
  /** Level of the leaf: 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB, 3 for 512 GiB, 4 for 256 TiB. */
  level = 0;
  /** The leaf is one of the 16 of a 64 KiB range (Svnapot). */
  contiguous = false;
  /** Linear and physical address of the leaf. */
  entry = 0;
  entryAddress = 0;
  /** Page-table entries read since the walker was made. */
  steps = 0;
  readonly #bus: Bus;
  readonly #pmp: Pmp;
  readonly #open: OpenRam;
  readonly #words: Int32Array<ArrayBuffer>;

  /** `open`: of the same bus and protection. */
  constructor(memory: WebAssembly.Memory, bus: Bus, pmp: Pmp, open: OpenRam) {
    this.#bus = bus;
    this.#pmp = pmp;
    this.#open = open;
    this.#words = new Int32Array(memory.buffer as ArrayBuffer);
  }

  /** Translates for an access at a privilege, which is not machine mode. Accessed and dirty bits are set or missed as the regime says. */
  walk(low: number, high: number, access: Access, privilege: number, regime: Regime): Walk {
    const { levels } = regime;
    if (!isCanonical(high, levels)) return Walk.pageFault;
    let table = regime.rootPage;
    for (let level = levels - 1; level >= 0; level--) {
      const index = tableIndex(low, high, level);
      const gpa = table * 4096 + index * 8;
      let linear = this.#open.at(gpa, 8);
      if (linear === NO_RAM) {
        linear = this.#bus.ramAt(gpa, 8);
        // A table outside RAM, or one that supervisor mode may not read, is an access fault ("Virtual Address Translation Process", step 2).
        if (linear === NO_RAM || !this.#pmp.allows(gpa, 8, Access.read, false)) return Walk.accessFault;
      }
      this.steps++;
      const lowWord = this.#words[linear >>> 2]!;
      const highWord = this.#words[(linear >>> 2) + 1]!;
      if ((lowWord & Pte.valid) === 0 || (lowWord & (Pte.read | Pte.write)) === Pte.write) return Walk.pageFault;
      if ((highWord & RESERVED) !== 0) return Walk.pageFault;
      const page = (lowWord >>> 10) + (highWord & HIGH_PAGE) * 0x40_0000;
      if ((lowWord & (Pte.read | Pte.execute)) === 0) {
        if ((lowWord & LEAF_ONLY) !== 0 || (highWord & (MEMORY_TYPE | NAPOT)) !== 0) return Walk.pageFault;
        table = page;
        continue;
      }
      return this.#leaf(low, high, lowWord, highWord, page, level, linear, access, privilege, regime, gpa);
    }
    // A pointer where only a leaf can be.
    return Walk.pageFault;
  }

  /**
   * Whether the leaf after the one found last may be used as it is, for a prefetch: on success the fields describe it. Only one in the same
   * table is looked at, and nothing is written.
   */
  nextLeaf(regime: Regime): boolean {
    if (this.level !== 0 || this.contiguous || (this.entry & 0xff8) === 0xff8) return false;
    const gpa = this.entryAddress + 8;
    if (!this.#pmp.allows(gpa, 8, Access.read, false)) return false;
    const linear = this.entry + 8;
    this.steps++;
    const lowWord = this.#words[linear >>> 2]!;
    const highWord = this.#words[(linear >>> 2) + 1]!;
    const needed = Pte.valid | Pte.accessed;
    if ((lowWord & needed) !== needed || (lowWord & (Pte.read | Pte.write)) === Pte.write) return false;
    if ((lowWord & (Pte.read | Pte.execute)) === 0 || (highWord & (RESERVED | NAPOT)) !== 0) return false;
    if (!memoryTypeIsLegal(highWord, regime)) return false;
    this.page = (lowWord >>> 10) + (highWord & HIGH_PAGE) * 0x40_0000;
    this.flags = lowWord & 0xff;
    this.entry = linear;
    this.entryAddress = gpa;
    return true;
  }

  /**
   * Of the leaves after the one found last, in the same table and at most `limit`: how many differ from the one before them in nothing but that
   * they lead to the page after its page, all of them in RAM that is open to everyone, from a linear address on. They may be used as the one
   * found last may, and the last of them then is that one.
   */
  leafRun(linear: number, limit: number): number {
    if (this.level !== 0 || this.contiguous) return 0;
    const most = Math.min(limit, 511 - ((this.entry & 0xff8) >>> 3));
    if (most === 0 || this.#open.at(this.entryAddress + 8, 8 * most) === NO_RAM) return 0;
    const words = this.#words;
    const first = this.entry >>> 2;
    let lowWord = words[first]!;
    const highWord = words[first + 1]!;
    // What was copied meanwhile may have changed the entry.
    const page = (lowWord >>> 10) + (highWord & HIGH_PAGE) * 0x40_0000;
    if ((lowWord & 0xff) !== this.flags || page !== this.page) return 0;
    let count = 0;
    while (count < most) {
      const at = first + 2 * (count + 1);
      lowWord = (lowWord + NEXT_PAGE) | 0;
      // Where the sum wraps, page numbers go on in the high word.
      if (lowWord >>> 10 === 0 || words[at] !== lowWord || words[at + 1] !== highWord) break;
      count++;
    }
    if (count === 0 || this.#open.at((page + 1) * 4096, count * 4096) !== linear) return 0;
    this.steps += count;
    this.page += count;
    this.entry += 8 * count;
    this.entryAddress += 8 * count;
    return count;
  }

  /** Whether the leaf found last permits an access as it is, its accessed and dirty bits included. */
  permits(access: Access, privilege: number, regime: Regime): boolean {
    const wanted = access === Access.write ? Pte.accessed | Pte.dirty : Pte.accessed;
    return (this.flags & wanted) === wanted && leafAllows(this.flags, access, privilege, regime);
  }

  #leaf(
    low: number,
    high: number,
    lowWord: number,
    highWord: number,
    page: number,
    level: number,
    linear: number,
    access: Access,
    privilege: number,
    regime: Regime,
    gpa: number,
  ): Walk {
    if (!memoryTypeIsLegal(highWord, regime)) return Walk.pageFault;
    const contiguous = highWord < 0;
    if (contiguous) {
      // Only 64 KiB ranges are defined: their page number ends in 1000 ("Svnapot" Extension, encoding table).
      if (level !== 0 || (page & 15) !== 8) return Walk.pageFault;
    } else if (level !== 0 && page % LEVEL_PAGES[level]! !== 0) {
      return Walk.pageFault;
    }
    if (!leafAllows(lowWord, access, privilege, regime)) return Walk.pageFault;
    const wanted = access === Access.write ? Pte.accessed | Pte.dirty : Pte.accessed;
    let flags = lowWord & 0xff;
    if ((flags & wanted) !== wanted) {
      if (!regime.updateAccessedDirty) return Walk.pageFault;
      if (!this.#pmp.allows(gpa, 8, Access.write, false)) return Walk.accessFault;
      this.#words[linear >>> 2] = lowWord | wanted;
      flags |= wanted;
    }
    this.page = contiguous
      ? page - 8 + (pageNumberLow(low, high) & (NAPOT_PAGES - 1))
      : page + pageWithin(low, high, level);
    this.flags = flags;
    this.level = level;
    this.contiguous = contiguous;
    this.entry = linear;
    this.entryAddress = gpa;
    return Walk.done;
  }
}

/** Whether a leaf with these flags may be used so (step 6 of the translation process); accessed and dirty bits are another matter. */
function leafAllows(flags: number, access: Access, privilege: number, regime: Regime): boolean {
  if ((flags & Pte.user) !== 0) {
    if (privilege === PrivilegeMode.supervisor && (access === Access.execute || !regime.supervisorUserMemory)) {
      return false;
    }
  } else if (privilege === PrivilegeMode.user) {
    return false;
  }
  switch (access) {
    case Access.read:
      return (flags & Pte.read) !== 0 || (regime.makeExecutableReadable && (flags & Pte.execute) !== 0);
    case Access.write:
      return (flags & Pte.write) !== 0;
    default:
      return (flags & Pte.execute) !== 0;
  }
}

/** Bits 63…39 (47, 56) must all equal the bit below them. */
export function isCanonical(high: number, levels: number): boolean {
  // The highest bit that counts is bit 38, 47 or 56: 6, 15 or 24 of the high word.
  const unused = 31 - (9 * levels - 21);
  return (high << unused) >> unused === high;
}

function memoryTypeIsLegal(highWord: number, regime: Regime): boolean {
  const type = highWord & MEMORY_TYPE;
  return type === 0 || (regime.pageMemoryTypes && type !== MEMORY_TYPE);
}

function pageNumberLow(low: number, high: number): number {
  return (low >>> 12) | (high << 20);
}

/** How many 4 KiB pages the address is from the start of the large page of `level` around it. */
export function pageWithin(low: number, high: number, level: number): number {
  switch (level) {
    case 0:
      return 0;
    case 1:
      return pageNumberLow(low, high) & 0x1ff;
    case 2:
      return pageNumberLow(low, high) & 0x3_ffff;
    case 3:
      return pageNumberLow(low, high) & 0x7ff_ffff;
    default:
      return (pageNumberLow(low, high) >>> 0) + ((high >>> 12) & 0xf) * 0x1_0000_0000;
  }
}

function tableIndex(low: number, high: number, level: number): number {
  switch (level) {
    case 0:
      return (low >>> 12) & 0x1ff;
    case 1:
      return (low >>> 21) & 0x1ff;
    case 2:
      return ((low >>> 30) | (high << 2)) & 0x1ff;
    case 3:
      return (high >>> 7) & 0x1ff;
    default:
      return (high >>> 16) & 0x1ff;
  }
}
