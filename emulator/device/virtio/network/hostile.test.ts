import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIpv4 } from './address.ts';
import { finishChecksum, sumWords } from './checksum.ts';
import { MAXIMUM_FRAME, transportChecksum, udpFrame } from './frame.ts';
import { GuestTcp, arpRequestFrame, echoRequestFrame, guestRoute } from './scripted-guest.test-support.ts';
import { EchoStream, ServiceTable } from './service-table.ts';
import { GATEWAY_ADDRESS, NAME_SERVER_ADDRESS, UserNetwork } from './user-network.ts';

const HOST = parseIpv4('10.0.2.100')!;
const ROUNDS = Number(process.env['DYNO_FUZZ_ROUNDS'] ?? 100_000);

/** Valid frames of every protocol, to be damaged. */
function seeds(): Uint8Array[] {
  const dhcp = new Uint8Array(260);
  dhcp.set([1, 1, 6]);
  dhcp.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255], 236);
  const dns = Uint8Array.of(1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 100, 110, 115, 0, 0, 1, 0, 1);
  const tcp = new GuestTcp(HOST, 80, new Uint8Array(100), true);
  return [
    arpRequestFrame(GATEWAY_ADDRESS),
    echoRequestFrame(GATEWAY_ADDRESS, new Uint8Array(40)),
    udpFrame(guestRoute(0xffff_ffff, 0), 68, 67, dhcp),
    udpFrame(guestRoute(NAME_SERVER_ADDRESS), 1000, 53, dns),
    udpFrame(guestRoute(GATEWAY_ADDRESS), 1000, 99, dns),
    tcp.take(0)!,
  ];
}

/** A small generator, so that 10^5 rounds take seconds; the seed is in the failure. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Makes the damaged frame's checksums right again, so that the layers above see it. */
function mend(frame: Uint8Array): void {
  if (frame.length < 34 || frame[12] !== 8 || frame[13] !== 0) return;
  const header = frame.subarray(14, 14 + Math.min(frame.length - 14, (frame[14]! & 15) * 4));
  if (header.length < 20) return;
  const put = (bytes: Uint8Array, at: number, sum: number) => bytes.set([sum >> 8, sum & 0xff], at);
  put(header, 10, 0);
  put(header, 10, finishChecksum(sumWords(header)));
  const total = Math.min(frame.length - 14, (frame[16]! << 8) | frame[17]!);
  const transport = frame.subarray(14 + header.length, 14 + total);
  const view = new DataView(frame.buffer, frame.byteOffset + 14);
  const ends = { source: view.getUint32(12), destination: view.getUint32(16) };
  const at = ({ 1: 2, 6: 16, 17: 6 } as Record<number, number>)[frame[23]!];
  if (at === undefined || transport.length < at + 2) return;
  put(transport, at, 0);
  put(
    transport,
    at,
    frame[23] === 1 ? finishChecksum(sumWords(transport)) : transportChecksum(ends, frame[23]!, transport),
  );
}

test(`${ROUNDS} damaged frames: none throws, memory and queues stay bounded`, () => {
  const seed = Number(process.env['DYNO_FUZZ_SEED'] ?? 20_261_121);
  const random = randomOf(seed);
  const originals = seeds();
  const network = new UserNetwork({ services: new ServiceTable().add(HOST, 80, () => new EchoStream()) });
  let answers = 0;
  let step = '';
  try {
    for (let round = 0; round < ROUNDS; round++) {
      let frame = originals[random() % originals.length]!.slice();
      for (let i = random() % 6; i > 0; i--) frame[random() % frame.length] = random() & 0xff;
      if (random() % 8 === 0) frame = frame.slice(0, random() % (frame.length + 1));
      if (random() % 8 !== 0) mend(frame);
      step = Buffer.from(frame).toString('hex');
      network.receive(frame, round * 100);
      if (round % 16 === 0) network.advance(round * 100);
      if (random() % 4 === 0)
        for (let answer = network.take(round * 100); answer && answers < 1e7; answer = network.take(round * 100)) {
          answers += 1;
          assert.ok(answer.length <= MAXIMUM_FRAME);
        }
      if (round % 8 === 0) network.checkInvariants();
    }
  } catch (error) {
    throw new Error(`seed ${seed}, frame ${step}`, { cause: error });
  }
  const { counters } = network;
  assert.equal(counters.received, ROUNDS);
  assert.ok(answers > ROUNDS / 100 && counters.connections > 0 && counters.malformed > 0 && counters.ignored > 0);
});

test('random bytes of any length are survived', () => {
  const network = new UserNetwork();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (frame) => {
      network.receive(frame, 0);
      while (network.take(0));
    }),
    { numRuns: 2000 },
  );
});
