import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { buildInitramfs, dependenciesOf, loadOrder } from './initramfs.ts';
import { input } from './inputs.ts';

test('modules come after what they depend on, each once', () => {
  const needs = new Map([
    ['9p', ['9pnet', 'netfs']],
    ['9pnet', ['netfs']],
    ['virtio_blk', []],
  ]);
  assert.deepEqual(loadOrder(['virtio_blk', '9p', '9pnet'], needs), ['virtio_blk', 'netfs', '9pnet', '9p']);
});

test('a circle of dependencies ends', () => {
  const needs = new Map([
    ['a', ['b']],
    ['b', ['a']],
  ]);
  assert.deepEqual(loadOrder(['a'], needs), ['b', 'a']);
});

test('a module’s dependencies are read from its modinfo, dashes as the kernel writes them', () => {
  const module = (text: string): Uint8Array => Buffer.from(text.replaceAll('|', '\0'), 'latin1');
  assert.deepEqual(dependenciesOf(module('x|license=GPL|depends=drm,virtio-gpu|name=y|')), ['drm', 'virtio_gpu']);
  assert.deepEqual(dependenciesOf(module('x|depends=|name=y|')), []);
  assert.equal(dependenciesOf(module('x|name=y|')), undefined);
});

test('scripts are ones that a shell reads', (t) => {
  for (const name of ['init', 'boot', 'devices', 'shell', 'udhcpc']) {
    const done = spawnSync('sh', ['-n', `${import.meta.dirname}/initramfs/${name}.sh`]);
    if (done.error !== undefined) return t.skip('no sh on this machine');
    assert.equal(done.status, 0, done.stderr.toString());
  }
});

test('an archive without modules is the same each time and has init, busybox and a console', async (t) => {
  const built = await buildInitramfs();
  if ('absent' in built) return t.skip(built.absent);
  assert.deepEqual(await buildInitramfs(), built);
  const archive = await readFile(built.path);
  for (const name of ['init', 'bin/busybox', 'bin/sh', 'dev/console', 'etc/run/boot']) {
    assert.ok(archive.includes(Buffer.from(`${name}\0`)), name);
  }
});

test('a module that the package does not have is named', async (t) => {
  const modules = await input('linux-riscv64-modules');
  if ('absent' in modules) return t.skip(modules.absent);
  const built = await buildInitramfs({ modules: ['no-such-thing'] });
  assert.match('absent' in built ? built.absent : '', /no module no_such_thing/);
});
