import type { Block, Op } from '../ir/block.ts';
import { isField, type Slot, type Type, WIDTH } from '../ir/type.ts';
import { Effect, effects } from './effects.ts';
import { type Pass, type PassContext, slotName } from './pass.ts';
import { COMMON_UNITS, slotOffset } from './register-table.ts';
import { filled, Rewriter } from './rewriter.ts';

const UNIT = 4;
const READ = -1;

/** The parts of the state that are written again before anyone can look at them, going backwards through a block. */
class Overwritten {
  /** By unit, what happens to it next: READ, or the stretch, between two places where all may be seen, in which it is written. */
  readonly #next: number[] = filled(COMMON_UNITS, 0);
  #stretch = 1;

  covers(slot: Slot, type: Type): boolean {
    const offset = slotOffset(slot);
    if (offset === undefined) return false;
    const last = lastUnit(offset, type);
    for (let unit = Math.floor(offset / UNIT); unit <= last; unit++) {
      if (this.#next[unit] !== this.#stretch) return false;
    }
    return true;
  }

  write(slot: Slot, type: Type): void {
    const offset = slotOffset(slot);
    // Only whole units: part of one that begins or ends inside is still to be seen.
    if (offset === undefined || offset % UNIT !== 0) return;
    const last = lastUnit(offset, type);
    for (let unit = offset / UNIT; unit <= last; unit++) this.#next[unit] = this.#stretch;
  }

  read(slot: Slot, type: Type): void {
    const offset = slotOffset(slot);
    if (offset === undefined) return this.observe();
    const last = lastUnit(offset, type);
    for (let unit = Math.floor(offset / UNIT); unit <= last; unit++) this.#next[unit] = READ;
  }

  /** Whether any of the register is read later in the block, before it is written. */
  isRead(slot: Slot, type: Type): boolean {
    const offset = slotOffset(slot);
    if (offset === undefined) return true;
    const last = lastUnit(offset, type);
    for (let unit = Math.floor(offset / UNIT); unit <= last; unit++) if (this.#next[unit] === READ) return true;
    return false;
  }

  /** All of the state may be seen here. */
  observe(): void {
    this.#stretch++;
  }
}

function lastUnit(offset: number, type: Type): number {
  return Math.floor((offset + WIDTH[type] / 8 - 1) / UNIT);
}

function run(block: Block, context: PassContext): Block {
  const { deadOut, floatOpsStay = false } = context;
  const leaving = floatOpsStay ? Effect.leaves : Effect.leaves | Effect.flags;
  const source = block.ops;
  const overwritten = new Overwritten();
  const dead = filled(source.length, 0);
  /** Values that are used further on: a read that forwarding has made superfluous sees nothing. */
  const live = filled(source.length, 0);
  let count = 0;
  /** No op has been met from which the block may be left: what nobody reads after it needs not be written. */
  let atEnd = true;
  for (let index = source.length - 1; index >= 0; index--) {
    const op: Op = source[index]!;
    const bits = effects(op);
    if (live[index] === 0 && (bits & Effect.valueOnly) !== 0) continue;
    if (op.name === 'set') {
      const slot = op.slot!;
      const type = op.type as Type;
      const swallowed = !isField(slot.index) && slot.index === slot.file.sink;
      const unread = atEnd && deadOut?.has(slotName(slot)) === true && !overwritten.isRead(slot, type);
      if (swallowed || unread || overwritten.covers(slot, type)) {
        dead[index] = 1;
        count++;
      } else {
        overwritten.write(slot, type);
        live[op.args[0]!] = 1;
      }
      continue;
    }
    for (let place = 0; place < op.args.length; place++) live[op.args[place]!] = 1;
    if (op.name === 'get') {
      overwritten.read(op.slot!, op.type as Type);
      continue;
    }
    // A float op that stays adds to the flags only what a later write of them takes back.
    if ((bits & leaving) !== 0) {
      overwritten.observe();
      // A trap is the end of the block, but not the one after which nobody reads.
      atEnd = false;
    }
  }
  if (count === 0) return block;
  const rewriter = new Rewriter(block);
  for (let index = 0; index < source.length; index++) {
    if (dead[index] === 1) rewriter.drop(index);
    else rewriter.keep(index);
  }
  return rewriter.finish();
}

export const deadRegisterStores: Pass = {
  name: 'dead-register-stores',
  prose:
    'Removes writes of registers that are written again before the block can be left, that nobody reads after it, or that swallow what is written.',
  run,
};
