import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FuzzSource, fuzzDevice, fuzzRuns } from './fuzz.test-support.ts';
import { HOSTILE_CLASSES, tryClass, tryMalformed } from './hostile.test-support.ts';
import { SUBJECTS } from './subjects-net-gpu-9p.test-support.ts';

for (const subject of SUBJECTS) {
  for (const hostile of HOSTILE_CLASSES)
    test(`${subject.name}: class ${hostile.number}, ${hostile.name}`, () => tryClass(subject, hostile));
  for (const [index, { malformed = [] }] of subject.queues.entries())
    for (const row of malformed)
      test(`${subject.name}, queue ${index}: class ${row.number}, ${row.name}`, () =>
        tryMalformed(subject, index, row));
  test(`${subject.name} survives random chains`, (t) => {
    const source = new FuzzSource();
    t.diagnostic(source.banner);
    const runs = fuzzRuns(10_000);
    const { chains, answered, resets } = fuzzDevice(subject, runs, source);
    t.diagnostic(`${chains} chains, ${answered} answered, ${resets} asked for a reset`);
    assert.equal(chains, runs);
    assert.ok(answered > runs / 10 && resets > runs / 100, source.banner);
  });
}
