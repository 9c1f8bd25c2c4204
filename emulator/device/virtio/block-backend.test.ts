import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfigError } from '../../check/errors.ts';
import { FileDisk, MemoryDisk, OverlayDisk, SparseDisk } from './block-backend.ts';
import type { BlockBackend, PositionalFile } from './block-backend.ts';

const SIZE = 5 * 65_536 + 512;

/** A file in memory that moves at most `most` bytes at a time, as a kernel may. */
function file(contents: Uint8Array, most = 1000): PositionalFile & { synced: number } {
  return {
    size: contents.length,
    synced: 0,
    read(target, offset, length, position) {
      const part = contents.subarray(position, position + Math.min(length, most));
      target.set(part, offset);
      return part.length;
    },
    write(source, offset, length, position) {
      const part = source.subarray(offset, offset + Math.min(length, most));
      contents.set(part, position);
      return part.length;
    },
    sync() {
      this.synced++;
    },
  };
}

const never = (error: unknown): void => assert.fail(String(error));

const BACKENDS: readonly [name: string, make: (initial: Uint8Array) => BlockBackend][] = [
  ['memory', (initial) => new MemoryDisk(initial.slice())],
  ['file', (initial) => new FileDisk(file(initial.slice()), false, never)],
  ['overlay', (initial) => new OverlayDisk(new MemoryDisk(initial.slice(), true))],
  [
    'sparse',
    (initial) => {
      const disk = new SparseDisk(initial.length);
      disk.write(0, initial, 0, initial.length);
      return disk;
    },
  ],
];
for (const [name, make] of BACKENDS) {
  test(`${name}: any reads, writes and zeroings leave what an array would hold`, () => {
    const action = fc.constantFrom('read', 'write', 'zero');
    const range = fc.tuple(fc.nat(SIZE - 1), fc.integer({ min: 1, max: 100_000 }));
    fc.assert(
      fc.property(fc.array(fc.tuple(action, range, fc.nat(255)), { maxLength: 12 }), (steps) => {
        const expected = Uint8Array.from({ length: SIZE }, (_, i) => i % 253);
        const disk = make(expected);
        assert.equal(disk.size, SIZE);
        for (const [kind, [position, wish], value] of steps) {
          const length = Math.min(wish, SIZE - position);
          if (kind === 'write') {
            const source = new Uint8Array(length + 3).fill(value, 3);
            assert.ok(disk.write(position, source, 3, length));
            expected.fill(value, position, position + length);
          } else if (kind === 'zero') {
            assert.ok(disk.zero(position, length));
            expected.fill(0, position, position + length);
          } else {
            const target = new Uint8Array(length + 5);
            assert.ok(disk.read(position, target, 5, length));
            assert.equal(Buffer.compare(target.subarray(5), expected.subarray(position, position + length)), 0);
          }
        }
        const whole = new Uint8Array(SIZE);
        assert.ok(disk.read(0, whole, 0, SIZE));
        assert.equal(Buffer.compare(whole, expected), 0);
        assert.ok(disk.flush());
      }),
      { numRuns: 40 },
    );
  });
}

test('an overlay never writes to what it lies over', () => {
  const base = new MemoryDisk(new Uint8Array(SIZE).fill(1));
  const overlay = new OverlayDisk(base);
  overlay.write(100, new Uint8Array(100_000).fill(2), 0, 100_000);
  overlay.zero(200_000, 512);
  assert.ok(base.bytes.every((byte) => byte === 1));
  assert.equal(overlay.stored, 3 * 65_536);
});

test('a sparse disk of 1 TiB stores what is written and gives it back when discarded', () => {
  const disk = new SparseDisk(2 ** 40);
  const far = 2 ** 40 - 512;
  const bytes = new Uint8Array(512).fill(8);
  assert.ok(disk.write(far, bytes, 0, 512));
  assert.equal(disk.stored, 65_536);
  const back = new Uint8Array(512);
  assert.ok(disk.read(far, back, 0, 512));
  assert.equal(back[511], 8);
  assert.ok(disk.read(2 ** 39, back, 0, 512));
  assert.equal(back[511], 0);
  disk.discard(far, 512);
  assert.equal(disk.stored, 65_536, 'only whole grains are given back');
  disk.discard(2 ** 40 - 65_536, 65_536);
  assert.equal(disk.stored, 0);
});

test('a store that is full fails writes and keeps what it has', () => {
  for (const disk of [new SparseDisk(SIZE, 65_536), new OverlayDisk(new MemoryDisk(new Uint8Array(SIZE)), 65_536)]) {
    assert.equal(disk.write(0, new Uint8Array(512).fill(3), 0, 512), true);
    assert.equal(disk.write(65_536, new Uint8Array(512).fill(4), 0, 512), false);
    const back = new Uint8Array(512);
    assert.ok(disk.read(0, back, 0, 512));
    assert.equal(back[0], 3);
  }
});

test('sizes that are no disk are refused', () => {
  for (const size of [-512, 100, NaN, 2 ** 60]) assert.throws(() => new SparseDisk(size), ConfigError);
  assert.equal(
    new FileDisk(file(new Uint8Array(1000)), false, never).size,
    512,
    'a trailing part of a sector is not offered',
  );
});

test('a file that fails or ends early is an I/O error with a report, not an exception', () => {
  const reports: string[] = [];
  const report = (error: unknown): void => void reports.push((error as Error).message);
  const short = new FileDisk({ ...file(new Uint8Array(512)), size: 2048 }, false, report);
  assert.equal(short.read(0, new Uint8Array(1024), 0, 1024), false);
  assert.match(reports[0]!, /ends at 512/);
  const broken: PositionalFile = {
    size: 512,
    read: () => raise('EIO'),
    write: () => 0,
    sync: () => raise('ENOSPC'),
  };
  const disk = new FileDisk(broken, false, report);
  assert.equal(disk.read(0, new Uint8Array(512), 0, 512), false);
  assert.equal(disk.write(0, new Uint8Array(512), 0, 512), false);
  assert.equal(disk.zero(0, 512), false);
  assert.equal(disk.flush(), false);
  assert.deepEqual(reports.slice(1), [
    'EIO',
    'nothing could be written at 0',
    'nothing could be written at 0',
    'ENOSPC',
  ]);
});

function raise(message: string): never {
  throw new Error(message);
}
