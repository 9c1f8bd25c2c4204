/** Linux kernels for RISC-V (Linux documentation, "Boot image header in RISC-V Linux" and "RISC-V Kernel Boot Requirements and Constraints"). */
import { gunzipSync } from 'node:zlib';
import { ImageError } from '../check/errors.ts';

export interface LinuxImage extends LinuxHeader {
  /** The uncompressed image, header included: what is copied to memory. */
  readonly bytes: Uint8Array;
}

export interface LinuxHeader {
  /** Bytes from the start of RAM at which the image wants to lie; a multiple of 2 MiB from there will do. */
  readonly textOffset: number;
  /** Bytes of memory it uses from there, zeroed data included. */
  readonly imageSize: number;
  /** Header version, major and minor. */
  readonly version: readonly [number, number];
}

export interface BootLayout {
  /** Guest-physical addresses. */
  readonly kernel: number;
  readonly initrd: number | undefined;
  readonly deviceTree: number;
}

export interface BootRequest {
  readonly ramBase: number;
  readonly ramSize: number;
  /** Bytes at the start of RAM that firmware keeps; 0 without. */
  readonly firmwareSize: number;
  readonly kernel: { readonly textOffset: number; readonly imageSize: number };
  /** Bytes; 0 for none. */
  readonly initrdSize: number;
  readonly deviceTreeSize: number;
}

const HEADER_SIZE = 64;
/** "RISCV\0\0\0" and "RSC\x05", little-endian; the first is deprecated since header version 0.2 and not asked for. */
const MAGIC2 = 0x0543_5352;
const MAX_SIZE = 2 ** 30;
const PAGE = 4096;
const HUGE_PAGE = 2 * 2 ** 20;

/** Whether the bytes are a RISC-V Linux image or something compressed with gzip, which may hold one. */
export function looksLikeLinuxImage(bytes: Uint8Array): boolean {
  return isGzip(bytes) || (bytes.length >= HEADER_SIZE && word(bytes, 0x38) === MAGIC2);
}

/**
 * Reads an `Image`, plain or gzipped (`Image.gz`).
 * @throws ImageError, naming `origin`, for anything else, for a damaged archive and for one that unpacks to more than 1 GiB.
 */
export function parseLinuxImage(file: Uint8Array, origin: string): LinuxImage {
  const bytes = isGzip(file) ? unzip(file, origin) : file;
  return { bytes, ...parseLinuxHeader(bytes, bytes.length, origin) };
}

/**
 * The same of an image of `length` bytes that is not compressed, by its first 64.
 * @throws ImageError, naming `origin`, when these are no such header.
 */
export function parseLinuxHeader(head: Uint8Array, length: number, origin: string): LinuxHeader {
  const fail = (message: string, mend: string): never => {
    throw new ImageError(message, { where: origin, mend });
  };
  if (head.length < HEADER_SIZE || word(head, 0x38) !== MAGIC2) {
    return fail('not a RISC-V Linux image (no "RSC\\x05" at 0x38)', 'give arch/riscv/boot/Image or Image.gz');
  }
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if ((view.getBigUint64(0x18, true) & 1n) !== 0n) fail('a big-endian kernel', 'build it for little-endian RISC-V');
  const textOffset = view.getBigUint64(0x08, true);
  const declared = view.getBigUint64(0x10, true);
  if (textOffset % BigInt(PAGE) !== 0n || textOffset > BigInt(MAX_SIZE))
    fail(`text_offset 0x${textOffset.toString(16)} cannot be`, 'rebuild it');
  if (declared > BigInt(MAX_SIZE)) fail(`image_size 0x${declared.toString(16)} cannot be`, 'rebuild it');
  const version = word(head, 0x20);
  return {
    textOffset: Number(textOffset),
    // Kernels before 5.4 wrote 0 there.
    imageSize: Math.max(Number(declared), length),
    version: [version >>> 16, version & 0xffff],
  };
}

/**
 * Where kernel, initial RAM disk and device tree go: the kernel at `textOffset` from the start of RAM or the next 2 MiB boundary after the
 * firmware, the tree at the last 2 MiB boundary it fits behind, the RAM disk right below it. High up, they are out of the way of
 * whatever firmware and boot loaders move about.
 * @throws ImageError when they do not all fit.
 */
export function placeLinux(request: BootRequest, origin: string): BootLayout {
  const { ramBase, ramSize, firmwareSize, kernel, initrdSize, deviceTreeSize } = request;
  const end = ramBase + ramSize;
  const kernelAt = ramBase + Math.max(kernel.textOffset, alignUp(firmwareSize, HUGE_PAGE));
  const deviceTree = alignDown(end - deviceTreeSize, HUGE_PAGE);
  const initrd = initrdSize === 0 ? undefined : alignDown(deviceTree - initrdSize, PAGE);
  const needed = kernelAt + alignUp(kernel.imageSize, PAGE);
  if (needed > (initrd ?? deviceTree)) {
    const mebibytes = Math.ceil((needed - ramBase + initrdSize + deviceTreeSize + HUGE_PAGE) / 2 ** 20);
    throw new ImageError(`kernel, initrd and device tree do not fit into ${Math.floor(ramSize / 2 ** 20)} MiB of RAM`, {
      where: origin,
      mend: `give --memory ${mebibytes}M or more`,
    });
  }
  return { kernel: kernelAt, initrd, deviceTree };
}

/** Whether the bytes are compressed with gzip. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 18 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function unzip(file: Uint8Array, origin: string): Uint8Array {
  try {
    return gunzipSync(file, { maxOutputLength: MAX_SIZE });
  } catch (error) {
    throw new ImageError(`cannot be unzipped (${(error as Error).message})`, {
      where: origin,
      mend: 'check that it was copied whole',
      cause: error,
    });
  }
}

function word(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true);
}

function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function alignDown(value: number, to: number): number {
  return Math.floor(value / to) * to;
}
