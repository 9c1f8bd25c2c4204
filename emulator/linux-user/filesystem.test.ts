import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { ConfigError } from '../check/errors.ts';
import { Errno } from '../check/errno.ts';
import { FileSystem, OpenFlag, parseMount, type Place, makeFifo } from './filesystem.ts';
import type { OpenFile } from './file.ts';

const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-filesystem-')));
const inside = path.join(root, 'inside');
const outside = path.join(root, 'outside');
fs.mkdirSync(path.join(inside, 'deep/er'), { recursive: true });
fs.mkdirSync(outside);
fs.writeFileSync(path.join(inside, 'hello'), 'hello\n');
fs.writeFileSync(path.join(outside, 'secret'), 'secret\n');
fs.symlinkSync('../outside/secret', path.join(inside, 'escape-relative'));
fs.symlinkSync(path.join(outside, 'secret'), path.join(inside, 'escape-absolute'));
fs.symlinkSync('../../../../../../../../outside', path.join(inside, 'deep/escape-directory'));
fs.symlinkSync('loop-b', path.join(inside, 'loop-a'));
fs.symlinkSync('loop-a', path.join(inside, 'loop-b'));
fs.symlinkSync('/data/hello', path.join(inside, 'guest-absolute'));
fs.symlinkSync('hello', path.join(inside, 'alias'));
after(() => fs.rmSync(root, { recursive: true }));

const self = {
  executable: () => ({ path: '/program', bytes: Uint8Array.of(1, 2, 3) }),
  descriptors: () => [0, 1, 2],
  descriptorPath: (fd: number) => (fd < 3 ? `/dev/std${fd}` : undefined),
};
const files = new FileSystem([{ host: inside, guest: '/data', readOnly: false }]);
const readOnly = new FileSystem([{ host: inside, guest: '/data', readOnly: true }]);

function open(system: FileSystem, name: string, flags: number): OpenFile | number {
  const place = system.resolve('/', name, self);
  if (typeof place === 'number') return place;
  const opened = system.open(place, flags, 0o644, self);
  return typeof opened === 'object' && 'end' in opened ? opened.end : opened;
}

function read(file: OpenFile | number): string {
  assert.ok(typeof file !== 'number', `open failed with ${String(file)}`);
  const into = new Uint8Array(64);
  const count = file.read(into);
  file.close();
  assert.ok(typeof count === 'number');
  return Buffer.from(into.subarray(0, count)).toString();
}

test('a file below a mount is read, also through links inside it', () => {
  for (const name of [
    '/data/hello',
    '/data/./deep/../hello',
    '/data/alias',
    '/data/guest-absolute',
    '/../data/hello',
  ]) {
    assert.equal(read(open(files, name, 0)), 'hello\n', name);
  }
});

test('no link or dot-dot leads out of a mount', () => {
  for (const name of [
    '/data/escape-relative',
    '/data/escape-absolute',
    '/data/../../outside/secret',
    '/data/deep/escape-directory/secret',
  ]) {
    assert.equal(open(files, name, 0), -Errno.ENOENT, name);
  }
});

test('no path of any shape resolves to a host path outside the mount', () => {
  const name = fc.constantFrom(
    '..',
    '.',
    'data',
    'deep',
    'er',
    'escape-relative',
    'escape-directory',
    'escape-absolute',
    'alias',
    'hello',
    'loop-a',
    '',
    'new',
  );
  fc.assert(
    fc.property(fc.array(name, { maxLength: 12 }), fc.boolean(), fc.boolean(), (parts, absolute, follow) => {
      const place = files.resolve('/data/deep', (absolute ? '/' : '') + parts.join('/'), self, follow);
      if (typeof place === 'number' || place.kind !== 'host') return;
      const real = fs.existsSync(place.host) && follow ? fs.realpathSync(place.host) : place.host;
      assert.ok(real === inside || real.startsWith(`${inside}/`), real);
      assert.ok(!place.host.split('/').includes('..'), place.host);
    }),
    { numRuns: 3000 },
  );
});

test('links that run in a circle, long names and missing directories have their errno', () => {
  assert.equal(files.resolve('/', '/data/loop-a', self), -Errno.ELOOP);
  assert.equal(files.resolve('/', `/data/${'x'.repeat(256)}`, self), -Errno.ENAMETOOLONG);
  assert.equal(files.resolve('/', 'x/'.repeat(3000), self), -Errno.ENAMETOOLONG);
  assert.equal(files.resolve('/', '/data/nothing/below', self), -Errno.ENOENT);
  assert.equal(files.resolve('/', '/data/hello/below', self), -Errno.ENOTDIR);
  assert.equal(files.resolve('/', '', self), -Errno.ENOENT);
});

