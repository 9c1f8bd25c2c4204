import type { Clock } from '../device.ts';
import { DeviceId } from './device.ts';
import type { VirtioDevice, VirtioHost } from './device.ts';
import { DeferredWork } from './work.ts';

const Feature = { size: 1n << 0n, emergencyWrite: 1n << 2n } as const;
const Queue = { receive: 0, transmit: 1 } as const;
const QUEUE_SIZE = 64;
const CONFIG_SIZE = 12;
const EMERGENCY_WRITE = 8;
/** Bytes a guest may print by one request; drivers stay within a page or a few. */
const MAX_PRINT = 1 << 20;
const BYTES_PER_TURN = 1 << 22;
const DEFAULT_INPUT_LIMIT = 1 << 16;

/** Exact counters of a console. */
export interface ConsoleCounters {
  bytesIn: number;
  bytesOut: number;
  /** Typed while the guest's buffer and ours were full. */
  dropped: number;
}

export interface ConsoleOptions {
  readonly clock: Clock;
  readonly latency?: number;
  /** Takes what the guest prints; the bytes are valid during the call only. */
  readonly output: (bytes: Uint8Array) => void;
  /** By default 80 by 25. */
  readonly columns?: number;
  readonly rows?: number;
  /** Bytes kept for a guest that does not read; by default 64 KiB. */
  readonly inputLimit?: number;
}

/** A console with one port (Virtual I/O Device, "Console Device"). */
export class VirtioConsole implements VirtioDevice {
  readonly name = 'console';
  readonly id = DeviceId.console;
  readonly features: bigint = Feature.size | Feature.emergencyWrite;
  readonly queueSizes: readonly number[] = [QUEUE_SIZE, QUEUE_SIZE];
  readonly config: Uint8Array;
  readonly counters: ConsoleCounters = { bytesIn: 0, bytesOut: 0, dropped: 0 };

  private readonly output: (bytes: Uint8Array) => void;
  private readonly work: DeferredWork;
  private readonly configView: DataView;
  /** What was typed and not yet taken: a ring. */
  private readonly input: Uint8Array;
  private inputStart = 0;
  private inputLength = 0;
  private host: VirtioHost | undefined = undefined;

  constructor({
    clock,
    latency = 0,
    output,
    columns = 80,
    rows = 25,
    inputLimit = DEFAULT_INPUT_LIMIT,
  }: ConsoleOptions) {
    this.output = output;
    this.config = new Uint8Array(CONFIG_SIZE);
    this.configView = new DataView(this.config.buffer);
    this.configView.setUint16(0, columns, true);
    this.configView.setUint16(2, rows, true);
    this.configView.setUint32(4, 1, true);
    this.input = new Uint8Array(inputLimit);
    this.work = new DeferredWork(clock, latency, () => this.turn());
  }

  /** Something was typed. Returns how many bytes there was room for. */
  type(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.input.length - this.inputLength);
    for (let i = 0; i < taken; i++) {
      this.input[(this.inputStart + this.inputLength + i) % this.input.length] = bytes[i]!;
    }
    this.inputLength += taken;
    this.counters.dropped += bytes.length - taken;
    if (this.host !== undefined) this.work.request();
    return taken;
  }

  /** The terminal changed its size. */
  resize(columns: number, rows: number): void {
    this.configView.setUint16(0, columns, true);
    this.configView.setUint16(2, rows, true);
    this.host?.configChanged();
  }

  /** Only `emerg_wr` can be written: a character to print without any queue. */
  writeConfig(offset: number, _width: number, value: number): void {
    if (offset !== EMERGENCY_WRITE) return;
    this.counters.bytesOut++;
    this.output(Uint8Array.of(value & 0xff));
  }

  start(host: VirtioHost): void {
    this.host = host;
    if (this.inputLength > 0) this.work.request();
  }

  notify(): void {
    this.work.request();
  }

  /** What was typed stays for the next driver. */
  reset(): void {
    this.host = undefined;
    this.work.cancel();
  }

  private turn(): void {
    const { host } = this;
    if (host === undefined) return;
    this.print(host);
    this.deliver(host);
  }

  private print(host: VirtioHost): void {
    const queue = host.queues[Queue.transmit]!;
    let bytes = 0;
    for (let served = 0; served < queue.size && bytes < BYTES_PER_TURN; served++) {
      const chain = queue.pop();
      if (chain === undefined) break;
      if (chain.writableLength > 0 || chain.readableLength > MAX_PRINT) {
        queue.refuse('console output in a buffer that is writable or too long');
        break;
      }
      for (let i = 0; i < chain.readableCount; i++) this.output(chain.readable(i));
      bytes += chain.readableLength;
      queue.add(chain, 0);
    }
    this.counters.bytesOut += bytes;
    queue.signal();
    if (queue.pending) this.work.request();
  }

  private deliver(host: VirtioHost): void {
    const queue = host.queues[Queue.receive]!;
    while (this.inputLength > 0) {
      const chain = queue.pop();
      if (chain === undefined) break;
      if (chain.readableLength > 0) {
        queue.refuse('console input buffer that is not writable');
        break;
      }
      let written = 0;
      // A ring has at most two stretches.
      for (let stretch = 0; stretch < 2 && this.inputLength > 0; stretch++) {
        const end = Math.min(this.inputStart + this.inputLength, this.input.length);
        const part = chain.write(written, this.input.subarray(this.inputStart, end));
        if (part === 0) break;
        written += part;
        this.inputStart = (this.inputStart + part) % this.input.length;
        this.inputLength -= part;
      }
      this.counters.bytesIn += written;
      queue.add(chain, written);
    }
    queue.signal();
  }
}
