import assert from 'node:assert/strict';
import { test } from 'node:test';
import { geometricMean, median, peerTable, type PeerRow } from './peer-table.ts';

test('the median of an even count lies between the middle two', () => {
  assert.equal(median([9, 1, 3, 5]), 4);
  assert.equal(median([9, 1, 3]), 3);
  assert.ok(Number.isNaN(median([])));
});

test('the table has a column for each peer, ratios of auto, and means over the guests that have one', () => {
  const rows: PeerRow[] = [
    {
      guest: 'a',
      kind: 'integer',
      millionInstructions: 100,
      times: { interpreter: [100, 200, 300], auto: [50], 'qemu-riscv64': [100], wasm32: [25] },
      cpuTimes: { auto: [60] },
    },
    {
      guest: 'b',
      kind: 'float',
      millionInstructions: 100,
      times: { interpreter: [100, 100], auto: [50], 'qemu-riscv64': [400] },
      cpuTimes: {},
    },
  ];
  const [header, , a, b, mean, float] = peerTable(rows).split('\n');
  assert.equal(
    header,
    '| guest | M instructions | interpreter, ms | auto, ms | qemu-riscv64, ms | wasm32, ms | auto, CPU ms | auto, MIPS | speed over qemu-riscv64 | time over wasm32 |',
  );
  assert.equal(a, '| a | 100.0 | 200 ±50 % | 50.0 ±0 % | 100 ±0 % | 25.0 ±0 % | 60 | 2000 | 2.00 | 2.00 |');
  assert.equal(b, '| b | 100.0 | 100 ±0 % | 50.0 ±0 % | 400 ±0 % | – | – | 2000 | 8.00 | – |');
  assert.match(mean!, /\| 1\.000 \| 0\.354 \| 1\.414 \| 0\.125 \| {2}\| 2000 \| 4\.00 \| 2\.00 \|$/);
  assert.match(float!, /^\| floating point only .*\| 8\.00 \| – \|$/);
});

test('a geometric mean is the root of the product', () => {
  assert.ok(Math.abs(geometricMean([2, 8]) - 4) < 1e-12);
});

test('the evaluator has a column where it was measured', () => {
  const row = (guest: string, evaluatorMips: number): PeerRow => ({
    guest,
    kind: 'integer',
    millionInstructions: 1,
    times: { auto: [1] },
    cpuTimes: {},
    evaluatorMips,
  });
  const [header, , a, , mean] = peerTable([row('a', 0.5), row('b', 0.125)]).split('\n');
  assert.match(header!, /^\| guest \| M instructions \| evaluator, MIPS \| auto, ms /);
  assert.match(a!, /^\| a \| 1\.0 \| 0\.500 \| 1\.00 /);
  assert.match(mean!, /^\| geometric mean [^|]*\| {2}\| 0\.250 \| 1\.000 /);
});

test('runs with what earlier ones have translated have a column, and their ratio the last', () => {
  const row = (guest: string, warm: number): PeerRow => ({
    guest,
    kind: 'integer',
    millionInstructions: 1,
    times: { auto: [50], warm: [warm], 'qemu-riscv64': [100] },
    cpuTimes: {},
  });
  const [header, , a, , mean] = peerTable([row('a', 25), row('b', 100)]).split('\n');
  assert.match(header!, /auto, ms \| warm, ms \| qemu-riscv64, ms .*\| warm: speed over qemu-riscv64 \|$/);
  assert.match(a!, /\| 2\.00 \| – \| 4\.00 \|$/);
  assert.match(mean!, /\| 2\.00 \| – \| 2\.00 \|$/);
});
