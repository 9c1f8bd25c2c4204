import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BenchmarkSpec } from './define-bench.ts';
import { FEWEST_SAMPLES } from './engine.ts';
import { countExactly, measureBenchmark } from './measure.ts';
import type { MeasureOptions } from './measure.ts';
import type { Measurement } from './measurement.ts';
import { conversionFor } from './unit.ts';

const TIMED: BenchmarkSpec<unknown> = {
  id: 'test/engine/body',
  title: 'a body',
  unit: 'ns',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
};
const ALL: MeasureOptions = {
  sampling: { samples: 8, warmup: 2, time: 16, clock: 'wall' },
  counters: true,
  samples: true,
};

const measure = (spec: Partial<BenchmarkSpec<unknown>>, options: MeasureOptions = ALL): Promise<Measurement> =>
  measureBenchmark({ bench: { ...TIMED, ...spec }, file: import.meta.filename }, options);

test('units convert seconds and items', () => {
  assert.equal(conversionFor('s')!(3, 2), 1.5);
  assert.equal(conversionFor('ns/instruction')!(1e-6, 100).toFixed(9), '10.000000000');
  assert.equal(conversionFor('MIPS')!(0.5, 2e6), 4);
  assert.equal(conversionFor('MiB/s')!(2, 2 ** 22), 2);
  assert.equal(conversionFor('kop/s')!(1, 5000), 5);
  assert.equal(conversionFor('op/s')!(2, 8), 4);
  for (const unit of ['bytes', '', 'ns/', '/s', 'ns per op']) assert.equal(conversionFor(unit), undefined, unit);
});

test('mitata gives as many samples as asked for, untrimmed, in the batch decided beforehand', async () => {
  const sum = new Float64Array(64).fill(1);
  const result = await measure({ work: () => sum.reduce((a, b) => a + b, 0) });
  assert.equal(result.error, undefined);
  assert.equal(result.samples.length, 8);
  assert.ok(Number(result.conditions['batch']) >= 4);
  assert.ok(result.samples.every((value) => value > 0));
});

test('samples keep the order they were taken in', async () => {
  // Each call does a tenth of the work of the one before: sorted samples would rise.
  let rounds = 1e8;
  const work = (): number => {
    rounds = Math.max(1, rounds / 10);
    let sum = 0;
    for (let round = 0; round < rounds; round++) sum += round;
    return sum;
  };
  const options = { ...ALL, sampling: { samples: 6, warmup: 0, time: 0, clock: 'wall' } } as const;
  const { samples } = await measure({ engine: 'tinybench', unit: 'ms', work }, options);
  assert.equal(samples.length, FEWEST_SAMPLES);
  assert.ok(samples[0]! > samples[3]!, samples.join(' '));
});

test('asynchronous work is awaited by both engines', async () => {
  for (const engine of ['mitata', 'tinybench'] as const) {
    let pending = 0;
    let overlapped = false;
    const work = async (): Promise<number> => {
      overlapped ||= pending > 0;
      pending++;
      await new Promise((resolve) => setImmediate(resolve));
      pending--;
      return 42;
    };
    const check = (_: unknown, result: unknown): void => assert.equal(result, 42);
    const result = await measure({ engine, unit: 'ms', work, check });
    assert.equal(result.error, undefined, engine);
    assert.equal(overlapped, false, engine);
    assert.ok(result.samples.length >= FEWEST_SAMPLES, engine);
  }
});

test('a smoke run takes one sample', async () => {
  const options = { ...ALL, sampling: { samples: 1, warmup: 0, time: 0, clock: 'wall' } } as const;
  for (const engine of ['mitata', 'tinybench'] as const) {
    let calls = 0;
    const result = await measure({ engine, unit: 'ms', work: () => ++calls }, options);
    assert.equal(result.samples.length, 1, engine);
    assert.equal(calls, 2, `${engine}: once to check, once to sample`);
  }
});

test('a wrong result, a thrown error and a rejected promise are errors of the benchmark', async () => {
  const wrong = await measure({ work: () => 41, check: (_, result) => assert.equal(result, 42, 'not 42') });
  assert.match(wrong.error ?? '', /^AssertionError: not 42/);
  assert.ok(!wrong.error!.includes('\n'));
  assert.deepEqual(wrong.samples, []);
  let calls = 0;
  const late = (): number => {
    if (++calls > 3) throw new RangeError('late');
    return 1;
  };
  for (const engine of ['mitata', 'tinybench'] as const) {
    calls = 0;
    assert.equal((await measure({ engine, unit: 'ms', work: late })).error, 'RangeError: late', engine);
  }
  const work = () => Promise.reject(new Error('no'));
  assert.equal((await measure({ engine: 'tinybench', unit: 'ms', work })).error, 'Error: no');
});

