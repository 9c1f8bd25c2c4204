/** What lies in memory when the board is switched on, and where its harts begin: from files and options to bytes at addresses. */
import { ConfigError, ImageError } from '../../check/errors.ts';
import { ElfMachine, parseElf } from '../../loader/elf.ts';
import { parseFdt, withProperties, writeFdt } from '../../loader/fdt.ts';
import {
  isGzip,
  looksLikeLinuxImage,
  parseLinuxHeader,
  parseLinuxImage,
  placeLinux,
} from '../../loader/linux-image.ts';
import { bootRom, DYNAMIC_OFFSET } from './boot-rom.ts';
import { boardTree, type BoardDescription } from './device-tree.ts';
import { BOARD, MAX_RAM, RAM_BASE } from './map.ts';

/** A file's content, and what to call it in messages. */
export interface BootFile {
  readonly origin: string;
  readonly bytes: Uint8Array;
  /** Given, `bytes` are asked for only where the file is not copied to memory as it is. */
  readonly large?: LargeFile;
}

/** A file that is read when its place in memory is known: twice as fast as by way of an array for all of it, which the host then keeps. */
export interface LargeFile {
  readonly length: number;
  /** Its first bytes, HEAD_SIZE of them or all. */
  readonly head: Uint8Array;
  /** Copies all of it to an array of its length, whenever the board is switched on. Throws HostError when it cannot. */
  readonly copyTo: (target: Uint8Array) => void;
}

export const HEAD_SIZE = 65536;

/** What can be told of a file by its beginning. */
export function beginningOf(file: Omit<BootFile, 'origin'>): Pick<LargeFile, 'length' | 'head'> {
  return file.large ?? { length: file.bytes.length, head: file.bytes };
}

/** What the board is, without what follows from the files. */
export type BootBoard = Omit<BoardDescription, 'bootArguments' | 'initrd'>;

export interface BootFiles {
  /** Firmware for machine mode, raw or ELF; without it the built-in SBI serves and the kernel begins in supervisor mode. */
  readonly firmware?: BootFile;
  /** A Linux `Image` or `Image.gz`, an ELF file, or a raw binary such as U-Boot's, which goes where firmware jumps to. */
  readonly kernel?: BootFile;
  readonly initrd?: BootFile;
  /** The kernel's command line. */
  readonly append?: string;
  /** A flattened device tree instead of the board's own; only /chosen is changed in it. */
  readonly deviceTree?: BootFile;
}

/** Bytes at a place in memory. */
export class Piece {
  readonly name: string;
  /** Guest-physical. */
  readonly address: number;
  readonly length: number;
  readonly #content: Omit<BootFile, 'origin'>;

  constructor(name: string, address: number, content: Omit<BootFile, 'origin'>) {
    this.name = name;
    this.address = address;
    this.length = beginningOf(content).length;
    this.#content = content;
  }

  get bytes(): Uint8Array {
    return this.#content.bytes;
  }

  /** `target` has room for all. Throws HostError when a file can no longer be read. */
  copyTo(target: Uint8Array): void {
    const { large } = this.#content;
    if (large === undefined) target.set(this.bytes);
    else large.copyTo(target);
  }
}

export interface BootPlan {
  /** To be copied to RAM; they do not overlap. */
  readonly pieces: readonly Piece[];
  /** What the boot ROM holds. */
  readonly rom: Uint8Array;
  /** Where harts begin, and in which mode: all of them in the ROM with firmware, else hart 0 alone at the kernel. */
  readonly entry: number;
  readonly mode: 'machine' | 'supervisor';
  /** What a hart has when it leaves the ROM (a0 is its number): for machines that do not execute there. Absent without firmware. */
  readonly handover: { readonly pc: number; readonly a1: number; readonly a2: number } | undefined;
  /** What a kernel without firmware gets in a1 (and 0, its hart, in a0); the ROM passes the same on to firmware. */
  readonly deviceTree: number;
}

