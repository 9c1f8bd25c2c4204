/** Flattened device trees (Devicetree Specification v0.4, "Flattened Devicetree (DTB) Format", version 17): writer and reader. */
import { assert } from '../check/assert.ts';
import { ImageError } from '../check/errors.ts';

export interface FdtNode {
  /** With its unit address, `uart@10000000`; empty for the root. */
  readonly name: string;
  readonly properties: ReadonlyMap<string, Uint8Array>;
  readonly children: readonly FdtNode[];
}

export interface FdtReservation {
  readonly address: bigint;
  readonly size: bigint;
}

export interface Fdt {
  readonly root: FdtNode;
  /** Memory that the client program must leave alone. */
  readonly reservations: readonly FdtReservation[];
  readonly bootCpu: number;
}

/**
 * A property's value as boards write it: `true` is an empty property; a number is one cell, a bigint two, a list of them as many as come
 * together; strings end with a NUL each; bytes are taken as they are.
 */
export type PropertyValue =
  true | number | bigint | string | readonly (number | bigint)[] | readonly string[] | Uint8Array;

const MAGIC = 0xd00d_feed;
const HEADER_SIZE = 40;
const VERSION = 17;
const LAST_COMPATIBLE_VERSION = 16;
const Token = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const;
/** Deeper trees are refused: no board comes near, and recursion must end. */
const MAX_DEPTH = 64;

/** A node; properties that are `undefined` are left out. */
export function fdtNode(
  name: string,
  properties: Readonly<Record<string, PropertyValue | undefined>>,
  children: readonly FdtNode[] = [],
): FdtNode {
  const encoded = Object.entries(properties).flatMap(([key, value]): [string, Uint8Array][] =>
    value === undefined ? [] : [[key, encodeProperty(value)]],
  );
  return { name, properties: new Map(encoded), children };
}

/** A property's bytes. */
export function encodeProperty(value: PropertyValue): Uint8Array {
  if (value === true) return new Uint8Array(0);
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'number' || typeof value === 'bigint') return encodeCells([value]);
  if (typeof value === 'string') return encodeStrings([value]);
  return typeof value[0] === 'string' ? encodeStrings(value as string[]) : encodeCells(value as (number | bigint)[]);
}

/** Big-endian 32-bit cells of a property; a length that is no multiple of 4 loses its end. */
export function cellsOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >>> 2 }, (_, n) => view.getUint32(4 * n));
}

/** The NUL-terminated strings of a property. */
export function stringsOf(bytes: Uint8Array): string[] {
  const text = new TextDecoder().decode(bytes);
  return text === '' ? [] : text.replace(/\0$/, '').split('\0');
}

/** The node at `path`, components by full name or without the unit address where that is unique: `/soc/uart@10000000`, `/chosen`. */
export function findNode(root: FdtNode, path: string): FdtNode | undefined {
  let node: FdtNode | undefined = root;
  for (const name of path.split('/').filter((part) => part !== '')) {
    if (node === undefined) return undefined;
    const exact: FdtNode | undefined = node.children.find((child) => child.name === name);
    const alike: FdtNode[] = node.children.filter((child) => child.name.split('@')[0] === name);
    node = exact ?? (alike.length === 1 ? alike[0] : undefined);
  }
  return node;
}

/** A copy with `properties` set in the node at `path`; nodes on the way that are missing are made, `undefined` removes a property. */
export function withProperties(
  root: FdtNode,
  path: string,
  properties: Readonly<Record<string, PropertyValue | undefined>>,
): FdtNode {
  const [first, ...rest] = path.split('/').filter((part) => part !== '');
  if (first === undefined) {
    const changed = new Map(root.properties);
    for (const [key, value] of Object.entries(properties)) {
      if (value === undefined) changed.delete(key);
      else changed.set(key, encodeProperty(value));
    }
    return { ...root, properties: changed };
  }
  const found = root.children.find(({ name }) => name === first);
  const child = withProperties(found ?? fdtNode(first, {}), rest.join('/'), properties);
  const children =
    found === undefined ? [...root.children, child] : root.children.map((c) => (c === found ? child : c));
  return { ...root, children };
}

