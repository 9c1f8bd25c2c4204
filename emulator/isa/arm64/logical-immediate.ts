/**
 * The immediate of the logical instructions (A-profile Arm ARM, "DecodeBitMasks"): 13 bits N:immr:imms stand for a run of ones, rotated
 * right within an element of 2…64 bits that is repeated over the register.
 */

/** The 64-bit value, or undefined for a reserved encoding. A 32-bit instruction takes the low half of a value whose N is 0. */
export function decodeLogicalImmediate(encoded: number): bigint | undefined {
  const n = (encoded >> 12) & 1;
  const immr = (encoded >> 6) & 63;
  const imms = encoded & 63;
  // The element's size is given by the highest bit set in N:NOT(imms).
  const size = 31 - Math.clz32((n << 6) | (~imms & 63));
  if (size < 1) return undefined;
  const width = 1 << size;
  const ones = (imms & (width - 1)) + 1;
  // All ones in an element is reserved.
  if (ones === width) return undefined;
  const rotation = BigInt(immr & (width - 1));
  const run = (1n << BigInt(ones)) - 1n;
  const element = BigInt.asUintN(width, (run >> rotation) | (run << (BigInt(width) - rotation)));
  let value = 0n;
  for (let at = 0; at < 64; at += width) value |= element << BigInt(at);
  return value;
}

let encodings: Map<bigint, number> | undefined;

/** The canonical encoding of a 64-bit value, or undefined when it has none. */
export function encodeLogicalImmediate(value: bigint): number | undefined {
  encodings ??= allEncodings();
  return encodings.get(value);
}

/** 5334 values have an encoding; of several the one with the fewest rotation bits is kept, as assemblers do. */
function allEncodings(): Map<bigint, number> {
  const map = new Map<bigint, number>();
  for (let encoded = 0; encoded < 1 << 13; encoded++) {
    const value = decodeLogicalImmediate(encoded);
    if (value !== undefined && !map.has(value)) map.set(value, encoded);
  }
  return map;
}
