import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Errno } from '../check/errno.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import type { Process } from './process.ts';
import { BUFFER, putText, testKernel, type TestKernel } from './test-kernel.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-shared-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));
const file = path.join(root, 'file');
const MOUNT = { host: root, guest: '/w', readOnly: false };
const READ_WRITE = 3;
const SHARED = 1;
const ANONYMOUS = 0x20;
const O_RDWR = 2;

/** A kernel whose first process has the file of `text` mapped, and where. */
function mapped(text: string, length = text.length, offset = 0): TestKernel & { at: number; fd: number } {
  fs.writeFileSync(file, text);
  const rig = testKernel([MOUNT]);
  const fd = rig.call('openat', [-100, putText(rig.process, 'file'), O_RDWR, 0]);
  assert.ok(fd >= 3);
  const at = rig.call('mmap', [0, length, READ_WRITE, SHARED, fd, offset]);
  assert.ok(at > 0, String(at));
  return { ...rig, at, fd };
}

const store = (process: Process, address: number, text: string): void =>
  process.memory.bytes.set(Buffer.from(text, 'latin1'), address);
const load = (process: Process, address: number, length: number): string =>
  Buffer.from(process.memory.bytes.subarray(address, address + length)).toString('latin1');
const content = (): string => fs.readFileSync(file, 'latin1');

test('a file sees the stores to its shared mapping when it is unmapped, and no longer than it is', () => {
  const { process, call, at } = mapped('hello world');
  assert.equal(load(process, at, 12), 'hello world\0');
  store(process, at + 6, 'there, you');
  assert.equal(content(), 'hello world');
  assert.equal(call('munmap', [at, PAGE_SIZE]), 0);
  assert.equal(content(), 'hello there');
});

test('msync, the end of the process and another program write back, though the file has been closed', () => {
  for (const way of ['msync', 'exit', 'shutdown']) {
    const { kernel, process, call, at, fd } = mapped('abcdef');
    assert.equal(call('close', [fd]), 0);
    store(process, at + 2, 'XY');
    if (way === 'msync') process.space.shared.push();
    else if (way === 'exit') process.space.release();
    else kernel.shutdown();
    assert.equal(content(), 'abXYef', way);
  }
});

test('only what was stored is written: other bytes of the file may have changed meanwhile', () => {
  const { process, at } = mapped('0123456789');
  store(process, at + 4, 'x');
  fs.writeFileSync(file, 'abcdefghij');
  process.space.shared.push();
  assert.equal(content(), 'abcdxfghij');
  process.space.shared.pull();
  assert.equal(load(process, at, 10), 'abcdxfghij');
});

test('an offset maps the later part of a file, and unmapping the middle leaves both sides', () => {
  const pages = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(PAGE_SIZE)).join('');
  const { process, call, at } = mapped(pages, 3 * PAGE_SIZE, PAGE_SIZE);
  assert.equal(load(process, at, 1), 'b');
  store(process, at, '1');
  store(process, at + PAGE_SIZE, '2');
  store(process, at + 2 * PAGE_SIZE, '3');
  assert.equal(call('munmap', [at + PAGE_SIZE, PAGE_SIZE]), 0);
  assert.equal(content()[2 * PAGE_SIZE], '2');
  process.space.shared.push();
  assert.equal([1, 2, 3].map((page) => content()[page * PAGE_SIZE]).join(''), '123');
});

test('mremap takes a file mapping along, and shows more of the file', () => {
  const text = `${'a'.repeat(PAGE_SIZE)}tail`;
  const { process, call, at } = mapped(text, PAGE_SIZE);
  store(process, at, 'Z');
  const to = call('mremap', [at, PAGE_SIZE, 2 * PAGE_SIZE, 1]);
  assert.ok(to > 0 && to !== at);
  assert.equal(load(process, to, 2), 'Za');
  assert.equal(load(process, to + PAGE_SIZE, 4), 'tail');
  store(process, to + PAGE_SIZE, 'TAIL');
  assert.equal(call('munmap', [to, 2 * PAGE_SIZE]), 0);
  assert.equal(content(), `Z${'a'.repeat(PAGE_SIZE - 1)}TAIL`);
});

