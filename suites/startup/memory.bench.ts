import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { defineBench } from '../harness/define-bench.ts';

const SCRIPT = join(import.meta.dirname, 'overhead.ts');
const TITLES = {
  first: 'resident memory that the first machine of a process adds beyond guest pages',
  further: 'resident memory that each further machine adds beyond guest pages',
};

for (const [which, title] of Object.entries(TITLES)) {
  defineBench({
    id: `startup/memory/${which}-machine`,
    title,
    unit: 'KiB',
    kind: 'memory',
    direction: 'lower',
    engine: 'tinybench',
    selfMeasured: true,
    inputs: ['overhead.ts'],
    target: { value: 1024, from: 'REQUIREMENTS E13' },
    work: async () => Number((await promisify(execFile)(process.execPath, [SCRIPT, which])).stdout),
    check: (_, kibibytes) => assert(Number.isFinite(kibibytes)),
  });
}
