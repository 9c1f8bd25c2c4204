/**
 * What a hostile or broken driver does to a virtqueue, as a table of classes, and the trial that holds a device to it: it ends in
 * DEVICE_NEEDS_RESET, answers an error or refuses; its other queues, the host and the memory around the guest's RAM are unharmed; after
 * a reset it works. A device joins by a `Subject` in a test file of its own.
 */
import { assert } from '../../check/assert.ts';
import type { Clock } from '../device.ts';
import { RingFeature, Status } from './device.ts';
import type { VirtioDevice } from './device.ts';
import { DescriptorFlag, RAM, SECOND_RAM, TestMachine, TRANSPORTS } from './driver.test-support.ts';
import type { QueueSetting, Segment, TestDriver, TestQueue, TransportName } from './driver.test-support.ts';

/** A device on trial. */
export interface Subject {
  readonly name: string;
  create(clock: Clock): VirtioDevice;
  readonly queues: readonly SubjectQueue[];
}

export interface SubjectQueue {
  /** The buffers of a request that the device answers. */
  request(driver: TestDriver): readonly Segment[];
  /** Makes the device use the queue where a notification alone does not: a packet arrives, a statistic is asked for. */
  stimulate?(device: VirtioDevice): void;
  /** How many requests the device takes at once where that is less than the queue holds. */
  readonly depth?: number;
  /** Requests whose ring is in order but which this device cannot serve: classes 31 to 39 and the like. */
  readonly malformed?: readonly MalformedRequest[];
}

export interface MalformedRequest {
  readonly number: number;
  readonly name: string;
  request(driver: TestDriver): readonly Segment[];
  /** `status`: answered, with this as the last byte of the last buffer; `answered`: given back, with so many bytes written if a number is given. */
  readonly expect: 'needs-reset' | { readonly status: number } | { readonly answered: number | 'any' };
}

/** `refused`: the write had no effect; `works`: nothing wrong with it at all; `survives`: either is right. */
type Expectation = 'needs-reset' | 'refused' | 'works' | 'survives';

export interface HostileClass {
  readonly number: number;
  readonly name: string;
  readonly expect: Expectation;
  /** The driver has not started the device yet; by default it has. */
  readonly early?: boolean;
  /** Features the driver takes; by default all. */
  readonly features?: bigint;
  act(trial: Trial): void;
}

/** One class tried on one queue of one device. */
export class Trial {
  readonly machine: TestMachine;
  readonly driver: TestDriver;
  readonly index: number;
  readonly subject: Subject;

  constructor(subject: Subject, transport: TransportName, index: number) {
    this.machine = new TestMachine(transport, (clock) => subject.create(clock));
    this.driver = this.machine.driver;
    this.subject = subject;
    this.index = index;
  }

  get queue(): TestQueue {
    return this.driver.queues[this.index]!;
  }

  request(): readonly Segment[] {
    return this.subject.queues[this.index]!.request(this.driver);
  }

  /** Offers a chain of one descriptor as it is. */
  offerDescriptor(address: number | bigint, length: number, flags = 0, next = 0): void {
    this.queue.writeDescriptor(0, { address, length, flags, next });
    this.offer(0);
  }

  offer(head: number): void {
    this.queue.offer(head);
    this.queue.kick();
  }

  /** Offers a valid request through an indirect table, changed by `change`, which may answer the descriptor that points to it. */
  offerIndirect(
    change: (table: number, entries: number) => Partial<{ address: number; length: number; flags: number }>,
  ): void {
    const { queue, driver } = this;
    const segments = this.request();
    const head = queue.indirectChain(segments);
    const table = Number(driver.memory.view.getBigUint64(driver.memory.offset(queue.table + 16 * head, 8), true));
    const descriptor = { address: table, length: 16 * segments.length, flags: DescriptorFlag.indirect, next: 0 };
    queue.writeDescriptor(head, { ...descriptor, ...change(table, segments.length) });
    this.offer(head);
  }

