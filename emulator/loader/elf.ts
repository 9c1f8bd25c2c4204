import { ImageError } from '../check/errors.ts';

/** The guest architectures of `e_machine` known here. */
export const ElfMachine = { x86_64: 62, aarch64: 183, riscv: 243 } as const;

/** A loadable part of the file: `fileSize` bytes at `fileOffset` go to `address`, the rest up to `memorySize` is zero. */
export interface ElfSegment {
  readonly address: number;
  readonly physicalAddress: number;
  readonly fileOffset: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
}

export interface ElfSymbol {
  readonly name: string;
  readonly address: number;
  readonly size: number;
}

export interface ElfSection {
  readonly name: string;
  readonly address: number;
  readonly fileOffset: number;
  readonly size: number;
  readonly executable: boolean;
}

/** A checked 64-bit little-endian ELF file (System V ABI, "ELF Header", "Program Header"). All ranges lie inside the file. */
export interface ElfImage {
  readonly origin: string;
  readonly bytes: Uint8Array;
  readonly machine: number;
  readonly positionIndependent: boolean;
  readonly entry: number;
  readonly segments: readonly ElfSegment[];
  /** Guest address of the program headers, when a segment maps them. */
  readonly programHeaders: { readonly address: number | undefined; readonly entrySize: number; readonly count: number };
  readonly interpreter: string | undefined;
  readonly symbols: () => readonly ElfSymbol[];
  readonly sections: () => readonly ElfSection[];
}

const PT_LOAD = 1;
const PT_INTERP = 3;
const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const MAXIMUM_HEADERS = 4096;
/** Guest addresses are kept as numbers: a static program or a bare-metal image stands far below 2^53. */
const ADDRESS_LIMIT = 2 ** 52;

