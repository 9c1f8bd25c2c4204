// hot: every disk request of the guest passes here (suites/virtio/block.bench.ts)
import { assert } from '../../check/assert.ts';
import { ConfigError } from '../../check/errors.ts';
import type { Clock } from '../device.ts';
import { BlockRequest, BlockStatus, BlockType, HEADER_SIZE } from './block-request.ts';
import type { BlockLimits } from './block-request.ts';
import type { BlockBackend } from './block-backend.ts';
import type { Chain } from './chain.ts';
import { DeviceId } from './device.ts';
import type { VirtioDevice, VirtioHost } from './device.ts';
import type { SplitQueue } from './queue.ts';
import { DeferredWork } from './work.ts';

const Feature = {
  segMax: 1n << 2n,
  readOnly: 1n << 5n,
  blockSize: 1n << 6n,
  flush: 1n << 9n,
  multiQueue: 1n << 12n,
  discard: 1n << 13n,
  writeZeroes: 1n << 14n,
} as const;

const QUEUE_SIZE = 256;
const CONFIG_SIZE = 60;
/** Most data segments of a request we ask drivers to keep to: a full queue less header and status. */
const SEG_MAX = QUEUE_SIZE - 2;
const ID_SIZE = 20;
// What every request needs, as constants to V8: an import is loaded and checked, and its field loaded. [measured]
const { in: IN, out: OUT, flush: FLUSH } = BlockType;
const { ok: OK, ioError: IO_ERROR, unanswerable: UNANSWERABLE } = BlockStatus;
const HEADER = HEADER_SIZE;
/** Bytes moved at one look at the clock before the guest runs on. */
const BYTES_PER_TURN = 1 << 26;

/** Getter-visible facts and exact counters of a disk. */
export interface BlockCounters {
  reads: number;
  writes: number;
  flushes: number;
  discards: number;
  zeroes: number;
  ids: number;
  bytesRead: number;
  bytesWritten: number;
  /** Requests answered with an error, whoever was at fault. */
  errors: number;
  turns: number;
}

export interface BlockOptions {
  readonly backend: BlockBackend;
  readonly clock: Clock;
  /** Ticks from a notification to the completion of what it announced; by default 0. */
  readonly latency?: number;
  /** Logical block size in bytes: 512 (default) or 4096. */
  readonly sectorSize?: 512 | 4096;
  /** Up to 20 bytes of ASCII that the guest may read; by default `vm-dyno`. */
  readonly serial?: string;
  /** Request queues, by default 1. */
  readonly queues?: number;
}

/** A disk (Virtual I/O Device, "Block Device"). */
export class VirtioBlock implements VirtioDevice {
  readonly name = 'block';
  readonly id = DeviceId.block;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly config: Uint8Array;
  readonly sectorSize: number;
  readonly counters: BlockCounters;

  private readonly backend: BlockBackend;
  private readonly serial: Uint8Array;
  private readonly limits: BlockLimits;
  private readonly request: BlockRequest;
  private readonly work: DeferredWork;
  private turnRead = 0;
  private turnWritten = 0;
  private host: VirtioHost | undefined = undefined;

  /** Throws ConfigError for a serial that does not fit, a queue count that is not 1 to 16, or a disk that is no whole number of sectors. */
  constructor({ backend, clock, latency = 0, sectorSize = 512, serial = 'vm-dyno', queues = 1 }: BlockOptions) {
    if (!/^[ -~]{0,20}$/u.test(serial)) {
      throw new ConfigError(`disk serial '${serial}'`, { mend: 'use up to 20 ASCII characters' });
    }
    if (!Number.isInteger(queues) || queues < 1 || queues > 16) {
      throw new ConfigError(`a disk with ${queues} queues`, { mend: 'give 1 to 16' });
    }
    if (backend.size % sectorSize !== 0) {
      throw new ConfigError(`a disk of ${backend.size} bytes has no whole number of ${sectorSize}-byte sectors`);
    }
    this.backend = backend;
    this.sectorSize = sectorSize;
    this.serial = new Uint8Array(ID_SIZE);
    this.serial.set(new TextEncoder().encode(serial));
    this.features =
      Feature.segMax |
      Feature.blockSize |
      Feature.flush |
      Feature.writeZeroes |
      (backend.readOnly ? Feature.readOnly : 0n) |
      (backend.discard === undefined ? 0n : Feature.discard) |
      (queues > 1 ? Feature.multiQueue : 0n);
    this.queueSizes = Array.from({ length: queues }, () => QUEUE_SIZE);
    this.limits = {
      sectors: backend.size / 512,
      sectorMask: sectorSize / 512 - 1,
      readOnly: backend.readOnly,
      discard: backend.discard !== undefined,
      // At 16 MiB a segment zeroing stays a matter of milliseconds.
      maxZeroSectors: 1 << 15,
      maxDiscardSectors: 1 << 22,
      maxRanges: 16,
    };
    this.config = this.describe(queues);
    this.request = new BlockRequest(this.limits);
    this.counters = {
      reads: 0,
      writes: 0,
      flushes: 0,
      discards: 0,
      zeroes: 0,
      ids: 0,
      bytesRead: 0,
      bytesWritten: 0,
      errors: 0,
      turns: 0,
    };
    this.work = new DeferredWork(clock, latency, () => this.turn());
  }