/** Where OpenSBI's fw_jump goes on, as do its makers' other platforms: 2 MiB into RAM. */
const JUMP_OFFSET = 0x20_0000;
/** Firmware and boot loaders add nodes to the tree where it lies. */
const TREE_ROOM = 16384;

interface Loaded {
  readonly pieces: readonly Piece[];
  readonly entry: number;
  /** Guest-physical end of what it uses. */
  readonly end: number;
}

/**
 * Lays out firmware, kernel, RAM disk and device tree.
 * @throws ConfigError for options that do not fit each other, ImageError for files that cannot be loaded or have no room.
 */
export function planBoot(board: BootBoard, files: BootFiles): BootPlan {
  const { ramSize } = board;
  const { firmware, kernel, initrd } = files;
  if (!Number.isInteger(ramSize) || ramSize % 4096 !== 0 || ramSize < 2 ** 20 || ramSize > MAX_RAM) {
    throw new ConfigError(`${ramSize} bytes of RAM`, {
      mend: 'give --memory from 1 MiB to 3 GiB, a multiple of 4 KiB',
    });
  }
  if (firmware === undefined && kernel === undefined) {
    throw new ConfigError('there is nothing to run', { mend: 'give --kernel or --bios' });
  }
  const below = firmware && loadFirmware(firmware, ramSize);
  const linux = kernel && looksLikeLinuxImage(beginningOf(kernel).head) ? linuxOf(kernel) : undefined;
  const other = kernel && linux === undefined ? loadProgram(kernel, ramSize) : undefined;
  // The size does not depend on the values: addresses are two cells whatever they are.
  const treeSize = tree(board, files, initrd && { start: 0, end: 0 }).length;
  const layout = placeLinux(
    {
      ramBase: RAM_BASE,
      ramSize,
      firmwareSize: below === undefined ? 0 : below.end - RAM_BASE,
      kernel: linux ?? { textOffset: 0, imageSize: other === undefined ? 0 : Math.max(other.end - RAM_BASE, 0) },
      initrdSize: initrd === undefined ? 0 : beginningOf(initrd).length,
      deviceTreeSize: treeSize,
    },
    kernel?.origin ?? firmware!.origin,
  );
  const main: Loaded | undefined =
    linux === undefined
      ? other
      : {
          pieces: [new Piece('kernel', layout.kernel, linux.content)],
          entry: layout.kernel,
          end: layout.kernel + linux.imageSize,
        };
  const disk = initrd && { start: layout.initrd!, end: layout.initrd! + beginningOf(initrd).length };
  const pieces: Piece[] = [
    ...(below?.pieces ?? []),
    ...(main?.pieces ?? []),
    ...(initrd === undefined || disk === undefined ? [] : [new Piece('initrd', disk.start, initrd)]),
    new Piece('device tree', layout.deviceTree, { bytes: tree(board, files, disk) }),
  ];
  refuseOverlaps(pieces, kernel?.origin ?? firmware!.origin);
  const rom = bootRom({
    start: below?.entry ?? RAM_BASE,
    deviceTree: layout.deviceTree,
    next: main?.entry ?? 0,
  });
  return {
    pieces,
    rom,
    entry: below === undefined ? main!.entry : BOARD.bootRom.address,
    mode: below === undefined ? 'supervisor' : 'machine',
    handover: below && { pc: below.entry, a1: layout.deviceTree, a2: BOARD.bootRom.address + DYNAMIC_OFFSET },
    deviceTree: layout.deviceTree,
  };
}

/** The blob, with the command line and the RAM disk in /chosen. */
function tree(board: BootBoard, files: BootFiles, disk: { start: number; end: number } | undefined): Uint8Array {
  const { append, deviceTree } = files;
  if (deviceTree === undefined) {
    const chosen = {
      ...(append === undefined ? {} : { bootArguments: append }),
      ...(disk === undefined ? {} : { initrd: disk }),
    };
    return writeFdt(boardTree({ ...board, ...chosen }), TREE_ROOM);
  }
  const given = parseFdt(deviceTree.bytes, deviceTree.origin);
  const root = withProperties(given.root, '/chosen', {
    ...(append === undefined ? {} : { bootargs: append }),
    ...(disk === undefined ? {} : { 'linux,initrd-start': BigInt(disk.start), 'linux,initrd-end': BigInt(disk.end) }),
  });
  return writeFdt({ ...given, root }, TREE_ROOM);
}

