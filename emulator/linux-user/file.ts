import fs from 'node:fs';
import { Errno, errnoOf } from '../check/errno.ts';

/** File type bits of a mode (inode(7)). */
export const FileType = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  regular: 0o100000,
  symlink: 0o120000,
} as const;

/** What `stat` tells, before it is laid out for an ABI. Times in nanoseconds. */
export interface FileStatus {
  readonly device: number;
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly rdev: number;
  readonly size: number;
  readonly accessed: bigint;
  readonly modified: bigint;
  readonly changed: bigint;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly inode: number;
  readonly type: number;
}

/** Returned where the call would have to wait: the kernel tries again when something has happened. */
export const WOULD_BLOCK = Symbol('would block');
export type Transfer = number | typeof WOULD_BLOCK;

/**
 * An open file description: shared by the descriptors duplicated or inherited from one `open`. Reads and writes return the bytes moved,
 * a negated errno, or WOULD_BLOCK.
 */
export interface OpenFile {
  /** O_APPEND, O_NONBLOCK and the access mode, as given to `open`. */
  flags: number;
  references: number;
  /** The guest's name of it, for `fchdir` and `/proc/self/fd`. */
  readonly path: string;
  read(into: Uint8Array, position?: number): Transfer;
  write(from: Uint8Array, position?: number): Transfer;
  seek(offset: number, whence: number): number;
  status(): FileStatus | number;
  entries?(): readonly DirectoryEntry[];
  /** Readable without waiting, writable without waiting, hung up. */
  poll(): { readable: boolean; writable: boolean; hangup: boolean };
  readonly terminal: boolean;
  /** The host's descriptor, for `ftruncate`, `fsync` and the like. */
  readonly host?: number;
  /** Of a mount that the guest may not change: neither may what needs no right to write, such as its mode and times. */
  readonly readOnly?: boolean;
  /** Called when the last reference goes. */
  close(): void;
}

/** Defaults for files that cannot seek, read or write. */
export abstract class BasicFile implements OpenFile {
  flags: number;
  references = 0;
  readonly path: string;
  constructor(path: string, flags: number) {
    this.path = path;
    this.flags = flags;
  }
  get terminal(): boolean {
    return false;
  }
  read(_into: Uint8Array, _position?: number): Transfer {
    return -Errno.EINVAL;
  }
  write(_from: Uint8Array, _position?: number): Transfer {
    return -Errno.EINVAL;
  }
  seek(_offset: number, _whence: number): number {
    return -Errno.ESPIPE;
  }
  poll() {
    return { readable: true, writable: true, hangup: false };
  }
  abstract status(): FileStatus | number;
  close(): void {}
}

