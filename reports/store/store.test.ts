/** What every store must do, held against both. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { machineKey } from '../machine.ts';
import { ResultError } from '../result-error.ts';
import { SAMPLE_FINGERPRINT, sampleDocument, sampleMeasurement } from '../sample-document.ts';
import { DirectoryStore } from './directory-store.ts';
import { GitStore } from './git-store.ts';
import { openStore } from './open-store.ts';
import type { ResultStore } from './result-store.ts';
import { git, scratchDirectory, scratchRepository } from './scratch-repository.ts';
import type { Scratch } from './scratch-repository.ts';

interface Place {
  readonly name: string;
  readonly make: () => Scratch;
  readonly open: (path: string) => Promise<ResultStore>;
}

const PLACES: readonly Place[] = [
  { name: 'git', make: scratchRepository, open: (path) => GitStore.open(path) },
  { name: 'directory', make: scratchDirectory, open: async (path) => new DirectoryStore(join(path, 'store')) },
];

function run(number: number, changes: Parameters<typeof sampleDocument>[0] = {}) {
  const startedAt = new Date(Date.UTC(2026, 0, 1, 0, number)).toISOString();
  return sampleDocument({ runId: `run-${number}`, startedAt, commit: String(number % 10).repeat(40), ...changes });
}

for (const { name, make, open } of PLACES) {
  test(`${name}: what is put can be got, once, by id or prefix, from a store opened anew`, async () => {
    using place = make();
    const store = await open(place.path);
    assert.deepEqual(await store.list(), []);
    assert.equal(await store.latest(), undefined);
    const document = sampleDocument({}, [sampleMeasurement('a/b/c', { title: 'Zähler µs 🐎' })]);
    const id = await store.put(document);
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(await store.put(document), id);
    const again = await open(place.path);
    assert.deepEqual(await again.get(id), document);
    assert.deepEqual(await again.get(id.slice(0, 12)), document);
    assert.equal((await again.list()).length, 1);
    await assert.rejects(again.get('f'.repeat(64)), line(/is not in/));
    await assert.rejects(again.get('--all'), ResultError);
    await assert.rejects(again.get('abc'), line(/at least 8/));
  });

  test(`${name}: lists are oldest first and filter; latest may leave a commit out`, async () => {
    using place = make();
    const store = await open(place.path);
    for (const number of [3, 1, 2]) await store.put(run(number));
    await store.put(run(4, { profile: 'full' }));
    await store.put(run(5, { fingerprint: { ...SAMPLE_FINGERPRINT, cpu: 'Other' } }));
    const runIds = (entries: readonly { readonly runId: string }[]) => entries.map(({ runId }) => runId);
    assert.deepEqual(runIds(await store.list()), ['run-1', 'run-2', 'run-3', 'run-4', 'run-5']);
    assert.deepEqual(runIds(await store.list({ commit: '2'.repeat(40) })), ['run-2']);
    const here = { machineKey: machineKey(SAMPLE_FINGERPRINT), profile: 'quick' as const };
    assert.equal((await store.latest(here))?.runId, 'run-3');
    assert.equal((await store.latest({ ...here, excludeCommit: '3'.repeat(40) }))?.runId, 'run-2');
    assert.equal((await store.latest({ machineKey: '0'.repeat(16) }))?.runId, undefined);
  });

  test(`${name}: names move, and hostile names are refused`, async () => {
    using place = make();
    const store = await open(place.path);
    const [first, second] = [await store.put(run(1)), await store.put(run(2))];
    await store.setName('main', first);
    await store.setName('main', second.slice(0, 10));
    await store.setName('v1.0', first);
    assert.deepEqual(
      [...(await store.names())].sort(),
      [
        ['main', second],
        ['v1.0', first],
      ].sort(),
    );
    assert.deepEqual((await store.list())[1]!.names, ['main']);
    const hostile = [
      '',
      '-x',
      '--upload-pack=touch x',
      '../x',
      'a/b',
      'a b',
      'a\nb',
      'a\0b',
      '.x',
      'deadbeef',
      'ä',
      'x'.repeat(101),
    ];
    for (const bad of [
      ...hostile,
      '__proto__',
      '$(x)',
      '`x`',
      '<b>',
      'refs/heads/main',
      '@',
      '*',
      '|',
      '~',
      'a:b',
      'a\\b',
    ]) {
      await assert.rejects(store.setName(bad, first), ResultError, bad);
    }
    await assert.rejects(store.setName('gone', 'f'.repeat(64)), line(/is not in/));
    assert.equal((await store.names()).size, 2);
  });

  test(`${name}: prune keeps the newest of each series and everything named; a dry run removes nothing`, async () => {
    using place = make();
    const store = await open(place.path);
    const ids: string[] = [];
    for (const number of [1, 2, 3, 4]) ids.push(await store.put(run(number)));
    await store.put(run(5, { profile: 'full' }));
    await store.setName('kept', ids[0]!);
    const dry = await store.prune({ keep: 1, dryRun: true });
    assert.deepEqual(
      dry.removed.map(({ runId }) => runId),
      ['run-2', 'run-3'],
    );
    assert.equal((await store.list()).length, 5);
    assert.equal((await store.prune({ keep: 1 })).kept, 3);
    assert.deepEqual(
      (await store.list()).map(({ runId }) => runId),
      ['run-1', 'run-4', 'run-5'],
    );
    assert.equal((await store.prune({ keep: 1 })).removed.length, 0);
    await assert.rejects(store.prune({ keep: 0 }), ResultError);
    assert.deepEqual((await store.verify()).problems, []);
  });

  test(`${name}: files are imported and exported whole`, async () => {
    using place = make();
    const store = await open(place.path);
    const id = await store.put(run(1));
    const file = join(place.path, 'out', 'run.json');
    await store.exportFile(id, file);
    assert.equal(await store.importFile(file), id);
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -20));
    await assert.rejects(store.importFile(file), line(/run\.json.*is not JSON/));
    await assert.rejects(store.importFile(join(place.path, 'none.json')), line(/cannot be read/));
    await assert.rejects(store.exportFile(id, '/proc/none/x.json'), line(/cannot be written/));
    assert.equal((await store.list()).length, 1);
  });
}

test('a directory that is no repository is a clear error, or falls back as asked', async () => {
  using place = scratchDirectory();
  await assert.rejects(openStore(place.path), line(/is not inside a git repository/));
  const store = await openStore(place.path, { fallback: join(place.path, 'results') });
  await store.put(run(1));
  assert.equal((await new DirectoryStore(join(place.path, 'results')).list()).length, 1);
  await assert.rejects(openStore(join(place.path, 'missing')), ResultError);
});

test('a shallow clone, a work tree and a bare repository store like any other', async () => {
  using place = scratchRepository();
  git(place.path, 'commit', '--quiet', '--allow-empty', '-m', 'one');
  git(place.path, 'commit', '--quiet', '--allow-empty', '-m', 'two');
  git(place.path, 'clone', '--quiet', '--depth=1', `file://${place.path}`, 'shallow');
  git(place.path, 'worktree', 'add', '--quiet', '--detach', 'tree');
  git(place.path, 'init', '--quiet', '--bare', 'bare.git');
  for (const name of ['shallow', 'tree', 'bare.git']) {
    const store = await GitStore.open(join(place.path, name));
    const id = await store.put(run(1));
    assert.equal((await store.get(id)).runId, 'run-1');
  }
  // The work tree shares the repository's store.
  assert.equal((await (await GitStore.open(place.path)).list()).length, 1);
  const shallow = await GitStore.open(join(place.path, 'shallow'));
  await shallow.put(run(2));
  assert.equal((await shallow.push('origin')).runs, 1);
  assert.equal((await (await GitStore.open(place.path)).list()).length, 2);
});

test('two directories exchange runs and names, the later name winning', async () => {
  using place = scratchDirectory();
  const [here, there] = [new DirectoryStore(join(place.path, 'a')), new DirectoryStore(join(place.path, 'b'))];
  const [one, two] = [await here.put(run(1)), await there.put(run(2))];
  await here.setName('main', one);
  assert.equal((await here.push(join(place.path, 'b'))).runs, 1);
  assert.equal((await here.pull(join(place.path, 'b'))).runs, 1);
  assert.equal((await there.list()).length, 2);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await there.setName('main', two);
  await here.pull(join(place.path, 'b'));
  assert.equal((await here.names()).get('main'), two);
  await assert.rejects(here.pull(join(place.path, 'none')), line(/name the directory of another store/));
});

/** Matches the one line a user sees. */
function line(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ResultError, String(error));
    assert.match(error.line(), pattern);
    return true;
  };
}
