import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ResultError } from '../result-error.ts';
import { sampleDocument } from '../sample-document.ts';
import { DirectoryStore } from './directory-store.ts';
import { GitStore } from './git-store.ts';
import { killWriters } from './kill.stress.ts';
import { entryPath, runPath } from './layout.ts';
import { pushFromMany } from './pushers.stress.ts';
import { git, scratchDirectory, scratchRepository } from './scratch-repository.ts';

const REF = 'refs/dyno/results';

function run(number: number) {
  return sampleDocument({ runId: `run-${number}` });
}

test('nothing but the results ref and new objects changes in the repository', async () => {
  using place = scratchRepository();
  writeFileSync(join(place.path, 'file.txt'), 'one');
  git(place.path, 'add', '.');
  git(place.path, 'commit', '--quiet', '-m', 'one');
  writeFileSync(join(place.path, 'file.txt'), 'changed');
  writeFileSync(join(place.path, 'new.txt'), 'new');
  writeFileSync(join(place.path, '.git', 'hooks', 'reference-transaction'), '#!/bin/sh\ntouch hook-ran\n', {
    mode: 0o755,
  });
  const state = () => [
    readFileSync(join(place.path, '.git', 'index')).toString('hex'),
    readFileSync(join(place.path, '.git', 'HEAD'), 'utf8'),
    git(place.path, 'status', '--porcelain'),
    git(place.path, 'for-each-ref', 'refs/heads', 'refs/tags', 'refs/remotes'),
    readdirSync(place.path).join(),
    existsSync(join(place.path, '.git', 'hook-ran')),
  ];
  const before = state();
  const store = await GitStore.open(place.path);
  const id = await store.put(run(1));
  await store.setName('main', id);
  await store.list();
  await store.verify();
  assert.deepEqual(state(), before);
  assert.equal(git(place.path, 'for-each-ref', '--format=%(refname)').split('\n').length, 2);
  assert.match(git(place.path, 'fsck', '--strict', '--no-dangling'), /^$/);
});

test('a setting or variable of the user cannot bend the commands', async () => {
  using place = scratchRepository();
  git(place.path, 'config', 'core.fsmonitor', 'touch owned');
  git(place.path, 'config', 'alias.for-each-ref', '!touch owned');
  git(place.path, 'config', 'commit.gpgSign', 'true');
  process.env['GIT_INDEX_FILE'] = '/nonexistent/index';
  process.env['GIT_DIR'] = '/nonexistent';
  try {
    const store = await GitStore.open(place.path);
    await store.put(run(1));
    assert.equal((await store.list()).length, 1);
  } finally {
    delete process.env['GIT_INDEX_FILE'];
    delete process.env['GIT_DIR'];
  }
  assert.equal(existsSync(join(place.path, 'owned')) || existsSync(join(place.path, '.git', 'owned')), false);
});

test('remotes are names: options, paths and addresses are refused before git runs', async () => {
  using place = scratchRepository();
  const store = await GitStore.open(place.path);
  await store.put(run(1));
  const hostile = [
    '--upload-pack=touch owned;',
    '-u',
    'ext::sh -c "touch owned"',
    '../x',
    '/etc',
    'a b',
    'a:b',
    '',
    'a\nb',
    '..',
  ];
  for (const remote of [
    ...hostile,
    'https://x.invalid/y',
    '.',
    '.git',
    'a/b',
    '$(touch owned)',
    '`touch owned`',
    '*',
  ]) {
    await assert.rejects(store.push(remote), /is not the name of a remote/, remote);
    await assert.rejects(store.pull(remote), /is not the name of a remote/, remote);
  }
  assert.equal(existsSync(join(place.path, 'owned')), false);
  await assert.rejects(store.push('nowhere'), ResultError);
});

test('a damaged ref, commit, tree or blob is an error that names it, never an empty history', async () => {
  const damages: readonly [string, (path: string) => void][] = [
    ['empty ref', (path) => writeFileSync(join(path, '.git', REF), '')],
    ['cut ref', (path) => writeFileSync(join(path, '.git', REF), 'abc\n')],
    ['ref to nothing', (path) => writeFileSync(join(path, '.git', REF), `${'1'.repeat(40)}\n`)],
    ...['commit', '^{tree}', ':runs'].map((what): [string, (path: string) => void] => [
      `lost ${what}`,
      (path) => rmSync(objectFile(path, git(path, 'rev-parse', `${REF}${what === 'commit' ? '' : what}`))),
    ]),
  ];
  for (const [name, damage] of damages) {
    using place = scratchRepository();
    await (await GitStore.open(place.path)).put(run(1));
    damage(place.path);
    const store = await GitStore.open(place.path);
    await assert.rejects(store.list(), ResultError, name);
    await assert.rejects(store.latest(), ResultError, name);
    await assert.rejects(store.put(run(2)), ResultError, name);
    await assert.rejects(store.names(), ResultError, name);
  }
});

