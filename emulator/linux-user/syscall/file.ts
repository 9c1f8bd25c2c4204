import fs from 'node:fs';
import { readNumber, writeNumber } from '../abi.ts';
import { Errno, errnoOf } from '../../check/errno.ts';
import { Directory, FileType, type FileStatus, type OpenFile } from '../file.ts';
import { makeFifo, OpenFlag, type Place } from '../filesystem.ts';
import { awaitOtherEnd } from '../pipe.ts';
import type { Process, Waiting } from '../process.ts';
import type { Handler, Services } from '../services.ts';

export const AT = {
  currentDirectory: -100,
  symlinkNoFollow: 0x100,
  removeDirectory: 0x200,
  emptyPath: 0x1000,
} as const;
const PATH_LIMIT = 4096;

/** What `/proc/self` shows of a process. */
export function selfOf(process: Process) {
  return {
    executable: () => process.program,
    descriptors: () => process.descriptors.numbers(),
    descriptorPath: (fd: number) => process.descriptors.get(fd)?.path,
  };
}

/** Finds the place a path argument names, relative to a directory descriptor. */
export function placeAt(
  kernel: Services,
  process: Process,
  directory: number,
  pathAddress: number,
  follow: boolean,
): Place | number {
  const path = process.memory.string(pathAddress, PATH_LIMIT);
  if (path === undefined) return process.memory.allows(pathAddress, 1, 1) ? -Errno.ENAMETOOLONG : -Errno.EFAULT;
  return placeOf(kernel, process, directory, path, follow);
}

export function placeOf(
  kernel: Services,
  process: Process,
  directory: number,
  path: string,
  follow: boolean,
): Place | number {
  let from = process.directory;
  if (!path.startsWith('/') && (directory | 0) !== AT.currentDirectory) {
    const file = process.descriptors.get(directory);
    if (!file) return -Errno.EBADF;
    if (!(file instanceof Directory)) return -Errno.ENOTDIR;
    from = file.path;
  }
  return kernel.options.files.resolve(from, path, selfOf(process), follow);
}

function open(
  kernel: Services,
  process: Process,
  directory: number,
  pathAddress: number,
  flags: number,
  mode: number,
): number | Waiting {
  const path = process.memory.string(pathAddress, PATH_LIMIT);
  const duplicate = path === undefined ? undefined : descriptorNamed(process, path);
  if (duplicate) return process.descriptors.add(duplicate, (flags & OpenFlag.closeOnExec) !== 0);
  const exclusive = (flags & OpenFlag.create) !== 0 && (flags & OpenFlag.exclusive) !== 0;
  const place = placeAt(kernel, process, directory, pathAddress, (flags & OpenFlag.noFollow) === 0 && !exclusive);
  if (typeof place === 'number') return place;
  const file = kernel.options.files.open(place, flags, mode & ~process.umask, selfOf(process));
  if (typeof file === 'number') return file;
  const add = (opened: OpenFile): number => {
    const fd = process.descriptors.add(opened, (flags & OpenFlag.closeOnExec) !== 0);
    if (fd < 0) opened.close();
    return fd;
  };
  return 'end' in file ? awaitOtherEnd(file, () => add(file.end)) : add(file);
}

/** `/dev/stdin` and its like open the descriptor they name anew; here they share it. */
function descriptorNamed(process: Process, path: string): OpenFile | undefined {
  const standard = ['/dev/stdin', '/dev/stdout', '/dev/stderr'].indexOf(path);
  if (standard >= 0) return process.descriptors.get(standard);
  if (path === '/dev/tty') return [0, 1, 2].map((fd) => process.descriptors.get(fd)).find((file) => file?.terminal);
  const match = /^\/(?:proc\/self|dev)\/fd\/(\d{1,9})$/.exec(path);
  return match ? process.descriptors.get(Number(match[1])) : undefined;
}

function putStatus(kernel: Services, process: Process, address: number, status: FileStatus | number): number {
  if (typeof status === 'number') return status;
  const { abi } = kernel.options;
  const into = process.memory.writable(address, abi.statSize);
  if (!into) return -Errno.EFAULT;
  into.fill(0);
  abi.writeStat(new DataView(into.buffer, into.byteOffset, into.length), status);
  return 0;
}

