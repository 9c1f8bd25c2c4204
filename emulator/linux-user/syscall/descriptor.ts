import fs from 'node:fs';
import { writeNumber, readNumber } from '../abi.ts';
import { Errno, errnoOf } from '../errno.ts';
import { Directory, WOULD_BLOCK, type OpenFile, type Transfer } from '../file.ts';
import { OpenFlag } from '../filesystem.ts';
import { createPipe } from '../pipe.ts';
import type { Process, Waiting } from '../process.ts';
import type { Handler, Services } from '../services.ts';
import { Signal } from '../signal.ts';
import { timeoutOf } from './time.ts';

/** What one call moves at most; Linux caps it a little below 2 GiB. */
const MAXIMUM_TRANSFER = 0x7ffff000;
const MAXIMUM_VECTORS = 1024;
const IOCTL = {
  tcgets: 0x5401,
  tcsets: 0x5402,
  tcsetsw: 0x5403,
  tcsetsf: 0x5404,
  getProcessGroup: 0x540f,
  setProcessGroup: 0x5410,
  windowSize: 0x5413,
} as const;
const FCNTL = {
  dupfd: 0,
  getfd: 1,
  setfd: 2,
  getfl: 3,
  setfl: 4,
  getlk: 5,
  setlk: 6,
  setlkw: 7,
  dupfdCloexec: 1030,
  getPipeSize: 1032,
} as const;

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
function write(
  kernel: Services,
  process: Process,
  fd: number,
  buffer: number,
  length: number,
  position?: number,
): number | Waiting {
  const file = process.descriptors.get(fd);
  if (!file) return -Errno.EBADF;
  if ((file.flags & OpenFlag.accessMode) === 0) return -Errno.EBADF;
  if (length < 0) return -Errno.EINVAL;
  const size = Math.min(length, MAXIMUM_TRANSFER);
  const from = process.memory.readable(buffer, size);
  if (!from) return -Errno.EFAULT;
  return writeBytes(kernel, process, file, from, position);
}

