import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { Errno } from '../../../check/errno.ts';
import { P9Client, decode, encode } from './client.test-support.ts';
import { P9 } from './message.ts';
import { MAXIMUM_MESSAGE, P9Server, type P9Options } from './server.ts';

const O_WRONLY = 1;
const O_RDWR = 2;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;

/** A share with `file` ("hello"), `dir/inner` ("inside"), `dir/sub/`, `link` to `file` and a pipe; a client attached to it. */
function share(context: TestContext, options: Partial<P9Options> = {}) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-9p-'));
  context.after(() => fs.rmSync(root, { recursive: true, force: true }));
  fs.writeFileSync(path.join(root, 'file'), 'hello');
  fs.mkdirSync(path.join(root, 'dir/sub'), { recursive: true });
  fs.writeFileSync(path.join(root, 'dir/inner'), 'inside');
  fs.symlinkSync('file', path.join(root, 'link'));
  const server = new P9Server({ root, ...options });
  context.after(() => server.close());
  return { root, server, client: new P9Client(server), host: (name: string) => path.join(root, name) };
}

test('version: sizes are agreed on, unknown dialects are named so, fids are forgotten', (t) => {
  const { server, client } = share(t);
  const ask = (size: number, version: string) => decode(client.ok(P9.version, 'ds', [size, version]), 'ds');
  client.open('file');
  assert.equal(server.open, 1);
  assert.deepEqual(ask(8192, '9P2000.L'), [8192, '9P2000.L']);
  assert.deepEqual([server.fids, server.open], [0, 0]);
  assert.deepEqual(ask(0xffff_ffff, '9P2000.L'), [MAXIMUM_MESSAGE, '9P2000.L']);
  assert.deepEqual(ask(8192, '9P2000'), [8192, 'unknown']);
  assert.equal(client.error(P9.version, 'ds', [100, '9P2000.L']), Errno.EINVAL);
});

test('walk: one by one, partly, up, and not below files or links', (t) => {
  const { client, server } = share(t);
  const walk = (from: number, to: number, names: string[]) =>
    client.send(P9.walk, `ddh${'s'.repeat(names.length)}`, [from, to, names.length, ...names]);
  const result = (names: string[]) => {
    const before = server.fids;
    const reply = walk(0, 7, names);
    if (reply[4] === P9.lerror + 1) return -Number(decode(reply, 'd')[0]);
    const count = Number(decode(reply, 'h')[0]);
    assert.equal(server.fids, before + (count === names.length ? 1 : 0));
    if (count === names.length) client.clunk(7);
    return count;
  };
  assert.equal(result([]), 0);
  assert.equal(result(['file']), 1);
  assert.equal(result(['dir', 'inner']), 2);
  assert.equal(result(['dir', 'nothing', 'more']), 1);
  assert.equal(result(['nothing']), -Errno.ENOENT);
  assert.equal(result(['file', 'x']), 1);
  assert.equal(result(['link', 'x']), 1);
  assert.equal(result(['dir', '..', 'file']), 3);
  assert.equal(result(['..', '..', 'file']), 3);
  assert.equal(result(['.']), -Errno.ENOENT);
  assert.equal(result(['']), -Errno.ENOENT);
  assert.equal(result(['dir/inner']), -Errno.ENOENT);
  assert.equal(result(['a'.repeat(256)]), -Errno.ENAMETOOLONG);
  assert.equal(result(Array.from({ length: 17 }, () => '..')), -Errno.EINVAL);
  assert.equal(decode(walk(99, 7, []), 'd')[0], Errno.EBADF);
  assert.equal(decode(walk(0, 0xffff_ffff, []), 'd')[0], Errno.EBADF);
  const [qid] = decode(walk(0, 8, ['link']), 'hQ').slice(1) as [Buffer];
  assert.equal(qid[0], 2, 'a link is a link');
});

