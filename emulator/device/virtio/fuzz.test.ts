import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzDevice, fuzzRuns, FuzzSource } from './fuzz.test-support.ts';
import { SUBJECTS } from './subjects.test-support.ts';

for (const subject of SUBJECTS) {
  test(`${subject.name} survives random chains`, (t) => {
    const source = new FuzzSource();
    t.diagnostic(source.banner);
    const runs = fuzzRuns(10_000);
    const { chains, answered, resets } = fuzzDevice(subject, runs, source);
    t.diagnostic(`${chains} chains, ${answered} answered, ${resets} asked for a reset`);
    assert.equal(chains, runs);
    // A fuzz that never gets past the ring, or never breaks it, tests nothing.
    assert.ok(answered > runs / 10 && resets > runs / 100, source.banner);
  });
}
