import fs from 'node:fs';
import tty from 'node:tty';
import { Errno, errnoOf } from '../check/errno.ts';
import { BasicFile, BLANK_STATUS, FileType, statusOf, WOULD_BLOCK, type FileStatus, type Transfer } from './file.ts';

/** Standard input, output or error of the host, passed through. */
export class HostStream extends BasicFile {
  readonly host: number;
  constructor(host: 0 | 1 | 2) {
    super(['/dev/stdin', '/dev/stdout', '/dev/stderr'][host]!, host === 0 ? 0 : 1);
    this.host = host;
  }
  override get terminal(): boolean {
    // [measured: loading `node:tty` takes 2 to 5 ms, for streams and sockets]
    return mayBeTerminal(this.host) && tty.isatty(this.host);
  }
  override read(into: Uint8Array): Transfer {
    try {
      return fs.readSync(this.host, into, 0, into.length, null);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      return code === 'EAGAIN' ? WOULD_BLOCK : code === 'EOF' ? 0 : errnoOf(error);
    }
  }
  override write(from: Uint8Array): Transfer {
    try {
      return fs.writeSync(this.host, from);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? WOULD_BLOCK : errnoOf(error);
    }
  }
  status(): FileStatus | number {
    try {
      return statusOf(fs.fstatSync(this.host, { bigint: true }));
    } catch (error) {
      return errnoOf(error);
    }
  }
}

/** As terminals are, and much output goes to the null device. */
function mayBeTerminal(descriptor: number): boolean {
  try {
    const status = fs.fstatSync(descriptor);
    return status.isCharacterDevice() && status.rdev !== fs.statSync('/dev/null', { throwIfNoEntry: false })?.rdev;
  } catch {
    // It is closed.
    return false;
  }
}

/** Input from bytes given beforehand, for tests, benchmarks and `runMany`. */
export class ByteSource extends BasicFile {
  #rest: Uint8Array;
  constructor(bytes: Uint8Array) {
    super('/dev/stdin', 0);
    this.#rest = bytes;
  }
  override read(into: Uint8Array): Transfer {
    const part = this.#rest.subarray(0, into.length);
    into.set(part);
    this.#rest = this.#rest.subarray(part.length);
    return part.length;
  }
  status(): FileStatus {
    return { ...BLANK_STATUS, mode: FileType.fifo | 0o600 };
  }
}

/** Output collected in memory, up to `limit` bytes; then writes fail with ENOSPC. */
export class ByteSink extends BasicFile {
  readonly #parts: Uint8Array[] = [];
  readonly #limit: number;
  #length = 0;
  constructor(limit = 64 * 2 ** 20) {
    super('/dev/stdout', 1);
    this.#limit = limit;
  }
  override write(from: Uint8Array): Transfer {
    if (this.#length + from.length > this.#limit) return -Errno.ENOSPC;
    this.#parts.push(from.slice());
    this.#length += from.length;
    return from.length;
  }
  status(): FileStatus {
    return { ...BLANK_STATUS, mode: FileType.fifo | 0o600 };
  }
  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
  text(): string {
    return Buffer.concat(this.#parts).toString('utf8');
  }
}
