import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { Errno } from '../check/errno.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import type { Arguments } from './services.ts';
import { putText, testKernel } from './test-kernel.ts';
import { SYSTEM_CALLS } from './syscall/table.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-hostile-'));
const inside = path.join(root, 'inside');
fs.mkdirSync(inside);
fs.writeFileSync(path.join(root, 'outside'), 'untouched');
after(() => fs.rmSync(root, { recursive: true, force: true }));

const freshKernel = () => testKernel([{ host: inside, guest: '/w', readOnly: false }]);

/** Numbers that go wrong: edges of sizes, of the program's memory, of 32 and 64 bits, and small ones that are often valid. */
const argument = fc.oneof(
  fc.constantFrom(
    0,
    1,
    2,
    3,
    -1,
    -100,
    8,
    16,
    255,
    4095,
    4096,
    0x10000,
    0x10ff8,
    0x11000,
    0x11fff,
    0x12000,
    2 ** 20 - 1,
    2 ** 20,
    2 ** 31 - 1,
    -(2 ** 31),
    2 ** 32,
    2 ** 53,
    -(2 ** 63),
    2 ** 63 - 1024,
  ),
  fc.integer({ min: -200, max: 2000 }),
  fc.integer({ min: 0x10000, max: 0x12000 }),
);

test('no system call with any arguments throws, leaves its mounts or gives a result that is none', () => {
  const names = [...SYSTEM_CALLS.keys()];
  const call = fc.tuple(fc.constantFrom(...names), argument, argument, argument, argument, argument, argument);
  const text = fc.constantFrom(
    '/w/a',
    'a',
    '../outside',
    '/w/../../outside',
    '/dev/null',
    '/proc/self/exe',
    '',
    'x'.repeat(300),
    '/w/b/c',
    '/dev/fd/1',
  );
  fc.assert(
    fc.property(fc.array(call, { minLength: 1, maxLength: 25 }), text, (calls, name) => {
      const { kernel, process } = freshKernel();
      process.memory.bytes.set(Buffer.from(`${name}\0`), 0x11000);
      process.memory.bytes.set(Buffer.from('/w/a\0'), 0x11800);
      for (const [wanted, ...args] of calls) {
        if (process.end) break;
        const result = SYSTEM_CALLS.get(wanted)!(kernel, process, args as unknown as Arguments);
        if (typeof result === 'number')
          assert.ok(Number.isFinite(result) && result >= -4095, `${wanted}(${args.join(', ')}) = ${result}`);
        else if (typeof result === 'object') {
          const polled = result.poll();
          assert.ok(polled === undefined || polled >= -4095, wanted);
        }
        process.memory.checkInvariants();
      }
      kernel.shutdown();
      assert.deepEqual(fs.readdirSync(root).toSorted(), ['inside', 'outside']);
      assert.equal(fs.readFileSync(path.join(root, 'outside'), 'utf8'), 'untouched');
    }),
    { numRuns: 1500 },
  );
});

test('pages that the program may not write stay as they are, whatever buffers it names', () => {
  const readers = [
    'read',
    'getrandom',
    'getcwd',
    'uname',
    'sysinfo',
    'fstat',
    'newfstatat',
    'clock_gettime',
    'getrusage',
    'pipe2',
    'rt_sigprocmask',
    'prlimit64',
  ] as const;
  const { kernel, process } = freshKernel();
  const page = 0x40000;
  process.space.place(page, PAGE_SIZE, Permission.read);
  process.memory.bytes.fill(0x55, page, page + PAGE_SIZE);
  for (const name of readers) {
    for (const position of [0, 1, 2, 3, 4]) {
      const args = [0, 64, 64, 64, 8, 0];
      args[position] = page + 16;
      SYSTEM_CALLS.get(name)!(kernel, process, args as unknown as Arguments);
    }
  }
  assert.ok(process.memory.bytes.subarray(page, page + PAGE_SIZE).every((byte) => byte === 0x55));
  kernel.shutdown();
});

test('a file of a read-only mount keeps its bytes, mode and times, whichever call asks', () => {
  const file = path.join(inside, 'kept');
  fs.writeFileSync(file, 'kept', { mode: 0o640 });
  const before = fs.statSync(file);
  const { process, call } = testKernel([{ host: inside, guest: '/w', readOnly: true }]);
  const name = putText(process, 'kept');
  const fd = call('openat', [-100, name, 0, 0]);
  assert.ok(fd >= 3);
  assert.equal(call('openat', [-100, name, 2, 0]), -Errno.EROFS);
  assert.equal(call('openat', [-100, name, 0o1000, 0]), -Errno.EROFS);
  assert.equal(call('fchmod', [fd, 0o777]), -Errno.EROFS);
  assert.equal(call('fchmodat', [-100, name, 0o777]), -Errno.EROFS);
  assert.equal(call('utimensat', [fd, 0, 0, 0]), -Errno.EROFS);
  assert.equal(call('utimensat', [-100, name, 0, 0]), -Errno.EROFS);
  assert.equal(call('ftruncate', [fd, 0]), -Errno.EINVAL);
  assert.equal(call('truncate', [name, 0]), -Errno.EROFS);
  assert.equal(call('unlinkat', [-100, name, 0]), -Errno.EROFS);
  assert.equal(call('mmap', [0, 4, 3, 1, fd, 0]), -Errno.EACCES);
  const after = fs.statSync(file);
  assert.deepEqual([after.mode, after.mtimeMs, after.size], [before.mode, before.mtimeMs, before.size]);
});