test('walk moves a fid in place, but not an open one and not onto another', (t) => {
  const { client } = share(t);
  const fid = client.walk('dir');
  client.ok(P9.walk, 'ddhs', [fid, fid, 1, 'inner']);
  client.ok(P9.lopen, 'dd', [fid, 0]);
  assert.equal(client.read(fid, 0, 100).toString(), 'inside');
  assert.equal(client.error(P9.walk, 'ddhs', [fid, fid, 1, '..']), Errno.EBUSY);
  assert.equal(client.error(P9.walk, 'ddh', [0, fid, 0]), Errno.EBADF);
});

test('read: from anywhere, past the end, within the room there is', (t) => {
  const { client } = share(t);
  const fid = client.open('file');
  assert.equal(client.read(fid, 0, 100).toString(), 'hello');
  assert.equal(client.read(fid, 3, 100).toString(), 'lo');
  assert.equal(client.read(fid, 0, 2).toString(), 'he');
  assert.equal(client.read(fid, 5, 10).length, 0);
  assert.equal(client.read(fid, 2 ** 60, 10).length, 0);
  const small = client.send(P9.read, 'dqd', [fid, 0, 100], 14);
  assert.equal(small.length, 14);
  assert.deepEqual(decode(small, 'dR').map(String), ['3', 'hel']);
  assert.equal(client.error(P9.read, 'dqd', [client.walk('file'), 0, 1]), Errno.EBADF);
  assert.equal(client.error(P9.read, 'dqd', [client.open('dir'), 0, 1]), Errno.EISDIR);
});

test('write: what is written is on the host, through the right descriptors only', (t) => {
  const { client, host } = share(t);
  const fid = client.open('file', O_RDWR);
  assert.equal(client.write(fid, 3, Buffer.from('p me')), 4);
  assert.equal(fs.readFileSync(host('file'), 'utf8'), 'help me');
  assert.equal(client.write(fid, 0, new Uint8Array()), 0);
  assert.equal(client.error(P9.write, 'dqdr', [client.open('file'), 0, 1, Buffer.from('x')]), Errno.EBADF);
  assert.equal(client.error(P9.write, 'dqdr', [fid, 2 ** 60, 1, Buffer.from('x')]), Errno.EFBIG);
  client.write(client.open('file', O_WRONLY | O_APPEND), 0, Buffer.from('!'));
  assert.equal(fs.readFileSync(host('file'), 'utf8'), 'help me!');
  client.open('file', O_WRONLY | O_TRUNC);
  assert.equal(fs.statSync(host('file')).size, 0);
  client.ok(P9.fsync, 'dd', [fid, 0]);
  client.ok(P9.fsync, 'dd', [fid, 1]);
  client.ok(P9.fsync, 'd', [client.open('dir')]);
  assert.equal(client.error(P9.fsync, 'dd', [client.walk('file'), 0]), Errno.EBADF);
});

test('bytes of a megabyte come back as they went', (t) => {
  const { client } = share(t);
  const bytes = Buffer.from(Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 31 + (i >> 9)) & 0xff));
  const fid = client.create(0, 'big');
  for (let at = 0; at < bytes.length; at += 400_000) client.write(fid, at, bytes.subarray(at, at + 400_000));
  const read: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += read.at(-1)!.length) read.push(client.read(fid, at, 1 << 20));
  assert.ok(Buffer.concat(read).equals(bytes));
  assert.equal(read[0]!.length, MAXIMUM_MESSAGE - 11);
});

test('lcreate: new files have the mode asked for and no more than a guest may give', (t) => {
  const { client, host } = share(t);
  const fid = client.create(0, 'new', O_RDWR, 0o4666);
  client.write(fid, 0, Buffer.from('x'));
  assert.equal(fs.statSync(host('new')).mode & 0o7777, 0o666);
  assert.equal(client.create(0, 'new', O_RDWR | O_EXCL), -Errno.EEXIST);
  const again = client.create(0, 'new', O_RDWR);
  assert.equal(client.read(again, 0, 5).toString(), 'x');
  assert.equal(client.create(0, 'link', O_RDWR), -Errno.ELOOP);
  assert.equal(client.create(0, 'dir', O_RDWR), -Errno.EISDIR);
  assert.equal(client.create(0, 'a/b'), -Errno.EINVAL);
  assert.equal(client.error(P9.lcreate, 'dsddd', [again, 'n', 2, 0o644, 0]), Errno.EINVAL);
});

