import fs from 'node:fs';
import { Errno } from '../../../check/errno.ts';
import type { Fid } from './fid.ts';
import { PERMISSIONS, onFid, qidOf, statusAt, type Operation, type Session } from './session.ts';

/** All that stat knows; birth time, generation and data version are not given. */
const GETATTR_BASIC = 0x7ff;
const V9FS_MAGIC = 0x0102_1997;

/** An open file is what was opened, even when its name now means another or nothing. */
function statusOf(session: Session, fid: Fid): fs.BigIntStats {
  return fid.opened?.kind === 'file'
    ? fs.fstatSync(fid.opened.descriptor, { bigint: true })
    : statusAt(session, fid.path);
}

/** Tgetattr fid[4] request_mask[8] */
export const getattr: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  request.u64();
  if (!request.complete) return Errno.EINVAL;
  if (fid === undefined) return Errno.EBADF;
  const status = statusOf(session, fid);
  reply.u64(GETATTR_BASIC);
  reply.qid(qidOf(status));
  reply.u32(Number(status.mode));
  reply.u32(Number(status.uid));
  reply.u32(Number(status.gid));
  for (const value of [status.nlink, status.rdev, status.size, status.blksize, status.blocks]) reply.u64(value);
  for (const time of [status.atimeNs, status.mtimeNs, status.ctimeNs, 0n]) {
    reply.u64(time / 1_000_000_000n);
    reply.u64(time % 1_000_000_000n);
  }
  reply.u64(0);
  reply.u64(0);
  return 0;
};

/** Bits of Tsetattr's `valid`. */
const Valid = { mode: 1, uid: 2, gid: 4, size: 8, atime: 0x10, mtime: 0x20, atimeSet: 0x80, mtimeSet: 0x100 } as const;

/** Tsetattr fid[4] valid[4] mode[4] uid[4] gid[4] size[8] atime_sec[8] atime_nsec[8] mtime_sec[8] mtime_nsec[8] */
export const setattr: Operation = (session, request) => {
  const fid = session.fids.get(request.u32());
  const valid = request.u32();
  const mode = request.u32();
  const owner = [request.u32(), request.u32()] as const;
  const size = request.u64();
  const times = [0, 1].map(() => {
    const seconds = request.u64();
    return seconds + request.u64() / 1e9;
  });
  if (!request.complete) return Errno.EINVAL;
  if (fid === undefined) return Errno.EBADF;
  if (session.readOnly) return Errno.EROFS;
  if ((valid & Valid.size) !== 0 && !Number.isSafeInteger(size)) return Errno.EFBIG;
  return onFid(session, fid, (host, status) => {
    // Files of the host keep their owners; a guest that sets what is already so is content.
    const changesOwner =
      ((valid & Valid.uid) !== 0 && owner[0] !== Number(status.uid)) ||
      ((valid & Valid.gid) !== 0 && owner[1] !== Number(status.gid));
    if (changesOwner) return Errno.EPERM;
    if (status.isSymbolicLink()) return Errno.EOPNOTSUPP;
    if ((valid & Valid.size) !== 0) {
      if (!status.isFile()) return status.isDirectory() ? Errno.EISDIR : Errno.EINVAL;
      if (fid.opened?.kind === 'file' && fid.opened.writes) fs.ftruncateSync(fid.opened.descriptor, size);
      else fs.truncateSync(host, size);
    }
    if ((valid & Valid.mode) !== 0) fs.chmodSync(host, mode & PERMISSIONS);
    if ((valid & (Valid.atime | Valid.mtime)) !== 0) {
      // Node takes seconds as a double: a quarter of a microsecond is lost.
      const choose = (bit: number, set: number, given: number, kept: bigint) =>
        (valid & bit) === 0 ? Number(kept) / 1e9 : (valid & set) === 0 ? session.now() : given;
      const atime = choose(Valid.atime, Valid.atimeSet, times[0]!, status.atimeNs);
      const mtime = choose(Valid.mtime, Valid.mtimeSet, times[1]!, status.mtimeNs);
      if (!(Math.abs(atime) < 2 ** 40 && Math.abs(mtime) < 2 ** 40)) return Errno.EINVAL;
      fs.utimesSync(host, atime, mtime);
    }
    return 0;
  });
};

/** Tstatfs fid[4] */
export const statfs: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  if (!request.complete) return Errno.EINVAL;
  if (fid === undefined) return Errno.EBADF;
  // Of the root: the last component could be a link, which statfs would follow.
  const status = session.tree.at([], (host) => fs.statfsSync(host, { bigint: true }));
  reply.u32(V9FS_MAGIC);
  reply.u32(Number(status.bsize));
  for (const value of [status.blocks, status.bfree, status.bavail, status.files, status.ffree]) reply.u64(value);
  reply.u64(0);
  reply.u32(255);
  return 0;
};

/** Txattrwalk, Txattrcreate: there are no extended attributes. */
export const xattr: Operation = () => Errno.EOPNOTSUPP;

const LOCK_SUCCESS = 0;
const LOCK_TYPE_UNLOCK = 2;

/** Tlock fid[4] type[1] flags[4] start[8] length[8] proc_id[4] client_id[s]: the guest is the only client, so its own locks suffice. */
export const lock: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  request.u8();
  request.u32();
  request.u64();
  request.u64();
  request.u32();
  request.text();
  if (!request.complete) return Errno.EINVAL;
  if (fid?.opened === undefined) return Errno.EBADF;
  reply.u8(LOCK_SUCCESS);
  return 0;
};

/** Tgetlock fid[4] type[1] start[8] length[8] proc_id[4] client_id[s]: nobody else holds one. */
export const getlock: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  request.u8();
  const start = request.u64();
  const length = request.u64();
  const process = request.u32();
  const client = request.text();
  if (!request.complete) return Errno.EINVAL;
  if (fid?.opened === undefined) return Errno.EBADF;
  reply.u8(LOCK_TYPE_UNLOCK);
  reply.u64(BigInt(start));
  reply.u64(BigInt(length));
  reply.u32(process);
  reply.text(client);
  return 0;
};
