import type { Op, Value } from '../ir/block.ts';
import { isField, type Slot, type Type, WIDTH } from '../ir/type.ts';
import { StateOffset } from '../layout/state.ts';

/** Registers are told apart by where they lie in the state, in units of four bytes: files may overlap (AArch64 x33 is sp). */
const UNIT = 4;
const FLAGS_UNIT = StateOffset.floatFlags / UNIT;
const NOBODY = -1;

/** The register's place in the state, in bytes; undefined when it is only known at run time. */
export function slotOffset(slot: Slot): number | undefined {
  return isField(slot.index) ? undefined : slot.file.offset + slot.file.stride * slot.index;
}

/** For each part of the state, the last op that said what is there; all of it is forgotten where nothing can be known any more. */
export class RegisterTable {
  #definers: Value[] = [];
  #forgotten = false;

  /** `definer`, the number of a `get` or `set`, tells what is in the register from now on. */
  define(slot: Slot, type: Type, definer: Value): void {
    const offset = slotOffset(slot);
    if (offset === undefined) return this.forget();
    const first = Math.floor(offset / UNIT);
    const last = Math.floor((offset + WIDTH[type] / 8 - 1) / UNIT);
    for (let unit = first; unit <= last; unit++) this.#definers[unit] = definer;
  }

  /**
   * The op that told what the whole of the register holds; `NOBODY` (-1) when that is not one op, or none. It may have told about a wider
   * register that begins at the same place.
   */
  definer(slot: Slot, type: Type, ops: readonly Op[]): Value {
    const offset = slotOffset(slot);
    if (offset === undefined) return NOBODY;
    const first = Math.floor(offset / UNIT);
    const definer = this.#definers[first] ?? NOBODY;
    if (definer === NOBODY || slotOffset(ops[definer]!.slot!) !== offset) return NOBODY;
    const last = Math.floor((offset + WIDTH[type] / 8 - 1) / UNIT);
    for (let unit = first + 1; unit <= last; unit++) if (this.#definers[unit] !== definer) return NOBODY;
    return definer;
  }

  /** Whether nothing has changed any of the register since the block was entered, or told what it holds. */
  untouched(slot: Slot, type: Type): boolean {
    const offset = slotOffset(slot);
    if (offset === undefined || this.#forgotten) return false;
    const last = Math.floor((offset + WIDTH[type] / 8 - 1) / UNIT);
    for (let unit = Math.floor(offset / UNIT); unit <= last; unit++) {
      if (this.#definers[unit] !== undefined) return false;
    }
    return true;
  }

  /** Any register may have changed. */
  forget(): void {
    this.#definers = [];
    this.#forgotten = true;
  }

  /** The accrued floating-point flags may have changed; some ISAs have them as a register. */
  forgetFlags(): void {
    this.#definers[FLAGS_UNIT] = NOBODY;
  }
}
