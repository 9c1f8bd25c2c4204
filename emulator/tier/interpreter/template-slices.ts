/** Numbers that are sums: what they are when no bit is set, and by bit what that adds. Modulo 2^32. */
export interface Sums {
  readonly base: readonly number[];
  readonly weights: readonly ReadonlyMap<number, number>[];
}

/** Numbers of a slice: its places, its mask, its factor. `((word << left) >> right) & mask`, times the factor, is added to one of the sums. */
export const SLICE_LENGTH = 3;

/** `which`: the sum, from 0 on. */
function placesOf(which: number, left: number, right: number): number {
  return (which << 10) | (left << 5) | right;
}

/** The fewest slices that give the sums, of neighbouring bits each. */
export function slicesOf({ weights }: Sums): number[][] {
  return weights.flatMap((ofBits, which) => {
    const slices: number[][] = [];
    for (let low = 0; low < 32; low++) {
      const factor = ofBits.get(low);
      if (factor === undefined) continue;
      let high = low;
      while (ofBits.get(high + 1) === factor << (high + 1 - low)) high++;
      // A sign: it takes away what the next bit would add.
      const signed = ofBits.get(high + 1) === -factor << (high + 1 - low);
      if (signed) high++;
      const left = 31 - high;
      const mask = signed ? -1 : 2 ** (high - low + 1) - 1;
      slices.push([placesOf(which, left, left + low), mask | 0, factor]);
      low = high;
    }
    return slices;
  });
}
