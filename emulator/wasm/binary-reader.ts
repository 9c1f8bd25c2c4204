import { MalformedModuleError } from './error.ts';

/** Reads the binary format's encodings from bytes nobody vouches for: every step is bounded and fails with its offset. */
export class BinaryReader {
  readonly bytes: Uint8Array;
  offset: number;
  readonly end: number;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, offset: number = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = end;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.offset >= this.end;
  }

  fail(message: string, offset: number = this.offset): never {
    throw new MalformedModuleError(message, offset);
  }

  byte(): number {
    if (this.offset >= this.end) this.fail('unexpected end');
    return this.bytes[this.offset++]!;
  }

  u32(): number {
    const start = this.offset;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) this.fail('unsigned number beyond 32 bits', start);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    return this.fail('unsigned number too long', start);
  }

  s32(): number {
    return Number(this.signed(32));
  }

  s64(): bigint {
    return this.signed(64);
  }

  /** A block type's index: 33 bits, signed, so that it cannot be taken for a value type. */
  s33(): number {
    return Number(this.signed(33));
  }

  /** The bits of an f32. */
  bits32(): number {
    const start = this.skip(4);
    return this.view.getUint32(start, true);
  }

  /** The bits of an f64. */
  bits64(): bigint {
    const start = this.skip(8);
    return this.view.getBigUint64(start, true);
  }

  take(count: number): Uint8Array {
    const start = this.skip(count);
    return this.bytes.subarray(start, this.offset);
  }

  /** The length of a vector whose items take at least `itemBytes` each: one that cannot fit is refused at once. */
  count(itemBytes: number = 1): number {
    const start = this.offset;
    const count = this.u32();
    if (count * itemBytes > this.end - this.offset) this.fail(`vector of ${count} items does not fit`, start);
    return count;
  }

  name(): string {
    const start = this.offset;
    const bytes = this.take(this.count());
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch {
      return this.fail('name is not UTF-8', start);
    }
  }

  /** A reader of the next `size` bytes, which this one skips. */
  part(size: number): BinaryReader {
    const start = this.skip(size);
    return new BinaryReader(this.bytes, start, this.offset);
  }

  private skip(count: number): number {
    if (count > this.end - this.offset) this.fail(`${count} bytes expected, ${this.end - this.offset} left`);
    const start = this.offset;
    this.offset += count;
    return start;
  }

  private signed(bits: number): bigint {
    const start = this.offset;
    let value = 0n;
    for (let shift = 0; shift < bits; shift += 7) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << BigInt(shift);
      if (byte >= 0x80) continue;
      const result = BigInt.asIntN(shift + 7, value);
      if (BigInt.asIntN(bits, result) !== result) this.fail(`signed number beyond ${bits} bits`, start);
      return result;
    }
    return this.fail('signed number too long', start);
  }
}
