import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ConfigError } from '../check/errors.ts';
import { openDrive, parseDrive } from './drive-option.ts';

const never = (error: unknown): void => assert.fail(String(error));

function imageFile(t: TestContext, size = 8192): string {
  const folder = mkdtempSync(join(tmpdir(), 'dyno-drive-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'disk,1.img');
  writeFileSync(file, new Uint8Array(size).fill(7));
  return file;
}

test('a drive is a file or a size, with settings', () => {
  const plain = { file: 'a.img', size: 0, readOnly: false, snapshot: false, sectorSize: 512, serial: undefined };
  assert.deepEqual(parseDrive('a.img'), plain);
  assert.deepEqual(parseDrive('a.img,ro'), { ...plain, readOnly: true });
  assert.deepEqual(parseDrive('a,,b.img,snapshot,sector=4096,serial=root disk'), {
    ...plain,
    file: 'a,b.img',
    snapshot: true,
    sectorSize: 4096,
    serial: 'root disk',
  });
  assert.deepEqual(parseDrive('sparse:1T'), { ...plain, file: undefined, size: 2 ** 40 });
});

test('what is no drive is refused in one line that says how to mend it', () => {
  for (const text of [
    '',
    ',ro',
    'a.img,rw',
    'a.img,sector=513',
    'a.img,serial=',
    'sparse:',
    'sparse:1X',
    'sparse:100',
    'sparse:1G,ro',
    `a.img,serial=${'x'.repeat(21)}`,
    'sparse:999999999999T',
  ]) {
    assert.throws(
      () => parseDrive(text),
      (error) => error instanceof ConfigError && error.line().startsWith('--drive') && error.mend !== undefined,
      text,
    );
  }
});

test('what is written to a drive is in its file', (t) => {
  const file = imageFile(t);
  const { backend, close } = openDrive(parseDrive(file.replaceAll(',', ',,')), never);
  assert.equal(backend.size, 8192);
  assert.equal(backend.readOnly, false);
  assert.ok(backend.write(4096, new Uint8Array(512).fill(9), 0, 512));
  assert.ok(backend.flush());
  close();
  const bytes = readFileSync(file);
  assert.deepEqual([bytes.length, bytes[4095], bytes[4096], bytes[4607], bytes[4608]], [8192, 7, 9, 9, 7]);
});

test('a snapshot and a read-only drive leave their file alone', (t) => {
  const file = imageFile(t).replaceAll(',', ',,');
  const snapshot = openDrive(parseDrive(`${file},snapshot`), never);
  assert.equal(snapshot.backend.readOnly, false);
  assert.ok(snapshot.backend.write(0, new Uint8Array(512).fill(9), 0, 512));
  const back = new Uint8Array(1024);
  assert.ok(snapshot.backend.read(0, back, 0, 1024));
  assert.deepEqual([back[511], back[512]], [9, 7]);
  snapshot.close();
  const reader = openDrive(parseDrive(`${file},ro`), never);
  assert.equal(reader.backend.readOnly, true);
  assert.ok(reader.backend.read(0, back, 0, 512));
  assert.equal(back[0], 7);
  reader.close();
});

test('a file that shrinks under the guest is an I/O error and a report', (t) => {
  const file = imageFile(t);
  const reports: unknown[] = [];
  const { backend, close } = openDrive(parseDrive(file.replaceAll(',', ',,')), (error) => void reports.push(error));
  writeFileSync(file, new Uint8Array(512));
  assert.equal(backend.read(4096, new Uint8Array(512), 0, 512), false);
  assert.equal(reports.length, 1);
  close();
});

test('files that are no disk are refused', (t) => {
  const odd = imageFile(t, 1000).replaceAll(',', ',,');
  for (const text of ['/nonexistent/disk.img', tmpdir(), odd, `${odd},ro`]) {
    assert.throws(() => openDrive(parseDrive(text), never), ConfigError, text);
  }
});

test('a drive without a file takes any size at once', () => {
  const { backend, close } = openDrive(parseDrive('sparse:1T'), never);
  assert.equal(backend.size, 2 ** 40);
  close();
});
