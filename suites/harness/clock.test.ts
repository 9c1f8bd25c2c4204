import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import type { BenchmarkSpec } from './define-bench.ts';
import { waits } from './define-bench.ts';
import { readClock, WaitWatch } from './clock.ts';
import type { Clock } from './clock.ts';
import { measureBenchmark } from './measure.ts';
import type { Measurement } from './measurement.ts';
import { parseCpuList } from './trial-process.ts';
import { clockForSamples, warmUp } from './warm-up.ts';

const PAUSE = new Int32Array(new SharedArrayBuffer(4));
const pause = (milliseconds: number): unknown => Atomics.wait(PAUSE, 0, 0, milliseconds);

function burn(milliseconds: number): number {
  const end = readClock('cpu') + milliseconds / 1e3;
  let rounds = 0;
  while (readClock('cpu') < end) rounds++;
  return rounds;
}

const measure = (spec: Partial<BenchmarkSpec<unknown>>, clock: Clock = 'cpu'): Promise<Measurement> =>
  measureBenchmark(
    {
      bench: {
        id: 'test/clock/body',
        title: 'a body',
        unit: 'ms',
        kind: 'time',
        direction: 'lower',
        engine: 'tinybench',
        ...spec,
      },
      file: import.meta.filename,
    },
    { sampling: { samples: 5, warmup: 20, time: 20, clock }, counters: false, samples: true },
  );

test('CPU time does not pass while waiting, wall time does', () => {
  const start = { wall: readClock('wall'), cpu: readClock('cpu') };
  pause(60);
  assert.ok(readClock('wall') - start.wall >= 0.055);
  assert.ok(readClock('cpu') - start.cpu < 0.03);
  const busy = readClock('cpu');
  burn(20);
  assert.ok(readClock('cpu') - busy >= 0.02);
});

test('work is timed by its CPU time where that is asked for', async () => {
  for (const engine of ['mitata', 'tinybench'] as const) {
    const { error, conditions, samples } = await measure({ engine, work: () => burn(2) });
    assert.equal(error, undefined);
    assert.equal(conditions['clock'], 'cpu', engine);
    assert.equal(conditions['waits'], undefined, engine);
    assert.ok(
      samples.every((sample) => sample >= 2 && sample < 40),
      `${engine}: ${samples.join(' ')}`,
    );
  }
});

test('work that says it only computes is timed by its CPU time in every profile', async () => {
  for (const engine of ['mitata', 'tinybench'] as const) {
    const work = (): number => burn(2);
    assert.equal((await measure({ engine, work, waits: false }, 'wall')).conditions['clock'], 'cpu', engine);
    assert.equal((await measure({ engine, work }, 'wall')).conditions['clock'], undefined, engine);
  }
});

test('work that waits is found out and timed by the wall clock', { skip: !existsSync('/proc/self/task') }, async () => {
  for (const engine of ['mitata', 'tinybench'] as const) {
    const { error, conditions, samples } = await measure({ engine, work: () => pause(3) });
    assert.equal(error, undefined);
    assert.equal(conditions['waits'], 1, engine);
    assert.equal(conditions['clock'], undefined, engine);
    assert.ok(Math.min(...samples) >= 2.5, `${engine}: ${samples.join(' ')}`);
  }
  const watch = new WaitWatch();
  burn(5);
  assert.equal(watch.waited(1000), false);
});

test('asynchronous, self-measured and declared work waits', async () => {
  const later = await measure({ work: () => new Promise((resolve) => setImmediate(resolve)) });
  assert.equal(later.conditions['waits'], 1);
  assert.equal((await measure({ waits: true, work: () => burn(1) })).conditions['clock'], undefined);
  assert.deepEqual(
    [waits({ engine: 'process' }), waits({ engine: 'tinybench', selfMeasured: true }), waits({ engine: 'mitata' })],
    [true, true, false],
  );
});

test('samples too short for the CPU clock are read from the wall clock', () => {
  const cost = { seconds: 0, waits: false };
  assert.equal(clockForSamples('cpu', cost, 1e-3), 'cpu');
  assert.equal(clockForSamples('cpu', cost, 2e-5), 'wall');
  assert.equal(clockForSamples('cpu', { ...cost, waits: true }, 1), 'wall');
  assert.equal(clockForSamples('wall', cost, 1), 'wall');
});

test('the warm-up lasts as long as asked for, and knows what a call costs in the end', async () => {
  let calls = 0;
  // The first calls are slow, as in a cold runtime: an estimate from them would end the warm-up too early.
  const body = (): void => void burn(++calls <= 3 ? 8 : 1);
  const start = readClock('cpu');
  const { seconds } = await warmUp(
    (count) => {
      for (let call = 0; call < count; call++) body();
    },
    60,
    'cpu',
  );
  const spent = readClock('cpu') - start;
  assert.ok(spent >= 0.06 && spent < 0.3, String(spent));
  assert.ok(seconds >= 0.001 && seconds < 0.004, String(seconds));
});

test('lists of CPUs as taskset prints them', () => {
  assert.deepEqual(parseCpuList(' 0,1\n'), [0, 1]);
  assert.deepEqual(parseCpuList('0-2,7'), [0, 1, 2, 7]);
  assert.deepEqual(parseCpuList('nonsense'), []);
});
