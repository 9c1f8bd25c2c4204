import crypto from 'node:crypto';
import fs from 'node:fs';
import nodePath from 'node:path';
import { spawnSync } from 'node:child_process';
import { ConfigError } from '../check/errors.ts';
import { Errno, errnoOf } from '../check/errno.ts';
import {
  BLANK_STATUS,
  CharacterDevice,
  Directory,
  FileType,
  HostFile,
  MemoryFile,
  statusOf,
  type DirectoryEntry,
  type FileStatus,
  type OpenFile,
} from './file.ts';
import { Fifos, type FifoOpening } from './pipe.ts';

/** A host directory shown to the guest. */
export interface Mount {
  readonly host: string;
  readonly guest: string;
  readonly readOnly: boolean;
}

/** Where a guest path leads. Guest paths are byte strings (one character a byte), absolute, without `.` and `..`. */
export type Place =
  | { readonly kind: 'host'; readonly guest: string; readonly host: string; readonly readOnly: boolean }
  | { readonly kind: 'builtin'; readonly guest: string };

const MAXIMUM_LINKS = 40;
const MAXIMUM_PATH = 4096;
const MAXIMUM_NAME = 255;

/** Open flags of Linux (asm-generic) that this file system acts on. */
export const OpenFlag = {
  accessMode: 3,
  create: 0o100,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
  nonblock: 0o4000,
  directory: 0o200000,
  noFollow: 0o400000,
  closeOnExec: 0o2000000,
} as const;

/** Parses `HOST:GUEST[:ro]`. Throws ConfigError. */
export function parseMount(text: string): Mount {
  const match = /^(.+?):(\/[^:]*)(?::(ro|rw))?$/.exec(text);
  if (!match)
    throw new ConfigError('not a mount', {
      where: text,
      mend: 'write HOST:GUEST or HOST:GUEST:ro, the guest path absolute',
    });
  const [, host, guest, mode] = match;
  return { host: host!, guest: guest!, readOnly: mode === 'ro' };
}

/** `/proc`, `/dev` and the directories above mounts: what exists without any mount. */
interface Builtins {
  readonly executable: () => { path: string; bytes: Uint8Array };
  readonly descriptors: () => readonly number[];
  readonly descriptorPath: (fd: number) => string | undefined;
}

/**
 * The guest's view of files: its mounts, and a small built-in tree. Every path is walked component by component, symbolic links are read in
 * the guest's name space, so nothing outside the mounted directories can be named.
 */
export class FileSystem {
  readonly #mounts: readonly Mount[];
  readonly #random: (into: Uint8Array) => void;
  readonly #fifos = new Fifos();

  /** Throws ConfigError when a mount's host side is not a directory. */
  constructor(mounts: readonly Mount[], random: (into: Uint8Array) => void = (into) => crypto.randomFillSync(into)) {
    this.#mounts = mounts
      .map((mount) => {
        const host = realDirectory(mount.host);
        return { host, guest: normalise(mount.guest), readOnly: mount.readOnly };
      })
      .toSorted((a, b) => b.guest.length - a.guest.length);
    this.#random = random;
  }

  /** Follows `path` from `directory`. The last component need not exist; it is not followed when it is a link and `follow` is false. */
  resolve(directory: string, path: string, builtins: Builtins, follow = true): Place | number {
    if (path.length === 0) return -Errno.ENOENT;
    if (path.length >= MAXIMUM_PATH) return -Errno.ENAMETOOLONG;
    const pending = split(path).toReversed();
    let trail: string[] = path.startsWith('/') ? [] : split(directory);
    let links = 0;
    const mustBeDirectory = path.endsWith('/') || path.endsWith('/.');
    while (pending.length > 0) {
      const name = pending.pop()!;
      if (name === '.') continue;
      if (name === '..') {
        trail.pop();
        continue;
      }
      if (name.length > MAXIMUM_NAME) return -Errno.ENAMETOOLONG;
      trail.push(name);
      const last = pending.length === 0;
      const link = this.#linkAt(`/${trail.join('/')}`, builtins, !last || follow || mustBeDirectory);
      if (typeof link === 'number') {
        if (last && link === -Errno.ENOENT) break;
        return link;
      }
      if (link === 'directory' || (link === 'other' && last)) continue;
      if (link === 'other') return -Errno.ENOTDIR;
      if (++links > MAXIMUM_LINKS) return -Errno.ELOOP;
      trail.pop();
      if (link.target.startsWith('/')) trail = [];
      pending.push(...split(link.target).toReversed());
    }
    return this.#place(`/${trail.join('/')}`);
  }

