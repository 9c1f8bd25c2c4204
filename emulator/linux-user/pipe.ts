import { Errno } from '../check/errno.ts';
import { BasicFile, BLANK_STATUS, FileType, WOULD_BLOCK, type FileStatus, type Transfer } from './file.ts';

/** Linux's default capacity of a pipe and the size up to which a write is atomic (pipe(7)). */
const CAPACITY = 65536;
const PIPE_BUF = 4096;

/** The bytes between the ends of a pipe. */
class PipeBuffer {
  readonly ring = new Uint8Array(CAPACITY);
  start = 0;
  used = 0;
  readers = 0;
  writers = 0;

  take(into: Uint8Array): number {
    const count = Math.min(into.length, this.used);
    const first = Math.min(count, CAPACITY - this.start);
    into.set(this.ring.subarray(this.start, this.start + first));
    into.set(this.ring.subarray(0, count - first), first);
    this.start = (this.start + count) % CAPACITY;
    this.used -= count;
    return count;
  }

  put(from: Uint8Array): number {
    const count = Math.min(from.length, CAPACITY - this.used);
    const end = (this.start + this.used) % CAPACITY;
    const first = Math.min(count, CAPACITY - end);
    this.ring.set(from.subarray(0, first), end);
    this.ring.set(from.subarray(first, count), 0);
    this.used += count;
    return count;
  }
}

abstract class PipeEnd extends BasicFile {
  protected readonly buffer: PipeBuffer;
  constructor(buffer: PipeBuffer, flags: number) {
    super('pipe:', flags);
    this.buffer = buffer;
  }
  status(): FileStatus {
    return { ...BLANK_STATUS, mode: FileType.fifo | 0o600 };
  }
}

class ReadEnd extends PipeEnd {
  override read(into: Uint8Array): Transfer {
    if (into.length === 0) return 0;
    if (this.buffer.used > 0) return this.buffer.take(into);
    return this.buffer.writers === 0 ? 0 : WOULD_BLOCK;
  }
  override write(): Transfer {
    return -Errno.EBADF;
  }
  override poll() {
    return {
      readable: this.buffer.used > 0 || this.buffer.writers === 0,
      writable: false,
      hangup: this.buffer.writers === 0,
    };
  }
  override close(): void {
    this.buffer.readers--;
  }
}

class WriteEnd extends PipeEnd {
  override read(): Transfer {
    return -Errno.EBADF;
  }
  override write(from: Uint8Array): Transfer {
    if (this.buffer.readers === 0) return -Errno.EPIPE;
    const room = CAPACITY - this.buffer.used;
    if (room === 0 || (from.length <= PIPE_BUF && room < from.length)) return from.length === 0 ? 0 : WOULD_BLOCK;
    return this.buffer.put(from);
  }
  override poll() {
    const { used, readers } = this.buffer;
    return { readable: false, writable: readers === 0 || CAPACITY - used >= PIPE_BUF, hangup: readers === 0 };
  }
  override close(): void {
    this.buffer.writers--;
  }
}

/** A pipe's two ends; `flags` may hold O_NONBLOCK. */
export function createPipe(flags: number): { reader: BasicFile; writer: BasicFile } {
  const buffer = new PipeBuffer();
  buffer.readers = 1;
  buffer.writers = 1;
  return { reader: new ReadEnd(buffer, flags), writer: new WriteEnd(buffer, flags | 1) };
}
