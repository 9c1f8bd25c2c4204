/** Random requests against a device: it may answer or ask for a reset, and that is all it may do. */
import { assert } from '../../check/assert.ts';
import { DescriptorFlag, RAM, SECOND_RAM, TRANSPORTS } from './driver.test-support.ts';
import type { Descriptor, Segment } from './driver.test-support.ts';
import { Trial } from './hostile.test-support.ts';
import type { Subject } from './hostile.test-support.ts';

/** How many random cases to try: `usual`, or what the environment asks for: VIRTIO_FUZZ=1000000. */
export function fuzzRuns(usual: number): number {
  return Number(process.env['VIRTIO_FUZZ'] ?? usual);
}

/** Random numbers by a seed that can be given again: VIRTIO_FUZZ_SEED. */
export class FuzzSource {
  readonly seed: number;
  private state: number;

  constructor() {
    this.seed = Number(process.env['VIRTIO_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
    this.state = this.seed;
  }

  get banner(): string {
    return `VIRTIO_FUZZ_SEED=${this.seed}`;
  }

  /** 0 to 2^32 - 1 (the mixing function is Mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  below(limit: number): number {
    return Math.floor((this.next() / 2 ** 32) * limit);
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }
}

/** What came of the chains. */
export interface FuzzOutcome {
  chains: number;
  answered: number;
  resets: number;
}

/**
 * Throws `runs` random chains at all queues of `subject`. They start from the device's own valid requests, so that the fuzz gets past the
 * first check, and are then cut, joined, redirected, mistyped and filled with noise.
 */
export function fuzzDevice(subject: Subject, runs: number, source: FuzzSource): FuzzOutcome {
  const outcome: FuzzOutcome = { chains: 0, answered: 0, resets: 0 };
  const trials = TRANSPORTS.map((transport) => new Trial(subject, transport, 0));
  for (const [which, trial] of trials.entries()) {
    const { driver } = trial;
    driver.start(undefined, 32);
    let sinceStart = 0;
    const share = Math.floor(runs / trials.length) + (which < runs % trials.length ? 1 : 0);
    for (let run = 0; run < share; run++) {
      const index = source.below(subject.queues.length);
      const queue = driver.queues[index]!;
      const segments = subject.queues[index]!.request(driver).flatMap((segment) => mutate(source, trial, segment));
      shuffle(source, segments);
      if (segments.length === 0) segments.push(randomSegment(source));
      const head = source.below(4) === 0 ? queue.indirectChain(segments) : queue.chain(segments.slice(0, queue.size));
      if (source.below(8) === 0) queue.writeDescriptor(source.below(queue.size), randomDescriptor(source, queue.size));
      if (source.below(64) === 0) queue.usedEvent = source.next() & 0xffff;
      queue.offer(source.below(100) === 0 ? source.below(queue.size + 2) : head);
      if (source.below(4) !== 0) queue.kick();
      if (source.below(200) === 0) driver.access.writeConfig(source.below(64) & ~3, 4, source.next());
      outcome.chains++;
      trial.settle(index);
      sinceStart++;
      // Allocations of the driver are given back by a restart.
      if (driver.needsReset || sinceStart > 200 || source.below(300) === 0) {
        if (driver.needsReset) outcome.resets++;
        driver.access.state.checkInvariants();
        driver.start(undefined, 32);
        sinceStart = 0;
      }
      if (run % 2000 === 0) trial.machine.checkConfinement();
    }
    trial.machine.checkConfinement();
    // By the device's count: what the guest sees may be overwritten by a request that reads into the ring.
    for (const { counters } of driver.access.state.queues) outcome.answered += counters.used;
    assert(!driver.needsReset || driver.access.state.reason !== undefined, 'a reset is asked for with a reason');
    driver.start(undefined, 32);
    for (const index of subject.queues.keys()) {
      assert(
        trial.answers(index),
        `${subject.name}, queue ${index}, works after ${outcome.chains} chains, ${source.banner}`,
      );
    }
  }
  return outcome;
}

function mutate(source: FuzzSource, { driver }: Trial, segment: Segment): Segment[] {
  const { address, length, write } = segment;
  const bytes = driver.contents(segment);
  switch (source.below(24)) {
    case 0:
      return [];
    case 1:
      return [{ address, length, write: !write }];
    case 2:
      return [segment, segment];
    case 3: {
      if (length < 2) return [segment];
      const cut = 1 + source.below(length - 1);
      return [
        { address, length: cut, write },
        { address: Number(address) + cut, length: length - cut, write },
      ];
    }
    case 4:
      return [{ address, length: source.below(length + 1), write }];
    case 5:
      return [{ address, length: length + source.below(8192), write }];
    case 6:
      bytes[source.below(length)] = source.next() & 0xff;
      return [segment];
    case 7:
      for (let i = 0; i < Math.min(length, 64); i++) bytes[i] = source.next() & 0xff;
      return [segment];
    case 8:
      // A small number in a 32-bit field: types, counts, tags.
      if (length >= 4)
        driver.memory.view.setUint32(
          driver.memory.offset(Number(address) + (source.below(length - 3) & ~3), 4),
          source.below(32),
          true,
        );
      return [segment];
    case 9:
      return [segment, randomSegment(source)];
    default:
      return [segment];
  }
}

function shuffle(source: FuzzSource, segments: Segment[]): void {
  if (segments.length < 2 || source.below(16) !== 0) return;
  const [a, b] = [source.below(segments.length), source.below(segments.length)];
  [segments[a], segments[b]] = [segments[b]!, segments[a]!];
}

function randomSegment(source: FuzzSource): Segment {
  const { address, length, flags } = randomDescriptor(source, 1);
  return { address, length, write: (flags & DescriptorFlag.write) !== 0 };
}

/** Addresses and lengths at and around every edge there is. */
function randomDescriptor(source: FuzzSource, size: number): Descriptor {
  const end = SECOND_RAM.address + SECOND_RAM.size;
  // Above what the driver allocates, so that rings are damaged by the cases that mean to and not by all.
  const somewhere = RAM.address + 0x40_0000 + source.below(0x1_0000);
  return {
    address: source.pick<number | bigint>([
      somewhere,
      somewhere,
      somewhere,
      RAM.address,
      SECOND_RAM.address - 8,
      end - 4,
      0,
      2n ** 64n - 8n,
      end,
    ]),
    length: source.pick([1, 4, 16, 512, 4096, 65_536, 0x40_0000 - 0x1_0000, 0, 0xffff_ffff, source.below(600)]),
    flags: source.pick([0, 0, 1, 2, 2, 3, 4, 5, 6, 7, source.next() & 0xffff]),
    next: source.below(size + 1),
  };
}
