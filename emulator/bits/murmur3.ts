/** MurmurHash3 (Appleby, smhasher), its 32-bit form for 32-bit hosts. Tells contents apart, and finds damage; it withstands nobody who means harm. */

/** The hash of `bytes` as an unsigned integer below 2^32. `seed`: as large; other seeds give hashes that have nothing to do with each other. */
export function murmur3(bytes: Uint8Array, seed: number): number {
  const words = bytes.length >>> 2;
  let hash = seed | 0;
  if (bytes.byteOffset % 4 === 0) {
    const all = new Int32Array(bytes.buffer, bytes.byteOffset, words);
    for (let at = 0; at < words; at++) hash = step(hash, all[at]!);
  } else {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < words; at++) hash = step(hash, view.getInt32(4 * at, true));
  }
  let rest = 0;
  for (let at = bytes.length - 1; at >= 4 * words; at--) rest = (rest << 8) | bytes[at]!;
  return finish(hash ^ scramble(rest) ^ bytes.length);
}

/** Two such hashes, in hexadecimal: 64 bits. */
export function fingerprint(bytes: Uint8Array): string {
  return [0, 0x9747_b28c].map((seed) => murmur3(bytes, seed).toString(16).padStart(8, '0')).join('');
}

function step(hash: number, word: number): number {
  const mixed = hash ^ scramble(word);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0;
}

function scramble(word: number): number {
  const product = Math.imul(word, 0xcc9e_2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b87_3593);
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