test('after fork both processes see each other, in a file and in memory without one', () => {
  const { kernel, process, call, at } = mapped('......');
  const anonymous = call('mmap', [0, 2 * PAGE_SIZE, READ_WRITE, SHARED | ANONYMOUS, -1, 0]);
  store(process, anonymous + PAGE_SIZE, 'before');
  const child = kernel.fork(process);
  assert.ok(child);
  assert.equal(load(child, anonymous + PAGE_SIZE, 6), 'before');
  store(child, at, 'AB');
  store(child, anonymous, 'from child');
  child.space.shared.push();
  process.space.shared.pull();
  assert.equal(load(process, at, 6), 'AB....');
  assert.equal(load(process, anonymous, 10), 'from child');
  store(process, anonymous, 'FROM');
  process.space.shared.push();
  child.space.shared.pull();
  assert.equal(load(child, anonymous, 10), 'FROM child');
  kernel.terminate(child, { code: 0 });
  assert.equal(process.space.shared.size, 2);
  kernel.shutdown();
  assert.equal(content(), 'AB....');
});

test('what cannot be shared is refused: files for reading, for appending, pipes, memory that would grow', () => {
  fs.writeFileSync(file, 'text');
  const { process, call } = testKernel([MOUNT]);
  const open = (flags: number) => call('openat', [-100, putText(process, 'file'), flags, 0]);
  const shared = (fd: number, protection = READ_WRITE) => call('mmap', [0, 4, protection, SHARED, fd, 0]);
  assert.equal(shared(open(0)), -Errno.EACCES);
  assert.equal(shared(open(1)), -Errno.EACCES);
  assert.equal(shared(open(O_RDWR | 0o2000)), -Errno.EACCES);
  assert.ok(shared(open(0), 1) > 0);
  const before = process.space.mappedBytes();
  const zero = call('openat', [-100, putText(process, '/dev/zero'), O_RDWR, 0]);
  assert.equal(shared(zero), -Errno.ENODEV);
  assert.equal(process.space.mappedBytes(), before);
  const at = call('mmap', [0, PAGE_SIZE, READ_WRITE, SHARED | ANONYMOUS, -1, 0]);
  assert.equal(call('mremap', [at, PAGE_SIZE, 2 * PAGE_SIZE, 1]), -Errno.EINVAL);
  assert.equal(call('mmap', [0, 4, READ_WRITE, 0, zero, 0]), -Errno.EINVAL);
});

test('any turns of two processes that store, read and write leave what one memory would hold', () => {
  const SIZE = 2 * PAGE_SIZE;
  const step = fc.record({
    who: fc.nat(1),
    how: fc.constantFrom('store', 'pwrite', 'check'),
    at: fc.oneof(fc.nat(SIZE - 9), fc.integer({ min: PAGE_SIZE - 9, max: PAGE_SIZE + 2 })),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const { kernel, process, call, at, fd } = mapped('.'.repeat(SIZE));
      const child = kernel.fork(process)!;
      const model = Buffer.from('.'.repeat(SIZE));
      for (const { who, how, at: offset, bytes } of steps) {
        const turn = [process, child][who]!;
        turn.space.shared.pull();
        if (how === 'store') turn.memory.bytes.set(bytes, at + offset);
        else if (how === 'pwrite') {
          turn.space.shared.push();
          turn.memory.bytes.set(bytes, BUFFER);
          assert.equal(call('pwrite64', [fd, BUFFER, bytes.length, offset], turn), bytes.length);
          turn.space.shared.pull();
        }
        if (how !== 'check') model.set(bytes, offset);
        assert.deepEqual(Buffer.from(turn.memory.bytes.subarray(at, at + SIZE)), model);
        turn.space.shared.push();
      }
      kernel.shutdown();
      assert.deepEqual(fs.readFileSync(file), model);
    }),
    { numRuns: 100 },
  );
});
