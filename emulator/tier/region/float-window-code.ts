import { assert } from '../../check/assert.ts';
import type { Op } from '../../ir/block.ts';
import { opRow } from '../../ir/op.ts';
import type { Slot, Type } from '../../ir/type.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import type { FloatWindow } from './float-window.ts';
import type { RegisterLocals } from './register-locals.ts';

interface LateWrite {
  readonly slot: Slot;
  readonly type: Type;
  readonly local: number;
}

/**
 * The code of a window: what it writes to registers is kept aside until its end, so that whoever leaves it before finds them as they were. As a
 * side effect, of several writes to a register only the last is made.
 */
export class FloatWindowCode {
  readonly window: FloatWindow;
  readonly #fn: FunctionBuilder;
  readonly #leave: () => void;
  readonly #done: Label;
  readonly #undo: Label;
  readonly #writes = new Map<number, LateWrite>();

  /** Begins the window. `leave` writes the code that leaves the region before its first instruction. */
  constructor(fn: FunctionBuilder, window: FloatWindow, leave: () => void) {
    this.#fn = fn;
    this.window = window;
    this.#leave = leave;
    this.#done = fn.block();
    this.#undo = fn.block();
  }

  /** Pops a condition; when it holds nothing in the window has happened. */
  undoIf(): void {
    this.#fn.brIf(this.#undo, BranchHint.unlikely);
  }

  write(slot: Slot, type: Type, push: () => void): void {
    const fn = this.#fn;
    push();
    const key = keyOf(slot);
    let late = this.#writes.get(key);
    if (late?.type !== type) {
      if (late !== undefined) fn.freeLocal(late.local);
      this.#writes.set(key, (late = { slot, type, local: fn.takeLocal(ValType[type]) }));
    }
    fn.localSet(late.local);
  }

  /** Pushes what the window has written to a register, if it has. */
  read(slot: Slot, type: Type): boolean {
    const late = this.#writes.get(keyOf(slot));
    if (late === undefined) return false;
    const fn = this.#fn;
    fn.localGet(late.local);
    if (late.type === type) return true;
    if (late.type === 'f64') fn.op('i64.reinterpret_f64');
    if (type === 'f64') fn.op('f64.reinterpret_i64');
    else if (type !== 'i64') fn.op('i32.wrap_i64');
    if (type === 'f32') fn.op('f32.reinterpret_i32');
    return true;
  }

  end(registers: RegisterLocals): void {
    const fn = this.#fn;
    fn.br(this.#done);
    fn.end(this.#undo);
    this.#leave();
    fn.end(this.#done);
    for (const { slot, type, local } of this.#writes.values()) {
      registers.write(slot, type, () => fn.localGet(local));
      fn.freeLocal(local);
    }
  }
}

/** Whether an op can be done again, until the window ends. `isSafe`: loads that cannot leave the region. */
export function isRepeatableOp(op: Op, isSafe: (load: Op) => boolean): boolean {
  switch (op.name) {
    case 'insn':
      return true;
    case 'load':
      return isSafe(op);
    case 'set':
      return isWhole(op);
    default: {
      const { effect } = opRow(op.name);
      return effect === 'none' || effect === 'reads' || effect === 'flags';
    }
  }
}

/** A write of all of a register, of a file of several: nothing of what it held is left. */
function isWhole({ slot, type }: Op): boolean {
  const { file, index } = slot!;
  return file.count > 1 && typeof index === 'number' && (type === 'i64' || type === 'f64');
}

function keyOf({ file, index }: Slot): number {
  assert(typeof index === 'number', 'a region knows its registers');
  return file.offset + file.stride * index;
}