/** The blob: header, reservations, structure, strings. `room` zero bytes at the end leave firmware space to add to it. */
export function writeFdt(fdt: Fdt, room = 0): Uint8Array {
  const strings = new StringTable();
  const words: number[] = [];
  writeNode(fdt.root, words, strings, 0);
  words.push(Token.end);

  const reservationsAt = HEADER_SIZE;
  const structureAt = reservationsAt + 16 * (fdt.reservations.length + 1);
  const stringsAt = structureAt + 4 * words.length;
  const text = strings.bytes();
  const total = Math.ceil((stringsAt + text.length + room) / 8) * 8;
  const blob = new Uint8Array(total);
  const view = new DataView(blob.buffer);
  const header = [
    MAGIC,
    total,
    structureAt,
    stringsAt,
    reservationsAt,
    VERSION,
    LAST_COMPATIBLE_VERSION,
    fdt.bootCpu,
    text.length,
    4 * words.length,
  ];
  for (const [n, word] of header.entries()) view.setUint32(4 * n, word);
  for (const [n, { address, size }] of fdt.reservations.entries()) {
    view.setBigUint64(reservationsAt + 16 * n, address);
    view.setBigUint64(reservationsAt + 16 * n + 8, size);
  }
  for (const [n, word] of words.entries()) view.setUint32(structureAt + 4 * n, word);
  blob.set(text, stringsAt);
  return blob;
}

/**
 * Reads a blob of version 16 or 17 and everything compatible with them. Property values are copies.
 * @throws ImageError, naming `origin`, for anything truncated, inconsistent or deeper than 64 nodes.
 */
