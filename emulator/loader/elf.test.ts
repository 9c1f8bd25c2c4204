import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ImageError } from '../check/errors.ts';
import { ElfMachine, parseElf } from './elf.ts';
import { headersSize, SegmentFlag, writeElf } from './write-elf.ts';

/** A one-segment RISC-V executable: the smallest file that parses. */
function smallest(): Uint8Array<ArrayBuffer> {
  return writeElf({
    machine: ElfMachine.riscv,
    entry: 0x1_0078,
    segments: [
      {
        address: 0x1_0000,
        flags: SegmentFlag.read | SegmentFlag.execute,
        bytes: new Uint8Array(8),
        withHeaders: true,
      },
    ],
  });
}

test('a small executable parses', () => {
  const elf = parseElf(smallest(), 'small');
  assert.equal(elf.entry, 0x10078);
  assert.equal(elf.machine, ElfMachine.riscv);
  assert.equal(elf.programHeaders.address, 0x10040);
  assert.deepEqual(elf.segments[0], {
    address: 0x10000,
    physicalAddress: 0x10000,
    fileOffset: 0,
    fileSize: 128,
    memorySize: 128,
    readable: true,
    writable: false,
    executable: true,
  });
  assert.deepEqual(elf.symbols(), []);
});

test('what is written is read back: segments one after the other, zeroes after them, another physical address', () => {
  const text = Uint8Array.of(1, 2, 3, 4);
  const words = Uint8Array.of(5, 6);
  const file = writeElf({
    machine: ElfMachine.aarch64,
    entry: 0x8000_00b4,
    segments: [
      { address: 0x8000_0000, flags: SegmentFlag.read | SegmentFlag.execute, bytes: text, withHeaders: true },
      {
        address: 0x9000_0000,
        physicalAddress: 0x4000_0000,
        flags: SegmentFlag.read | SegmentFlag.write,
        bytes: words,
        memorySize: 4096,
      },
    ],
  });
  const { machine, entry, segments } = parseElf(file, 'written');
  assert.deepEqual([machine, entry], [ElfMachine.aarch64, 0x8000_00b4]);
  assert.deepEqual(
    segments.map(({ address, physicalAddress, fileSize, memorySize, writable, executable }) => [
      address,
      physicalAddress,
      fileSize,
      memorySize,
      writable,
      executable,
    ]),
    [
      [0x8000_0000, 0x8000_0000, headersSize(2) + 4, headersSize(2) + 4, false, true],
      [0x9000_0000, 0x4000_0000, 2, 4096, true, false],
    ],
  );
  const [first, second] = segments;
  assert.deepEqual(file.subarray(first!.fileOffset + headersSize(2), first!.fileOffset + first!.fileSize), text);
  assert.deepEqual(file.subarray(second!.fileOffset, second!.fileOffset + second!.fileSize), words);
});

test('each kind of foreign or corrupt file is refused in one line that names it', () => {
  const cases: [string, (bytes: Uint8Array, view: DataView) => void, RegExp][] = [
    ['bad magic', (bytes) => (bytes[1] = 0), /not an ELF file/],
    ['32-bit', (bytes) => (bytes[4] = 1), /32-bit/],
    ['big-endian', (bytes) => (bytes[5] = 2), /big-endian/],
    ['object file', (_, view) => view.setUint16(16, 1, true), /not an executable/],
    ['headers past the end', (_, view) => view.setUint16(56, 9, true), /after the end of the file/],
    ['too many headers', (_, view) => view.setUint16(56, 65535, true), /too many/],
    ['short headers', (_, view) => view.setUint16(54, 8, true), /too short/],
    ['huge offset', (_, view) => view.setBigUint64(72, 2n ** 63n, true), /out of range/],
    ['segment past the end', (_, view) => view.setBigUint64(96, 4096n, true), /truncated/],
    ['memory smaller than file', (_, view) => view.setBigUint64(104, 1n, true), /more bytes in the file/],
    ['nothing to load', (_, view) => view.setUint32(64, 4, true), /no PT_LOAD/],
  ];
  for (const [name, spoil, message] of cases) {
    const bytes = smallest();
    spoil(bytes, new DataView(bytes.buffer));
    assert.throws(
      () => parseElf(bytes, name),
      (error) => error instanceof ImageError && message.test(error.message) && !error.message.includes('\n'),
      name,
    );
  }
});

test('no file makes the parser throw anything but ImageError', () => {
  const property = fc.property(
    fc.array(fc.tuple(fc.nat(127), fc.nat(255)), { maxLength: 12 }),
    fc.nat(128),
    (edits, length) => {
      const bytes = smallest();
      for (const [at, value] of edits) bytes[at] = value;
      try {
        const elf = parseElf(bytes.subarray(0, length), 'fuzz');
        elf.symbols();
        elf.sections();
      } catch (error) {
        assert.ok(error instanceof ImageError, String(error));
      }
    },
  );
  fc.assert(property, { numRuns: 5000 });
});
