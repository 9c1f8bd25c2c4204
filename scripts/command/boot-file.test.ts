import assert from 'node:assert/strict';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { HostError } from '../../emulator/check/errors.ts';
import { HEAD_SIZE } from '../../emulator/machine/riscv-virt/boot.ts';
import { openBootFile } from './boot-file.ts';

function inDirectory(body: (file: string) => void): void {
  const directory = fs.mkdtempSync(join(tmpdir(), 'dyno-boot-file-'));
  try {
    body(join(directory, 'image'));
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

const contents = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 31) >> 3);

test('a small file is read at once', () => {
  inDirectory((path) => {
    fs.writeFileSync(path, contents(HEAD_SIZE));
    const file = openBootFile(path);
    fs.rmSync(path);
    assert.equal(file.large, undefined);
    assert.deepEqual(file.bytes, contents(HEAD_SIZE));
  });
});

test('a large file is read when it is copied, each time anew', () => {
  inDirectory((path) => {
    const length = 3 * HEAD_SIZE + 5;
    fs.writeFileSync(path, contents(length));
    const { large, bytes } = openBootFile(path);
    assert.ok(large !== undefined);
    assert.equal(large.length, length);
    assert.deepEqual(large.head, contents(HEAD_SIZE));
    assert.deepEqual(bytes, contents(length));
    for (let round = 0; round < 2; round++) {
      const target = new Uint8Array(length);
      large.copyTo(target);
      assert.deepEqual(target, contents(length));
    }
  });
});

test('a file that is missing, becomes shorter or goes away is an error of the host', () => {
  inDirectory((path) => {
    assert.throws(() => openBootFile(path), HostError);
    fs.writeFileSync(path, contents(2 * HEAD_SIZE));
    const file = openBootFile(path);
    fs.truncateSync(path, HEAD_SIZE + 1);
    assert.throws(() => file.large!.copyTo(new Uint8Array(2 * HEAD_SIZE)), HostError);
    fs.rmSync(path);
    assert.throws(() => file.large!.copyTo(new Uint8Array(2 * HEAD_SIZE)), HostError);
    assert.throws(() => file.bytes, HostError);
  });
});
