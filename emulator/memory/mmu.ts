// hot: generated code comes here whenever its inline probe of the TLB misses; devices and loaders for every access.
import { PAGE_SIZE, TLB_ENTRIES, TLB_ENTRY_SIZE, TlbEntry } from '../layout/memory-map.ts';
import type { Bus } from './bus.ts';
import type { MmioWidth } from './mmio.ts';
import { Access } from './regime.ts';
import { AddressTranslation, TRANSLATION_DEVICE, TRANSLATION_FAULT, type MmuOptions } from './translation.ts';

/** Instead of a FaultKind: nothing was stored, for there is code. */
export const WITHHELD = -1;

const PAGE_MASK = -PAGE_SIZE;
const WORDS = TLB_ENTRY_SIZE / 4;
/** From `low >>> INDEX_SHIFT` the bits of INDEX_BITS are an entry's first word. */
const INDEX_SHIFT = 12 - Math.log2(WORDS);
const INDEX_BITS = (TLB_ENTRIES - 1) * WORDS;
const WRITE = TlbEntry.write / 4;
const ADDEND = TlbEntry.addend / 4;

/**
 * Memory as the guest sees it: translation, protection, both TLB levels, RAM and devices. Addresses are 64 bits in two int32 halves,
 * values likewise, so that nothing on the way is a BigInt.
 *
 * Accesses return 0, or the FaultKind, with the address at fault in `faultLow` and `faultHigh`; a read leaves its value, zero-extended, in
 * `low` and `high`. Accesses may be misaligned and cross pages (except to devices, which answer with an access fault); one that faults
 * changes nothing.
 */
export class Mmu extends AddressTranslation {
  low = 0;
  high = 0;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  /** 16 bytes on their way: the value of a slow access. */
  readonly #transfer = new Uint8Array(16);
  readonly #transferWords = new Int32Array(this.#transfer.buffer);
  readonly #transferView = new DataView(this.#transfer.buffer);
  /** What `storeUnlessCode` asks. */
  #isCode: ((linear: number, length: number) => boolean) | undefined = undefined;