test('readdir: sorted by bytes, in pieces of any size, stable while names come and go', (t) => {
  const { client, host } = share(t);
  for (const name of ['b', 'a', 'B', 'ä', 'zz', 'z']) fs.writeFileSync(host(name), '');
  const expected = ['.', '..', ...['dir', 'file', 'link', 'b', 'a', 'B', '\xc3\xa4', 'zz', 'z'].sort()];
  const fid = client.open('');
  for (const count of [40, 64, 100, 4096])
    assert.deepEqual(
      client.list(fid, count).map(({ name }) => name),
      expected,
    );
  const types = new Map(client.list(fid).map(({ name, type }) => [name, type]));
  assert.deepEqual([types.get('.'), types.get('dir'), types.get('file'), types.get('link')], [4, 4, 8, 10]);
  assert.equal(client.error(P9.readdir, 'dqd', [fid, 0, 10]), Errno.EINVAL);
  const first = Buffer.from(client.ok(P9.readdir, 'dqd', [fid, 0, 60]));
  assert.equal(first.readUInt32LE(7), 25 + 26);
  fs.rmSync(host('B'));
  fs.writeFileSync(host('A'), '');
  const rest = client.list(fid, 4096, 2n).map(({ name }) => name);
  assert.deepEqual(
    rest,
    expected.slice(2).filter((name) => name !== 'B'),
  );
  assert.equal(client.error(P9.readdir, 'dqd', [client.open('file'), 0, 100]), Errno.ENOTDIR);
  assert.equal(client.error(P9.readdir, 'dqd', [client.walk('dir'), 0, 100]), Errno.EBADF);
});

test('the parent of the root, as readdir shows it, is the root', (t) => {
  const { client } = share(t);
  const bytes = Buffer.from(client.ok(P9.readdir, 'dqd', [client.open(''), 0, 100]));
  assert.deepEqual(bytes.subarray(11, 24), bytes.subarray(11 + 25, 24 + 25));
});

test('getattr and setattr: mode, size, times; owners stay', (t) => {
  const { client, host } = share(t, { now: () => 12_345 });
  const set = (fid: number, valid: number, { mode = 0, uid = 0, gid = 0, size = 0, mtime = 0 } = {}) =>
    client.error(P9.setattr, 'dddddqqqqq', [fid, valid, mode, uid, gid, size, 77, 0, mtime, 500_000_000]);
  const fid = client.walk('file');
  assert.equal(client.attributes(fid).size, 5);
  assert.equal(client.attributes(fid).mode & 0o170000, 0o100000);
  assert.equal(client.attributes(client.walk('link')).mode & 0o170000, 0o120000);
  assert.equal(set(fid, 1, { mode: 0o104751 }), 0);
  assert.equal(fs.statSync(host('file')).mode & 0o7777, 0o751);
  assert.equal(set(fid, 8, { size: 2 }), 0);
  assert.equal(fs.readFileSync(host('file'), 'utf8'), 'he');
  assert.equal(set(fid, 0x1b0, { mtime: 1_000_000_000 }), 0);
  assert.equal(fs.statSync(host('file')).mtimeMs, 1_000_000_000_500);
  assert.equal(fs.statSync(host('file')).atimeMs, 77_000);
  assert.equal(set(fid, 0x20), 0);
  assert.equal(fs.statSync(host('file')).mtimeMs, 12_345_000);
  assert.equal(fs.statSync(host('file')).atimeMs, 77_000, 'only what was asked for');
  const { uid, gid } = client.attributes(fid);
  assert.equal(set(fid, 6, { uid, gid }), 0);
  assert.equal(set(fid, 2, { uid: uid + 1 }), Errno.EPERM);
  assert.equal(set(fid, 4, { gid: gid + 1 }), Errno.EPERM);
  assert.equal(set(fid, 8, { size: 2 ** 60 }), Errno.EFBIG);
  assert.equal(set(fid, 0x120, { mtime: 2 ** 62 }), Errno.EINVAL);
  assert.equal(set(client.walk('dir'), 8), Errno.EISDIR);
  assert.equal(set(client.walk('link'), 1, { mode: 0 }), Errno.EOPNOTSUPP);
  assert.equal(set(99, 1), Errno.EBADF);
});

