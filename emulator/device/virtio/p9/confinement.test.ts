import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { ConfigError } from '../../../check/errors.ts';
import { Errno } from '../../../check/errno.ts';
import { P9Client, encode } from './client.test-support.ts';
import { ConfinedTree } from './confined-tree.ts';
import { P9 } from './message.ts';
import { P9Server } from './server.ts';

/** `base/share` is shared; `base/secret` and `base/outside/` are not to be seen, changed or made larger. */
function outsideAndInside(context: TestContext) {
  const base = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-9p-')));
  context.after(() => fs.rmSync(base, { recursive: true, force: true }));
  const root = path.join(base, 'share');
  fs.mkdirSync(path.join(root, 'dir'), { recursive: true });
  fs.mkdirSync(path.join(base, 'outside'));
  fs.writeFileSync(path.join(base, 'secret'), 'SECRET');
  fs.writeFileSync(path.join(base, 'outside/secret'), 'SECRET');
  fs.writeFileSync(path.join(root, 'dir/file'), 'fine');
  fs.symlinkSync('/', path.join(root, 'to-root'));
  fs.symlinkSync('..', path.join(root, 'to-parent'));
  fs.symlinkSync('../secret', path.join(root, 'to-secret'));
  fs.symlinkSync(path.join(base, 'outside'), path.join(root, 'to-outside'));
  fs.symlinkSync('dir', path.join(root, 'to-inside'));
  const server = new P9Server({ root });
  context.after(() => server.close());
  const outside = () =>
    JSON.stringify(
      ['secret', 'outside', 'outside/secret']
        .map((name) => {
          const { mode, size, mtimeMs, nlink, ino } = fs.lstatSync(path.join(base, name));
          return [name, mode, size, mtimeMs, nlink, ino];
        })
        .concat([[...fs.readdirSync(base), ...fs.readdirSync(path.join(base, 'outside'))]]),
    );
  return { base, root, client: new P9Client(server), outside, before: outside() };
}

/** Every way out that a path can spell; walking there must give nothing that is not in the share. */
const WAYS_OUT: readonly (readonly string[])[] = [
  ['..', 'secret'],
  ['..', '..', '..', '..', 'etc', 'passwd'],
  ['dir', '..', '..', 'secret'],
  ['../secret'],
  ['dir/../../secret'],
  ['/etc/passwd'],
  ['/'],
  ['..\0', 'secret'],
  ['to-root', 'etc'],
  ['to-root', 'etc', 'passwd'],
  ['to-parent', 'secret'],
  ['to-parent', 'share'],
  ['to-outside', 'secret'],
  ['to-outside', '..', 'secret'],
  ['to-inside', 'file'],
  ['to-secret', ''],
  ['dir', 'file', '..', '..', '..', 'secret'],
  ['', '..', 'secret'],
  ['.', '..', 'secret'],
];

for (const names of WAYS_OUT) {
  test(`no way out by ${JSON.stringify(names.join(' > '))}`, (t) => {
    const { client, outside, before } = outsideAndInside(t);
    const error = client.error(P9.walk, `ddh${'s'.repeat(names.length)}`, [0, 9, names.length, ...names]);
    assert.ok(client.error(P9.clunk, 'd', [9]) === Errno.EBADF, `no fid was made (${error})`);
    assert.equal(outside(), before);
  });
}

