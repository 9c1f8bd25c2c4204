import { P9 } from './message.ts';
import type { P9Server } from './server.ts';

type Field = number | bigint | string | Uint8Array;

/** A 9P client for tests and benchmarks: fields by a format of one letter each: b, h, d, q for 1, 2, 4, 8 bytes; s a string; r raw bytes. */
export function encode(type: number, format: string, fields: readonly Field[], tag = 1): Uint8Array {
  const parts: Buffer[] = [];
  for (const [i, letter] of [...format].entries()) {
    const field = fields[i]!;
    const bytes = Buffer.alloc(8);
    if (letter === 'r') parts.push(Buffer.from(field as Uint8Array));
    else if (letter === 's') {
      bytes.writeUInt16LE((field as string).length);
      parts.push(bytes.subarray(0, 2), Buffer.from(field as string, 'latin1'));
    } else {
      bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(field as number)));
      parts.push(bytes.subarray(0, { b: 1, h: 2, d: 4, q: 8 }[letter as 'b' | 'h' | 'd' | 'q']));
    }
  }
  const body = Buffer.concat(parts);
  const message = Buffer.alloc(7 + body.length);
  message.writeUInt32LE(message.length);
  message.writeUInt8(type, 4);
  message.writeUInt16LE(tag, 5);
  body.copy(message, 7);
  return message;
}

/** Fields of a reply; Q is a qid, R all the rest. */
export function decode(reply: Uint8Array, format: string): (number | bigint | string | Buffer)[] {
  const bytes = Buffer.from(reply);
  let at = 7;
  return [...format].map((letter) => {
    const start = at;
    if (letter === 'R') return bytes.subarray(start);
    if (letter === 's') {
      at += 2 + bytes.readUInt16LE(start);
      return bytes.toString('latin1', start + 2, at);
    }
    at += { b: 1, h: 2, d: 4, q: 8, Q: 13 }[letter as 'b' | 'h' | 'd' | 'q' | 'Q'];
    if (letter === 'Q') return bytes.subarray(start, at);
    return letter === 'q' ? bytes.readBigUInt64LE(start) : bytes.readUIntLE(start, at - start);
  });
}

/** An entry of a directory as Rreaddir gives it. */
export interface Entry {
  readonly name: string;
  readonly type: number;
  readonly offset: bigint;
}

export class P9Client {
  readonly server: P9Server;
  #nextFid = 100;

  constructor(server: P9Server, { start = true } = {}) {
    this.server = server;
    if (!start) return;
    this.ok(P9.version, 'ds', [1 << 19, '9P2000.L']);
    this.ok(P9.attach, 'ddssd', [0, 0xffff_ffff, 'root', '', 0]);
  }

  /** The reply to a request; its type may be an error. */
  send(type: number, format: string, fields: readonly Field[], room = 1 << 20): Uint8Array {
    const reply = this.server.handle(encode(type, format, fields), room);
    if (reply === undefined) throw new Error('no reply');
    return reply.slice();
  }

  /** The error number of a request; 0 when it succeeded. */
  error(type: number, format: string, fields: readonly Field[], room?: number): number {
    const reply = this.send(type, format, fields, room);
    return reply[4] === P9.lerror + 1 ? Number(decode(reply, 'd')[0]) : 0;
  }

  /** The reply of a request that must succeed. */
  ok(type: number, format: string, fields: readonly Field[]): Uint8Array {
    const reply = this.send(type, format, fields);
    if (reply[4] !== type + 1) throw new Error(`request ${type} failed: ${String(decode(reply, 'd')[0])}`);
    return reply;
  }

  /** A new fid at the path, or the error number negated. */
  walk(path: string, from = 0): number {
    const names = path.split('/').filter((name) => name !== '');
    const fid = this.#nextFid++;
    const reply = this.send(P9.walk, `ddh${'s'.repeat(names.length)}`, [from, fid, names.length, ...names]);
    if (reply[4] === P9.lerror + 1) return -Number(decode(reply, 'd')[0]);
    return decode(reply, 'h')[0] === names.length ? fid : -2;
  }

  /** Walks to a path and opens it; the fid, or a negated error number. */
  open(path: string, flags = 0): number {
    const fid = this.walk(path);
    if (fid < 0) return fid;
    const error = this.error(P9.lopen, 'dd', [fid, flags]);
    if (error !== 0) this.clunk(fid);
    return error === 0 ? fid : -error;
  }

  /** Creates a file below `directory`; its fid, or a negated error number. */
  create(directory: number, name: string, flags = 2, mode = 0o644): number {
    const fid = this.walk('', directory);
    const error = this.error(P9.lcreate, 'dsddd', [fid, name, flags, mode, 0]);
    if (error !== 0) this.clunk(fid);
    return error === 0 ? fid : -error;
  }

  clunk(fid: number): void {
    this.ok(P9.clunk, 'd', [fid]);
  }

  read(fid: number, offset: number, count: number): Buffer {
    const reply = this.ok(P9.read, 'dqd', [fid, offset, count]);
    const [length, bytes] = decode(reply, 'dR');
    return (bytes as Buffer).subarray(0, Number(length));
  }

  write(fid: number, offset: number, bytes: Uint8Array): number {
    return Number(decode(this.ok(P9.write, 'dqdr', [fid, offset, bytes.length, bytes]), 'd')[0]);
  }

  /** Everything in an open directory from offset `start` on, in as many requests of `count` bytes as it takes. */
  list(fid: number, count = 4096, start = 0n): Entry[] {
    const entries: Entry[] = [];
    for (;;) {
      const offset = entries.at(-1)?.offset ?? start;
      const bytes = Buffer.from(this.ok(P9.readdir, 'dqd', [fid, offset, count]));
      const end = 11 + bytes.readUInt32LE(7);
      if (end === 11) return entries;
      for (let at = 11; at < end;) {
        const length = bytes.readUInt16LE(at + 22);
        entries.push({
          name: bytes.toString('latin1', at + 24, at + 24 + length),
          type: bytes.readUInt8(at + 21),
          offset: bytes.readBigUInt64LE(at + 13),
        });
        at += 24 + length;
      }
    }
  }

  attributes(fid: number): { mode: number; size: number; uid: number; gid: number; links: number; mtime: bigint } {
    const fields = decode(this.ok(P9.getattr, 'dq', [fid, 0x7ff]), 'qQdddqqqqqqqqq');
    return {
      mode: Number(fields[2]),
      uid: Number(fields[3]),
      gid: Number(fields[4]),
      links: Number(fields[5]),
      size: Number(fields[7]),
      mtime: fields[12] as bigint,
    };
  }
}