/** A regular file of the host, opened below a mount. */
export class HostFile extends BasicFile {
  readonly host: number;
  readonly readOnly: boolean;
  #offset = 0;
  constructor(path: string, flags: number, host: number, readOnly: boolean) {
    super(path, flags);
    this.host = host;
    this.readOnly = readOnly;
  }
  override read(into: Uint8Array, position?: number): Transfer {
    try {
      const count = fs.readSync(this.host, into, 0, into.length, position ?? this.#offset);
      if (position === undefined) this.#offset += count;
      return count;
    } catch (error) {
      return errnoOf(error);
    }
  }
  override write(from: Uint8Array, position?: number): Transfer {
    try {
      // A descriptor opened for appending ignores the position on the host as well.
      if (position === undefined && (this.flags & 0o2000) !== 0) this.#offset = fs.fstatSync(this.host).size;
      const count = fs.writeSync(this.host, from, 0, from.length, position ?? this.#offset);
      if (position === undefined) this.#offset += count;
      return count;
    } catch (error) {
      return errnoOf(error);
    }
  }
  override seek(offset: number, whence: number): number {
    const status = whence === 2 ? this.status() : undefined;
    if (typeof status === 'number') return status;
    const base = whence === 0 ? 0 : whence === 1 ? this.#offset : status?.size;
    if (base === undefined || base + offset < 0) return -Errno.EINVAL;
    return (this.#offset = base + offset);
  }
  status(): FileStatus | number {
    try {
      return statusOf(fs.fstatSync(this.host, { bigint: true }));
    } catch (error) {
      return errnoOf(error);
    }
  }
  override close(): void {
    fs.closeSync(this.host);
  }
}

/** A file whose bytes are in memory and do not change: the running program as `/proc/self/exe`, small texts. */
export class MemoryFile extends BasicFile {
  readonly #bytes: Uint8Array;
  readonly #status: FileStatus;
  #offset = 0;
  constructor(path: string, flags: number, bytes: Uint8Array, status: FileStatus) {
    super(path, flags);
    this.#bytes = bytes;
    this.#status = status;
  }
  override read(into: Uint8Array, position?: number): Transfer {
    const start = position ?? this.#offset;
    const part = this.#bytes.subarray(start, start + into.length);
    into.set(part);
    if (position === undefined) this.#offset += part.length;
    return part.length;
  }
  override seek(offset: number, whence: number): number {
    const base = [0, this.#offset, this.#bytes.length][whence];
    if (base === undefined || base + offset < 0) return -Errno.EINVAL;
    return (this.#offset = base + offset);
  }
  status(): FileStatus {
    return this.#status;
  }
}

/** A directory of the host or of the built-in tree; its entries are read once, when first asked for. */
export class Directory extends BasicFile {
  readonly #read: () => readonly DirectoryEntry[];
  readonly #status: () => FileStatus | number;
  #entries: readonly DirectoryEntry[] | undefined;
  /** Entries already handed out. */
  position = 0;
  constructor(path: string, flags: number, read: () => readonly DirectoryEntry[], status: () => FileStatus | number) {
    super(path, flags);
    this.#read = read;
    this.#status = status;
  }
  override read(): Transfer {
    return -Errno.EISDIR;
  }
  override write(): Transfer {
    return -Errno.EISDIR;
  }
  override seek(offset: number, whence: number): number {
    if (whence !== 0 || offset < 0) return -Errno.EINVAL;
    if (offset === 0) this.#entries = undefined;
    return (this.position = offset);
  }
  entries(): readonly DirectoryEntry[] {
    return (this.#entries ??= this.#read());
  }
  status(): FileStatus | number {
    return this.#status();
  }
}

/** `/dev/null`, `/dev/zero`, `/dev/full`, `/dev/urandom`. */
export class CharacterDevice extends BasicFile {
  readonly #minor: number;
  readonly #fill: (into: Uint8Array) => number;
  constructor(path: string, flags: number, minor: number, fill: (into: Uint8Array) => number) {
    super(path, flags);
    this.#minor = minor;
    this.#fill = fill;
  }
  override read(into: Uint8Array): Transfer {
    return this.#fill(into);
  }
  override write(from: Uint8Array): Transfer {
    return this.#minor === 7 ? -Errno.ENOSPC : from.length;
  }
  override seek(): number {
    return 0;
  }
  status(): FileStatus {
    return { ...BLANK_STATUS, mode: FileType.character | 0o666, rdev: (1 << 8) | this.#minor };
  }
}

export const BLANK_STATUS: FileStatus = {
  device: 1,
  inode: 1,
  mode: 0,
  links: 1,
  rdev: 0,
  size: 0,
  accessed: 0n,
  modified: 0n,
  changed: 0n,
};

/** What the host says of a file, as the guest may see it. */
export function statusOf(stat: fs.BigIntStats): FileStatus {
  return {
    device: Number(BigInt.asUintN(32, stat.dev)),
    inode: Number(BigInt.asUintN(52, stat.ino)),
    mode: Number(stat.mode),
    links: Number(stat.nlink),
    rdev: Number(BigInt.asUintN(32, stat.rdev)),
    size: Number(stat.size),
    accessed: stat.atimeNs,
    modified: stat.mtimeNs,
    changed: stat.ctimeNs,
  };
}
