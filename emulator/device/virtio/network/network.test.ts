import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BROADCAST_IPV4, formatIpv4, formatMac, parseIpv4, parseMac } from './address.ts';
import { PacketCapture } from './capture.ts';
import { finishChecksum, sumWords } from './checksum.ts';
import { DhcpMessage } from './dhcp.ts';
import { Protocol, parseDatagram, parseIpv4Packet, udpFrame, type Datagram } from './frame.ts';
import {
  GUEST_MAC,
  PEER_MAC,
  arpRequestFrame,
  echoRequestFrame,
  guestRoute,
  packetOf,
} from './scripted-guest.test-support.ts';
import { EchoStream, ServiceTable, builtinService, parseService } from './service-table.ts';
import { GATEWAY_ADDRESS, GUEST_ADDRESS, NAME_SERVER_ADDRESS, UserNetwork } from './user-network.ts';

const SERVICE = parseIpv4('10.0.2.100')!;
const NOWHERE = parseIpv4('10.0.2.77')!;

function network(): UserNetwork {
  return new UserNetwork({
    services: new ServiceTable().add(SERVICE, 7, () => new EchoStream()),
    names: new Map([['web.test', SERVICE]]),
  });
}

/** What comes back for one frame. */
function ask(frame: Uint8Array, on = network()): Uint8Array | undefined {
  on.receive(frame, 0);
  const answer = on.take(0);
  assert.equal(on.take(0), undefined);
  return answer;
}

function askUdp(destination: number, sourcePort: number, port: number, payload: Uint8Array, source?: number): Datagram {
  const answer = ask(udpFrame(guestRoute(destination, source), sourcePort, port, payload));
  assert.ok(answer, 'an answer');
  const datagram = parseDatagram(packetOf(answer));
  assert.ok(datagram, 'a datagram with a right checksum');
  return datagram;
}

test('addresses are read and written', () => {
  for (const text of ['0.0.0.0', '10.0.2.15', '255.255.255.255']) assert.equal(formatIpv4(parseIpv4(text)!), text);
  for (const text of ['10.0.2', '10.0.2.256', 'a.b.c.d', '1.2.3.4.5', '']) assert.equal(parseIpv4(text), undefined);
  assert.equal(formatMac(parseMac('52:54:00:AB:cd:ef')!), '52:54:00:ab:cd:ef');
  for (const text of ['52:54:00:12:34', '52-54-00-12-34-56', 'zz:54:00:12:34:56'])
    assert.equal(parseMac(text), undefined);
});

test('the checksum is that of the example in RFC 1071', () => {
  const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assert.equal(sumWords(bytes), 0x2ddf0);
  assert.equal(finishChecksum(0x2ddf0), ~0xddf2 & 0xffff);
  assert.equal(sumWords(Uint8Array.of(1, 2, 3)), 0x0402);
});

test('a packet with its checksum sums to zero', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 65_533 }), (bytes) => {
      const even = new Uint8Array(bytes.length + (bytes.length & 1) + 2);
      even.set(bytes);
      const checksum = finishChecksum(sumWords(even));
      even[even.length - 2] = checksum >> 8;
      even[even.length - 1] = checksum & 0xff;
      assert.equal(finishChecksum(sumWords(even)), 0);
    }),
    { numRuns: 100 },
  );
});

test('ARP: hosts that exist are at the gateway, others are silent', () => {
  for (const address of [GATEWAY_ADDRESS, NAME_SERVER_ADDRESS, SERVICE]) {
    const reply = ask(arpRequestFrame(address))!;
    assert.deepEqual(reply.subarray(0, 6), GUEST_MAC);
    const view = new DataView(reply.buffer, 14);
    assert.equal(view.getUint16(6), 2);
    assert.deepEqual(reply.subarray(22, 28), PEER_MAC);
    assert.equal(view.getUint32(14), address);
    assert.equal(view.getUint32(24), GUEST_ADDRESS);
  }
  assert.equal(ask(arpRequestFrame(NOWHERE)), undefined);
  assert.equal(ask(arpRequestFrame(GUEST_ADDRESS)), undefined, 'duplicate address detection must not find anyone');
});

test('ICMP: echo comes back whole, with the addresses turned round', () => {
  const payload = Uint8Array.from({ length: 57 }, (_, i) => i);
  const request = echoRequestFrame(GATEWAY_ADDRESS, payload);
  const packet = packetOf(ask(request)!);
  assert.equal(packet.source, GATEWAY_ADDRESS);
  assert.equal(packet.destination, GUEST_ADDRESS);
  assert.equal(packet.payload[0], 0);
  assert.equal(finishChecksum(sumWords(packet.payload)), 0);
  assert.deepEqual(packet.payload.subarray(4), packetOf(request).payload.subarray(4));
  assert.equal(ask(echoRequestFrame(NOWHERE, payload)), undefined);
  const damaged = echoRequestFrame(GATEWAY_ADDRESS, payload);
  damaged[50]! ^= 1;
  assert.equal(ask(damaged), undefined);
});