  /** What a place is, without following it. */
  status(place: Place, builtins: Builtins): FileStatus | number {
    if (place.kind === 'host') {
      try {
        return statusOf(fs.lstatSync(hostBytes(place.host), { bigint: true }));
      } catch (error) {
        return errnoOf(error);
      }
    }
    return this.#builtinStatus(place.guest, builtins);
  }

  /** Opens a place that `resolve` gave. */
  open(place: Place, flags: number, mode: number, builtins: Builtins): OpenFile | FifoOpening | number {
    if (place.kind === 'builtin') return this.#openBuiltin(place.guest, flags, builtins);
    const writes = (flags & OpenFlag.accessMode) !== 0 || (flags & (OpenFlag.create | OpenFlag.truncate)) !== 0;
    try {
      const existing = fs.lstatSync(hostBytes(place.host), { throwIfNoEntry: false });
      if (existing?.isDirectory()) {
        if (writes)
          return (flags & OpenFlag.create) !== 0 && (flags & OpenFlag.exclusive) !== 0 ? -Errno.EEXIST : -Errno.EISDIR;
        return new Directory(
          place.guest,
          flags,
          () => this.#list(place, builtins),
          () => this.status(place, builtins),
        );
      }
      if ((flags & OpenFlag.directory) !== 0) return existing ? -Errno.ENOTDIR : -Errno.ENOENT;
      if (existing?.isSymbolicLink())
        return (flags & OpenFlag.create) !== 0 && (flags & OpenFlag.exclusive) !== 0 ? -Errno.EEXIST : -Errno.ELOOP;
      if (existing?.isFIFO()) {
        if ((flags & OpenFlag.create) !== 0 && (flags & OpenFlag.exclusive) !== 0) return -Errno.EEXIST;
        const named = this.status(place, builtins);
        return typeof named === 'number'
          ? named
          : this.#fifos.open(flags, place.guest, named, () => this.status(place, builtins));
      }
      // Host devices and sockets below a mount would let the guest out of the directory it was given.
      if (existing && !existing.isFile()) return -Errno.EACCES;
      if (writes && place.readOnly)
        return existing && (flags & OpenFlag.accessMode) === 0 && (flags & OpenFlag.truncate) === 0
          ? this.#openHost(place, flags & ~OpenFlag.create, mode)
          : -Errno.EROFS;
      return this.#openHost(place, flags, mode);
    } catch (error) {
      return errnoOf(error);
    }
  }

  /** The target of a symbolic link, or a negated errno. */
  readLink(place: Place, builtins: Builtins): string | number {
    if (place.kind === 'builtin')
      return (
        builtinLink(place.guest, builtins) ??
        (typeof this.#builtinStatus(place.guest, builtins) === 'number' ? -Errno.ENOENT : -Errno.EINVAL)
      );
    try {
      return fs.readlinkSync(hostBytes(place.host), 'latin1');
    } catch (error) {
      return errnoOf(error);
    }
  }

  /** Runs a change on the host path of a writable place; the errno when it may not or does not work. */
  change(place: Place, action: (host: Buffer) => void): number {
    if (place.kind === 'builtin') return -Errno.EROFS;
    if (place.readOnly) return -Errno.EROFS;
    if (this.#mounts.some((mount) => mount.guest === place.guest)) return -Errno.EBUSY;
    try {
      action(hostBytes(place.host));
      return 0;
    } catch (error) {
      return errnoOf(error);
    }
  }

  /** The bytes of a program to execute. */
  readProgram(place: Place, builtins: Builtins): Uint8Array | number {
    if (place.kind === 'builtin') return -Errno.EACCES;
    const status = this.status(place, builtins);
    if (typeof status === 'number') return status;
    if ((status.mode & 0o170000) !== FileType.regular || (status.mode & 0o111) === 0) return -Errno.EACCES;
    try {
      return fs.readFileSync(hostBytes(place.host));
    } catch (error) {
      return errnoOf(error);
    }
  }

  #openHost(place: Place & { kind: 'host' }, flags: number, mode: number): OpenFile {
    const { O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW } = fs.constants;
    let host = (flags & OpenFlag.accessMode) | O_NOFOLLOW;
    if ((flags & OpenFlag.create) !== 0) host |= O_CREAT;
    if ((flags & OpenFlag.exclusive) !== 0) host |= O_EXCL;
    if ((flags & OpenFlag.truncate) !== 0) host |= O_TRUNC;
    if ((flags & OpenFlag.append) !== 0) host |= O_APPEND;
    return new HostFile(place.guest, flags, fs.openSync(hostBytes(place.host), host, mode & 0o777), place.readOnly);
  }

  #place(guest: string): Place {
    for (const mount of this.#mounts) {
      if (guest === mount.guest) return { kind: 'host', guest, host: mount.host, readOnly: mount.readOnly };
      const prefix = mount.guest === '/' ? '/' : `${mount.guest}/`;
      if (guest.startsWith(prefix))
        return { kind: 'host', guest, host: `${mount.host}/${guest.slice(prefix.length)}`, readOnly: mount.readOnly };
    }
    return { kind: 'builtin', guest };
  }