function statusAt(
  kernel: Services,
  process: Process,
  directory: number,
  pathAddress: number,
  flags: number,
): FileStatus | number {
  const path = process.memory.string(pathAddress, PATH_LIMIT);
  if (path === '' && (flags & AT.emptyPath) !== 0) {
    if ((directory | 0) !== AT.currentDirectory) return process.descriptors.get(directory)?.status() ?? -Errno.EBADF;
    const here = kernel.options.files.resolve('/', process.directory, selfOf(process));
    return typeof here === 'number' ? here : kernel.options.files.status(here, selfOf(process));
  }
  const named = path === undefined || (flags & AT.symlinkNoFollow) !== 0 ? undefined : descriptorNamed(process, path);
  if (named) return named.status();
  const place = placeAt(kernel, process, directory, pathAddress, (flags & AT.symlinkNoFollow) === 0);
  if (typeof place === 'number') return place;
  const status = kernel.options.files.status(place, selfOf(process));
  if (place.guest === '/proc/self/exe' && (flags & AT.symlinkNoFollow) === 0 && typeof status !== 'number')
    return { ...status, mode: FileType.regular | 0o555, size: process.program.bytes.length };
  return status;
}

/** `statx`: the basic fields. */
function statx(kernel: Services, process: Process, [directory, path, flags, , address]: readonly number[]): number {
  const status = statusAt(kernel, process, directory!, path!, flags!);
  if (typeof status === 'number') return status;
  const into = process.memory.writable(address!, 256);
  if (!into) return -Errno.EFAULT;
  into.fill(0);
  const view = new DataView(into.buffer, into.byteOffset, into.length);
  view.setUint32(0, 0x7ff, true);
  view.setUint32(4, 4096, true);
  view.setUint32(16, status.links, true);
  view.setUint16(28, status.mode, true);
  writeNumber(view, 32, status.inode);
  writeNumber(view, 40, status.size);
  writeNumber(view, 48, Math.ceil(status.size / 512));
  [status.accessed, 0n, status.changed, status.modified].forEach((time, i) => {
    view.setBigInt64(64 + 16 * i, time / 1_000_000_000n, true);
    view.setUint32(72 + 16 * i, Number(time % 1_000_000_000n), true);
  });
  view.setUint32(128, status.rdev >>> 8, true);
  view.setUint32(132, status.rdev & 0xff, true);
  view.setUint32(140, status.device, true);
  return 0;
}

function access(kernel: Services, process: Process, directory: number, pathAddress: number, mode: number): number {
  const place = placeAt(kernel, process, directory, pathAddress, true);
  if (typeof place === 'number') return place;
  const status = kernel.options.files.status(place, selfOf(process));
  if (typeof status === 'number') return status;
  if ((mode & 2) !== 0 && place.kind === 'host' && place.readOnly) return -Errno.EROFS;
  // Rights are the owner's: the guest runs as the user who started it.
  return ((status.mode >> 6) & mode & 7) === (mode & 7) ? 0 : -Errno.EACCES;
}

function withPlace(
  kernel: Services,
  process: Process,
  directory: number,
  path: number,
  follow: boolean,
  action: (host: Buffer) => void,
): number {
  const place = placeAt(kernel, process, directory, path, follow);
  return typeof place === 'number' ? place : kernel.options.files.change(place, action);
}

/** Both places of `linkat` and `renameat2` have to be writable and below mounts. */
function withTwoPlaces(
  kernel: Services,
  process: Process,
  args: readonly number[],
  followFirst: boolean,
  action: (from: Buffer, to: Buffer) => void,
): number {
  const [fromDirectory, fromPath, toDirectory, toPath] = args;
  const from = placeAt(kernel, process, fromDirectory!, fromPath!, followFirst);
  if (typeof from === 'number') return from;
  const to = placeAt(kernel, process, toDirectory!, toPath!, false);
  if (typeof to === 'number') return to;
  let first: Buffer | undefined;
  const usable = kernel.options.files.change(from, (host) => (first = host));
  return usable < 0 ? usable : kernel.options.files.change(to, (host) => action(first!, host));
}

