// hot: every request of every virtio device passes here (suites/virtio/queue.bench.ts)
import { assert } from '../../check/assert.ts';
import { Chain } from './chain.ts';
import { RingFeature } from './device.ts';
import type { GuestMemory } from './guest-memory.ts';

/** The largest queue the split ring allows (Virtual I/O Device, "Split Virtqueues"). */
export const MAX_QUEUE_SIZE = 32768;

/**
 * Most segments one request may have, indirect ones included. NON-SPEC: the specification's limit is the queue's size, but Linux
 * fills indirect tables past it; QEMU draws the line here as well.
 */
export const MAX_SEGMENTS = 1024;

const DescriptorFlag = { next: 1, write: 2, indirect: 4 } as const;
const DESCRIPTOR_SIZE = 16;
const MAX_INDIRECT_DESCRIPTORS = 65535;
const AVAIL_NO_INTERRUPT = 1;
const USED_NO_NOTIFY = 1;
/** Flags and index stand before the entries of both rings. */
const RING_HEADER = 4;

/** What a driver did wrong with a queue; the queue stops and the device asks for a reset. */
export const QueueFault = {
  size: 'queue size is zero, not a power of two or too large',
  alignment: 'ring address is misaligned',
  ringAddress: 'ring is not in RAM',
  availIndex: 'available index ran ahead by more than the queue holds',
  head: 'head index beyond the descriptor table',
  headInFlight: 'descriptor chain is already in flight',
  next: 'next index beyond the descriptor table',
  loop: 'descriptor chain loops or is too long',
  bufferAddress: 'buffer is not in RAM',
  totalLength: 'descriptor chain of more than 2^32 bytes',
  emptyBuffer: 'buffer of zero bytes',
  order: 'device-readable buffer after a device-writable one',
  flags: 'unknown descriptor flags',
  indirectLength: 'indirect table of a length that is no multiple of 16, zero or too large',
  indirectNested: 'indirect descriptor inside an indirect table',
  indirectNext: 'indirect descriptor with a next one',
  indirectAddress: 'indirect table is not in RAM',
  indirectFeature: 'indirect descriptor without the feature',
} as const;
export type QueueFault = (typeof QueueFault)[keyof typeof QueueFault];

/** Exact counters of one queue since it was made. */
export interface QueueCounters {
  /** Driver notifications that reached the queue, and those of them that found nothing new. */
  kicks: number;
  emptyKicks: number;
  chains: number;
  descriptors: number;
  indirectTables: number;
  used: number;
  /** Used-buffer notifications sent, and those the driver did not want. */
  notifications: number;
  suppressed: number;
  faults: number;
  /** Chains a device gave back after a reset had taken them away. */
  stale: number;
}

/** The transport's side of a queue. */
export interface QueueOwner {
  /** Used buffers are there and the driver wants to know. */
  notifyDriver(queue: number): void;
  needsReset(reason: string): void;
}

/**
 * The device's side of a split virtqueue (Virtual I/O Device, "Split Virtqueues"). Everything the driver wrote is checked when it is
 * read and read only once; a violation stops the queue for good (until reset) and asks for a device reset, nothing throws.
 */
export class SplitQueue {
  readonly index: number = 0;
  readonly maxSize: number = 0;
  readonly memory: GuestMemory;
  /** `memory.view`, one load nearer: after a copy that emptied the first-level cache each takes its time. [measured] */
  readonly view: DataView;
  /** What the driver configured; addresses are guest-physical. Transports write these while the queue is not ready. */
  size = 0;
  descriptorTable = 0;
  availRing = 0;
  usedRing = 0;
  ready = false;
  /** Why the queue stopped. */
  fault: string | undefined = undefined;
  /** Chains the device holds. */
  inFlight = 0;
  readonly counters: QueueCounters;

  private readonly owner: QueueOwner;
  private chains: (Chain | undefined)[] = [];
  /** Offsets in memory.bytes. */
  private tableAt = 0;
  private availAt = 0;
  private usedAt = 0;
  private mask = 0;
  private running = false;
  private indirect = false;
  private eventIndex = false;
  /** Free-running 16-bit indices: the driver's as last read, the next to take, the next to use, the used index last told about. */
  private availSeen = 0;
  private nextAvail = 0;
  private nextUsed = 0;
  private toldUsed = 0;