  #linkAt(guest: string, builtins: Builtins, follow: boolean): 'directory' | 'other' | { target: string } | number {
    const place = this.#place(guest);
    const status = this.status(place, builtins);
    if (typeof status === 'number') return status;
    const type = status.mode & 0o170000;
    if (type === FileType.directory) return 'directory';
    // What /proc/self/exe points at need not be visible to the guest, so opening it does not go through its target.
    if (type !== FileType.symlink || !follow || place.kind === 'builtin') return 'other';
    const target = this.readLink(place, builtins);
    return typeof target === 'number' ? target : { target };
  }

  #list(place: Place, builtins: Builtins): readonly DirectoryEntry[] {
    const names = new Map<string, DirectoryEntry>();
    const add = (name: string, inode: number, type: number) => names.set(name, { name, inode, type });
    add('.', 1, FileType.directory);
    add('..', 1, FileType.directory);
    if (place.kind === 'host') {
      for (const name of fs.readdirSync(hostBytes(place.host), 'latin1').toSorted()) {
        const status = this.status(
          { ...place, guest: join(place.guest, name), host: `${place.host}/${name}` },
          builtins,
        );
        if (typeof status !== 'number') add(name, status.inode, status.mode & 0o170000);
      }
    } else for (const name of builtinNames(place.guest, builtins)) add(name, 2, FileType.regular);
    for (const mount of this.#mounts) {
      const below = within(place.guest, mount.guest);
      if (below) add(below, 1, FileType.directory);
    }
    return [...names.values()];
  }

  #builtinStatus(guest: string, builtins: Builtins): FileStatus | number {
    const now = 0n;
    const directory = { ...BLANK_STATUS, mode: FileType.directory | 0o555, accessed: now };
    if (BUILTIN_DIRECTORIES.has(guest) || this.#mounts.some((mount) => within(guest, mount.guest) !== undefined))
      return directory;
    if (builtinLink(guest, builtins) !== undefined) return { ...BLANK_STATUS, mode: FileType.symlink | 0o777 };
    const minor = DEVICES.get(guest);
    if (minor !== undefined) return { ...BLANK_STATUS, mode: FileType.character | 0o666, rdev: (1 << 8) | minor };
    const text = TEXTS.get(guest);
    if (text !== undefined) return { ...BLANK_STATUS, mode: FileType.regular | 0o444 };
    return -Errno.ENOENT;
  }

  #openBuiltin(guest: string, flags: number, builtins: Builtins): OpenFile | number {
    const status = this.#builtinStatus(guest, builtins);
    const writes = (flags & OpenFlag.accessMode) !== 0;
    if (typeof status === 'number') return (flags & OpenFlag.create) !== 0 ? -Errno.EROFS : status;
    const minor = DEVICES.get(guest);
    if (minor !== undefined) {
      return new CharacterDevice(guest, flags, minor, (into) => {
        if (minor === 3) return 0;
        if (minor >= 8) this.#random(into);
        else into.fill(0);
        return into.length;
      });
    }
    if ((status.mode & 0o170000) === FileType.directory) {
      return writes
        ? -Errno.EISDIR
        : new Directory(
            guest,
            flags,
            () => this.#list({ kind: 'builtin', guest }, builtins),
            () => status,
          );
    }
    if ((flags & OpenFlag.directory) !== 0) return -Errno.ENOTDIR;
    if (writes) return -Errno.EACCES;
    if (guest === '/proc/self/exe') {
      const { bytes } = builtins.executable();
      return new MemoryFile(guest, flags, bytes, {
        ...BLANK_STATUS,
        mode: FileType.regular | 0o555,
        size: bytes.length,
      });
    }
    const text = TEXTS.get(guest);
    return text === undefined ? -Errno.EACCES : new MemoryFile(guest, flags, Buffer.from(text), status);
  }
}

