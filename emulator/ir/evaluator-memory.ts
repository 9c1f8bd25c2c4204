import { GUEST, PAGE_SIZE, PERMISSION, Permission } from '../layout/memory-map.ts';

/** Guest memory as the evaluator sees it. An access is made as a whole or not at all. */
export interface EvaluatorMemory {
  /** The bytes as an unsigned little-endian integer, or undefined when any of them may not be read. */
  readonly load: (address: bigint, bytes: number) => bigint | undefined;
  /** Stores the low bytes of the value; false, and nothing changed, when any of them may not be written. */
  readonly store: (address: bigint, bytes: number, value: bigint) => boolean;
  /** Whether a store would be permitted. */
  readonly writable: (address: bigint, bytes: number) => boolean;
}

/**
 * The flat guest window of a linear memory (layout/memory-map.ts): the very bytes and permission bytes that generated code works on,
 * so that the evaluator and generated code can be run on copies of one image and compared.
 */
export class LinearMemory implements EvaluatorMemory {
  readonly #bytes: Uint8Array;
  readonly #size: bigint;

  /** `buffer`: the linear memory; `size`: bytes of guest memory in it. Views are taken now, so the memory must not grow afterwards. */
  constructor(buffer: ArrayBufferLike, size: number) {
    this.#bytes = new Uint8Array(buffer);
    this.#size = BigInt(size);
  }

  load(address: bigint, bytes: number): bigint | undefined {
    if (!this.#allows(address, bytes, Permission.read)) return undefined;
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[GUEST + Number(address) + i]!);
    return value;
  }

  store(address: bigint, bytes: number, value: bigint): boolean {
    if (!this.writable(address, bytes)) return false;
    for (let i = 0; i < bytes; i++) {
      this.#bytes[GUEST + Number(address) + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    }
    return true;
  }

  writable(address: bigint, bytes: number): boolean {
    return this.#allows(address, bytes, Permission.write);
  }

  #allows(address: bigint, bytes: number, need: number): boolean {
    const end = address + BigInt(bytes);
    if (address < 0n || end > this.#size) return false;
    const pageSize = BigInt(PAGE_SIZE);
    for (let page = address / pageSize; page * pageSize < end; page++) {
      if ((this.#bytes[PERMISSION + Number(page)]! & need) !== need) return false;
    }
    return true;
  }
}