  /** Sets all queues up, the one on trial as `change` says, and starts. */
  setUp(change: (queue: TestQueue) => Partial<QueueSetting>): void {
    const { driver } = this;
    driver.negotiate();
    const { access } = driver;
    driver.setUpQueues(64, (queue) => (queue.index === this.index ? change(queue) : {}));
    access.writeStatus(Status.acknowledge | Status.driver | Status.featuresOk | Status.driverOk);
    this.offer(this.queue.chain(this.request()));
  }

  /** Lets the device do all it wants to. */
  settle(index = this.index): void {
    this.machine.settle();
    this.subject.queues[index]!.stimulate?.(this.machine.device);
    this.machine.settle();
  }

  /** Whether queue `index` answers a valid request. */
  answers(index: number): boolean {
    const queue = this.driver.queues[index]!;
    queue.takeUsed();
    queue.submit(this.subject.queues[index]!.request(this.driver));
    this.settle(index);
    return queue.takeUsed().length > 0;
  }
}

/** Runs `hostile` on every queue of `subject` over every transport. Throws AssertionFailure with the place where it does not hold. */
export function tryClass(subject: Subject, hostile: HostileClass): void {
  for (const transport of TRANSPORTS) {
    for (const index of subject.queues.keys()) {
      const trial = new Trial(subject, transport, index);
      const where = `${subject.name} over ${transport}, queue ${index}: class ${hostile.number}`;
      if (hostile.early !== true) trial.driver.start(hostile.features);
      hostile.act(trial);
      trial.settle();
      judge(trial, hostile.expect, where);
    }
  }
}

/** Runs a device's own malformed requests, through direct and indirect chains. */
export function tryMalformed(subject: Subject, index: number, malformed: MalformedRequest): void {
  for (const transport of TRANSPORTS) {
    for (const indirect of [false, true]) {
      const trial = new Trial(subject, transport, index);
      const where = `${subject.name} over ${transport}, queue ${index}: ${malformed.name}`;
      trial.driver.start();
      const segments = malformed.request(trial.driver);
      trial.queue.submit(segments, indirect);
      trial.settle();
      const { expect } = malformed;
      if (expect === 'needs-reset') {
        judge(trial, expect, where);
        continue;
      }
      const used = trial.queue.takeUsed();
      assert(used.length === 1, `${where} is answered`);
      if ('status' in expect) {
        const status = trial.driver.contents(segments.at(-1)!).at(-1);
        assert(status === expect.status, `${where} answers status ${status}`);
      } else {
        assert(
          expect.answered === 'any' || used[0]!.length === expect.answered,
          `${where} wrote ${used[0]!.length} bytes`,
        );
      }
      judge(trial, 'works', where);
    }
  }
}

function judge(trial: Trial, expect: Expectation, where: string): void {
  const { driver, machine, subject, index } = trial;
  const { state } = driver.access;
  machine.checkConfinement();
  state.checkInvariants();
  const running = (driver.status & Status.driverOk) !== 0;
  if (expect === 'needs-reset') {
    assert(driver.needsReset, `${where} sets DEVICE_NEEDS_RESET`);
    assert(state.reason !== undefined, `${where} gives a reason`);
    // A fault found before DRIVER_OK must not interrupt.
    if (running && state.counters.starts > 0 && trialInterrupted(trial)) {
      assert((driver.access.takeInterruptStatus() & 2) !== 0, `${where} notifies of the configuration`);
    }
  } else if (expect !== 'survives') {
    assert(!driver.needsReset, `${where} is no reason for a reset: ${state.reason}`);
  }
  if (expect === 'refused') assert(state.counters.refused > 0, `${where} is refused`);
  if (expect === 'works') assert(trial.answers(index), `${where} leaves the queue working`);
  if (running) {
    for (const other of subject.queues.keys()) {
      if (other !== index) assert(trial.answers(other), `${where} leaves queue ${other} working`);
    }
  }
  driver.start();
  assert(!driver.needsReset, `${where}: reset recovers`);
  for (const each of subject.queues.keys()) assert(trial.answers(each), `${where}: queue ${each} works after a reset`);
  machine.checkConfinement();
  state.checkInvariants();
}

/** Whether the fault came up after the device was started, so that the driver had to be told. */
function trialInterrupted({ driver, index }: Trial): boolean {
  return driver.access.state.queues[index]!.ready;
}

