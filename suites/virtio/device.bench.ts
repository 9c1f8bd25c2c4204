import assert from 'node:assert/strict';
import { VirtioBalloon } from '../../emulator/device/virtio/balloon.ts';
import { VirtioConsole } from '../../emulator/device/virtio/console.ts';
import { OpenDevice, RAM, TestMachine } from '../../emulator/device/virtio/driver.test-support.ts';
import type { TransportName } from '../../emulator/device/virtio/driver.test-support.ts';
import { VirtioEntropy } from '../../emulator/device/virtio/entropy.ts';
import type { SplitQueue } from '../../emulator/device/virtio/queue.ts';
import { defineBench } from '../harness/define-bench.ts';
import { ringLoad, serveRound } from './ring-load.ts';
import type { RingLoad } from './ring-load.ts';

const inputs = ['ring-load.ts'];
const COUNT = 64;
const LINE = 80;

function checkLoad(load: RingLoad): void {
  assert.equal(load.machine.driver.needsReset, false);
  assert.equal(load.ring.inFlight, 0);
}

defineBench<RingLoad & { printed: () => number }>({
  id: 'virtio/console/print',
  title: 'print lines of 80 bytes',
  unit: 'ns/line',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  inputs,
  setup: () => {
    let bytes = 0;
    // The transmit queue is the second; the load drives the first, so the device's queues are swapped for it.
    const load = ringLoad(
      (clock) => transmitOnly(new VirtioConsole({ clock, output: (part) => void (bytes += part.length) })),
      { count: COUNT, request: (driver) => [driver.readable(new Uint8Array(LINE).fill(0x61))] },
    );
    return { ...load, printed: () => bytes };
  },
  work: serveRound,
  items: () => COUNT,
  check: (load) => {
    checkLoad(load);
    assert.equal(load.printed() % (COUNT * LINE), 0);
    assert.ok(load.printed() > 0);
  },
});

/** The console with its transmit queue in front and no receive queue. */
function transmitOnly(device: VirtioConsole): VirtioConsole {
  const start = device.start.bind(device);
  return Object.assign(device, {
    queueSizes: [64],
    start: (host: Parameters<VirtioConsole['start']>[0]) =>
      start({
        memory: host.memory,
        queues: [host.queues[0]!, host.queues[0]!] as readonly SplitQueue[],
        features: host.features,
        configChanged: () => host.configChanged(),
        needsReset: (reason: string) => host.needsReset(reason),
      }),
  });
}

defineBench<RingLoad>({
  id: 'virtio/entropy/fill',
  title: 'fill buffers of 64 bytes from a source that costs nothing',
  unit: 'ns/request',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  inputs,
  setup: () =>
    ringLoad((clock) => new VirtioEntropy({ clock, source: (target) => void target.fill(1) }), {
      count: COUNT,
      queueSize: 64,
      request: (driver) => [driver.writable(64)],
    }),
  work: serveRound,
  items: () => COUNT,
  check: checkLoad,
});

defineBench<RingLoad>({
  id: 'virtio/balloon/known-pages',
  title: 'take lists of 256 pages that are in the balloon already',
  unit: 'ns/page',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  inputs,
  setup: () =>
    ringLoad((clock) => new VirtioBalloon({ clock }), {
      count: 1,
      queueSize: 64,
      request: (driver) => [
        driver.readable(
          new Uint8Array(Uint32Array.from({ length: 256 }, (_, i) => RAM.address / 4096 + 1024 + i).buffer),
        ),
      ],
    }),
  work: serveRound,
  items: () => 256,
  check: (load) => {
    checkLoad(load);
    assert.equal((load.machine.device as VirtioBalloon).pages, 256);
  },
});

interface Notifying {
  readonly machine: TestMachine;
  readonly device: OpenDevice;
}

const notifying = (transport: TransportName): Notifying => {
  const device = new OpenDevice([16]);
  const machine = new TestMachine(transport, () => device);
  machine.driver.start(undefined, 16);
  return { machine, device };
};

for (const transport of ['mmio', 'pci', 'pci-msix'] as const) {
  defineBench<Notifying>({
    id: `virtio/transport/interrupt-${transport}`,
    title: `raise and acknowledge a used-buffer interrupt over ${transport}`,
    unit: 'ns',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: () => notifying(transport),
    work: ({ machine }) => {
      const { access } = machine.driver;
      access.state.notifyDriver(0);
      return access.takeInterruptStatus();
    },
    check: ({ machine }, status) => {
      assert.equal(status, 1);
      assert.equal(machine.driver.access.lineLevel(), false);
    },
  });
  defineBench<Notifying>({
    id: `virtio/transport/notify-${transport}`,
    title: `a driver's notification over ${transport}, to the device`,
    unit: 'ns',
    kind: 'time',
    direction: 'lower',
    engine: 'mitata',
    setup: () => notifying(transport),
    work: ({ machine, device }) => {
      machine.driver.access.notify(0);
      return device.notified;
    },
    check: (_, notified) => assert.ok((notified as number) > 0),
  });
}
