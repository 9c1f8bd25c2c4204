import { Errno } from '../check/errno.ts';
import type { Waiting } from './process.ts';
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
  /** How often an end was opened: who waits for the other end in open(2) goes on though it may be closed again by then (fifo(7)). */
  readersOpened = 0;
  writersOpened = 0;

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
  readonly #status: () => FileStatus | number;
  constructor(buffer: PipeBuffer, flags: number, path = 'pipe:', status: () => FileStatus | number = unnamedStatus) {
    super(path, flags);
    this.buffer = buffer;
    this.#status = status;
  }
  status(): FileStatus | number {
    return this.#status();
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

function unnamedStatus(): FileStatus {
  return { ...BLANK_STATUS, mode: FileType.fifo | 0o600 };
}

/** Both ends in one, as O_RDWR opens a FIFO on Linux. */
class BothEnds extends PipeEnd {
  readonly #reader: ReadEnd;
  readonly #writer: WriteEnd;
  constructor(...args: ConstructorParameters<typeof ReadEnd>) {
    super(...args);
    this.#reader = new ReadEnd(...args);
    this.#writer = new WriteEnd(...args);
  }
  override read(into: Uint8Array): Transfer {
    return this.#reader.read(into);
  }
  override write(from: Uint8Array): Transfer {
    return this.#writer.write(from);
  }
  override poll() {
    return { readable: this.#reader.poll().readable, writable: this.#writer.poll().writable, hangup: false };
  }
  override close(): void {
    this.#reader.close();
    this.#writer.close();
  }
}

/** What opening a FIFO gives: an end, and, when the other end is not there yet, whether it has come since. */
export interface FifoOpening {
  readonly end: BasicFile;
  readonly ready: () => boolean;
}

/**
 * The FIFOs of a file system, by device and inode. The host's file is only their name: bytes go from process to process within the guest, so a
 * FIFO that another program of the host has open is no way out.
 */
export class Fifos {
  readonly #buffers = new Map<string, PipeBuffer>();

  /** open(2) of a FIFO. `flags` are those of the call; ENXIO when a writer will not wait and nobody reads. */
  open(flags: number, path: string, named: FileStatus, status: () => FileStatus | number): FifoOpening | number {
    const key = `${named.device}:${named.inode}`;
    let buffer = this.#buffers.get(key);
    // What was written and not read is gone once nobody has the FIFO open.
    if (!buffer || buffer.readers + buffer.writers === 0) this.#buffers.set(key, (buffer = new PipeBuffer()));
    const opened = buffer;
    const mode = flags & 3;
    const patient = (flags & 0o4000) === 0;
    if (mode === 1 && !patient && buffer.readers === 0) return -Errno.ENXIO;
    const { readersOpened, writersOpened } = buffer;
    if (mode !== 1) {
      buffer.readers++;
      buffer.readersOpened++;
    }
    if (mode !== 0) {
      buffer.writers++;
      buffer.writersOpened++;
    }
    const End = mode === 0 ? ReadEnd : mode === 1 ? WriteEnd : BothEnds;
    const end = new End(buffer, flags, path, status);
    const alone = patient && (mode === 0 ? buffer.writers === 0 : mode === 1 && buffer.readers === 0);
    const met = () => (mode === 0 ? opened.writersOpened !== writersOpened : opened.readersOpened !== readersOpened);
    return { end, ready: () => !alone || met() };
  }
}

/** Waits until both ends of a FIFO are open; `finish` then gives the call's result. */
export function awaitOtherEnd({ end, ready }: FifoOpening, finish: () => number): number | Waiting {
  if (ready()) return finish();
  return { poll: () => (ready() ? finish() : undefined), restartable: true, cancel: () => end.close() };
}
