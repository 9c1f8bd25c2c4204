import { PrivilegeMode } from '../../emulator/memory/regime.ts';
import { RAM, TestMachine } from '../../emulator/memory/test-machine.ts';
import type { MmuOptions } from '../../emulator/memory/translation.ts';

/** Where the pages are mapped: in the upper half, as kernels are. */
export const WINDOW = 0xffff_ffc0_0000_0000n;
const LEAF = 0xcfn;

export interface MappingOptions extends MmuOptions {
  /** 3 for Sv39 (unless given), 4 for Sv48, 5 for Sv57. */
  readonly levels?: number;
  /** 4 KiB pages from WINDOW up, or large ones of the level below. */
  readonly pages: number;
  /** Of the leaves: 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB; large ones all map the start of RAM. */
  readonly level?: number;
  /** Bytes between the virtual addresses of two pages: 4096, or the large page's size, unless given. */
  readonly stride?: bigint;
  /** Neighbours in virtual memory are no neighbours in RAM. */
  readonly scattered?: boolean;
}

/** A machine in supervisor mode with pages mapped one by one. */
export function mappedMachine(options: MappingOptions): TestMachine {
  const { levels = 3, pages, level = 0, scattered = false } = options;
  const stride = options.stride ?? 4096n << BigInt(9 * level);
  const frames = level === 0 ? pages : 0;
  const tables = pages + 64;
  const size = Math.ceil(((frames + tables) * 4096) / 65536) * 65536;
  const machine = new TestMachine(size, options);
  const root = RAM + frames * 4096;
  let next = root;
  for (let i = 0; i < pages; i++) {
    // An odd multiplier is a permutation where the number of pages is a power of two.
    const frame = scattered ? (i * 0x9e5) % pages : i;
    const gpa = level === 0 ? RAM + 4096 * frame : RAM;
    machine.map(levels, root, WINDOW + stride * BigInt(i), gpa, level, LEAF, () => (next += 4096));
  }
  machine.usePageTable(levels, root, PrivilegeMode.supervisor);
  return machine;
}

/** Halves of the address of each page, one after the other: what the measured loops walk over. */
export function pageAddresses(pages: number, stride = 4096n): Int32Array {
  const halves = new Int32Array(2 * pages);
  for (let i = 0; i < pages; i++) {
    const va = WINDOW + stride * BigInt(i);
    halves[2 * i] = Number(BigInt.asIntN(32, va));
    halves[2 * i + 1] = Number(BigInt.asIntN(32, va >> 32n));
  }
  return halves;
}
