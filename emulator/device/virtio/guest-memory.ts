// hot: every descriptor and every request passes here (suites/virtio/guest-memory.bench.ts)
import { ConfigError } from '../../check/errors.ts';

/** A stretch of guest RAM: `size` bytes at guest-physical `address` lie at `offset` of the bytes. */
export interface RamRegion {
  readonly address: number;
  readonly size: number;
  readonly offset: number;
}

/** Whom a device's accesses concern beside the guest. */
export interface GuestMemoryListener {
  /** A device wrote `length` bytes at guest-physical `address`: decoded code there is stale, pages are dirty. */
  written?(address: number, length: number): void;
  /** The guest gave pages back to the host; they read as zeroes now and may be taken from it until it writes them again. */
  released?(address: number, length: number): void;
}

/**
 * All a device sees of the machine's memory: RAM by guest-physical address, bounds-checked. Device registers and ROM are not in it,
 * so a device can never be made to access a device. An address is a non-negative number below 2^53; nothing here throws on what a
 * guest asks for.
 */
export class GuestMemory {
  /** The bytes the regions' offsets index; little-endian like every guest. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** The same bytes for atomic accesses to ring indices; index = byte offset / 2. */
  readonly halfWords: Uint16Array;
  readonly regions: readonly RamRegion[];
  private readonly firstAddress: number;
  private readonly firstSize: number;
  private readonly firstOffset: number;
  /** The words of the first region's address, signed, and how many of its bytes share the high one and lie below offset 2 GiB. */
  // Begun as numbers: V8 would otherwise ask of each whether it is one.
  private readonly firstLow: number = 0;
  private readonly firstHigh: number = 0;
  private readonly firstReach: number = 0;
  /** Whether anybody is told of what devices write. */
  readonly listens: boolean;
  private readonly listener: GuestMemoryListener;

  /**
   * `buffer` holds the guest's RAM at the regions' offsets. Throws ConfigError when a region leaves the buffer or is not aligned to 4 KiB,
   * or two overlap, in addresses or in the buffer.
   */
  constructor(
    buffer: ArrayBufferLike,
    regions: readonly [RamRegion, ...RamRegion[]],
    listener: GuestMemoryListener = {},
  ) {
    const byOffset = regions.toSorted((a, b) => a.offset - b.offset);
    let end = 0;
    for (const { address, size, offset } of regions.toSorted((a, b) => a.address - b.address)) {
      const aligned = address % 4096 === 0 && offset % 4096 === 0 && size % 4096 === 0;
      if (!aligned || size <= 0 || offset < 0 || offset + size > buffer.byteLength || address < end) {
        throw new ConfigError(`RAM region of ${size} bytes at ${address} is misaligned, overlaps or leaves its buffer`);
      }
      end = address + size;
    }
    for (const [i, { offset, size }] of byOffset.entries()) {
      const next = byOffset[i + 1];
      if (next !== undefined && offset + size > next.offset) {
        throw new ConfigError(`RAM regions at ${byOffset[i]!.address} and ${next.address} share bytes of their buffer`);
      }
    }
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.halfWords = new Uint16Array(buffer, 0, buffer.byteLength >>> 1);
    this.regions = regions;
    this.firstAddress = regions[0].address;
    this.firstSize = regions[0].size;
    this.firstOffset = regions[0].offset;
    this.firstLow = this.firstAddress | 0;
    this.firstHigh = Math.floor(this.firstAddress / 4294967296) | 0;
    const within = 4294967296 - (this.firstLow >>> 0);
    this.firstReach = Math.max(0, Math.min(this.firstSize, within, 0x7fff_ffff - this.firstOffset));
    this.listens = listener.written !== undefined;
    this.listener = listener;
  }

  /** Where `length` bytes at guest-physical `address` lie in `bytes`, or -1 unless they all lie in one region of RAM. */
  offset(address: number, length: number): number {
    const at = address - this.firstAddress;
    if (at >= 0 && length >= 0 && at + length <= this.firstSize) return this.firstOffset + at;
    return this.regions.length === 1 ? -1 : this.offsetInOthers(address, length);
  }

  /** `offset` of an address and a length as a descriptor holds them: 32-bit words, signed. For the first region integers suffice. */
  offsetOfWords(low: number, high: number, length: number): number {
    const at = (low - this.firstLow) | 0;
    // Below the region this is negative or, come around, past all that shares its high word.
    if (high === this.firstHigh && at >= 0 && length > 0 && length <= ((this.firstReach - at) | 0)) {
      return (this.firstOffset + at) | 0;
    }
    return this.offset((low >>> 0) + 4294967296 * (high >>> 0), length >>> 0);
  }

  /** The guest-physical address of what lies at `offset` of `bytes`: -1 if that is not RAM. */
  addressOf(offset: number): number {
    for (let i = 0; i < this.regions.length; i++) {
      const region = this.regions[i]!;
      const at = offset - region.offset;
      if (at >= 0 && at < region.size) return region.address + at;
    }
    return -1;
  }

  /** A live view of guest memory, or undefined unless all of it is RAM. A device that writes through it says so with `written`. */
  slice(address: number, length: number): Uint8Array | undefined {
    const offset = this.offset(address, length);
    return offset < 0 ? undefined : this.bytes.subarray(offset, offset + length);
  }

  /** To be called after a device has written guest memory; `SplitQueue.push` does it for the bytes it returns. */
  written(address: number, length: number): void {
    if (this.listener.written !== undefined && length > 0) this.listener.written(address, length);
  }

  /** `written` for bytes of RAM given by their offset. */
  writtenAt(offset: number, length: number): void {
    if (this.listens && length > 0) this.written(this.addressOf(offset), length);
  }

  /** Takes RAM back from the guest: it reads as zeroes. False unless all of it is RAM. */
  release(address: number, length: number): boolean {
    const offset = this.offset(address, length);
    if (offset < 0) return false;
    this.bytes.fill(0, offset, offset + length);
    this.written(address, length);
    this.listener.released?.(address, length);
    return true;
  }

  private offsetInOthers(address: number, length: number): number {
    for (let i = 1; i < this.regions.length; i++) {
      const region = this.regions[i]!;
      const at = address - region.address;
      if (at >= 0 && length >= 0 && at + length <= region.size) return region.offset + at;
    }
    return -1;
  }
}
