/** Disks under load, for benchmarks. */
import type { BlockBackend } from '../../emulator/device/virtio/block-backend.ts';
import { VirtioBlock } from '../../emulator/device/virtio/block.ts';
import type { Segment, TestDriver } from '../../emulator/device/virtio/driver.test-support.ts';
import { ringLoad } from './ring-load.ts';
import type { RingLoad } from './ring-load.ts';

/** Aligned, as drivers have it: a structure of theirs. */
export function blockHeader(driver: TestDriver, type: number, sector: number): Segment {
  const header: Segment = { address: driver.allocate(16, 16), length: 16, write: false };
  const { buffer, byteOffset } = driver.contents(header);
  const view = new DataView(buffer, byteOffset, 16);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt(sector), true);
  return header;
}

export interface BlockLoadOptions {
  readonly backend: BlockBackend;
  readonly type: number;
  /** Of each request; 0 for those without data. */
  readonly sectors: number;
  /** Where request number `index` of a round starts. */
  readonly sectorOf: (index: number) => number;
  /** Requests in a round: a power of two up to 64. */
  readonly count: number;
  readonly sectorSize?: 512 | 4096;
}

export interface BlockLoad extends RingLoad {
  /** The guest's buffer that requests read to or write from. */
  readonly data: Uint8Array;
}

/** A disk and a round of requests, which share one data buffer of the guest: what they cost beside the copy is then easiest to see. */
export function blockLoad({ backend, type, sectors, sectorOf, count, sectorSize = 512 }: BlockLoadOptions): BlockLoad {
  let buffer: Segment | undefined;
  let data: Uint8Array = new Uint8Array();
  const load = ringLoad((clock) => new VirtioBlock({ backend, clock, sectorSize }), {
    count,
    request: (driver, index) => {
      const isWrite = type === 1;
      if (sectors > 0 && buffer === undefined) {
        const length = sectors * 512;
        buffer = { address: driver.allocate(length, 4096), length, write: !isWrite };
        data = driver.contents(buffer).fill(0x5a);
      }
      const segments = buffer === undefined ? [] : [buffer];
      return [blockHeader(driver, type, sectorOf(index)), ...segments, driver.writable(1)];
    },
  });
  return { ...load, data };
}

/** Status bytes that are not 0, over all requests of a round. */
export function failures({ machine }: RingLoad): number {
  return (machine.device as VirtioBlock).counters.errors;
}
