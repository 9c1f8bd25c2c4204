import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { ConfigError, HostError } from '../../emulator/check/errors.ts';
import { parseStolenTicks } from './conditions.ts';
import { defineBench, isBenchmarkId } from './define-bench.ts';
import type { BenchmarkSpec } from './define-bench.ts';
import * as environment from './environment.ts';
import { joinSides, processFigure, runPaired } from './paired.ts';
import type { Side } from './paired.ts';
import { formatDuration, Progress } from './progress.ts';
import { seededRandom, shuffled } from './random.ts';
import { listBenchmarks, runBenchmarks } from './runner.ts';
import { selectBenchmarks, shardOf, THOROUGH, withoutThorough } from './select.ts';
import { hashSources } from './source-hash.ts';
import type { TrialPlace } from './trial-process.ts';
import type { Listing } from './trial-protocol.ts';

const CHECKOUT = join(import.meta.dirname, '..', '..');
const place: TrialPlace = { directory: CHECKOUT, flags: [], timeout: 20_000 };
const sampling = { samples: 1, warmup: 0, time: 0, clock: 'wall' } as const;

let suites: string;
before(async () => {
  suites = await mkdtemp(join(tmpdir(), 'dyno-suites-'));
});
after(() => rm(suites, { recursive: true }));

/** A folder with one suite file; `body` sees `bench(name, extra)`. */
async function suite(folder: string, body: string): Promise<string> {
  const root = join(suites, folder);
  await mkdir(root, { recursive: true });
  const prelude = `
import { defineBench } from '${join(import.meta.dirname, 'define-bench.ts')}';
const bench = (name, extra) => defineBench({
  id: 'test/suite/' + name, title: name, unit: 'ms', kind: 'time', direction: 'lower', engine: 'tinybench', work: () => 1, ...extra,
});
`;
  await writeFile(join(root, 'a.bench.ts'), `${prelude}${body}\n`);
  return root;
}

const measureAll = async (root: string, options: Partial<Parameters<typeof runBenchmarks>[1]> = {}) => {
  const benches = await listBenchmarks(place, root);
  const defaults = { place, root, sampling, counters: true, samples: true, isolation: 'benchmark' } as const;
  return (await runBenchmarks(benches, { ...defaults, ...options })).measurements;
};

test('a benchmark is listed and measured in a process of its own', async () => {
  const root = await suite('plain', "bench('one', { counters: () => ({ n: 7 }), tags: ['quick'] }); bench('two', {});");
  const listed = await listBenchmarks(place, root);
  assert.deepEqual(
    listed.map(({ id, counts, tags }) => [id, counts, tags]),
    [
      ['test/suite/one', true, ['quick']],
      ['test/suite/two', false, []],
    ],
  );
  const [one, two] = await measureAll(root);
  assert.deepEqual(one!.counters, { n: 7 });
  assert.equal(one!.samples.length, 1);
  assert.equal(two!.error, undefined);
});

test('a benchmark whose process dies, hangs or prints is one failed row; the others are measured', async () => {
  const root = await suite(
    'hostile',
    `bench('dies', { work: () => process.kill(process.pid, 'SIGKILL') });
     bench('exits', { work: () => process.exit(0) });
     bench('hangs', { work: () => { for (;;); } });
     bench('prints', { work: () => console.log('{"type":"done","protocol":1}') });
     bench('floods', { work: () => { throw new Error('x'.repeat(100000)); } });
     bench('last', {});`,
  );
  const measured = await measureAll(root, { place: { ...place, timeout: 1500 } });
  const errors = Object.fromEntries(measured.map(({ id, error }) => [id.split('/')[2]!, error]));
  assert.match(errors['dies']!, /SIGKILL/);
  assert.match(errors['exits']!, /exit code 0/);
  assert.match(errors['hangs']!, /took more than 1\.5 s/);
  assert.equal(errors['prints'], undefined);
  assert.match(errors['floods']!, /^Error: xxx/);
  assert.equal(errors['last'], undefined);
});

test('in one process a file, the rows before a death stand', async () => {
  const root = await suite('grouped', "bench('good', {}); bench('bad', { work: () => process.exit(9) });");
  const measured = await measureAll(root, { isolation: 'file' });
  assert.deepEqual(
    measured.map(({ id, error }) => [id, error === undefined]),
    [
      ['test/suite/good', true],
      ['test/suite/bad', false],
    ],
  );
});