  /** 512-byte sectors, as the guest counts them whatever the sector size. */
  get capacity(): number {
    return this.limits.sectors;
  }

  get readOnly(): boolean {
    return this.limits.readOnly;
  }

  start(host: VirtioHost): void {
    this.host = host;
  }

  notify(queue: number): void {
    // Until the turn comes further notifications would tell nothing new.
    this.host?.queues[queue]?.wantKicks(false);
    this.work.request();
  }

  reset(): void {
    this.host = undefined;
    this.work.cancel();
  }

  /** Serves what the driver has offered, all queues in order, up to a bound of work. */
  private turn(): void {
    const { host } = this;
    if (host === undefined) return;
    this.counters.turns++;
    this.turnRead = 0;
    this.turnWritten = 0;
    let bytes = 0;
    for (const queue of host.queues) {
      queue.wantKicks(true);
      // A driver on another processor could go on adding; it gets the next turn.
      for (let served = 0; served < queue.size && bytes < BYTES_PER_TURN; served++) {
        const chain = queue.pop();
        if (chain === undefined) break;
        bytes += this.serve(queue, chain);
      }
      queue.signal();
      if (queue.pending) this.work.request();
    }
    this.counters.bytesRead += this.turnRead;
    this.counters.bytesWritten += this.turnWritten;
  }

  /** Returns how many bytes that took. */
  private serve(queue: SplitQueue, chain: Chain): number {
    const { request } = this;
    const status = request.parse(chain);
    if (status === UNANSWERABLE) {
      queue.refuse('block request without a header to read or a status byte to write');
      return 0;
    }
    const outcome = status === OK ? this.execute(request, chain) : status;
    queue.view.setUint8(request.statusOffset, outcome);
    if (outcome === OK) {
      queue.add(chain, chain.writableLength);
    } else {
      this.counters.errors++;
      // The status lies past bytes that were not written: no length from the start covers it.
      chain.memory.writtenAt(chain.end - 1, 1);
      queue.add(chain, chain.writableLength === 1 ? 1 : 0);
    }
    return request.dataLength;
  }

  private execute(request: BlockRequest, chain: Chain): BlockStatus {
    const { backend, counters } = this;
    switch (request.type) {
      case IN:
        counters.reads++;
        this.turnRead += request.dataLength;
        return this.read(request, chain);
      case OUT:
        counters.writes++;
        this.turnWritten += request.dataLength;
        return this.write(request, chain);
      case FLUSH:
        counters.flushes++;
        return backend.flush() ? OK : IO_ERROR;
      case BlockType.getId:
        counters.ids++;
        chain.write(0, this.serial);
        chain.fill(ID_SIZE, request.dataLength - ID_SIZE, 0);
        return OK;
      case BlockType.discard:
        counters.discards++;
        return this.eachRange(request);
      case BlockType.writeZeroes:
        counters.zeroes++;
        return this.eachRange(request);
      default:
        assert(false, 'parse answers unknown types');
        return BlockStatus.unsupported;
    }
  }

  private read(request: BlockRequest, chain: Chain): BlockStatus {
    const { bytes } = chain.memory;
    let position = request.sector * 512;
    let left = request.dataLength;
    for (let i = chain.readableCount; left > 0; i++) {
      const part = Math.min(left, chain.lengths[i]!);
      if (!this.backend.read(position, bytes, chain.offsets[i]!, part)) return IO_ERROR;
      position += part;
      left -= part;
    }
    return OK;
  }

  private write(request: BlockRequest, chain: Chain): BlockStatus {
    const { bytes } = chain.memory;
    let position = request.sector * 512;
    // The header may fill its segment, share it with data or be spread over several.
    let skip = HEADER;
    for (let i = 0; i < chain.readableCount; i++) {
      const length = chain.lengths[i]!;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      if (!this.backend.write(position, bytes, chain.offsets[i]! + skip, length - skip)) return IO_ERROR;
      position += length - skip;
      skip = 0;
    }
    return OK;
  }

  private eachRange(request: BlockRequest): BlockStatus {
    for (let i = 0; i < request.rangeCount; i++) {
      const position = request.rangeSectors[i]! * 512;
      const length = request.rangeLengths[i]! * 512;
      const done =
        request.type === BlockType.discard
          ? (this.backend.discard?.(position, length) ?? true)
          : this.backend.zero(position, length);
      if (!done) return BlockStatus.ioError;
    }
    return BlockStatus.ok;
  }

  /** Virtual I/O Device, "Block Device", "Device configuration layout". */
  private describe(queues: number): Uint8Array {
    const bytes = new Uint8Array(CONFIG_SIZE);
    const view = new DataView(bytes.buffer);
    const sectorsPerBlock = this.sectorSize / 512;
    view.setBigUint64(0, BigInt(this.limits.sectors), true);
    view.setUint32(12, SEG_MAX, true);
    view.setUint32(20, this.sectorSize, true);
    view.setUint16(34, queues, true);
    if (this.limits.discard) {
      view.setUint32(36, this.limits.maxDiscardSectors, true);
      view.setUint32(40, this.limits.maxRanges, true);
      view.setUint32(44, sectorsPerBlock, true);
    }
    view.setUint32(48, this.limits.maxZeroSectors, true);
    view.setUint32(52, this.limits.maxRanges, true);
    return bytes;
  }
}