test('an open file without a name can still be read, sized and looked at', (t) => {
  const { client } = share(t);
  const fid = client.open('file', O_RDWR);
  client.ok(P9.unlinkat, 'dsd', [0, 'file', 0]);
  assert.equal(client.read(fid, 0, 9).toString(), 'hello');
  assert.deepEqual([client.attributes(fid).size, client.attributes(fid).links], [5, 0]);
  assert.equal(client.error(P9.setattr, 'dddddqqqqq', [fid, 9, 0o600, 0, 0, 3, 0, 0, 0, 0]), 0);
  assert.equal(client.attributes(fid).size, 3);
});

test('mkdir, symlink, readlink, link, mknod, unlinkat, remove', (t) => {
  const { client, host, server } = share(t);
  client.ok(P9.mkdir, 'dsdd', [0, 'made', 0o1750, 0]);
  assert.equal(fs.statSync(host('made')).mode & 0o7777, 0o750);
  assert.equal(client.error(P9.mkdir, 'dsdd', [0, 'made', 0o755, 0]), Errno.EEXIST);
  client.ok(P9.symlink, 'dssd', [0, 'pointer', '/any/where', 0]);
  assert.equal(fs.readlinkSync(host('pointer')), '/any/where');
  assert.equal(decode(client.ok(P9.readlink, 'd', [client.walk('pointer')]), 's')[0], '/any/where');
  assert.equal(client.error(P9.readlink, 'd', [client.walk('file')]), Errno.EINVAL);
  assert.equal(client.error(P9.symlink, 'dssd', [0, 'x', '', 0]), Errno.EINVAL);
  assert.equal(client.error(P9.symlink, 'dssd', [0, 'x', 'y'.repeat(5000), 0]), Errno.ENAMETOOLONG);
  client.ok(P9.link, 'dds', [client.walk('made'), client.walk('file'), 'second']);
  assert.equal(fs.statSync(host('made/second')).nlink, 2);
  client.ok(P9.link, 'dds', [0, client.walk('pointer'), 'pointer2']);
  assert.equal(fs.readlinkSync(host('pointer2')), '/any/where', 'the link itself was linked');
  client.ok(P9.mknod, 'dsdddd', [0, 'plain', 0o100600, 0, 0, 0]);
  assert.equal(fs.statSync(host('plain')).mode, 0o100600);
  for (const type of [0o010000, 0o020000, 0o060000, 0o140000])
    assert.equal(client.error(P9.mknod, 'dsdddd', [0, 'device', type | 0o666, 1, 3, 0]), Errno.EPERM);
  assert.equal(client.error(P9.unlinkat, 'dsd', [0, 'made', 0x200]), Errno.ENOTEMPTY);
  assert.ok([Errno.EISDIR, Errno.EPERM].includes(client.error(P9.unlinkat, 'dsd', [0, 'made', 0]) as 21));
  assert.equal(client.error(P9.unlinkat, 'dsd', [0, 'file', 0x200]), Errno.ENOTDIR);
  client.ok(P9.unlinkat, 'dsd', [client.walk('made'), 'second', 0]);
  client.ok(P9.unlinkat, 'dsd', [0, 'made', 0x200]);
  assert.equal(fs.existsSync(host('made')), false);
  const fids = server.fids;
  client.ok(P9.remove, 'd', [client.walk('plain')]);
  assert.equal(fs.existsSync(host('plain')), false);
  assert.equal(client.error(P9.remove, 'd', [client.walk('dir')]), Errno.ENOTEMPTY);
  assert.equal(client.error(P9.remove, 'd', [client.walk('')]), Errno.EBUSY);
  assert.equal(server.fids, fids, 'remove takes the fid, whatever comes of it');
});