/** A DHCP message with the options as given. */
function dhcp(options: readonly number[], { flags = 0, client = 0 } = {}): Uint8Array {
  const message = new Uint8Array(240 + options.length);
  const view = new DataView(message.buffer);
  message.set([1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
  view.setUint16(10, flags);
  view.setUint32(12, client);
  message.set(GUEST_MAC, 28);
  view.setUint32(236, 0x6382_5363);
  message.set(options, 240);
  return message;
}

const octets = (address: number) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff);

/** Options of a DHCP reply by code. */
function optionsOf(payload: Uint8Array): Map<number, number[]> {
  const options = new Map<number, number[]>();
  for (let at = 240; payload[at] !== 255; at += 2 + payload[at + 1]!)
    options.set(payload[at]!, [...payload.subarray(at + 2, at + 2 + payload[at + 1]!)]);
  return options;
}

test('DHCP: discover is offered and request acknowledged the one lease', () => {
  for (const [type, reply] of [
    [DhcpMessage.discover, DhcpMessage.offer],
    [DhcpMessage.request, DhcpMessage.ack],
  ] as const) {
    const message = dhcp([53, 1, type, 0, 50, 4, ...octets(GUEST_ADDRESS), 255], { flags: 0x8000 });
    const { payload, sourcePort, destinationPort } = askUdp(BROADCAST_IPV4, 68, 67, message, 0);
    assert.deepEqual([sourcePort, destinationPort], [67, 68]);
    const view = new DataView(payload.buffer, payload.byteOffset);
    assert.deepEqual([...payload.subarray(0, 4)], [2, 1, 6, 0]);
    assert.deepEqual(payload.subarray(28, 34), GUEST_MAC);
    assert.equal(view.getUint16(10), 0x8000);
    assert.equal(payload.length, 300);
    assert.equal(view.getUint32(4), 0xdead_beef);
    assert.equal(view.getUint32(16), GUEST_ADDRESS);
    const options = optionsOf(payload);
    assert.deepEqual(options.get(53), [reply]);
    assert.deepEqual(options.get(1), [255, 255, 255, 0]);
    assert.deepEqual(options.get(3), octets(GATEWAY_ADDRESS));
    assert.deepEqual(options.get(6), octets(NAME_SERVER_ADDRESS));
    assert.deepEqual(options.get(54), octets(GATEWAY_ADDRESS));
    assert.ok(options.has(51));
  }
});

test('DHCP: where the reply goes', () => {
  const discover = [53, 1, DhcpMessage.discover, 255];
  const to = (options: readonly number[], how = {}, source = 0) =>
    packetOf(ask(udpFrame(guestRoute(BROADCAST_IPV4, source), 68, 67, dhcp(options, how)))!).destination;
  assert.equal(to(discover, { flags: 0x8000 }), BROADCAST_IPV4);
  assert.equal(to(discover), GUEST_ADDRESS);
  assert.equal(to([53, 1, DhcpMessage.request, 255], { client: GUEST_ADDRESS }, GUEST_ADDRESS), GUEST_ADDRESS);
});

test('DHCP: a wrong address is refused, foreign and pointless messages are left alone', () => {
  const wrong = dhcp([53, 1, DhcpMessage.request, 50, 4, 192, 168, 1, 1, 255]);
  assert.deepEqual(optionsOf(askUdp(BROADCAST_IPV4, 68, 67, wrong, 0).payload).get(53), [DhcpMessage.nak]);
  const informed = askUdp(BROADCAST_IPV4, 68, 67, dhcp([53, 1, DhcpMessage.inform, 255], { client: GUEST_ADDRESS }));
  assert.equal(new DataView(informed.payload.buffer, informed.payload.byteOffset).getUint32(16), 0, 'no address');
  assert.equal(optionsOf(informed.payload).has(51), false, 'no lease');
  for (const options of [
    [53, 1, DhcpMessage.request, 54, 4, 9, 9, 9, 9, 255],
    [53, 1, DhcpMessage.release, 255],
    [53, 1, DhcpMessage.decline, 255],
    [53, 1, 99, 255],
    [255],
    [53, 200, 1],
    [53],
  ])
    assert.equal(ask(udpFrame(guestRoute(BROADCAST_IPV4, 0), 68, 67, dhcp(options))), undefined, options.join());
});

function dnsQuery(name: string, type = 1, flags = 0x0100): Uint8Array {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]);
  return Uint8Array.of(0xab, 0xcd, flags >> 8, flags & 255, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, type, 0, 1);
}

const DNS_CASES: readonly { what: string; query: Uint8Array; rcode: number; address?: number }[] = [
  { what: 'a known name', query: dnsQuery('web.test'), rcode: 0, address: SERVICE },
  { what: 'in any case', query: dnsQuery('Web.TEST'), rcode: 0, address: SERVICE },
  { what: 'the gateway', query: dnsQuery('gateway'), rcode: 0, address: GATEWAY_ADDRESS },
  { what: 'IPv6 of a known name', query: dnsQuery('web.test', 28), rcode: 0 },
  { what: 'an unknown name', query: dnsQuery('example.org'), rcode: 3 },
  { what: 'another opcode', query: dnsQuery('web.test', 1, 0x2800), rcode: 4 },
  { what: 'a name that runs out of the message', query: dnsQuery('web.test').subarray(0, 18), rcode: 1 },
  {
    what: 'compression in a question',
    query: Uint8Array.of(1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1),
    rcode: 1,
  },
  { what: 'no question', query: Uint8Array.of(1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), rcode: 1 },
  { what: 'a name of 300 bytes', query: dnsQuery(Array.from({ length: 30 }, () => 'abcdefghi').join('.')), rcode: 1 },
];