/** mkfifo(3) at a host path. The runtime has no call for it, so the program of that name does it. Throws errors with `code`, like node:fs. */
export function makeFifo(host: Buffer, mode: number): void {
  const fail = (code: string): never => {
    throw Object.assign(new Error(`mkfifo: ${code}`), { code });
  };
  if (fs.lstatSync(host, { throwIfNoEntry: false })) fail('EEXIST');
  const path = host.toString('utf8');
  // Arguments of programs are UTF-8 text here; EPERM is what a file system without FIFOs says.
  if (!Buffer.from(path, 'utf8').equals(host)) fail('EPERM');
  fs.accessSync(nodePath.dirname(path), fs.constants.W_OK);
  const made = spawnSync('mkfifo', ['-m', (mode & 0o777).toString(8), '--', path], { stdio: 'ignore' });
  if (made.status !== 0) fail('EPERM');
}

const BUILTIN_DIRECTORIES = new Set(['/', '/dev', '/proc', '/proc/self', '/proc/self/fd', '/dev/fd']);
const DEVICES = new Map([
  ['/dev/null', 3],
  ['/dev/zero', 5],
  ['/dev/full', 7],
  ['/dev/random', 8],
  ['/dev/urandom', 9],
]);
const TEXTS = new Map([
  ['/proc/mounts', 'rootfs / rootfs ro 0 0\n'],
  ['/proc/version', 'Linux version 6.1.0-vm-dyno\n'],
]);

function builtinLink(guest: string, builtins: Builtins): string | undefined {
  if (guest === '/proc/self/exe') return builtins.executable().path;
  const descriptor = /^\/(?:proc\/self|dev)\/fd\/(\d{1,9})$/.exec(guest);
  return descriptor ? builtins.descriptorPath(Number(descriptor[1])) : undefined;
}

function builtinNames(guest: string, builtins: Builtins): readonly string[] {
  if (guest.endsWith('/fd')) return builtins.descriptors().map(String);
  const all = [...BUILTIN_DIRECTORIES, ...DEVICES.keys(), ...TEXTS.keys(), '/proc/self/exe'];
  return all.flatMap((path) =>
    path !== '/' && nodePath.posix.dirname(path) === guest ? [nodePath.posix.basename(path)] : [],
  );
}

/** The next component of `inner` below `outer`, when it is below. */
function within(outer: string, inner: string): string | undefined {
  const prefix = outer === '/' ? '/' : `${outer}/`;
  return inner.startsWith(prefix) && inner !== outer ? inner.slice(prefix.length).split('/')[0] : undefined;
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part.length > 0);
}

function normalise(path: string): string {
  return `/${split(nodePath.posix.normalize(path)).join('/')}`;
}

function join(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}

/** Host paths of guest files are bytes: a guest's name need not be UTF-8. */
function hostBytes(host: string): Buffer {
  return Buffer.from(host, 'latin1');
}

function realDirectory(host: string): string {
  try {
    const real = fs.realpathSync(host);
    if (fs.statSync(real).isDirectory()) return Buffer.from(real, 'utf8').toString('latin1');
  } catch (error) {
    throw new ConfigError(
      `mount of ${host}: ${(error as NodeJS.ErrnoException).code ?? (error as Error).message}; name a directory that exists`,
    );
  }
  throw new ConfigError(`mount of ${host}: not a directory`);
}
