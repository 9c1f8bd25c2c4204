import { BROADCAST_MAC, type Ipv4Address, type MacAddress } from './address.ts';
import {
  ETHERNET_HEADER,
  EtherType,
  Protocol,
  ethernetFrame,
  ipv4Frame,
  parseIpv4Packet,
  transportOf,
  type Ipv4Packet,
  type Route,
} from './frame.ts';
import { TcpFlag, before, parseTcpSegment, sequenceLength, tcpFrame, type TcpSegment } from './tcp-segment.ts';
import { GUEST_ADDRESS } from './user-network.ts';

/** The guest's side of the cable for tests and benchmarks: builds its frames, and speaks TCP just well enough to be talked to. */
export const GUEST_MAC: MacAddress = Uint8Array.of(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);
/** The gateway's hardware address. */
export const PEER_MAC: MacAddress = Uint8Array.of(0x52, 0x55, 0x0a, 0x00, 0x02, 0x02);

export function guestRoute(destination: Ipv4Address, source: Ipv4Address = GUEST_ADDRESS): Route {
  return { sourceMac: GUEST_MAC, destinationMac: PEER_MAC, source, destination };
}

export function arpRequestFrame(target: Ipv4Address): Uint8Array {
  const frame = ethernetFrame(GUEST_MAC, BROADCAST_MAC, EtherType.arp, 28);
  const view = new DataView(frame.buffer, ETHERNET_HEADER);
  view.setUint32(0, 0x0001_0800);
  view.setUint32(4, 0x0604_0001);
  frame.set(GUEST_MAC, ETHERNET_HEADER + 8);
  view.setUint32(14, GUEST_ADDRESS);
  view.setUint32(24, target);
  return frame;
}

/** The IPv4 packet of a frame, which must hold one. */
export function packetOf(frame: Uint8Array): Ipv4Packet {
  const packet = parseIpv4Packet(frame.subarray(ETHERNET_HEADER));
  if (typeof packet === 'string') throw new Error(`no IPv4 packet: ${packet}`);
  return packet;
}

/** The TCP segment of a frame, which must hold one. */
export function segmentOf(frame: Uint8Array): TcpSegment {
  const segment = parseTcpSegment(packetOf(frame));
  if (segment === undefined) throw new Error('no TCP segment');
  return segment;
}

