import assert from 'node:assert/strict';
import { buildResultDocument, parseResultDocument, serializeResultDocument } from '../../reports/schema.ts';
import type { ResultDocument, RunFacts } from '../../reports/schema.ts';
import { defineBench } from '../harness/define-bench.ts';
import { fingerprint } from '../harness/fingerprint.ts';
import type { Measurement } from '../harness/measurement.ts';
import { seededRandom } from '../harness/random.ts';

const BENCHMARKS = 100;
const SAMPLES = 30;

/** A run of 100 benchmarks with 30 samples each, the same on every machine but for its fingerprint. */
function syntheticRun(): RunFacts {
  const random = seededRandom(1);
  const measurements = Array.from({ length: BENCHMARKS }, (_, index): Measurement => {
    const samples = Array.from({ length: SAMPLES }, () => 100 + 5 * random());
    return {
      id: `synthetic/group/bench-${index}`,
      title: `synthetic benchmark ${index}`,
      unit: 'ns',
      kind: 'time',
      direction: 'lower',
      engine: 'mitata',
      aliases: [],
      tags: ['synthetic'],
      sourceHash: 'ab'.repeat(32),
      samples,
      counters: { 'guest-instructions': 1_000_000 + index },
      conditions: { batch: 4096, 'gc-events': 0 },
    };
  });
  return {
    runId: 'synthetic',
    startedAt: '2026-01-02T03:04:05.678Z',
    commit: '12'.repeat(20),
    dirty: false,
    profile: 'quick',
    // The machine enters the document's bytes; what is counted below must not depend on it.
    fingerprint: {
      ...fingerprint(),
      cpu: 'synthetic',
      cores: 2,
      memoryMiB: 4096,
      os: 'any',
      v8: 'any',
      runtime: 'any',
    },
    measurements,
  };
}

defineBench({
  id: 'harness/results/build-100',
  title: 'build the document of 100 benchmarks',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  setup: syntheticRun,
  work: buildResultDocument,
  check: (_, document) => assert.equal((document as ResultDocument).results.length, BENCHMARKS),
});

defineBench({
  id: 'harness/results/parse-100',
  title: 'read and check the document of 100 benchmarks',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  setup: () => serializeResultDocument(buildResultDocument(syntheticRun())),
  work: (text) => parseResultDocument(text, 'suite'),
  check: (_, document) => assert.equal((document as ResultDocument).results.length, BENCHMARKS),
});

defineBench({
  id: 'harness/results/size-100',
  title: 'size of the document of 100 benchmarks',
  unit: 'bytes',
  kind: 'counter',
  direction: 'lower',
  engine: 'counters',
  setup: () => buildResultDocument(syntheticRun()),
  counters: (document) => ({ bytes: Buffer.byteLength(serializeResultDocument(document)) }),
});
