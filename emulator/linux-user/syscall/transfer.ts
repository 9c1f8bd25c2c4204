import { readNumber, writeNumber } from '../abi.ts';
import { Errno } from '../../check/errno.ts';
import { WOULD_BLOCK, type OpenFile, type Transfer } from '../file.ts';
import { OpenFlag } from '../filesystem.ts';
import type { Process, Waiting } from '../process.ts';
import type { Handler } from '../services.ts';
import { Signal } from '../signal.ts';

/** What one call moves at most; Linux caps it a little below 2 GiB. */
const MAXIMUM_TRANSFER = 0x7ffff000;
const MAXIMUM_VECTORS = 1024;

/** Reads into guest memory; what waits is tried again until something came. */
function read(process: Process, fd: number, buffer: number, length: number, position?: number): number | Waiting {
  const file = process.descriptors.get(fd);
  if (!file) return -Errno.EBADF;
  if ((file.flags & OpenFlag.accessMode) === 1) return -Errno.EBADF;
  if (length < 0) return -Errno.EINVAL;
  const size = Math.min(length, MAXIMUM_TRANSFER);
  const into = process.memory.writable(buffer, size);
  if (!into) return -Errno.EFAULT;
  return transfer(file, () => {
    const count = file.read(into, position);
    if (typeof count === 'number' && count > 0) flushWritten(process, buffer, count);
    return count;
  });
}

/** Writes from guest memory. A blocking write to a pipe goes on until all bytes are through (write(2), pipe(7)). */
function write(process: Process, fd: number, buffer: number, length: number, position?: number): number | Waiting {
  const file = process.descriptors.get(fd);
  if (!file) return -Errno.EBADF;
  if ((file.flags & OpenFlag.accessMode) === 0) return -Errno.EBADF;
  if (length < 0) return -Errno.EINVAL;
  const size = Math.min(length, MAXIMUM_TRANSFER);
  const from = process.memory.readable(buffer, size);
  if (!from) return -Errno.EFAULT;
  return writeBytes(process, file, from, position);
}

function writeBytes(process: Process, file: OpenFile, from: Uint8Array, position?: number): number | Waiting {
  let done = 0;
  return transfer(file, () => {
    for (;;) {
      const count = file.write(from.subarray(done), position === undefined ? undefined : position + done);
      if (count === WOULD_BLOCK) return done > 0 && (file.flags & OpenFlag.nonblock) !== 0 ? done : WOULD_BLOCK;
      if (count < 0) {
        if (count === -Errno.EPIPE)
          process.signals.raise({ signal: Signal.SIGPIPE, code: 0, address: 0n, sender: process.pid });
        return done > 0 ? done : count;
      }
      done += count;
      if (done >= from.length || count === 0) return done;
    }
  });
}

function transfer(file: OpenFile, attempt: () => Transfer): number | Waiting {
  const first = attempt();
  if (first !== WOULD_BLOCK) return first;
  if ((file.flags & OpenFlag.nonblock) !== 0) return -Errno.EAGAIN;
  return {
    poll: () => {
      const result = attempt();
      return result === WOULD_BLOCK ? undefined : result;
    },
    restartable: true,
    external: file.host !== undefined,
  };
}

/** `iovec`s as one flat list of ranges, or a negated errno. */
function vectors(process: Process, address: number, count: number): { base: number; length: number }[] | number {
  if (count < 0 || count > MAXIMUM_VECTORS) return -Errno.EINVAL;
  const bytes = process.memory.readable(address, count * 16);
  if (!bytes) return -Errno.EFAULT;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const list = Array.from({ length: count }, (_, i) => ({
    base: readNumber(view, 16 * i),
    length: readNumber(view, 16 * i + 8),
  }));
  if (list.some(({ length }) => length < 0 || length > MAXIMUM_TRANSFER)) return -Errno.EINVAL;
  return list;
}

function readVector(process: Process, fd: number, address: number, count: number): number | Waiting {
  const list = vectors(process, address, count);
  if (typeof list === 'number') return list;
  let total = 0;
  for (const { base, length } of list) {
    if (length === 0) continue;
    const result = read(process, fd, base, length);
    if (typeof result !== 'number') return total > 0 ? total : result;
    if (result < 0) return total > 0 ? total : result;
    total += result;
    if (result < length) break;
  }
  return total;
}

function writeVector(process: Process, fd: number, address: number, count: number): number | Waiting {
  const file = process.descriptors.get(fd);
  if (!file || (file.flags & OpenFlag.accessMode) === 0) return -Errno.EBADF;
  const list = vectors(process, address, count);
  if (typeof list === 'number') return list;
  const parts: Uint8Array[] = [];
  for (const { base, length } of list) {
    const part = process.memory.readable(base, length);
    if (!part) return -Errno.EFAULT;
    parts.push(part);
  }
  return writeBytes(process, file, parts.length === 1 ? parts[0]! : Buffer.concat(parts));
}

/** Drops decoded code where the kernel has just written guest memory. */
export function flushWritten(process: Process, address: number, length: number): void {
  if (process.memory.codeIn(address, length)) process.cpu.flushCode(address, length);
}
function sendfile(process: Process, [to, from, offsetAddress, count]: readonly number[]): number | Waiting {
  const source = process.descriptors.get(from!);
  const target = process.descriptors.get(to!);
  if (!source || !target) return -Errno.EBADF;
  if (count! < 0) return -Errno.EINVAL;
  if (offsetAddress !== 0 && !process.memory.allows(offsetAddress!, 8, 3)) return -Errno.EFAULT;
  const buffer = new Uint8Array(Math.min(count!, 65536));
  const position = offsetAddress === 0 ? undefined : readNumber(process.memory.view, offsetAddress!);
  // Only files that never wait may be the source, so that no byte read can be lost while the target waits.
  if (source.seek(0, 1) < 0) return -Errno.EINVAL;
  const got = source.read(buffer, position);
  if (got === WOULD_BLOCK || got <= 0) return got === WOULD_BLOCK ? -Errno.EINVAL : got;
  if (offsetAddress !== 0) writeNumber(process.memory.view, offsetAddress!, position! + got);
  return writeBytes(process, target, buffer.subarray(0, got));
}

/** The position of a pread or pwrite must be one, and the file able to seek. */
function atPosition(process: Process, fd: number, position: number, action: () => number | Waiting): number | Waiting {
  if (position < 0) return -Errno.EINVAL;
  return (process.descriptors.get(fd)?.seek(0, 1) ?? 0) < 0 ? -Errno.ESPIPE : action();
}

/** Calls that move bytes. */
export const TRANSFER_CALLS: Readonly<Record<string, Handler>> = {
  read: (_kernel, process, [fd, buffer, length]) => read(process, fd, buffer, length),
  write: (_kernel, process, [fd, buffer, length]) => write(process, fd, buffer, length),
  pread64: (_kernel, process, [fd, buffer, length, position]) =>
    atPosition(process, fd, position, () => read(process, fd, buffer, length, position)),
  pwrite64: (_kernel, process, [fd, buffer, length, position]) =>
    atPosition(process, fd, position, () => write(process, fd, buffer, length, position)),
  readv: (_kernel, process, [fd, address, count]) => readVector(process, fd, address, count),
  writev: (_kernel, process, [fd, address, count]) => writeVector(process, fd, address, count),
  sendfile: (_kernel, process, args) => sendfile(process, args),
};