const OUTSIDE = 0x1000;
const END = SECOND_RAM.address + SECOND_RAM.size;

/** All classes that are about queues as such; those about one device's requests (31 to 39) are in its `Subject`. */
export const HOSTILE_CLASSES: readonly HostileClass[] = [
  setUpClass(1, 'queue size zero', () => ({ size: 0 })),
  setUpClass(2, 'queue size that is not a power of two', () => ({ size: 3 })),
  setUpClass(3, 'queue size above the maximum', () => ({ size: 0x8000 })),
  setUpClass(4, 'misaligned descriptor table', ({ table }) => ({ table: table + 8 })),
  setUpClass(5, 'misaligned available ring', ({ avail }) => ({ avail: avail + 1 })),
  setUpClass(6, 'misaligned used ring', ({ used }) => ({ used: used + 2 })),
  setUpClass(7, 'descriptor table outside RAM', () => ({ table: OUTSIDE })),
  setUpClass(7, 'available ring outside RAM', () => ({ avail: OUTSIDE })),
  setUpClass(7, 'used ring outside RAM', () => ({ used: OUTSIDE })),
  setUpClass(8, 'descriptor table across the end of RAM', () => ({ table: END - 16 })),
  setUpClass(8, 'available ring across two regions', () => ({ avail: SECOND_RAM.address - 4 })),
  setUpClass(8, 'used ring at the end of the address space', () => ({ used: 0xffff_ffff_ffff_fffcn })),
  {
    number: 9,
    name: 'queue used before DRIVER_OK',
    expect: 'refused',
    early: true,
    act(trial) {
      const { driver } = trial;
      driver.negotiate();
      driver.setUpQueues();
      trial.offer(trial.queue.chain(trial.request()));
      trial.settle();
      assert(trial.queue.takeUsed().length === 0 && driver.interrupts === 0, 'nothing is consumed before DRIVER_OK');
    },
  },
  {
    number: 9,
    name: 'queue used that was never enabled',
    expect: 'refused',
    early: true,
    act(trial) {
      const { driver } = trial;
      driver.negotiate();
      driver.setUpQueues(64, undefined, false);
      driver.access.writeStatus(15);
      trial.offer(trial.queue.chain(trial.request()));
      trial.settle();
      assert(trial.queue.takeUsed().length === 0, 'nothing is consumed from a queue that is not enabled');
      driver.access.writeStatus(0);
    },
  },
  {
    number: 10,
    name: 'queue configuration changed after activation',
    expect: 'refused',
    act({ driver, index, queue }) {
      driver.access.setQueue(index, 3, OUTSIDE, OUTSIDE, OUTSIDE);
      driver.access.enableQueue(index);
      const { size, descriptorTable } = driver.access.state.queues[index]!;
      assert(size === queue.size && descriptorTable === queue.table, 'an active queue keeps its configuration');
    },
  },
  {
    number: 11,
    name: 'queue index beyond the last queue',
    expect: 'refused',
    act({ driver }) {
      for (const index of [driver.queues.length, 1000, 0xffff]) {
        driver.access.setQueue(index, 4, RAM.address, RAM.address, RAM.address);
        driver.access.enableQueue(index);
        assert(!driver.access.queueEnabled(index) && driver.access.queueSizeMax(index) === 0, 'there is no such queue');
        driver.access.notify(index);
      }
    },
  },
  {
    number: 12,
    name: 'status bits out of order',
    expect: 'refused',
    early: true,
    act({ driver }) {
      const { access } = driver;
      for (const status of [Status.driverOk, Status.featuresOk, Status.driverOk | Status.driver | Status.acknowledge]) {
        access.writeStatus(0);
        access.writeStatus(status);
        assert(
          (driver.status & (Status.featuresOk | Status.driverOk)) === 0,
          'a bit without those before it is not taken',
        );
      }
    },
  },
  {
    number: 12,
    name: 'features acknowledged anew after FEATURES_OK',
    expect: 'refused',
    act({ driver }) {
      const before = driver.access.state.features;
      driver.access.writeFeatures(0, 0);
      driver.access.writeFeatures(1, 0);
      assert(driver.access.state.features === before, 'negotiated features stay');
    },
  },
  {
    number: 12,
    name: 'features that were not offered, or a legacy driver',
    expect: 'refused',
    early: true,
    act({ driver }) {
      const { access } = driver;
      for (const [low, high] of [
        [0, 0],
        [0x8000_0000, 1],
        [0, 0xffff_ffff],
      ] as const) {
        access.writeStatus(0);
        access.writeStatus(Status.acknowledge);
        access.writeStatus(Status.acknowledge | Status.driver);
        access.writeFeatures(0, low);
        access.writeFeatures(1, high);
        access.writeStatus(Status.acknowledge | Status.driver | Status.featuresOk);
        assert((driver.status & Status.featuresOk) === 0, 'FEATURES_OK is not taken');
      }
    },
  },
  {
    number: 13,
    name: 'write to read-only configuration and past its end',
    expect: 'works',
    act({ driver, machine }) {
      const before = machine.device.config.slice();
      driver.access.writeConfig(0, 4, ~driver.access.readConfig(0, 4) >>> 0);
      driver.access.writeConfig(before.length, 1, 0xff);
      driver.access.writeConfig(0xffc, 4, 0xffff_ffff);
      assert(driver.access.readConfig(0xffc, 4) === 0, 'nothing lies past the configuration');
      assert(
        machine.device.config.every((byte, i) => byte === before[i]),
        'read-only configuration stays',
      );
    },
  },
  {
    number: 14,
    name: 'reset with requests in flight',
    expect: 'works',
    act(trial) {
      const { driver } = trial;
      for (let i = 0; i < 4; i++) trial.offer(trial.queue.chain(trial.request()));
      driver.access.writeStatus(0);
      trial.queue.takeUsed();
      trial.settle();
      assert(trial.queue.takeUsed().length === 0, 'nothing is completed after a reset');
      assert(!driver.access.lineLevel(), 'a reset device does not interrupt');
      driver.start();
    },
  },
  {
    number: 15,
    name: 'notification storm, also for absent queues',
    expect: 'works',
    act({ driver, queue }) {
      for (let i = 0; i < 2000; i++) queue.kick();
      for (let i = 0; i < 2000; i++) driver.access.notify(driver.queues.length + (i % 500));
    },
  },
  chainClass(16, 'available index runs ahead of the queue', ({ queue }) => {
    queue.putHead(0);
    queue.setAvailIndex(queue.availIndex + queue.size + 1);
    queue.kick();
  }),
  chainClass(17, 'head index beyond the table', (trial) => trial.offer(trial.queue.size)),
  chainClass(17, 'largest head index', (trial) => trial.offer(0xffff)),
  {
    // Right if the device is done with the chain before it sees it again, a fault otherwise.
    number: 18,
    name: 'the same head twice',
    expect: 'survives',
    act(trial) {
      const head = trial.queue.chain(trial.request());
      trial.queue.offer(head);
      trial.offer(head);
    },
  },
  {
    number: 19,
    name: 'the available index wraps around',
    expect: 'works',
    features: 0xffff_ffff_ffff_ffffn & ~RingFeature.eventIndex,
    act(trial) {
      const { queue } = trial;
      const segments = trial.request();
      const depth = trial.subject.queues[trial.index]!.depth ?? Math.floor(queue.size / segments.length);
      const heads = Array.from({ length: depth }, () => queue.chain(segments));
      for (let answered = 0; answered <= 65_536; answered += depth) {
        for (const head of heads) queue.offer(head);
        queue.kick();
        let taken = 0;
        for (let tries = 0; tries < depth && taken < depth; tries++) {
          trial.settle();
          taken += queue.takeUsed().length;
        }
        assert(taken === depth, 'every round is answered');
      }
    },
  },
  {
    number: 20,
    name: 'garbage in the event indices',
    expect: 'works',
    act(trial) {
      const { queue } = trial;
      for (const garbage of [0xffff, 0x8000, 0x7fff, 1]) {
        queue.usedEvent = garbage;
        queue.availFlags = garbage;
        assert(trial.answers(trial.index), 'requests are answered whatever the driver waits for');
      }
    },
  },
  chainClass(21, 'next index beyond the table', (trial) => {
    trial.offerDescriptor(RAM.address, 16, DescriptorFlag.next, trial.queue.size);
  }),
  chainClass(22, 'descriptor that is its own next', (trial) => {
    trial.offerDescriptor(RAM.address, 16, DescriptorFlag.next, 0);
  }),
  chainClass(23, 'two descriptors in a loop', (trial) => {
    const next = DescriptorFlag.next | DescriptorFlag.write;
    trial.queue.writeDescriptor(1, { address: RAM.address, length: 16, flags: next, next: 0 });
    trial.offerDescriptor(RAM.address, 16, next, 1);
  }),
  chainClass(24, 'buffer outside RAM, readable', (trial) => trial.offerDescriptor(OUTSIDE, 16)),
  chainClass(24, 'buffer outside RAM, writable', (trial) => trial.offerDescriptor(END, 1, DescriptorFlag.write)),
  chainClass(25, 'buffer at the end of the address space', (trial) => {
    trial.offerDescriptor(0xffff_ffff_ffff_fff0n, 0x20, DescriptorFlag.write);
  }),
  chainClass(25, 'buffer whose address has high bits set', (trial) => {
    trial.offerDescriptor(BigInt(RAM.address) + (1n << 63n), 16);
  }),
  chainClass(26, 'buffer across two regions', (trial) => {
    trial.offerDescriptor(SECOND_RAM.address - 8, 16, DescriptorFlag.write);
  }),
  chainClass(26, 'buffer across the end of RAM', (trial) => trial.offerDescriptor(END - 8, 16)),
  chainClass(26, 'buffer of 2^32 - 1 bytes', (trial) => {
    trial.offerDescriptor(RAM.address, 0xffff_ffff, DescriptorFlag.write);
  }),
  chainClass(27, 'chain of more than 2^32 bytes', (trial) => {
    const count = 2 ** 32 / RAM.size + 1;
    const segment = { address: RAM.address, length: RAM.size, write: true };
    trial.queue.submit(
      Array.from({ length: count }, () => segment),
      true,
    );
  }),
  chainClass(28, 'buffer of zero bytes', (trial) => trial.offerDescriptor(RAM.address, 0)),
  chainClass(28, 'writable buffer of zero bytes', (trial) => {
    trial.offerDescriptor(RAM.address, 0, DescriptorFlag.write);
  }),
  chainClass(29, 'readable buffer after a writable one', (trial) => {
    const { driver } = trial;
    trial.queue.submit([driver.writable(16), driver.readable(new Uint8Array(16)), driver.writable(1)]);
  }),
  chainClass(30, 'unknown descriptor flags', (trial) => trial.offerDescriptor(RAM.address, 16, 8)),
  chainClass(30, 'all descriptor flags', (trial) => trial.offerDescriptor(RAM.address, 16, 0xffff)),
  {
    // A fault for a device that looks later, too late to matter to one that answers at once.
    number: 40,
    name: 'descriptor changed after the notification',
    expect: 'survives',
    act(trial) {
      const head = trial.queue.chain(trial.request());
      trial.offer(head);
      trial.queue.writeDescriptor(head, { address: OUTSIDE, length: 16, flags: 0, next: 0 });
    },
  },
  chainClass(41, 'indirect table of a length that is no multiple of 16', (trial) => {
    trial.offerIndirect((_, entries) => ({ length: 16 * entries + 1 }));
  }),
  chainClass(42, 'indirect table of length zero', (trial) => trial.offerIndirect(() => ({ length: 0 }))),
  chainClass(43, 'indirect table of more than 65535 entries', (trial) => {
    trial.offerIndirect(() => ({ address: RAM.address, length: 16 * 65_536 }));
  }),
  chainClass(44, 'indirect descriptor inside an indirect table', (trial) => {
    trial.offerIndirect((table) => {
      trial.queue.writeDescriptor(0, { address: table, length: 16, flags: DescriptorFlag.indirect, next: 0 }, table);
      return {};
    });
  }),
  chainClass(45, 'indirect descriptor with a next one', (trial) => {
    trial.offerIndirect(() => ({ flags: DescriptorFlag.indirect | DescriptorFlag.next }));
  }),
  chainClass(46, 'indirect table outside RAM', (trial) => trial.offerIndirect(() => ({ address: OUTSIDE }))),
  chainClass(46, 'indirect table across the end of RAM', (trial) => {
    trial.offerIndirect(() => ({ address: END - 8, length: 16 }));
  }),
  chainClass(47, 'loop inside an indirect table', (trial) => {
    trial.offerIndirect((table, entries) => {
      const loop = { address: RAM.address, length: 16, flags: DescriptorFlag.next | DescriptorFlag.write };
      for (let i = 0; i < entries; i++) {
        trial.queue.writeDescriptor(i, { ...loop, next: (i + 1) % entries }, table);
      }
      return {};
    });
  }),
  chainClass(47, 'next index beyond an indirect table', (trial) => {
    trial.offerIndirect((table, entries) => {
      const beyond = { address: RAM.address, length: 16, flags: DescriptorFlag.next, next: entries };
      trial.queue.writeDescriptor(0, beyond, table);
      return {};
    });
  }),
  {
    number: 48,
    name: 'indirect descriptor that was not negotiated',
    expect: 'needs-reset',
    features: 0xffff_ffff_ffff_ffffn & ~RingFeature.indirectDescriptors,
    act: (trial) => trial.offerIndirect(() => ({})),
  },
  {
    // The specification wants this to work: direct descriptors, then one that is indirect ("Indirect Descriptors").
    number: 49,
    name: 'direct descriptors followed by an indirect one',
    expect: 'works',
    act(trial) {
      const { queue, driver } = trial;
      const [first, ...rest] = splitFirst(trial.request());
      const table = driver.allocate(16 * rest.length);
      for (const [i, { address, length, write }] of rest.entries()) {
        const last = i === rest.length - 1;
        const flags = (write ? DescriptorFlag.write : 0) | (last ? 0 : DescriptorFlag.next);
        queue.writeDescriptor(i, { address, length, flags, next: last ? 0 : i + 1 }, table);
      }
      const { address, length, write } = first!;
      const flags = DescriptorFlag.next | (write ? DescriptorFlag.write : 0);
      queue.writeDescriptor(0, { address, length, flags, next: 1 });
      queue.writeDescriptor(1, { address: table, length: 16 * rest.length, flags: DescriptorFlag.indirect, next: 0 });
      trial.offer(0);
      trial.settle();
      assert(queue.takeUsed().length === 1, 'the mixed chain is answered');
    },
  },
  packedClass(50, 'packed ring and its wrap counters, which are not offered'),
  packedClass(51, 'packed ring and its buffer ids, which are not offered'),
];

