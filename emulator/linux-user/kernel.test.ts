import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Errno } from '../check/errno.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import type { UserCpu } from './process.ts';
import { PROGRAM, testKernel } from './test-kernel.ts';

const MIB = 2 ** 20;
const PRIVATE_ANONYMOUS = 0x22;

test('ended processes give back their memory and vCPU before they are waited for', () => {
  const retired: UserCpu[] = [];
  const { kernel, process } = testKernel([], { retireCpu: (cpu) => retired.push(cpu) });
  const child = kernel.fork(process)!;
  const { memory, cpu } = child;
  kernel.terminate(child, { code: 3 });
  assert.deepEqual(retired, [cpu]);
  assert.notEqual(child.memory, memory);
  assert.equal(child.memory.size, 65536);
  assert.ok(kernel.childrenOf(process).includes(child), 'it can still be waited for');
});

test('processes together map no more than the limit: fork, mmap and brk say so, and the end of one makes room', () => {
  const { kernel, process, call } = testKernel([], { memorySize: 64 * MIB, totalMemory: 110 * MIB });
  const map = (by = process) => call('mmap', [0, 30 * MIB, 3, PRIVATE_ANONYMOUS, -1, 0], by);
  assert.ok(map() > 0);
  const child = kernel.fork(process)!;
  assert.ok(child);
  assert.equal(kernel.fork(process), undefined);
  assert.equal(map(), -Errno.ENOMEM);
  assert.equal(map(child), -Errno.ENOMEM);
  const end = call('brk', [0]);
  assert.equal(call('brk', [end + 20 * MIB]), end);
  kernel.terminate(child, { code: 0 });
  kernel.reap(child);
  assert.equal(call('brk', [end + 20 * MIB]), end + 20 * MIB);
});

test('two hundred processes one after the other fit where two do: nothing of the ended ones is counted', () => {
  const { kernel, process, call } = testKernel([], { totalMemory: 20 * MIB });
  for (let i = 0; i < 200; i++) {
    const child = kernel.fork(process)!;
    assert.ok(child, `fork ${i}`);
    const at = call('mmap', [0, 3 * PAGE_SIZE, 3, PRIVATE_ANONYMOUS, -1, 0], child);
    assert.equal(call('munmap', [at, PAGE_SIZE], child), 0);
    kernel.terminate(child, { code: 0 });
    kernel.reap(child);
  }
  assert.ok(process.space.mappedBytes() > 0);
});

test('a forked copy has the bytes and permissions of its parent, wherever they lie, and pages of zeroes stay zero', () => {
  const { kernel, process } = testKernel([], { memorySize: 4 * MIB });
  for (const page of [3, 17, 18, 255, 256, 511])
    process.space.place(page * PAGE_SIZE, 3 * PAGE_SIZE, page === 255 ? 1 : 3);
  for (const [page, byte] of [
    [3, 0],
    [5, 4095],
    [18, 1],
    [256, 2000],
    [513, 4095],
  ] as const)
    process.memory.bytes[page * PAGE_SIZE + byte] = page;
  process.memory.bytes[PROGRAM] = 9;
  const child = kernel.fork(process)!;
  assert.deepEqual(Buffer.compare(child.memory.bytes, process.memory.bytes), 0);
  assert.deepEqual(Buffer.compare(child.memory.permission, process.memory.permission), 0);
  child.memory.bytes[PROGRAM] = 1;
  assert.equal(process.memory.bytes[PROGRAM], 9);
});
