import { ConfigError } from '../../check/errors.ts';

/**
 * What a disk's contents are kept in. Ranges lie inside `size` and lengths are positive: the device has checked them. Operations answer
 * whether they succeeded; a failure is the host's (a medium, a full disk) and becomes an I/O error for the guest, never an exception.
 */
export interface BlockBackend {
  /** Bytes. */
  readonly size: number;
  readonly readOnly: boolean;
  /** Copies `length` bytes at `position` to `target` from `offset` on. */
  read(position: number, target: Uint8Array, offset: number, length: number): boolean;
  write(position: number, source: Uint8Array, offset: number, length: number): boolean;
  /** The range reads as zeroes afterwards. */
  zero(position: number, length: number): boolean;
  /** The guest does not need the range's contents any more; storage may be given back. Absent: the disk does not offer it. */
  discard?(position: number, length: number): boolean;
  /** All that was written is on stable storage, as far as the backend has any. */
  flush(): boolean;
}

const { copy } = Buffer.prototype;

/**
 * Copies `length` bytes from one offset to another. Without a view of the source as `set` needs it: new memory for one leaves the caches after
 * every 50 KiB that are copied. [measured]
 */
function copyBytes(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  copy.call(source as Buffer, target, to, from, from + length);
}

/** A disk held in one array. */
export class MemoryDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, readOnly = false) {
    this.bytes = bytes;
    this.size = bytes.length;
    this.readOnly = readOnly;
  }

  read(position: number, target: Uint8Array, offset: number, length: number): boolean {
    copyBytes(this.bytes, position, target, offset, length);
    return true;
  }

  write(position: number, source: Uint8Array, offset: number, length: number): boolean {
    copyBytes(source, offset, this.bytes, position, length);
    return true;
  }

  zero(position: number, length: number): boolean {
    this.bytes.fill(0, position, position + length);
    return true;
  }

  flush(): boolean {
    return true;
  }
}

/** Positional access to a file, as `node:fs` has it; each function may throw. */
export interface PositionalFile {
  /** Bytes. */
  readonly size: number;
  /** Returns how many bytes were read: fewer than asked for only at the end of the file or when interrupted. */
  read(target: Uint8Array, offset: number, length: number, position: number): number;
  write(source: Uint8Array, offset: number, length: number, position: number): number;
  sync(): void;
}

const ZEROES = new Uint8Array(1 << 16);

/** A disk image on the host, opened by the machine. */
export class FileDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  private readonly file: PositionalFile;
  /** Told about each host failure, which the guest only sees as an I/O error. */
  private readonly report: (error: unknown) => void;

  /** The disk is the file's whole 512-byte sectors. */
  constructor(file: PositionalFile, readOnly: boolean, report: (error: unknown) => void) {
    this.file = file;
    this.size = file.size - (file.size % 512);
    this.readOnly = readOnly;
    this.report = report;
  }

  read(position: number, target: Uint8Array, offset: number, length: number): boolean {
    return this.attempt(() => {
      for (let done = 0; done < length;) {
        const part = this.file.read(target, offset + done, length - done, position + done);
        if (part <= 0) throw new Error(`the image ends at ${position + done}, short of its ${this.size} bytes`);
        done += part;
      }
    });
  }

  write(position: number, source: Uint8Array, offset: number, length: number): boolean {
    return this.attempt(() => this.writeAll(position, source, offset, length));
  }

  zero(position: number, length: number): boolean {
    return this.attempt(() => {
      for (let done = 0; done < length; done += ZEROES.length) {
        this.writeAll(position + done, ZEROES, 0, Math.min(ZEROES.length, length - done));
      }
    });
  }

  flush(): boolean {
    return this.attempt(() => this.file.sync());
  }

  private writeAll(position: number, source: Uint8Array, offset: number, length: number): void {
    for (let done = 0; done < length;) {
      const part = this.file.write(source, offset + done, length - done, position + done);
      if (part <= 0) throw new Error(`nothing could be written at ${position + done}`);
      done += part;
    }
  }

  private attempt(operation: () => void): boolean {
    try {
      operation();
      return true;
    } catch (error) {
      this.report(error);
      return false;
    }
  }
}

/** The grain in which sparse disks and overlays keep what was written. */
const GRAIN = 1 << 16;

/** A map from grain number to bytes: what was written of a disk that may be far larger than the host's memory. */
class Grains {
  readonly limit: number;
  private readonly grains = new Map<number, Uint8Array>();

  constructor(limit: number) {
    this.limit = limit;
  }

  get stored(): number {
    return this.grains.size * GRAIN;
  }

  at(number: number): Uint8Array | undefined {
    return this.grains.get(number);
  }

