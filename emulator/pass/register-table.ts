import type { Op, Value } from '../ir/block.ts';
import { isField, type Slot, type Type, WIDTH } from '../ir/type.ts';
import { StateOffset } from '../layout/state.ts';
import { filled } from './rewriter.ts';

/** Registers are told apart by where they lie in the state, in units of four bytes: files may overlap (AArch64 x33 is sp). */
const UNIT = 4;
const FLAGS_UNIT = StateOffset.floatFlags / UNIT;
const NOBODY = -1;
/** What nothing has been told of since the block was entered; else it is one more than an op's number. */
const UNTOUCHED = 0;
/** Most registers lie in so many units: a list that begins with these does not have to grow, nor has it holes. */
export const COMMON_UNITS = 200;

/** The register's place in the state, in bytes; undefined when it is only known at run time. */
export function slotOffset(slot: Slot): number | undefined {
  return isField(slot.index) ? undefined : slot.file.offset + slot.file.stride * slot.index;
}

/** For each part of the state, the last op that said what is there; all of it is forgotten where nothing can be known any more. */
export class RegisterTable {
  #definers: number[] = filled(COMMON_UNITS, UNTOUCHED);
  #forgotten = false;

  /** `definer`, the number of a `get` or `set`, tells what is in the register from now on. */
  define(slot: Slot, type: Type, definer: Value): void {
    const offset = slotOffset(slot);
    if (offset === undefined) return this.forget();
    const first = Math.floor(offset / UNIT);
    const last = Math.floor((offset + WIDTH[type] / 8 - 1) / UNIT);
    for (let unit = first; unit <= last; unit++) this.#definers[unit] = definer + 1;
  }

  /**
   * The op that told what the whole of the register holds; `NOBODY` (-1) when that is not one op, or none. It may have told about a wider
   * register that begins at the same place.
   */
  definer(slot: Slot, type: Type, ops: readonly Op[]): Value {
    const offset = slotOffset(slot);
    if (offset === undefined) return NOBODY;
    const first = Math.floor(offset / UNIT);
    const definer = (this.#definers[first] ?? UNTOUCHED) - 1;
    if (definer < 0 || slotOffset(ops[definer]!.slot!) !== offset) return NOBODY;
    const last = Math.floor((offset + WIDTH[type] / 8 - 1) / UNIT);
    for (let unit = first + 1; unit <= last; unit++) if (this.#definers[unit] !== definer + 1) return NOBODY;
    return definer;
  }

  /** Whether nothing has changed any of the register since the block was entered, or told what it holds. */
  untouched(slot: Slot, type: Type): boolean {
    const offset = slotOffset(slot);
    if (offset === undefined || this.#forgotten) return false;
    const last = Math.floor((offset + WIDTH[type] / 8 - 1) / UNIT);
    for (let unit = Math.floor(offset / UNIT); unit <= last; unit++) {
      if ((this.#definers[unit] ?? UNTOUCHED) !== UNTOUCHED) return false;
    }
    return true;
  }

  /** Any register may have changed. */
  forget(): void {
    this.#definers = filled(COMMON_UNITS, UNTOUCHED);
    this.#forgotten = true;
  }

  /** The accrued floating-point flags may have changed; some ISAs have them as a register. */
  forgetFlags(): void {
    this.#definers[FLAGS_UNIT] = NOBODY;
  }
}