for (const { what, query, rcode, address } of DNS_CASES) {
  test(`DNS: ${what}`, () => {
    const { payload, sourcePort, destinationPort } = askUdp(NAME_SERVER_ADDRESS, 5353, 53, query);
    assert.deepEqual([sourcePort, destinationPort], [53, 5353]);
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    assert.equal(view.getUint16(0), (query[0]! << 8) | query[1]!);
    assert.equal(view.getUint16(2) & 0x8000, 0x8000);
    assert.equal(view.getUint16(2) & 15, rcode);
    assert.equal(view.getUint16(6), address === undefined ? 0 : 1);
    if (address !== undefined) assert.equal(view.getUint32(payload.length - 4), address);
  });
}

test('UDP to a closed port or an absent host, and unknown protocols, are unreachable', () => {
  const probe = (destination: number) => packetOf(ask(udpFrame(guestRoute(destination), 9, 999, new Uint8Array(30)))!);
  const port = probe(GATEWAY_ADDRESS);
  assert.equal(port.protocol, Protocol.icmp);
  assert.deepEqual([...port.payload.subarray(0, 2)], [3, 3]);
  assert.equal(port.payload.length, 8 + 20 + 8);
  assert.equal(finishChecksum(sumWords(port.payload)), 0);
  assert.deepEqual([...probe(NOWHERE).payload.subarray(0, 2)], [3, 1]);
});

test('a guest that takes no replies costs a bounded queue, and the drops are counted', () => {
  const on = network();
  for (let i = 0; i < 1000; i++) on.receive(arpRequestFrame(GATEWAY_ADDRESS), i);
  assert.equal(on.counters.overflowed, 1000 - 64);
  let replies = 0;
  while (on.take(0)) replies += 1;
  assert.equal(replies, 64);
});

test('answers go to the leased address only', () => {
  assert.equal(ask(udpFrame(guestRoute(GATEWAY_ADDRESS, parseIpv4('8.8.8.8')), 1, 9, new Uint8Array(4))), undefined);
});

test('what is wrong with a header is told', () => {
  const good = udpFrame(guestRoute(GATEWAY_ADDRESS), 1, 2, new Uint8Array(4)).subarray(14);
  const changed = (at: number, value: number) => {
    const bytes = good.slice();
    bytes[at] = value;
    return parseIpv4Packet(bytes);
  };
  assert.equal(typeof parseIpv4Packet(good), 'object');
  assert.equal(parseIpv4Packet(good.subarray(0, 19)), 'truncated');
  assert.equal(parseIpv4Packet(good.subarray(0, 30)), 'truncated');
  assert.equal(changed(0, 0x65), 'malformed');
  assert.equal(changed(0, 0x44), 'malformed');
  assert.equal(changed(3, 19), 'malformed');
  assert.equal(changed(8, 0), 'malformed');
  assert.equal(changed(15, 99), 'checksum');
});

test('services are parsed from the command line, and refused with a way out', () => {
  const spec = parseService('10.0.2.100:80=http:a:b=c');
  assert.deepEqual(spec, { address: SERVICE, port: 80, kind: 'http', argument: 'a:b=c' });
  assert.ok(builtinService(spec));
  assert.equal(builtinService({ ...spec, kind: 'nonesuch' }), undefined);
  for (const text of ['10.0.2.100=echo', '10.0.2.100:0=echo', '10.0.2.100:65536=echo', '10.0.2.300:1=echo', ''])
    assert.throws(() => parseService(text), /not a service/);
  const table = new ServiceTable().add(SERVICE, 7, () => new EchoStream());
  assert.throws(() => table.add(SERVICE, 7, () => new EchoStream()), /two services/);
});

test('a capture is a pcap file', () => {
  const written: number[] = [];
  const capture = new PacketCapture((bytes) => written.push(...bytes));
  capture.add(Uint8Array.of(1, 2, 3), 1_500_000.25);
  capture.add(new Uint8Array(60), 2_000_001);
  const view = new DataView(Uint8Array.from(written).buffer);
  assert.equal(view.getUint32(0, true), 0xa1b2c3d4);
  assert.deepEqual([view.getUint16(4, true), view.getUint16(6, true), view.getUint32(20, true)], [2, 4, 1]);
  const record = [24, 28, 32, 36].map((at) => view.getUint32(at, true));
  assert.deepEqual(record, [1, 500_000, 3, 3]);
  assert.deepEqual(written.slice(40, 43), [1, 2, 3]);
  assert.deepEqual([view.getUint32(43, true), view.getUint32(47, true)], [2, 1]);
  assert.equal(written.length, 24 + 16 + 3 + 16 + 60);
  assert.equal(capture.frames, 2);
});
