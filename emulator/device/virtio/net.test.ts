import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestMachine, type TransportName } from './driver.test-support.ts';
import { RingFeature } from './device.ts';
import { NetFeature, VirtioNet, type NetOptions } from './net.ts';
import { parseIpv4, parseMac } from './network/address.ts';
import { PacketCapture } from './network/capture.ts';
import { GuestTcp, arpRequestFrame, echoRequestFrame, packetOf } from './network/scripted-guest.test-support.ts';
import { EchoStream, ServiceTable } from './network/service-table.ts';
import { GATEWAY_ADDRESS, UserNetwork } from './network/user-network.ts';

const MAC = parseMac('52:54:00:12:34:56')!;
const HOST = parseIpv4('10.0.2.100')!;
const HEADER = 12;
const BUFFER = HEADER + 1514;

interface Setup {
  readonly transport?: TransportName;
  readonly queueSize?: number;
  readonly options?: Partial<NetOptions>;
}

/** A card on a network with an echo service, its driver started, `buffers` receive buffers offered. */
function card(buffers: number, { transport = 'mmio', queueSize = 64, options = {} }: Setup = {}) {
  const network = new UserNetwork({ services: new ServiceTable().add(HOST, 7, () => new EchoStream()) });
  let net!: VirtioNet;
  const machine = new TestMachine(transport, (clock) => {
    net = new VirtioNet({ backend: network, clock, mac: MAC, ...options });
    return net;
  });
  const { driver } = machine;
  driver.start(undefined, queueSize);
  const heads = new Map<number, ReturnType<typeof driver.writable>>();
  const [receive, transmit] = [driver.queues[0]!, driver.queues[1]!];
  const offer = (length = BUFFER) => {
    const segment = driver.writable(length);
    heads.set(receive.submit([segment]), segment);
    machine.advance(0);
  };
  for (let i = 0; i < buffers; i++) offer();
  const send = (frame: Uint8Array, header: Uint8Array = new Uint8Array(HEADER)) => {
    const bytes = new Uint8Array(header.length + frame.length);
    bytes.set(header);
    bytes.set(frame, header.length);
    transmit.submit([driver.readable(bytes)]);
    machine.advance(0);
  };
  /** Frames received since the last call; their headers are checked. */
  const received = () =>
    receive.takeUsed().map(({ head, length }) => {
      const content = driver.contents(heads.get(head)!);
      assert.deepEqual([...content.subarray(0, HEADER)], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
      return content.slice(HEADER, length);
    });
  return { machine, driver, network, net, receive, transmit, offer, send, received };
}

test('the configuration says address, link and size', () => {
  const { driver, net } = card(0);
  const { access } = driver;
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((i) => access.readConfig(i, 1)),
    [...MAC],
  );
  assert.equal(access.readConfig(6, 2), 1);
  assert.equal(access.readConfig(8, 2), 1);
  assert.equal(access.readConfig(10, 2), 1500);
  assert.equal(net.features, NetFeature.mac | NetFeature.status | NetFeature.mtu);
});

for (const transport of ['mmio', 'pci'] as const) {
  test(`${transport}: a ping goes out and its answer comes in`, () => {
    const { driver, transmit, send, received, net } = card(4, { transport });
    const interrupts = driver.interrupts;
    send(echoRequestFrame(GATEWAY_ADDRESS, new Uint8Array(56)));
    const [frame, ...rest] = received();
    assert.equal(rest.length, 0);
    assert.equal(packetOf(frame!).source, GATEWAY_ADDRESS);
    assert.deepEqual(frame!.subarray(0, 6), MAC);
    assert.equal(transmit.takeUsed().length, 1);
    assert.ok(driver.interrupts > interrupts);
    assert.deepEqual(net.counters, {
      transmitted: 1,
      transmittedBytes: 98,
      received: 1,
      receivedBytes: 98,
      malformed: 0,
    });
  });
}

test('frames wait for receive buffers, up to a bound; the rest is counted', () => {
  const { send, received, offer, network, driver } = card(0);
  for (let i = 0; i < 100; i++) send(arpRequestFrame(GATEWAY_ADDRESS));
  assert.equal(received().length, 0);
  assert.equal(network.counters.overflowed, 100 - 64);
  offer();
  offer();
  assert.equal(received().length, 2);
  assert.equal(driver.needsReset, false);
});