test('rename and renameat: fids go along', (t) => {
  const { client, host } = share(t);
  const inner = client.walk('dir/inner');
  client.ok(P9.renameat, 'dsds', [0, 'dir', 0, 'moved']);
  assert.equal(client.attributes(inner).size, 6);
  client.ok(P9.rename, 'dds', [inner, 0, 'out']);
  assert.equal(fs.readFileSync(host('out'), 'utf8'), 'inside');
  client.ok(P9.lopen, 'dd', [inner, 0]);
  assert.equal(client.read(inner, 0, 10).toString(), 'inside');
  client.ok(P9.renameat, 'dsds', [0, 'out', 0, 'file']);
  assert.equal(fs.readFileSync(host('file'), 'utf8'), 'inside', 'what was there is replaced');
  assert.equal(client.error(P9.rename, 'dds', [client.walk(''), 0, 'x']), Errno.EBUSY);
  assert.equal(client.error(P9.renameat, 'dsds', [0, 'nothing', 0, 'x']), Errno.ENOENT);
  assert.equal(client.error(P9.renameat, 'dsds', [0, 'moved', client.walk('moved'), 'x']), Errno.EINVAL);
  for (const name of ['', '.', '..', 'a/b', 'a\0b', 'a'.repeat(256)])
    assert.notEqual(client.error(P9.renameat, 'dsds', [0, 'file', 0, name]), 0, name);
});

test('statfs, locks, attributes nobody has, authentication, flush', (t) => {
  const { client } = share(t);
  const [type, blockSize, blocks] = decode(client.ok(P9.statfs, 'd', [0]), 'ddq');
  assert.deepEqual([type, Number(blockSize) > 0, Number(blocks) > 0], [0x0102_1997, true, true]);
  const fid = client.open('file');
  assert.equal(decode(client.ok(P9.lock, 'dbdqqds', [fid, 1, 0, 0, 0, 5, 'me']), 'b')[0], 0);
  const held = decode(client.ok(P9.getlock, 'dbqqds', [fid, 1, 10, 20, 5, 'me']), 'bqqds');
  assert.deepEqual(held, [2, 10n, 20n, 5, 'me']);
  assert.equal(client.error(P9.xattrwalk, 'dds', [0, 9, 'user.x']), Errno.EOPNOTSUPP);
  assert.equal(client.error(P9.xattrcreate, 'dsqd', [0, 'user.x', 1, 0]), Errno.EOPNOTSUPP);
  assert.equal(client.error(P9.auth, 'dssd', [1, 'u', '', 0]), Errno.EOPNOTSUPP);
  client.ok(P9.flush, 'h', [3]);
  assert.equal(client.error(P9.clunk, 'd', [77]), Errno.EBADF);
  assert.equal(client.error(2, '', []), Errno.EOPNOTSUPP);
});

