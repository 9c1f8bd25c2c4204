/** A first-in first-out buffer of bytes with a fixed capacity, readable at an offset without being consumed. */
export class ByteRing {
  readonly #bytes: Uint8Array;
  #start = 0;
  #length = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  get room(): number {
    return this.#bytes.length - this.#length;
  }

  /** Appends as much as there is room for; returns how much that was. */
  push(from: Uint8Array): number {
    const count = Math.min(from.length, this.room);
    const at = (this.#start + this.#length) % this.#bytes.length;
    const first = Math.min(count, this.#bytes.length - at);
    this.#bytes.set(from.subarray(0, first), at);
    if (first < count) this.#bytes.set(from.subarray(first, count), 0);
    this.#length += count;
    return count;
  }

  /** Lets `source` write into the free space directly, once; returns what `source` returned. */
  fill(source: (into: Uint8Array) => number): number {
    if (this.#length === 0) this.#start = 0;
    const at = (this.#start + this.#length) % this.#bytes.length;
    const contiguous = Math.min(this.room, this.#bytes.length - at);
    const count = source(this.#bytes.subarray(at, at + contiguous));
    if (count > 0) this.#length += Math.min(count, contiguous);
    return count;
  }

  /** Copies bytes from `offset` on into all of `into`, which must not reach past the end. */
  copy(offset: number, into: Uint8Array): void {
    const at = (this.#start + offset) % this.#bytes.length;
    const first = Math.min(into.length, this.#bytes.length - at);
    into.set(this.#bytes.subarray(at, at + first));
    if (first < into.length) into.set(this.#bytes.subarray(0, into.length - first), first);
  }

  /** Hands the oldest bytes to `sink` until it takes fewer than it was offered; drops what it took. */
  drain(sink: (bytes: Uint8Array) => number): void {
    while (this.#length > 0) {
      const contiguous = Math.min(this.#length, this.#bytes.length - this.#start);
      const taken = Math.min(sink(this.#bytes.subarray(this.#start, this.#start + contiguous)), contiguous);
      this.drop(taken);
      if (taken < contiguous) return;
    }
  }

  /** Forgets the oldest `count` bytes. */
  drop(count: number): void {
    this.#start = (this.#start + count) % this.#bytes.length;
    this.#length -= count;
  }
}
