import type { Op } from '../ir/block.ts';
import type { Field, Slot, Type } from '../ir/type.ts';
import type { JumpHint } from '../ir/block.ts';
import type { ExitReason } from '../layout/state.ts';
import type { FunctionBuilder } from '../wasm/function.ts';

/**
 * What differs between the places where IR becomes WebAssembly: a case of the interpreter's main function, a cold case in a function of
 * its own, a translated block. Methods write code to `fn`; "pushes" leaves a value on the WebAssembly stack, "pops" takes one.
 */
export interface Site {
  readonly fn: FunctionBuilder;
  /**
   * Whether anything but the common course is left to a twin of this code: `bail` goes there and the instruction starts again.
   * Guards then come before effects. Elsewhere slow paths and exits are written out.
   */
  readonly inline: boolean;
  /** Whether the inexact flag is known to have accrued, so that nothing need find out whether a result is inexact. */
  readonly inexactAccrued: boolean;
  /** Results that need no check for being finite, since that of another one finds them out before anyone sees them. */
  readonly covered?: ReadonlySet<Op> | undefined;
  /** The code of a guest instruction follows; where its address is only known at run time, `pc` means nothing. */
  beginInstruction(pc: bigint, length: number): void;
  /** Pops an i32; when it is not 0 goes to the twin. Only where `inline`. */
  bailIf(): void;
  /** Pushes an operand field of the record. */
  field(field: Field, type: 'i32' | 'i64', signed: boolean): void;
  /** Pushes a register, or its low part when `type` is narrower. */
  readRegister(slot: Slot, type: Type): void;
  /** Writes what `push` pushes to a register, or to its low part. */
  writeRegister(slot: Slot, type: Type, push: () => void): void;
  /** Ops whose first argument is not computed: addresses and sums that are known as a register and a constant. */
  readonly forgone?: ReadonlySet<Op> | undefined;
  /** The WebAssembly local that a register is in as it is, where it is in one: it may be read as often as it is used. */
  localOf?(slot: Slot, type: Type): number | undefined;
  /** Whether the write of a register needs no code now. */
  moveRegister?(set: Op): boolean;
  /** Code before and after the call of a helper, where any is needed; its status is on the stack behind it. */
  beforeCall?(): void;
  afterCall?(): void;
  pc(): void;
  nextPc(): void;
  /** Leaves for good with a trap or fault: cause and value are in the state already, pc is this instruction. */
  leave(reason: ExitReason): void;
  /** The same in two steps, of regions: the number that is for it, and code that pops an i32 and leaves when it is that number and not 0. */
  exitFor?(reason: ExitReason): number;
  leaveUnlessZero?(): void;
  /** Pops an i64 guest address and goes there. Ends the code of the instruction. */
  jump(hint: JumpHint): void;
  jumpRelative(displacement: number | Field, hint: JumpHint): void;
  /** Pops an i32. */
  branch(displacement: number | Field): void;
  /** Goes on with the instruction after this one. */
  fallThrough(): void;
}