function readLink(kernel: Services, process: Process, [directory, path, buffer, size]: readonly number[]): number {
  if (size! <= 0) return -Errno.EINVAL;
  const place = placeAt(kernel, process, directory!, path!, false);
  if (typeof place === 'number') return place;
  const target = kernel.options.files.readLink(place, selfOf(process));
  if (typeof target === 'number') return target;
  const bytes = Buffer.from(target, 'latin1').subarray(0, size);
  const into = process.memory.writable(buffer!, bytes.length);
  if (!into) return -Errno.EFAULT;
  into.set(bytes);
  return bytes.length;
}

function changeDirectory(kernel: Services, process: Process, place: Place | number): number {
  if (typeof place === 'number') return place;
  const status = kernel.options.files.status(place, selfOf(process));
  if (typeof status === 'number') return status;
  if ((status.mode & 0o170000) !== FileType.directory) return -Errno.ENOTDIR;
  process.directory = place.guest;
  return 0;
}

function setTimes(kernel: Services, process: Process, [directory, path, times, flags]: readonly number[]): number {
  const now = Number(kernel.realtime() / 1_000_000n) / 1000;
  if (times !== 0 && !process.memory.readable(times!, 32)) return -Errno.EFAULT;
  const time = (at: number, before: bigint): number => {
    if (times === 0) return now;
    const nanoseconds = readNumber(process.memory.view, at + 8);
    if (nanoseconds === 0x3fffffff) return now;
    if (nanoseconds === 0x3ffffffe) return Number(before / 1_000_000n) / 1000;
    return readNumber(process.memory.view, at) + nanoseconds / 1e9;
  };
  if (path === 0) {
    const file = process.descriptors.get(directory!);
    if (!file) return -Errno.EBADF;
    const status = file.status();
    if (typeof status === 'number' || file.host === undefined || file.host <= 2) return -Errno.EINVAL;
    if (file.readOnly) return -Errno.EROFS;
    try {
      fs.futimesSync(file.host, time(times!, status.accessed), time(times! + 16, status.modified));
      return 0;
    } catch (error) {
      return errnoOf(error);
    }
  }
  const place = placeAt(kernel, process, directory!, path!, (flags! & AT.symlinkNoFollow) === 0);
  if (typeof place === 'number') return place;
  const status = kernel.options.files.status(place, selfOf(process));
  if (typeof status === 'number') return status;
  return kernel.options.files.change(place, (host) =>
    fs.lutimesSync(host, time(times!, status.accessed), time(times! + 16, status.modified)),
  );
}

/** `statfs`: the same roomy file system everywhere. */
function fileSystemStatus(process: Process, address: number): number {
  const into = process.memory.writable(address, 120);
  if (!into) return -Errno.EFAULT;
  into.fill(0);
  [0x01021994, 4096, 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 0, 255, 4096].forEach((word, i) =>
    writeNumber(process.memory.view, address + 8 * i, word),
  );
  return 0;
}