test('TCP by virtqueue: 50,000 bytes come back, with few receive buffers and time passing', () => {
  const data = Uint8Array.from({ length: 50_000 }, (_, i) => i & 0xff);
  const { machine, send, received, offer } = card(4);
  const guest = new GuestTcp(HOST, 7, data, true);
  for (let round = 0; round < 2000 && !(guest.peerEnded && guest.delivered); round++) {
    const now = round * 1000;
    machine.advance(1_000_000);
    for (let frame = guest.take(now), burst = 0; frame && burst < 16; frame = guest.take(now), burst++) send(frame);
    for (const frame of received()) {
      guest.receive(frame, now);
      offer();
    }
  }
  assert.ok(guest.peerEnded && guest.delivered);
  assert.ok(Buffer.from(guest.received).equals(data));
});

test('time alone makes the network send again', () => {
  const { machine, send, received } = card(16);
  send(new GuestTcp(HOST, 7, new Uint8Array(), false).take(0)!);
  assert.equal(received().length, 1, 'SYN-ACK');
  machine.advance(999_000_000);
  assert.equal(received().length, 0);
  machine.advance(2_000_000);
  assert.equal(received().length, 1, 'again after a second');
  machine.settle();
});

test('a service that wakes up later reaches the guest at the next look at the clock', () => {
  let wake = () => {};
  let text = '';
  const network = new UserNetwork({
    services: {
      hosts: () => true,
      connect: (_address, _port, waker) => {
        wake = waker;
        return {
          write: (bytes) => bytes.length,
          read: (into) => {
            const { written } = new TextEncoder().encodeInto(text, into);
            text = '';
            return written;
          },
          end: () => {},
          close: () => {},
        };
      },
    },
  });
  const { machine, send, received } = card(8, { options: { backend: network } });
  const guest = new GuestTcp(HOST, 9, new Uint8Array(), false);
  const settleDown = () => {
    for (const frame of received()) guest.receive(frame, 0);
    for (let frame = guest.take(0); frame; frame = guest.take(0)) send(frame);
  };
  send(guest.take(0)!);
  settleDown();
  text = 'late';
  wake();
  settleDown();
  assert.equal(guest.received.length, 0);
  machine.advance(1);
  settleDown();
  assert.equal(String.fromCharCode(...guest.received), 'late');
});

const BAD_FRAMES: readonly { what: string; frame: Uint8Array; header?: Uint8Array }[] = [
  { what: 'empty', frame: new Uint8Array(), header: new Uint8Array(1) },
  { what: 'only a header', frame: new Uint8Array() },
  { what: 'shorter than an Ethernet header', frame: new Uint8Array(13) },
  { what: 'longer than the MTU allows', frame: new Uint8Array(1515) },
  { what: '100 KB', frame: new Uint8Array(100_000) },
  {
    what: 'wanting segmentation',
    frame: arpRequestFrame(GATEWAY_ADDRESS),
    header: Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  },
];

for (const { what, frame, header } of BAD_FRAMES) {
  test(`a frame that is ${what} is dropped, counted and given back`, () => {
    const { send, received, transmit, net, driver } = card(2);
    send(frame, header);
    assert.equal(received().length, 0);
    assert.equal(transmit.takeUsed().length, 1);
    assert.equal(net.counters.malformed, 1);
    assert.equal(driver.needsReset, false);
    send(arpRequestFrame(GATEWAY_ADDRESS));
    assert.equal(received().length, 1, 'the card goes on');
  });
}

test('a transmit chain with only writable buffers is malformed', () => {
  const { transmit, driver, net, machine } = card(0);
  transmit.submit([driver.writable(100)]);
  machine.advance(0);
  assert.equal(transmit.takeUsed().length, 1);
  assert.equal(net.counters.malformed, 1);
});

for (const [what, length, write] of [
  ['too short', 40, true],
  ['shorter than the header', 3, true],
  ['read-only', BUFFER, false],
] as const) {
  test(`a receive buffer that is ${what} stops the device until it is reset`, () => {
    const { driver, send, machine, receive } = card(0);
    receive.submit([{ address: driver.allocate(length), length, write }]);
    send(arpRequestFrame(GATEWAY_ADDRESS));
    assert.equal(driver.needsReset, true);
    machine.checkConfinement();
    driver.start();
    assert.equal(driver.needsReset, false);
    const segment = driver.writable(BUFFER);
    driver.queues[0]!.submit([segment]);
    driver.queues[1]!.submit([
      driver.readable(new Uint8Array(HEADER)),
      driver.readable(arpRequestFrame(GATEWAY_ADDRESS)),
    ]);
    machine.advance(0);
    assert.equal(driver.queues[0]!.takeUsed().length, 1);
  });
}

