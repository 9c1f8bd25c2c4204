import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UNCONNECTED } from '../device.ts';
import { DeviceId, RingFeature, Status } from './device.ts';
import { OpenDevice, RAM, TestMachine, TRANSPORTS } from './driver.test-support.ts';
import { GuestMemory } from './guest-memory.ts';
import { VIRTIO_MMIO_REGISTERS, VirtioMmio } from './mmio.ts';
import { VIRTIO_PCI_COMMON, VirtioPci } from './pci.ts';

const RING = RingFeature.indirectDescriptors | RingFeature.eventIndex | RingFeature.version1;

/** A device with a configuration the driver may read, and write from its fifth byte on. */
class Configured extends OpenDevice {
  override readonly config = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  readonly writes: [offset: number, width: number, value: number][] = [];

  writeConfig(offset: number, width: number, value: number): void {
    this.writes.push([offset, width, value]);
  }
}

function memory(): GuestMemory {
  return new GuestMemory(new ArrayBuffer(0x1_0000), [{ address: RAM.address, size: 0x1_0000, offset: 0 }]);
}

for (const transport of TRANSPORTS) {
  test(`${transport}: a driver negotiates, sets up its queues and starts`, () => {
    const device = new OpenDevice([8, 16, 32]);
    const { driver } = new TestMachine(transport, () => device);
    assert.equal(driver.negotiate(), RING);
    assert.equal(device.host, undefined);
    driver.setUpQueues();
    assert.equal(device.host, undefined, 'the device starts with DRIVER_OK');
    driver.access.writeStatus(15);
    assert.deepEqual(
      device.host!.queues.map(({ size, ready }) => [size, ready]),
      [
        [8, true],
        [16, true],
        [32, true],
      ],
    );
    assert.equal(device.host!.features, RING);
    driver.access.notify(1);
    assert.equal(device.notified, 1);
    driver.access.writeStatus(0);
    assert.equal(device.host, undefined);
    assert.equal(driver.status, 0);
    assert.equal(driver.access.queueEnabled(0), false);
  });

  test(`${transport}: the configuration is read by any width and a change interrupts`, () => {
    const device = new Configured([8]);
    const { driver } = new TestMachine(transport, () => device);
    const { access } = driver;
    assert.deepEqual(
      [access.readConfig(0, 1), access.readConfig(2, 2), access.readConfig(4, 4)],
      [1, 0x0403, 0x0807_0605],
    );
    assert.deepEqual([access.readConfig(6, 4), access.readConfig(8, 4)], [0x0807, 0], 'zeroes past the end');
    driver.start();
    const before = access.state.configGeneration;
    device.host!.configChanged();
    assert.notEqual(access.state.configGeneration, before);
    assert.equal(access.takeInterruptStatus(), 2);
    assert.equal(access.takeInterruptStatus(), 0);
    assert.equal(access.lineLevel(), false);
    access.writeConfig(4, 2, 0xbeef);
    access.writeConfig(6, 4, 1);
    access.writeConfig(8, 1, 1);
    assert.deepEqual(device.writes, [[4, 2, 0xbeef]], 'and nothing past the end');
  });

  test(`${transport}: used buffers interrupt until acknowledged`, () => {
    const device = new OpenDevice([8]);
    const { driver } = new TestMachine(transport, () => device);
    driver.start();
    driver.queues[0]!.submit([driver.writable(4)]);
    const queue = device.host!.queues[0]!;
    queue.push(queue.pop()!, 4);
    assert.equal(driver.interrupts, 1);
    assert.equal(driver.access.lineLevel(), transport !== 'pci-msix');
    assert.equal(driver.access.takeInterruptStatus(), 1);
    assert.equal(driver.access.lineLevel(), false);
  });

  test(`${transport}: no interrupt before DRIVER_OK`, () => {
    const device = new OpenDevice([8]);
    const { driver } = new TestMachine(transport, () => device);
    driver.negotiate();
    driver.access.state.configChanged();
    driver.access.state.needsReset('a test');
    assert.equal(driver.interrupts, 0);
    assert.equal(driver.needsReset, true);
  });
}

