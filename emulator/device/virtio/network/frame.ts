import { finishChecksum, pseudoHeaderSum, sumWords } from './checksum.ts';
import type { Ipv4Address, MacAddress } from './address.ts';

export const EtherType = { ipv4: 0x0800, arp: 0x0806 } as const;
export const Protocol = { icmp: 1, tcp: 6, udp: 17 } as const;

export const ETHERNET_HEADER = 14;
export const IPV4_HEADER = 20;
export const UDP_HEADER = 8;
/** The Ethernet payload both sides agree on; no option here raises it. */
export const MTU = 1500;
export const MAXIMUM_FRAME = ETHERNET_HEADER + MTU;

/** What of an IPv4 packet matters here; `payload` is a view of the frame. */
export interface Ipv4Packet {
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
  readonly protocol: number;
  readonly payload: Uint8Array;
  /** Header and payload as they arrived, to be quoted in ICMP errors. */
  readonly bytes: Uint8Array;
}

/** Why a packet was not taken; each is a counter. */
export type Ipv4Defect = 'truncated' | 'malformed' | 'checksum' | 'fragment';

/** Reads an IPv4 packet (RFC 791, "Internet Header Format"). Options are skipped; fragments are not put together. */
export function parseIpv4Packet(bytes: Uint8Array): Ipv4Packet | Ipv4Defect {
  if (bytes.length < IPV4_HEADER) return 'truncated';
  const view = viewOf(bytes);
  const headerLength = (view.getUint8(0) & 15) * 4;
  const total = view.getUint16(2);
  if (view.getUint8(0) >> 4 !== 4 || headerLength < IPV4_HEADER || total < headerLength || view.getUint8(8) === 0)
    return 'malformed';
  // Ethernet pads short frames, so there may be more than `total`, never less.
  if (total > bytes.length) return 'truncated';
  if (finishChecksum(sumWords(bytes.subarray(0, headerLength))) !== 0) return 'checksum';
  if ((view.getUint16(6) & 0x3fff) !== 0) return 'fragment';
  return {
    source: view.getUint32(12),
    destination: view.getUint32(16),
    protocol: view.getUint8(9),
    payload: bytes.subarray(headerLength, total),
    bytes: bytes.subarray(0, total),
  };
}

/** Both ends of a packet that is sent. */
export interface Route {
  readonly sourceMac: MacAddress;
  readonly destinationMac: MacAddress;
  readonly source: Ipv4Address;
  readonly destination: Ipv4Address;
}

/** A new frame of `payloadLength` bytes with its Ethernet header written. */
export function ethernetFrame(
  sourceMac: MacAddress,
  destinationMac: MacAddress,
  type: number,
  payloadLength: number,
): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + payloadLength);
  frame.set(destinationMac, 0);
  frame.set(sourceMac, 6);
  frame[12] = type >> 8;
  frame[13] = type & 0xff;
  return frame;
}

/** A frame with its IPv4 header complete; the caller fills the `payloadLength` bytes from `ETHERNET_HEADER + IPV4_HEADER` on. */
export function ipv4Frame(route: Route, protocol: number, payloadLength: number, identification = 0): Uint8Array {
  const frame = ethernetFrame(route.sourceMac, route.destinationMac, EtherType.ipv4, IPV4_HEADER + payloadLength);
  const view = new DataView(frame.buffer, ETHERNET_HEADER);
  view.setUint8(0, 0x45);
  view.setUint16(2, IPV4_HEADER + payloadLength);
  view.setUint16(4, identification & 0xffff);
  view.setUint16(6, 0x4000); // don't fragment
  view.setUint8(8, 64);
  view.setUint8(9, protocol);
  view.setUint32(12, route.source);
  view.setUint32(16, route.destination);
  const header = frame.subarray(ETHERNET_HEADER, ETHERNET_HEADER + IPV4_HEADER);
  view.setUint16(10, finishChecksum(sumWords(header)));
  return frame;
}

/** The part of a frame after the IPv4 header `ipv4Frame` wrote. */
export function transportOf(frame: Uint8Array): Uint8Array {
  return frame.subarray(ETHERNET_HEADER + IPV4_HEADER);
}

/** Ports and content of a UDP datagram. */
export interface Datagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

/** Reads a UDP datagram (RFC 768); undefined when its length or checksum is wrong. */
export function parseDatagram(packet: Ipv4Packet): Datagram | undefined {
  const { payload } = packet;
  if (payload.length < UDP_HEADER) return undefined;
  const view = viewOf(payload);
  const length = view.getUint16(4);
  if (length < UDP_HEADER || length > payload.length) return undefined;
  const datagram = payload.subarray(0, length);
  // A zero checksum means that the sender made none.
  if (view.getUint16(6) !== 0 && !transportChecksumHolds(packet, datagram)) return undefined;
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    payload: datagram.subarray(UDP_HEADER),
  };
}

/** A frame that carries one UDP datagram. */
export function udpFrame(route: Route, sourcePort: number, destinationPort: number, payload: Uint8Array): Uint8Array {
  const frame = ipv4Frame(route, Protocol.udp, UDP_HEADER + payload.length);
  const datagram = transportOf(frame);
  const view = viewOf(datagram);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, datagram.length);
  datagram.set(payload, UDP_HEADER);
  // 0 would say "no checksum"; its other spelling in one's complement is all ones.
  view.setUint16(6, transportChecksum(route, Protocol.udp, datagram) || 0xffff);
  return frame;
}

/** The checksum over pseudo header and segment, whose checksum field must be zero. */
export function transportChecksum(
  ends: { readonly source: Ipv4Address; readonly destination: Ipv4Address },
  protocol: number,
  segment: Uint8Array,
): number {
  return finishChecksum(sumWords(segment, pseudoHeaderSum(ends.source, ends.destination, protocol, segment.length)));
}

export function transportChecksumHolds(packet: Ipv4Packet, segment: Uint8Array): boolean {
  return transportChecksum(packet, packet.protocol, segment) === 0;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
