import fs from 'node:fs';
import { Errno, errnoOf } from '../../../check/errno.ts';
import type { ConfinedTree, Path } from './confined-tree.ts';
import type { Fid, FidTable } from './fid.ts';
import { MAXIMUM_NAME, QidType, type MessageReader, type MessageWriter, type Qid } from './message.ts';

/** What an operation works on. */
export interface Session {
  readonly tree: ConfinedTree;
  readonly fids: FidTable;
  readonly readOnly: boolean;
  /** Seconds since 1970, for "set the time to now". */
  readonly now: () => number;
  /** The largest message this server can hold. */
  readonly maximumMessage: number;
  /** What was agreed on by Tversion. */
  messageSize: number;
}

/** Reads its fields, acts, and writes the reply's. Returns 0 or a Linux error number; what the host throws becomes one, too. */
export type Operation = (session: Session, request: MessageReader, reply: MessageWriter) => number;

/** Permission bits a guest can set; set-user-id on a file of the host would reach beyond the guest. */
export const PERMISSIONS = 0o777;

export function typeOf(status: fs.BigIntStats): number {
  return Number(status.mode) & fs.constants.S_IFMT;
}

export function qidOf(status: fs.BigIntStats): Qid {
  return {
    type: status.isDirectory() ? QidType.directory : status.isSymbolicLink() ? QidType.symlink : QidType.file,
    version: Number(BigInt.asUintN(32, status.mtimeNs ^ (status.size << 8n))),
    path: BigInt.asUintN(64, status.ino ^ (status.dev << 48n)),
  };
}

/** Does something to the file a fid stands for: the open file, if it is open, else what has its name. */
export function onFid<T>(session: Session, fid: Fid, action: (host: Buffer, status: fs.BigIntStats) => T): T {
  return fid.opened?.kind === 'file'
    ? session.tree.onOpen(fid.path, fid.opened.descriptor, action)
    : session.tree.on(fid.path, action);
}

export function statusAt(session: Session, path: Path): fs.BigIntStats {
  return session.tree.at(path, (host) => fs.lstatSync(host, { bigint: true }));
}

/** The error number of a failed call of the host. Throws on what is no such failure: that would be our mistake. */
export function hostError(error: unknown): number {
  if (!(error instanceof Error) || !('syscall' in error)) throw error;
  return -errnoOf(error);
}

/** Whether a guest's name may be a component of a path. */
export function nameError(name: string): number {
  if (name.length > MAXIMUM_NAME) return Errno.ENAMETOOLONG;
  if (name === '' || name.includes('/') || name.includes('\0')) return Errno.EINVAL;
  return name === '.' || name === '..' ? Errno.EEXIST : 0;
}

/** For an operation that makes or takes away `name` in the directory `fid`: 0, or why it may not. */
export function changeError(session: Session, fid: Fid | undefined, name: string, complete: boolean): number {
  if (!complete) return Errno.EINVAL;
  if (fid === undefined) return Errno.EBADF;
  return session.readOnly ? Errno.EROFS : nameError(name);
}
