/** Loops over accesses by the MMU, and loops that are none: what the first are held against. */
import type { Mmu } from '../../emulator/memory/mmu.ts';
import { mappedMachine, pageAddresses } from './mapped.ts';

const PAGES = 64;
/** In one call of a loop. */
export const ACCESSES = 4096;

/** Offset of each access in its page, by what it is like. */
export const ALIGNMENTS: Readonly<Record<string, (bytes: number) => number>> = {
  aligned: () => 64,
  misaligned: () => 65,
  'page-crossing': (bytes) => 4096 - bytes / 2,
};

export type Run = (mmu: Mmu, low: number, high: number) => number;
const WORDS = new Int32Array(4);
export const READS: Readonly<Record<number, Run>> = {
  1: (mmu, low, high) => mmu.read8(low, high),
  2: (mmu, low, high) => mmu.read16(low, high),
  4: (mmu, low, high) => mmu.read32(low, high),
  8: (mmu, low, high) => mmu.read64(low, high),
  16: (mmu, low, high) => mmu.read128(low, high, WORDS, 0),
};
export const WRITES: Readonly<Record<number, Run>> = {
  1: (mmu, low, high) => mmu.write8(low, high, low),
  2: (mmu, low, high) => mmu.write16(low, high, low),
  4: (mmu, low, high) => mmu.write32(low, high, low),
  8: (mmu, low, high) => mmu.write64(low, high, low, high),
  16: (mmu, low, high) => mmu.write128(low, high, WORDS, 0),
};

/** A loop with what it works on; gives something that depends on all it did, for accesses 0 unless one has faulted. */
export type Load = () => number;

/**
 * A loop around one kind of access. It is made anew for each benchmark: shared, its call would serve all of them, and none would be
 * measured as a caller of one kind has it.
 */
export function accessLoad(run: Run, bytes: number, alignment: string): Load {
  const { mmu } = mappedMachine({ pages: PAGES + 2 });
  const addresses = pageAddresses(PAGES);
  for (let i = 0; i < addresses.length; i += 2) addresses[i]! += ALIGNMENTS[alignment]!(bytes);
  const step = alignment === 'page-crossing' ? 0 : 16;
  const body = `let faults = 0;
    for (let i = 0; i < ${ACCESSES}; i++) {
      const at = (i & ${PAGES - 1}) << 1;
      faults |= run(mmu, addresses[at] + (i >> 6) * ${step}, addresses[at + 1]);
    }
    return faults;`;
  const loop = new Function('run', `return (mmu, addresses) => { ${body} }`)(run) as (
    mmu: Mmu,
    addresses: Int32Array,
  ) => number;
  return () => loop(mmu, addresses);
}

/** Loops without emulator: loads of two words from an array in the order of the accesses, and arithmetic that keeps all of a core's units busy. */
export const CONTROLS: Readonly<Record<string, () => Load>> = {
  array: () => {
    const words = new Int32Array(1 << 17).fill(1);
    const addresses = pageAddresses(PAGES);
    return () => {
      let sum = 0;
      for (let i = 0; i < ACCESSES; i++) {
        const word = ((addresses[(i & (PAGES - 1)) << 1]! >>> 2) + (i >> 6) * 4) & (words.length - 2);
        sum += words[word]! + words[word + 1]!;
      }
      return sum;
    };
  },
  arithmetic: () => {
    let seed = 1;
    return () => {
      let [a, b, c, d] = [seed, seed ^ 5, seed ^ 77, seed ^ 99];
      for (let i = 0; i < ACCESSES; i++) {
        a = ((a ^ (b << 3)) + i) | 0;
        b = ((b ^ (b >>> 5)) + a) | 0;
        c = ((c ^ (d << 3)) + i) | 0;
        d = ((d ^ (d >>> 5)) + 7) | 0;
        a ^= c >>> 3;
      }
      seed = a ^ b ^ c ^ d;
      return seed;
    };
  },
};