  /** A new grain of zeroes, or undefined when there is no room. */
  add(number: number): Uint8Array | undefined {
    if (this.stored + GRAIN > this.limit) return undefined;
    try {
      const grain = new Uint8Array(GRAIN);
      this.grains.set(number, grain);
      return grain;
    } catch {
      // The host has no more memory to give: a full disk to the guest.
      return undefined;
    }
  }

  remove(number: number): void {
    this.grains.delete(number);
  }
}

/** By default a sparse disk or an overlay keeps up to 4 GiB; writes beyond fail as on a full disk. */
const DEFAULT_STORE_LIMIT = 2 ** 32;

/** An empty disk of any size that stores only what is written, in memory. Making one takes the same short time for every size. */
export class SparseDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly = false;
  private readonly grains: Grains;

  /** `size` in bytes, a multiple of 512 up to 2^53; at most `limit` bytes are stored. Throws ConfigError for another size. */
  constructor(size: number, limit: number = DEFAULT_STORE_LIMIT) {
    if (!Number.isSafeInteger(size) || size < 0 || size % 512 !== 0) {
      throw new ConfigError(`a disk of ${size} bytes`, { mend: 'give a multiple of 512' });
    }
    this.size = size;
    this.grains = new Grains(limit);
  }

  /** Bytes of host memory in use. */
  get stored(): number {
    return this.grains.stored;
  }

  read(position: number, target: Uint8Array, offset: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const within = (position + done) % GRAIN;
      const part = Math.min(GRAIN - within, length - done);
      const grain = this.grains.at((position + done - within) / GRAIN);
      if (grain === undefined) target.fill(0, offset + done, offset + done + part);
      else target.set(grain.subarray(within, within + part), offset + done);
      done += part;
    }
    return true;
  }

  write(position: number, source: Uint8Array, offset: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const within = (position + done) % GRAIN;
      const part = Math.min(GRAIN - within, length - done);
      const number = (position + done - within) / GRAIN;
      const grain = this.grains.at(number) ?? this.grains.add(number);
      if (grain === undefined) return false;
      grain.set(source.subarray(offset + done, offset + done + part), within);
      done += part;
    }
    return true;
  }

  zero(position: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const within = (position + done) % GRAIN;
      const part = Math.min(GRAIN - within, length - done);
      const number = (position + done - within) / GRAIN;
      if (part === GRAIN) this.grains.remove(number);
      else this.grains.at(number)?.fill(0, within, within + part);
      done += part;
    }
    return true;
  }

  /** Gives back the grains that lie wholly in the range. */
  discard(position: number, length: number): boolean {
    const end = Math.floor((position + length) / GRAIN);
    for (let number = Math.ceil(position / GRAIN); number < end; number++) this.grains.remove(number);
    return true;
  }

  flush(): boolean {
    return true;
  }
}

/** Copy on write: what the guest writes stays in memory, `base` is only read. */
export class OverlayDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly = false;
  private readonly base: BlockBackend;
  private readonly grains: Grains;

  constructor(base: BlockBackend, limit: number = DEFAULT_STORE_LIMIT) {
    this.base = base;
    this.size = base.size;
    this.grains = new Grains(limit);
  }

  get stored(): number {
    return this.grains.stored;
  }

  read(position: number, target: Uint8Array, offset: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const within = (position + done) % GRAIN;
      const part = Math.min(GRAIN - within, length - done);
      const grain = this.grains.at((position + done - within) / GRAIN);
      if (grain !== undefined) target.set(grain.subarray(within, within + part), offset + done);
      else if (!this.base.read(position + done, target, offset + done, part)) return false;
      done += part;
    }
    return true;
  }

  write(position: number, source: Uint8Array, offset: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const within = (position + done) % GRAIN;
      const part = Math.min(GRAIN - within, length - done);
      const grain = this.own((position + done - within) / GRAIN, part === GRAIN);
      if (grain === undefined) return false;
      grain.set(source.subarray(offset + done, offset + done + part), within);
      done += part;
    }
    return true;
  }

  zero(position: number, length: number): boolean {
    for (let done = 0; done < length;) {
      const within = (position + done) % GRAIN;
      const part = Math.min(GRAIN - within, length - done);
      const grain = this.own((position + done - within) / GRAIN, part === GRAIN);
      if (grain === undefined) return false;
      grain.fill(0, within, within + part);
      done += part;
    }
    return true;
  }

  flush(): boolean {
    return true;
  }

  /** The overlay's own grain, copied from the base unless `whole` says that all of it is about to be written. */
  private own(number: number, whole: boolean): Uint8Array | undefined {
    const present = this.grains.at(number);
    if (present !== undefined) return present;
    const grain = this.grains.add(number);
    if (grain === undefined || whole) return grain;
    const start = number * GRAIN;
    if (this.base.read(start, grain, 0, Math.min(GRAIN, this.size - start))) return grain;
    this.grains.remove(number);
    return undefined;
  }
}
