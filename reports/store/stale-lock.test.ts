import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchRepository } from './scratch-repository.ts';
import { removeStaleLock } from './stale-lock.ts';

function lockOfAge(directory: string, seconds: number): string {
  const lock = join(directory, 'results.lock');
  writeFileSync(lock, '');
  const at = Date.now() / 1000 - seconds;
  utimesSync(lock, at, at);
  return lock;
}

const unseen = existsSync('/proc/self/comm') ? false : 'there is no /proc here';

test('an old lock goes, a young one and a missing one stay as they are', () => {
  using place = scratchRepository();
  const directory = join(place.path, '.git');
  assert.equal(removeStaleLock(join(directory, 'results.lock'), directory), false);
  assert.equal(removeStaleLock(lockOfAge(directory, 0.2), directory), false);
  const lock = lockOfAge(directory, 20);
  assert.equal(removeStaleLock(lock, directory), true);
  assert.equal(existsSync(lock), false);
});

test('a lock of a few seconds stays while a git process works in the repository', { skip: unseen }, async () => {
  using place = scratchRepository();
  const directory = join(place.path, '.git');
  const worker = spawn('git', ['cat-file', '--batch'], { cwd: place.path, stdio: ['pipe', 'pipe', 'ignore'] });
  // Its answer shows that it runs and is no longer the forked parent.
  worker.stdin.write('nothing\n');
  await once(worker.stdout, 'data');
  const lock = lockOfAge(directory, 5);
  assert.equal(removeStaleLock(lock, directory), false);
  worker.stdin.end();
  await once(worker, 'close');
  assert.equal(removeStaleLock(lock, directory), true);
});
