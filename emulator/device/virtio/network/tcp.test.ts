import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteRing } from './byte-ring.ts';
import { parseIpv4 } from './address.ts';
import { GuestTcp, guestRoute, segmentOf, type GuestTcpOptions } from './scripted-guest.test-support.ts';
import { DiscardStream, EchoStream, HttpStream, ServiceTable } from './service-table.ts';
import type { Stream } from './service.ts';
import { TcpFlag, tcpFrame, type TcpHeader } from './tcp-segment.ts';
import { UserNetwork } from './user-network.ts';

const HOST = parseIpv4('10.0.2.100')!;
const PATTERN = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff);

/** A network whose only service is `stream` at port 80. */
function serving(stream: () => Stream): UserNetwork {
  return new UserNetwork({ services: new ServiceTable().add(HOST, 80, stream) });
}

interface Loss {
  readonly toGuest: (count: number) => boolean;
  readonly toNetwork: (count: number) => boolean;
}
const LOSSLESS: Loss = { toGuest: () => false, toNetwork: () => false };

/** Carries frames both ways, a millisecond a round or up to the next timer, until nothing moves and no timer is set, or `limit` rounds. */
function run(network: UserNetwork, guest: GuestTcp, loss = LOSSLESS, limit = 20_000): void {
  let toGuest = 0;
  let toNetwork = 0;
  let now = 0;
  for (let round = 0; round < limit; round++) {
    network.advance(now);
    network.checkInvariants();
    let moved = false;
    for (let frame = guest.take(now); frame; frame = guest.take(now)) {
      moved = true;
      if (!loss.toNetwork(toNetwork++)) network.receive(frame, now);
    }
    for (let burst = 0, frame = network.take(now); frame; frame = ++burst < 20 ? network.take(now) : undefined) {
      moved = true;
      if (!loss.toGuest(toGuest++)) guest.receive(frame, now);
    }
    const deadline = Math.min(network.deadline, guest.deadline);
    if (!moved && deadline === Infinity) return;
    now = moved ? now + 1000 : Math.max(now + 1, deadline);
  }
}

/** Without deepEqual, whose report on 10^5 bytes takes half a minute. */
function assertReceived(guest: GuestTcp, expected: Uint8Array): void {
  assert.equal(guest.received.length, expected.length);
  assert.ok(Buffer.from(guest.received).equals(expected), 'bytes differ');
}

function echoes(data: Uint8Array, loss = LOSSLESS, options: GuestTcpOptions = {}) {
  const network = serving(() => new EchoStream());
  const guest = new GuestTcp(HOST, 80, data, true, options);
  run(network, guest, loss);
  return { network, guest };
}

test('bytes come back in order and both directions close', () => {
  const { network, guest } = echoes(PATTERN);
  assertReceived(guest, PATTERN);
  assert.ok(guest.delivered && guest.peerEnded);
  assert.equal(network.open, 0, 'no connection is left');
  assert.equal(network.counters.retransmissions, 0);
  assert.equal(network.deadline, Infinity);
});

test('every third frame lost, either way or both: bytes still come back in order', () => {
  const third = (count: number) => count % 3 === 2;
  for (const loss of [
    { toGuest: third, toNetwork: () => false },
    { toGuest: () => false, toNetwork: third },
    { toGuest: third, toNetwork: third },
  ]) {
    const { network, guest } = echoes(PATTERN.subarray(0, 40_000), loss);
    assertReceived(guest, PATTERN.subarray(0, 40_000));
    assert.ok(guest.delivered && guest.peerEnded);
    if (loss.toGuest === third) assert.ok(network.counters.retransmissions > 0);
  }
});

test('random loss, sizes and segment sizes: what arrives is what was sent', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 9000 }),
      fc.integer({ min: 1, max: 1460 }),
      fc.integer({ min: 1, max: 2 ** 31 - 2 }),
      (size, maximumSegmentSize, seed) => {
        let state = seed;
        const lost = () => {
          state = (state * 48_271) % (2 ** 31 - 1);
          return state % 100 < 10;
        };
        const { guest } = echoes(PATTERN.subarray(0, size), { toGuest: lost, toNetwork: lost }, { maximumSegmentSize });
        assertReceived(guest, PATTERN.subarray(0, size));
        assert.ok(guest.peerEnded);
      },
    ),
    { numRuns: 100 },
  );
});