test('a link to outside can be seen and read, not opened, created through, sized or chmodded', (t) => {
  const { client, outside, before } = outsideAndInside(t);
  for (const name of ['to-secret', 'to-outside', 'to-root', 'to-parent']) {
    assert.equal(client.open(name), -Errno.ELOOP);
    assert.equal(client.open(name, 1), -Errno.ELOOP);
    assert.equal(client.create(0, name), -Errno.ELOOP);
    assert.equal(client.create(0, name, 2 | 0o200), -Errno.EEXIST);
    const fid = client.walk(name);
    assert.equal(client.error(P9.setattr, 'dddddqqqqq', [fid, 9, 0o777, 0, 0, 100, 0, 0, 0, 0]), Errno.EOPNOTSUPP);
    assert.equal(client.error(P9.setattr, 'dddddqqqqq', [fid, 0x1b0, 0, 0, 0, 0, 1, 1, 1, 1]), Errno.EOPNOTSUPP);
    assert.equal(client.error(P9.mkdir, 'dsdd', [fid, 'x', 0o755, 0]), Errno.ENOTDIR);
    assert.equal(client.error(P9.unlinkat, 'dsd', [fid, 'secret', 0]), Errno.ENOTDIR);
    assert.equal(client.error(P9.symlink, 'dssd', [fid, 'x', 'y', 0]), Errno.ENOTDIR);
    assert.equal(client.error(P9.mknod, 'dsdddd', [fid, 'x', 0o100644, 0, 0, 0]), Errno.ENOTDIR);
    assert.equal(client.create(fid, 'x'), -Errno.ENOTDIR);
    assert.equal(client.error(P9.renameat, 'dsds', [fid, 'secret', 0, 'mine']), Errno.ENOTDIR);
    assert.equal(client.error(P9.renameat, 'dsds', [client.walk('dir'), 'file', fid, 'x']), Errno.ENOTDIR);
    assert.equal(client.error(P9.link, 'dds', [fid, client.walk('dir/file'), 'x']), Errno.ENOTDIR);
  }
  assert.equal(outside(), before);
});

test('names of new things cannot climb', (t) => {
  const { client, outside, before } = outsideAndInside(t);
  for (const name of ['..', '.', '', '../evil', '/tmp/evil', 'dir/../../evil', 'a\0b', '../secret']) {
    for (const [type, format, fields] of [
      [P9.mkdir, 'dsdd', [0, name, 0o755, 0]],
      [P9.symlink, 'dssd', [0, name, 'x', 0]],
      [P9.mknod, 'dsdddd', [0, name, 0o100644, 0, 0, 0]],
      [P9.lcreate, 'dsddd', [client.walk(''), name, 2, 0o644, 0]],
      [P9.link, 'dds', [0, client.walk('dir/file'), name]],
      [P9.renameat, 'dsds', [0, 'dir', 0, name]],
      [P9.renameat, 'dsds', [0, name, 0, 'mine']],
      [P9.rename, 'dds', [client.walk('dir/file'), 0, name]],
      [P9.unlinkat, 'dsd', [0, name, 0]],
      [P9.unlinkat, 'dsd', [0, name, 0x200]],
    ] as const)
      assert.ok([Errno.EINVAL, Errno.EEXIST].includes(client.error(type, format, fields) as 22), `${type} ${name}`);
  }
  assert.equal(outside(), before);
});

test('a directory a fid stands in, replaced by a link to outside, leads nowhere', (t) => {
  const { client, base, outside, before } = outsideAndInside(t);
  client.ok(P9.mkdir, 'dsdd', [0, 'trap', 0o755, 0]);
  client.clunk(client.create(client.walk('trap'), 'secret'));
  const unopened = client.walk('trap/secret');
  const directory = client.walk('trap');
  const opened = client.open('trap');
  // By another name for it, so that the fids keep theirs.
  client.ok(P9.unlinkat, 'dsd', [client.walk('trap'), 'secret', 0]);
  client.ok(P9.unlinkat, 'dsd', [0, 'trap', 0x200]);
  client.ok(P9.symlink, 'dssd', [0, 'trap', path.join(base, 'outside'), 0]);
  assert.equal(client.error(P9.lopen, 'dd', [unopened, 0]), Errno.ENOTDIR);
  assert.equal(client.error(P9.getattr, 'dq', [unopened, 0]), Errno.ENOTDIR);
  assert.equal(client.error(P9.remove, 'd', [unopened]), Errno.ENOTDIR);
  assert.equal(client.create(directory, 'evil'), -Errno.ENOTDIR);
  assert.equal(client.error(P9.unlinkat, 'dsd', [directory, 'secret', 0]), Errno.ENOTDIR);
  assert.notEqual(client.error(P9.readdir, 'dqd', [opened, 0, 4096]), 0);
  assert.equal(client.error(P9.walk, 'ddhs', [directory, 9, 1, 'secret']), Errno.ENOTDIR);
  assert.equal(outside(), before);
});