export function echoRequestFrame(destination: Ipv4Address, payload: Uint8Array): Uint8Array {
  const frame = ipv4Frame(guestRoute(destination), Protocol.icmp, 8 + payload.length);
  const message = transportOf(frame);
  message[0] = 8;
  message.set([0x12, 0x34, 0, 1], 4);
  message.set(payload, 8);
  let sum = 0;
  for (let i = 0; i < message.length; i += 2) sum += (message[i]! << 8) | (message[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message[2] = (~sum >> 8) & 0xff;
  message[3] = ~sum & 0xff;
  return frame;
}

/** What may be set apart from the defaults. */
export interface GuestTcpOptions {
  readonly port?: number;
  readonly maximumSegmentSize?: number;
  /** What to tell as the receive window; by default 65535. */
  readonly window?: () => number;
}

const TIMEOUT = 300_000;

/** A client that sends all at once and goes back to the first unacknowledged byte after a timeout. */
export class GuestTcp {
  readonly received: number[] = [];
  readonly destination: Ipv4Address;
  readonly port: number;
  state: 'opening' | 'open' | 'closed' | 'reset' = 'opening';
  /** The service has closed its direction. */
  peerEnded = false;
  readonly #guestPort: number;
  readonly #mss: number;
  readonly #window: () => number;
  readonly #outgoing: Uint8Array[] = [];
  #data: Uint8Array;
  readonly #fin: boolean;
  readonly #initial = 0xffff_ff00;
  #acknowledged = this.#initial;
  #next = this.#initial;
  #receiveNext = 0;
  #peerWindow = 0;
  #deadline = Infinity;

  /** Sends `data` once open; closes its direction after that when `fin`. */
  constructor(destination: Ipv4Address, port: number, data: Uint8Array, fin: boolean, options: GuestTcpOptions = {}) {
    this.destination = destination;
    this.port = port;
    this.#data = data;
    this.#fin = fin;
    this.#guestPort = options.port ?? 40_000;
    this.#mss = options.maximumSegmentSize ?? 1460;
    this.#window = options.window ?? (() => 0xffff);
    this.#emit(TcpFlag.syn, this.#initial);
  }

  /** Everything sent was acknowledged, the end included. */
  get delivered(): boolean {
    return this.#acknowledged === (this.#initial + 1 + this.#data.length + (this.#fin ? 1 : 0)) >>> 0;
  }

  /** When `take` has something to send again. */
  get deadline(): number {
    return this.#deadline;
  }

  take(now: number): Uint8Array | undefined {
    if (now >= this.#deadline) {
      this.#deadline = now + TIMEOUT;
      if (this.state === 'opening') this.#emit(TcpFlag.syn, this.#initial);
      else this.#next = this.#acknowledged;
    }
    if (this.state === 'opening') this.#deadline = Math.min(this.#deadline, now + TIMEOUT);
    if (this.state === 'open') this.#fill(now);
    return this.#outgoing.shift();
  }

  receive(frame: Uint8Array, now: number): void {
    const segment = segmentOf(frame);
    if (segment.destinationPort !== this.#guestPort || this.state === 'closed' || this.state === 'reset') return;
    if ((segment.flags & TcpFlag.rst) !== 0) {
      this.state = 'reset';
      return;
    }
    if ((segment.flags & TcpFlag.syn) !== 0) {
      this.#receiveNext = (segment.sequence + 1) >>> 0;
      this.state = 'open';
    }
    if (before(this.#acknowledged, segment.acknowledgment)) {
      this.#acknowledged = segment.acknowledgment;
      if (before(this.#next, this.#acknowledged)) this.#next = this.#acknowledged;
      this.#deadline = this.delivered ? Infinity : now + TIMEOUT;
    }
    this.#peerWindow = segment.window;
    if (sequenceLength(segment) > 0) this.#receiveData(segment);
  }

  #receiveData(segment: TcpSegment): void {
    if (segment.sequence === this.#receiveNext && (segment.flags & TcpFlag.syn) === 0) {
      const room = segment.payload.subarray(0, this.#window());
      for (const byte of room) this.received.push(byte);
      this.#receiveNext = (this.#receiveNext + room.length) >>> 0;
      if ((segment.flags & TcpFlag.fin) !== 0 && room.length === segment.payload.length) {
        this.peerEnded = true;
        this.#receiveNext = (this.#receiveNext + 1) >>> 0;
      }
    }
    this.acknowledge();
  }

  /** Sends an acknowledgement unasked, such as a window update. */
  acknowledge(): void {
    this.#emit(TcpFlag.ack, this.#next);
  }

  abort(): void {
    this.#emit(TcpFlag.rst | TcpFlag.ack, this.#next);
    this.state = 'closed';
  }

  #fill(now: number): void {
    const end = (this.#initial + 1 + this.#data.length) >>> 0;
    const flight = (this.#next - this.#acknowledged) >>> 0;
    const sent = (this.#next - this.#initial - 1) >>> 0;
    const finSent = sent > this.#data.length;
    const length = finSent
      ? 0
      : Math.min(this.#mss, this.#data.length - sent, Math.max(0, Math.max(this.#peerWindow, 1) - flight));
    const fin = this.#fin && !finSent && sent + length === this.#data.length;
    if (length === 0 && !fin) return;
    this.#emit(TcpFlag.ack | (fin ? TcpFlag.fin : 0), this.#next, this.#data.subarray(sent, sent + length));
    this.#next = fin ? (end + 1) >>> 0 : (this.#next + length) >>> 0;
    if (this.#deadline === Infinity) this.#deadline = now + TIMEOUT;
  }

  #emit(flags: number, sequence: number, payload: Uint8Array = new Uint8Array()): void {
    const header = {
      sourcePort: this.#guestPort,
      destinationPort: this.port,
      sequence,
      acknowledgment: this.#receiveNext,
      flags,
      window: this.#window(),
      ...((flags & TcpFlag.syn) === 0 ? {} : { maximumSegmentSize: this.#mss, windowScale: 0 }),
    };
    this.#outgoing.push(
      tcpFrame(guestRoute(this.destination), header, payload.length, (into) => {
        into.set(payload);
      }),
    );
    if (flags === TcpFlag.syn && this.#next === this.#initial) this.#next = (this.#initial + 1) >>> 0;
  }
}
