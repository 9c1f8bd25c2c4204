import type { Clock } from '../device.ts';
import { DeviceId } from './device.ts';
import type { VirtioDevice, VirtioHost } from './device.ts';
import { DeferredWork } from './work.ts';

const QUEUE_SIZE = 64;
/** A request may be answered with fewer bytes than it has room for; so much is given at most. */
const MAX_ANSWER = 1 << 16;

export interface EntropyOptions {
  readonly clock: Clock;
  readonly latency?: number;
  /** Fills all of `target` with random bytes; seeded in deterministic mode. */
  readonly source: (target: Uint8Array) => void;
}

/** A source of randomness (Virtual I/O Device, "Entropy Device"). */
export class VirtioEntropy implements VirtioDevice {
  readonly name = 'entropy';
  readonly id = DeviceId.entropy;
  readonly features = 0n;
  readonly queueSizes: readonly number[] = [QUEUE_SIZE];
  readonly config = new Uint8Array(0);
  readonly counters = { requests: 0, bytes: 0 };

  private readonly source: (target: Uint8Array) => void;
  private readonly work: DeferredWork;
  /** Random bytes are made here and copied: a source may not be able to write to memory that is shared. */
  private readonly answer = new Uint8Array(MAX_ANSWER);
  private host: VirtioHost | undefined = undefined;

  constructor({ clock, latency = 0, source }: EntropyOptions) {
    this.source = source;
    this.work = new DeferredWork(clock, latency, () => this.turn());
  }

  start(host: VirtioHost): void {
    this.host = host;
  }

  notify(): void {
    this.work.request();
  }

  reset(): void {
    this.host = undefined;
    this.work.cancel();
  }

  private turn(): void {
    const queue = this.host?.queues[0];
    if (queue === undefined) return;
    for (let served = 0; served < queue.size; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      if (chain.readableLength > 0) {
        queue.refuse('entropy buffer that is not writable');
        break;
      }
      const answer = this.answer.subarray(0, Math.min(chain.writableLength, MAX_ANSWER));
      this.source(answer);
      chain.write(0, answer);
      this.counters.requests++;
      this.counters.bytes += answer.length;
      queue.add(chain, answer.length);
    }
    queue.signal();
    if (queue.pending) this.work.request();
  }
}