test('a guest with a small window is never sent more than that', () => {
  const network = serving(() => new EchoStream());
  const guest = new GuestTcp(HOST, 80, PATTERN.subarray(0, 20_000), true, { window: () => 700 });
  let outstanding = 0;
  const original = guest.receive.bind(guest);
  guest.receive = (frame, now) => {
    outstanding = Math.max(outstanding, segmentOf(frame).payload.length);
    original(frame, now);
  };
  run(network, guest);
  assertReceived(guest, PATTERN.subarray(0, 20_000));
  assert.ok(outstanding <= 700, `${outstanding} bytes at once`);
});

test('a closed window is probed for as long as it takes, and its opening is used', () => {
  let window = 0xffff;
  const network = serving(() => new EchoStream());
  const guest = new GuestTcp(HOST, 80, PATTERN.subarray(0, 5000), false, { window: () => window });
  const carry = (now: number) => {
    network.advance(now);
    for (let frame = guest.take(now); frame; frame = guest.take(now)) network.receive(frame, now);
    for (let frame = network.take(now); frame; frame = network.take(now)) guest.receive(frame, now);
  };
  network.receive(guest.take(0)!, 0);
  guest.receive(network.take(0)!, 0);
  window = 0;
  guest.acknowledge();
  let probes = 0;
  const original = guest.receive.bind(guest);
  guest.receive = (frame, now) => {
    if (segmentOf(frame).payload.length === 1) probes += 1;
    original(frame, now);
  };
  for (let second = 0; second < 1200; second++) carry(second * 1_000_000);
  assert.ok(probes > 12, `${probes} probes in 20 minutes`);
  assert.equal(network.open, 1);
  assert.equal(guest.received.length, 0);
  window = 0xffff;
  guest.acknowledge();
  for (let round = 0; round < 100; round++) carry(1_200_000_000 + round * 1000);
  assertReceived(guest, PATTERN.subarray(0, 5000));
});

test('a service that takes nothing closes the window; when it takes again, nothing was lost', () => {
  const taken: number[] = [];
  let accepting = false;
  let wake = () => {};
  const stream: Stream = {
    write: (bytes) => {
      if (!accepting) return 0;
      taken.push(...bytes.subarray(0, 1000));
      return Math.min(bytes.length, 1000);
    },
    read: () => 0,
    end: () => {},
    close: () => {},
  };
  const network = new UserNetwork({
    services: {
      hosts: () => true,
      connect: (_address, _port, waker) => {
        wake = waker;
        return stream;
      },
    },
  });
  const guest = new GuestTcp(HOST, 80, PATTERN.subarray(0, 200_000), false);
  run(network, guest, LOSSLESS, 200);
  assert.equal(taken.length, 0);
  assert.ok(!guest.delivered);
  accepting = true;
  wake();
  for (let i = 0; i < 3000 && !guest.delivered; i++) {
    wake();
    run(network, guest, LOSSLESS, 400);
  }
  wake();
  run(network, guest, LOSSLESS, 10);
  assert.deepEqual(Uint8Array.from(taken), PATTERN.subarray(0, taken.length));
  assert.ok(taken.length > 65_535, `${taken.length} bytes taken`);
});

test('ports without a service refuse', () => {
  const network = serving(() => new EchoStream());
  const guest = new GuestTcp(HOST, 81, PATTERN, true);
  run(network, guest, LOSSLESS, 20);
  assert.equal(guest.state, 'reset');
  assert.equal(network.counters.refused, 1);
  assert.equal(network.open, 0);
});

test('a reset by the guest ends the stream', () => {
  let closed = 0;
  class Watched extends EchoStream {
    override close(): void {
      closed += 1;
    }
  }
  const network = serving(() => new Watched());
  const guest = new GuestTcp(HOST, 80, PATTERN.subarray(0, 10), false);
  run(network, guest, LOSSLESS, 20);
  assert.equal(network.open, 1);
  guest.abort();
  network.receive(guest.take(0)!, 0);
  assert.equal(closed, 1);
  assert.equal(network.take(0), undefined);
  assert.equal(network.open, 0);
});

