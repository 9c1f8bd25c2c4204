import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOSTILE_CLASSES, tryClass, tryMalformed } from './hostile.test-support.ts';
import { SUBJECTS } from './subjects.test-support.ts';

test('the table has every class that is about queues', () => {
  const ofDevices = new Set([31, 32, 33, 34, 35, 36, 37, 38, 39]);
  const numbers = new Set(HOSTILE_CLASSES.map(({ number }) => number));
  for (let number = 1; number <= 51; number++) {
    assert.equal(numbers.has(number), !ofDevices.has(number), `class ${number}`);
  }
});

for (const subject of SUBJECTS) {
  for (const hostile of HOSTILE_CLASSES) {
    test(`${subject.name}: class ${hostile.number}, ${hostile.name}`, () => tryClass(subject, hostile));
  }
  for (const [index, { malformed = [] }] of subject.queues.entries()) {
    for (const row of malformed) {
      test(`${subject.name}, queue ${index}: class ${row.number}, ${row.name}`, () =>
        tryMalformed(subject, index, row));
    }
  }
}