test('read-only: everything that changes is refused, everything else works', (t) => {
  const { client, root } = share(t, { readOnly: true });
  const snapshot = () => JSON.stringify(fs.readdirSync(root, { recursive: true }));
  const before = snapshot();
  const file = client.walk('file');
  const changes: readonly (readonly [number, string, (number | string)[]])[] = [
    [P9.lopen, 'dd', [file, O_WRONLY]],
    [P9.lopen, 'dd', [file, O_RDWR]],
    [P9.lopen, 'dd', [file, O_TRUNC]],
    [P9.lcreate, 'dsddd', [client.walk(''), 'new', O_RDWR, 0o644, 0]],
    [P9.mkdir, 'dsdd', [0, 'new', 0o755, 0]],
    [P9.symlink, 'dssd', [0, 'new', 'x', 0]],
    [P9.link, 'dds', [0, file, 'new']],
    [P9.mknod, 'dsdddd', [0, 'new', 0o100644, 0, 0, 0]],
    [P9.rename, 'dds', [file, 0, 'new']],
    [P9.renameat, 'dsds', [0, 'file', 0, 'new']],
    [P9.unlinkat, 'dsd', [0, 'file', 0]],
    [P9.setattr, 'dddddqqqqq', [file, 1, 0, 0, 0, 0, 0, 0, 0, 0]],
    [P9.remove, 'd', [client.walk('file')]],
  ];
  for (const [type, format, fields] of changes)
    assert.equal(client.error(type, format, fields), Errno.EROFS, `request ${type}`);
  assert.equal(snapshot(), before);
  assert.equal(client.read(client.open('dir/inner'), 0, 10).toString(), 'inside');
});

test('handles are bounded, and what is given back can be had again', (t) => {
  const { client, server } = share(t, { maximumFids: 20, maximumOpen: 3 });
  const open = [1, 2, 3].map(() => client.open('file'));
  assert.equal(client.open('file'), -Errno.EMFILE);
  assert.equal(client.create(0, 'other'), -Errno.EMFILE);
  assert.equal(server.open, 3);
  client.clunk(open[0]!);
  assert.ok(client.open('file') > 0);
  for (let i = server.fids; i < 20; i++) assert.ok(client.walk('') > 0);
  assert.equal(client.walk(''), -Errno.ENFILE);
  server.reset();
  assert.deepEqual([server.fids, server.open], [0, 0]);
});

test('malformed messages are answered with an error, and with nothing when nothing fits', (t) => {
  const { client, server } = share(t);
  const good = encode(P9.getattr, 'dq', [0, 0]);
  const errorOf = (message: Uint8Array, room = 1000) => {
    const reply = server.handle(message, room);
    if (reply === undefined) return 'none';
    return reply[4] === P9.lerror + 1 ? Number(decode(reply, 'd')[0]) : 'good';
  };
  const sized = (size: number) => {
    const message = good.slice();
    new DataView(message.buffer, message.byteOffset).setUint32(0, size, true);
    return message;
  };
  assert.equal(errorOf(good), 'good');
  assert.equal(errorOf(good, 10), 'none');
  assert.equal(errorOf(good.subarray(0, 6)), 'none');
  assert.equal(errorOf(new Uint8Array()), 'none');
  assert.equal(errorOf(good, 100), Errno.EINVAL, 'no room for attributes');
  for (const size of [0, 6, good.length + 1, 0xffff_ffff]) assert.equal(errorOf(sized(size)), Errno.EINVAL);
  assert.equal(errorOf(sized(good.length - 1)), Errno.EINVAL, 'a field cut short');
  assert.equal(client.error(P9.write, 'dqdr', [client.open('file', 1), 0, 50, Buffer.from('x')]), Errno.EINVAL);
  const reply = server.handle(encode(P9.clunk, 'd', [5], 0xabcd), 100)!;
  assert.equal(new DataView(reply.buffer, reply.byteOffset).getUint16(5, true), 0xabcd, 'the tag comes back');
});