test('a read-only mount refuses every change', () => {
  const create = OpenFlag.create;
  assert.equal(open(readOnly, '/data/new', create | 1), -Errno.EROFS);
  assert.equal(open(readOnly, '/data/hello', 2), -Errno.EROFS);
  assert.equal(open(readOnly, '/data/hello', OpenFlag.truncate), -Errno.EROFS);
  assert.equal(
    readOnly.change(readOnly.resolve('/', '/data/hello', self) as Place, (host) => fs.unlinkSync(host)),
    -Errno.EROFS,
  );
  assert.equal(fs.readFileSync(path.join(inside, 'hello'), 'utf8'), 'hello\n');
  assert.equal(read(open(readOnly, '/data/hello', create)), 'hello\n');
});

test('the built-in tree cannot be changed and shows only what it should', () => {
  assert.equal(open(files, '/new', OpenFlag.create | 1), -Errno.EROFS);
  assert.equal(
    files.change(files.resolve('/', '/dev/null', self) as Place, () => assert.fail('not reached')),
    -Errno.EROFS,
  );
  assert.equal(
    files.change(files.resolve('/', '/data', self) as Place, () => assert.fail('not reached')),
    -Errno.EBUSY,
  );
  const list = open(files, '/', OpenFlag.directory);
  assert.ok(typeof list !== 'number');
  assert.deepEqual(
    list.entries!()
      .map(({ name }) => name)
      .toSorted(),
    ['.', '..', 'data', 'dev', 'proc'],
  );
  assert.equal(open(files, '/etc/passwd', 0), -Errno.ENOENT);
  assert.equal(read(open(files, '/proc/self/exe', 0)), '\x01\x02\x03');
  assert.equal(read(open(files, '/dev/null', 0)), '');
});

test('a link to a device below a mount is read in the name space of the guest', () => {
  fs.mkdirSync(path.join(inside, 'directory'));
  fs.symlinkSync('/dev/zero', path.join(inside, 'zero'));
  assert.notEqual(typeof open(files, '/data/directory', 0), 'number');
  assert.equal(read(open(files, '/data/zero', 0)), '\0'.repeat(64));
});

test('a socket of the host below a mount is not opened', async () => {
  const server = net.createServer();
  await once(server.listen(path.join(inside, 'socket')), 'listening');
  assert.equal(open(files, '/data/socket', 0), -Errno.EACCES);
  assert.equal(open(files, '/data/socket', 2), -Errno.EACCES);
  server.close();
});

test('a FIFO of the host is a name: what the guest writes there stays in the guest', () => {
  makeFifo(Buffer.from(path.join(inside, 'fifo')), 0o640);
  assert.equal(fs.statSync(path.join(inside, 'fifo')).mode & 0o170777, 0o010640);
  const both = open(files, '/data/fifo', 2);
  assert.ok(typeof both === 'object');
  assert.equal(both.write(Buffer.from('kept')), 4);
  // A reader outside would wait for ever, or be told that there is nothing.
  const outside = fs.openSync(path.join(inside, 'fifo'), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  assert.equal(fs.readSync(outside, new Uint8Array(8)), 0);
  fs.closeSync(outside);
  assert.equal(read(both), 'kept');
  assert.throws(() => makeFifo(Buffer.from(path.join(inside, 'fifo')), 0o640), { code: 'EEXIST' });
  assert.throws(() => makeFifo(Buffer.from(path.join(inside, 'none', 'fifo')), 0o640), { code: 'ENOENT' });
  assert.throws(() => makeFifo(Buffer.from(`${inside}/\xff`, 'latin1'), 0o640), { code: 'EPERM' });
});

test('a mount that is no directory, and text that is no mount, are said so in one line', () => {
  assert.throws(() => new FileSystem([{ host: path.join(root, 'none'), guest: '/x', readOnly: true }]), ConfigError);
  assert.throws(() => new FileSystem([{ host: path.join(inside, 'hello'), guest: '/x', readOnly: true }]), ConfigError);
  assert.throws(() => parseMount('nonsense'), /not a mount/);
  assert.deepEqual(parseMount('.:/work:ro'), { host: '.', guest: '/work', readOnly: true });
});
