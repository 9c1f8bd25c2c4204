import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigError } from '../check/errors.ts';
import { writeCpio, type CpioEntry } from './cpio.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const ENTRIES: readonly CpioEntry[] = [
  { kind: 'file', path: 'init', content: bytes('#!/bin/sh\n'), executable: true },
  { kind: 'file', path: 'lib/a/b.ko', content: bytes('odd') },
  { kind: 'directory', path: 'lib/a' },
  { kind: 'directory', path: 'proc' },
  { kind: 'symlink', path: 'bin/sh', target: 'busybox' },
  { kind: 'character-device', path: 'dev/console', major: 5, minor: 1 },
  { kind: 'file', path: 'empty', content: new Uint8Array(0) },
];

interface Member {
  readonly name: string;
  readonly mode: string;
  readonly device: string;
  readonly content: string;
}

/** The format read by its description, field by field. */
function members(archive: Uint8Array): Member[] {
  const text = Buffer.from(archive).toString('latin1');
  const found: Member[] = [];
  for (let at = 0; ;) {
    assert.equal(at % 4, 0);
    assert.equal(text.slice(at, at + 6), '070701');
    const field = (n: number): number => Number.parseInt(text.slice(at + 6 + 8 * n, at + 14 + 8 * n), 16);
    const nameSize = field(11);
    const name = text.slice(at + 110, at + 110 + nameSize - 1);
    const contentAt = Math.ceil((at + 110 + nameSize) / 4) * 4;
    if (name === 'TRAILER!!!') {
      assert.equal(contentAt, archive.length);
      return found;
    }
    const content = text.slice(contentAt, contentAt + field(6));
    found.push({ name, mode: field(1).toString(8), device: `${field(9)},${field(10)}`, content });
    at = Math.ceil((contentAt + field(6)) / 4) * 4;
  }
}

test('directories come before what is in them, also those that nobody named', () => {
  assert.deepEqual(
    members(writeCpio(ENTRIES)).map(({ name, mode, device, content }) => `${name} ${mode} ${device} ${content.trim()}`),
    [
      'init 100755 0,0 #!/bin/sh',
      'lib 40755 0,0 ',
      'lib/a 40755 0,0 ',
      'lib/a/b.ko 100644 0,0 odd',
      'proc 40755 0,0 ',
      'bin 40755 0,0 ',
      'bin/sh 120777 0,0 busybox',
      'dev 40755 0,0 ',
      'dev/console 20600 5,1 ',
      'empty 100644 0,0 ',
    ],
  );
});

test('a header is the magic and thirteen numbers: owner root, time 0, one link or two', () => {
  const archive = Buffer.from(writeCpio([{ kind: 'file', path: 'd/f', content: bytes('text!') }])).toString('latin1');
  const numbers = (...values: number[]): string =>
    `070701${values.map((n) => n.toString(16).padStart(8, '0')).join('')}`;
  const directory = `${numbers(1, 0o40755, 0, 0, 2, 0, 0, 0, 0, 0, 0, 2, 0)}d\0`;
  const file = `${numbers(2, 0o100644, 0, 0, 1, 0, 5, 0, 0, 0, 0, 4, 0)}d/f\0`;
  const trailer = `${numbers(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0)}TRAILER!!!\0`;
  assert.equal(archive, `${directory}${file}\0\0text!\0\0\0${trailer}\0\0\0`);
});

test('the same entries give the same bytes', () => {
  assert.deepEqual(writeCpio(ENTRIES), writeCpio(ENTRIES));
});

for (const path of ['', '/init', 'a//b', '../up', 'a/./b', 'a/', 'nul\0']) {
  test(`refused: the path ${JSON.stringify(path)}`, () => {
    assert.throws(() => writeCpio([{ kind: 'directory', path }]), ConfigError);
  });
}

test('refused: a path given twice, a file with something in it', () => {
  const file: CpioEntry = { kind: 'file', path: 'a', content: bytes('') };
  assert.throws(() => writeCpio([file, file]), /twice/);
  assert.throws(() => writeCpio([file, { kind: 'directory', path: 'a/b' }]), /no directory/);
});

test('cpio unpacks it', (t) => {
  if (spawnSync('cpio', ['--version']).error !== undefined) return t.skip('cpio is not installed');
  const directory = mkdtempSync(join(tmpdir(), 'dyno-cpio-'));
  try {
    // Making a device node takes privileges; its header is checked above.
    const archive = writeCpio(ENTRIES.filter(({ kind }) => kind !== 'character-device'));
    const done = spawnSync('cpio', ['--extract', '--quiet', '--make-directories'], { cwd: directory, input: archive });
    assert.equal(done.status, 0, done.stderr.toString());
    assert.equal(readFileSync(join(directory, 'init'), 'utf8'), '#!/bin/sh\n');
    assert.equal(statSync(join(directory, 'init')).mode & 0o777, 0o755);
    assert.equal(readFileSync(join(directory, 'lib/a/b.ko'), 'utf8'), 'odd');
    assert.equal(readlinkSync(join(directory, 'bin/sh')), 'busybox');
    assert.ok(statSync(join(directory, 'proc')).isDirectory());
  } finally {
    rmSync(directory, { recursive: true });
  }
});