test('a guest that vanishes is given up, and its memory with it', () => {
  const network = serving(() => new EchoStream());
  const guest = new GuestTcp(HOST, 80, PATTERN.subarray(0, 1000), false);
  network.receive(guest.take(0)!, 0);
  let now = 0;
  let frames = 0;
  for (; network.open > 0 && now < 2e9; now += 100_000) {
    network.advance(now);
    while (network.take(now)) frames += 1;
  }
  assert.equal(network.open, 0);
  assert.equal(frames, 12, 'the SYN-ACK, ten more of it, the reset');
});

test('HTTP is served to a real-looking client', () => {
  const body = new TextEncoder().encode('x'.repeat(5000));
  const network = serving(
    () => new HttpStream((path) => (path === '/big' ? { status: 200, body } : { status: 404, body: new Uint8Array() })),
  );
  const get = (text: string) => {
    const guest = new GuestTcp(HOST, 80, new TextEncoder().encode(text), false, { port: 1000 + text.length });
    run(network, guest);
    assert.ok(guest.peerEnded);
    return Buffer.from(guest.received).toString('latin1');
  };
  const page = get('GET /big HTTP/1.1\r\nHost: h\r\n\r\n');
  assert.match(page, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(page, /\r\nContent-Length: 5000\r\n/);
  assert.equal(page.slice(page.indexOf('\r\n\r\n') + 4), 'x'.repeat(5000));
  assert.match(get('GET /other HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 404 /);
  assert.match(get('HEAD /big HTTP/1.1\r\n\r\n'), /Content-Length: 5000\r\n(?:.*\r\n)*\r\n$/);
  assert.match(get('POST / HTTP/1.1\r\n\r\n'), / 405 /);
  assert.match(get('what is this\r\n\r\n'), / 400 /);
  assert.match(get(`GET /${'a'.repeat(9000)} HTTP/1.1\r\n`), / 431 /);
});

test('256 connections at once are the limit; they take turns', () => {
  const streams: DiscardStream[] = [];
  const network = serving(() => {
    const stream = new DiscardStream();
    streams.push(stream);
    return stream;
  });
  for (let i = 0; i < 300; i++) {
    const guest = new GuestTcp(HOST, 80, new Uint8Array(), false, { port: 2000 + i });
    network.receive(guest.take(0)!, 0);
  }
  assert.equal(network.open, 256);
  assert.equal(network.counters.refused, 44);
  const ports: number[] = [];
  for (let frame = network.take(0); frame; frame = network.take(0)) ports.push(segmentOf(frame).destinationPort);
  assert.equal(new Set(ports).size, 300);
  network.reset();
  assert.equal(network.open, 0);
});

/** Segments to an open connection (our side at `theirs`), and what must come back. */
const ODD_SEGMENTS: readonly {
  what: string;
  flags: number;
  sequence: number;
  acknowledgment: number;
  answer: 'acknowledge' | 'nothing' | 'reset';
  open: boolean;
}[] = [
  {
    what: 'SYN inside the window',
    flags: TcpFlag.syn,
    sequence: 5,
    acknowledgment: 0,
    answer: 'acknowledge',
    open: true,
  },
  { what: 'RST at the edge', flags: TcpFlag.rst, sequence: 0, acknowledgment: 0, answer: 'nothing', open: false },
  {
    what: 'RST inside the window',
    flags: TcpFlag.rst,
    sequence: 9,
    acknowledgment: 0,
    answer: 'acknowledge',
    open: true,
  },
  {
    what: 'RST outside the window',
    flags: TcpFlag.rst,
    sequence: -9,
    acknowledgment: 0,
    answer: 'nothing',
    open: true,
  },
  { what: 'no ACK', flags: 0, sequence: 0, acknowledgment: 0, answer: 'nothing', open: true },
  { what: 'keep-alive', flags: TcpFlag.ack, sequence: -1, acknowledgment: 0, answer: 'acknowledge', open: true },
  {
    what: 'ACK of what was never sent',
    flags: TcpFlag.ack,
    sequence: 0,
    acknowledgment: 77,
    answer: 'acknowledge',
    open: true,
  },
  {
    what: 'data after a gap',
    flags: TcpFlag.ack | TcpFlag.psh,
    sequence: 100,
    acknowledgment: 0,
    answer: 'acknowledge',
    open: true,
  },
];

for (const { what, flags, sequence, acknowledgment, answer, open } of ODD_SEGMENTS) {
  test(`an open connection gets ${what}`, () => {
    const stream = new DiscardStream();
    const network = serving(() => stream);
    const send = (header: Pick<TcpHeader, 'flags' | 'sequence' | 'acknowledgment'>, length = 0) => {
      const ends = { sourcePort: 5, destinationPort: 80, window: 1000 };
      network.receive(tcpFrame(guestRoute(HOST), { ...ends, ...header }, length), 0);
      return network.take(0);
    };
    const theirs = segmentOf(send({ flags: TcpFlag.syn, sequence: 999, acknowledgment: 0 })!).sequence + 1;
    assert.equal(send({ flags: TcpFlag.ack, sequence: 1000, acknowledgment: theirs }), undefined);
    const length = (flags & TcpFlag.psh) === 0 ? 0 : 10;
    const reply = send({ flags, sequence: 1000 + sequence, acknowledgment: theirs + acknowledgment }, length);
    if (answer === 'nothing') assert.equal(reply, undefined);
    else {
      const segment = segmentOf(reply!);
      assert.equal(segment.flags, answer === 'reset' ? TcpFlag.rst : TcpFlag.ack);
      assert.equal(segment.acknowledgment, 1000);
      assert.equal(segment.sequence, theirs);
    }
    network.take(0);
    assert.equal(network.open, open ? 1 : 0);
    assert.equal(stream.bytes, 0);
  });
}

test('overlapping and repeated data is taken once', () => {
  const taken: number[] = [];
  class Recorder extends DiscardStream {
    override write(bytes: Uint8Array): number {
      taken.push(...bytes);
      return bytes.length;
    }
  }
  const network = serving(() => new Recorder());
  const ends = { sourcePort: 5, destinationPort: 80, window: 1000 };
  const route = guestRoute(HOST);
  network.receive(tcpFrame(route, { ...ends, flags: TcpFlag.syn, sequence: 0, acknowledgment: 0 }), 0);
  const acknowledgment = (segmentOf(network.take(0)!).sequence + 1) >>> 0;
  for (const [from, to] of [
    [0, 10],
    [0, 10],
    [5, 20],
    [20, 25],
    [0, 40],
    [39, 41],
  ] as const) {
    const header = { ...ends, flags: TcpFlag.ack, sequence: 1 + from, acknowledgment };
    network.receive(
      tcpFrame(route, header, to - from, (into) => into.forEach((_, i) => (into[i] = from + i))),
      0,
    );
    assert.equal(segmentOf(network.take(0)!).acknowledgment, 1 + taken.length);
  }
  assert.deepEqual(
    taken,
    Array.from({ length: 41 }, (_, i) => i),
  );
});

test('a byte ring holds what an array holds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 40 })), { maxLength: 60 }),
      (steps) => {
        const ring = new ByteRing(32);
        const model: number[] = [];
        for (const step of steps) {
          if (typeof step === 'number') {
            const count = Math.min(step, model.length);
            ring.drop(count);
            model.splice(0, count);
          } else {
            const count = ring.push(step);
            assert.equal(count, Math.min(step.length, 32 - model.length));
            model.push(...step.subarray(0, count));
          }
          const copy = new Uint8Array(model.length);
          ring.copy(0, copy);
          assert.deepEqual([...copy], model);
          assert.equal(ring.length, model.length);
        }
        const drained: number[] = [];
        ring.drain((bytes) => {
          drained.push(...bytes.subarray(0, 5));
          return Math.min(5, bytes.length);
        });
        assert.deepEqual(drained, model.slice(0, drained.length));
      },
    ),
    { numRuns: 1000 },
  );
});
