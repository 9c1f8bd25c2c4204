import { finishChecksum, sumWords } from './checksum.ts';
import { Protocol, ipv4Frame, transportOf, type Ipv4Packet, type Route } from './frame.ts';

const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const DESTINATION_UNREACHABLE = 3;
/** Codes of "destination unreachable" (RFC 792). */
export const Unreachable = { host: 1, protocol: 2, port: 3 } as const;

/** The reply to an echo request (RFC 792, "Echo or Echo Reply Message"); undefined for other or damaged messages. */
export function echoReply(packet: Ipv4Packet, route: Route): Uint8Array | undefined {
  const request = packet.payload;
  if (request.length < 8 || request[0] !== ECHO_REQUEST || request[1] !== 0) return undefined;
  if (finishChecksum(sumWords(request)) !== 0) return undefined;
  const frame = ipv4Frame(route, Protocol.icmp, request.length);
  const reply = transportOf(frame);
  reply.set(request);
  reply[0] = ECHO_REPLY;
  writeChecksum(reply);
  return frame;
}

/** "Destination unreachable", quoting the packet's header and 8 bytes of its payload. */
export function unreachable(packet: Ipv4Packet, code: number, route: Route): Uint8Array {
  const quoted = packet.bytes.subarray(0, packet.bytes.length - packet.payload.length + 8);
  const frame = ipv4Frame(route, Protocol.icmp, 8 + quoted.length);
  const message = transportOf(frame);
  message[0] = DESTINATION_UNREACHABLE;
  message[1] = code;
  message.set(quoted, 8);
  writeChecksum(message);
  return frame;
}

function writeChecksum(message: Uint8Array): void {
  message[2] = 0;
  message[3] = 0;
  const checksum = finishChecksum(sumWords(message));
  message[2] = checksum >> 8;
  message[3] = checksum & 0xff;
}