test('the guest cannot make the host follow a link by renaming around it', (t) => {
  const { client, outside, before } = outsideAndInside(t);
  client.ok(P9.mkdir, 'dsdd', [0, 'a', 0o755, 0]);
  const inA = client.walk('a');
  client.ok(P9.renameat, 'dsds', [0, 'to-outside', 0, 'b']);
  client.ok(P9.renameat, 'dsds', [0, 'a', 0, 'c']);
  client.ok(P9.renameat, 'dsds', [0, 'b', 0, 'a']);
  client.clunk(client.create(inA, 'where'));
  assert.ok(client.walk('c/where') > 0, 'the fid went along with its directory');
  assert.equal(outside(), before);
});

test('pipes, sockets and devices of the host are seen but not opened', (t) => {
  const { client, root } = outsideAndInside(t);
  execFileSync('mkfifo', [path.join(root, 'pipe')]);
  assert.equal(client.attributes(client.walk('pipe')).mode & 0o170000, 0o010000);
  for (const flags of [0, 1, 2]) assert.equal(client.open('pipe', flags), -Errno.EACCES);
  assert.equal(client.create(0, 'pipe'), -Errno.EACCES);
  assert.equal(client.error(P9.setattr, 'dddddqqqqq', [client.walk('pipe'), 8, 0, 0, 0, 1, 0, 0, 0, 0]), Errno.EINVAL);
});

for (const byDescriptor of process.platform === 'linux' ? [true, false] : [false]) {
  test(`a tree ${byDescriptor ? 'by descriptors' : 'by names'}: links on the way are no directories`, (t) => {
    const { root } = outsideAndInside(t);
    const tree = new ConfinedTree(root, byDescriptor);
    const read = (names: readonly string[]) => tree.on(names, (host) => fs.readFileSync(host, 'utf8'));
    assert.equal(read(['dir', 'file']), 'fine');
    const isNotDirectory = { code: 'ENOTDIR' };
    for (const names of [
      ['to-parent', 'secret'],
      ['to-inside', 'file'],
      ['dir', 'file', 'x'],
      ['to-root', 'etc', 'passwd'],
    ])
      assert.throws(() => tree.at(names, (host) => fs.lstatSync(host)), isNotDirectory, names.join('/'));
    assert.throws(() => read(['dir', 'nothing']), { code: 'ENOENT' });
    assert.throws(() => read(['nothing', 'x']), { code: 'ENOENT' });
    assert.ok(tree.on(['to-secret'], (_, status) => status.isSymbolicLink()));
    assert.ok(tree.at([], (host) => fs.lstatSync(host).isDirectory()));
    tree.close();
  });
}

test('no descriptor is left behind, whatever fails', { skip: process.platform !== 'linux' }, (t) => {
  const { client } = outsideAndInside(t);
  const count = () => fs.readdirSync('/proc/self/fd').length;
  const before = count();
  for (const names of WAYS_OUT) client.error(P9.walk, `ddh${'s'.repeat(names.length)}`, [0, 9, names.length, ...names]);
  client.open('to-secret');
  client.create(0, 'dir');
  client.clunk(client.open('dir/file'));
  client.error(P9.unlinkat, 'dsd', [0, 'nothing', 0]);
  assert.equal(count(), before);
});

test('only a directory can be shared', (t) => {
  const { base } = outsideAndInside(t);
  assert.throws(() => new ConfinedTree(path.join(base, 'secret')), ConfigError);
  assert.throws(() => new ConfinedTree(path.join(base, 'nothing')), ConfigError);
});

const ROUNDS = Number(process.env['DYNO_FUZZ_ROUNDS'] ?? 100_000);

