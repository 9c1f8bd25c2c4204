/**
 * The one's complement sum of big-endian 16-bit words, not yet complemented (RFC 1071); an odd last byte counts as if a zero followed.
 * `initial` carries the sum of what came before (a pseudo header). At most 65,535 bytes, so the sum stays below 2^32.
 */
export function sumWords(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  if (even !== bytes.length) sum += bytes[even]! << 8;
  return sum;
}

/** Folds and complements a sum: what goes into the header. A header that is right, its checksum included, gives 0. */
export function finishChecksum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return ~folded & 0xffff;
}

/** The sum over the pseudo header of TCP and UDP (RFC 9293, "Header Format"). */
export function pseudoHeaderSum(source: number, destination: number, protocol: number, length: number): number {
  return (
    (source >>> 16) +
    (source & 0xffff) +
    (destination >>> 16) +
    (destination & 0xffff) +
    (protocol & 0xff) +
    (length & 0xffff)
  );
}
