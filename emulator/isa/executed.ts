import type { Decoded } from './instruction.ts';

/** Different encodings remembered; then they are forgotten and begun anew. */
const MOST_KNOWN = 1 << 16;

/**
 * `Isa.decodeExecuted` for an ISA whose instructions are words of up to 32 bits: programs repeat the same ones, so what an encoding means is
 * worked out once. `wordAt` gives the encoding at an offset, undefined where it is cut off; no shorter encoding may be the start of a longer.
 */
export function rememberExecuted(
  wordAt: (bytes: Uint8Array, offset: number) => number | undefined,
  executedOf: (word: number) => Decoded | undefined,
): (bytes: Uint8Array, offset: number) => Decoded | undefined {
  const known = new Map<number, Decoded>();
  return (bytes, offset) => {
    const word = wordAt(bytes, offset);
    if (word === undefined) return undefined;
    const seen = known.get(word);
    if (seen !== undefined) return seen;
    const executed = executedOf(word);
    if (executed === undefined) return undefined;
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(word, executed);
    return executed;
  };
}
