import fs from 'node:fs';
import { writeNumber } from '../abi.ts';
import { Errno, errnoOf } from '../../check/errno.ts';
import { Directory } from '../file.ts';
import { OpenFlag } from '../filesystem.ts';
import { createPipe } from '../pipe.ts';
import type { Process } from '../process.ts';
import type { Handler } from '../services.ts';

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
  fsync: (_kernel, process, [fd]) => onHostFile(process, fd, fs.fsyncSync),
  fdatasync: (_kernel, process, [fd]) => onHostFile(process, fd, fs.fdatasyncSync),
  ftruncate: (_kernel, process, [fd, length]) => {
    const file = process.descriptors.get(fd);
    if (file && (file.flags & OpenFlag.accessMode) === 0) return -Errno.EINVAL;
    return length < 0 ? -Errno.EINVAL : onHostFile(process, fd, (host) => fs.ftruncateSync(host, length));
  },
  fchmod: (_kernel, process, [fd, mode]) =>
    process.descriptors.get(fd)?.readOnly
      ? -Errno.EROFS
      : onHostFile(process, fd, (host) => fs.fchmodSync(host, mode & 0o777)),
};
