import { assert } from '../../../check/assert.ts';
import { BROADCAST_IPV4, BROADCAST_MAC, sameMac, type Ipv4Address, type MacAddress } from './address.ts';
import { arpReply, parseArpRequest } from './arp.ts';
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, answerDhcp } from './dhcp.ts';
import { DNS_PORT, answerDns } from './dns.ts';
import {
  ETHERNET_HEADER,
  EtherType,
  MAXIMUM_FRAME,
  Protocol,
  parseDatagram,
  parseIpv4Packet,
  udpFrame,
  type Ipv4Defect,
  type Ipv4Packet,
  type Route,
} from './frame.ts';
import { Unreachable, echoReply, unreachable } from './icmp.ts';
import { NO_SERVICES, type Services } from './service.ts';
import { TcpConnection } from './tcp-connection.ts';
import { TcpFlag, parseTcpSegment, sequenceLength, tcpFrame, type TcpSegment } from './tcp-segment.ts';

/** Replies waiting for the guest to take them; a guest that only sends must not make this grow. */
const MAXIMUM_REPLIES = 64;
/** Each may hold two buffers of 64 KiB. */
const MAXIMUM_CONNECTIONS = 256;

/** The network 10.0.2.0/24, as most user-mode networks lay it out. */
export const GUEST_ADDRESS = 0x0a00_020f;
export const GATEWAY_ADDRESS = 0x0a00_0202;
export const NAME_SERVER_ADDRESS = 0x0a00_0203;
const NETWORK_MASK = 0xffff_ff00;
const GATEWAY_MAC: MacAddress = Uint8Array.of(0x52, 0x55, 0x0a, 0x00, 0x02, 0x02);

/** How the machine behind the cable is made up. */
export interface UserNetworkOptions {
  readonly services?: Services;
  /** Lower-case names the DNS server knows. `gateway` and `dns` are always there. */
  readonly names?: ReadonlyMap<string, Ipv4Address>;
}

/** Frames and faults, counted; every frame not answered is in one of the last rows. */
export interface NetworkCounters {
  received: number;
  sent: number;
  connections: number;
  refused: number;
  /** Segments sent again by connections that have ended. */
  retransmissions: number;
  /** Replies thrown away because the guest took none. */
  overflowed: number;
  /** Frames of other protocols, to other stations, or too short to be any. */
  ignored: number;
  malformed: number;
}

/**
 * The other end of the guest's cable: a gateway with DHCP, DNS, ping and TCP to what `Services` offers. A state machine without clock or
 * sockets: frames in by `receive`, out by `take`, the time (microseconds, never going back) with each call.
 */
export class UserNetwork {
  readonly counters: NetworkCounters = {
    received: 0,
    sent: 0,
    connections: 0,
    refused: 0,
    retransmissions: 0,
    overflowed: 0,
    ignored: 0,
    malformed: 0,
  };
  /** Called when a service woke a connection; whoever owns the network sets it. */
  onReady: () => void = () => {};
  readonly #services: Services;
  readonly #names: ReadonlyMap<string, Ipv4Address>;
  readonly #replies: Uint8Array[] = [];
  readonly #connections = new Map<string, TcpConnection>();
  /** Those that may have something to send, in the order of their turns. */
  readonly #ready = new Set<string>();
  #opened = 0;

  constructor(options: UserNetworkOptions = {}) {
    this.#services = options.services ?? NO_SERVICES;
    this.#names = new Map([['gateway', GATEWAY_ADDRESS], ['dns', NAME_SERVER_ADDRESS], ...(options.names ?? [])]);
  }

  /** Takes one Ethernet frame of the guest; nothing in it is kept. Whatever it holds, it is answered, counted or both. */
  receive(frame: Uint8Array, now: number): void {
    this.counters.received += 1;
    if (frame.length < ETHERNET_HEADER || frame.length > MAXIMUM_FRAME) {
      this.counters.malformed += 1;
      return;
    }
    const forUs = sameMac(frame, GATEWAY_MAC) || sameMac(frame, BROADCAST_MAC);
    const type = (frame[12]! << 8) | frame[13]!;
    const payload = frame.subarray(ETHERNET_HEADER);
    if (forUs && type === EtherType.arp) this.#receiveArp(payload);
    else if (forUs && type === EtherType.ipv4) this.#receiveIpv4(payload, frame.slice(6, 12), now);
    else this.counters.ignored += 1;
  }

  /** The next frame for the guest; undefined when there is none. TCP makes its segments here, so it never sends what nobody takes. */
  take(now: number): Uint8Array | undefined {
    const frame = this.#replies.shift() ?? this.#takeSegment(now);
    if (frame !== undefined) this.counters.sent += 1;
    return frame;
  }