test('FEATURES_OK is granted to a modern driver that asks for nothing that is not there', () => {
  const { driver } = new TestMachine('mmio', () => new OpenDevice([8]));
  const attempt = (low: number, high: number): boolean => {
    driver.access.writeStatus(0);
    driver.access.writeStatus(Status.acknowledge | Status.driver);
    driver.access.writeFeatures(0, low);
    driver.access.writeFeatures(1, high);
    driver.access.writeStatus(Status.acknowledge | Status.driver | Status.featuresOk);
    return (driver.status & Status.featuresOk) !== 0;
  };
  assert.equal(attempt(0, 1), true, 'VERSION_1 alone');
  assert.equal(attempt(0x3000_0000, 1), true);
  assert.equal(attempt(0, 0), false, 'legacy');
  assert.equal(attempt(1, 1), false, 'a bit that is not on offer');
  assert.equal(attempt(0, 5), false, 'the packed ring');
});

test('a driver that resets after ACKNOWLEDGE and goes on with DRIVER, as U-Boot does, is taken', () => {
  const { driver } = new TestMachine('mmio', () => new OpenDevice([8]));
  const { access } = driver;
  access.writeStatus(Status.acknowledge);
  access.writeStatus(0);
  access.writeStatus(Status.driver);
  access.writeFeatures(1, 1);
  access.writeStatus(Status.driver | Status.featuresOk);
  access.writeStatus(Status.driver | Status.featuresOk | Status.driverOk);
  assert.equal(driver.status, Status.driver | Status.featuresOk | Status.driverOk);
});

test('buffers that were offered before DRIVER_OK are announced to the device when it starts', () => {
  const device = new OpenDevice([8, 8]);
  const { driver } = new TestMachine('mmio', () => device);
  driver.negotiate();
  driver.setUpQueues();
  driver.queues[1]!.submit([driver.writable(4)]);
  assert.equal(device.notified, 0);
  driver.access.writeStatus(15);
  assert.equal(device.notified, 1);
  assert.equal(device.host!.queues[1]!.pop()?.writableLength, 4);
});

test('FAILED may be set at any time and status bits are not taken back', () => {
  const { driver } = new TestMachine('mmio', () => new OpenDevice([8]));
  driver.start();
  driver.access.writeStatus(Status.acknowledge);
  assert.equal(driver.status, 15);
  assert.equal(driver.access.state.counters.refused, 1);
  driver.access.writeStatus(15 | Status.failed);
  assert.equal(driver.status, 15 | Status.failed);
});

test('a queue that is enabled keeps its configuration even before DRIVER_OK', () => {
  const { driver } = new TestMachine('mmio', () => new OpenDevice([8]));
  driver.negotiate();
  driver.setUpQueues();
  const { table } = driver.queues[0]!;
  driver.access.setQueue(0, 4, 0, 0, 0);
  driver.access.enableQueue(0);
  const queue = driver.access.state.queues[0]!;
  assert.deepEqual([queue.size, queue.descriptorTable, driver.needsReset], [8, table, false]);
});

test('a queue can be taken out of service over virtio-mmio', () => {
  const device = new OpenDevice([8]);
  const { driver } = new TestMachine('mmio', () => device);
  driver.start();
  const { queues } = driver.access.state;
  driver.queues[0]!.submit([driver.writable(4)]);
  const chain = queues[0]!.pop()!;
  const mmio = new VirtioMmio(device, memory(), UNCONNECTED);
  assert.equal(mmio.read(0x044, 4), 0);
  driver.access.state.disableQueue(0);
  assert.equal(driver.access.queueEnabled(0), false);
  queues[0]!.push(chain, 4);
  assert.equal(queues[0]!.counters.stale, 1);
  driver.access.notify(0);
  assert.equal(device.notified, 1, 'notifications of a stopped queue go nowhere');
});