  /** `memory` must not grow afterwards; RAM lies in it from GUEST up. */
  constructor(memory: WebAssembly.Memory, bus: Bus, options: MmuOptions = {}) {
    super(memory, bus, options);
    const buffer = memory.buffer as ArrayBuffer;
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  read8(low: number, high: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    // One comparison of both halves, here and below. [measured: stores are 8 % faster so, loads as fast]
    if (((words[at]! ^ (low & PAGE_MASK)) | (words[at + 1]! ^ high)) === 0) {
      this.low = this.#bytes[(low + words[at + ADDEND]!) >>> 0]!;
      this.high = 0;
      return 0;
    }
    return this.#readSlow(low, high, 1);
  }

  read16(low: number, high: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at]! ^ (low & (PAGE_MASK | 1))) | (words[at + 1]! ^ high)) === 0) {
      const linear = (low + words[at + ADDEND]!) >>> 0;
      const word = words[linear >>> 2]!;
      this.low = (linear & 2) === 0 ? word & 0xffff : word >>> 16;
      this.high = 0;
      return 0;
    }
    return this.#readSlow(low, high, 2);
  }

  read32(low: number, high: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at]! ^ (low & (PAGE_MASK | 3))) | (words[at + 1]! ^ high)) === 0) {
      this.low = words[(low + words[at + ADDEND]!) >>> 2]!;
      this.high = 0;
      return 0;
    }
    return this.#readSlow(low, high, 4);
  }

  read64(low: number, high: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at]! ^ (low & (PAGE_MASK | 7))) | (words[at + 1]! ^ high)) === 0) {
      const word = (low + words[at + ADDEND]!) >>> 2;
      this.low = words[word]!;
      this.high = words[word + 1]!;
      return 0;
    }
    return this.#readSlow(low, high, 8);
  }

  /** The value's four words are left in `target` from `index`. */
  read128(low: number, high: number, target: Int32Array, index: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at]! ^ (low & (PAGE_MASK | 15))) | (words[at + 1]! ^ high)) === 0) {
      const word = (low + words[at + ADDEND]!) >>> 2;
      target[index] = words[word]!;
      target[index + 1] = words[word + 1]!;
      target[index + 2] = words[word + 2]!;
      target[index + 3] = words[word + 3]!;
      return 0;
    }
    const fault = this.#readSlow(low, high, 16);
    if (fault === 0) target.set(this.#transferWords, index);
    return fault;
  }

  write8(low: number, high: number, value: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at + WRITE]! ^ (low & PAGE_MASK)) | (words[at + WRITE + 1]! ^ high)) === 0) {
      this.#bytes[(low + words[at + ADDEND]!) >>> 0] = value;
      return 0;
    }
    this.#transferWords[0] = value;
    return this.#writeSlow(low, high, 1);
  }

  write16(low: number, high: number, value: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at + WRITE]! ^ (low & (PAGE_MASK | 1))) | (words[at + WRITE + 1]! ^ high)) === 0) {
      this.#view.setInt16((low + words[at + ADDEND]!) >>> 0, value, true);
      return 0;
    }
    this.#transferWords[0] = value;
    return this.#writeSlow(low, high, 2);
  }

  write32(low: number, high: number, value: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at + WRITE]! ^ (low & (PAGE_MASK | 3))) | (words[at + WRITE + 1]! ^ high)) === 0) {
      words[(low + words[at + ADDEND]!) >>> 2] = value;
      return 0;
    }
    this.#transferWords[0] = value;
    return this.#writeSlow(low, high, 4);
  }

  write64(low: number, high: number, valueLow: number, valueHigh: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at + WRITE]! ^ (low & (PAGE_MASK | 7))) | (words[at + WRITE + 1]! ^ high)) === 0) {
      const word = (low + words[at + ADDEND]!) >>> 2;
      words[word] = valueLow;
      words[word + 1] = valueHigh;
      return 0;
    }
    this.#transferWords[0] = valueLow;
    this.#transferWords[1] = valueHigh;
    return this.#writeSlow(low, high, 8);
  }

  /** Writes four words of `source` from `index`. */
  write128(low: number, high: number, source: Int32Array, index: number): number {
    const at = this.table + ((low >>> INDEX_SHIFT) & INDEX_BITS);
    const words = this.#words;
    if (((words[at + WRITE]! ^ (low & (PAGE_MASK | 15))) | (words[at + WRITE + 1]! ^ high)) === 0) {
      const word = (low + words[at + ADDEND]!) >>> 2;
      words[word] = source[index]!;
      words[word + 1] = source[index + 1]!;
      words[word + 2] = source[index + 2]!;
      words[word + 3] = source[index + 3]!;
      return 0;
    }
    for (let i = 0; i < 4; i++) this.#transferWords[i] = source[index + i]!;
    return this.#writeSlow(low, high, 16);
  }

  /**
   * A load of 1, 2, 4, 8 or 16 bytes; the zero-extended value goes to 16 bytes of the linear memory at `target`. With `update` it is the
   * first half of an atomic: it needs the right to store, and faults as a store does.
   */
  load(low: number, high: number, bytes: number, update: boolean, target: number): number {
    const fault = this.#readInto(low, high, bytes, update ? Access.write : Access.read);
    if (fault !== 0) return fault;
    const word = target >>> 2;
    for (let i = 0; i < 4; i++) this.#words[word + i] = this.#transferWords[i]!;
    return 0;
  }

  /** A store of the low bytes of what is in the linear memory at `source`. */
  store(low: number, high: number, bytes: number, source: number): number {
    const word = source >>> 2;
    for (let i = 0; i < 4; i++) this.#transferWords[i] = this.#words[word + i]!;
    return this.#writeSlow(low, high, bytes);
  }

  /**
   * As `store`, but leaves code alone: `isCode` is asked about bytes in pages with Permission.code before anything is written (linear address
   * and length), and when it says so nothing is and the answer is `WITHHELD`.
   */
  storeUnlessCode(
    low: number,
    high: number,
    bytes: number,
    source: number,
    isCode: (linear: number, length: number) => boolean,
  ): number {
    this.#isCode = isCode;
    const kind = this.store(low, high, bytes, source);
    this.#isCode = undefined;
    return kind;
  }

  /** Reads guest bytes at a virtual address. How many were read: fewer than asked for when there is a fault after them. */
  readBytes(low: number, high: number, target: Uint8Array): number {
    return this.#transferBytes(low, high, target, Access.read);
  }

  writeBytes(low: number, high: number, source: Uint8Array): number {
    return this.#transferBytes(low, high, source, Access.write);
  }

  #readSlow(low: number, high: number, bytes: number): number {
    const fault = this.#readInto(low, high, bytes, Access.read);
    this.low = this.#transferWords[0]!;
    this.high = this.#transferWords[1]!;
    return fault;
  }

  /** Leaves the zero-extended bytes in the transfer buffer. */
  #readInto(low: number, high: number, bytes: number, access: Access): number {
    const words = this.#transferWords;
    words[0] = words[1] = words[2] = words[3] = 0;
    const inFirst = PAGE_SIZE - (low & ~PAGE_MASK);
    const first = this.translate(low, high, access, Math.min(bytes, inFirst));
    if (first === TRANSLATION_FAULT) return this.faultKind;
    if (bytes > inFirst) {
      const nextLow = (low + inFirst) | 0;
      const nextHigh = nextLow === 0 ? (high + 1) | 0 : high;
      if (first === TRANSLATION_DEVICE) return this.fault(false, access, low, high);
      const second = this.translate(nextLow, nextHigh, access, bytes - inFirst);
      if (second === TRANSLATION_FAULT) return this.faultKind;
      if (second === TRANSLATION_DEVICE) return this.fault(false, access, nextLow, nextHigh);
      for (let i = 0; i < bytes; i++) {
        this.#transfer[i] = this.#bytes[i < inFirst ? (first >>> 0) + i : (second >>> 0) + i - inFirst]!;
      }
      return 0;
    }
    if (first === TRANSLATION_DEVICE) return this.#readDevice(low, high, bytes, access);
    const linear = first >>> 0;
    switch (bytes) {
      case 1:
        words[0] = this.#bytes[linear]!;
        break;
      case 2:
        words[0] = this.#view.getUint16(linear, true);
        break;
      case 4:
        words[0] = this.#view.getInt32(linear, true);
        break;
      case 8:
        words[0] = this.#view.getInt32(linear, true);
        words[1] = this.#view.getInt32(linear + 4, true);
        break;
      default:
        for (let i = 0; i < bytes; i++) this.#transfer[i] = this.#bytes[linear + i]!;
    }
    return 0;
  }

  /** Stores the first bytes of the transfer buffer. */
  #writeSlow(low: number, high: number, bytes: number): number {
    const access = Access.write;
    const inFirst = PAGE_SIZE - (low & ~PAGE_MASK);
    const first = this.translate(low, high, access, Math.min(bytes, inFirst));
    if (first === TRANSLATION_FAULT) return this.faultKind;
    if (bytes > inFirst) {
      const nextLow = (low + inFirst) | 0;
      const nextHigh = nextLow === 0 ? (high + 1) | 0 : high;
      if (first === TRANSLATION_DEVICE) return this.fault(false, access, low, high);
      const second = this.translate(nextLow, nextHigh, access, bytes - inFirst);
      if (second === TRANSLATION_FAULT) return this.faultKind;
      if (second === TRANSLATION_DEVICE) return this.fault(false, access, nextLow, nextHigh);
      if (this.#withholds(first >>> 0, inFirst) || this.#withholds(second >>> 0, bytes - inFirst)) return WITHHELD;
      for (let i = 0; i < bytes; i++) {
        this.#bytes[i < inFirst ? (first >>> 0) + i : (second >>> 0) + i - inFirst] = this.#transfer[i]!;
      }
      this.codePages.wrote(first >>> 0, inFirst);
      this.codePages.wrote(second >>> 0, bytes - inFirst);
      return 0;
    }
    if (first === TRANSLATION_DEVICE) return this.#writeDevice(low, high, bytes);
    const linear = first >>> 0;
    if (this.#withholds(linear, bytes)) return WITHHELD;
    const words = this.#transferWords;
    switch (bytes) {
      case 1:
        this.#bytes[linear] = words[0]!;
        break;
      case 2:
        this.#view.setInt16(linear, words[0]!, true);
        break;
      case 4:
        this.#view.setInt32(linear, words[0]!, true);
        break;
      case 8:
        this.#view.setInt32(linear, words[0]!, true);
        this.#view.setInt32(linear + 4, words[1]!, true);
        break;
      default:
        for (let i = 0; i < bytes; i++) this.#bytes[linear + i] = this.#transfer[i]!;
    }
    this.codePages.wrote(linear, bytes);
    return 0;
  }

  #withholds(linear: number, length: number): boolean {
    return this.#isCode !== undefined && this.codePages.has(linear) && this.#isCode(linear, length);
  }

  #readDevice(low: number, high: number, bytes: number, access: Access): number {
    // Devices take no part in atomics, and none is 16 bytes wide.
    if (bytes > 8 || access === Access.write) return this.fault(false, access, low, high);
    const value = this.bus.readDevice(this.deviceAddress, bytes as MmioWidth);
    if (value === undefined) return this.fault(false, access, low, high);
    this.counters.deviceReads++;
    if (bytes === 8) {
      this.#transferView.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    } else {
      this.#transferWords[0] = Number(value) & (bytes === 4 ? -1 : bytes === 2 ? 0xffff : 0xff);
    }
    return 0;
  }

  #writeDevice(low: number, high: number, bytes: number): number {
    if (bytes > 8) return this.fault(false, Access.write, low, high);
    const word = this.#transferWords[0]!;
    const value =
      bytes === 8
        ? this.#transferView.getBigUint64(0, true)
        : bytes === 4
          ? word >>> 0
          : word & (bytes === 2 ? 0xffff : 0xff);
    if (!this.bus.writeDevice(this.deviceAddress, bytes as MmioWidth, value)) {
      return this.fault(false, Access.write, low, high);
    }
    this.counters.deviceWrites++;
    return 0;
  }

  /** Runs of pages that lie one after the other in RAM are copied at once. How many bytes were. */
  #transferBytes(low: number, high: number, buffer: Uint8Array, access: Access): number {
    const total = buffer.length;
    let done = 0;
    let atLow = low;
    let atHigh = high;
    this.beginBulk();
    let start = total === 0 ? TRANSLATION_FAULT : this.translateForBulk(atLow, atHigh, access);
    while (done < total) {
      if (start === TRANSLATION_DEVICE) this.fault(false, access, atLow, atHigh);
      if (start === TRANSLATION_DEVICE || start === TRANSLATION_FAULT) return done;
      const linear = start >>> 0;
      let length = 0;
      let next = start;
      while (next >>> 0 === linear + length) {
        const step = Math.min(this.whole ? PAGE_SIZE - (atLow & ~PAGE_MASK) : 1, total - done - length);
        length += step;
        if (done + length === total) break;
        let nextLow = (atLow + step) | 0;
        if (atLow < 0 && nextLow >= 0) atHigh = (atHigh + 1) | 0;
        if ((nextLow & ~PAGE_MASK) === 0) {
          const pages = Math.floor((total - done - length) / PAGE_SIZE);
          const known = pages === 0 ? 0 : this.knownRun(nextLow, atHigh, access, linear + length, pages) * PAGE_SIZE;
          length += known;
          const after = (nextLow + known) | 0;
          if (after >>> 0 < nextLow >>> 0) atHigh = (atHigh + 1) | 0;
          nextLow = after;
          if (done + length === total) break;
        }
        atLow = nextLow;
        next = this.translateForBulk(atLow, atHigh, access);
      }
      if (access === Access.read) {
        buffer.set(this.#bytes.subarray(linear, linear + length), done);
      } else {
        this.#bytes.set(length === total ? buffer : buffer.subarray(done, done + length), linear);
        this.codePages.wrote(linear, length);
      }
      done += length;
      start = next;
    }
    return done;
  }
}
