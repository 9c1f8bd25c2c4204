import type { CompiledRegion } from './translate.ts';

/** A translation and the guest bytes it was made of, range after range. */
export interface StoredCode {
  readonly code: CompiledRegion;
  readonly source: Uint8Array;
}

/** Emitted bytes kept beyond the life of their instances. */
const CAPACITY = 16 << 20;
/** Translations kept of one seed: other code may have been there, or other modes been set. */
const VERSIONS = 4;

/**
 * Emitted code without an instance (level 3 of the translation cache), by the guest address it was formed from. What is found was made of
 * the same guest bytes; the oldest is given up when room is short.
 */
export class CodeStore {
  readonly #bySeed = new Map<number, StoredCode[]>();
  readonly #capacity: number;
  #bytes = 0;

  constructor(capacity = CAPACITY) {
    this.#capacity = capacity;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Addresses from which there is code; whether it fits, `find` says. */
  seeds(): IterableIterator<number> {
    return this.#bySeed.keys();
  }

  add(code: CompiledRegion, source: Uint8Array): void {
    const versions = this.#bySeed.get(code.seed) ?? [];
    this.#bySeed.delete(code.seed);
    versions.unshift({ code, source });
    this.#bytes += code.bytes.length;
    while (versions.length > VERSIONS) this.#bytes -= versions.pop()!.code.bytes.length;
    this.#bySeed.set(code.seed, versions);
    for (const [seed, oldest] of this.#bySeed) {
      if (this.#bytes <= this.#capacity) break;
      for (const { code: gone } of oldest) this.#bytes -= gone.bytes.length;
      this.#bySeed.delete(seed);
    }
  }

  /** The newest translation from `seed` of the bytes that are in guest memory now, if it `fits` otherwise too. */
  find(seed: number, guest: Uint8Array, fits: (code: CompiledRegion) => boolean): CompiledRegion | undefined {
    return this.#bySeed.get(seed)?.find(({ code, source }) => fits(code) && isSource(guest, code.ranges, source))?.code;
  }

  /** A translation is not to be used again. */
  discard(code: CompiledRegion): void {
    const versions = this.#bySeed.get(code.seed);
    const at = versions?.findIndex((version) => version.code === code) ?? -1;
    if (versions === undefined || at < 0) return;
    versions.splice(at, 1);
    this.#bytes -= code.bytes.length;
  }

  /** Oldest first: added in this order, they make an equal store. */
  *[Symbol.iterator](): IterableIterator<StoredCode> {
    for (const versions of this.#bySeed.values()) yield* versions.toReversed();
  }
}

/** The guest bytes [low, high) of each range, one after the other. */
export function sourceOf(guest: Uint8Array, ranges: readonly (readonly [number, number])[]): Uint8Array<ArrayBuffer> {
  const source = new Uint8Array(ranges.reduce((sum, [low, high]) => sum + high - low, 0));
  let at = 0;
  for (const [low, high] of ranges) {
    source.set(guest.subarray(low, high), at);
    at += high - low;
  }
  return source;
}

/** Whether the guest bytes of the ranges are these. */
export function isSource(
  guest: Uint8Array,
  ranges: readonly (readonly [number, number])[],
  source: Uint8Array,
): boolean {
  let at = 0;
  for (const [low, high] of ranges) {
    for (let byte = low; byte < high; byte++) if (guest[byte] !== source[at++]) return false;
  }
  return at === source.length;
}
