import assert from 'node:assert/strict';
import { join } from 'node:path';
import { harnessVersion } from '../harness/fingerprint.ts';
import { defineBench } from '../harness/define-bench.ts';

const cli = join(import.meta.dirname, '..', '..', 'scripts', 'cli.ts');

defineBench({
  id: 'harness/start-up/version',
  title: 'the command line answers --version',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'process',
  target: { value: 500, from: 'issue 2, section A' },
  inputs: ['../../scripts/cli.ts'],
  process: () => ({ argv: ['node', cli, '--version'], metric: 'wall' }),
  check: (_, output) => assert.equal(output, `${harnessVersion()}\n`),
});

defineBench({
  id: 'harness/start-up/version-memory',
  title: 'peak memory of --version',
  unit: 'MiB',
  kind: 'memory',
  direction: 'lower',
  engine: 'process',
  process: () => ({ argv: ['node', cli, '--version'], metric: 'peak-memory' }),
  check: (_, output) => assert.equal(output, `${harnessVersion()}\n`),
});
