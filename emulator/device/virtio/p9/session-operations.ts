import { Errno } from '../../../check/errno.ts';
import type { Path } from './confined-tree.ts';
import { MAXIMUM_NAME, MAXIMUM_WALK, type Qid } from './message.ts';
import { hostError, qidOf, statusAt, type Operation, type Session } from './session.ts';

/** Linux refuses smaller messages as well: one must hold a directory entry with a long name. */
const MINIMUM_MESSAGE = 4096;
const VERSION = '9P2000.L';

/** Tversion msize[4] version[s]: agrees on sizes and forgets every fid. */
export const version: Operation = (session, request, reply) => {
  const messageSize = request.u32();
  const offered = request.text();
  if (!request.complete || messageSize < MINIMUM_MESSAGE) return Errno.EINVAL;
  session.fids.clear();
  session.messageSize = Math.min(messageSize, session.maximumMessage);
  reply.u32(session.messageSize);
  reply.text(offered === VERSION ? VERSION : 'unknown');
  return 0;
};

/** Tattach fid[4] afid[4] uname[s] aname[s] n_uname[4]: the root. Whoever asks is let in: the share is for this guest. */
export const attach: Operation = (session, request, reply) => {
  const number = request.u32();
  request.u32();
  request.text();
  request.text();
  request.u32();
  if (!request.complete) return Errno.EINVAL;
  const error = newFidError(session, number);
  if (error !== 0) return error;
  const qid = qidOf(statusAt(session, []));
  session.fids.add(number, []);
  reply.qid(qid);
  return 0;
};

/** Tauth: no authentication is needed, and this is how to say so. */
export const auth: Operation = () => Errno.EOPNOTSUPP;

/** Tflush oldtag[2]: every request is answered before the next is looked at, so there is nothing to cancel. */
export const flush: Operation = (_session, request) => {
  request.u16();
  return request.complete ? 0 : Errno.EINVAL;
};

/** Twalk fid[4] newfid[4] nwname[2] nwname*(wname[s]) */
export const walk: Operation = (session, request, reply) => {
  const from = session.fids.get(request.u32());
  const number = request.u32();
  const count = request.u16();
  if (count > MAXIMUM_WALK) return Errno.EINVAL;
  const names = Array.from({ length: count }, () => request.text());
  if (!request.complete) return Errno.EINVAL;
  if (from === undefined) return Errno.EBADF;
  const inPlace = session.fids.get(number) === from;
  if (inPlace && from.opened !== undefined) return Errno.EBUSY;
  const error = inPlace ? 0 : newFidError(session, number);
  if (error !== 0) return error;
  const qids: Qid[] = [];
  const { path, failure } = follow(session, from.path, names, qids);
  // The first name's failure is an error; a later one's shows in the number of qids, and no fid is made.
  if (failure !== 0 && qids.length === 0) return failure;
  if (failure === 0) {
    if (inPlace) from.path = path;
    else session.fids.add(number, path);
  }
  reply.u16(qids.length);
  for (const qid of qids) reply.qid(qid);
  return 0;
};

/** Walks as far as the names lead; `failure` says why not to the end. */
function follow(session: Session, from: Path, names: readonly string[], qids: Qid[]): { path: Path; failure: number } {
  let path = from;
  try {
    let status = names.length === 0 ? undefined : statusAt(session, path);
    for (const name of names) {
      if (name.length > MAXIMUM_NAME) return { path, failure: Errno.ENAMETOOLONG };
      if (name === '' || name === '.' || name.includes('/') || name.includes('\0'))
        return { path, failure: Errno.ENOENT };
      // Nothing is below a link or a file, not even `..`.
      if (!status!.isDirectory()) return { path, failure: Errno.ENOTDIR };
      // The root is its own parent.
      const next = name === '..' ? path.slice(0, -1) : [...path, name];
      status = statusAt(session, next);
      qids.push(qidOf(status));
      path = next;
    }
  } catch (error) {
    return { path, failure: hostError(error) };
  }
  return { path, failure: 0 };
}

/** Tclunk fid[4] */
export const clunk: Operation = (session, request) => {
  const number = request.u32();
  if (!request.complete) return Errno.EINVAL;
  return session.fids.clunk(number) ? 0 : Errno.EBADF;
};

function newFidError(session: Session, number: number): number {
  if (session.fids.has(number) || number === 0xffff_ffff) return Errno.EBADF;
  return session.fids.full ? Errno.ENFILE : 0;
}
