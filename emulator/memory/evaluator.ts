import type { EvaluatorMemory } from '../ir/evaluator-memory.ts';
import type { Mmu } from './mmu.ts';
import { Access } from './regime.ts';
import { TRANSLATION_FAULT } from './translation.ts';

/**
 * Guest memory behind an MMU as the IR's evaluator sees it. The evaluator only learns that an access fails; what the fault was is in
 * the MMU (`faultKind`, `faultLow`, `faultHigh`).
 */
export class MmuMemory implements EvaluatorMemory {
  readonly #mmu: Mmu;
  readonly #words = new Int32Array(4);

  constructor(mmu: Mmu) {
    this.#mmu = mmu;
  }

  load(address: bigint, bytes: number): bigint | undefined {
    const mmu = this.#mmu;
    const [low, high] = halves(address);
    const words = this.#words;
    let fault: number;
    if (bytes === 16) {
      fault = mmu.read128(low, high, words, 0);
    } else {
      fault = this.#read(low, high, bytes);
      words[0] = mmu.low;
      words[1] = mmu.high;
      words[2] = words[3] = 0;
    }
    if (fault !== 0) return undefined;
    return words.reduceRight((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
  }

  store(address: bigint, bytes: number, value: bigint): boolean {
    const mmu = this.#mmu;
    const [low, high] = halves(address);
    const words = this.#words;
    for (let i = 0; i < 4; i++) words[i] = Number(BigInt.asIntN(32, value >> BigInt(32 * i)));
    switch (bytes) {
      case 1:
        return mmu.write8(low, high, words[0]!) === 0;
      case 2:
        return mmu.write16(low, high, words[0]!) === 0;
      case 4:
        return mmu.write32(low, high, words[0]!) === 0;
      case 8:
        return mmu.write64(low, high, words[0]!, words[1]!) === 0;
      default:
        return mmu.write128(low, high, words, 0) === 0;
    }
  }

  writable(address: bigint, bytes: number): boolean {
    return this.#mmu.translate(...halves(address), Access.write, bytes) !== TRANSLATION_FAULT;
  }

  #read(low: number, high: number, bytes: number): number {
    switch (bytes) {
      case 1:
        return this.#mmu.read8(low, high);
      case 2:
        return this.#mmu.read16(low, high);
      case 4:
        return this.#mmu.read32(low, high);
      default:
        return this.#mmu.read64(low, high);
    }
  }
}

/** The halves of an address as the MMU takes them. */
function halves(address: bigint): readonly [low: number, high: number] {
  return [Number(BigInt.asIntN(32, address)), Number(BigInt.asIntN(32, address >> 32n))];
}
