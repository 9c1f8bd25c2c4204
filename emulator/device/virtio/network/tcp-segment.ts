import { Protocol, ipv4Frame, transportChecksum, transportChecksumHolds, transportOf, viewOf } from './frame.ts';
import type { Ipv4Packet, Route } from './frame.ts';

/** Control bits (RFC 9293, "Header Format"). */
export const TcpFlag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16 } as const;

export const TCP_HEADER = 20;

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;
const OPTION_WINDOW_SCALE = 3;

/** A received segment; `payload` is a view of the frame. */
export interface TcpSegment {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  readonly payload: Uint8Array;
  /** From the options of a SYN. */
  readonly maximumSegmentSize: number | undefined;
  readonly windowScale: number | undefined;
}

/** Reads a TCP segment; undefined when lengths or checksum are wrong. Malformed options end the options. */
export function parseTcpSegment(packet: Ipv4Packet): TcpSegment | undefined {
  const bytes = packet.payload;
  if (bytes.length < TCP_HEADER) return undefined;
  const view = viewOf(bytes);
  const headerLength = (view.getUint8(12) >> 4) * 4;
  if (headerLength < TCP_HEADER || headerLength > bytes.length) return undefined;
  if (!transportChecksumHolds(packet, bytes)) return undefined;
  const flags = view.getUint8(13) & 0x3f;
  const options = (flags & TcpFlag.syn) === 0 ? NO_OPTIONS : parseOptions(bytes.subarray(TCP_HEADER, headerLength));
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgment: view.getUint32(8),
    flags,
    window: view.getUint16(14),
    payload: bytes.subarray(headerLength),
    ...options,
  };
}

interface Options {
  readonly maximumSegmentSize: number | undefined;
  readonly windowScale: number | undefined;
}

const NO_OPTIONS: Options = { maximumSegmentSize: undefined, windowScale: undefined };

function parseOptions(bytes: Uint8Array): Options {
  let maximumSegmentSize: number | undefined;
  let windowScale: number | undefined;
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at]!;
    if (kind === OPTION_END) break;
    if (kind === OPTION_NOP) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1];
    if (length === undefined || length < 2 || at + length > bytes.length) break;
    if (kind === OPTION_MSS && length === 4) maximumSegmentSize = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    // RFC 7323, "Window Scale Option": larger shifts are to be read as 14.
    if (kind === OPTION_WINDOW_SCALE && length === 3) windowScale = Math.min(bytes[at + 2]!, 14);
    at += length;
  }
  return { maximumSegmentSize, windowScale };
}

/** What `tcpFrame` writes into the header. */
export interface TcpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  /** Given on a SYN only. */
  readonly maximumSegmentSize?: number;
  readonly windowScale?: number;
}

/** A frame with one segment; `fill` writes its `length` payload bytes. */
export function tcpFrame(
  route: Route,
  header: TcpHeader,
  length = 0,
  fill?: (payload: Uint8Array) => void,
): Uint8Array {
  const withOptions = header.maximumSegmentSize !== undefined;
  const headerLength = TCP_HEADER + (withOptions ? 8 : 0);
  const frame = ipv4Frame(route, Protocol.tcp, headerLength + length);
  const segment = transportOf(frame);
  const view = viewOf(segment);
  view.setUint16(0, header.sourcePort);
  view.setUint16(2, header.destinationPort);
  view.setUint32(4, header.sequence);
  view.setUint32(8, header.acknowledgment);
  view.setUint8(12, (headerLength / 4) << 4);
  view.setUint8(13, header.flags);
  view.setUint16(14, header.window);
  if (withOptions) {
    view.setUint32(20, (OPTION_MSS << 24) | (4 << 16) | header.maximumSegmentSize!);
    if (header.windowScale === undefined) view.setUint32(24, 0x0101_0101 * OPTION_NOP);
    else view.setUint32(24, (OPTION_NOP << 24) | (OPTION_WINDOW_SCALE << 16) | (3 << 8) | header.windowScale);
  }
  fill?.(segment.subarray(headerLength));
  view.setUint16(16, transportChecksum(route, Protocol.tcp, segment));
  return frame;
}

/** How many sequence numbers a segment takes. */
export function sequenceLength(segment: TcpSegment): number {
  return (
    segment.payload.length +
    ((segment.flags & TcpFlag.syn) === 0 ? 0 : 1) +
    ((segment.flags & TcpFlag.fin) === 0 ? 0 : 1)
  );
}

/** Sequence numbers are compared modulo 2^32 (RFC 9293, "Sequence Numbers"). */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function distance(from: number, to: number): number {
  return (to - from) >>> 0;
}
