import assert from 'node:assert/strict';
import type { Mmu } from '../../emulator/memory/mmu.ts';
import { defineBench } from '../harness/define-bench.ts';
import { mappedMachine, pageAddresses } from './mapped.ts';

const PAGES = 64;
const ACCESSES = 4096;
/** Offset of each access in its page, by what it is like. */
const ALIGNMENTS: Readonly<Record<string, (bytes: number) => number>> = {
  aligned: () => 64,
  misaligned: () => 65,
  'page-crossing': (bytes) => 4096 - bytes / 2,
};
/** 1 GiB/s. */
const TARGET = { value: 1024, from: 'issue 4' };

type Run = (mmu: Mmu, low: number, high: number) => number;
const WORDS = new Int32Array(4);
const READS: Readonly<Record<number, Run>> = {
  1: (mmu, low, high) => mmu.read8(low, high),
  2: (mmu, low, high) => mmu.read16(low, high),
  4: (mmu, low, high) => mmu.read32(low, high),
  8: (mmu, low, high) => mmu.read64(low, high),
  16: (mmu, low, high) => mmu.read128(low, high, WORDS, 0),
};
const WRITES: Readonly<Record<number, Run>> = {
  1: (mmu, low, high) => mmu.write8(low, high, low),
  2: (mmu, low, high) => mmu.write16(low, high, low),
  4: (mmu, low, high) => mmu.write32(low, high, low),
  8: (mmu, low, high) => mmu.write64(low, high, low, high),
  16: (mmu, low, high) => mmu.write128(low, high, WORDS, 0),
};

/**
 * The loop around one kind of access. It is made anew for each benchmark: shared, its call would serve all of them, and none would be
 * measured as a caller of one kind has it.
 */
function loopOver(run: Run, step: number): (mmu: Mmu, addresses: Int32Array) => number {
  const body = `let faults = 0;
    for (let i = 0; i < ${ACCESSES}; i++) {
      const at = (i & ${PAGES - 1}) << 1;
      faults |= run(mmu, addresses[at] + (i >> 6) * ${step}, addresses[at + 1]);
    }
    return faults;`;
  return new Function('run', `return (mmu, addresses) => { ${body} }`)(run) as (
    mmu: Mmu,
    addresses: Int32Array,
  ) => number;
}

interface State {
  readonly mmu: Mmu;
  readonly addresses: Int32Array;
  readonly loop: (mmu: Mmu, addresses: Int32Array) => number;
}

for (const [direction, runs] of [
  ['read', READS],
  ['write', WRITES],
] as const) {
  for (const [width, run] of Object.entries(runs)) {
    const bytes = Number(width);
    for (const [alignment, offsetOf] of Object.entries(ALIGNMENTS)) {
      if (bytes === 1 && alignment !== 'aligned') continue;
      defineBench<State>({
        id: `memory/mmu/${direction}/${bytes}-bytes/${alignment}`,
        title: `${direction} ${bytes} bytes at virtual addresses, ${alignment.replace('-', ' ')}`,
        unit: 'MiB/s',
        kind: 'throughput',
        direction: 'higher',
        engine: 'mitata',
        waits: false,
        inputs: ['mapped.ts'],
        ...(bytes === 8 && alignment === 'aligned' ? { target: TARGET } : {}),
        setup: () => {
          const { mmu } = mappedMachine({ pages: PAGES + 2 });
          const addresses = pageAddresses(PAGES);
          for (let i = 0; i < addresses.length; i += 2) addresses[i]! += offsetOf(bytes);
          return { mmu, addresses, loop: loopOver(run, alignment === 'page-crossing' ? 0 : 16) };
        },
        work: ({ mmu, addresses, loop }) => loop(mmu, addresses),
        items: () => ACCESSES * bytes,
        check: (_, faults) => assert.equal(faults, 0),
      });
    }
  }
}
