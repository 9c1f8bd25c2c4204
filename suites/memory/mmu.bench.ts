import assert from 'node:assert/strict';
import { defineBench } from '../harness/define-bench.ts';
import { ACCESSES, accessLoad, ALIGNMENTS, CONTROLS, type Load, READS, WRITES } from './mmu-load.ts';

/** 1 GiB/s. */
const TARGET = { value: 1024, from: 'issue 4' };

const common = {
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'mitata',
  waits: false,
  inputs: ['mapped.ts', 'mmu-load.ts'],
  work: (load: Load) => load(),
} as const;

for (const [direction, runs, control] of [
  ['read', READS, 'arithmetic'],
  ['write', WRITES, 'array'],
] as const) {
  for (const [width, run] of Object.entries(runs)) {
    const bytes = Number(width);
    for (const alignment of Object.keys(ALIGNMENTS)) {
      if (bytes === 1 && alignment !== 'aligned') continue;
      defineBench<Load>({
        ...common,
        id: `memory/mmu/${direction}/${bytes}-bytes/${alignment}`,
        title: `${direction} ${bytes} bytes at virtual addresses, ${alignment.replace('-', ' ')}`,
        ...(bytes === 8 && alignment === 'aligned' ? { target: TARGET } : {}),
        setup: () => accessLoad(run, bytes, alignment),
        items: () => ACCESSES * bytes,
        check: (_, faults) => assert.equal(faults, 0),
      });
    }
  }
  defineBench<Load>({
    ...common,
    id: `memory/mmu/control/${control}`,
    title: `${control} without emulator, among the accesses: the outliers that the machine makes`,
    setup: CONTROLS[control]!,
    items: () => ACCESSES * 8,
    check: (_, result) => assert.notEqual(result, 0),
  });
}
