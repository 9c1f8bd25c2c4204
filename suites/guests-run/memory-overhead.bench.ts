import assert from 'node:assert/strict';
import { defineBench } from '../harness/define-bench.ts';
import { memoryUse, overheadOf } from './memory-overhead.ts';

/** One guest with many regions, one with much memory, and a program that generates code for ever. */
const NAMES = ['dhry', 'chase', 'generated-code'];

// What is resident is read from /proc.
if (process.platform === 'linux') {
  for (const name of NAMES) {
    defineBench({
      id: `guests/memory/${name}`,
      title: `resident memory of the engine while ${name} runs, beyond the guest's pages and the runtime's own`,
      unit: 'KiB',
      kind: 'memory',
      direction: 'lower',
      engine: 'tinybench',
      selfMeasured: true,
      tags: ['riscv64'],
      inputs: ['memory-overhead.ts', 'generated-code.ts', 'guest-run.ts'],
      target: { value: 64 * 1024, from: 'issue 3, speed' },
      work: async () => overheadOf(await memoryUse(name, 'quick', 'auto')),
      check: (_, kibibytes) => assert((kibibytes as number) > 0),
    });
  }
}