  /** `maxSize` is a power of two up to MAX_QUEUE_SIZE. */
  constructor(index: number, maxSize: number, memory: GuestMemory, owner: QueueOwner) {
    assert(isQueueSize(maxSize, MAX_QUEUE_SIZE), 'a device declares queue sizes that are powers of two');
    this.index = index;
    this.maxSize = maxSize;
    this.size = maxSize;
    this.memory = memory;
    this.view = memory.view;
    this.owner = owner;
    this.counters = {
      kicks: 0,
      emptyKicks: 0,
      chains: 0,
      descriptors: 0,
      indirectTables: 0,
      used: 0,
      notifications: 0,
      suppressed: 0,
      faults: 0,
      stale: 0,
    };
  }

  /** The driver enables the queue: checks its configuration and starts. `features` are the negotiated ones. False, and a fault, if it is wrong. */
  enable(features: bigint): boolean {
    const { memory, size } = this;
    if (!isQueueSize(size, this.maxSize)) return this.fail(QueueFault.size);
    if (this.descriptorTable % 16 !== 0 || this.availRing % 2 !== 0 || this.usedRing % 4 !== 0) {
      return this.fail(QueueFault.alignment);
    }
    // Both rings end with the field of the event index.
    this.tableAt = integer(memory.offset(this.descriptorTable, DESCRIPTOR_SIZE * size));
    this.availAt = integer(memory.offset(this.availRing, RING_HEADER + 2 * size + 2));
    this.usedAt = integer(memory.offset(this.usedRing, RING_HEADER + 8 * size + 2));
    if (this.tableAt < 0 || this.availAt < 0 || this.usedAt < 0) return this.fail(QueueFault.ringAddress);
    this.mask = size - 1;
    this.chains = Array.from({ length: size }, () => undefined);
    this.indirect = (features & RingFeature.indirectDescriptors) !== 0n;
    this.eventIndex = (features & RingFeature.eventIndex) !== 0n;
    this.availSeen = 0;
    this.nextAvail = 0;
    this.nextUsed = 0;
    this.toldUsed = 0;
    this.ready = true;
    this.running = true;
    return true;
  }

  /** Back to the state after power-on. Chains in flight are gone: pushing one later is ignored. */
  reset(): void {
    this.size = this.maxSize;
    this.descriptorTable = 0;
    this.availRing = 0;
    this.usedRing = 0;
    this.ready = false;
    this.running = false;
    this.fault = undefined;
    this.inFlight = 0;
    for (const chain of this.chains) if (chain !== undefined) chain.queue = undefined;
    this.chains = [];
  }

  /** The next chain the driver made available, or undefined: none, not ready, or stopped by a fault. Work per call is bounded by MAX_SEGMENTS + size. */
  pop(): Chain | undefined {
    if (!this.running) return undefined;
    if (this.nextAvail === this.availSeen && !this.fetchAvail()) return undefined;
    const slot = this.availAt + RING_HEADER + 2 * (this.nextAvail & this.mask);
    const head = this.view.getUint16(slot, true);
    if (head >= this.size) return this.failChain(QueueFault.head);
    const chain = (this.chains[head] ??= new Chain(head, this));
    if (chain.inFlight) return this.failChain(QueueFault.headInFlight);
    this.nextAvail = (this.nextAvail + 1) & 0xffff;
    const fault = this.walk(chain);
    if (fault !== undefined) return this.failChain(fault);
    chain.inFlight = true;
    this.inFlight++;
    this.counters.chains++;
    return chain;
  }

  /** Whether the driver has made buffers available that were not popped. Does not ask for notifications. */
  get pending(): boolean {
    if (!this.running) return false;
    return (
      this.nextAvail !== this.availSeen ||
      Atomics.load(this.memory.halfWords, (this.availAt >>> 1) + 1) !== this.nextAvail
    );
  }

  /** Gives a chain back; `written` bytes of its writable segments, from the first on, were written. Notifies the driver if it wants that. */
  push(chain: Chain, written: number): void {
    this.add(chain, written);
    this.signal();
  }