test('a suite that cannot be loaded, defines nothing or repeats an id is one clear line', async () => {
  await assert.rejects(listBenchmarks(place, await suite('throws', 'throw new Error("no input");')), (error: Error) => {
    assert.ok(error instanceof HostError);
    assert.match(error.line(), /a\.bench\.ts: cannot be loaded \(Error: no input\)/);
    return true;
  });
  await assert.rejects(listBenchmarks(place, await suite('empty', '')), /defines no benchmark/);
  await assert.rejects(listBenchmarks(place, await suite('twice', "bench('a', {}); bench('a', {});")), /defined twice/);
  await assert.rejects(listBenchmarks(place, join(suites, 'absent')), /no suites here/);
});

test('the signal stops a run and keeps what was measured', async () => {
  const root = await suite('slow', "bench('first', {}); bench('second', { work: () => { for (;;); } });");
  const controller = new AbortController();
  const benches = await listBenchmarks(place, root);
  const stopping = { ...place, signal: controller.signal };
  const progress = new Progress({ write: () => setTimeout(() => controller.abort(new Error('stopped')), 300) }, 2);
  const options = { place: stopping, root, sampling, counters: false, samples: true, progress } as const;
  const outcome = await runBenchmarks(benches, { ...options, isolation: 'benchmark' });
  assert.equal(outcome.interrupted, true);
  assert.deepEqual(
    outcome.measurements.map(({ id }) => id),
    ['test/suite/first'],
  );
});

test('definitions that cannot be measured are refused where they stand', () => {
  const good: BenchmarkSpec<undefined> = {
    id: 'test/define/good',
    title: 't',
    unit: 'ns',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    work: () => 1,
  };
  defineBench(good);
  assert.throws(() => defineBench(good), /defined twice/);
  const bad: Partial<BenchmarkSpec<undefined>>[] = [
    { id: 'One/two' },
    { id: 'alone' },
    { id: 'a/../b' },
    { aliases: ['No'] },
    { unit: 'bytes' },
    { engine: 'counters' },
    { engine: 'process' },
    { kind: 'counter' },
    { selfMeasured: true },
    { beforeEach: () => {} },
    { process: () => ({ argv: ['node'], metric: 'wall' }) },
  ];
  for (const change of bad) {
    assert.throws(
      () => defineBench({ ...good, id: 'test/define/bad', ...change }),
      ConfigError,
      JSON.stringify(change),
    );
  }
  const { work: _work, ...idle } = good;
  assert.throws(() => defineBench({ ...idle, id: 'test/define/idle' }), /has no work/);
  assert.equal(isBenchmarkId('a/b-2/c'), true);
  assert.equal(isBenchmarkId(`a/${'b'.repeat(200)}`), false);
});

const selectable = (id: string, aliases: string[] = [], tags: string[] = []) => ({ id, aliases, tags });

test('filters: glob, leading part, alias and tag; nothing chosen is an error with the nearest name', () => {
  const all = [
    selectable('isa/riscv/decode'),
    selectable('isa/arm64/decode', ['isa/a64/decode']),
    selectable('x/y/z', [], ['slow']),
  ];
  const ids = (...filters: string[]): string[] => selectBenchmarks(all, filters).map(({ id }) => id);
  assert.deepEqual(ids(), ['isa/riscv/decode', 'isa/arm64/decode', 'x/y/z']);
  assert.deepEqual(ids('isa/**'), ['isa/riscv/decode', 'isa/arm64/decode']);
  assert.deepEqual(ids('isa/riscv/'), ['isa/riscv/decode']);
  assert.deepEqual(ids('isa/a64'), ['isa/arm64/decode']);
  assert.deepEqual(ids('tag:slow', 'x/*/z'), ['x/y/z']);
  assert.throws(() => ids('isa/risc'), /no benchmark matches 'isa\/risc'/);
  try {
    ids('isa/riscv/decod');
  } catch (error) {
    assert.match((error as ConfigError).line(), /did you mean 'isa\/riscv\/decode'/);
  }
});

test('quick runs of everything leave out what is tagged as thorough', () => {
  const all = [selectable('a/b/c'), selectable('a/b/d', [], ['riscv64', THOROUGH]), selectable('a/b/e', [], ['x'])];
  assert.deepEqual(
    withoutThorough(all).map(({ id }) => id),
    ['a/b/c', 'a/b/e'],
  );
});

