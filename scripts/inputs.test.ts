import { strict as assert } from 'node:assert';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestInRelease, parsePackages, sha256OfFile } from './debian-archive.ts';
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
