import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  digestInRelease,
  fetchFromArchive,
  memberOfAr,
  parsePackages,
  sha256OfFile,
  unpackByTar,
} from './debian-archive.ts';
import { input, listInputs } from './inputs.ts';

const STANZAS = `Package: busybox
Version: 1:1.0-1
Filename: pool/main/b/busybox/busybox_1.0-1_riscv64.deb
SHA256: ${'a'.repeat(64)}

Package: busybox-static
Version: 1:1.0-2
Depends: libc6 (>= 2.36)
Filename: pool/main/b/busybox/busybox-static_1.0-2_riscv64.deb
SHA256: ${'b'.repeat(64)}

Package: half
Version: 1
`;

test('a Packages index gives the stanza of the exact package name', () => {
  const [record, ...rest] = parsePackages(STANZAS, (name) => name === 'busybox-static');
  assert.deepEqual(rest, []);
  assert.equal(record?.version, '1:1.0-2');
  assert.equal(record?.pool, 'pool/main/b/busybox/busybox-static_1.0-2_riscv64.deb');
  assert.equal(record?.sha256, 'b'.repeat(64));
  assert.equal(record?.depends, 'libc6 (>= 2.36)');
});

test('a stanza without a file is left out', () => {
  assert.deepEqual(
    parsePackages(STANZAS, (name) => name === 'half'),
    [],
  );
});

test('a release file gives the SHA-256 of an index, not its MD5', () => {
  const text = `MD5Sum:\n ${'1'.repeat(32)} 10 main/x\nSHA256:\n ${'2'.repeat(64)} 10 main/xy\n ${'3'.repeat(64)} 10 main/x\n`;
  assert.equal(digestInRelease(text, 'main/x'), '3'.repeat(64));
  assert.equal(digestInRelease(text, 'main/z'), undefined);
  assert.equal(digestInRelease('', 'main/x'), undefined);
});

/** An ar(5) archive. */
function ar(members: readonly (readonly [name: string, bytes: Uint8Array])[]): Buffer {
  const parts = [Buffer.from('!<arch>\n')];
  for (const [name, bytes] of members) {
    const header = `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}`;
    parts.push(Buffer.from(`${header}${String(bytes.length).padEnd(10)}\`\n`), Buffer.from(bytes));
    if (bytes.length % 2 === 1) parts.push(Buffer.from('\n'));
  }
  return Buffer.concat(parts);
}

test('a package is unpacked without dpkg', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'deb-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'content', 'bin'), { recursive: true });
  await writeFile(join(folder, 'content', 'bin', 'tool'), 'a program');
  const tarball = join(folder, 'data.tar.gz');
  assert.equal(spawnSync('tar', ['-czf', tarball, '-C', join(folder, 'content'), '.']).status, 0);
  const deb = join(folder, 'x.deb');
  const data = await readFile(tarball);
  await writeFile(
    deb,
    ar([
      ['debian-binary', Buffer.from('2.0\n')],
      ['control.tar.xz', Buffer.from('odd')],
      ['data.tar.gz/', data],
    ]),
  );
  const out = join(folder, 'out');
  assert.deepEqual(await unpackByTar(deb, out), { path: out });
  assert.equal(await readFile(join(out, 'bin', 'tool'), 'utf8'), 'a program');
  assert.deepEqual(await readdir(out), ['bin'], 'nothing else is left there');
  const whole = await readFile(deb);
  for (const length of [0, 7, 8, 40, 100, whole.length - 10]) {
    assert.equal(memberOfAr(whole.subarray(0, length), 'data.tar'), undefined, `cut at ${length}`);
  }
  assert.equal(memberOfAr(ar([['data.tar/../../x', data]]), 'data.tar'), undefined, 'a name is a name');
});

test('an archive named by its address needs no apt, and its content must have the pinned digest', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'archive-'));
  const server = createServer((request, response) => {
    if (request.url === '/debian/pool/a.deb') response.end('content');
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    delete process.env['DYNO_DEBIAN_ARCHIVE'];
    server.close();
    await rm(folder, { recursive: true });
  });
  const digest = createHash('sha256').update('content').digest('hex');
  const to = join(folder, 'a.deb');
  process.env['DYNO_DEBIAN_ARCHIVE'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`;
  assert.deepEqual(await fetchFromArchive('pool/a.deb', to, digest), { path: to });
  assert.equal(await readFile(to, 'utf8'), 'content');
  const absent = async (path: string, sha256?: string): Promise<string> => {
    const found = await fetchFromArchive(path, join(folder, 'b'), sha256);
    return 'absent' in found ? found.absent : '';
  };
  assert.match(await absent('pool/a.deb', 'f'.repeat(64)), /does not have the pinned SHA-256/);
  assert.match(await absent('pool/b.deb', digest), /the archive answered 404/);
  assert.match(await absent('pool/a.deb'), /no pinned SHA-256/);
  process.env['DYNO_DEBIAN_ARCHIVE'] = 'file:///etc';
  assert.match(await absent('passwd', digest), /not an http address/);
});

test('the pins are well formed and their names differ', async () => {
  const pins = await listInputs();
  assert.ok(pins.some((pin) => pin.name === 'busybox-riscv64'));
  assert.equal(new Set(pins.map((pin) => pin.name)).size, pins.length);
});

test('an unknown input is an error that names the known ones', async () => {
  await assert.rejects(input('no-such-thing'), /no input is called no-such-thing; there are busybox-riscv64/);
});

test('a large input is not fetched unasked', async (t) => {
  const cache = await mkdtemp(join(tmpdir(), 'inputs-'));
  t.after(() => rm(cache, { recursive: true }));
  const found = await input('linux-riscv64', { cache });
  assert.ok('absent' in found);
  assert.match(found.absent, /fetched on request: .*--group kernel/);
});

test('a cached file that was changed is unpacked again', async (t) => {
  const cache = await mkdtemp(join(tmpdir(), 'inputs-'));
  t.after(() => rm(cache, { recursive: true }));
  const first = await input('busybox-arm64', { cache });
  if ('absent' in first) return t.skip(first.absent);
  const digest = await sha256OfFile(first.path);
  await writeFile(first.path, 'not a program');
  const second = await input('busybox-arm64', { cache });
  if ('absent' in second) return t.skip(second.absent);
  assert.equal(await sha256OfFile(second.path), digest);
});
