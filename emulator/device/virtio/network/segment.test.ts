import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RetransmissionTimer } from './retransmission-timer.ts';
import { guestRoute, packetOf, segmentOf } from './scripted-guest.test-support.ts';
import { DiscardStream, ServiceTable } from './service-table.ts';
import { TcpFlag, before, distance, parseTcpSegment, sequenceLength, tcpFrame } from './tcp-segment.ts';
import { UserNetwork } from './user-network.ts';

const HOST = 0x0a00_0264;
const HEADER = {
  sourcePort: 0x1234,
  destinationPort: 0x5678,
  sequence: 0xfedc_ba98,
  acknowledgment: 0x89ab_cdef,
  flags: TcpFlag.ack | TcpFlag.psh,
  window: 0xf00d,
};

test('a segment is read as it was written', () => {
  const segment = segmentOf(tcpFrame(guestRoute(HOST), HEADER, 5, (into) => into.set([1, 2, 3, 4, 5])));
  const { payload, ...rest } = segment;
  assert.deepEqual([...payload], [1, 2, 3, 4, 5]);
  assert.deepEqual(rest, { ...HEADER, maximumSegmentSize: undefined, windowScale: undefined });
});

test('options of a SYN are read; without a SYN there are none', () => {
  const options = { maximumSegmentSize: 1400, windowScale: 7 };
  const syn = segmentOf(tcpFrame(guestRoute(HOST), { ...HEADER, flags: TcpFlag.syn, ...options }));
  assert.deepEqual([syn.maximumSegmentSize, syn.windowScale], [1400, 7]);
  const plain = segmentOf(tcpFrame(guestRoute(HOST), { ...HEADER, flags: TcpFlag.syn, maximumSegmentSize: 9 }));
  assert.deepEqual([plain.maximumSegmentSize, plain.windowScale], [9, undefined]);
  const ack = segmentOf(tcpFrame(guestRoute(HOST), { ...HEADER, ...options }));
  assert.deepEqual([ack.maximumSegmentSize, ack.windowScale], [undefined, undefined]);
});

