import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Errno } from '../check/errno.ts';
import type { Process } from './process.ts';
import { BUFFER, putText, testKernel, type TestKernel } from './test-kernel.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-fifo-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));
const FIFO = 0o010000;
const NONBLOCK = 0o4000;
const ReadOnly = 0;
const WriteOnly = 1;
let count = 0;

/** A kernel with a FIFO, and two processes. */
function withFifo(): TestKernel & { name: string; child: Process } {
  const rig = testKernel([{ host: root, guest: '/w', readOnly: false }]);
  const name = `fifo${count++}`;
  assert.equal(rig.call('mknodat', [-100, putText(rig.process, name), FIFO | 0o666, 0]), 0);
  const child = rig.kernel.fork(rig.process)!;
  return { ...rig, name, child };
}

const openOf = ({ begin, name }: ReturnType<typeof withFifo>, process: Process, flags: number) =>
  begin('openat', [-100, putText(process, name), flags, 0], process);

function waits(result: unknown): { poll: () => number | undefined; cancel?: () => void } {
  assert.ok(typeof result === 'object' && result !== null, `does not wait: ${String(result)}`);
  return result as { poll: () => number | undefined; cancel?: () => void };
}

test('the first to open a FIFO waits for the other end, whichever it is', () => {
  for (const [first, second] of [
    [ReadOnly, WriteOnly],
    [WriteOnly, ReadOnly],
  ] as const) {
    const rig = withFifo();
    const opening = waits(openOf(rig, rig.process, first));
    assert.equal(opening.poll(), undefined);
    const there = openOf(rig, rig.child, second);
    assert.equal(typeof there, 'number');
    const here = opening.poll();
    assert.ok(here !== undefined && here >= 3);
    const [reader, readFd, writer, writeFd] =
      first === ReadOnly
        ? [rig.process, here, rig.child, there as number]
        : [rig.child, there as number, rig.process, here];
    assert.equal(rig.call('write', [writeFd, putText(writer, 'through'), 7], writer), 7);
    assert.equal(rig.call('read', [readFd, BUFFER, 64], reader), 7);
    assert.equal(Buffer.from(reader.memory.bytes.subarray(BUFFER, BUFFER + 7)).toString(), 'through');
    assert.equal(rig.call('close', [writeFd], writer), 0);
    assert.equal(rig.call('read', [readFd, BUFFER, 64], reader), 0);
    rig.kernel.shutdown();
  }
});

test('a reader that waited goes on though the writer came and went', () => {
  const rig = withFifo();
  const opening = waits(openOf(rig, rig.process, ReadOnly));
  const writer = openOf(rig, rig.child, WriteOnly) as number;
  assert.equal(rig.call('write', [writer, putText(rig.child, 'x'), 1], rig.child), 1);
  rig.kernel.terminate(rig.child, { code: 0 });
  const reader = opening.poll()!;
  assert.equal(rig.call('read', [reader, BUFFER, 8]), 1);
  assert.equal(rig.call('read', [reader, BUFFER, 8]), 0);
});

test('who will not wait: a reader gets the FIFO, a writer without a reader ENXIO, both ends at once always', () => {
  const rig = withFifo();
  assert.equal(openOf(rig, rig.process, WriteOnly | NONBLOCK), -Errno.ENXIO);
  const reader = openOf(rig, rig.process, ReadOnly | NONBLOCK);
  assert.equal(typeof reader, 'number');
  const writer = openOf(rig, rig.child, WriteOnly | NONBLOCK);
  assert.ok((writer as number) >= 3);
  const both = openOf(rig, rig.child, 2) as number;
  assert.ok(both >= 3);
  assert.equal(rig.call('write', [both, putText(rig.child, 'self'), 4], rig.child), 4);
  assert.equal(rig.call('read', [both, BUFFER, 8], rig.child), 4);
  assert.equal(rig.call('read', [reader as number, BUFFER, 8]), -Errno.EAGAIN);
});

test('an opening that a signal ends leaves no end behind, and bytes nobody read are gone with the last end', () => {
  const rig = withFifo();
  const opening = waits(openOf(rig, rig.process, ReadOnly));
  opening.cancel!();
  assert.equal(openOf(rig, rig.child, WriteOnly | NONBLOCK), -Errno.ENXIO);
  const both = openOf(rig, rig.child, 2) as number;
  assert.equal(rig.call('write', [both, putText(rig.child, 'lost'), 4], rig.child), 4);
  assert.equal(rig.call('close', [both], rig.child), 0);
  const again = openOf(rig, rig.child, 2 | NONBLOCK) as number;
  assert.equal(rig.call('read', [again, BUFFER, 8], rig.child), -Errno.EAGAIN);
});

test('mknodat makes FIFOs and files, and nothing that would be a device', () => {
  const { process, call } = testKernel([{ host: root, guest: '/w', readOnly: false }]);
  const make = (name: string, mode: number) => call('mknodat', [-100, putText(process, name), mode, 0]);
  assert.equal(make('plain', 0o100640), 0);
  assert.equal(fs.statSync(path.join(root, 'plain')).mode & 0o777, 0o640 & ~0o022);
  assert.equal(make('plain', 0o100640), -Errno.EEXIST);
  assert.equal(make('plain', FIFO | 0o600), -Errno.EEXIST);
  assert.equal(make('device', 0o020666), -Errno.EPERM);
  assert.equal(make('/proc/x', FIFO | 0o600), -Errno.EROFS);
  const ro = testKernel([{ host: root, guest: '/w', readOnly: true }]);
  assert.equal(ro.call('mknodat', [-100, putText(ro.process, 'no'), FIFO | 0o600, 0]), -Errno.EROFS);
});
