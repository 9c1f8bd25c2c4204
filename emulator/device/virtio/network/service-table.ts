import { ConfigError } from '../../../check/errors.ts';
import { formatIpv4, parseIpv4, type Ipv4Address } from './address.ts';
import { ByteRing } from './byte-ring.ts';
import type { Services, Stream } from './service.ts';

const BUFFER = 1 << 16;
const MAXIMUM_REQUEST = 8192;

/** Makes one end of a new connection. */
export type StreamFactory = (wake: () => void) => Stream;

/** Services that run inside the process: addresses and ports, each with what answers there. */
export class ServiceTable implements Services {
  readonly #factories = new Map<string, StreamFactory>();
  readonly #addresses = new Set<Ipv4Address>();

  /** Adds a service. Throws ConfigError when the place is taken. */
  add(address: Ipv4Address, port: number, factory: StreamFactory): this {
    const key = `${address}:${port}`;
    if (this.#factories.has(key))
      throw new ConfigError('two services at one place', {
        where: `${formatIpv4(address)}:${port}`,
        mend: 'give one of them another port',
      });
    this.#factories.set(key, factory);
    this.#addresses.add(address);
    return this;
  }

  hosts(address: Ipv4Address): boolean {
    return this.#addresses.has(address);
  }

  connect(address: Ipv4Address, port: number, wake: () => void): Stream | undefined {
    return this.#factories.get(`${address}:${port}`)?.(wake);
  }
}

/** Where a service listens and what it is: `ADDRESS:PORT=KIND[:ARGUMENT]`. */
export interface ServiceSpec {
  readonly address: Ipv4Address;
  readonly port: number;
  readonly kind: string;
  readonly argument: string;
}

/** Reads `10.0.2.100:80=http:hello`. Throws ConfigError. */
export function parseService(text: string): ServiceSpec {
  const match = /^([\d.]+):(\d{1,5})=([a-z]+)(?::(.*))?$/s.exec(text);
  const address = match ? parseIpv4(match[1]!) : undefined;
  const port = Number(match?.[2]);
  if (!match || address === undefined || port < 1 || port > 65_535)
    throw new ConfigError('not a service', {
      where: text,
      mend: 'write ADDRESS:PORT=KIND[:ARGUMENT], for example 10.0.2.100:80=http:hello',
    });
  return { address, port, kind: match[3]!, argument: match[4] ?? '' };
}

/** The built-in kinds: `echo`, `discard`, `http:BODY`. Undefined for any other, which the caller may know. */
export function builtinService(spec: ServiceSpec): StreamFactory | undefined {
  switch (spec.kind) {
    case 'echo':
      return () => new EchoStream();
    case 'discard':
      return () => new DiscardStream();
    case 'http':
      return () => new HttpStream(() => ({ status: 200, body: new TextEncoder().encode(`${spec.argument}\n`) }));
    default:
      return undefined;
  }
}

/** Sends back what it gets (RFC 862). */
export class EchoStream implements Stream {
  readonly #bytes = new ByteRing(BUFFER);
  #ended = false;

  write(bytes: Uint8Array): number {
    return this.#bytes.push(bytes);
  }

  read(into: Uint8Array): number {
    const count = Math.min(into.length, this.#bytes.length);
    if (count === 0) return this.#ended ? -1 : 0;
    this.#bytes.copy(0, into.subarray(0, count));
    this.#bytes.drop(count);
    return count;
  }

  end(): void {
    this.#ended = true;
  }

  close(): void {}
}

/** Takes everything and says nothing (RFC 863). */
export class DiscardStream implements Stream {
  bytes = 0;
  #ended = false;

  write(bytes: Uint8Array): number {
    this.bytes += bytes.length;
    return bytes.length;
  }

  read(): number {
    return this.#ended ? -1 : 0;
  }

  end(): void {
    this.#ended = true;
  }

  close(): void {}
}

export interface HttpResponse {
  readonly status: number;
  readonly body: Uint8Array;
}

const REASONS = new Map([
  [200, 'OK'],
  [400, 'Bad Request'],
  [404, 'Not Found'],
  [405, 'Method Not Allowed'],
  [431, 'Request Header Fields Too Large'],
]);

/** Answers one GET or HEAD request (RFC 9112) by a function of the path, then closes. */
export class HttpStream implements Stream {
  readonly #answer: (path: string) => HttpResponse;
  #request = '';
  #response: Uint8Array | undefined;
  #sent = 0;

  constructor(answer: (path: string) => HttpResponse) {
    this.#answer = answer;
  }

  write(bytes: Uint8Array): number {
    if (this.#response !== undefined) return bytes.length;
    const room = MAXIMUM_REQUEST - this.#request.length;
    this.#request += String.fromCharCode(...bytes.subarray(0, room));
    const end = this.#request.indexOf('\r\n\r\n');
    if (end >= 0) this.#response = this.#respond(this.#request.slice(0, this.#request.indexOf('\r\n')));
    else if (this.#request.length >= MAXIMUM_REQUEST)
      this.#response = encodeResponse({ status: 431, body: EMPTY }, true);
    return bytes.length;
  }

  read(into: Uint8Array): number {
    if (this.#response === undefined) return 0;
    const part = this.#response.subarray(this.#sent, this.#sent + into.length);
    if (part.length === 0) return -1;
    into.set(part);
    this.#sent += part.length;
    return part.length;
  }

  end(): void {
    this.#response ??= encodeResponse({ status: 400, body: EMPTY }, true);
  }

  close(): void {}

  #respond(line: string): Uint8Array {
    const match = /^([A-Z]+) (\/\S*) HTTP\/1\.[01]$/.exec(line);
    if (!match) return encodeResponse({ status: 400, body: EMPTY }, true);
    const [, method, path] = match;
    if (method !== 'GET' && method !== 'HEAD') return encodeResponse({ status: 405, body: EMPTY }, true);
    return encodeResponse(this.#answer(path!), method === 'GET');
  }
}

const EMPTY = new Uint8Array();

function encodeResponse({ status, body }: HttpResponse, withBody: boolean): Uint8Array {
  const head = new TextEncoder().encode(
    [
      `HTTP/1.1 ${status} ${REASONS.get(status) ?? 'Status'}`,
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${body.length}`,
      'Connection: close',
      '\r\n',
    ].join('\r\n'),
  );
  const response = new Uint8Array(head.length + (withBody ? body.length : 0));
  response.set(head);
  if (withBody) response.set(body, head.length);
  return response;
}