  /** Lets time pass: retransmissions become ready to be taken. */
  advance(now: number): void {
    for (const [key, connection] of this.#connections) {
      if (connection.deadline > now) continue;
      connection.advance(now);
      this.#ready.add(key);
    }
  }

  /** When `advance` is due next, in microseconds; Infinity when nothing waits for time. */
  get deadline(): number {
    let earliest = Infinity;
    for (const connection of this.#connections.values()) earliest = Math.min(earliest, connection.deadline);
    return earliest;
  }

  /** Whether `take` may have a frame. */
  get pending(): boolean {
    return this.#replies.length > 0 || this.#ready.size > 0;
  }

  /** Connections that exist now. */
  get open(): number {
    return this.#connections.size;
  }

  /** Cuts every connection: the guest has been reset. */
  reset(): void {
    for (const connection of this.#connections.values()) connection.abort();
    this.#connections.clear();
    this.#ready.clear();
    this.#replies.length = 0;
  }

  checkInvariants(): void {
    assert(this.#replies.length <= MAXIMUM_REPLIES, 'replies are bounded');
    assert(this.#connections.size <= MAXIMUM_CONNECTIONS, 'connections are bounded');
    for (const key of this.#ready) assert(this.#connections.has(key), 'only connections that exist are ready');
    for (const connection of this.#connections.values()) connection.checkInvariants();
  }

  #reply(frame: Uint8Array): void {
    if (this.#replies.length < MAXIMUM_REPLIES) this.#replies.push(frame);
    else this.counters.overflowed += 1;
  }

  #receiveArp(payload: Uint8Array): void {
    const request = parseArpRequest(payload);
    if (request === undefined || !this.#hosts(request.target)) this.counters.ignored += 1;
    else this.#reply(arpReply(request, GATEWAY_MAC));
  }

  #hosts(address: Ipv4Address): boolean {
    return address === GATEWAY_ADDRESS || address === NAME_SERVER_ADDRESS || this.#services.hosts(address);
  }

  #receiveIpv4(bytes: Uint8Array, guestMac: MacAddress, now: number): void {
    const packet = parseIpv4Packet(bytes);
    if (typeof packet === 'string') {
      this.#countDefect(packet);
      return;
    }
    const route: Route = {
      sourceMac: GATEWAY_MAC,
      destinationMac: guestMac,
      source: packet.destination,
      destination: packet.source,
    };
    if (packet.destination === BROADCAST_IPV4 || packet.destination === (GATEWAY_ADDRESS | ~NETWORK_MASK) >>> 0)
      this.#receiveBroadcast(packet, guestMac);
    // Answers go to the leased address only, so the guest cannot have them sent anywhere else.
    else if (packet.source !== GUEST_ADDRESS && !isDhcp(packet)) this.counters.ignored += 1;
    else if (packet.protocol === Protocol.udp) this.#receiveUdp(packet, route);
    else if (packet.protocol === Protocol.tcp) this.#receiveTcp(packet, route, now);
    else if (packet.protocol === Protocol.icmp) this.#receiveIcmp(packet, route);
    else this.#reply(unreachable(packet, Unreachable.protocol, route));
  }

  #countDefect(defect: Ipv4Defect): void {
    if (defect === 'fragment') this.counters.ignored += 1;
    else this.counters.malformed += 1;
  }

  #receiveBroadcast(packet: Ipv4Packet, guestMac: MacAddress): void {
    if (isDhcp(packet)) this.#receiveDhcp(packet, guestMac);
    else this.counters.ignored += 1;
  }

  #receiveIcmp(packet: Ipv4Packet, route: Route): void {
    const reply = this.#hosts(packet.destination) ? echoReply(packet, route) : undefined;
    if (reply === undefined) this.counters.ignored += 1;
    else this.#reply(reply);
  }

  #receiveUdp(packet: Ipv4Packet, route: Route): void {
    if (isDhcp(packet) && packet.destination === GATEWAY_ADDRESS) {
      this.#receiveDhcp(packet, route.destinationMac);
      return;
    }
    const datagram = parseDatagram(packet);
    if (datagram === undefined) {
      this.counters.malformed += 1;
      return;
    }
    if (packet.destination !== NAME_SERVER_ADDRESS || datagram.destinationPort !== DNS_PORT) {
      const code = this.#hosts(packet.destination) ? Unreachable.port : Unreachable.host;
      this.#reply(unreachable(packet, code, route));
      return;
    }
    const response = answerDns(datagram.payload, this.#names);
    if (response === undefined) this.counters.malformed += 1;
    else this.#reply(udpFrame(route, DNS_PORT, datagram.sourcePort, response));
  }

  #receiveDhcp(packet: Ipv4Packet, guestMac: MacAddress): void {
    const datagram = parseDatagram(packet);
    const reply =
      datagram &&
      answerDhcp(datagram.payload, {
        address: GUEST_ADDRESS,
        mask: NETWORK_MASK,
        router: GATEWAY_ADDRESS,
        nameServer: NAME_SERVER_ADDRESS,
      });
    if (reply === undefined) {
      this.counters.ignored += 1;
      return;
    }
    const route: Route = {
      sourceMac: GATEWAY_MAC,
      destinationMac: reply.destination === BROADCAST_IPV4 ? BROADCAST_MAC : (reply.destinationMac ?? guestMac),
      source: GATEWAY_ADDRESS,
      destination: reply.destination,
    };
    this.#reply(udpFrame(route, DHCP_SERVER_PORT, DHCP_CLIENT_PORT, reply.payload));
  }

