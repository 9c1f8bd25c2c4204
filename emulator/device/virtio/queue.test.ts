import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssertionFailure } from '../../check/assert.ts';
import type { Chain } from './chain.ts';
import { RingFeature } from './device.ts';
import { DescriptorFlag, OpenDevice, RAM, SECOND_RAM, TestMachine } from './driver.test-support.ts';
import type { Descriptor, QueueSetting, Segment, TestQueue } from './driver.test-support.ts';
import { MAX_SEGMENTS, QueueFault } from './queue.ts';
import type { SplitQueue } from './queue.ts';

const ALL = 0xffff_ffff_ffff_ffffn;
const WITHOUT_EVENTS = ALL & ~RingFeature.eventIndex;

const END = SECOND_RAM.address + SECOND_RAM.size;

interface Bench {
  readonly machine: TestMachine;
  /** The driver's side and the device's. */
  readonly driver: TestQueue;
  readonly queue: SplitQueue;
}

function open(features = ALL, size = 16): Bench {
  const device = new OpenDevice([size]);
  const machine = new TestMachine('mmio', () => device, true);
  machine.driver.start(features, size);
  return { machine, driver: machine.driver.queues[0]!, queue: device.host!.queues[0]! };
}

const headsOf = (taken: readonly { head: number }[]): number[] => taken.map(({ head }) => head);

test('chains come in the order they were offered and go back in any order', () => {
  const { machine, driver, queue } = open();
  const heads = [1, 2, 3].map((length) => driver.chain([machine.driver.writable(length)]));
  for (const head of heads) driver.offer(head);
  const chains = heads.map(() => queue.pop()!);
  assert.equal(queue.pop(), undefined);
  assert.deepEqual(
    chains.map(({ head }) => head),
    heads,
  );
  assert.deepEqual(
    chains.map(({ writableLength }) => writableLength),
    [1, 2, 3],
  );
  queue.push(chains[2]!, 3);
  queue.push(chains[0]!, 0);
  assert.equal(queue.inFlight, 1);
  assert.deepEqual(driver.takeUsed(), [
    { head: heads[2], length: 3 },
    { head: heads[0], length: 0 },
  ]);
  queue.checkInvariants();
});

test('a chain shows its segments as live bytes and as two streams', () => {
  const { machine, driver, queue } = open();
  const guest = machine.driver;
  const segments = [
    guest.readable(Uint8Array.of(1, 2, 3)),
    guest.readable(Uint8Array.of(4)),
    guest.writable(2),
    guest.writable(5),
  ];
  driver.offer(driver.chain(segments));
  const chain = queue.pop()!;
  assert.deepEqual(
    [chain.readableCount, chain.writableCount, chain.readableLength, chain.writableLength],
    [2, 2, 4, 7],
  );
  assert.deepEqual([...chain.readable(1)], [4]);
  guest.contents(segments[1]!)[0] = 44;
  assert.deepEqual([...chain.readable(1)], [44]);
  const three = new Uint8Array(3);
  assert.equal(chain.read(2, three), 2);
  assert.deepEqual([...three], [3, 44, 0]);
  assert.equal(chain.write(1, Uint8Array.of(7, 8, 9)), 3);
  assert.deepEqual([...guest.contents(segments[2]!), ...guest.contents(segments[3]!)], [0, 7, 8, 9, 0, 0, 0]);
  assert.equal(chain.write(6, Uint8Array.of(1, 2)), 1);
  assert.equal(chain.fill(0, 100, 3), 7);
  assert.equal(chain.writable(1).length, 5);
});

test('streams copy as one array would, however the segments are cut', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(lengths, lengths, fc.nat(50), fc.nat(50), (readable, writable, start, length) => {
      const { machine, driver, queue } = open();
      const guest = machine.driver;
      let next = 1;
      const inputs = readable.map((size) => guest.readable(Uint8Array.from({ length: size }, () => next++)));
      const outputs = writable.map((size) => guest.writable(size));
      driver.offer(driver.chain([...inputs, ...outputs]));
      const chain = queue.pop()!;
      const flat = inputs.flatMap((segment) => [...guest.contents(segment)]);
      const into = new Uint8Array(length);
      assert.equal(chain.read(start, into), Math.max(0, Math.min(length, flat.length - start)));
      assert.deepEqual(
        [...into],
        Array.from({ length }, (_, i) => flat[start + i] ?? 0),
      );
      const source = Uint8Array.from({ length }, (_, i) => 101 + i);
      const expected = new Uint8Array(chain.writableLength);
      const fits = Math.max(0, Math.min(length, expected.length - start));
      expected.set(source.subarray(0, fits), Math.min(start, expected.length));
      assert.equal(chain.write(start, source), fits);
      assert.deepEqual(
        outputs.flatMap((segment) => [...guest.contents(segment)]),
        [...expected],
      );
    }),
  );
});