  /** Gives a chain back as `push` does but leaves telling the driver to `signal`: for several chains at once. */
  add(chain: Chain, written: number): void {
    if (chain.queue !== this) {
      this.counters.stale++;
      return;
    }
    assert(chain.inFlight, 'a chain is given back once');
    assert(written >= 0 && written <= chain.writableLength, 'no more is written than the chain can take');
    chain.inFlight = false;
    this.inFlight--;
    this.counters.used++;
    if (!this.running) return;
    const { memory, view } = this;
    if (memory.listens && written > 0) this.markWritten(chain, written);
    const entry = this.usedAt + RING_HEADER + 8 * (this.nextUsed & this.mask);
    view.setUint32(entry, chain.head, true);
    view.setUint32(entry + 4, written, true);
    memory.writtenAt(entry, 8);
    this.nextUsed = (this.nextUsed + 1) & 0xffff;
  }

  /** Lets the driver see the chains added, and tells it about them unless it asked not to be told. */
  signal(): void {
    if (!this.running || this.nextUsed === this.toldUsed) return;
    this.publish();
    const halves = this.memory.halfWords;
    let wanted: boolean;
    if (this.eventIndex) {
      // Whether the index the driver waits for lies among those added since (Virtual I/O Device, "Used Buffer Notification Suppression").
      const usedEvent = Atomics.load(halves, (this.availAt >>> 1) + 2 + this.size);
      const added = (this.nextUsed - this.toldUsed) & 0xffff;
      wanted = ((this.nextUsed - usedEvent - 1) & 0xffff) < added;
    } else {
      wanted = (Atomics.load(halves, this.availAt >>> 1) & AVAIL_NO_INTERRUPT) === 0;
    }
    this.toldUsed = this.nextUsed;
    if (!wanted) {
      this.counters.suppressed++;
      return;
    }
    this.counters.notifications++;
    this.owner.notifyDriver(this.index);
  }

  /** The device met a request it cannot even answer: the queue stops as it does for a violation of the ring. `reason` is for people. */
  refuse(reason: string): void {
    if (this.running) this.fail(reason);
  }

  /**
   * Whether the driver should notify the device of new buffers; a device that is going to look anyway says no. With the event index
   * the driver is asked again by the `pop` that finds nothing. A device that says yes again must pop until nothing is left.
   */
  wantKicks(wanted: boolean): void {
    if (!this.running || this.eventIndex) return;
    Atomics.store(this.memory.halfWords, this.usedAt >>> 1, wanted ? 0 : USED_NO_NOTIFY);
    this.memory.writtenAt(this.usedAt, 2);
  }

  /** Called by the transport for each driver notification. */
  kicked(): void {
    this.counters.kicks++;
    if (!this.pending) this.counters.emptyKicks++;
  }

  checkInvariants(): void {
    let held = 0;
    for (const chain of this.chains) {
      if (chain === undefined) continue;
      assert(chain.readableCount <= chain.count && chain.count <= MAX_SEGMENTS + this.size, 'a chain is bounded');
      if (chain.inFlight) held++;
    }
    assert(held === this.inFlight, 'chains in flight are counted');
    assert(!this.running || (this.ready && this.fault === undefined), 'a running queue is ready and has no fault');
    assert(!this.running || this.inFlight <= this.size, 'no more chains in flight than the queue holds');
  }

  /** Reads the driver's index; false if there is nothing new or it is impossible. */
  private fetchAvail(): boolean {
    const halves = this.memory.halfWords;
    const at = (this.availAt >>> 1) + 1;
    let seen = Atomics.load(halves, at);
    if (seen === this.nextAvail) {
      if (!this.eventIndex) return false;
      // Ask to be told about the next one, then look again: the driver may have added it before it saw the request.
      const event = this.usedAt + RING_HEADER + 8 * this.size;
      Atomics.store(halves, event >>> 1, this.nextAvail);
      this.memory.writtenAt(event, 2);
      seen = Atomics.load(halves, at);
      if (seen === this.nextAvail) return false;
    }
    if (((seen - this.nextAvail) & 0xffff) > this.size) return this.fail(QueueFault.availIndex);
    this.availSeen = seen;
    return true;
  }

