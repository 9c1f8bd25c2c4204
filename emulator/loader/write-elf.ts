/** Offsets and sizes of ELF-64 (System V ABI, "Object Files"). */
const FILE_HEADER = 64;
const PROGRAM_HEADER = 56;
const ET_EXEC = 2;
const PT_LOAD = 1;

/** Bits of `p_flags`. */
export const SegmentFlag = { execute: 1, write: 2, read: 4 } as const;

export interface SegmentSource {
  readonly address: number;
  /** Where a machine without translation loads it; `address` unless given. */
  readonly physicalAddress?: number;
  /** SegmentFlag bits. */
  readonly flags: number;
  readonly bytes: Uint8Array;
  /** Bytes in memory, zero after `bytes`; as many as in the file unless given. */
  readonly memorySize?: number;
  /** The segment begins with the file's headers, as linkers lay out the first one; `bytes` follow them. */
  readonly withHeaders?: boolean;
}

export interface ElfSource {
  /** One of `ElfMachine`. */
  readonly machine: number;
  readonly entry: number;
  readonly segments: readonly SegmentSource[];
}

/** How far into a segment `withHeaders` its own bytes begin, in a file of `count` segments. */
export function headersSize(count: number): number {
  return FILE_HEADER + count * PROGRAM_HEADER;
}

/** A little-endian 64-bit executable without sections: what tests, benchmarks and generators of programs need, and `parseElf` reads. */
export function writeElf({ machine, entry, segments }: ElfSource): Uint8Array<ArrayBuffer> {
  const headers = headersSize(segments.length);
  const file = new Uint8Array(headers + segments.reduce((sum, { bytes }) => sum + bytes.length, 0));
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, BigInt(FILE_HEADER), true);
  view.setUint16(52, FILE_HEADER, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, segments.length, true);
  let end = headers;
  segments.forEach((segment, index) => {
    const { address, flags, bytes, withHeaders } = segment;
    const at = FILE_HEADER + index * PROGRAM_HEADER;
    const from = withHeaders ? 0 : end;
    file.set(bytes, end);
    end += bytes.length;
    view.setUint32(at, PT_LOAD, true);
    view.setUint32(at + 4, flags, true);
    view.setBigUint64(at + 8, BigInt(from), true);
    view.setBigUint64(at + 16, BigInt(address), true);
    view.setBigUint64(at + 24, BigInt(segment.physicalAddress ?? address), true);
    view.setBigUint64(at + 32, BigInt(end - from), true);
    view.setBigUint64(at + 40, BigInt(segment.memorySize ?? end - from), true);
    view.setBigUint64(at + 48, 4096n, true);
  });
  return file;
}