function setUpClass(number: number, name: string, change: Parameters<Trial['setUp']>[0]): HostileClass {
  return { number, name, expect: 'needs-reset', early: true, act: (trial) => trial.setUp(change) };
}

function chainClass(number: number, name: string, act: (trial: Trial) => void): HostileClass {
  return { number, name, expect: 'needs-reset', act };
}

function packedClass(number: number, name: string): HostileClass {
  return {
    number,
    name,
    expect: 'refused',
    early: true,
    act({ driver }) {
      const packed = 1 << 2;
      const { access } = driver;
      access.writeStatus(0);
      access.writeStatus(Status.acknowledge | Status.driver);
      assert((access.readFeatures(1) & packed) === 0, 'the packed ring is not offered');
      access.writeFeatures(1, 1 | packed);
      access.writeStatus(Status.acknowledge | Status.driver | Status.featuresOk);
      assert((driver.status & Status.featuresOk) === 0, 'nor accepted');
    },
  };
}

/** A request of at least two segments. */
function splitFirst(segments: readonly Segment[]): readonly Segment[] {
  if (segments.length > 1) return segments;
  const { address, length, write } = segments[0]!;
  const half = length >>> 1;
  return [
    { address, length: half, write },
    { address: Number(address) + half, length: length - half, write },
  ];
}
