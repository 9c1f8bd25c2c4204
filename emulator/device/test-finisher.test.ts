import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack } from './mmio-driver.test-support.ts';
import { TestFinisher, type Finish } from './test-finisher.ts';

function build() {
  const finishes: Finish[] = [];
  return { finishes, finisher: new TestFinisher((finish) => finishes.push(finish)) };
}

for (const [word, finish] of [
  [0x5555, { kind: 'pass' }],
  [0xabcd_5555, { kind: 'pass' }],
  [0x3333, { kind: 'fail', code: 0 }],
  [0xffff_3333, { kind: 'fail', code: 0xffff }],
  [0x0007_3333, { kind: 'fail', code: 7 }],
  [0x7777, { kind: 'reset' }],
  [0, undefined],
  [0x5554, undefined],
  [0x5555_0000, undefined],
] as const) {
  test(`finisher: 0x${word.toString(16)} means ${finish?.kind ?? 'nothing'}`, () => {
    const { finishes, finisher } = build();
    finisher.write(0, 4, word);
    assert.deepEqual(finishes, finish === undefined ? [] : [finish]);
    assert.equal(finisher.read(0, 4), 0);
  });
}

test('a half word is enough, and bytes and double words are refused', () => {
  const { finishes, finisher } = build();
  finisher.write(0, 2, 0x5555);
  assert.deepEqual(finishes, [{ kind: 'pass' }]);
  assert.deepEqual(
    ([1, 2, 4, 8] as const).map((width) => finisher.refuses(0, width)),
    [true, false, false, true],
  );
});

test('only its first word means anything', () => {
  const { finishes, finisher } = build();
  for (let offset = 4; offset < finisher.size; offset += 4) finisher.write(offset, 4, 0x5555);
  assert.deepEqual(finishes, []);
});

test('10^5 hostile accesses: nothing throws, and every end is one of the three', () => {
  const { finishes, finisher } = build();
  attack(finisher, { seed: 5, accesses: 100_000, favourites: [0] });
  assert.ok(finishes.length > 0);
  for (const finish of finishes) {
    assert.ok(['pass', 'fail', 'reset'].includes(finish.kind));
    if (finish.kind === 'fail') assert.ok(finish.code >= 0 && finish.code <= 0xffff);
  }
});