/** Parses an ELF file, whatever its bytes. Throws ImageError with one line that says what is wrong and where. */
export function parseElf(bytes: Uint8Array, origin: string): ElfImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (what: string): never => {
    throw new ImageError(what, { where: origin });
  };
  if (bytes.length < 64 || view.getUint32(0) !== 0x7f454c46)
    fail('not an ELF file; give a statically linked 64-bit executable');
  if (bytes[4] !== 2) fail('a 32-bit ELF file; build it for a 64-bit target');
  if (bytes[5] !== 1) fail('a big-endian ELF file; build it for a little-endian target');
  const type = view.getUint16(16, true);
  if (type !== 2 && type !== 3) fail(`ELF type ${type} is not an executable; link it first`);

  const number = (offset: number, what: string): number => {
    const value = view.getBigUint64(offset, true);
    return value < ADDRESS_LIMIT ? Number(value) : fail(`${what} 0x${value.toString(16)} is out of range`);
  };
  const table = (offset: number, size: number, count: number, least: number, what: string): void => {
    if (count === 0) return;
    if (size < least) fail(`${what} entries of ${size} bytes are too short`);
    if (count > MAXIMUM_HEADERS) fail(`${count} ${what}s are too many`);
    if (offset + size * count > bytes.length)
      fail(`the ${what} table ends at ${offset + size * count}, after the end of the file (${bytes.length})`);
  };

  const phoff = number(32, 'program header offset');
  const phentsize = view.getUint16(54, true);
  const phnum = view.getUint16(56, true);
  table(phoff, phentsize, phnum, 56, 'program header');

  const segments: ElfSegment[] = [];
  let interpreter: string | undefined;
  let headerAddress: number | undefined;
  for (let i = 0; i < phnum; i++) {
    const at = phoff + i * phentsize;
    const kind = view.getUint32(at, true);
    if (kind !== PT_LOAD && kind !== PT_INTERP) continue;
    const fileOffset = number(at + 8, `offset of segment ${i}`);
    const fileSize = number(at + 32, `file size of segment ${i}`);
    if (fileOffset + fileSize > bytes.length)
      fail(
        `segment ${i} ends at ${fileOffset + fileSize}, after the end of the file (${bytes.length}); is it truncated?`,
      );
    if (kind === PT_INTERP) {
      interpreter = text(bytes, fileOffset, fileOffset + fileSize);
      continue;
    }
    const flags = view.getUint32(at + 4, true);
    const segment: ElfSegment = {
      address: number(at + 16, `address of segment ${i}`),
      physicalAddress: number(at + 24, `physical address of segment ${i}`),
      fileOffset,
      fileSize,
      memorySize: number(at + 40, `memory size of segment ${i}`),
      readable: (flags & 4) !== 0,
      writable: (flags & 2) !== 0,
      executable: (flags & 1) !== 0,
    };
    if (segment.memorySize < fileSize) fail(`segment ${i} has more bytes in the file than in memory`);
    if (phoff >= fileOffset && phoff + phentsize * phnum <= fileOffset + fileSize)
      headerAddress = segment.address + phoff - fileOffset;
    segments.push(segment);
  }
  if (segments.length === 0) fail('nothing to load: no PT_LOAD segment');

  let sections: readonly (ElfSection & { type: number; link: number; entrySize: number })[] | undefined;
  const readSections = () => {
    if (sections) return sections;
    const shoff = number(40, 'section header offset');
    const shentsize = view.getUint16(58, true);
    const shnum = view.getUint16(60, true);
    const nameIndex = view.getUint16(62, true);
    table(shoff, shentsize, shnum, 64, 'section header');
    const raw = Array.from({ length: shnum }, (_, i) => {
      const at = shoff + i * shentsize;
      const kind = view.getUint32(at + 4, true);
      const fileOffset = number(at + 24, `offset of section ${i}`);
      const size = number(at + 32, `size of section ${i}`);
      if (kind !== SHT_NOBITS && fileOffset + size > bytes.length) fail(`section ${i} ends after the end of the file`);
      return {
        nameOffset: view.getUint32(at, true),
        type: kind,
        executable: (view.getUint32(at + 8, true) & 4) !== 0,
        address: number(at + 16, `address of section ${i}`),
        fileOffset,
        size,
        link: view.getUint32(at + 40, true),
        entrySize: number(at + 56, `entry size of section ${i}`),
      };
    });
    const names = raw[nameIndex];
    sections = raw.map(({ nameOffset, ...section }) => ({
      ...section,
      name:
        names && names.type !== SHT_NOBITS
          ? text(bytes, names.fileOffset + nameOffset, names.fileOffset + names.size)
          : '',
    }));
    return sections;
  };
  const readSymbols = (): readonly ElfSymbol[] => {
    const symbols: ElfSymbol[] = [];
    for (const section of readSections()) {
      if (section.type !== SHT_SYMTAB || section.entrySize < 24) continue;
      const strings = readSections()[section.link];
      if (!strings || strings.type === SHT_NOBITS) continue;
      for (let at = section.fileOffset; at + 24 <= section.fileOffset + section.size; at += section.entrySize) {
        const address = view.getBigUint64(at + 8, true);
        const size = view.getBigUint64(at + 16, true);
        if (address >= ADDRESS_LIMIT || size >= ADDRESS_LIMIT) continue;
        const name = text(bytes, strings.fileOffset + view.getUint32(at, true), strings.fileOffset + strings.size);
        if (name !== '') symbols.push({ name, address: Number(address), size: Number(size) });
      }
    }
    return symbols;
  };

  return {
    origin,
    bytes,
    machine: view.getUint16(18, true),
    positionIndependent: type === 3,
    entry: number(24, 'entry point'),
    segments,
    programHeaders: { address: headerAddress, entrySize: phentsize, count: phnum },
    interpreter,
    symbols: readSymbols,
    sections: readSections,
  };
}

/** The bytes from `start` up to a NUL or `end`, as Latin-1: names in ELF files have no stated encoding. */
function text(bytes: Uint8Array, start: number, end: number): string {
  const limit = Math.min(end, bytes.length);
  let result = '';
  for (let i = start; i < limit && bytes[i] !== 0 && result.length < 4096; i++)
    result += String.fromCharCode(bytes[i]!);
  return result;
}
