import fs from 'node:fs';
import { Errno } from '../../../check/errno.ts';
import type { Path } from './confined-tree.ts';
import { MAXIMUM_LINK_TARGET } from './message.ts';
import { PERMISSIONS, changeError, nameError, qidOf, statusAt, type Operation, type Session } from './session.ts';

const AT_REMOVEDIR = 0x200;

/** Tmkdir dfid[4] name[s] mode[4] gid[4] */
export const mkdir: Operation = (session, request, reply) => {
  const directory = session.fids.get(request.u32());
  const name = request.text();
  const mode = request.u32() & PERMISSIONS;
  request.u32();
  const error = changeError(session, directory, name, request.complete);
  if (error !== 0) return error;
  const path = [...directory!.path, name];
  session.tree.at(path, (host) => fs.mkdirSync(host, mode));
  session.tree.on(path, (host, status) => {
    if (status.isDirectory()) fs.chmodSync(host, mode);
  });
  reply.qid(qidOf(statusAt(session, path)));
  return 0;
};

/** Tsymlink fid[4] name[s] symtgt[s] gid[4]: the target is the guest's affair; here nothing ever follows it. */
export const symlink: Operation = (session, request, reply) => {
  const directory = session.fids.get(request.u32());
  const name = request.text();
  const target = request.text();
  request.u32();
  const error = changeError(session, directory, name, request.complete);
  if (error !== 0) return error;
  if (target === '' || target.includes('\0')) return Errno.EINVAL;
  if (target.length > MAXIMUM_LINK_TARGET) return Errno.ENAMETOOLONG;
  const path = [...directory!.path, name];
  session.tree.at(path, (host) => fs.symlinkSync(Buffer.from(target, 'latin1'), host));
  reply.qid(qidOf(statusAt(session, path)));
  return 0;
};

/** Treadlink fid[4] */
export const readlink: Operation = (session, request, reply) => {
  const fid = session.fids.get(request.u32());
  if (!request.complete) return Errno.EINVAL;
  if (fid === undefined) return Errno.EBADF;
  reply.text(session.tree.at(fid.path, (host) => fs.readlinkSync(host, 'latin1')));
  return 0;
};

/** Tmknod dfid[4] name[s] mode[4] major[4] minor[4] gid[4]: regular files only; a device of the host is no business of the guest. */
export const mknod: Operation = (session, request, reply) => {
  const directory = session.fids.get(request.u32());
  const name = request.text();
  const mode = request.u32();
  request.u32();
  request.u32();
  request.u32();
  const error = changeError(session, directory, name, request.complete);
  if (error !== 0) return error;
  const type = mode & fs.constants.S_IFMT;
  if (type !== 0 && type !== fs.constants.S_IFREG) return Errno.EPERM;
  const path = [...directory!.path, name];
  session.tree.at(path, (host) => {
    const descriptor = fs.openSync(host, 'wx', mode & PERMISSIONS);
    fs.fchmodSync(descriptor, mode & PERMISSIONS);
    fs.closeSync(descriptor);
  });
  reply.qid(qidOf(statusAt(session, path)));
  return 0;
};

/** Tlink dfid[4] fid[4] name[s] */
export const link: Operation = (session, request) => {
  const directory = session.fids.get(request.u32());
  const fid = session.fids.get(request.u32());
  const name = request.text();
  const error = changeError(session, directory, name, request.complete);
  if (error !== 0) return error;
  if (fid === undefined) return Errno.EBADF;
  session.tree.at(fid.path, (existing) =>
    session.tree.at([...directory!.path, name], (host) => fs.linkSync(existing, host)),
  );
  return 0;
};

/** Trenameat olddirfid[4] oldname[s] newdirfid[4] newname[s] */
export const renameat: Operation = (session, request) => {
  const from = session.fids.get(request.u32());
  const oldName = request.text();
  const to = session.fids.get(request.u32());
  const newName = request.text();
  const error = changeError(session, from, oldName, request.complete) || nameError(newName);
  if (error !== 0) return error;
  return to === undefined ? Errno.EBADF : move(session, [...from!.path, oldName], [...to.path, newName]);
};

/** Trename fid[4] dfid[4] name[s] */
export const rename: Operation = (session, request) => {
  const fid = session.fids.get(request.u32());
  const to = session.fids.get(request.u32());
  const name = request.text();
  const error = changeError(session, to, name, request.complete);
  if (error !== 0) return error;
  if (fid === undefined) return Errno.EBADF;
  return fid.path.length === 0 ? Errno.EBUSY : move(session, fid.path, [...to!.path, name]);
};

function move(session: Session, from: Path, to: Path): number {
  session.tree.at(from, (source) => session.tree.at(to, (target) => fs.renameSync(source, target)));
  session.fids.renamed(from, to);
  return 0;
}

/** Tunlinkat dirfd[4] name[s] flags[4] */
export const unlinkat: Operation = (session, request) => {
  const directory = session.fids.get(request.u32());
  const name = request.text();
  const flags = request.u32();
  const error = changeError(session, directory, name, request.complete);
  if (error !== 0) return error;
  session.tree.at([...directory!.path, name], (host) =>
    (flags & AT_REMOVEDIR) === 0 ? fs.unlinkSync(host) : fs.rmdirSync(host),
  );
  return 0;
};

/** Tremove fid[4]: the fid is gone whether or not the file could be removed. */
export const remove: Operation = (session, request) => {
  const number = request.u32();
  if (!request.complete) return Errno.EINVAL;
  const fid = session.fids.get(number);
  if (fid === undefined) return Errno.EBADF;
  const { path } = fid;
  session.fids.clunk(number);
  if (session.readOnly) return Errno.EROFS;
  if (path.length === 0) return Errno.EBUSY;
  const directory = statusAt(session, path).isDirectory();
  session.tree.at(path, (host) => (directory ? fs.rmdirSync(host) : fs.unlinkSync(host)));
  return 0;
};
