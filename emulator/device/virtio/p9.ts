import { ConfigError } from '../../check/errors.ts';
import type { Clock } from '../device.ts';
import type { Chain } from './chain.ts';
import { DeviceId, type VirtioDevice, type VirtioHost } from './device.ts';
import { MAXIMUM_MESSAGE, P9Server, type P9Options } from './p9/server.ts';
import { DeferredWork } from './work.ts';

/** Feature bit (Virtual I/O Device, "9P Device"; the layout is Linux's, `linux/virtio_9p.h`). */
export const P9Feature = { mountTag: 1n << 0n } as const;

const QUEUE_SIZE = 128;
const MAXIMUM_TAG = 255;

export interface Virtio9pOptions extends P9Options {
  /** The name by which the guest mounts it: 1 to 255 bytes. */
  readonly tag: string;
  readonly clock: Clock;
  /** Ticks from a notification to the work it asks for; by default 0: the next look at the clock. */
  readonly latency?: number;
}

/** A shared directory: a 9P2000.L server behind one queue, whose configuration is the mount tag. */
export class Virtio9p implements VirtioDevice {
  readonly name = '9p';
  readonly id = DeviceId.filesystem9p;
  readonly features = P9Feature.mountTag;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config: Uint8Array;
  readonly server: P9Server;
  readonly #work: DeferredWork;
  readonly #request = new Uint8Array(MAXIMUM_MESSAGE);
  #host: VirtioHost | undefined;

  /** Throws ConfigError for a tag that is empty or too long and a root that is not a directory. */
  constructor(options: Virtio9pOptions) {
    const tag = new TextEncoder().encode(options.tag);
    if (tag.length === 0 || tag.length > MAXIMUM_TAG || tag.includes(0))
      throw new ConfigError('not a mount tag', { where: options.tag, mend: 'use 1 to 255 bytes without NUL' });
    this.config = new Uint8Array(2 + tag.length);
    new DataView(this.config.buffer).setUint16(0, tag.length, true);
    this.config.set(tag, 2);
    this.server = new P9Server(options);
    this.#work = new DeferredWork(options.clock, options.latency ?? 0, () => this.#turn());
  }

  start(host: VirtioHost): void {
    this.#host = host;
  }

  notify(): void {
    this.#work.request();
  }

  #turn(): void {
    const queue = this.#host?.queues[0];
    if (queue === undefined) return;
    // No more than the queue holds: a guest on another thread cannot keep the host here.
    for (let served = 0; served < queue.size; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      queue.add(chain, this.#answer(chain));
    }
    queue.signal();
    if (queue.pending) this.#work.request();
  }

  reset(): void {
    this.#host = undefined;
    this.#work.cancel();
    this.server.reset();
  }

  #answer(chain: Chain): number {
    const length = chain.read(0, this.#request);
    const reply = this.server.handle(this.#request.subarray(0, length), chain.writableLength);
    return reply === undefined ? 0 : chain.write(0, reply);
  }
}