test(`${ROUNDS} damaged messages: all answered, nothing outside touched, handles bounded`, (t) => {
  const { root, outside, before } = outsideAndInside(t);
  const server = new P9Server({ root, maximumFids: 64, maximumOpen: 16 });
  t.after(() => server.close());
  let state = Number(process.env['DYNO_FUZZ_SEED'] ?? 20_261_121);
  const random = (below: number) => {
    state = (state * 48_271) % (2 ** 31 - 1);
    return state % below;
  };
  const names = ['dir', 'file', 'to-root', 'to-parent', 'to-secret', 'to-outside', '..', '.', 'n1', 'n2', '../x', ''];
  const name = () => names[random(names.length)]!;
  const fid = () => (random(10) === 0 ? random(2 ** 31 - 1) : random(12));
  const requests: readonly (() => Uint8Array)[] = [
    () => encode(P9.attach, 'ddssd', [fid(), 0xffff_ffff, '', '', 0]),
    () => encode(P9.walk, 'ddhs', [fid(), fid(), 1, name()]),
    () => encode(P9.walk, 'ddhss', [fid(), fid(), 2, name(), name()]),
    () => encode(P9.walk, 'ddh', [fid(), fid(), 0]),
    () => encode(P9.lopen, 'dd', [fid(), [0, 1, 2, 0o1001, 0o2002][random(5)]!]),
    () => encode(P9.lcreate, 'dsddd', [fid(), name(), random(4), random(0o10000), 0]),
    () => encode(P9.mkdir, 'dsdd', [fid(), name(), random(0o10000) | 0o700, 0]),
    () => encode(P9.symlink, 'dssd', [fid(), name(), ['..', '/', 'dir', '../outside'][random(4)]!, 0]),
    () => encode(P9.link, 'dds', [fid(), fid(), name()]),
    () => encode(P9.mknod, 'dsdddd', [fid(), name(), random(2 ** 17), 1, 3, 0]),
    () => encode(P9.rename, 'dds', [fid(), fid(), name()]),
    () => encode(P9.renameat, 'dsds', [fid(), name(), fid(), name()]),
    () => encode(P9.unlinkat, 'dsd', [fid(), name(), random(2) * 0x200]),
    () => encode(P9.getattr, 'dq', [fid(), 0x7ff]),
    () => encode(P9.setattr, 'dddddqqqqq', [fid(), random(0x200) & ~6, 0o755, 0, 0, random(5000), 1, 1, 1, 1]),
    () => encode(P9.read, 'dqd', [fid(), random(100), random(10_000)]),
    () => encode(P9.write, 'dqdr', [fid(), random(5000), 20, new Uint8Array(20)]),
    () => encode(P9.readdir, 'dqd', [fid(), random(3), random(2000)]),
    () => encode(P9.readlink, 'd', [fid()]),
    () => encode(P9.statfs, 'd', [fid()]),
    () => encode(P9.clunk, 'd', [fid()]),
    () => encode(P9.remove, 'd', [fid()]),
    () => encode(P9.version, 'ds', [4096 + random(10_000), '9P2000.L']),
    () => encode(P9.lock, 'dbdqqds', [fid(), 0, 0, 0, 0, 0, 'x']),
  ];
  const succeeded = new Map<number, number>();
  for (let round = 0; round < ROUNDS; round++) {
    // Version and remove seldom, or nothing would ever get anywhere.
    const kind = random(40) === 0 ? random(requests.length) : random(requests.length - 4);
    let message = requests[kind]!();
    if (random(4) === 0) {
      message = message.slice();
      for (let i = random(3); i >= 0; i--) message[7 + random(message.length - 6)] = random(256);
      if (random(4) === 0) message[random(7)] = random(256);
      if (random(4) === 0) message = message.subarray(0, random(message.length + 1));
    }
    const room = random(10) === 0 ? random(200) : 8192;
    const reply = server.handle(message, room);
    assert.equal(reply === undefined, room < 11 || message.length < 7, `state ${state}`);
    assert.ok((reply?.length ?? 0) <= room, `state ${state}`);
    server.checkInvariants();
    if (reply !== undefined && reply[4] !== P9.lerror + 1)
      succeeded.set(reply[4]! - 1, (succeeded.get(reply[4]! - 1) ?? 0) + 1);
  }
  assert.equal(outside(), before);
  for (const type of [
    P9.attach,
    P9.walk,
    P9.lopen,
    P9.lcreate,
    P9.mkdir,
    P9.symlink,
    P9.renameat,
    P9.write,
    P9.readdir,
  ])
    assert.ok((succeeded.get(type) ?? 0) > 0, `request ${type} never succeeded`);
});
