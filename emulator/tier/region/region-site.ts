import { assert } from '../../check/assert.ts';
import type { Slot, Type } from '../../ir/type.ts';
import type { ExitReason } from '../../layout/state.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import type { Site } from '../site.ts';
import { regionMode } from './mode.ts';
import type { RegionNode } from './node.ts';
import type { RegisterLocals } from './register-locals.ts';
import { Status } from './status.ts';
import type { Exit, Refused } from './translate.ts';

/** What a site needs of the function it is in. */
export interface RegionFrame {
  /** Where registers are written back and the region is left. */
  readonly exit: Label;
  /** Local: what the region returns. */
  readonly status: number;
  readonly inexactAccrued: boolean;
  /** Instructions that access memory get their slow path in line. */
  readonly slowPaths: boolean;
  /** Code around calls of helpers. */
  readonly beforeCall: () => void;
  readonly afterCall: () => void;
  readonly newExit: (exit: Exit) => number;
  /** Code that goes where the node goes; pops a branch's condition or a jump's target. */
  readonly end: () => void;
}

/** A node of a region: operands known, registers in locals. */
export class RegionSite implements Site {
  readonly fn: FunctionBuilder;
  inline = true;
  readonly inexactAccrued: boolean;
  readonly #node: RegionNode;
  readonly #registers: RegisterLocals;
  readonly #refused: Refused;
  readonly #frame: RegionFrame;
  /** Where each instruction's ops begin, and behind them all. */
  readonly #starts: readonly number[];
  #begun = 0;
  #pc = 0;
  #length = 0;

  constructor(fn: FunctionBuilder, node: RegionNode, registers: RegisterLocals, refused: Refused, frame: RegionFrame) {
    this.fn = fn;
    this.#node = node;
    this.#registers = registers;
    this.#refused = refused;
    this.#frame = frame;
    this.inexactAccrued = frame.inexactAccrued;
    const starts: number[] = [];
    node.block.ops.forEach(({ name }, index) => {
      if (name === 'insn') starts.push(index);
    });
    starts.push(node.block.ops.length);
    this.#starts = starts;
  }

  beginInstruction(pc: bigint, length: number): void {
    const first = this.#starts[this.#begun]!;
    const end = this.#starts[this.#begun + 1]!;
    this.#begun++;
    this.#pc = Number(BigInt.asIntN(64, pc));
    this.#length = length;
    const { ops } = this.#node.block;
    this.inline =
      !this.#refused.has(this.#pc) &&
      regionMode(ops, first, end, this.inexactAccrued) === 'inline' &&
      !(this.#frame.slowPaths && ops.slice(first, end).some(({ name }) => name === 'load' || name === 'store'));
  }

  bailIf(): void {
    const { fn } = this;
    const { exit, status, newExit } = this.#frame;
    fn.i32Const(newExit({ pc: this.#pc, refund: this.#unretired, kind: 'interpret' }));
    fn.localSet(status);
    fn.brIf(exit, BranchHint.unlikely);
  }

  field(): void {
    assert(false, 'a region knows its operands');
  }

  readRegister(slot: Slot, type: Type): void {
    this.#registers.read(slot, type);
  }

  writeRegister(slot: Slot, type: Type, push: () => void): void {
    this.#registers.write(slot, type, push);
  }

  beforeCall(): void {
    this.#frame.beforeCall();
  }

  afterCall(): void {
    this.#frame.afterCall();
  }

  pc(): void {
    this.fn.i64Const(this.#pc);
  }

  nextPc(): void {
    this.fn.i64Const(this.#pc + this.#length);
  }

  leave(reason: ExitReason): void {
    const { fn } = this;
    const { exit, status, newExit } = this.#frame;
    const number = newExit({ pc: this.#pc, refund: this.#unretired, kind: 'interpret' });
    fn.i32Const(number | (reason << Status.reasonShift));
    fn.localSet(status);
    fn.br(exit);
  }

  jump(): void {
    this.#frame.end();
  }

  jumpRelative(): void {
    this.#frame.end();
  }

  branch(): void {
    this.#frame.end();
  }

  fallThrough(): void {
    this.#frame.end();
  }

  /** Instructions of the node that have not retired when this one does not. */
  get #unretired(): number {
    return this.#node.instructions - this.#begun + 1;
  }
}
