import { assert } from '../../check/assert.ts';
import type { Clock } from '../device.ts';
import type { Chain } from './chain.ts';
import { DeviceId } from './device.ts';
import type { VirtioDevice, VirtioHost } from './device.ts';
import type { SplitQueue } from './queue.ts';
import { DeferredWork } from './work.ts';

const Feature = { mustTellHost: 1n << 0n, statistics: 1n << 1n, deflateOnOutOfMemory: 1n << 2n } as const;
const Queue = { inflate: 0, deflate: 1, statistics: 2 } as const;
const QUEUE_SIZE = 128;
const ACTUAL = 4;
/** Pages of the balloon are of 4 KiB whatever the guest's page size (Virtual I/O Device, "Traditional Memory Balloon Device"). */
const PAGE_SIZE = 4096;
/** Page numbers in one request; Linux sends 256. */
const MAX_PAGES = 1 << 16;
const STATISTIC_SIZE = 10;
const MAX_STATISTICS = 64;

/** Names of the statistics by tag. */
const STATISTICS = [
  'swapIn',
  'swapOut',
  'majorFaults',
  'minorFaults',
  'freeMemory',
  'totalMemory',
  'availableMemory',
  'caches',
  'hugePageAllocations',
  'hugePageFailures',
] as const;
export type BalloonStatistic = (typeof STATISTICS)[number];

/** Exact counters of a balloon. */
export interface BalloonCounters {
  inflated: number;
  deflated: number;
  /** Page numbers that are no RAM, or in the balloon already (inflate), or not in it (deflate). */
  ignored: number;
}

export interface BalloonOptions {
  readonly clock: Clock;
  readonly latency?: number;
}

/** A balloon (Virtual I/O Device, "Traditional Memory Balloon Device"): pages the guest puts in are zeroed and given back to the host. */
export class VirtioBalloon implements VirtioDevice {
  readonly name = 'balloon';
  readonly id = DeviceId.balloon;
  readonly features: bigint = Feature.mustTellHost | Feature.statistics | Feature.deflateOnOutOfMemory;
  readonly queueSizes: readonly number[] = [QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE];
  readonly config = new Uint8Array(8);
  readonly counters: BalloonCounters = { inflated: 0, deflated: 0, ignored: 0 };
  /** What the guest last told, in bytes or events. */
  readonly statistics = new Map<BalloonStatistic, bigint>();

  private readonly configView = new DataView(this.config.buffer);
  private readonly work: DeferredWork;
  private readonly scratch = new Uint8Array(Math.max(4 * 1024, MAX_STATISTICS * STATISTIC_SIZE));
  private readonly scratchView = new DataView(this.scratch.buffer);
  private readonly ballooned = new Set<number>();
  /** The statistics buffer the driver parked with us: giving it back asks for new ones. */
  private parked: Chain | undefined = undefined;
  private host: VirtioHost | undefined = undefined;

  constructor({ clock, latency = 0 }: BalloonOptions) {
    this.work = new DeferredWork(clock, latency, () => this.turn());
  }

  /** 4-KiB pages in the balloon. */
  get pages(): number {
    return this.ballooned.size;
  }

  /** 4-KiB pages the driver says are in the balloon. */
  get actual(): number {
    return this.configView.getUint32(ACTUAL, true);
  }

  /** Asks the guest to put so many 4-KiB pages into the balloon. */
  requestPages(pages: number): void {
    this.configView.setUint32(0, pages, true);
    this.host?.configChanged();
  }

  /** Asks the guest for new statistics; false while it has not answered the last question. */
  requestStatistics(): boolean {
    const queue = this.host?.queues[Queue.statistics];
    if (queue === undefined || this.parked === undefined) return false;
    const chain = this.parked;
    this.parked = undefined;
    queue.push(chain, 0);
    return true;
  }

  /** The driver writes `actual`, and nothing else. */
  writeConfig(offset: number, width: number, value: number): void {
    if (offset === ACTUAL && width === 4) this.configView.setUint32(ACTUAL, value, true);
  }

  start(host: VirtioHost): void {
    this.host = host;
  }

  notify(): void {
    this.work.request();
  }

  reset(): void {
    this.host = undefined;
    this.parked = undefined;
    this.ballooned.clear();
    this.configView.setUint32(ACTUAL, 0, true);
    this.work.cancel();
  }

  checkInvariants(): void {
    assert(this.counters.inflated - this.counters.deflated >= this.ballooned.size, 'every page went in once');
  }

  private turn(): void {
    const { host } = this;
    if (host === undefined) return;
    this.takePages(host.queues[Queue.inflate]!, true);
    this.takePages(host.queues[Queue.deflate]!, false);
    this.takeStatistics(host.queues[Queue.statistics]!);
  }

  private takePages(queue: SplitQueue, inflate: boolean): void {
    // Zeroing a full balloon takes long enough for one turn.
    for (let served = 0, pages = 0; served < queue.size && pages < MAX_PAGES; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      const { readableLength } = chain;
      if (
        readableLength === 0 ||
        readableLength % 4 !== 0 ||
        readableLength > 4 * MAX_PAGES ||
        chain.writableLength > 0
      ) {
        queue.refuse('balloon request that is no list of page numbers');
        break;
      }
      this.movePages(chain, inflate);
      pages += readableLength / 4;
      queue.add(chain, 0);
    }
    queue.signal();
    if (queue.pending) this.work.request();
  }

  private movePages(chain: Chain, inflate: boolean): void {
    for (let from = 0; from < chain.readableLength;) {
      const length = chain.read(from, this.scratch);
      for (let i = 0; i < length; i += 4) {
        const page = this.scratchView.getUint32(i, true);
        if (inflate) this.inflate(chain, page);
        else if (this.ballooned.delete(page)) this.counters.deflated++;
        else this.counters.ignored++;
      }
      from += length;
    }
  }

  private inflate({ memory }: Chain, page: number): void {
    if (this.ballooned.has(page) || !memory.release(page * PAGE_SIZE, PAGE_SIZE)) {
      this.counters.ignored++;
      return;
    }
    this.ballooned.add(page);
    this.counters.inflated++;
  }

  private takeStatistics(queue: SplitQueue): void {
    for (let served = 0; served < queue.size; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      if (this.parked !== undefined || chain.writableLength > 0 || chain.readableLength % STATISTIC_SIZE !== 0) {
        queue.refuse('balloon statistics that are malformed or were not asked for');
        break;
      }
      const length = chain.read(0, this.scratch.subarray(0, MAX_STATISTICS * STATISTIC_SIZE));
      for (let at = 0; at < length; at += STATISTIC_SIZE) {
        const name = STATISTICS[this.scratchView.getUint16(at, true)];
        if (name !== undefined) this.statistics.set(name, this.scratchView.getBigUint64(at + 2, true));
      }
      this.parked = chain;
    }
  }
}