function writeBytes(
  _kernel: Services,
  process: Process,
  file: OpenFile,
  from: Uint8Array,
  position?: number,
): number | Waiting {
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

function writeVector(kernel: Services, process: Process, fd: number, address: number, count: number): number | Waiting {
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
  return writeBytes(kernel, process, file, parts.length === 1 ? parts[0]! : Buffer.concat(parts));
}

/** Drops decoded code where the kernel has just written guest memory. */
export function flushWritten(process: Process, address: number, length: number): void {
  if (process.memory.codeIn(address, length)) process.cpu.flushCode(address, length);
}

function duplicate(process: Process, from: number, to: number, closeOnExec: boolean): number {
  const file = process.descriptors.get(from);
  return file ? process.descriptors.set(to, file, closeOnExec) : -Errno.EBADF;
}

function control(process: Process, fd: number, command: number, argument: number): number {
  const slot = process.descriptors.slot(fd);
  if (!slot) return -Errno.EBADF;
  switch (command) {
    case FCNTL.dupfd:
    case FCNTL.dupfdCloexec:
      return process.descriptors.add(slot.file, command === FCNTL.dupfdCloexec, argument);
    case FCNTL.getfd:
      return slot.closeOnExec ? 1 : 0;
    case FCNTL.setfd:
      slot.closeOnExec = (argument & 1) !== 0;
      return 0;
    case FCNTL.getfl:
      return slot.file.flags & ~(OpenFlag.create | OpenFlag.exclusive | OpenFlag.truncate | OpenFlag.closeOnExec);
    case FCNTL.setfl: {
      const settable = OpenFlag.append | OpenFlag.nonblock;
      slot.file.flags = (slot.file.flags & ~settable) | (argument & settable);
      return 0;
    }
    // Locks always succeed: no other program shares these files through us.
    case FCNTL.getlk:
      return process.memory.writable(argument, 2)?.set([2, 0]) === undefined && process.memory.allows(argument, 2, 2)
        ? 0
        : -Errno.EFAULT;
    case FCNTL.setlk:
    case FCNTL.setlkw:
      return 0;
    case FCNTL.getPipeSize:
      return 65536;
    default:
      return -Errno.EINVAL;
  }
}

function ioctl(process: Process, fd: number, request: number, argument: number): number {
  const file = process.descriptors.get(fd);
  if (!file) return -Errno.EBADF;
  if (!file.terminal) return -Errno.ENOTTY;
  if (request === IOCTL.tcgets) {
    const termios = process.memory.writable(argument, 36);
    if (!termios) return -Errno.EFAULT;
    const view = new DataView(termios.buffer, termios.byteOffset, termios.length);
    termios.fill(0);
    // A usual cooked terminal: ICRNL|IXON, OPOST|ONLCR, CS8|CREAD at 38400 baud, ISIG|ICANON|ECHO…
    [0x500, 0x5, 0xbf, 0x8a3b].forEach((flags, i) => view.setUint32(4 * i, flags, true));
    return 0;
  }
  if (
    request === IOCTL.tcsets ||
    request === IOCTL.tcsetsw ||
    request === IOCTL.tcsetsf ||
    request === IOCTL.setProcessGroup
  )
    return 0;
  if (request === IOCTL.getProcessGroup) {
    const into = process.memory.writable(argument, 4);
    if (!into) return -Errno.EFAULT;
    process.memory.view.setInt32(argument, process.group, true);
    return 0;
  }
  if (request === IOCTL.windowSize) {
    const into = process.memory.writable(argument, 8);
    if (!into) return -Errno.EFAULT;
    process.memory.view.setUint16(argument, globalThis.process.stdout.rows ?? 24, true);
    process.memory.view.setUint16(argument + 2, globalThis.process.stdout.columns ?? 80, true);
    process.memory.view.setUint32(argument + 4, 0, true);
    return 0;
  }
  return -Errno.ENOTTY;
}

/** `getdents64`: as many whole records as fit. */
function directoryEntries(process: Process, fd: number, buffer: number, length: number): number {
  const file = process.descriptors.get(fd);
  if (!file) return -Errno.EBADF;
  if (!(file instanceof Directory)) return -Errno.ENOTDIR;
  const into = length < 0 ? undefined : process.memory.writable(buffer, length);
  if (!into) return -Errno.EFAULT;
  const view = new DataView(into.buffer, into.byteOffset, into.length);
  let entries;
  try {
    entries = file.entries();
  } catch (error) {
    return errnoOf(error);
  }
  let at = 0;
  while (file.position < entries.length) {
    const entry = entries[file.position]!;
    const name = Buffer.from(`${entry.name}\0`, 'latin1');
    const size = Math.ceil((19 + name.length) / 8) * 8;
    if (at + size > into.length) return at > 0 ? at : -Errno.EINVAL;
    into.fill(0, at, at + size);
    writeNumber(view, at, entry.inode);
    writeNumber(view, at + 8, ++file.position);
    view.setUint16(at + 16, size, true);
    view.setUint8(at + 18, entry.type >> 12);
    into.set(name, at + 19);
    at += size;
  }
  return at;
}

/** `ppoll` and `pselect6` share this: waits until `ready` gives a count above 0 or the time is up. */
function waitForFiles(
  kernel: Services,
  files: readonly OpenFile[],
  timeout: bigint | undefined,
  ready: () => number,
  finish: () => number,
): number | Waiting {
  if (ready() > 0 || timeout === 0n) return finish();
  const deadline = timeout === undefined ? undefined : kernel.monotonic() + timeout;
  return {
    poll: () => (ready() > 0 || (deadline !== undefined && kernel.monotonic() >= deadline) ? finish() : undefined),
    restartable: false,
    external: files.some((file) => file.host !== undefined),
    ...(deadline === undefined ? {} : { deadline }),
  };
}

const POLL = { in: 1, out: 4, hup: 16, nval: 32 } as const;

function ppoll(
  kernel: Services,
  process: Process,
  address: number,
  count: number,
  timeoutAddress: number,
): number | Waiting {
  if (count < 0 || count > MAXIMUM_VECTORS) return -Errno.EINVAL;
  const bytes = process.memory.writable(address, count * 8);
  if (!bytes) return -Errno.EFAULT;
  const timeout = timeoutOf(process, timeoutAddress);
  if (typeof timeout === 'number') return timeout;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const events = (i: number): number => {
    const fd = view.getInt32(8 * i, true);
    if (fd < 0) return 0;
    const file = process.descriptors.get(fd);
    if (!file) return POLL.nval;
    const wanted = view.getUint16(8 * i + 4, true);
    const { readable, writable, hangup } = file.poll();
    return (readable ? wanted & POLL.in : 0) | (writable ? wanted & POLL.out : 0) | (hangup ? POLL.hup : 0);
  };
  const indices = [...Array(count).keys()];
  const ready = () => indices.filter((i) => events(i) !== 0).length;
  const files = indices.flatMap((i) => process.descriptors.get(view.getInt32(8 * i, true)) ?? []);
  return waitForFiles(kernel, files, timeout, ready, () => {
    let count = 0;
    for (const i of indices) {
      const seen = events(i);
      view.setUint16(8 * i + 6, seen, true);
      if (seen !== 0) count++;
    }
    return count;
  });
}

function pselect(
  kernel: Services,
  process: Process,
  [count, readSet, writeSet, exceptSet, timeoutAddress]: readonly number[],
): number | Waiting {
  if (count! < 0 || count! > 1024) return -Errno.EINVAL;
  const size = Math.ceil(count! / 64) * 8;
  const set = (address: number) => (address === 0 ? new Uint8Array(size) : process.memory.writable(address, size));
  const [reads, writes, excepts] = [set(readSet!), set(writeSet!), set(exceptSet!)];
  if (!reads || !writes || !excepts) return -Errno.EFAULT;
  const timeout = timeoutOf(process, timeoutAddress!);
  if (typeof timeout === 'number') return timeout;
  const has = (bits: Uint8Array, fd: number) => (bits[fd >> 3]! & (1 << (fd & 7))) !== 0;
  const wanted = [...Array(count).keys()].filter((fd) => has(reads, fd) || has(writes, fd));
  const files = wanted.map((fd) => process.descriptors.get(fd));
  if (files.includes(undefined)) return -Errno.EBADF;
  const fires = (fd: number, kind: 'readable' | 'writable', bits: Uint8Array) =>
    has(bits, fd) && process.descriptors.get(fd)!.poll()[kind];
  const ready = () => wanted.filter((fd) => fires(fd, 'readable', reads) || fires(fd, 'writable', writes)).length;
  return waitForFiles(kernel, files as OpenFile[], timeout, ready, () => {
    let total = 0;
    for (const fd of wanted) {
      for (const [bits, kind] of [
        [reads, 'readable'],
        [writes, 'writable'],
      ] as const) {
        if (!has(bits, fd)) continue;
        if (fires(fd, kind, bits)) total++;
        else bits[fd >> 3]! &= ~(1 << (fd & 7));
      }
    }
    excepts.fill(0);
    return total;
  });
}

function sendfile(
  kernel: Services,
  process: Process,
  [to, from, offsetAddress, count]: readonly number[],
): number | Waiting {
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
  return writeBytes(kernel, process, target, buffer.subarray(0, got));
}

function onHostFile(process: Process, fd: number, action: (host: number) => void): number {
  const file = process.descriptors.get(fd);
  if (!file) return -Errno.EBADF;
  if (file.host === undefined || file.host <= 2) return -Errno.EINVAL;
  try {
    action(file.host);
    return 0;
  } catch (error) {
    return errnoOf(error);
  }
}

/** Calls on open descriptors. */
export const DESCRIPTOR_CALLS: Readonly<Record<string, Handler>> = {
  read: (_kernel, process, [fd, buffer, length]) => read(process, fd, buffer, length),
  write: (kernel, process, [fd, buffer, length]) => write(kernel, process, fd, buffer, length),
  pread64: (_kernel, process, [fd, buffer, length, position]) =>
    position < 0
      ? -Errno.EINVAL
      : (process.descriptors.get(fd)?.seek(0, 1) ?? 0) < 0
        ? -Errno.ESPIPE
        : read(process, fd, buffer, length, position),
  pwrite64: (kernel, process, [fd, buffer, length, position]) =>
    position < 0
      ? -Errno.EINVAL
      : (process.descriptors.get(fd)?.seek(0, 1) ?? 0) < 0
        ? -Errno.ESPIPE
        : write(kernel, process, fd, buffer, length, position),
  readv: (_kernel, process, [fd, address, count]) => readVector(process, fd, address, count),
  writev: (kernel, process, [fd, address, count]) => writeVector(kernel, process, fd, address, count),
  lseek: (_kernel, process, [fd, offset, whence]) => process.descriptors.get(fd)?.seek(offset, whence) ?? -Errno.EBADF,
  close: (_kernel, process, [fd]) => process.descriptors.close(fd),
  close_range: (_kernel, process, [first, last, flags]) => {
    process.descriptors.closeAll((fd, descriptor) => {
      const within = fd >= first >>> 0 && fd <= last >>> 0;
      if (within && (flags & 4) !== 0) descriptor.closeOnExec = true;
      return within && (flags & 4) === 0;
    });
    return 0;
  },
  dup: (_kernel, process, [fd]) => {
    const file = process.descriptors.get(fd);
    return file ? process.descriptors.add(file, false) : -Errno.EBADF;
  },
  dup3: (_kernel, process, [from, to, flags]) =>
    from === to ? -Errno.EINVAL : duplicate(process, from, to, (flags & OpenFlag.closeOnExec) !== 0),
  pipe2: (_kernel, process, [address, flags]) => {
    if (!process.memory.writable(address, 8)) return -Errno.EFAULT;
    const { reader, writer } = createPipe(flags & OpenFlag.nonblock);
    const closeOnExec = (flags & OpenFlag.closeOnExec) !== 0;
    const readFd = process.descriptors.add(reader, closeOnExec);
    const writeFd = process.descriptors.add(writer, closeOnExec);
    if (readFd < 0 || writeFd < 0) {
      if (readFd >= 0) process.descriptors.close(readFd);
      return -Errno.EMFILE;
    }
    process.memory.view.setInt32(address, readFd, true);
    process.memory.view.setInt32(address + 4, writeFd, true);
    return 0;
  },
  fcntl: (_kernel, process, [fd, command, argument]) => control(process, fd, command, argument),
  flock: (_kernel, process, [fd]) => (process.descriptors.get(fd) ? 0 : -Errno.EBADF),
  ioctl: (_kernel, process, [fd, request, argument]) => ioctl(process, fd, request >>> 0, argument),
  getdents64: (_kernel, process, [fd, buffer, length]) => directoryEntries(process, fd, buffer, length),
  ppoll: (kernel, process, [address, count, timeout]) => ppoll(kernel, process, address, count, timeout),
  pselect6: (kernel, process, args) => pselect(kernel, process, args),
  sendfile: (kernel, process, args) => sendfile(kernel, process, args),
  fsync: (_kernel, process, [fd]) => onHostFile(process, fd, fs.fsyncSync),
  fdatasync: (_kernel, process, [fd]) => onHostFile(process, fd, fs.fdatasyncSync),
  ftruncate: (_kernel, process, [fd, length]) => {
    const file = process.descriptors.get(fd);
    if (file && (file.flags & OpenFlag.accessMode) === 0) return -Errno.EINVAL;
    return length < 0 ? -Errno.EINVAL : onHostFile(process, fd, (host) => fs.ftruncateSync(host, length));
  },
  fchmod: (_kernel, process, [fd, mode]) => onHostFile(process, fd, (host) => fs.fchmodSync(host, mode & 0o777)),
};
