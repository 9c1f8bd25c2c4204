/** Files that a machine boots from. */
import fs from 'node:fs';
import { HostError } from '../../emulator/check/errors.ts';
import { type BootFile, HEAD_SIZE } from '../../emulator/machine/riscv-virt/boot.ts';

/** A file, read at once, or when it is copied to memory if it is one of some size. @throws HostError when it cannot be read. */
export function openBootFile(origin: string): BootFile {
  return attempt(origin, () => {
    const descriptor = fs.openSync(origin, 'r');
    try {
      const status = fs.fstatSync(descriptor);
      // A pipe's bytes come once only.
      if (!status.isFile() || status.size <= HEAD_SIZE) return { origin, bytes: bytesOf(fs.readFileSync(descriptor)) };
      const head = new Uint8Array(HEAD_SIZE);
      fill(descriptor, head, origin);
      return new LargeBootFile(origin, status.size, head);
    } finally {
      fs.closeSync(descriptor);
    }
  });
}

class LargeBootFile implements BootFile {
  readonly origin: string;
  readonly large: NonNullable<BootFile['large']>;
  #bytes: Uint8Array | undefined = undefined;

  constructor(origin: string, length: number, head: Uint8Array) {
    this.origin = origin;
    this.large = { length, head, copyTo: (target) => copyFile(origin, target) };
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= attempt(this.origin, () => bytesOf(fs.readFileSync(this.origin))));
  }
}

function copyFile(origin: string, target: Uint8Array): void {
  attempt(origin, () => {
    const descriptor = fs.openSync(origin, 'r');
    try {
      fill(descriptor, target, origin);
    } finally {
      fs.closeSync(descriptor);
    }
  });
}

/** Reads from the beginning until `target` is full. */
function fill(descriptor: number, target: Uint8Array, origin: string): void {
  for (let done = 0; done < target.length;) {
    const read = fs.readSync(descriptor, target, done, target.length - done, done);
    if (read === 0)
      throw new HostError('has become shorter since the start', { where: origin, mend: 'leave it alone meanwhile' });
    done += read;
  }
}

function bytesOf({ buffer, byteOffset, length }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}

function attempt<Result>(origin: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw new HostError(`cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, {
      where: origin,
      mend: 'name a file that exists',
      cause: error,
    });
  }
}
