import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { BinaryReader } from './binary-reader.ts';
import { ByteBuffer, u32Length } from './leb128.ts';

/** The definition (Core specification 2.0, Binary Format, "Integers"), by BigInt: the oracle. */
function signedLeb128(value: bigint): number[] {
  const low = Number(value & 0x7fn);
  if (value >= -64n && value <= 63n) return [low];
  return [low | 0x80, ...signedLeb128(value >> 7n)];
}

function unsignedLeb128(value: bigint): number[] {
  return value < 128n ? [Number(value)] : [Number(value & 0x7fn) | 0x80, ...unsignedLeb128(value >> 7n)];
}

function written(write: (buffer: ByteBuffer) => void): Uint8Array {
  const buffer = new ByteBuffer(1);
  write(buffer);
  return buffer.toBytes();
}

/** Integers whose lengths vary, not only the long ones that a uniform choice gives. */
const signed = (bits: number) =>
  fc
    .tuple(fc.bigInt({ min: -(1n << BigInt(bits - 1)), max: (1n << BigInt(bits - 1)) - 1n }), fc.nat(bits - 1))
    .map(([value, shift]) => value >> BigInt(shift));

test('u32 writes the shortest unsigned encoding and reads back', () => {
  fc.assert(
    fc.property(signed(33), (wide) => {
      const value = Number(BigInt.asUintN(32, wide));
      const bytes = written((buffer) => buffer.u32(value));
      assert.deepEqual([...bytes], unsignedLeb128(BigInt(value)));
      assert.equal(bytes.length, u32Length(value));
      assert.equal(new BinaryReader(bytes).u32(), value);
    }),
    { examples: [[0n], [127n], [128n], [0xffff_ffffn], [0x8000_0000n]] },
  );
});

test('s32 writes the shortest signed encoding and reads back', () => {
  fc.assert(
    fc.property(signed(32), (value) => {
      const bytes = written((buffer) => buffer.s32(Number(value)));
      assert.deepEqual([...bytes], signedLeb128(value));
      assert.equal(new BinaryReader(bytes).s32(), Number(value));
    }),
    { examples: [[0n], [-1n], [63n], [64n], [-64n], [-65n], [0x7fff_ffffn], [-0x8000_0000n]] },
  );
});

test('s64 and its halves write the shortest signed encoding and read back', () => {
  fc.assert(
    fc.property(signed(64), (value) => {
      const bytes = written((buffer) => buffer.s64(value));
      const halves = written((buffer) => {
        buffer.s64Halves(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
      });
      assert.deepEqual([...bytes], signedLeb128(value));
      assert.deepEqual([...halves], [...bytes]);
      assert.equal(new BinaryReader(bytes).s64(), value);
    }),
    { examples: [[0n], [-1n], [-(1n << 63n)], [(1n << 63n) - 1n], [0x8000_0000n], [-0x8000_0001n], [1n << 32n]] },
  );
});

test('floats are little-endian, and a NaN written by its bits keeps them', () => {
  const bytes = written((buffer) => {
    buffer.f32(1.5);
    buffer.f64(-0.1);
    buffer.u32le(0x7fa0_0001);
  });
  assert.deepEqual([...bytes], [0, 0, 0xc0, 0x3f, 0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0xbf, 1, 0, 0xa0, 0x7f]);
});

test('a slot holds any length in five bytes', () => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), (value) => {
      const buffer = new ByteBuffer(0);
      buffer.byte(9);
      buffer.patchSlot(buffer.slot(), value);
      assert.equal(buffer.length, 6);
      assert.equal(new BinaryReader(buffer.toBytes(), 1).u32(), value);
    }),
    { examples: [[0], [127], [128], [0xffff_ffff]] },
  );
});

test('a closed slot counts the bytes after it, over growth', () => {
  const buffer = new ByteBuffer(2);
  const slot = buffer.slot();
  for (let index = 0; index < 1000; index++) buffer.byte(index & 0xff);
  buffer.closeSlot(slot);
  assert.equal(new BinaryReader(buffer.toBytes()).u32(), 1000);
  assert.equal(buffer.toBytes()[5 + 999], 999 & 0xff);
});

test('names are UTF-8 with their length in bytes', () => {
  assert.deepEqual([...written((buffer) => buffer.name('é1'))], [3, 0xc3, 0xa9, 0x31]);
});

test('numbers that are too long or too wide are refused', () => {
  const refused: [number[], (reader: BinaryReader) => unknown][] = [
    [[0x80, 0x80, 0x80, 0x80, 0x10], (reader) => reader.u32()],
    [[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], (reader) => reader.u32()],
    [[0x80], (reader) => reader.u32()],
    [[0x80, 0x80, 0x80, 0x80, 0x08], (reader) => reader.s32()],
    [[0xff, 0xff, 0xff, 0xff, 0x0f], (reader) => reader.s32()],
    [[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], (reader) => reader.s64()],
    [[5, 1, 2], (reader) => reader.count()],
    [[1, 0xff], (reader) => reader.name()],
  ];
  for (const [bytes, read] of refused) {
    assert.throws(() => read(new BinaryReader(Uint8Array.from(bytes))), { name: 'MalformedModuleError' }, `${bytes}`);
  }
});
