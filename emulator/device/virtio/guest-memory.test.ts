import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfigError } from '../../check/errors.ts';
import { GuestMemory } from './guest-memory.ts';
import type { RamRegion } from './guest-memory.ts';

const REGIONS = [
  { address: 0x8000_0000, size: 0x4000, offset: 0x1000 },
  { address: 0x8000_4000, size: 0x1000, offset: 0x6000 },
  { address: 0x1_0000_0000, size: 0x1000, offset: 0x8000 },
] as const;

const memory = (): GuestMemory => new GuestMemory(new ArrayBuffer(0x1_0000), REGIONS);

test('a range has an offset exactly when all of it lies in one region', () => {
  const interesting = fc.oneof(
    fc.constantFrom(
      0,
      0x7fff_ffff,
      0x8000_0000,
      0x8000_3fff,
      0x8000_4000,
      0x8000_5000,
      2 ** 32,
      2 ** 53,
      2 ** 64,
      NaN,
      -1,
    ),
    fc.integer({ min: 0x7fff_f000, max: 0x8000_6000 }),
    fc.integer({ min: 0xffff_f000, max: 0x1_0000_2000 }),
  );
  const lengths = fc.oneof(fc.nat(0x5000), fc.constantFrom(0, 1, 0xffff_ffff, 2 ** 32, NaN, -1));
  const ram = memory();
  fc.assert(
    fc.property(interesting, lengths, (address, length) => {
      const region = REGIONS.find((r) => address >= r.address && length >= 0 && address + length <= r.address + r.size);
      const expected = region === undefined ? -1 : region.offset + (address - region.address);
      assert.equal(ram.offset(address, length), expected);
      const slice = ram.slice(address, length);
      assert.equal(slice?.byteOffset, expected < 0 ? undefined : expected);
      assert.equal(slice?.length, expected < 0 ? undefined : length);
    }),
    { numRuns: 2000 },
  );
});

test('regions that overlap, are misaligned or leave the buffer are refused', () => {
  const buffer = new ArrayBuffer(0x1_0000);
  for (const wrong of [
    [{ address: 1, size: 0x1000, offset: 0 }],
    [{ address: 0, size: 0x1000, offset: 8 }],
    [{ address: 0, size: 0, offset: 0 }],
    [{ address: 0, size: 0x2_0000, offset: 0 }],
    [{ address: 0, size: 0x1000, offset: -0x1000 }],
    [REGIONS[0], { ...REGIONS[1], address: 0x8000_3000 }],
  ] as const) {
    assert.throws(() => new GuestMemory(buffer, [...wrong]), ConfigError);
  }
});

test('released pages read as zeroes and the machine is told', () => {
  const told: string[] = [];
  const ram = new GuestMemory(new ArrayBuffer(0x1_0000), REGIONS, {
    written: (address, length) => void told.push(`written ${address.toString(16)} ${length}`),
    released: (address, length) => void told.push(`released ${address.toString(16)} ${length}`),
  });
  ram.slice(0x8000_0000, 0x2000)!.fill(7);
  assert.equal(ram.release(0x8000_1000, 0x1000), true);
  assert.deepEqual([ram.slice(0x8000_0fff, 1)![0], ram.slice(0x8000_1000, 1)![0]], [7, 0]);
  assert.deepEqual(told, ['written 80001000 4096', 'released 80001000 4096']);
  assert.equal(ram.release(0x8000_5000, 0x1000), false);
  ram.written(0x8000_0000, 0);
  assert.equal(told.length, 2);
});

test('an address in words is found where the same address is found as a number, and back', () => {
  const GIB = 2 ** 30;
  // One that crosses 4 GiB, one whose addresses need both words, and what boards have.
  const layouts: readonly (readonly [RamRegion, ...RamRegion[]])[] = [
    REGIONS,
    [{ address: 4 * GIB - 0x2000, size: 0x4000, offset: 0x1000 }],
    [{ address: 5 * GIB + 0x1000, size: 0x3000, offset: 0 }],
    [{ address: 0, size: 0x1000, offset: 0x2000 }],
  ];
  for (const regions of layouts) {
    const ram = new GuestMemory(new ArrayBuffer(0x1_0000), regions);
    const edges = [0, 2 * GIB, 4 * GIB, 8 * GIB, 2 ** 53 - 4096].concat(
      regions.flatMap(({ address, size }) => [address, address + size, address + 4 * GIB, address + size / 2]),
    );
    for (const edge of edges) {
      for (const address of [-4096, -1, 0, 1, 4095].map((by) => edge + by).filter((sum) => sum >= 0)) {
        for (const length of [0, 1, 2, 0x1000, 0x2000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
          const found = ram.offset(address, length);
          const words = [address | 0, Math.floor(address / 2 ** 32) | 0, length | 0] as const;
          assert.equal(ram.offsetOfWords(...words), found, `${length} bytes at ${address}`);
          if (found >= 0 && length > 0) assert.equal(ram.addressOf(found), address);
        }
      }
    }
  }
  assert.equal(new GuestMemory(new ArrayBuffer(0x1_0000), REGIONS).addressOf(0), -1);
});

test('regions that share bytes of the buffer are refused', () => {
  const twice: readonly [RamRegion, ...RamRegion[]] = [
    { address: 0x8000_0000, size: 0x2000, offset: 0x1000 },
    { address: 0x9000_0000, size: 0x1000, offset: 0x2000 },
  ];
  assert.throws(() => new GuestMemory(new ArrayBuffer(0x1_0000), twice), /share bytes/u);
});
