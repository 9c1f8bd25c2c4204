import { ETHERNET_HEADER, EtherType, ethernetFrame, viewOf } from './frame.ts';
import type { Ipv4Address, MacAddress } from './address.ts';

const REQUEST = 1;
const REPLY = 2;
const LENGTH = 28;

/** The request "who has `target`?". */
export interface ArpRequest {
  readonly senderMac: MacAddress;
  readonly sender: Ipv4Address;
  readonly target: Ipv4Address;
}

/** Reads an ARP request for IPv4 over Ethernet (RFC 826, "Packet format"); undefined for anything else. */
export function parseArpRequest(bytes: Uint8Array): ArpRequest | undefined {
  if (bytes.length < LENGTH) return undefined;
  const view = viewOf(bytes);
  const ethernetIpv4 = view.getUint16(0) === 1 && view.getUint16(2) === EtherType.ipv4 && view.getUint16(4) === 0x0604;
  if (!ethernetIpv4 || view.getUint16(6) !== REQUEST) return undefined;
  return { senderMac: bytes.slice(8, 14), sender: view.getUint32(14), target: view.getUint32(24) };
}

/** The frame "`request.target` is at `mac`". */
export function arpReply(request: ArpRequest, mac: MacAddress): Uint8Array {
  const frame = ethernetFrame(mac, request.senderMac, EtherType.arp, LENGTH);
  const view = new DataView(frame.buffer, ETHERNET_HEADER);
  view.setUint16(0, 1);
  view.setUint16(2, EtherType.ipv4);
  view.setUint16(4, 0x0604);
  view.setUint16(6, REPLY);
  frame.set(mac, ETHERNET_HEADER + 8);
  view.setUint32(14, request.target);
  frame.set(request.senderMac, ETHERNET_HEADER + 18);
  view.setUint32(24, request.sender);
  return frame;
}
