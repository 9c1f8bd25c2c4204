/** Rings whose requests are written once and offered again and again, so that a benchmark measures the device's side alone. */
import type { AlarmClock } from '../../emulator/device/clock.ts';
import type { VirtioDevice } from '../../emulator/device/virtio/device.ts';
import { OpenDevice, TestMachine } from '../../emulator/device/virtio/driver.test-support.ts';
import type { Segment, TestDriver, TestQueue } from '../../emulator/device/virtio/driver.test-support.ts';
import type { SplitQueue } from '../../emulator/device/virtio/queue.ts';

export interface RingLoad {
  readonly machine: TestMachine;
  /** The driver's side and the device's. */
  readonly queue: TestQueue;
  readonly ring: SplitQueue;
  /** Requests in a round. */
  readonly count: number;
}

export interface RingLoadOptions {
  /** Request number `index` of a round. */
  readonly request: (driver: TestDriver, index: number) => readonly Segment[];
  /** A power of two; with all their segments they fit the queue, unless they are indirect. */
  readonly count: number;
  readonly indirect?: boolean;
  readonly features?: bigint;
  readonly queueSize?: number;
}

/** A started device with `count` requests ready on queue 0. */
export function ringLoad(create: (clock: AlarmClock) => VirtioDevice, options: RingLoadOptions): RingLoad {
  const { request, count, indirect = false, features = 0xffff_ffff_ffff_ffffn, queueSize = 256 } = options;
  const machine = new TestMachine('mmio', create);
  machine.driver.start(features, queueSize);
  const queue = machine.driver.queues[0]!;
  const heads = Array.from({ length: count }, (_, index) => {
    const segments = request(machine.driver, index);
    return indirect ? queue.indirectChain(segments) : queue.chain(segments);
  });
  queue.fillAvail(heads);
  return { machine, queue, ring: machine.driver.access.state.queues[0]!, count };
}

/** The same on a queue that is popped and pushed by the benchmark itself. */
export function openLoad(options: RingLoadOptions): RingLoad {
  return ringLoad(() => new OpenDevice([options.queueSize ?? 256]), options);
}

/** Offers the round's requests and lets the device answer all of them. Returns how many it has answered since it was made. */
export function serveRound({ machine, queue, ring, count }: RingLoad): number {
  queue.setAvailIndex(queue.availIndex + count);
  queue.kick();
  machine.settle();
  return ring.counters.used;
}

/** Offers the round's requests, takes every one and gives it back at once. Returns how many bytes the device could have written. */
export function popAndPushRound({ queue, ring, count }: RingLoad): number {
  queue.setAvailIndex(queue.availIndex + count);
  let bytes = 0;
  for (let chain = ring.pop(); chain !== undefined; chain = ring.pop()) {
    bytes += chain.writableLength;
    ring.push(chain, chain.writableLength);
  }
  return bytes;
}
