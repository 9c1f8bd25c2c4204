// hot: every disk request is validated here (suites/virtio/block-request.bench.ts)
import type { Chain } from './chain.ts';

/** Request types (Virtual I/O Device, "Block Device", "Device Operation"). */
export const BlockType = { in: 0, out: 1, flush: 4, getId: 8, discard: 11, writeZeroes: 13 } as const;

/** What stands in a request's status byte; `unanswerable` never does: the request has no room for one, or no header. */
export const BlockStatus = { ok: 0, ioError: 1, unsupported: 2, unanswerable: -1 } as const;
export type BlockStatus = (typeof BlockStatus)[keyof typeof BlockStatus];

export const HEADER_SIZE = 16;

// What every request needs, as constants to V8: an export is loaded and checked, and its field loaded. [measured]
const { in: IN, out: OUT, flush: FLUSH } = BlockType;
const { ok: OK, ioError: IO_ERROR, unanswerable: UNANSWERABLE } = BlockStatus;
const HEADER = HEADER_SIZE;
const ID_SIZE = 20;
const RANGE_SIZE = 16;
/** Bytes of one request, so that it cannot hold the machine for long; Linux stays below 2 MiB. */
export const MAX_REQUEST_BYTES = 1 << 27;

/** What requests are held against. Sectors are of 512 bytes whatever the logical block size. */
export interface BlockLimits {
  readonly sectors: number;
  /** Logical block size in sectors, less one. */
  readonly sectorMask: number;
  readonly readOnly: boolean;
  readonly discard: boolean;
  readonly maxZeroSectors: number;
  readonly maxDiscardSectors: number;
  /** Ranges of a discard or write-zeroes request. */
  readonly maxRanges: number;
}

/**
 * The request last parsed; one object serves a device. All of the header is copied before it is looked at, so a guest that changes
 * it meanwhile gains nothing.
 */
export class BlockRequest {
  type = 0;
  sector = 0;
  /** Bytes between header and status. */
  dataLength = 0;
  /** Of the status byte, in memory.bytes. */
  statusOffset = 0;
  rangeCount = 0;
  readonly rangeSectors: number[];
  readonly rangeLengths: number[];
  private readonly limits: BlockLimits;
  private readonly scratch: Uint8Array;
  private readonly scratchView: DataView;

  constructor(limits: BlockLimits) {
    this.limits = limits;
    this.rangeSectors = Array.from({ length: limits.maxRanges }, () => 0);
    this.rangeLengths = Array.from({ length: limits.maxRanges }, () => 0);
    this.scratch = new Uint8Array(Math.max(HEADER_SIZE, limits.maxRanges * RANGE_SIZE));
    this.scratchView = new DataView(this.scratch.buffer);
  }

  /** Reads and checks what `chain` asks for. Anything but `ok` is the answer, and the disk is not to be touched. */
  parse(chain: Chain): BlockStatus {
    this.dataLength = 0;
    if (chain.readableLength < HEADER || chain.writableLength === 0) return UNANSWERABLE;
    this.statusOffset = chain.end - 1;
    // Drivers give the header a segment of its own; one spread over several is gathered first.
    const whole = chain.lengths[0]! >= HEADER;
    if (!whole) chain.read(0, this.scratch.subarray(0, HEADER_SIZE));
    const view = whole ? chain.memory.view : this.scratchView;
    const at = whole ? chain.offsets[0]! : 0;
    this.type = view.getUint32(at, true);
    const low = view.getUint32(at + 8, true);
    const high = view.getUint32(at + 12, true);
    // Kept an integer: the conversions to double precision and back were half of this function's time. [measured]
    if (high === 0) this.sector = low;
    else this.sector = low + 4294967296 * high;
    const payload = chain.readableLength - HEADER;
    const room = chain.writableLength - 1;
    switch (this.type) {
      case IN:
        this.dataLength = room;
        return payload === 0 ? this.checkTransfer(low) : IO_ERROR;
      case OUT:
        this.dataLength = payload;
        return room === 0 && !this.limits.readOnly ? this.checkTransfer(low) : IO_ERROR;
      case FLUSH:
        return OK;
      case BlockType.getId:
        this.dataLength = room;
        return room >= ID_SIZE && room <= MAX_REQUEST_BYTES ? OK : IO_ERROR;
      case BlockType.discard:
        if (!this.limits.discard) return BlockStatus.unsupported;
        return this.parseRanges(chain, payload, this.limits.maxDiscardSectors, 0);
      case BlockType.writeZeroes:
        return this.parseRanges(chain, payload, this.limits.maxZeroSectors, 1);
      default:
        return BlockStatus.unsupported;
    }
  }

  /** Whole blocks, at least one, all on the disk. */
  private checkTransfer(sectorLow: number): BlockStatus {
    const { dataLength, limits } = this;
    if (dataLength === 0 || (dataLength & 511) !== 0 || dataLength > MAX_REQUEST_BYTES) return IO_ERROR;
    const count = dataLength >>> 9;
    const misaligned = ((sectorLow | count) & limits.sectorMask) !== 0;
    return misaligned || this.sector > limits.sectors - count ? IO_ERROR : OK;
  }

  /** The ranges of a discard or write-zeroes request; all are checked before any is acted on. */
  private parseRanges(chain: Chain, payload: number, maxSectors: number, knownFlags: number): BlockStatus {
    const { limits, scratchView } = this;
    if (limits.readOnly || payload === 0 || payload % RANGE_SIZE !== 0 || payload > limits.maxRanges * RANGE_SIZE) {
      return BlockStatus.ioError;
    }
    chain.read(HEADER_SIZE, this.scratch.subarray(0, payload));
    this.rangeCount = payload / RANGE_SIZE;
    for (let i = 0; i < this.rangeCount; i++) {
      const at = i * RANGE_SIZE;
      const sector = scratchView.getUint32(at, true) + 4294967296 * scratchView.getUint32(at + 4, true);
      const count = scratchView.getUint32(at + 8, true);
      const flags = scratchView.getUint32(at + 12, true);
      if ((flags & ~knownFlags) !== 0) return BlockStatus.unsupported;
      const misaligned = ((scratchView.getUint32(at, true) | count) & limits.sectorMask) !== 0;
      if (count > maxSectors || sector > limits.sectors - count || misaligned) return BlockStatus.ioError;
      this.rangeSectors[i] = sector;
      this.rangeLengths[i] = count;
    }
    return BlockStatus.ok;
  }
}