test('a damaged blob is named by get and verify while the other runs stay readable', async () => {
  using place = scratchRepository();
  const store = await GitStore.open(place.path);
  const [first, second] = [await store.put(run(1)), await store.put(run(2))];
  const blob = git(place.path, 'rev-parse', `${REF}:${runPath(first)}`);
  const file = objectFile(place.path, blob);
  rmSync(file);
  writeFileSync(file, 'garbage');
  await assert.rejects(store.get(first), ResultError);
  assert.equal((await store.get(second)).runId, 'run-2');
  const { problems } = await store.verify();
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, new RegExp(blob.slice(0, 12)));
});

test('a file cut at any offset or with any byte changed is detected', async () => {
  using place = scratchDirectory();
  const store = new DirectoryStore(place.path);
  const id = await store.put(run(1));
  for (const path of [runPath(id), entryPath(id)]) {
    const file = join(place.path, path);
    const whole = readFileSync(file);
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(file, whole.subarray(0, length));
      assert.ok((await store.verify()).problems.length > 0, `${path} cut at ${length}`);
    }
    for (let at = 0; at < whole.length; at += 11) {
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 1 << (at % 8);
      writeFileSync(file, flipped);
      assert.ok((await store.verify()).problems.length > 0, `${path} flipped at ${at}`);
      if (path === entryPath(id)) await assert.rejects(store.list(), ResultError);
      else await assert.rejects(store.get(id), ResultError);
    }
    writeFileSync(file, whole);
  }
  assert.deepEqual((await store.verify()).problems, []);
});

test('a lock left by a killed process is removed, a fresh one is waited for', async () => {
  using place = scratchRepository();
  const store = await GitStore.open(place.path, { deadline: 20_000 });
  await store.put(run(1));
  const lock = join(place.path, '.git', `${REF}.lock`);
  writeFileSync(lock, '');
  const past = Date.now() / 1000 - 60;
  utimesSync(lock, past, past);
  await store.put(run(2));
  assert.equal(existsSync(lock), false);
  const hasty = await GitStore.open(place.path, { deadline: 0 });
  writeFileSync(lock, '');
  await assert.rejects(hasty.put(run(3)), /could not be changed within/);
  assert.equal(existsSync(lock), true);
  await store.put(run(3));
  assert.equal((await store.list()).length, 3);
});

test('two histories join: runs of both, prunes of both, the later name', async () => {
  using place = scratchDirectory();
  git(place.path, 'init', '--quiet', '--bare', 'shared.git');
  for (const name of ['a', 'b']) git(place.path, 'clone', '--quiet', 'shared.git', name);
  const [a, b] = [await GitStore.open(join(place.path, 'a')), await GitStore.open(join(place.path, 'b'))];
  assert.equal((await a.pull('origin')).runs, 0);
  assert.equal((await a.push('origin')).runs, 0);
  const one = await a.put(run(1));
  await a.put(run(2));
  await a.setName('main', one);
  assert.equal((await a.push('origin')).runs, 2);
  assert.equal((await a.push('origin')).runs, 0);
  const three = await b.put(run(3));
  assert.equal((await b.pull('origin')).runs, 2);
  await b.setName('main', three);
  await b.push('origin');
  // a removes what it does not name, without knowing of b's move.
  await a.put(run(4));
  assert.equal((await a.prune({ keep: 1 })).kept, 2);
  await a.push('origin');
  await b.pull('origin');
  const ids = async (store: GitStore) => (await store.list()).map(({ id }) => id).sort();
  assert.deepEqual(await ids(a), await ids(b));
  assert.equal((await a.names()).get('main'), three);
  assert.ok((await ids(a)).includes(three));
  for (const store of [a, b]) assert.deepEqual((await store.verify()).problems, []);
});

test('a remote that offers foreign files is refused and nothing of it is kept', async () => {
  using place = scratchDirectory();
  git(place.path, 'init', '--quiet', '--bare', 'shared.git');
  git(place.path, 'clone', '--quiet', 'shared.git', 'evil');
  git(place.path, 'clone', '--quiet', 'shared.git', 'good');
  const evil = join(place.path, 'evil');
  mkdirSync(join(evil, 'runs'));
  writeFileSync(join(evil, 'runs', 'x.sh'), 'touch owned');
  git(evil, 'add', '.');
  git(evil, 'commit', '--quiet', '-m', 'x');
  git(evil, 'push', '--quiet', 'origin', `HEAD:${REF}`);
  const store = await GitStore.open(join(place.path, 'good'));
  const id = await store.put(run(1));
  await assert.rejects(store.pull('origin'), /not a result/);
  await assert.rejects(store.push('origin'), /not a result/);
  assert.deepEqual(
    (await store.list()).map((entry) => entry.id),
    [id],
  );
});

test('killed writers lose nothing that was acknowledged and block nobody', async () => {
  for (const kind of ['git', 'directory'] as const) {
    const outcome = await killWriters(kind, 4, Math.random);
    assert.equal(outcome.lost, 0);
    assert.deepEqual(outcome.problems, []);
    assert.ok(outcome.acknowledged >= outcome.kills);
  }
});

test('concurrent pushers all arrive', async () => {
  const outcome = await pushFromMany(4, 3);
  assert.equal(outcome.arrived, 12);
  assert.deepEqual(outcome.problems, []);
});

function objectFile(path: string, object: string): string {
  return join(path, '.git', 'objects', object.slice(0, 2), object.slice(2));
}
