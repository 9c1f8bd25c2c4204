// hot: every byte of emitted code passes through here.

const INITIAL_CAPACITY = 256;
const SLOT_BYTES = 5;
/** V8 makes typed arrays of so many bytes within its heap, which takes a tenth of what others take. */
const LEAST_CAPACITY = 64;
const EMPTY = new Uint8Array(0);

const encoder = new TextEncoder();

/** A growable byte array with the binary format's number encodings (Core specification 2.0, Binary Format, "Values"). */
export class ByteBuffer {
  /** Backing store: longer than the contents, and replaced when it grows. */
  bytes: Uint8Array<ArrayBuffer>;
  length: number;

  constructor(capacity: number = INITIAL_CAPACITY) {
    this.bytes = capacity === 0 ? EMPTY : new Uint8Array(capacity);
    this.length = 0;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed > this.bytes.length) this.grow(needed);
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.grow(this.length + 1);
    this.bytes[this.length++] = value;
  }

  /** Unsigned LEB128 of the low 32 bits of `value`. */
  u32(value: number): void {
    if (value >>> 7 === 0) {
      this.byte(value);
      return;
    }
    this.reserve(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** Signed LEB128 of the low 32 bits of `value`, read as two's complement. */
  s32(value: number): void {
    this.reserve(5);
    let rest = value | 0;
    while (rest < -0x40 || rest > 0x3f) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>= 7;
    }
    this.bytes[this.length++] = rest & 0x7f;
  }

  /** Signed LEB128 of the low 64 bits of `value`. */
  s64(value: bigint): void {
    this.s64Halves(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
  }

  /** Signed LEB128 of the 64-bit number whose low and high 32 bits are `lo` and `hi`. */
  s64Halves(lo: number, hi: number): void {
    this.reserve(10);
    let low = lo | 0;
    let high = hi | 0;
    while (high !== low >> 31 || low < -0x40 || low > 0x3f) {
      this.bytes[this.length++] = (low & 0x7f) | 0x80;
      low = (low >>> 7) | (high << 25);
      high >>= 7;
    }
    this.bytes[this.length++] = low & 0x7f;
  }

  /** IEEE 754 binary32, little-endian; a NaN's payload may change on the way: write its bits with `u32le` instead. */
  f32(value: number): void {
    this.reserve(4);
    this.view().setFloat32(this.length, value, true);
    this.length += 4;
  }

  /** IEEE 754 binary64, little-endian. */
  f64(value: number): void {
    this.reserve(8);
    this.view().setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** Four bytes, little-endian. */
  u32le(value: number): void {
    this.reserve(4);
    this.view().setUint32(this.length, value, true);
    this.length += 4;
  }

  append(source: Uint8Array): void {
    this.reserve(source.length);
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  appendBuffer(source: ByteBuffer): void {
    this.reserve(source.length);
    this.bytes.set(source.bytes.subarray(0, source.length), this.length);
    this.length += source.length;
  }

  /** A vector of bytes: its length, then the bytes. */
  vector(source: Uint8Array): void {
    this.u32(source.length);
    this.append(source);
  }

  /** A name: its length in UTF-8 bytes, then those. */
  name(text: string): void {
    if (text.length > 0x7f || !isAscii(text)) {
      this.vector(encoder.encode(text));
      return;
    }
    this.byte(text.length);
    for (let at = 0; at < text.length; at++) this.byte(text.charCodeAt(at));
  }

  /** Leaves a five-byte slot for a length not known yet; returns its offset for `patchSlot`. */
  slot(): number {
    const offset = this.length;
    this.reserve(SLOT_BYTES);
    this.length += SLOT_BYTES;
    return offset;
  }

  /** Fills a slot with `value` as a padded unsigned LEB128. */
  patchSlot(offset: number, value: number): void {
    for (let index = 0; index < SLOT_BYTES - 1; index++) {
      this.bytes[offset + index] = ((value >>> (7 * index)) & 0x7f) | 0x80;
    }
    this.bytes[offset + SLOT_BYTES - 1] = value >>> 28;
  }

  /** Fills a slot with the number of bytes written since it. */
  closeSlot(offset: number): void {
    this.patchSlot(offset, this.length - offset - SLOT_BYTES);
  }

  /** A copy of the contents. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }

  private view(): DataView {
    return new DataView(this.bytes.buffer);
  }

  private grow(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, this.bytes.length * 2, LEAST_CAPACITY));
    bytes.set(this.bytes.subarray(0, this.length));
    this.bytes = bytes;
  }
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** Bytes that `ByteBuffer.u32` takes for `value`. */
export function u32Length(value: number): number {
  const bits = 32 - Math.clz32(value);
  return bits === 0 ? 1 : Math.ceil(bits / 7);
}