test('shards partition every list, whatever its order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(500), { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (numbers, count) => {
      const all = numbers.map((number) => selectable(`a/b/n${number}`));
      const parts = Array.from({ length: count }, (_, i) => shardOf(all, i + 1, count).map(({ id }) => id));
      assert.deepEqual(parts.flat().sort(), all.map(({ id }) => id).sort());
      const reversed = Array.from({ length: count }, (_, i) =>
        shardOf(all.toReversed(), i + 1, count).map(({ id }) => id),
      );
      assert.deepEqual(
        reversed.map((ids) => ids.sort()),
        parts.map((ids) => [...ids].sort()),
      );
    }),
    { seed: 1 },
  );
});

test('the source hash changes with content, name and input, and not with the checkout', async () => {
  const write = async (folder: string, name: string, text: string): Promise<string> => {
    await mkdir(join(suites, folder), { recursive: true });
    await writeFile(join(suites, folder, name), text);
    return join(suites, folder, name);
  };
  const first = await write('h1', 'a.bench.ts', 'one');
  const second = await write('h2', 'a.bench.ts', 'one');
  await write('h1', 'guest.elf', 'e');
  assert.equal(await hashSources(first), await hashSources(second));
  assert.notEqual(await hashSources(first), await hashSources(first, ['guest.elf']));
  assert.notEqual(await hashSources(first), await hashSources(await write('h1', 'b.bench.ts', 'one')));
  await assert.rejects(hashSources(first, ['absent']), ConfigError);
});

test('a seed fixes the order, and every order is a permutation', () => {
  const items = Array.from({ length: 20 }, (_, i) => i);
  assert.deepEqual(shuffled(items, seededRandom(7)), shuffled(items, seededRandom(7)));
  assert.notDeepEqual(shuffled(items, seededRandom(7)), shuffled(items, seededRandom(8)));
  assert.deepEqual(
    shuffled(items, seededRandom(9)).sort((a, b) => a - b),
    items,
  );
  const random = seededRandom(3);
  const mean = Array.from({ length: 10_000 }, random).reduce((a, b) => a + b, 0) / 10_000;
  assert.ok(Math.abs(mean - 0.5) < 0.02, String(mean));
});

test('progress: plain lines off a terminal, one cleared line on it', () => {
  const lines: string[] = [];
  const plain = new Progress({ write: (text) => lines.push(text) }, 2);
  plain.begin('a/b/c');
  plain.end('a/b/c', '12 ms');
  assert.deepEqual(lines, ['[1/2] a/b/c  12 ms\n']);
  const screen: string[] = [];
  let now = 0;
  const terminal = new Progress({ isTTY: true, columns: 40, write: (text) => screen.push(text) }, 2, () => now);
  terminal.begin('a/b/c');
  now = 3000;
  terminal.end('a/b/c', '');
  terminal.begin('d/e/f');
  assert.match(screen.at(-1)!, /\[2\/2\] d\/e\/f {2}3 s left$/);
  terminal.clear();
  terminal.clear();
  assert.equal(screen.filter((text) => text === '\r\u001b[K').length, 2);
  assert.equal(formatDuration(200_000), '3 min 20 s');
});

test('pairs: sides are joined by id or former id, counters compared once, one figure a process', async () => {
  const body = (extra: string): string => `bench('kept', { counters: () => ({ n: 1 }) }); bench('old', {});${extra}`;
  const base = await suite('base', body("bench('gone', {});"));
  const head = await suite(
    'head',
    "bench('kept', { counters: () => ({ n: 2 }) }); bench('renamed', { aliases: ['test/suite/old'] }); bench('fresh', {});",
  );
  const side = async (root: string): Promise<Side> => ({ place, root, benches: await listBenchmarks(place, root) });
  const outcome = await runPaired(await side(base), await side(head), {
    sampling: { samples: 5, warmup: 0, time: 0, clock: 'cpu' },
    seed: 5,
    looks: [2, 3],
    decided: (row) => row.id === 'test/suite/kept',
    budget: 60_000,
    countersOnly: false,
  });
  const ids = (facts: readonly { id: string }[]): string[] => facts.map(({ id }) => id);
  assert.deepEqual(ids(outcome.added), ['test/suite/fresh']);
  assert.deepEqual(ids(outcome.removed), ['test/suite/gone']);
  const [kept, renamed] = outcome.rows;
  assert.deepEqual([kept!.baseCounters, kept!.headCounters], [{ n: 1 }, { n: 2 }]);
  assert.deepEqual([kept!.base.length, kept!.head.length], [2, 2], 'a decided row gets no further pairs');
  assert.deepEqual([renamed!.base.length, renamed!.head.length], [3, 3], 'an undecided one does');
  assert.equal(outcome.outOfTime, false);
});