test('a frame may be spread over segments, both ways', () => {
  const { driver, receive, transmit, machine } = card(0);
  const parts = [12, 3, 20, 500].map((length) => driver.writable(length));
  receive.submit(parts, true);
  const frame = echoRequestFrame(
    GATEWAY_ADDRESS,
    Uint8Array.from({ length: 60 }, (_, i) => i),
  );
  const bytes = new Uint8Array(HEADER + frame.length);
  bytes.set(frame, HEADER);
  const cuts = [0, 5, 12, 13, 60, bytes.length];
  transmit.submit(cuts.slice(1).map((end, i) => driver.readable(bytes.subarray(cuts[i]!, end))));
  machine.advance(0);
  const [used] = receive.takeUsed();
  assert.equal(used!.length, bytes.length);
  const joined = Buffer.concat(parts.map((part) => driver.contents(part))).subarray(HEADER, used!.length);
  assert.deepEqual([...packetOf(joined).payload.subarray(8)], [...frame.subarray(42)]);
});

test('one interrupt a batch when the event index is negotiated', () => {
  const { driver, transmit, machine } = card(0);
  for (let i = 0; i < 20; i++)
    transmit.offer(
      transmit.chain([driver.readable(new Uint8Array(HEADER)), driver.readable(arpRequestFrame(GATEWAY_ADDRESS))]),
    );
  assert.ok((driver.access.state.features & RingFeature.eventIndex) !== 0n);
  const before = driver.access.state.queues[1]!.counters.notifications;
  transmit.kick();
  machine.advance(0);
  assert.equal(driver.access.state.queues[1]!.counters.notifications - before, 1);
  assert.equal(transmit.takeUsed().length, 20);
});

test('a reset cuts connections, and a frame woken after it goes nowhere', () => {
  const { driver, send, network, machine } = card(4);
  send(new GuestTcp(HOST, 7, new Uint8Array(), false).take(0)!);
  assert.equal(network.open, 1);
  driver.access.writeStatus(0);
  assert.equal(network.open, 0);
  network.onReady();
  machine.advance(10_000_000_000);
  machine.settle();
});

test('the capture has both directions', () => {
  const chunks: Uint8Array[] = [];
  const capture = new PacketCapture((bytes) => chunks.push(bytes));
  const { send } = card(2, { options: { capture } });
  send(arpRequestFrame(GATEWAY_ADDRESS));
  assert.equal(capture.frames, 2);
  assert.equal(chunks.length, 3);
  assert.deepEqual(chunks[1]!.subarray(16), arpRequestFrame(GATEWAY_ADDRESS));
});

test('two runs with the same ticks give the same packets', () => {
  const run = () => {
    const chunks: Uint8Array[] = [];
    const capture = new PacketCapture((bytes) => chunks.push(bytes));
    const { machine, send, received } = card(64, { options: { capture } });
    const guest = new GuestTcp(HOST, 7, new Uint8Array(20_000).fill(9), true);
    for (let round = 0; round < 40; round++) {
      const now = round * 100_000;
      machine.advance(100_000_001);
      for (let frame = guest.take(now); frame; frame = guest.take(now)) send(frame);
      // Every fourth frame is lost, so that timers play a part.
      for (const [i, frame] of received().entries()) if (i % 4 !== 3) guest.receive(frame, now);
    }
    machine.advance(5_000_000_000);
    return Buffer.concat(chunks);
  };
  const first = run();
  assert.ok(first.length > 40_000, `${first.length} bytes`);
  assert.ok(run().equals(first));
});

test('a deadline a rounding error away does not hold the machine', () => {
  const network = new UserNetwork();
  Object.defineProperty(network, 'deadline', { get: () => 1e-9 });
  const { machine } = card(0, { options: { backend: network } });
  machine.advance(1);
  assert.ok(machine.clock.nextDeadline() > machine.clock.now());
});
