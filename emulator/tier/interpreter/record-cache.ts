import { assert } from '../../check/assert.ts';
import { PAGE_SIZE } from '../../layout/memory-map.ts';

const LOG_SLOTS = 15;
/** Words of a slot: the encoding, the displacement of its jump, its record, and its record where that jump stays in the page. */
const SLOT = 10;
const DISPLACEMENT = 1;
const FAR = 2;
const NEAR = 6;
/** In place of a displacement: there is none that can stay in a page. */
const NEVER_NEAR = 2 ** 31 - 1;
/** 2^32 over the golden ratio: spreads encodings that differ in few bits. */
const MULTIPLIER = 0x9e3779b1;

/**
 * Records by the encodings they were made of, the last two of each pair of slots. [measured: of the 400,000 instructions that a boot of Linux decodes, 120,000 are
 * not found; finding and copying takes 50 ns, decoding and encoding 2 µs]
 */
export class RecordCache {
  /** In the process's own order of bytes. */
  readonly slots: Int32Array<ArrayBuffer>;

  /** `slots`: those of a cache that was filled before, by the same sources. */
  constructor(slots = new Int32Array(SLOT << LOG_SLOTS)) {
    assert(slots.length === SLOT << LOG_SLOTS, 'the slots are of such a cache');
    this.slots = slots;
  }

  /** Copies the record of an encoding at an offset in its page to `target` from index `at`. Its op; 0 when it is not known. */
  copy(word: number, offset: number, target: Int32Array, at: number): number {
    const slots = this.slots;
    let slot = slotOf(word);
    if (slots[slot] !== (word | 0)) {
      slot = besides(slot);
      if (slots[slot] !== (word | 0)) return 0;
    }
    const to = offset + slots[slot + DISPLACEMENT]!;
    const from = slot + (to >= 0 && to < PAGE_SIZE ? NEAR : FAR);
    const first = slots[from]!;
    // What is not known: no record of an instruction begins with 0.
    if (first === 0) return 0;
    target[at] = first;
    target[at + 1] = slots[from + 1]!;
    target[at + 2] = slots[from + 2]!;
    target[at + 3] = slots[from + 3]!;
    return first & 0xffff;
  }

  /** `displacement`: of a jump that may stay in the page; `near`: `words` are for where it does. */
  remember(word: number, displacement: number | undefined, near: boolean, words: readonly number[]): void {
    const slots = this.slots;
    let slot = slotOf(word);
    const other = besides(slot);
    if (slots[other] === (word | 0)) slot = other;
    else if (slots[slot] !== (word | 0)) {
      // What was there stays, beside it: without that 165 of the 4261 instructions of a short program were not found though they had been made.
      if (slots[slot] !== 0) slots.copyWithin(other, slot, slot + SLOT);
      slots.fill(0, slot, slot + SLOT);
    }
    slots[slot] = word;
    slots[slot + DISPLACEMENT] = displacement ?? NEVER_NEAR;
    const to = slot + (near ? NEAR : FAR);
    for (let i = 0; i < 4; i++) slots[to + i] = words[i]!;
  }
}

function slotOf(word: number): number {
  return (Math.imul(word, MULTIPLIER) >>> (32 - LOG_SLOTS)) * SLOT;
}

/** The other slot of a pair. */
function besides(slot: number): number {
  return slot % (2 * SLOT) === 0 ? slot + SLOT : slot - SLOT;
}