test('a row found to wait starts anew with nothing beside it; the others go on in parallel', async () => {
  const body = `const cell = new Int32Array(new SharedArrayBuffer(4));
bench('waits', { work: () => Atomics.wait(cell, 0, 0, 2) });
bench('works', { work: () => { let sum = 0; for (let i = 0; i < 1e6; i++) sum += i; return sum; } });
bench('says', { waits: true });`;
  const root = await suite('waiting', body);
  const side: Side = { place, root, benches: await listBenchmarks(place, root) };
  const seeds: number[] = [];
  const outcome = await runPaired(side, side, {
    sampling: { samples: 5, warmup: 5, time: 5, clock: 'cpu' },
    seed: 3,
    looks: [2],
    decided: () => false,
    budget: 60_000,
    countersOnly: false,
    cpus: [undefined, undefined],
    seedFlags: (seed) => (seeds.push(seed), [`--random-seed=${seed}`]),
  });
  for (const row of outcome.rows) {
    assert.equal(row.error, undefined, row.id);
    assert.deepEqual([row.base.length, row.head.length], [2, 2], row.id);
  }
  const waiting = outcome.rows.find(({ id }) => id === 'test/suite/waits')!;
  if (process.platform === 'linux') assert.ok(Math.min(...waiting.base) >= 1.5, 'by the wall clock');
  assert.ok(seeds.length % 2 === 0 && new Set(seeds).size === seeds.length / 2, 'a seed is a pair’s');
});

test('a spent budget starts no pair and says so; a failing side is an error of its row', async () => {
  const good = await suite('works', "bench('a', {});");
  const bad = await suite('breaks', "bench('a', { work: () => { throw new Error('broken'); } });");
  const side = async (root: string): Promise<Side> => ({ place, root, benches: await listBenchmarks(place, root) });
  const plan = { sampling, seed: 1, looks: [5], decided: () => false, budget: 0, countersOnly: false };
  const spent = await runPaired(await side(good), await side(good), plan);
  assert.equal(spent.outOfTime, true);
  assert.deepEqual(spent.rows[0]!.head, []);
  const broken = await runPaired(await side(good), await side(bad), { ...plan, budget: 60_000 });
  assert.match(broken.rows[0]!.error!, /^head: Error: broken/);
});

test('the figure of a process is the quartile that disturbances do not reach', () => {
  assert.equal(processFigure([5, 1, 2, 3, 4], 'lower'), 2);
  assert.equal(processFigure([5, 1, 2, 3, 4], 'higher'), 4);
  assert.equal(processFigure([7], 'lower'), 7);
  assert.equal(processFigure([10, 10, 10, 10, 10, 90, 80, 70], 'lower'), 10);
});

test('joining reports nothing twice', () => {
  const listing = (id: string, aliases: string[] = []) => ({ id, aliases }) as unknown as Listing;
  const { rows, added, removed } = joinSides(
    [listing('a/b'), listing('a/c')],
    [listing('a/d', ['a/b']), listing('a/e', ['a/b'])],
  );
  assert.deepEqual([rows.length, added[0]!.id, removed[0]!.id], [1, 'a/e', 'a/c']);
  assert.deepEqual([added.length, removed.length], [1, 1]);
});

test('findings about the machine', () => {
  assert.equal(environment.frequencyGovernor(['performance', 'performance']).state, 'good');
  assert.equal(environment.frequencyGovernor(['powersave']).state, 'poor');
  assert.equal(environment.frequencyGovernor([]).state, 'unknown');
  assert.equal(environment.load(3, 2).state, 'poor');
  assert.equal(environment.memory(2 ** 28, 2 ** 33).state, 'poor');
  assert.equal(environment.debugFlags(['--inspect'], undefined).state, 'poor');
  assert.equal(environment.debugFlags([], '--jitless').state, 'poor');
  assert.equal(environment.cpuQuota('150000 100000').state, 'poor');
  assert.equal(environment.cpuQuota('max 100000').state, 'good');
  assert.equal(environment.turbo('0').state, 'poor');
  assert.equal(parseStolenTicks('cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 2 3\n'), 88);
  assert.equal(parseStolenTicks('nothing'), undefined);
});
