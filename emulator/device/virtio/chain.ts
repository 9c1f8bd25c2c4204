// hot: one a request (suites/virtio/queue.bench.ts)
import type { GuestMemory } from './guest-memory.ts';
import type { SplitQueue } from './queue.ts';

/**
 * A descriptor chain taken from a queue: first the segments the device may read, then those it may write, all checked to lie in RAM.
 * The descriptors were read once; the guest may change the *bytes* meanwhile, never what the segments are.
 *
 * Chains belong to their queue and are reused: one is valid from `pop` to `push` or to the device's reset.
 */
export class Chain {
  /** The index of the first descriptor: what the used ring names. */
  readonly head: number = 0;
  /** Segments the device may read: indices 0 to readableCount - 1. */
  readableCount = 0;
  /** Segments the device may write: indices readableCount to count - 1. */
  count = 0;
  /** Sums of the segments' lengths in bytes. */
  readableLength = 0;
  writableLength = 0;
  /**
   * Offset in `memory.bytes` and length of each segment; only the first `count` count. Most requests fit, and V8 makes an array that grows
   * from nothing room for 17: the chains of a queue then leave the first-level cache. [measured] validating 0.9 of the time
   */
  readonly offsets: number[] = [0, 0, 0, 0];
  readonly lengths: number[] = [0, 0, 0, 0];
  /** Offset in `memory.bytes` of the byte after the last segment. */
  end = 0;
  /** Set by the queue: whether the device holds it. */
  inFlight = false;
  /** The queue it belongs to, until that is reset. */
  queue: SplitQueue | undefined;
  readonly memory: GuestMemory;

  constructor(head: number, queue: SplitQueue) {
    this.head = head;
    this.queue = queue;
    this.memory = queue.memory;
  }

  get writableCount(): number {
    return this.count - this.readableCount;
  }

  /** The guest-physical address of segment `index`, the readable ones first. */
  address(index: number): number {
    return this.memory.addressOf(this.offsets[index]!);
  }

  /** A live view of readable segment `index`, from 0. */
  readable(index: number): Uint8Array {
    const offset = this.offsets[index]!;
    return this.memory.bytes.subarray(offset, offset + this.lengths[index]!);
  }

  /** A live view of writable segment `index`, from 0. */
  writable(index: number): Uint8Array {
    return this.readable(this.readableCount + index);
  }

  /** Copies from byte `from` of the readable segments, seen as one stream, to `target`. Returns how many bytes there were: up to target.length. */
  read(from: number, target: Uint8Array): number {
    return this.copy(0, this.readableCount, from, target, false);
  }

  /** Copies `source` to byte `to` of the writable segments, seen as one stream. Returns how many bytes fitted. */
  write(to: number, source: Uint8Array): number {
    return this.copy(this.readableCount, this.count, to, source, true);
  }

  /** Fills `length` bytes from byte `to` of the writable stream with `value`. Returns how many bytes fitted. */
  fill(to: number, length: number, value: number): number {
    let skip = to;
    let done = 0;
    for (let i = this.readableCount; i < this.count && done < length; i++) {
      const size = this.lengths[i]!;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      const part = Math.min(size - skip, length - done);
      const at = this.offsets[i]! + skip;
      this.memory.bytes.fill(value, at, at + part);
      done += part;
      skip = 0;
    }
    return done;
  }

  private copy(first: number, end: number, start: number, buffer: Uint8Array, toGuest: boolean): number {
    const bytes = this.memory.bytes;
    const length = buffer.length;
    let skip = start;
    let done = 0;
    for (let i = first; i < end && done < length; i++) {
      const size = this.lengths[i]!;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      const part = Math.min(size - skip, length - done);
      const at = this.offsets[i]! + skip;
      if (toGuest) bytes.set(done === 0 && part === length ? buffer : buffer.subarray(done, done + part), at);
      else buffer.set(bytes.subarray(at, at + part), done);
      done += part;
      skip = 0;
    }
    return done;
  }
}