test('descriptors are read once: what the guest writes after the pop changes no segment', () => {
  const { machine, driver, queue } = open();
  const head = driver.chain([machine.driver.writable(64)]);
  driver.offer(head);
  const chain = queue.pop()!;
  const before = [chain.address(0), chain.offsets[0], chain.lengths[0]];
  driver.writeDescriptor(head, { address: 0, length: 0xffff_ffff, flags: 7, next: 9 });
  queue.push(chain, 64);
  assert.deepEqual([chain.address(0), chain.offsets[0], chain.lengths[0]], before);
  assert.deepEqual(driver.takeUsed(), [{ head, length: 64 }]);
});

test('a head that is in flight cannot be offered again', () => {
  const { machine, driver, queue } = open();
  const head = driver.chain([machine.driver.writable(1)]);
  driver.offer(head);
  driver.offer(head);
  assert.ok(queue.pop());
  assert.equal(queue.pop(), undefined);
  assert.equal(queue.fault, QueueFault.headInFlight);
  assert.equal(queue.inFlight, 1);
});

test('a chain popped before a reset is ignored when it comes back; one pushed twice is our mistake', () => {
  const { machine, driver, queue } = open();
  driver.offer(driver.chain([machine.driver.writable(1)]));
  const old = queue.pop()!;
  machine.driver.start(ALL, 16);
  const fresh = machine.driver.queues[0]!;
  queue.push(old, 1);
  assert.deepEqual(fresh.takeUsed(), []);
  assert.equal(queue.counters.stale, 1);
  fresh.offer(fresh.chain([machine.driver.writable(1)]));
  const chain = queue.pop()!;
  queue.push(chain, 1);
  assert.throws(() => queue.push(chain, 1), AssertionFailure);
});

test('a stopped queue pops nothing, completes nothing and stays stopped', () => {
  const { machine, driver, queue } = open();
  driver.offer(driver.chain([machine.driver.writable(1)]));
  const chain = queue.pop()!;
  queue.refuse('the device says so');
  driver.offer(driver.chain([machine.driver.writable(1)]));
  assert.equal(queue.pop(), undefined);
  assert.equal(queue.pending, false);
  queue.push(chain, 1);
  assert.deepEqual(driver.takeUsed(), []);
  assert.equal(machine.driver.needsReset, true);
  assert.equal(machine.driver.access.state.reason, 'queue 0: the device says so');
  machine.driver.start(ALL, 16);
  assert.equal(queue.fault, undefined);
});

test('without the event index the flag alone decides about notifications', () => {
  const { machine, driver, queue } = open(WITHOUT_EVENTS);
  const serve = (): number => {
    const before = queue.counters.notifications;
    driver.offer(driver.chain([machine.driver.writable(1)]));
    queue.push(queue.pop()!, 1);
    return queue.counters.notifications - before;
  };
  assert.equal(serve(), 1);
  driver.availFlags = 1;
  assert.equal(serve(), 0);
  assert.equal(queue.counters.suppressed, 1);
  queue.wantKicks(false);
  assert.equal(driver.usedFlags, 1);
  queue.wantKicks(true);
  assert.equal(driver.usedFlags, 0);
});

test('several chains added together are told about once', () => {
  const { machine, driver, queue } = open(WITHOUT_EVENTS);
  for (let i = 0; i < 5; i++) driver.offer(driver.chain([machine.driver.writable(1)]));
  for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.add(chain, 1);
  assert.equal(queue.counters.notifications, 0);
  assert.equal(driver.takeUsed().length, 0, 'nor are they there to be seen before');
  queue.signal();
  queue.signal();
  assert.equal(queue.counters.notifications, 1);
  assert.equal(driver.takeUsed().length, 5);
});

test('chains answered before one that stops the queue are given back', () => {
  const { machine, driver, queue } = open(WITHOUT_EVENTS);
  for (let i = 0; i < 2; i++) driver.offer(driver.chain([machine.driver.writable(1)]));
  for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) queue.add(chain, 1);
  queue.refuse('the device says so');
  assert.deepEqual(
    driver.takeUsed().map(({ length }) => length),
    [1, 1],
  );
});

