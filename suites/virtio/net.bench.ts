import assert from 'node:assert/strict';
import { TestMachine, type TestQueue } from '../../emulator/device/virtio/driver.test-support.ts';
import { VirtioNet, type NetworkBackend } from '../../emulator/device/virtio/net.ts';
import { finishChecksum, sumWords } from '../../emulator/device/virtio/network/checksum.ts';
import { udpFrame } from '../../emulator/device/virtio/network/frame.ts';
import {
  arpRequestFrame,
  echoRequestFrame,
  guestRoute,
} from '../../emulator/device/virtio/network/scripted-guest.test-support.ts';
import {
  GATEWAY_ADDRESS,
  NAME_SERVER_ADDRESS,
  UserNetwork,
} from '../../emulator/device/virtio/network/user-network.ts';
import { defineBench } from '../harness/define-bench.ts';
import { receiveWindow, sendSegments, tcpLoad, type TcpLoad } from './network-load.ts';

const inputs = ['network-load.ts'];
const MAC = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x34, 0x56);
const HEADER = 12;
const FRAMES = 64;

/** Counts what the guest sends, and has frames of one size for it whenever `due` says so. */
class CountingBackend implements NetworkBackend {
  bytes = 0;
  due = 0;
  readonly deadline = Infinity;
  onReady = (): void => {};
  readonly #frame: Uint8Array;
  constructor(size: number) {
    this.#frame = new Uint8Array(size).fill(0x5a);
  }
  receive(frame: Uint8Array): void {
    this.bytes += frame.length;
  }
  take(): Uint8Array | undefined {
    if (this.due === 0) return undefined;
    this.due -= 1;
    this.bytes += this.#frame.length;
    return this.#frame;
  }
  advance(): void {}
  reset(): void {}
}

interface CardLoad {
  readonly machine: TestMachine;
  readonly backend: CountingBackend;
  readonly queue: TestQueue;
  readonly net: VirtioNet;
}

/** A started card; FRAMES buffers of `size` bytes stand ready on queue `index`. */
function cardLoad(index: number, size: number): CardLoad {
  const backend = new CountingBackend(size);
  let net!: VirtioNet;
  const machine = new TestMachine('mmio', (clock) => (net = new VirtioNet({ backend, clock, mac: MAC })));
  machine.driver.start(undefined, 256);
  const queue = machine.driver.queues[index]!;
  const heads = Array.from({ length: FRAMES }, () =>
    queue.chain([
      index === 1
        ? machine.driver.readable(new Uint8Array(HEADER + size).fill(0, HEADER))
        : machine.driver.writable(HEADER + size),
    ]),
  );
  queue.fillAvail(heads);
  return { machine, backend, queue, net };
}

/** Offers the buffers again, with as many frames on their way to the guest. */
function round({ machine, backend, queue }: CardLoad): number {
  backend.due = queue.index === 0 ? FRAMES : 0;
  queue.setAvailIndex(queue.availIndex + FRAMES);
  queue.kick();
  machine.settle();
  return backend.bytes;
}

for (const [name, index] of [
  ['receive', 0],
  ['transmit', 1],
] as const) {
  for (const size of [60, 590, 1514]) {
    defineBench<CardLoad>({
      id: `virtio/net/${name}-${size}`,
      title: `${name} frames of ${size} bytes`,
      unit: 'kop/s',
      kind: 'throughput',
      direction: 'higher',
      engine: 'mitata',
      setup: () => cardLoad(index, size),
      work: round,
      items: () => FRAMES,
      check: ({ net, backend }, bytes) => {
        assert.equal(net.counters.malformed, 0);
        assert.equal(net.counters.receivedBytes + net.counters.transmittedBytes, backend.bytes);
        assert.equal((bytes as number) % (FRAMES * size), 0);
      },
      counters: (load) => {
        round(load);
        const { malformed, received, transmitted } = load.net.counters;
        return { frames: received + transmitted, malformed };
      },
    });
  }
}

defineBench<Uint8Array>({
  id: 'virtio/network/checksum',
  title: 'Internet checksum of 1460 bytes',
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'mitata',
  setup: () => Uint8Array.from({ length: 1460 }, (_, i) => i & 0xff),
  work: (bytes) => finishChecksum(sumWords(bytes)),
  items: (bytes) => bytes.length,
  check: (bytes, sum) => {
    let plain = 0;
    for (let i = 0; i < bytes.length; i += 2) plain += bytes[i]! * 256 + bytes[i + 1]!;
    assert.equal(sum, 0xffff - (plain % 0xffff));
  },
});

const DNS = Uint8Array.of(0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7, ...Buffer.from('gateway'), 0, 0, 1, 0, 1);
const QUESTIONS: readonly (readonly [name: string, title: string, frame: () => Uint8Array])[] = [
  ['arp', 'ARP request', () => arpRequestFrame(GATEWAY_ADDRESS)],
  ['ping', 'echo request of 56 bytes', () => echoRequestFrame(GATEWAY_ADDRESS, new Uint8Array(56))],
  ['dns', 'DNS query', () => udpFrame(guestRoute(NAME_SERVER_ADDRESS), 5000, 53, DNS)],
];

for (const [name, title, frame] of QUESTIONS) {
  defineBench<{ network: UserNetwork; frame: Uint8Array }>({
    id: `virtio/network/${name}`,
    title: `${title}, answered`,
    unit: 'kop/s',
    kind: 'throughput',
    direction: 'higher',
    engine: 'mitata',
    setup: () => ({ network: new UserNetwork(), frame: frame() }),
    work: ({ network, frame }) => {
      network.receive(frame, 0);
      return network.take(0);
    },
    check: (_, answer) => assert.ok(answer instanceof Uint8Array),
  });
}

defineBench<TcpLoad>({
  id: 'virtio/network/tcp-to-guest',
  title: 'TCP from a service to the guest, a window at a time',
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'mitata',
  inputs,
  setup: tcpLoad,
  work: receiveWindow,
  items: () => 65_535,
  check: ({ network }, bytes) => {
    assert.equal(bytes, 65_535);
    assert.equal(network.open, 1);
  },
  counters: (load) => {
    receiveWindow(load);
    return { segments: load.network.counters.sent - 1, retransmissions: load.network.counters.retransmissions };
  },
});

const PAYLOAD = new Uint8Array(1460).fill(7);
const SEGMENTS = 44;

defineBench<TcpLoad>({
  id: 'virtio/network/tcp-from-guest',
  title: 'TCP from the guest to a service, 44 segments at a time',
  unit: 'MiB/s',
  kind: 'throughput',
  direction: 'higher',
  engine: 'mitata',
  inputs,
  setup: tcpLoad,
  work: (load) => sendSegments(load, PAYLOAD, SEGMENTS),
  items: () => PAYLOAD.length * SEGMENTS,
  check: (_, taken) => assert.equal((taken as number) % (PAYLOAD.length * SEGMENTS), 0),
});
