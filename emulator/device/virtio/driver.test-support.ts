/** A scripted guest driver for tests, fuzzing and benchmarks: builds rings in guest memory and drives a device through its registers. */
import { assert } from '../../check/assert.ts';
import { AlarmClock } from '../clock.ts';
import { DeviceId, Status } from './device.ts';
import type { VirtioDevice, VirtioHost } from './device.ts';
import { mmioAccess, pciAccess } from './driver-access.test-support.ts';
import type { DriverAccess } from './driver-access.test-support.ts';
import { GuestMemory } from './guest-memory.ts';

export const DescriptorFlag = { next: 1, write: 2, indirect: 4 } as const;

/** Where the test machine's RAM lies: two regions side by side in guest addresses, apart in the host's bytes. */
export const RAM = { address: 0x8000_0000, size: 0x80_0000 } as const;
export const SECOND_RAM = { address: RAM.address + RAM.size, size: 0x1_0000 } as const;
const RAM_OFFSET = 0x4000;
const SECOND_RAM_OFFSET = RAM_OFFSET + RAM.size + 0x1000;

/** `pci` uses INTx, `pci-msix` message-signalled interrupts. */
export type TransportName = 'mmio' | 'pci' | 'pci-msix';
export const TRANSPORTS: readonly TransportName[] = ['mmio', 'pci', 'pci-msix'];

/** A buffer of a request. */
export interface Segment {
  readonly address: number | bigint;
  readonly length: number;
  readonly write: boolean;
}

export interface Descriptor {
  readonly address: number | bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** A device that does nothing of its own accord: its queues are popped and pushed from outside. */
export class OpenDevice implements VirtioDevice {
  readonly name = 'open';
  readonly id = DeviceId.entropy;
  readonly features = 0n;
  readonly queueSizes: readonly number[];
  readonly config = new Uint8Array(0);
  host: VirtioHost | undefined = undefined;
  notified = 0;

  constructor(queueSizes: readonly number[]) {
    this.queueSizes = queueSizes;
  }

  start(host: VirtioHost): void {
    this.host = host;
  }

  notify(): void {
    this.notified++;
  }

  reset(): void {
    this.host = undefined;
  }
}

/** Guest memory, a clock and one device behind a transport. The device is made with the clock it is to use. */
export class TestMachine {
  readonly buffer: ArrayBuffer;
  readonly memory: GuestMemory;
  readonly clock: AlarmClock;
  readonly device: VirtioDevice;
  readonly driver: TestDriver;
  /** What the memory's listener was told: guest address and length. */
  readonly written: { address: number; length: number }[] = [];
  /** Called inside each such telling: what another processor might do at that moment. */
  onWritten: (address: number) => void = () => {};
  private ticks = 0;

  constructor(transport: TransportName, create: (clock: AlarmClock) => VirtioDevice, recordWrites = false) {
    this.buffer = new ArrayBuffer(SECOND_RAM_OFFSET + SECOND_RAM.size + 0x1000);
    this.memory = new GuestMemory(
      this.buffer,
      [
        { ...RAM, offset: RAM_OFFSET },
        { ...SECOND_RAM, offset: SECOND_RAM_OFFSET },
      ],
      recordWrites
        ? {
            written: (address, length) => {
              this.written.push({ address, length });
              this.onWritten(address);
            },
          }
        : {},
    );
    this.clock = new AlarmClock(1_000_000_000, () => this.ticks);
    this.device = create(this.clock);
    const access =
      transport === 'mmio'
        ? mmioAccess(this.device, this.memory)
        : pciAccess(this.device, this.memory, transport === 'pci-msix');
    this.driver = new TestDriver(access, this.memory);
  }

  /** Lets time pass until no alarm is set; fails when that takes more than `limit` looks at the clock. */
  settle(limit = 10_000): void {
    for (let i = 0; ; i++) {
      const deadline = this.clock.nextDeadline();
      if (deadline === Infinity) return;
      assert(i < limit, 'the device comes to rest');
      this.ticks = Math.max(this.ticks + 1, deadline);
      this.clock.poll();
    }
  }

  /** Lets `ticks` pass. */
  advance(ticks: number): void {
    this.ticks += ticks;
    this.clock.poll();
  }

