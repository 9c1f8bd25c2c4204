import { Errno } from '../../../check/errno.ts';
import { getattr, getlock, lock, setattr, statfs, xattr } from './attribute-operations.ts';
import { ConfinedTree } from './confined-tree.ts';
import { FidTable } from './fid.ts';
import { fsync, lcreate, lopen, read, readdir, write } from './file-operations.ts';
import { ERROR_REPLY, HEADER, MessageReader, MessageWriter, P9 } from './message.ts';
import { link, mkdir, mknod, readlink, remove, rename, renameat, symlink, unlinkat } from './name-operations.ts';
import { attach, auth, clunk, flush, version, walk } from './session-operations.ts';
import { hostError, type Operation, type Session } from './session.ts';

/** What Linux asks for over virtio: 128 descriptors less three, of a page each. */
export const MAXIMUM_MESSAGE = 125 * 4096;
const MAXIMUM_FIDS = 16_384;
const MAXIMUM_OPEN = 512;

const OPERATIONS: ReadonlyMap<number, Operation> = new Map([
  [P9.statfs, statfs],
  [P9.lopen, lopen],
  [P9.lcreate, lcreate],
  [P9.symlink, symlink],
  [P9.mknod, mknod],
  [P9.rename, rename],
  [P9.readlink, readlink],
  [P9.getattr, getattr],
  [P9.setattr, setattr],
  [P9.xattrwalk, xattr],
  [P9.xattrcreate, xattr],
  [P9.readdir, readdir],
  [P9.fsync, fsync],
  [P9.lock, lock],
  [P9.getlock, getlock],
  [P9.link, link],
  [P9.mkdir, mkdir],
  [P9.renameat, renameat],
  [P9.unlinkat, unlinkat],
  [P9.version, version],
  [P9.auth, auth],
  [P9.attach, attach],
  [P9.flush, flush],
  [P9.walk, walk],
  [P9.read, read],
  [P9.write, write],
  [P9.clunk, clunk],
  [P9.remove, remove],
]);

export interface P9Options {
  /** The host directory to share. */
  readonly root: string;
  readonly readOnly?: boolean;
  /** Seconds since 1970, for files whose times the guest sets to "now"; by default those stay at 0. */
  readonly now?: () => number;
  /** Handles a guest may have, and files among them that may be open on the host. */
  readonly maximumFids?: number;
  readonly maximumOpen?: number;
}

/** Exact counters since the server was made. */
export interface P9Counters {
  requests: number;
  errors: number;
  /** Requests that were no messages, or had no room for an answer. */
  malformed: number;
}

/**
 * A 9P2000.L server for one client: a host directory, and nothing outside it. Messages go in and out as bytes; each is answered before the next.
 * Whatever a message says, the answer is a message.
 */
export class P9Server {
  readonly counters: P9Counters = { requests: 0, errors: 0, malformed: 0 };
  readonly #session: Session;
  readonly #reply = new MessageWriter(MAXIMUM_MESSAGE);

  /** Throws ConfigError when the root is not a directory. */
  constructor(options: P9Options) {
    this.#session = {
      tree: new ConfinedTree(options.root),
      fids: new FidTable(options.maximumFids ?? MAXIMUM_FIDS, options.maximumOpen ?? MAXIMUM_OPEN),
      readOnly: options.readOnly ?? false,
      now: options.now ?? (() => 0),
      maximumMessage: MAXIMUM_MESSAGE,
      messageSize: MAXIMUM_MESSAGE,
    };
  }

  get fids(): number {
    return this.#session.fids.size;
  }

  /** Files open on the host. */
  get open(): number {
    return this.#session.fids.open;
  }

  /** Answers one request in at most `room` bytes; undefined when not even an error fits. The answer is good until the next call. */
  handle(request: Uint8Array, room: number): Uint8Array | undefined {
    this.counters.requests += 1;
    if (room < ERROR_REPLY || request.length < HEADER) {
      this.counters.malformed += 1;
      return undefined;
    }
    const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
    const size = view.getUint32(0, true);
    const type = view.getUint8(4);
    const tag = view.getUint16(5, true);
    this.#reply.begin(Math.min(room, this.#session.messageSize));
    if (size < HEADER || size > request.length || size > this.#session.messageSize) {
      this.counters.malformed += 1;
      return this.#fail(Errno.EINVAL, tag);
    }
    const error = this.#perform(type, new MessageReader(request.subarray(0, size), HEADER));
    // An answer that did not fit: the client chose the room, so the request was wrong.
    if (error !== 0 || this.#reply.overflowed) return this.#fail(error || Errno.EINVAL, tag);
    return this.#reply.finish(type + 1, tag);
  }

  /** Forgets the client: closes everything. */
  reset(): void {
    this.#session.fids.clear();
    this.#session.messageSize = MAXIMUM_MESSAGE;
  }

  /** Lets go of the shared directory; the server is not used any more. */
  close(): void {
    this.reset();
    this.#session.tree.close();
  }

  checkInvariants(): void {
    this.#session.fids.checkInvariants();
  }

  #perform(type: number, request: MessageReader): number {
    const operation = OPERATIONS.get(type);
    if (operation === undefined) return Errno.EOPNOTSUPP;
    try {
      return operation(this.#session, request, this.#reply);
    } catch (error) {
      return hostError(error);
    }
  }

  #fail(error: number, tag: number): Uint8Array {
    this.counters.errors += 1;
    this.#reply.begin(ERROR_REPLY);
    this.#reply.u32(error);
    return this.#reply.finish(P9.lerror + 1, tag);
  }
}
