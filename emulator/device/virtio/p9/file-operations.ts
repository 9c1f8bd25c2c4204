import fs from 'node:fs';
import { Errno } from '../../../check/errno.ts';
import type { Path } from './confined-tree.ts';
import { QID } from './message.ts';
import { PERMISSIONS, changeError, qidOf, statusAt, typeOf, type Operation, type Session } from './session.ts';

const { O_APPEND, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = fs.constants;

/** Open flags as 9P2000.L has them: those of Linux on x86. */
const OpenFlag = { access: 3, exclusive: 0o200, truncate: 0o1000, append: 0o2000 } as const;

/** Tlopen fid[4] flags[4] */
export const lopen: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  const flags = request.u32();
  if (!request.complete) return Errno.EINVAL;
  if (fid === undefined) return Errno.EBADF;
  if (fid.opened !== undefined) return Errno.EINVAL;
  const writes = (flags & OpenFlag.access) !== 0 || (flags & OpenFlag.truncate) !== 0;
  return session.tree.on(fid.path, (host, status) => {
    if (status.isDirectory()) {
      if (writes) return Errno.EISDIR;
      session.fids.setOpened(fid, { kind: 'directory', names: undefined });
    } else {
      const error = openError(session, status, writes);
      if (error !== 0) return error;
      const descriptor = fs.openSync(host, hostFlags(flags));
      session.fids.setOpened(fid, { kind: 'file', descriptor, writes });
    }
    reply.qid(qidOf(status));
    reply.u32(0); // no preferred size of transfers
    return 0;
  });
};

/** Tlcreate fid[4] name[s] flags[4] mode[4] gid[4]: the fid becomes the new file, opened. */
export const lcreate: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  const name = request.text();
  const flags = request.u32();
  const mode = request.u32();
  request.u32();
  const error = changeError(session, fid, name, request.complete);
  if (error !== 0) return error;
  if (fid!.opened !== undefined) return Errno.EINVAL;
  if (session.fids.openFull) return Errno.EMFILE;
  const path = [...fid!.path, name];
  const descriptor = createOrOpen(session, path, flags, mode);
  if (descriptor < 0) return -descriptor;
  fid!.path = path;
  session.fids.setOpened(fid!, { kind: 'file', descriptor, writes: true });
  reply.qid(qidOf(fs.fstatSync(descriptor, { bigint: true })));
  reply.u32(0);
  return 0;
};

/** A descriptor, or a negated error number. */
function createOrOpen(session: Session, path: Path, flags: number, mode: number): number {
  try {
    return session.tree.at(path, (host) => {
      const permissions = mode & PERMISSIONS;
      const descriptor = fs.openSync(host, hostFlags(flags) | O_CREAT | O_EXCL, permissions);
      // The guest has taken its own mask away already; the host's is not for it.
      fs.fchmodSync(descriptor, permissions);
      return descriptor;
    });
  } catch (error) {
    if ((flags & OpenFlag.exclusive) !== 0 || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return session.tree.on(path, (host, status) => {
    if (status.isDirectory()) return -Errno.EISDIR;
    const error = openError(session, status, true);
    return error === 0 ? fs.openSync(host, hostFlags(flags)) : -error;
  });
}

/** Why a file may not be opened, or 0. Devices, sockets and pipes of the host would lead the guest out of its directory. */
function openError(session: Session, status: fs.BigIntStats, writes: boolean): number {
  if (status.isSymbolicLink()) return Errno.ELOOP;
  if (!status.isFile()) return Errno.EACCES;
  if (writes && session.readOnly) return Errno.EROFS;
  return session.fids.openFull ? Errno.EMFILE : 0;
}

/** Links are not followed by these: `on` hands out the file itself, and a file made anew (O_EXCL) is no link. */
function hostFlags(flags: number): number {
  const access = flags & OpenFlag.access;
  let host = access === 0 ? O_RDONLY : access === 1 ? O_WRONLY : O_RDWR;
  if ((flags & OpenFlag.truncate) !== 0) host |= O_TRUNC;
  if ((flags & OpenFlag.append) !== 0) host |= O_APPEND;
  return host | O_NONBLOCK;
}

/** Tread fid[4] offset[8] count[4] */
export const read: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  const offset = request.u64();
  const count = request.u32();
  if (!request.complete) return Errno.EINVAL;
  if (fid?.opened?.kind !== 'file') return fid?.opened === undefined ? Errno.EBADF : Errno.EISDIR;
  const into = reply.space(4, count);
  const done =
    Number.isSafeInteger(offset) && into.length > 0
      ? fs.readSync(fid.opened.descriptor, into, 0, into.length, offset)
      : 0;
  reply.u32(done);
  reply.advance(done);
  return 0;
};

/** Twrite fid[4] offset[8] count[4] data[count] */
export const write: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  const offset = request.u64();
  const bytes = request.raw(request.u32());
  if (!request.complete) return Errno.EINVAL;
  if (fid?.opened?.kind !== 'file' || !fid.opened.writes) return Errno.EBADF;
  if (!Number.isSafeInteger(offset + bytes.length)) return Errno.EFBIG;
  reply.u32(bytes.length === 0 ? 0 : fs.writeSync(fid.opened.descriptor, bytes, 0, bytes.length, offset));
  return 0;
};

