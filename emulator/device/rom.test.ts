import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack } from './mmio-driver.test-support.ts';
import { Rom } from './rom.ts';

const CONTENT = Uint8Array.from({ length: 20 }, (_, n) => n + 1);

test('its content is read little-endian in every width, zeros behind it', () => {
  const rom = new Rom('rom', 32, CONTENT);
  assert.deepEqual(
    [rom.read(1, 1), rom.read(2, 2), rom.read(4, 4), rom.read(8, 8), rom.read(16, 8), rom.read(24, 8)],
    [2, 0x0403, 0x0807_0605, 0x100f_0e0d_0c0b_0a09n, 0x1413_1211n, 0n],
  );
});

test('writes are refused and change nothing', () => {
  const rom = new Rom('rom', 32, CONTENT);
  assert.deepEqual([rom.refuses(0, 4, 'write'), rom.refuses(0, 4, 'read')], [true, false]);
  attack(rom, { seed: 9, accesses: 10_000 });
  assert.equal(rom.read(0, 4), 0x0403_0201);
});

test('it keeps a copy of its content, which must fit', () => {
  const content = CONTENT.slice();
  const rom = new Rom('rom', 20, content);
  content.fill(0);
  assert.equal(rom.read(0, 1), 1);
  assert.throws(() => new Rom('rom', 19, CONTENT), /rom: 20 bytes do not fit into 19/);
});