test('every message that lacks its last byte is refused and has no effect', (t) => {
  const { client, root, server } = share(t);
  const open = client.open('file', O_RDWR);
  const directory = client.open('dir');
  const messages: readonly (readonly [number, string, (number | string | Uint8Array)[]])[] = [
    [P9.statfs, 'd', [0]],
    [P9.lopen, 'dd', [client.walk('file'), 0]],
    [P9.lcreate, 'dsddd', [client.walk(''), 'new', 2, 0o644, 0]],
    [P9.symlink, 'dssd', [0, 'new', 'target', 0]],
    [P9.mknod, 'dsdddd', [0, 'new', 0o100644, 0, 0, 0]],
    [P9.rename, 'dds', [client.walk('file'), 0, 'new']],
    [P9.readlink, 'd', [client.walk('link')]],
    [P9.getattr, 'dq', [0, 0]],
    [P9.setattr, 'dddddqqqqq', [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]],
    [P9.readdir, 'dqd', [directory, 0, 100]],
    [P9.lock, 'dbdqqds', [open, 0, 0, 0, 0, 0, 'me']],
    [P9.getlock, 'dbqqds', [open, 0, 0, 0, 0, 'me']],
    [P9.link, 'dds', [0, client.walk('file'), 'new']],
    [P9.mkdir, 'dsdd', [0, 'new', 0o755, 0]],
    [P9.renameat, 'dsds', [0, 'file', 0, 'new']],
    [P9.unlinkat, 'dsd', [0, 'file', 0]],
    [P9.version, 'ds', [8192, '9P2000.L']],
    [P9.attach, 'ddssd', [50, 0, '', '', 0]],
    [P9.flush, 'h', [1]],
    [P9.walk, 'ddhs', [0, 51, 1, 'file']],
    [P9.read, 'dqd', [open, 0, 10]],
    [P9.write, 'dqdr', [open, 0, 5, Buffer.from('12345')]],
    [P9.clunk, 'd', [open]],
    [P9.remove, 'd', [client.walk('file')]],
    [P9.fsync, 'd', [open]],
  ];
  const snapshot = () => [
    fs.readdirSync(root),
    fs.readFileSync(path.join(root, 'file'), 'utf8'),
    server.fids,
    server.open,
  ];
  const before = snapshot();
  for (const [type, format, fields] of messages) {
    const message = encode(type, format, fields).slice(0, -1);
    new DataView(message.buffer, message.byteOffset).setUint32(0, message.length, true);
    const reply = server.handle(message, 4096)!;
    assert.equal(reply[4], P9.lerror + 1, `request ${type}`);
    assert.equal(decode(reply, 'd')[0], Errno.EINVAL, `request ${type}`);
  }
  assert.deepEqual(snapshot(), before);
});

test('replies have the lengths of their messages', (t) => {
  const { client } = share(t);
  const open = client.open('file');
  for (const [type, format, fields, length] of [
    [P9.getattr, 'dq', [0, 0], 160],
    [P9.statfs, 'd', [0], 67],
    [P9.walk, 'ddhss', [0, 30, 2, 'dir', 'inner'], 35],
    [P9.lopen, 'dd', [30, 0], 24],
    [P9.mkdir, 'dsdd', [0, 'new', 0o755, 0], 20],
    [P9.symlink, 'dssd', [0, 'soft', 'x', 0], 20],
    [P9.mknod, 'dsdddd', [0, 'node', 0o100644, 0, 0, 0], 20],
    [P9.attach, 'ddssd', [31, 0, '', '', 0], 20],
    [P9.lock, 'dbdqqds', [open, 0, 0, 0, 0, 0, ''], 8],
    [P9.write, 'dqdr', [client.open('file', 1), 0, 1, Buffer.from('j')], 11],
    [P9.read, 'dqd', [open, 0, 2], 13],
    [P9.fsync, 'dd', [open, 0], 7],
    [P9.unlinkat, 'dsd', [0, 'soft', 0], 7],
    [P9.setattr, 'dddddqqqqq', [open, 0, 0, 0, 0, 0, 0, 0, 0, 0], 7],
    [P9.clunk, 'd', [open], 7],
  ] as const)
    assert.equal(client.ok(type, format, [...fields]).length, length, `request ${type}`);
});

test('a closed server holds nothing of the host', { skip: process.platform !== 'linux' }, (t) => {
  const { root } = share(t);
  const count = () => fs.readdirSync('/proc/self/fd').length;
  const before = count();
  const server = new P9Server({ root });
  const client = new P9Client(server);
  client.open('file');
  client.open('dir/inner');
  assert.equal(count(), before + 3);
  server.close();
  assert.equal(count(), before);
});