  #receiveTcp(packet: Ipv4Packet, route: Route, now: number): void {
    const segment = parseTcpSegment(packet);
    if (segment === undefined) {
      this.counters.malformed += 1;
      return;
    }
    const key = `${segment.sourcePort}>${packet.destination}:${segment.destinationPort}`;
    const isOpening = (segment.flags & (TcpFlag.syn | TcpFlag.ack | TcpFlag.rst)) === TcpFlag.syn;
    let connection = this.#connections.get(key);
    // RFC 9293, "TIME-WAIT": a new connection may begin before the old one is forgotten.
    if (isOpening && (connection?.state === 'time-wait' || connection?.state === 'closed')) {
      this.#forget(key, connection);
      connection = undefined;
    }
    if (isOpening && connection === undefined) connection = this.#open(key, packet, segment, route, now);
    else connection?.receive(segment, now);
    if (connection === undefined) this.#refuse(segment, route);
    else this.#ready.add(key);
  }

  #open(key: string, packet: Ipv4Packet, syn: TcpSegment, route: Route, now: number): TcpConnection | undefined {
    if (this.#connections.size >= MAXIMUM_CONNECTIONS) return undefined;
    const wake = () => {
      if (!this.#connections.has(key)) return;
      this.#ready.add(key);
      this.onReady();
    };
    const stream = this.#services.connect(packet.destination, syn.destinationPort, wake);
    if (stream === undefined) return undefined;
    this.#opened += 1;
    this.counters.connections += 1;
    const ends = { route, localPort: syn.destinationPort, guestPort: syn.sourcePort };
    // RFC 9293, "Initial Sequence Number Selection", without its secret: nobody else is on this cable.
    const initial = Math.floor(now / 4) + this.#opened * 64_000;
    const connection = new TcpConnection(ends, syn, stream, initial % 2 ** 32);
    this.#connections.set(key, connection);
    return connection;
  }

  /** RFC 9293, "Reset Generation". */
  #refuse(segment: TcpSegment, route: Route): void {
    if ((segment.flags & TcpFlag.rst) !== 0) return;
    this.counters.refused += 1;
    const acknowledged = (segment.flags & TcpFlag.ack) !== 0;
    this.#reply(
      tcpFrame(route, {
        sourcePort: segment.destinationPort,
        destinationPort: segment.sourcePort,
        sequence: acknowledged ? segment.acknowledgment : 0,
        acknowledgment: acknowledged ? 0 : (segment.sequence + sequenceLength(segment)) >>> 0,
        flags: acknowledged ? TcpFlag.rst : TcpFlag.rst | TcpFlag.ack,
        window: 0,
      }),
    );
  }

  #takeSegment(now: number): Uint8Array | undefined {
    for (const key of this.#ready) {
      const connection = this.#connections.get(key);
      const frame = connection?.next(now);
      // To the end of the line, so that connections take turns; or out of it, having nothing to send.
      this.#ready.delete(key);
      if (connection !== undefined && frame === undefined && connection.state === 'closed')
        this.#forget(key, connection);
      if (frame === undefined) continue;
      this.#ready.add(key);
      return frame;
    }
    return undefined;
  }

  #forget(key: string, connection: TcpConnection): void {
    this.counters.retransmissions += connection.retransmissions;
    this.#connections.delete(key);
    this.#ready.delete(key);
  }
}

function isDhcp(packet: Ipv4Packet): boolean {
  const { payload } = packet;
  return (
    packet.protocol === Protocol.udp && payload.length >= 4 && ((payload[2]! << 8) | payload[3]!) === DHCP_SERVER_PORT
  );
}