test('the driver is notified exactly when the index it waits for is used, over the wrap of the indices too', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: -3, max: 12 })), { maxLength: 60 }),
      fc.boolean(),
      (batches, late) => {
        const { machine, driver, queue } = open();
        const head = driver.chain([machine.driver.writable(1)]);
        // Move both indices close to the wrap.
        if (late) {
          for (let i = 0; i < 65_500; i++) {
            driver.offer(head);
            queue.add(queue.pop()!, 0);
          }
          queue.signal();
        }
        let used = driver.takeUsed().length;
        for (const [count, ahead] of batches) {
          // The driver waits until `ahead` more than it has seen are used.
          const event = used + ahead;
          driver.usedEvent = event;
          const before = queue.counters.notifications;
          for (let i = 0; i < count; i++) {
            driver.offer(head);
            queue.add(queue.pop()!, 0);
          }
          queue.signal();
          used += count;
          const expected = event >= used - count && event < used ? 1 : 0;
          assert.equal(queue.counters.notifications - before, expected);
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('a pop that finds nothing asks to be told about the next buffer', () => {
  const { machine, driver, queue } = open();
  for (let i = 0; i < 3; i++) {
    driver.offer(driver.chain([machine.driver.writable(1)]));
    queue.pop();
  }
  assert.notEqual(driver.availEvent, 3);
  assert.equal(queue.pop(), undefined);
  assert.equal(driver.availEvent, 3);
});

test('a buffer offered while the device asks to be told about it is found by the same pop', () => {
  const { machine, driver, queue } = open();
  const head = driver.chain([machine.driver.writable(1)]);
  const event = driver.used + 4 + 8 * driver.size;
  machine.onWritten = (address) => {
    // Another processor saw the old request, so it will not notify.
    if (address === event && driver.availIndex === 0) driver.offer(head);
  };
  assert.equal(queue.pop()?.head, head);
});

test('memory is told about rings and buffers that were written, and nothing else', () => {
  const { machine, driver, queue } = open();
  const segments = [machine.driver.readable(new Uint8Array(8)), machine.driver.writable(8), machine.driver.writable(8)];
  driver.offer(driver.chain(segments));
  const chain = queue.pop()!;
  machine.written.length = 0;
  queue.push(chain, 10);
  assert.deepEqual(machine.written, [
    { address: segments[1]!.address, length: 8 },
    { address: segments[2]!.address, length: 2 },
    { address: driver.used + 4, length: 8 },
    { address: driver.used + 2, length: 2 },
  ]);
});

// What is wrong, and which reason is given for it.
const FAULTS: readonly [QueueFault, (bench: Bench) => void][] = [
  [QueueFault.availIndex, ({ driver }) => driver.setAvailIndex(17)],
  [QueueFault.head, ({ driver }) => driver.offer(16)],
  [QueueFault.next, (bench) => offerOne(bench, { flags: DescriptorFlag.next, next: 16 })],
  [QueueFault.loop, (bench) => offerOne(bench, { flags: DescriptorFlag.next, next: 0 })],
  [QueueFault.bufferAddress, (bench) => offerOne(bench, { address: RAM.address - 1 })],
  [QueueFault.bufferAddress, (bench) => offerOne(bench, { address: SECOND_RAM.address - 1, length: 2 })],
  [QueueFault.emptyBuffer, (bench) => offerOne(bench, { length: 0 })],
  [QueueFault.flags, (bench) => offerOne(bench, { flags: 8 })],
  [QueueFault.flags, (bench) => offerOne(bench, { flags: 8 | DescriptorFlag.indirect })],
  [QueueFault.indirectLength, (bench) => offerOne(bench, { flags: DescriptorFlag.indirect, length: 8 })],
  [QueueFault.indirectLength, (bench) => offerOne(bench, { flags: DescriptorFlag.indirect, length: 0 })],
  [QueueFault.indirectLength, (bench) => offerOne(bench, { flags: DescriptorFlag.indirect, length: 1 << 20 })],
  [QueueFault.indirectNext, (bench) => offerOne(bench, { flags: DescriptorFlag.indirect | DescriptorFlag.next })],
  [QueueFault.indirectAddress, (bench) => offerOne(bench, { flags: DescriptorFlag.indirect, address: 0x10 })],
];
for (const [reason, act] of FAULTS) {
  test(`fault: ${reason}`, () => {
    const bench = open();
    act(bench);
    assert.equal(bench.queue.pop(), undefined);
    assert.equal(bench.queue.fault, reason);
    assert.ok(bench.queue.counters.descriptors <= bench.queue.size + MAX_SEGMENTS, 'the walk is bounded');
  });
}

function offerOne({ driver }: Bench, descriptor: Partial<Descriptor>): void {
  driver.writeDescriptor(0, { address: RAM.address, length: 16, flags: 0, next: 0, ...descriptor });
  driver.offer(0);
}

// What the driver says about a queue, and which reason is given for refusing it.
const SETTINGS: readonly [string, QueueFault | undefined, (queue: TestQueue) => Partial<QueueSetting>][] = [
  ['size zero', QueueFault.size, () => ({ size: 0 })],
  ['size three', QueueFault.size, () => ({ size: 3 })],
  ['size above the maximum', QueueFault.size, () => ({ size: 32 })],
  ['a smaller size', undefined, () => ({ size: 4 })],
  ['table at 8 mod 16', QueueFault.alignment, ({ table }) => ({ table: table + 8 })],
  ['available ring at an odd address', QueueFault.alignment, ({ avail }) => ({ avail: avail + 1 })],
  ['used ring at 2 mod 4', QueueFault.alignment, ({ used }) => ({ used: used + 2 })],
  ['table that ends with RAM', undefined, () => ({ table: END - 256 })],
  ['table past the end', QueueFault.ringAddress, () => ({ table: END - 240 })],
  ['available ring that ends with RAM', undefined, () => ({ avail: END - 38 })],
  ['available ring without room for its event', QueueFault.ringAddress, () => ({ avail: END - 36 })],
  ['used ring that ends with RAM', undefined, () => ({ used: END - 136 })],
  ['used ring without room for its event', QueueFault.ringAddress, () => ({ used: END - 132 })],
];
for (const [name, reason, change] of SETTINGS) {
  test(`set-up: ${name} gives ${reason ?? 'a working queue'}`, () => {
    const device = new OpenDevice([16]);
    const { driver } = new TestMachine('mmio', () => device);
    driver.negotiate();
    driver.setUpQueues(16, change);
    assert.equal(driver.access.state.queues[0]!.fault, reason);
    assert.equal(driver.access.queueEnabled(0), reason === undefined);
    assert.equal(driver.needsReset, reason !== undefined);
  });
}

test('an indirect table may be longer than the queue, up to the limit and no further', () => {
  for (const [count, accepted] of [
    [MAX_SEGMENTS, true],
    [MAX_SEGMENTS + 1, false],
  ] as const) {
    const { driver, queue } = open();
    const segment: Segment = { address: RAM.address, length: 1, write: true };
    driver.offer(driver.indirectChain(Array.from({ length: count }, () => segment)));
    assert.equal(queue.pop()?.count, accepted ? count : undefined);
    assert.equal(queue.fault, accepted ? undefined : QueueFault.loop);
  }
});

test('random sequences of offers, pops and pushes agree with a list of what is where', () => {
  const step = fc.constantFrom('offer', 'pop', 'push', 'reset');
  fc.assert(
    fc.property(fc.array(fc.tuple(step, fc.nat(1000)), { maxLength: 120 }), (steps) => {
      const { machine, queue } = open(ALL, 8);
      let offered: number[] = [];
      let held: Chain[] = [];
      let used: number[] = [];
      let free = [0, 1, 2, 3, 4, 5, 6, 7];
      for (const [action, choice] of steps) {
        const driver = machine.driver.queues[0]!;
        if (action === 'offer' && free.length > 0) {
          const head = free.splice(choice % free.length, 1)[0]!;
          driver.writeDescriptor(head, {
            address: RAM.address + head,
            length: 1 + head,
            flags: DescriptorFlag.write,
            next: 0,
          });
          driver.offer(head);
          offered.push(head);
        } else if (action === 'pop') {
          const chain = queue.pop();
          assert.equal(chain?.head, offered.shift());
          if (chain !== undefined) held.push(chain);
        } else if (action === 'push' && held.length > 0) {
          const chain = held.splice(choice % held.length, 1)[0]!;
          queue.push(chain, 1);
          used.push(chain.head);
          if (choice % 3 === 0) {
            assert.deepEqual(headsOf(driver.takeUsed()), used);
            free.push(...used);
            used = [];
          }
        } else if (action === 'reset' && choice % 10 === 0) {
          machine.driver.start(ALL, 8);
          [offered, held, used, free] = [[], [], [], [0, 1, 2, 3, 4, 5, 6, 7]];
        }
        assert.equal(queue.inFlight, held.length);
        assert.equal(queue.pending, offered.length > 0);
        queue.checkInvariants();
      }
      assert.deepEqual(headsOf(machine.driver.queues[0]!.takeUsed()), used);
    }),
  );
});