test('the check runs again after measuring', async () => {
  let calls = 0;
  const check = (_: unknown, result: unknown): void => assert.ok((result as number) < 2, 'drifted');
  assert.match((await measure({ work: () => ++calls, check })).error ?? '', /drifted/);
});

test('items of a call divide a time and multiply a rate; own samples pass through', async () => {
  const work = (): number => {
    const end = performance.now() + 1;
    while (performance.now() < end);
    return 7;
  };
  const perItem = await measure({ engine: 'tinybench', unit: 'ns/item', items: () => 1000, work });
  assert.ok(Math.min(...perItem.samples) >= 1000, perItem.samples.join(' '));
  assert.ok(Math.min(...perItem.samples) < 100_000);
  const own = await measure({ engine: 'tinybench', unit: 'bytes', kind: 'memory', selfMeasured: true, work });
  assert.deepEqual(new Set(own.samples), new Set([7]));
});

test('beforeEach puts the state back before every call', async () => {
  const setup = (): { used: boolean } => ({ used: false });
  const beforeEach = (state: unknown): void => void ((state as { used: boolean }).used = false);
  const work = (state: unknown): void => {
    assert.equal((state as { used: boolean }).used, false);
    (state as { used: boolean }).used = true;
  };
  assert.equal((await measure({ engine: 'tinybench', unit: 'ms', setup, beforeEach, work })).error, undefined);
});

test('counters must be whole numbers and equal in two runs', async () => {
  const counted = { ...TIMED, engine: 'counters', kind: 'counter' } as const;
  assert.deepEqual(await countExactly({ ...counted, counters: () => ({ a: 1 }) }), { a: 1 });
  let run = 0;
  const drifting = await measure({ ...counted, counters: () => ({ ops: ++run }) });
  assert.match(drifting.error ?? '', /counter 'ops' is not deterministic: 1, then 2/);
  const vanishing = await measure({ ...counted, counters: () => (++run % 2 === 1 ? { ops: 1 } : {}) });
  assert.match(vanishing.error ?? '', /ops/);
  assert.match((await measure({ ...counted, counters: () => ({ ops: 1.5 }) })).error ?? '', /1\.5, not a whole number/);
});

test('whole processes are timed, metered and checked', async () => {
  const process = (metric: 'wall' | 'peak-memory' | 'first-output' | 'user', code = 'console.log(1)') => ({
    engine: 'process' as const,
    process: () => ({ argv: ['node', '--eval', code] as [string, ...string[]], metric }),
  });
  const options = { ...ALL, sampling: { samples: 1, warmup: 0, time: 0, clock: 'wall' } } as const;
  const wall = await measure({ ...process('wall'), unit: 'ms', check: (_, out) => assert.equal(out, '1\n') }, options);
  assert.equal(wall.error, undefined);
  assert.ok(wall.samples[0]! > 1 && wall.samples[0]! < 60_000);
  const first = await measure({ ...process('first-output'), unit: 'ms' }, options);
  assert.ok(first.samples[0]! > 1);
  const memory = await measure({ ...process('peak-memory'), unit: 'MiB', kind: 'memory' }, options);
  assert.ok(memory.samples[0]! > 10 && memory.samples[0]! < 1000, String(memory.samples[0]));
  const user = await measure({ ...process('user'), unit: 'ms' }, options);
  assert.ok(user.samples[0]! > 1);
  assert.match(
    (await measure({ ...process('wall', 'process.exit(3)'), unit: 'ms' }, options)).error ?? '',
    /exit code 3/,
  );
  const absent = {
    ...process('wall'),
    process: () => ({ argv: ['no-such-program'] as [string], metric: 'wall' as const }),
  };
  assert.match((await measure({ ...absent, unit: 'ms' }, options)).error ?? '', /cannot start no-such-program/);
});

test('teardown runs whether the work succeeds or not', async () => {
  let open = 0;
  const state = { setup: () => void open++, teardown: () => void open-- };
  await measure({ ...state, work: () => 1, counters: () => ({ a: 1 }) });
  await measure({ ...state, work: () => assert.fail('no') });
  assert.equal(open, 0);
});
