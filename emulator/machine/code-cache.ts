import fs from 'node:fs';
import path from 'node:path';
import { fingerprint } from '../bits/murmur3.ts';
import { HostError } from '../check/errors.ts';
import { type CodeAddresses, decodeCode, encodeCode } from '../tier/region/code-file.ts';
import { CodeStore } from '../tier/region/code-store.ts';
import type { TierPolicy } from '../tier/policy.ts';
import { engineIdentity } from './engine-identity.ts';

const SUFFIX = '.regions';
const CHECKSUM_SIZE = 16;
/** Files of a directory together; the ones not used for longest are removed. */
const DIRECTORY_CAPACITY = 256 << 20;

/** What emitted code depends on beside the guest bytes, which are compared when it is used. */
export interface CodeCacheSubject {
  /** What is run, or so much of it that other subjects differ. */
  readonly program: Uint8Array;
  readonly isa: string;
  readonly guestSize: number;
  /** Guest memory is behind address translation. */
  readonly translated?: boolean;
  readonly policy: TierPolicy;
  readonly disabledPasses?: ReadonlySet<string>;
}

/** What happened to the files of one run. */
export interface CodeCacheCounters {
  /** Regions read from the file. */
  loaded: number;
  /** Files that were there and not used: cut off, changed, of another format, or somebody else's. */
  rejected: number;
  /** Regions written to the file. */
  saved: number;
  bytes: number;
}

/**
 * Emitted code kept in a directory from one process to the next: one file for each program, options and engine, named by the hash of all
 * that. The directory must belong to who runs the emulator, as with any cache of compiled code. A file that is damaged is counted and ignored.
 */
export class CodeCache {
  readonly store = new CodeStore();
  readonly counters: CodeCacheCounters = { loaded: 0, rejected: 0, saved: 0, bytes: 0 };
  readonly #directory: string;
  /** Stands in the file in full; its name is only an abbreviation. */
  readonly #key: string;

  /** Reads the file, if there is one. Throws HostError when the directory cannot be made. */
  constructor(directory: string, subject: CodeCacheSubject, engine = engineIdentity()) {
    this.#directory = directory;
    this.#key = keyOf(subject, engine);
    try {
      fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new HostError(`cannot be made a directory (${(error as NodeJS.ErrnoException).code})`, {
        where: directory,
        mend: 'name a directory of yours',
        cause: error,
      });
    }
    this.#load(subject.translated === true ? 'anywhere' : subject.guestSize);
  }

  get path(): string {
    return path.join(this.#directory, fingerprint(Buffer.from(this.#key)) + SUFFIX);
  }

  /** Writes the file anew, so that a reader sees the old one or the new one. Throws HostError when that fails. */
  save(): void {
    const body = encodeCode(this.store, this.#key);
    const temporary = `${this.path}.${process.pid}.${process.hrtime.bigint().toString(36)}`;
    try {
      const file = fs.openSync(temporary, 'wx', 0o600);
      try {
        fs.writevSync(file, [body, checksum(body)]);
      } finally {
        fs.closeSync(file);
      }
      fs.renameSync(temporary, this.path);
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw new HostError(`cannot be written (${(error as NodeJS.ErrnoException).code})`, {
        where: this.path,
        mend: 'name a --cache-dir that can be written, or none',
        cause: error,
      });
    }
    this.counters.saved = [...this.store].length;
    this.counters.bytes = body.length;
    removeOldest(this.#directory, this.path);
  }

  #load(addresses: CodeAddresses): void {
    const file = readIfThere(this.path);
    if (file === undefined) return;
    if (file === 'unreadable') {
      this.counters.rejected++;
      return;
    }
    const body = file.subarray(0, Math.max(0, file.length - CHECKSUM_SIZE));
    const isWhole = checksum(body).equals(file.subarray(body.length));
    const regions = isWhole ? decodeCode(body, this.#key, addresses) : 'damaged';
    if (typeof regions === 'string') {
      this.counters.rejected++;
      return;
    }
    for (const { code, source } of regions) this.store.add(code, source, false);
    this.counters.loaded = regions.length;
    // The time of the last use decides which files go first.
    const now = new Date();
    fs.utimesSync(this.path, now, now);
  }
}

function keyOf(
  { program, isa, guestSize, translated = false, policy, disabledPasses }: CodeCacheSubject,
  engine: string,
): string {
  const passes = [...(disabledPasses ?? [])].sort();
  return JSON.stringify([engine, fingerprint(program), isa, guestSize, translated, policy, passes]);
}

function checksum(bytes: Uint8Array): Buffer {
  return Buffer.from(fingerprint(bytes), 'latin1');
}

/** Why a file cannot be read that is there will show when it is written, if it matters. */
function readIfThere(file: string): Uint8Array<ArrayBuffer> | 'unreadable' | undefined {
  try {
    const { buffer, byteOffset, length } = fs.readFileSync(file);
    return new Uint8Array(buffer, byteOffset, length);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : 'unreadable';
  }
}

/** Removes files of ours until the rest fit; `kept` stays. Other processes may remove them at the same time. */
function removeOldest(directory: string, kept: string): void {
  const files = fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => path.join(directory, name))
    .map((file) => ({ file, stat: fs.statSync(file, { throwIfNoEntry: false }) }))
    .filter(({ stat }) => stat !== undefined)
    .sort((a, b) => b.stat!.mtimeMs - a.stat!.mtimeMs);
  let total = 0;
  for (const { file, stat } of files) {
    total += stat!.size;
    if (total > DIRECTORY_CAPACITY && file !== kept) fs.rmSync(file, { force: true });
  }
}