test('virtio-mmio: registers read after reset as the table says, and take four bytes at a time', () => {
  const mmio = new VirtioMmio(new OpenDevice([8]), memory(), UNCONNECTED);
  for (const { name, offset, width, value } of VIRTIO_MMIO_REGISTERS.resetValues()) {
    assert.equal(mmio.read(offset, width), value, name);
  }
  assert.equal(mmio.read(0x008, 4), DeviceId.entropy);
  assert.deepEqual([mmio.refuses(0x000, 1), mmio.refuses(0x000, 4), mmio.refuses(0x100, 1)], [true, false, false]);
  assert.equal(mmio.read(0x000, 1), 0);
  assert.equal(mmio.read(0x000, 8), 0);
  mmio.write(0x070, 1, 1);
  assert.equal(mmio.read(0x070, 4), 0);
});

test('virtio-pci: the common structure reads after reset as its table says', () => {
  const pci = new VirtioPci(new OpenDevice([8, 16]), memory());
  for (const { name, offset, width, value } of VIRTIO_PCI_COMMON.resetValues()) {
    assert.equal(pci.read(offset, width), value, name);
  }
  assert.equal(pci.read(0x12, 2), 2);
  pci.write(0x16, 2, 1);
  assert.deepEqual([pci.read(0x18, 2), pci.read(0x1e, 2)], [16, 1]);
  pci.write(0x16, 2, 7);
  assert.deepEqual([pci.read(0x18, 2), pci.read(0x1a, 2), pci.read(0x1c, 2)], [0, 0xffff, 0]);
});

test('virtio-pci: a vector that does not exist reads back as none', () => {
  const pci = new VirtioPci(new OpenDevice([8]), memory());
  pci.write(0x10, 2, 1);
  pci.write(0x1a, 2, 2);
  assert.deepEqual([pci.read(0x10, 2), pci.read(0x1a, 2)], [1, 0xffff]);
  pci.state.reset();
  assert.equal(pci.read(0x10, 2), 0xffff);
});

test('virtio-pci: the structures can be reached through configuration space alone', () => {
  const { pciFunction, state } = new VirtioPci(new Configured([8]), memory());
  let access = 0;
  for (let at = pciFunction.readConfig(0x34, 1); at !== 0; at = pciFunction.readConfig(at + 1, 1)) {
    if (pciFunction.readConfig(at, 1) === 9 && pciFunction.readConfig(at + 3, 1) === 5) access = at;
  }
  const aim = (bar: number, offset: number, length: number): void => {
    pciFunction.writeConfig(access + 4, 1, bar);
    pciFunction.writeConfig(access + 8, 4, offset);
    pciFunction.writeConfig(access + 12, 4, length);
  };
  aim(0, 20, 1);
  pciFunction.writeConfig(access + 16, 4, Status.acknowledge);
  assert.equal(pciFunction.readConfig(access + 16, 4), Status.acknowledge);
  aim(0, 0x2004, 4);
  assert.equal(pciFunction.readConfig(access + 16, 4), 0x0807_0605);
  for (const [bar, offset, length] of [
    [5, 0, 4],
    [0, 0x4000, 4],
    [0, 0xffff_fffc, 4],
    [0, 1, 2],
    [0, 0, 3],
    [0, 0, 0xffff_ffff],
  ] as const) {
    aim(bar, offset, length);
    pciFunction.writeConfig(access + 16, 4, 0xffff_ffff);
    assert.equal(pciFunction.readConfig(access + 16, 4), 0, `${bar} ${offset} ${length}`);
  }
  assert.equal(state.counters.refused, 0, 'none of these reached a register');
});

test('a machine reset leaves no trace of the driver', () => {
  const device = new OpenDevice([8]);
  const pci = new VirtioPci(device, memory());
  pci.pciFunction.writeConfig(4, 2, 6);
  pci.write(0x14, 1, 1);
  pci.reset();
  assert.equal(pci.read(0x14, 1), 0);
  assert.equal(pci.pciFunction.readConfig(4, 2), 0);
});
