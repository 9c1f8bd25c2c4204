/** A picture of `width` x `height` pixels, three bytes (red, green, blue) each, rows from the top without padding. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const CHANNELS = 3;
const COLOUR_TYPE_RGB = 2;
/** Filter type "Up" (Portable Network Graphics, "Filter types for filter method 0"): screens are mostly made of equal rows. */
const FILTER_UP = 2;

/**
 * A PNG file of the image. `deflate` makes a zlib stream (RFC 1950) of bytes, as `zlib.deflateSync` does; it comes in so that devices need no
 * library.
 */
export function encodePng({ width, height, pixels }: RgbImage, deflate: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header[8] = 8; // bits a channel
  header[9] = COLOUR_TYPE_RGB;
  const parts = [
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflate(filterRows(width, height, pixels))),
    chunk('IEND', new Uint8Array()),
  ];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** Each row as its difference from the one above, after a byte that says so. */
function filterRows(width: number, height: number, pixels: Uint8Array): Uint8Array {
  const stride = width * CHANNELS;
  const rows = new Uint8Array(height * (stride + 1));
  for (let y = 0; y < height; y++) {
    const to = y * (stride + 1);
    const from = y * stride;
    rows[to] = FILTER_UP;
    if (y === 0) rows.set(pixels.subarray(0, stride), 1);
    else for (let x = 0; x < stride; x++) rows[to + 1 + x] = pixels[from + x]! - pixels[from + x - stride]!;
  }
  return rows;
}

function chunk(type: string, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc32(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

/** CRC-32 as in ISO 3309 (Portable Network Graphics, "CRC algorithm"). */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0xedb8_8320;
  return value;
});
