import type { Alarm, Clock } from '../device.ts';
import { DeviceId, type VirtioDevice, type VirtioHost } from './device.ts';
import type { Chain } from './chain.ts';
import type { MacAddress } from './network/address.ts';
import { ETHERNET_HEADER, MAXIMUM_FRAME, MTU } from './network/frame.ts';
import type { SplitQueue } from './queue.ts';
import { DeferredWork } from './work.ts';

/** Feature bits (Virtual I/O Device, "Network Device", "Feature bits"). */
export const NetFeature = { mtu: 1n << 3n, mac: 1n << 5n, status: 1n << 16n } as const;

const RECEIVE = 0;
const TRANSMIT = 1;
const QUEUE_SIZE = 256;
/** struct virtio_net_hdr; `num_buffers` is always there without the legacy interface. */
const HEADER = 12;
const NUM_BUFFERS = 10;
const GSO_TYPE = 1;
const LINK_UP = 1;
const CONFIG_LENGTH = 12;
/** Frames handled before the guest gets its turn again. */
const BATCH = 256;

/** What the guest's cable is plugged into. Times are microseconds and never go back. */
export interface NetworkBackend {
  /** A frame from the guest, only lent. */
  receive(frame: Uint8Array, now: number): void;
  /** The next frame for the guest, when it has room for one. */
  take(now: number): Uint8Array | undefined;
  /** Time has passed; called at `deadline` at the latest. */
  advance(now: number): void;
  /** When time matters next; Infinity when it does not. */
  readonly deadline: number;
  /** To be called by the backend when `take` has something new, though nobody asked it. */
  onReady: () => void;
  /** The guest has forgotten everything. */
  reset(): void;
}

/** Sees every frame that passes, such as a packet capture. */
export interface FrameSink {
  add(frame: Uint8Array, now: number): void;
}

export interface NetCounters {
  transmitted: number;
  transmittedBytes: number;
  received: number;
  receivedBytes: number;
  /** Frames of the guest that were too short, too long or wanted offloads nobody offered; they were dropped. */
  malformed: number;
}

export interface NetOptions {
  readonly backend: NetworkBackend;
  readonly clock: Clock;
  readonly mac: MacAddress;
  /** Ticks from a notification to the work it asks for; by default 0: the next look at the clock. */
  readonly latency?: number;
  readonly capture?: FrameSink;
}

/**
 * The network card (Virtual I/O Device, "Network Device"): one pair of queues, no offloads, no merged receive buffers. While the guest offers
 * no receive buffer, frames stay with the backend, which bounds what it keeps.
 */
export class VirtioNet implements VirtioDevice {
  readonly name = 'network';
  readonly id = DeviceId.network;
  readonly features = NetFeature.mac | NetFeature.mtu | NetFeature.status;
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  readonly config = new Uint8Array(CONFIG_LENGTH);
  readonly counters: NetCounters = { transmitted: 0, transmittedBytes: 0, received: 0, receivedBytes: 0, malformed: 0 };
  readonly #backend: NetworkBackend;
  readonly #clock: Clock;
  /** For what the guest and the backend ask for, and for what only time brings. */
  readonly #work: DeferredWork;
  readonly #timer: Alarm;
  readonly #capture: FrameSink | undefined;
  readonly #outgoing = new Uint8Array(HEADER + MAXIMUM_FRAME);
  readonly #header = new Uint8Array(HEADER);
  #host: VirtioHost | undefined;
  /** A receive buffer that was taken before there was a frame for it. */
  #spare: Chain | undefined;

  constructor({ backend, clock, mac, latency = 0, capture }: NetOptions) {
    this.#backend = backend;
    this.#clock = clock;
    this.#capture = capture;
    this.#work = new DeferredWork(clock, latency, () => this.#turn());
    this.#timer = clock.alarm(() => this.#turn());
    this.config.set(mac, 0);
    const view = new DataView(this.config.buffer);
    view.setUint16(6, LINK_UP, true);
    view.setUint16(8, 1, true);
    view.setUint16(10, MTU, true);
    new DataView(this.#header.buffer).setUint16(NUM_BUFFERS, 1, true);
    // Woken from outside the machine's turn: the frame is delivered when the machine next looks at its clock.
    backend.onReady = () => {
      if (this.#host !== undefined) this.#work.request();
    };
  }

  start(host: VirtioHost): void {
    this.#host = host;
    this.#work.request();
  }

  notify(): void {
    this.#work.request();
  }

  reset(): void {
    this.#host = undefined;
    this.#spare = undefined;
    this.#work.cancel();
    this.#timer.clear();
    this.#backend.reset();
  }

  /** Everything that can be done now, both ways, up to a batch. */
  #turn(): void {
    const host = this.#host;
    if (host === undefined) return;
    const now = (this.#clock.now() * 1e6) / this.#clock.frequency;
    this.#backend.advance(now);
    const more = this.#transmit(host.queues[TRANSMIT]!, now);
    const full = this.#receive(host.queues[RECEIVE]!, now);
    if (more || full) this.#work.request();
    // Never the present tick: a deadline that is missed by a rounding error must not hold the machine where it is.
    const deadline = Math.ceil((this.#backend.deadline * this.#clock.frequency) / 1e6);
    this.#timer.set(Math.max(this.#clock.now() + 1, deadline));
  }

  /** Whether there may be more to transmit. */
  #transmit(queue: SplitQueue, now: number): boolean {
    let count = 0;
    for (; count < BATCH; count++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      this.#transmitFrame(chain, now);
      queue.add(chain, 0);
    }
    queue.signal();
    return count === BATCH;
  }

  #transmitFrame(chain: Chain, now: number): void {
    const length = chain.readableLength;
    const buffer = this.#outgoing;
    const fits = length >= HEADER + ETHERNET_HEADER && length <= buffer.length;
    if (!fits || chain.read(0, buffer) !== length || buffer[GSO_TYPE] !== 0) {
      this.counters.malformed += 1;
      return;
    }
    const frame = buffer.subarray(HEADER, length);
    this.counters.transmitted += 1;
    this.counters.transmittedBytes += frame.length;
    this.#capture?.add(frame, now);
    this.#backend.receive(frame, now);
  }

  /** Whether a whole batch was delivered, so that there may be more. */
  #receive(queue: SplitQueue, now: number): boolean {
    let count = 0;
    for (; count < BATCH; count++) {
      const chain = this.#spare ?? queue.pop();
      this.#spare = chain;
      if (chain === undefined) break;
      const frame = this.#backend.take(now);
      if (frame === undefined) break;
      this.#spare = undefined;
      if (chain.writableLength < HEADER + frame.length) {
        queue.refuse(`receive buffer of ${chain.writableLength} bytes for a frame of ${frame.length}`);
        break;
      }
      chain.write(0, this.#header);
      chain.write(HEADER, frame);
      this.counters.received += 1;
      this.counters.receivedBytes += frame.length;
      this.#capture?.add(frame, now);
      queue.add(chain, HEADER + frame.length);
    }
    queue.signal();
    return count === BATCH;
  }
}