/** A SYN whose eight bytes of options are these. */
function synWith(options: readonly number[]): {
  maximumSegmentSize: number | undefined;
  windowScale: number | undefined;
} {
  const frame = tcpFrame(guestRoute(HOST), { ...HEADER, flags: TcpFlag.syn, maximumSegmentSize: 1, windowScale: 1 });
  const packet = packetOf(frame);
  packet.payload.set(options, 20);
  packet.payload.set([0, 0], 16);
  // Right again: the sum over the segment as it is, its own field being zero.
  let sum = 6 + packet.payload.length + (packet.source >>> 16) + (packet.source & 0xffff);
  sum += (packet.destination >>> 16) + (packet.destination & 0xffff);
  for (let i = 0; i < packet.payload.length; i += 2) sum += packet.payload[i]! * 256 + packet.payload[i + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.payload.set([(~sum >> 8) & 0xff, ~sum & 0xff], 16);
  const { maximumSegmentSize, windowScale } = parseTcpSegment(packet)!;
  return { maximumSegmentSize, windowScale };
}

for (const [what, options, maximumSegmentSize, windowScale] of [
  ['in the other order', [3, 3, 5, 2, 4, 1, 2, 0], 0x102, 5],
  ['after the end', [0, 3, 3, 5, 2, 4, 1, 2], undefined, undefined],
  ['a shift above 14', [1, 3, 3, 200, 0, 0, 0, 0], undefined, 14],
  ['of wrong lengths', [2, 3, 9, 3, 4, 9, 9, 1], undefined, undefined],
  ['of length zero', [8, 0, 2, 4, 1, 2, 0, 0], undefined, undefined],
  ['of length one', [8, 1, 2, 4, 1, 2, 0, 0], undefined, undefined],
  ['longer than the header', [2, 4, 1, 2, 3, 9, 5, 0], 0x102, undefined],
  ['cut off after its kind', [1, 1, 1, 1, 1, 1, 1, 3], undefined, undefined],
  ['unknown', [8, 4, 9, 9, 2, 4, 3, 4], 0x304, undefined],
  ['without content', [4, 2, 2, 4, 1, 2, 0, 0], 0x102, undefined],
] as const)
  test(`options ${what}`, () => assert.deepEqual(synWith(options), { maximumSegmentSize, windowScale }));

test('a damaged segment is no segment', () => {
  for (const [at, value] of [
    [30, 0xff], // a byte of the payload, or of the header
    [12, 0x40], // header of 16 bytes
    [12, 0xf0], // header beyond the segment
    [16, 0x11],
  ] as const) {
    const packet = packetOf(tcpFrame(guestRoute(HOST), HEADER, 20));
    packet.payload[at] = value;
    assert.equal(parseTcpSegment(packet), undefined, `byte ${at}`);
  }
  const packet = packetOf(tcpFrame(guestRoute(HOST), HEADER));
  assert.equal(parseTcpSegment({ ...packet, payload: packet.payload.subarray(0, 19) }), undefined);
});

test('sequence numbers wrap', () => {
  assert.ok(before(0xffff_fff0, 5) && !before(5, 0xffff_fff0) && !before(7, 7));
  assert.equal(distance(0xffff_fff0, 5), 21);
  const length = (flags: number, payload: number) =>
    sequenceLength(segmentOf(tcpFrame(guestRoute(HOST), { ...HEADER, flags }, payload)));
  assert.deepEqual(
    [length(TcpFlag.ack, 0), length(TcpFlag.syn, 0), length(TcpFlag.fin | TcpFlag.ack, 3), length(TcpFlag.psh, 4)],
    [0, 1, 4, 4],
  );
});

test("the guest's window is scaled as it said, but not in the SYN", () => {
  class Source extends DiscardStream {
    override read(into?: Uint8Array): number {
      return into!.length;
    }
  }
  const network = new UserNetwork({ services: new ServiceTable().add(HOST, 80, () => new Source()) });
  const send = (fields: Partial<typeof HEADER>, options = {}) =>
    network.receive(
      tcpFrame(guestRoute(HOST), { ...HEADER, destinationPort: 80, sequence: 0, ...fields, ...options }),
      0,
    );
  const takeAll = () => {
    let bytes = 0;
    let end = 0;
    for (let frame = network.take(0); frame; frame = network.take(0)) {
      const segment = segmentOf(frame);
      bytes += segment.payload.length;
      end = (segment.sequence + sequenceLength(segment)) >>> 0;
    }
    return { bytes, end };
  };
  send({ flags: TcpFlag.syn, window: 100 }, { maximumSegmentSize: 1000, windowScale: 3 });
  const opened = takeAll();
  assert.equal(network.deadline, 1_000_000, 'the SYN-ACK would be sent again');
  send({ flags: TcpFlag.ack, sequence: 1, acknowledgment: opened.end, window: 0 });
  const none = takeAll();
  assert.equal(none.bytes, 0);
  send({ flags: TcpFlag.ack, sequence: 1, acknowledgment: opened.end, window: 250 });
  assert.equal(takeAll().bytes, 2000);
  send({ flags: TcpFlag.ack, sequence: 1, acknowledgment: (opened.end + 2000) >>> 0, window: 251 });
  assert.equal(takeAll().bytes, 2008);
});

test('after the handshake nothing waits for time', () => {
  const network = new UserNetwork({ services: new ServiceTable().add(HOST, 80, () => new DiscardStream()) });
  const ends = { ...HEADER, destinationPort: 80, sequence: 0, acknowledgment: 0 };
  network.receive(tcpFrame(guestRoute(HOST), { ...ends, flags: TcpFlag.syn }), 0);
  const acknowledgment = (segmentOf(network.take(0)!).sequence + 1) >>> 0;
  network.receive(tcpFrame(guestRoute(HOST), { ...ends, flags: TcpFlag.ack, sequence: 1, acknowledgment }), 5);
  assert.equal(network.take(5), undefined);
  assert.equal(network.deadline, Infinity);
});

test('the timer follows the round trips, doubles when it runs out and gives up', () => {
  const timer = new RetransmissionTimer();
  assert.equal(timer.deadline, Infinity);
  timer.sent(10, 1000, false);
  assert.equal(timer.deadline, 1_001_000, 'a second before anything is known');
  timer.sent(20, 2000, false);
  assert.equal(timer.deadline, 1_001_000, 'the oldest segment counts');
  timer.acknowledged(5, 3000, true);
  timer.acknowledged(10, 401_000, true);
  // RFC 6298: the first round trip R gives R + 4 (R / 2).
  assert.equal(timer.deadline, 401_000 + 1_200_000);
  timer.sent(30, 500_000, false);
  timer.acknowledged(30, 900_000, false);
  assert.equal(timer.deadline, Infinity);
  timer.start(1_000_000);
  // The same round trip again: the variation shrinks by a quarter, to 150 ms.
  assert.equal(timer.deadline, 1_000_000 + 1_000_000);
  assert.ok(!timer.expired(1_999_999) && timer.expired(2_000_000));
  assert.equal(timer.backOff(2_000_000), true);
  assert.equal(timer.deadline, 4_000_000);
  let now = 4_000_000;
  for (let i = 0; i < 9; i++) {
    assert.equal(timer.backOff(now), true);
    assert.ok(timer.deadline - now <= 60_000_000);
    now = timer.deadline;
  }
  assert.equal(timer.backOff(now), false);
  assert.equal(timer.retransmissions, 11);
  timer.heard();
  assert.equal(timer.backOff(now), true, 'an answer is a new start');
});

test('what was sent again gives no sample of the round trip', () => {
  const timer = new RetransmissionTimer();
  timer.sent(10, 0, false);
  timer.backOff(1_000_000);
  timer.sent(10, 1_000_000, true);
  timer.acknowledged(10, 1_000_100, false);
  timer.start(2_000_000);
  assert.equal(timer.deadline, 4_000_000, 'still the doubled one');
});

test('an acknowledgement is a new start, too', () => {
  const timer = new RetransmissionTimer();
  for (let i = 0; i < 3; i++) {
    timer.sent(i, 0, false);
    for (let attempt = 0; attempt < 8; attempt++) assert.equal(timer.backOff(0), true);
    timer.acknowledged(i, 0, false);
  }
});

test('a tiny round trip leaves the least timeout', () => {
  const timer = new RetransmissionTimer();
  timer.sent(10, 0, false);
  timer.acknowledged(10, 50, false);
  timer.start(1000);
  assert.equal(timer.deadline, 201_000);
});