  /** Bytes outside the guest's RAM: a device that touched one has escaped. */
  checkConfinement(): void {
    const gaps: readonly (readonly [start: number, end: number])[] = [
      [0, RAM_OFFSET],
      [RAM_OFFSET + RAM.size, SECOND_RAM_OFFSET],
      [SECOND_RAM_OFFSET + SECOND_RAM.size, this.buffer.byteLength],
    ];
    for (const [start, end] of gaps) {
      const outside = Buffer.from(this.buffer, start, end - start);
      assert(outside.equals(Buffer.alloc(end - start)), 'a device writes only to RAM');
    }
  }
}

/** The driver's side of a device. */
export class TestDriver {
  readonly access: DriverAccess;
  readonly memory: GuestMemory;
  queues: TestQueue[] = [];
  /** Where the next allocation comes from. */
  private free: number = RAM.address;

  constructor(access: DriverAccess, memory: GuestMemory) {
    this.access = access;
    this.memory = memory;
  }

  get status(): number {
    return this.access.readStatus();
  }

  get needsReset(): boolean {
    return (this.status & Status.needsReset) !== 0;
  }

  get interrupts(): number {
    return this.access.interrupts();
  }

  /** Resets the device, negotiates `wanted` of what is on offer, sets all queues up with up to `queueSize` entries, and starts. */
  start(wanted = 0xffff_ffff_ffff_ffffn, queueSize = 64): void {
    this.negotiate(wanted);
    this.setUpQueues(queueSize);
    this.access.writeStatus(Status.acknowledge | Status.driver | Status.featuresOk | Status.driverOk);
    assert(this.status === (15 as number), 'a well-behaved driver starts the device');
  }

  /** Up to FEATURES_OK. Frees all allocations. */
  negotiate(wanted = 0xffff_ffff_ffff_ffffn): bigint {
    const { access } = this;
    this.free = RAM.address;
    this.queues = [];
    access.writeStatus(0);
    access.writeStatus(Status.acknowledge);
    access.writeStatus(Status.acknowledge | Status.driver);
    const offered = BigInt(access.readFeatures(0)) | (BigInt(access.readFeatures(1)) << 32n);
    const features = offered & wanted;
    access.writeFeatures(0, Number(features & 0xffff_ffffn));
    access.writeFeatures(1, Number(features >> 32n));
    access.writeStatus(Status.acknowledge | Status.driver | Status.featuresOk);
    return features;
  }

  /** Sets up and enables every queue with up to `queueSize` entries; `change` may give one other values than its own. */
  setUpQueues(queueSize = 64, change: (queue: TestQueue) => Partial<QueueSetting> = () => ({}), enable = true): void {
    const { access } = this;
    for (let index = 0; access.queueSizeMax(index) > 0; index++) {
      const queue = new TestQueue(this, index, Math.min(queueSize, access.queueSizeMax(index)));
      const { size, table, avail, used } = { ...settingOf(queue), ...change(queue) };
      access.setQueue(index, size, table, avail, used);
      if (enable) access.enableQueue(index);
      this.queues.push(queue);
    }
  }

  /** `length` bytes of guest RAM, filled with zeroes. */
  allocate(length: number, alignment = 16): number {
    const address = Math.ceil(this.free / alignment) * alignment;
    this.free = address + length;
    assert(this.free <= RAM.address + RAM.size, 'the test machine has room');
    this.bytes(address, length).fill(0);
    return address;
  }

  bytes(address: number, length: number): Uint8Array {
    const slice = this.memory.slice(address, length);
    assert(slice !== undefined, 'the driver uses RAM');
    return slice;
  }

  /** A buffer the device may read, with `content`. */
  readable(content: Uint8Array): Segment {
    const address = this.allocate(content.length, 1);
    this.bytes(address, content.length).set(content);
    return { address, length: content.length, write: false };
  }

  /** A buffer the device may write. */
  writable(length: number): Segment {
    return { address: this.allocate(length, 1), length, write: true };
  }

  contents(segment: Segment): Uint8Array {
    return this.bytes(Number(segment.address), segment.length);
  }
}

/** What a driver tells the device about a queue. */
export interface QueueSetting {
  readonly size: number;
  readonly table: number | bigint;
  readonly avail: number | bigint;
  readonly used: number | bigint;
}

const settingOf = ({ size, table, avail, used }: TestQueue): QueueSetting => ({ size, table, avail, used });

/** The driver's side of a split virtqueue. Nothing is checked: tests write nonsense through it. */
export class TestQueue {
  readonly index: number;
  readonly size: number;
  readonly table: number;
  readonly avail: number;
  readonly used: number;
  private readonly driver: TestDriver;
  /** Free-running indices. */
  availIndex = 0;
  usedIndex = 0;
  /** Descriptors handed out round-robin. */
  private nextDescriptor = 0;