/** Tfsync fid[4] datasync[4], the latter missing from older clients. */
export const fsync: Operation = (session, request) => {
  const fid = session.fids.get(request.u32());
  if (!request.complete) return Errno.EINVAL;
  if (fid?.opened === undefined) return Errno.EBADF;
  const dataOnly = request.u32() !== 0;
  if (fid.opened.kind !== 'file') return 0;
  if (dataOnly) fs.fdatasyncSync(fid.opened.descriptor);
  else fs.fsyncSync(fid.opened.descriptor);
  return 0;
};

const { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } = fs.constants;

/** Directory entry types, as getdents has them. */
const ENTRY_TYPES = new Map([
  [S_IFIFO, 1],
  [S_IFCHR, 2],
  [S_IFDIR, 4],
  [S_IFBLK, 6],
  [S_IFREG, 8],
  [S_IFLNK, 10],
  [S_IFSOCK, 12],
]);

/**
 * Treaddir fid[4] offset[8] count[4]: whole entries only. Names come in the order of their bytes, whatever the host's order is, and stay as
 * they were when reading began at offset 0.
 */
export const readdir: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  const offset = request.u64();
  const count = request.u32();
  if (!request.complete) return Errno.EINVAL;
  if (fid?.opened === undefined) return Errno.EBADF;
  if (fid.opened.kind !== 'directory') return Errno.ENOTDIR;
  const rest = reply.space(0, 4);
  reply.advance(4);
  return session.tree.on(fid.path, (host) => {
    let names = fid.opened?.kind === 'directory' ? fid.opened.names : undefined;
    if (offset === 0 || names === undefined) {
      const found = fs.readdirSync(host, 'latin1').sort((a, b) => (a < b ? -1 : 1));
      names = ['.', '..', ...found];
      if (!session.fids.setNames(fid, names)) return Errno.ENOMEM;
    }
    const limit = Math.min(count, reply.room);
    let written = 0;
    for (let i = offset; i < names.length; i++) {
      const name = names[i]!;
      const size = QID + 8 + 1 + 2 + name.length;
      if (written + size > limit) {
        // Nothing at all would look like the end.
        if (written === 0) return Errno.EINVAL;
        break;
      }
      const status = entryStatus(session, fid.path, host, name);
      if (status === undefined) continue;
      reply.qid(qidOf(status));
      reply.u64(i + 1);
      reply.u8(ENTRY_TYPES.get(typeOf(status)) ?? 0);
      reply.text(name);
      written += size;
    }
    if (rest.length === 4) new DataView(rest.buffer, rest.byteOffset).setUint32(0, written, true);
    return 0;
  });
};

/** Undefined when it has gone since the names were read. */
function entryStatus(session: Session, path: Path, directory: Buffer, name: string): fs.BigIntStats | undefined {
  // The host's parent of the root is not the guest's.
  if (name === '..') return statusAt(session, path.slice(0, -1));
  const host = Buffer.concat([directory, Buffer.from(`/${name}`, 'latin1')]);
  return fs.lstatSync(host, { bigint: true, throwIfNoEntry: false });
}
