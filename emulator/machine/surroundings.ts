import crypto from 'node:crypto';

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

export function hostRandom(into: Uint8Array): void {
  crypto.randomFillSync(into);
}
