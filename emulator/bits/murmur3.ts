/** MurmurHash3 (Appleby, smhasher), its 32-bit form for 32-bit hosts. Tells contents apart, and finds damage; it withstands nobody who means harm. */

/** The hash of `bytes` as an unsigned integer below 2^32. `seed`: as large; other seeds give hashes that have nothing to do with each other. */
export function murmur3(bytes: Uint8Array, seed: number): number {
  const { length } = bytes;
  const words = wordsOf(bytes);
  let hash = seed | 0;
  // Written out: V8 has not optimised this yet when a process needs it, and calls cost it half of the time then.
  for (let at = 0; at < words.length; at++) {
    const product = Math.imul(words[at]!, 0xcc9e_2d51);
    const mixed = hash ^ Math.imul((product << 15) | (product >>> 17), 0x1b87_3593);
    hash = (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0;
  }
  let rest = 0;
  for (let at = length - 1; at >= 4 * words.length; at--) rest = (rest << 8) | bytes[at]!;
  const product = Math.imul(rest, 0xcc9e_2d51);
  return finish(hash ^ Math.imul((product << 15) | (product >>> 17), 0x1b87_3593) ^ length);
}

/** Two such hashes, in hexadecimal: 64 bits. */
export function fingerprint(bytes: Uint8Array): string {
  return [0, 0x9747_b28c].map((seed) => murmur3(bytes, seed).toString(16).padStart(8, '0')).join('');
}

/** The whole words; hosts are little-endian, as the algorithm is. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const { buffer, byteOffset, length } = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return new Int32Array(buffer, byteOffset, length >>> 2);
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