function loadFirmware(file: BootFile, ramSize: number): Loaded {
  return isElf(file) ? loadElf(file, ramSize, 'firmware') : loadRaw(file, 0, ramSize, 'firmware');
}

function loadProgram(file: BootFile, ramSize: number): Loaded {
  return isElf(file) ? loadElf(file, ramSize, 'kernel') : loadRaw(file, JUMP_OFFSET, ramSize, 'kernel');
}

function isElf(file: BootFile): boolean {
  const { head } = beginningOf(file);
  return head.length >= 4 && head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

function linuxOf(file: BootFile): { content: Omit<BootFile, 'origin'>; textOffset: number; imageSize: number } {
  const { large, origin } = file;
  if (large !== undefined && !isGzip(large.head))
    return { content: file, ...parseLinuxHeader(large.head, large.length, origin) };
  const image = parseLinuxImage(file.bytes, origin);
  return { content: { bytes: image.bytes }, ...image };
}

function loadRaw(file: BootFile, offset: number, ramSize: number, name: string): Loaded {
  const { origin } = file;
  const { length } = beginningOf(file);
  const address = RAM_BASE + offset;
  const end = address + length;
  if (length === 0) throw new ImageError('is empty', { where: origin });
  if (end > RAM_BASE + ramSize) {
    throw new ImageError(`${length} bytes do not fit into RAM at 0x${address.toString(16)}`, {
      where: origin,
      mend: 'raise --memory',
    });
  }
  return { pieces: [new Piece(name, address, file)], entry: address, end };
}

/** Segments at their physical addresses; the entry is moved with the segment it lies in, for kernels linked at virtual addresses. */
function loadElf({ origin, bytes }: BootFile, ramSize: number, name: string): Loaded {
  const elf = parseElf(bytes, origin);
  if (elf.machine !== ElfMachine.riscv) {
    throw new ImageError(`e_machine ${elf.machine} is not riscv64`, { where: origin, mend: 'build it for riscv64' });
  }
  const pieces: Piece[] = [];
  let end = RAM_BASE;
  let { entry } = elf;
  for (const segment of elf.segments) {
    const { address, physicalAddress, fileOffset, fileSize, memorySize } = segment;
    if (memorySize === 0) continue;
    if (physicalAddress < RAM_BASE || physicalAddress + memorySize > RAM_BASE + ramSize) {
      throw new ImageError(
        `segment at 0x${physicalAddress.toString(16)}, ${memorySize} bytes, is outside RAM (0x${RAM_BASE.toString(16)}, ${ramSize / 2 ** 20} MiB)`,
        { where: origin, mend: 'link it there or raise --memory' },
      );
    }
    end = Math.max(end, physicalAddress + memorySize);
    if (fileSize > 0)
      pieces.push(new Piece(name, physicalAddress, { bytes: bytes.subarray(fileOffset, fileOffset + fileSize) }));
    if (elf.entry >= address && elf.entry < address + memorySize) entry = elf.entry - address + physicalAddress;
  }
  return { pieces, entry, end };
}

function refuseOverlaps(pieces: readonly Piece[], origin: string): void {
  const ordered = pieces.toSorted((a, b) => a.address - b.address);
  for (const [n, { name, address, length }] of ordered.entries()) {
    const next = ordered[n + 1];
    if (next === undefined || address + length <= next.address) continue;
    throw new ImageError(
      `${name} at 0x${address.toString(16)} reaches into ${next.name} at 0x${next.address.toString(16)}`,
      {
        where: origin,
        mend: 'link one of them elsewhere or raise --memory',
      },
    );
  }
}
