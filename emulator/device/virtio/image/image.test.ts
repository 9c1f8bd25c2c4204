import assert from 'node:assert/strict';
import zlib from 'node:zlib';
import { test } from 'node:test';
import fc from 'fast-check';
import { EDID_LENGTH, edidFor } from './edid.ts';
import { crc32, encodePng } from './png.ts';

/** Reads back what the encoder may write, by the letter of the format and not by the encoder. */
export function decodePng(file: Uint8Array): { width: number; height: number; pixels: Uint8Array } {
  const bytes = Buffer.from(file);
  assert.equal(bytes.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const chunks: [string, Buffer][] = [];
  for (let at = 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const checked = bytes.subarray(at + 4, at + 8 + length);
    assert.equal(bytes.readUInt32BE(at + 8 + length), zlib.crc32(checked));
    chunks.push([checked.subarray(0, 4).toString('latin1'), checked.subarray(4)]);
    at += 12 + length;
  }
  assert.deepEqual(
    chunks.map(([type]) => type),
    ['IHDR', 'IDAT', 'IEND'],
  );
  const header = chunks[0]![1];
  assert.deepEqual([...header.subarray(8)], [8, 2, 0, 0, 0]);
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const rows = zlib.inflateSync(chunks[1]![1]);
  const stride = width * 3;
  assert.equal(rows.length, height * (stride + 1));
  const pixels = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    assert.ok(rows[y * (stride + 1)] === 2, 'filter Up');
    for (let x = 0; x < stride; x++) {
      const above = y === 0 ? 0 : pixels[(y - 1) * stride + x]!;
      pixels[y * stride + x] = rows[y * (stride + 1) + 1 + x]! + above;
    }
  }
  return { width, height, pixels };
}

test('what is encoded decodes to the same picture', () => {
  const image = fc
    .record({ width: fc.integer({ min: 1, max: 40 }), height: fc.integer({ min: 1, max: 40 }) })
    .chain(({ width, height }) =>
      fc.record({
        width: fc.constant(width),
        height: fc.constant(height),
        pixels: fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
      }),
    );
  fc.assert(
    fc.property(image, (picture) => {
      const decoded = decodePng(encodePng(picture, zlib.deflateSync));
      assert.deepEqual([decoded.width, decoded.height], [picture.width, picture.height]);
      assert.ok(Buffer.from(decoded.pixels).equals(picture.pixels));
    }),
    { numRuns: 100 },
  );
});

test('the checksum is the one zlib computes', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32(bytes) === zlib.crc32(bytes)));
});

for (const [width, height] of [
  [1024, 768],
  [1, 1],
  [4095, 4095],
  [1920, 1080],
] as const) {
  test(`EDID of ${width} x ${height}: checksum, version and preferred mode`, () => {
    const edid = edidFor(width, height);
    assert.equal(edid.length, EDID_LENGTH);
    assert.equal(edid.reduce((sum, byte) => sum + byte, 0) & 0xff, 0);
    assert.deepEqual([...edid.subarray(0, 8)], [0, 255, 255, 255, 255, 255, 255, 0]);
    assert.deepEqual([edid[18], edid[19]], [1, 4]);
    assert.equal(edid[56]! | ((edid[58]! & 0xf0) << 4), width);
    assert.equal(edid[59]! | ((edid[61]! & 0xf0) << 4), height);
  });
}
