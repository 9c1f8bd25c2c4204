import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import { STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason } from '../layout/state.ts';
import type { FlatMemory } from '../memory/flat.ts';
import { riscv64Abi } from './abi-riscv64.ts';
import { FileSystem } from './filesystem.ts';
import { Kernel } from './kernel.ts';
import type { Process, UserCpu } from './process.ts';
import type { Arguments } from './services.ts';
import { ByteSink, ByteSource } from './stdio.ts';
import { SYSTEM_CALLS } from './syscall/table.ts';

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-hostile-'));
const inside = path.join(root, 'inside');
fs.mkdirSync(inside);
fs.writeFileSync(path.join(root, 'outside'), 'untouched');
after(() => fs.rmSync(root, { recursive: true, force: true }));

/** A vCPU that executes nothing. */
function idleCpu(memory: FlatMemory): UserCpu {
  const state = new DataView(memory.memory.buffer as ArrayBuffer, STATE, STATE_SIZE);
  return {
    state,
    pc: 0n,
    cause: 0,
    value: 0n,
    run: () => ExitReason.budget,
    flushCode: () => {},
    instructions: () => 0,
  };
}

/** A one-page program, so that a process can be made without an ELF of a compiler. */
function smallestProgram(): Uint8Array {
  const bytes = new Uint8Array(PAGE_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x7f454c46);
  bytes.set([2, 1, 1], 4);
  view.setUint16(16, 2, true);
  view.setUint16(18, 243, true);
  view.setBigUint64(24, 0x10000n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(68, 7, true);
  view.setBigUint64(80, 0x10000n, true);
  view.setBigUint64(96, BigInt(PAGE_SIZE), true);
  view.setBigUint64(104, BigInt(2 * PAGE_SIZE), true);
  return bytes;
}

function freshKernel(): { kernel: Kernel; process: Process } {
  let instructions = 0;
  const kernel = new Kernel({
    abi: riscv64Abi,
    files: new FileSystem([{ host: inside, guest: '/w', readOnly: false }]),
    surroundings: {
      monotonic: () => BigInt(instructions++),
      realtime: () => 0n,
      random: (into) => into.fill(7),
      rest: () => {},
    },
    createCpu: idleCpu,
    memorySize: 2 ** 20,
    maximumInstructions: 1e6,
    timeout: 1000,
    now: () => 0,
  });
  const sink = new ByteSink(2 ** 20);
  const process = kernel.start(
    { path: '/program', bytes: smallestProgram() },
    ['program'],
    ['A=1'],
    [new ByteSource(new Uint8Array(64)), sink, sink],
    '/w',
  );
  return { kernel, process };
}

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