  /** Reads the descriptors of `chain.head` into `chain`. Returns what is wrong with them. */
  private walk(chain: Chain): QueueFault | undefined {
    const { memory, view } = this;
    let tableAt = this.tableAt;
    let entries = this.size;
    let steps = entries;
    let index = chain.head;
    let inTable = false;
    let count = 0;
    let readableCount = 0;
    let readableLength = 0;
    let writableLength = 0;
    let end = 0;
    for (;;) {
      if (steps-- === 0) return QueueFault.loop;
      this.counters.descriptors++;
      // As 32-bit integers: addresses in double precision, and back to offsets, were half of this function's time. [measured]
      const at = tableAt + DESCRIPTOR_SIZE * index;
      const low = view.getInt32(at, true);
      const high = view.getInt32(at + 4, true);
      const length = view.getInt32(at + 8, true);
      const rest = view.getInt32(at + 12, true);
      const flags = rest & 0xffff;
      const next = rest >>> 16;
      if ((flags & DescriptorFlag.indirect) !== 0) {
        const fault = this.checkIndirect(flags, length >>> 0, inTable);
        if (fault !== undefined) return fault;
        tableAt = memory.offsetOfWords(low, high, length);
        if (tableAt < 0) return QueueFault.indirectAddress;
        this.counters.indirectTables++;
        inTable = true;
        entries = length / DESCRIPTOR_SIZE;
        steps = Math.min(entries, MAX_SEGMENTS);
        index = 0;
        continue;
      }
      if (flags > 3) return QueueFault.flags;
      if (length === 0) return QueueFault.emptyBuffer;
      const offset = memory.offsetOfWords(low, high, length);
      if (offset < 0) return QueueFault.bufferAddress;
      const size = length >>> 0;
      chain.offsets[count] = offset;
      chain.lengths[count] = size;
      end = offset + size;
      count++;
      if ((flags & DescriptorFlag.write) !== 0) {
        writableLength += size;
      } else {
        if (writableLength !== 0) return QueueFault.order;
        readableLength += size;
        readableCount = count;
      }
      if ((flags & DescriptorFlag.next) === 0) break;
      if (next >= entries) return QueueFault.next;
      index = next;
    }
    const total = readableLength + writableLength;
    // The first comparison, of integers, settles it but for a guest that tries.
    if (total > 0x7fff_ffff && total > 4294967296) return QueueFault.totalLength;
    chain.readableCount = readableCount;
    chain.count = count;
    chain.readableLength = readableLength;
    chain.writableLength = writableLength;
    chain.end = end;
    return undefined;
  }

  private checkIndirect(flags: number, length: number, inTable: boolean): QueueFault | undefined {
    if (!this.indirect) return QueueFault.indirectFeature;
    if (inTable) return QueueFault.indirectNested;
    if ((flags & DescriptorFlag.next) !== 0) return QueueFault.indirectNext;
    if (flags > 7) return QueueFault.flags;
    if (length === 0 || length % DESCRIPTOR_SIZE !== 0 || length > MAX_INDIRECT_DESCRIPTORS * DESCRIPTOR_SIZE) {
      return QueueFault.indirectLength;
    }
    return undefined;
  }

  /**
   * The used index for all chains added: once a batch, for an atomic store waits until all that was copied before is in the cache. The entries
   * must be there before the index says so.
   */
  private publish(): void {
    Atomics.store(this.memory.halfWords, (this.usedAt >>> 1) + 1, this.nextUsed);
    this.memory.writtenAt(this.usedAt + 2, 2);
  }

  private markWritten(chain: Chain, written: number): void {
    let left = written;
    for (let i = chain.readableCount; left > 0; i++) {
      const part = Math.min(left, chain.lengths[i]!);
      this.memory.writtenAt(chain.offsets[i]!, part);
      left -= part;
    }
  }

  private failChain(fault: QueueFault): undefined {
    this.fail(fault);
    return undefined;
  }

  private fail(fault: string): false {
    if (this.running && this.nextUsed !== this.toldUsed) this.publish();
    this.fault = fault;
    this.running = false;
    this.counters.faults++;
    this.owner.needsReset(`queue ${this.index}: ${fault}`);
    return false;
  }
}

function isQueueSize(size: number, limit: number): boolean {
  return size > 0 && size <= limit && (size & (size - 1)) === 0;
}

/** `offset` in the representation with which V8 computes in integers, if it fits: one that comes of addresses is a double. */
function integer(offset: number): number {
  return offset <= 0x7fff_ffff ? offset | 0 : offset;
}