export function parseFdt(bytes: Uint8Array, origin: string): Fdt {
  const fail = (message: string): never => {
    throw new ImageError(message, { where: origin, mend: 'give a device tree blob as dtc writes it' });
  };
  if (bytes.length < HEADER_SIZE) fail(`${bytes.length} bytes are too few for a device tree blob`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const field = (n: number): number => view.getUint32(4 * n);
  if (field(0) !== MAGIC) fail(`starts with 0x${field(0).toString(16)}, not with the magic of a device tree blob`);
  const [total, structureAt, stringsAt, reservationsAt, version, compatible] = [1, 2, 3, 4, 5, 6].map(field) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (total > bytes.length || total < HEADER_SIZE) fail(`says it has ${total} bytes; there are ${bytes.length}`);
  if (version < LAST_COMPATIBLE_VERSION || compatible > VERSION) fail(`device tree blob of version ${version}`);
  if (structureAt % 4 !== 0 || reservationsAt % 8 !== 0) fail('a block is misaligned');
  const stringsSize = field(8);
  const structureSize = version >= 17 ? field(9) : total - structureAt;
  // Without a size of its own, version 16, the block goes on to the end of the blob, which may lie before it.
  if (structureSize < 0 || structureAt + structureSize > total || stringsAt + stringsSize > total)
    fail('a block ends after the blob');

  const reservations: FdtReservation[] = [];
  for (let at = reservationsAt; ; at += 16) {
    if (at + 16 > total) fail('the memory reservation block does not end');
    const address = view.getBigUint64(at);
    const size = view.getBigUint64(at + 8);
    if (address === 0n && size === 0n) break;
    reservations.push({ address, size });
  }
  const structure = new DataView(bytes.buffer, bytes.byteOffset + structureAt, structureSize);
  const strings = bytes.subarray(stringsAt, stringsAt + stringsSize);
  const root = new StructureReader(structure, strings, fail).read();
  return { root, reservations, bootCpu: field(7) };
}

function encodeCells(values: readonly (number | bigint)[]): Uint8Array {
  const bytes = new Uint8Array(values.reduce<number>((sum, value) => sum + (typeof value === 'bigint' ? 8 : 4), 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const value of values) {
    if (typeof value === 'bigint') view.setBigUint64(at, BigInt.asUintN(64, value));
    else {
      assert(Number.isInteger(value) && value >= 0 && value < 2 ** 32, `${value} is a cell of 32 bits`);
      view.setUint32(at, value);
    }
    at += typeof value === 'bigint' ? 8 : 4;
  }
  return bytes;
}

function encodeStrings(values: readonly string[]): Uint8Array {
  for (const value of values) assert(!value.includes('\0'), 'a string of a property holds no NUL');
  return new TextEncoder().encode(values.map((value) => `${value}\0`).join(''));
}

/** Property names, each once. */
class StringTable {
  readonly #offsets = new Map<string, number>();
  #text = '';

  offset(name: string): number {
    const known = this.#offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.#text.length;
    this.#offsets.set(name, offset);
    this.#text += `${name}\0`;
    return offset;
  }

  bytes(): Uint8Array {
    return new TextEncoder().encode(this.#text);
  }
}

function writeNode(node: FdtNode, words: number[], strings: StringTable, depth: number): void {
  assert(depth < MAX_DEPTH, 'a device tree is at most 64 nodes deep');
  assert(depth === 0 || /^[\x21-\x2e\x30-\x7e]+$/.test(node.name), `'${node.name}' is a node name`);
  words.push(Token.beginNode);
  pushBytes(words, encodeStrings([node.name]));
  for (const [name, value] of node.properties) {
    // Names are ASCII, so that lengths in characters are lengths in bytes.
    assert(/^[\x21-\x7e]+$/.test(name), `'${name}' is a property name`);
    words.push(Token.property, value.length, strings.offset(name));
    pushBytes(words, value);
  }
  for (const child of node.children) writeNode(child, words, strings, depth + 1);
  words.push(Token.endNode);
}

/** Bytes as big-endian words, padded with zeros. */
function pushBytes(words: number[], bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 4) {
    const byte = (n: number): number => bytes[at + n] ?? 0;
    words.push(((byte(0) << 24) | (byte(1) << 16) | (byte(2) << 8) | byte(3)) >>> 0);
  }
}

class StructureReader {
  readonly #view: DataView;
  readonly #strings: Uint8Array;
  readonly #fail: (message: string) => never;
  #at = 0;

  constructor(view: DataView, strings: Uint8Array, fail: (message: string) => never) {
    this.#view = view;
    this.#strings = strings;
    this.#fail = fail;
  }

  read(): FdtNode {
    if (this.#token() !== Token.beginNode) this.#fail('the structure block does not begin with a node');
    const root = this.#node(0);
    if (this.#token() !== Token.end) this.#fail('something follows the root node');
    return root;
  }

  #node(depth: number): FdtNode {
    if (depth >= MAX_DEPTH) this.#fail(`nodes lie more than ${MAX_DEPTH} deep`);
    const name = this.#name(this.#bytesOfView(), 'a node name');
    this.#at += Math.ceil((name.length + 1) / 4) * 4;
    if (depth > 0 && !/^[^/]+$/.test(name)) this.#fail(`'${name}' is no node name`);
    const properties = new Map<string, Uint8Array>();
    const children: FdtNode[] = [];
    for (;;) {
      switch (this.#token()) {
        case Token.property: {
          if (children.length > 0) this.#fail(`node ${name} has a property after a child`);
          const [key, value] = this.#property();
          if (properties.has(key)) this.#fail(`node ${name} has ${key} twice`);
          properties.set(key, value);
          break;
        }
        case Token.beginNode:
          children.push(this.#node(depth + 1));
          break;
        case Token.endNode:
          return { name, properties, children };
        default:
          this.#fail(`node ${name} does not end`);
      }
    }
  }

  #property(): [string, Uint8Array] {
    const length = this.#word();
    const nameAt = this.#word();
    const name = this.#name(this.#strings.subarray(Math.min(nameAt, this.#strings.length)), 'a property name');
    if (name === '') this.#fail('a property has no name');
    const rest = this.#bytesOfView();
    if (length > rest.length) this.#fail(`property ${name} of ${length} bytes ends after the structure block`);
    this.#at += Math.ceil(length / 4) * 4;
    return [name, rest.slice(0, length)];
  }

  /** The next token that says something. */
  #token(): number {
    for (;;) {
      const token = this.#word();
      if (token !== Token.nop) return token;
    }
  }

  #word(): number {
    if (this.#at + 4 > this.#view.byteLength) this.#fail('the structure block does not end');
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  #bytesOfView(): Uint8Array {
    const at = Math.min(this.#at, this.#view.byteLength);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, this.#view.byteLength - at);
  }

  /** Up to the NUL, one character a byte. */
  #name(bytes: Uint8Array, what: string): string {
    const end = bytes.indexOf(0);
    if (end < 0) this.#fail(`${what} does not end`);
    let text = '';
    for (const byte of bytes.subarray(0, end)) {
      if (byte < 0x21 || byte > 0x7e) this.#fail(`${what} holds the byte 0x${byte.toString(16)}`);
      text += String.fromCharCode(byte);
    }
    return text;
  }
}
