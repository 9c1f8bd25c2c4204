import { BROADCAST_IPV4, type Ipv4Address, type MacAddress } from './address.ts';
import { viewOf } from './frame.ts';

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** Values of option 53 (RFC 2132, "DHCP Message Type"). */
export const DhcpMessage = {
  discover: 1,
  offer: 2,
  request: 3,
  decline: 4,
  ack: 5,
  nak: 6,
  release: 7,
  inform: 8,
} as const;

const Option = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  domainNameServer: 6,
  requestedAddress: 50,
  leaseTime: 51,
  messageType: 53,
  serverIdentifier: 54,
  end: 255,
} as const;

const FIXED_LENGTH = 236;
const MAGIC_COOKIE = 0x6382_5363;
const LEASE_SECONDS = 86_400;
/** RFC 1542, "Client Behavior": some clients throw shorter replies away. */
const MINIMUM_REPLY = 300;

/** The one lease there is, and who gives it. */
export interface Lease {
  readonly address: Ipv4Address;
  readonly mask: Ipv4Address;
  readonly router: Ipv4Address;
  readonly nameServer: Ipv4Address;
}

/** A reply's payload, and where to send it. */
export interface DhcpReply {
  readonly payload: Uint8Array;
  readonly destination: Ipv4Address;
  readonly destinationMac: MacAddress | undefined;
}

/** Answers one message of a client (RFC 2131, "DHCP server behavior"); undefined when none is due or the message is malformed. */
export function answerDhcp(message: Uint8Array, lease: Lease): DhcpReply | undefined {
  if (message.length < FIXED_LENGTH + 4) return undefined;
  const view = viewOf(message);
  const bootRequestOverEthernet = view.getUint8(0) === 1 && view.getUint8(1) === 1 && view.getUint8(2) === 6;
  if (!bootRequestOverEthernet || view.getUint32(FIXED_LENGTH) !== MAGIC_COOKIE) return undefined;
  const options = parseOptions(message.subarray(FIXED_LENGTH + 4));
  if (options === undefined) return undefined;
  const clientAddress = view.getUint32(12);
  const kind = replyKind(options, clientAddress, lease);
  if (kind === undefined) return undefined;
  const payload = buildReply(message, kind, clientAddress, options.type === DhcpMessage.inform, lease);
  // RFC 2131, "DHCP Server Administrative Controls": a configured client by address, an unconfigured one by its hardware address.
  if (kind !== DhcpMessage.nak && clientAddress !== 0)
    return { payload, destination: clientAddress, destinationMac: message.slice(28, 34) };
  const broadcast = kind === DhcpMessage.nak || (view.getUint16(10) & 0x8000) !== 0;
  return broadcast
    ? { payload, destination: BROADCAST_IPV4, destinationMac: undefined }
    : { payload, destination: lease.address, destinationMac: message.slice(28, 34) };
}

interface Options {
  readonly type: number;
  readonly requested: Ipv4Address | undefined;
  readonly server: Ipv4Address | undefined;
}

function parseOptions(bytes: Uint8Array): Options | undefined {
  const view = viewOf(bytes);
  let type: number | undefined;
  let requested: number | undefined;
  let server: number | undefined;
  for (let at = 0; at < bytes.length;) {
    const code = bytes[at]!;
    if (code === Option.end) break;
    if (code === Option.pad) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1];
    if (length === undefined || at + 2 + length > bytes.length) return undefined;
    if (code === Option.messageType && length === 1) type = bytes[at + 2];
    if (code === Option.requestedAddress && length === 4) requested = view.getUint32(at + 2);
    if (code === Option.serverIdentifier && length === 4) server = view.getUint32(at + 2);
    at += 2 + length;
  }
  return type === undefined ? undefined : { type, requested, server };
}

function replyKind({ type, requested, server }: Options, clientAddress: number, lease: Lease): number | undefined {
  switch (type) {
    case DhcpMessage.discover:
      return DhcpMessage.offer;
    case DhcpMessage.inform:
      return DhcpMessage.ack;
    case DhcpMessage.request:
      // Another server was chosen.
      if (server !== undefined && server !== lease.router) return undefined;
      return (requested ?? clientAddress) === lease.address ? DhcpMessage.ack : DhcpMessage.nak;
    default:
      // Decline and release: the lease belongs to this guest whatever it says.
      return undefined;
  }
}

function buildReply(
  request: Uint8Array,
  kind: number,
  clientAddress: Ipv4Address,
  inform: boolean,
  lease: Lease,
): Uint8Array {
  const reply = new Uint8Array(MINIMUM_REPLY);
  const view = new DataView(reply.buffer);
  const granted = kind !== DhcpMessage.nak && !inform;
  view.setUint8(0, 2);
  reply.set(request.subarray(1, 3), 1);
  reply.set(request.subarray(4, 8), 4); // transaction id
  reply.set(request.subarray(10, 12), 10); // flags
  if (kind === DhcpMessage.ack) view.setUint32(12, clientAddress);
  if (granted) view.setUint32(16, lease.address);
  reply.set(request.subarray(28, 44), 28); // client hardware address
  view.setUint32(FIXED_LENGTH, MAGIC_COOKIE);
  let at = FIXED_LENGTH + 4;
  const put = (code: number, length: 1 | 4, value: number) => {
    view.setUint8(at, code);
    view.setUint8(at + 1, length);
    if (length === 1) view.setUint8(at + 2, value);
    else view.setUint32(at + 2, value);
    at += 2 + length;
  };
  put(Option.messageType, 1, kind);
  put(Option.serverIdentifier, 4, lease.router);
  if (granted) put(Option.leaseTime, 4, LEASE_SECONDS);
  if (kind !== DhcpMessage.nak) {
    put(Option.subnetMask, 4, lease.mask);
    put(Option.router, 4, lease.router);
    put(Option.domainNameServer, 4, lease.nameServer);
  }
  view.setUint8(at, Option.end);
  return reply;
}
