/** Message types of 9P2000.L: the requests; a reply's number is one more (diod, "9P2000.L protocol"; Plan 9 manual, section 5). */
export const P9 = {
  lerror: 6,
  statfs: 8,
  lopen: 12,
  lcreate: 14,
  symlink: 16,
  mknod: 18,
  rename: 20,
  readlink: 22,
  getattr: 24,
  setattr: 26,
  xattrwalk: 30,
  xattrcreate: 32,
  readdir: 40,
  fsync: 50,
  lock: 52,
  getlock: 54,
  link: 70,
  mkdir: 72,
  renameat: 74,
  unlinkat: 76,
  version: 100,
  auth: 102,
  attach: 104,
  flush: 108,
  walk: 110,
  read: 116,
  write: 118,
  clunk: 120,
  remove: 122,
} as const;

/** size[4] type[1] tag[2] */
export const HEADER = 7;
/** Header and ecode[4]: what must fit into every reply. */
export const ERROR_REPLY = HEADER + 4;
/** type[1] version[4] path[8] */
export const QID = 13;
export const MAXIMUM_WALK = 16;
export const MAXIMUM_NAME = 255;
export const MAXIMUM_LINK_TARGET = 4095;

/** Type bits of a qid. */
export const QidType = { directory: 0x80, symlink: 0x02, file: 0 } as const;

/** The server's name of a file: type, version and a number unique to it. */
export interface Qid {
  readonly type: number;
  readonly version: number;
  readonly path: bigint;
}

/**
 * Reads the fields of a request one after another. Past the end every field is zero or empty and `complete` becomes false, so that a
 * handler checks once, after its last field.
 */
export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  #complete = true;

  /** `bytes` is one message; reading begins at `start`. */
  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  /** Whether every field read so far was there. */
  get complete(): boolean {
    return this.#complete;
  }

  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#view.getUint8(at);
  }

  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at, true);
  }

  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, true);
  }

  /** As a number: exact below 2^53, and too large for any use above. */
  u64(): number {
    const low = this.u32();
    return low + this.u32() * 2 ** 32;
  }

  /** A counted string, one character a byte: names need not be UTF-8. */
  text(): string {
    const length = this.u16();
    const at = this.#take(length);
    return at < 0 ? '' : Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + at, length).toString('latin1');
  }

  /** The next `length` bytes, a view. */
  raw(length: number): Uint8Array {
    const at = this.#take(length);
    return at < 0 ? new Uint8Array() : this.#bytes.subarray(at, at + length);
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) {
      this.#complete = false;
      this.#at = this.#bytes.length;
      return -1;
    }
    this.#at = at + length;
    return at;
  }
}

/** Writes the fields of a reply. What does not fit is left out, and `overflowed` says so. */
export class MessageWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #limit = 0;
  #at = HEADER;
  #overflowed = false;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Begins a reply of at most `limit` bytes. */
  begin(limit: number): void {
    this.#limit = Math.min(limit, this.#bytes.length);
    this.#at = HEADER;
    this.#overflowed = false;
  }

  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.#limit - this.#at;
  }

  u8(value: number): void {
    const at = this.#take(1);
    if (at >= 0) this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#take(2);
    if (at >= 0) this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#take(4);
    if (at >= 0) this.#view.setUint32(at, value, true);
  }

  u64(value: number | bigint): void {
    const at = this.#take(8);
    if (at >= 0) this.#view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
  }

  text(value: string): void {
    this.u16(value.length);
    const at = this.#take(value.length);
    if (at >= 0) this.#bytes.set(Buffer.from(value, 'latin1'), at);
  }

  qid({ type, version, path }: Qid): void {
    this.u8(type);
    this.u32(version);
    this.u64(path);
  }

  /** The free bytes `skip` bytes from here on, at most `length`, to be filled in place; `advance` then counts them. */
  space(skip: number, length: number): Uint8Array {
    const start = Math.min(this.#limit, this.#at + skip);
    return this.#bytes.subarray(start, Math.min(this.#limit, start + length));
  }

  advance(length: number): void {
    this.#take(length);
  }

  /** The finished message. */
  finish(type: number, tag: number): Uint8Array {
    this.#view.setUint32(0, this.#at, true);
    this.#view.setUint8(4, type);
    this.#view.setUint16(5, tag, true);
    return this.#bytes.subarray(0, this.#at);
  }

  #take(length: number): number {
    const at = this.#at;
    if (this.#overflowed || at + length > this.#limit) {
      this.#overflowed = true;
      return -1;
    }
    this.#at = at + length;
    return at;
  }
}