/** Calls that name files by path. */
export const FILE_CALLS: Readonly<Record<string, Handler>> = {
  openat: (kernel, process, [directory, path, flags, mode]) => open(kernel, process, directory, path, flags, mode),
  newfstatat: (kernel, process, [directory, path, address, flags]) =>
    putStatus(kernel, process, address, statusAt(kernel, process, directory, path, flags)),
  fstat: (kernel, process, [fd, address]) =>
    putStatus(kernel, process, address, process.descriptors.get(fd)?.status() ?? -Errno.EBADF),
  statx: (kernel, process, args) => statx(kernel, process, args),
  statfs: (kernel, process, [path, address]) => {
    const place = placeAt(kernel, process, AT.currentDirectory, path, true);
    return typeof place === 'number' ? place : fileSystemStatus(process, address);
  },
  fstatfs: (_kernel, process, [fd, address]) =>
    process.descriptors.get(fd) ? fileSystemStatus(process, address) : -Errno.EBADF,
  faccessat: (kernel, process, [directory, path, mode]) => access(kernel, process, directory, path, mode),
  faccessat2: (kernel, process, [directory, path, mode]) => access(kernel, process, directory, path, mode),
  readlinkat: (kernel, process, args) => readLink(kernel, process, args),
  getcwd: (_kernel, process, [buffer, size]) => {
    const bytes = Buffer.from(`${process.directory}\0`, 'latin1');
    if (size < bytes.length) return -Errno.ERANGE;
    const into = process.memory.writable(buffer, bytes.length);
    if (!into) return -Errno.EFAULT;
    into.set(bytes);
    return bytes.length;
  },
  chdir: (kernel, process, [path]) =>
    changeDirectory(kernel, process, placeAt(kernel, process, AT.currentDirectory, path, true)),
  fchdir: (kernel, process, [fd]) => {
    const file = process.descriptors.get(fd);
    if (!file) return -Errno.EBADF;
    return file instanceof Directory
      ? changeDirectory(kernel, process, kernel.options.files.resolve('/', file.path, selfOf(process)))
      : -Errno.ENOTDIR;
  },
  mknodat: (kernel, process, [directory, path, mode]) => {
    const type = mode & 0o170000;
    const rights = mode & 0o777 & ~process.umask;
    if (type !== 0 && type !== FileType.regular && type !== FileType.fifo) return -Errno.EPERM;
    return withPlace(kernel, process, directory, path, false, (host) => {
      if (type === FileType.fifo) makeFifo(host, rights);
      else fs.closeSync(fs.openSync(host, 'wx', rights));
    });
  },
  mkdirat: (kernel, process, [directory, path, mode]) =>
    withPlace(kernel, process, directory, path, false, (host) => fs.mkdirSync(host, mode & 0o777 & ~process.umask)),
  unlinkat: (kernel, process, [directory, path, flags]) =>
    withPlace(kernel, process, directory, path, false, (host) =>
      (flags & AT.removeDirectory) !== 0 ? fs.rmdirSync(host) : fs.unlinkSync(host),
    ),
  symlinkat: (kernel, process, [target, directory, path]) => {
    const text = process.memory.string(target, PATH_LIMIT);
    if (text === undefined) return -Errno.EFAULT;
    return text === ''
      ? -Errno.ENOENT
      : withPlace(kernel, process, directory, path, false, (host) => fs.symlinkSync(Buffer.from(text, 'latin1'), host));
  },
  linkat: (kernel, process, args) =>
    withTwoPlaces(kernel, process, args, (args[4] & 0x400) !== 0, (from, to) => fs.linkSync(from, to)),
  renameat: (kernel, process, args) =>
    withTwoPlaces(kernel, process, args, false, (from, to) => fs.renameSync(from, to)),
  renameat2: (kernel, process, args) =>
    (args[4] & ~1) !== 0
      ? -Errno.EINVAL
      : withTwoPlaces(kernel, process, args, false, (from, to) => {
          if ((args[4] & 1) !== 0 && fs.lstatSync(to, { throwIfNoEntry: false }))
            throw Object.assign(new Error('exists'), { code: 'EEXIST' });
          fs.renameSync(from, to);
        }),
  truncate: (kernel, process, [path, length]) =>
    length < 0
      ? -Errno.EINVAL
      : withPlace(kernel, process, AT.currentDirectory, path, true, (host) => fs.truncateSync(host, length)),
  fchmodat: (kernel, process, [directory, path, mode]) =>
    withPlace(kernel, process, directory, path, true, (host) => fs.chmodSync(host, mode & 0o777)),
  // Files belong to the user who runs the emulator; giving them away is accepted and does nothing.
  fchownat: (kernel, process, [directory, path, , , flags]) =>
    withPlace(kernel, process, directory, path, (flags & AT.symlinkNoFollow) === 0, (host) => fs.lstatSync(host)),
  fchown: (_kernel, process, [fd]) => (process.descriptors.get(fd) ? 0 : -Errno.EBADF),
  utimensat: (kernel, process, args) => setTimes(kernel, process, args),
  sync: () => 0,
  umask: (_kernel, process, [mask]) => {
    const before = process.umask;
    process.umask = mask & 0o777;
    return before;
  },
};
