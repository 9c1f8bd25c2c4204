/** Result documents for tests and for benchmarks of this folder; every figure is arbitrary. */
import type { BenchmarkFacts, Fingerprint, Measurement } from '../suites/harness/measurement.ts';
import { buildResultDocument } from './schema.ts';
import type { ResultDocument, RunFacts } from './schema.ts';

export const SAMPLE_FINGERPRINT: Fingerprint = {
  cpu: 'Sample CPU 3000',
  cores: 2,
  memoryMiB: 8192,
  os: 'Linux 6.1',
  arch: 'x64',
  runtime: 'node 26.10.0',
  v8: '14.0',
  flags: ['--single-threaded'],
  harness: '0.1.0',
};

export function sampleFacts(id: string, changes: Partial<BenchmarkFacts> = {}): BenchmarkFacts {
  return {
    id,
    title: `Sample ${id}`,
    unit: 'ns',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    aliases: [],
    tags: [],
    sourceHash: 'a'.repeat(64),
    ...changes,
  };
}

export function sampleMeasurement(id: string, changes: Partial<Measurement> = {}): Measurement {
  return {
    ...sampleFacts(id),
    samples: [100, 101, 102, 100, 101, 103, 100, 101, 102, 101],
    counters: { 'guest-instructions': 1000 },
    conditions: { 'gc-events': 0 },
    ...changes,
  };
}

export function sampleDocument(
  changes: Partial<Omit<RunFacts, 'measurements'>> = {},
  measurements: readonly Measurement[] = [sampleMeasurement('decode/riscv/all')],
): ResultDocument {
  return buildResultDocument({
    runId: 'sample-1',
    startedAt: '2026-01-02T03:04:05.000Z',
    commit: '1'.repeat(40),
    dirty: false,
    profile: 'quick',
    fingerprint: SAMPLE_FINGERPRINT,
    measurements,
    ...changes,
  });
}