  constructor(driver: TestDriver, index: number, size: number) {
    this.driver = driver;
    this.index = index;
    this.size = size;
    this.table = driver.allocate(16 * size, 16);
    this.avail = driver.allocate(6 + 2 * size, 2);
    this.used = driver.allocate(6 + 8 * size, 4);
  }

  writeDescriptor(index: number, { address, length, flags, next }: Descriptor, table = this.table): void {
    const { view } = this.driver.memory;
    const at = this.driver.memory.offset(table + 16 * index, 16);
    view.setBigUint64(at, BigInt.asUintN(64, BigInt(address)), true);
    view.setUint32(at + 8, length, true);
    view.setUint16(at + 12, flags, true);
    view.setUint16(at + 14, next, true);
  }

  /** Describes `segments` and returns the head. Descriptors are reused without asking whether the device is done with them. */
  chain(segments: readonly Segment[]): number {
    const indices = segments.map((_, i) => (this.nextDescriptor + i) % this.size);
    this.nextDescriptor = (this.nextDescriptor + segments.length) % this.size;
    for (const [i, segment] of segments.entries()) {
      const last = i === segments.length - 1;
      const flags = (segment.write ? DescriptorFlag.write : 0) | (last ? 0 : DescriptorFlag.next);
      const { address, length } = segment;
      this.writeDescriptor(indices[i]!, { address, length, flags, next: last ? 0 : indices[i + 1]! });
    }
    return indices[0]!;
  }

  /** As `chain`, by one descriptor of an indirect table. */
  indirectChain(segments: readonly Segment[]): number {
    const table = this.driver.allocate(16 * segments.length);
    for (const [i, { address, length, write }] of segments.entries()) {
      const last = i === segments.length - 1;
      const flags = (write ? DescriptorFlag.write : 0) | (last ? 0 : DescriptorFlag.next);
      this.writeDescriptor(i, { address, length, flags, next: last ? 0 : i + 1 }, table);
    }
    const head = this.nextDescriptor;
    this.nextDescriptor = (head + 1) % this.size;
    const flags = DescriptorFlag.indirect;
    this.writeDescriptor(head, { address: table, length: 16 * segments.length, flags, next: 0 });
    return head;
  }

  /** Adds a head to the available ring. */
  offer(head: number): void {
    this.putHead(head);
    this.setAvailIndex(this.availIndex + 1);
  }

  /** Writes all entries of the ring, `heads` again and again; their number divides the ring's. `setAvailIndex` then offers them at no cost. */
  fillAvail(heads: readonly number[]): void {
    assert(this.size % heads.length === 0 && this.availIndex % this.size === 0, 'the ring repeats');
    for (let slot = 0; slot < this.size; slot++) this.poke16(this.avail + 4 + 2 * slot, heads[slot % heads.length]!);
  }

  /** Writes a ring entry without showing it. */
  putHead(head: number): void {
    this.poke16(this.avail + 4 + 2 * (this.availIndex % this.size), head);
  }

  setAvailIndex(index: number): void {
    this.availIndex = index & 0xffff;
    this.poke16(this.avail + 2, this.availIndex);
  }

  set availFlags(flags: number) {
    this.poke16(this.avail, flags);
  }

  set usedEvent(index: number) {
    this.poke16(this.avail + 4 + 2 * this.size, index);
  }

  get availEvent(): number {
    return this.peek16(this.used + 4 + 8 * this.size);
  }

  get usedFlags(): number {
    return this.peek16(this.used);
  }

  kick(): void {
    this.driver.access.notify(this.index);
  }

  /** Describes, offers and notifies. Returns the head. */
  submit(segments: readonly Segment[], indirect = false): number {
    const head = indirect ? this.indirectChain(segments) : this.chain(segments);
    this.offer(head);
    this.kick();
    return head;
  }

  /** What the device gave back since the last call. */
  takeUsed(): { head: number; length: number }[] {
    const { view } = this.driver.memory;
    const taken: { head: number; length: number }[] = [];
    while (this.usedIndex !== this.peek16(this.used + 2)) {
      const at = this.driver.memory.offset(this.used + 4 + 8 * (this.usedIndex % this.size), 8);
      taken.push({ head: view.getUint32(at, true), length: view.getUint32(at + 4, true) });
      this.usedIndex = (this.usedIndex + 1) & 0xffff;
    }
    return taken;
  }

  private poke16(address: number, value: number): void {
    this.driver.memory.view.setUint16(this.driver.memory.offset(address, 2), value & 0xffff, true);
  }

  private peek16(address: number): number {
    return this.driver.memory.view.getUint16(this.driver.memory.offset(address, 2), true);
  }
}
