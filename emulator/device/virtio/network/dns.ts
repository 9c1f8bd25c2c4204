import type { Ipv4Address } from './address.ts';
import { viewOf } from './frame.ts';

export const DNS_PORT = 53;

const HEADER = 12;
const TYPE_A = 1;
const CLASS_IN = 1;
const MAXIMUM_NAME = 255;
const TIME_TO_LIVE = 300;
/** Response codes (RFC 1035, "Header section format"). */
const Rcode = { noError: 0, formatError: 1, nameError: 3, notImplemented: 4 } as const;

/**
 * Answers a query from a table of lower-case names without a trailing dot (RFC 1035, "Messages"). Names not in the table do not exist;
 * a name in it has an A record and nothing else. Undefined when the message is no query or too short to answer.
 */
export function answerDns(query: Uint8Array, names: ReadonlyMap<string, Ipv4Address>): Uint8Array | undefined {
  if (query.length < HEADER) return undefined;
  const view = viewOf(query);
  const flags = view.getUint16(2);
  if ((flags & 0x8000) !== 0) return undefined;
  if (((flags >> 11) & 15) !== 0) return respond(query, HEADER, Rcode.notImplemented);
  if (view.getUint16(4) !== 1) return respond(query, HEADER, Rcode.formatError);
  const question = parseQuestion(query);
  if (question === undefined) return respond(query, HEADER, Rcode.formatError);
  const address = names.get(question.name);
  if (address === undefined) return respond(query, question.end, Rcode.nameError);
  if (question.type !== TYPE_A || question.class !== CLASS_IN) return respond(query, question.end, Rcode.noError);
  return respond(query, question.end, Rcode.noError, address);
}

interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Where the question ends in the message. */
  readonly end: number;
}

function parseQuestion(query: Uint8Array): Question | undefined {
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = query[at];
    if (length === undefined) return undefined;
    at += 1;
    if (length === 0) break;
    // A question's name has nothing before it to point back to, so compression is malformed here.
    if (length > 63 || at + length > query.length || at + length - HEADER > MAXIMUM_NAME) return undefined;
    labels.push(String.fromCharCode(...query.subarray(at, at + length)).toLowerCase());
    at += length;
  }
  if (at + 4 > query.length) return undefined;
  const view = viewOf(query);
  return { name: labels.join('.'), type: view.getUint16(at), class: view.getUint16(at + 2), end: at + 4 };
}

/** Header and question (up to `end`) of the query, turned into a response, with at most one A record. */
function respond(query: Uint8Array, end: number, rcode: number, address?: Ipv4Address): Uint8Array {
  const response = new Uint8Array(end + (address === undefined ? 0 : 16));
  response.set(query.subarray(0, end));
  const view = new DataView(response.buffer);
  const kept = view.getUint16(2) & 0x7900; // opcode and "recursion desired"
  view.setUint16(2, 0x8480 | kept | rcode); // response, authoritative, recursion available
  view.setUint16(4, end > HEADER ? 1 : 0);
  view.setUint16(6, address === undefined ? 0 : 1);
  view.setUint32(8, 0);
  if (address !== undefined) {
    view.setUint16(end, 0xc000 | HEADER); // the question's name
    view.setUint16(end + 2, TYPE_A);
    view.setUint16(end + 4, CLASS_IN);
    view.setUint32(end + 6, TIME_TO_LIVE);
    view.setUint16(end + 10, 4);
    view.setUint32(end + 12, address);
  }
  return response;
}
