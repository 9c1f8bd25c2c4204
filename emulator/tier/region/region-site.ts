import { assert } from '../../check/assert.ts';
import type { Op } from '../../ir/block.ts';
import type { Slot, Type } from '../../ir/type.ts';
import type { ExitReason } from '../../layout/state.ts';
import { BranchHint, type FunctionBuilder, type Label } from '../../wasm/function.ts';
import { filled } from '../../pass/rewriter.ts';
import type { Site } from '../site.ts';
import { type FloatWindow, planFloatWindows } from './float-window.ts';
import { FloatWindowCode, isRepeatableOp } from './float-window-code.ts';
import { regionMode } from './mode.ts';
import { type RegionNode, signedAddress } from './node.ts';
import type { AccessPlan } from './access-plan.ts';
import type { EntryAddress, Moves } from './block-values.ts';
import type { RegisterLocals } from './register-locals.ts';
import { Status } from './status.ts';
import type { Exit, Refused } from './translate.ts';

/** What a site needs of the function it is in. */
export interface RegionFrame {
  readonly registers: RegisterLocals;
  readonly refused: Refused;
  /** Local: what the region returns. */
  readonly status: number;
  readonly inexactAccrued: boolean;
  /** Instructions that access memory get their slow path in line. */
  readonly slowPaths: boolean;
  /** Results of floating-point arithmetic may be checked by way of others. */
  readonly floatWindows: boolean;
  /** A local for accesses that the guard of a loop has looked up. */
  addendOf(op: Op): number | undefined;
  /** Code around calls of helpers. */
  beforeCall(): void;
  afterCall(): void;
  newExit(exit: Exit): number;
  /** Code that goes where a node goes; pops a branch's condition or a jump's target. */
  endNode(node: RegionNode): void;
}

/** How a node is written. */
export interface NodePlace {
  /** Where registers are written back and the region is left. */
  readonly exit: Label;
  /** Instructions paid for that come behind the node. */
  readonly ahead: number;
  /** How its accesses are checked, with flat memory. */
  readonly plan: AccessPlan | undefined;
  /** Its writes that move registers, where these may be put off. */
  readonly moves: Moves;
  /** Accesses that do without their addresses where they have the common course. */
  readonly forgone: ReadonlySet<Op> | undefined;
  /** Code that stands where it goes to another node, if that is known already; pops what `endNode` would. */
  readonly end: (() => void) | undefined;
}

const UNKNOWN = -1;
const NO_WINDOWS: FloatWindow[] = [];

/** The nodes of a region, one after the other: operands known, registers in locals. */
export class RegionSite implements Site {
  readonly fn: FunctionBuilder;
  inline = true;
  readonly inexactAccrued: boolean;
  readonly #registers: RegisterLocals;
  readonly #frame: RegionFrame;
  #node!: RegionNode;
  #place!: NodePlace;
  /** Where each instruction's ops begin, and behind them all. */
  #starts: readonly number[] = [];
  /** Whether each instruction has its common course in line: 0, 1 or UNKNOWN. */
  #inline: number[] = [];
  #begun = 0;
  #pc = 0n;
  #length = 0;
  /** Those whose checks are made together, in order; the first is the one that comes next, or is open. */
  #windows = NO_WINDOWS;
  #open: FloatWindowCode | undefined = undefined;
  /** Writes that are put off: by how much registers then are more than their locals. */
  #moves: Moves = new Map();
  #forgone: ReadonlySet<Op> | undefined = undefined;

  constructor(fn: FunctionBuilder, frame: RegionFrame) {
    this.fn = fn;
    this.#registers = frame.registers;
    this.#frame = frame;
    this.inexactAccrued = frame.inexactAccrued;
  }

  /** What is lowered from now on is this node's. */
  begin(node: RegionNode, place: NodePlace): void {
    this.#node = node;
    this.#place = place;
    this.#begun = 0;
    this.#open = undefined;
    const { ops } = node.block;
    const starts: number[] = [];
    for (let index = 0; index < ops.length; index++) if (ops[index]!.name === 'insn') starts.push(index);
    starts.push(ops.length);
    this.#starts = starts;
    this.#inline = filled(starts.length, UNKNOWN);
    this.#moves = place.moves.size === 0 ? place.moves : this.#planMoves(place.moves);
    this.#forgone = this.#planForgone();
    this.#windows = this.#frame.floatWindows ? this.#planWindows() : NO_WINDOWS;
  }

  get forgone(): ReadonlySet<Op> | undefined {
    return this.#forgone;
  }

  get covered(): ReadonlySet<Op> | undefined {
    return this.#open?.window.covered;
  }

  beginInstruction(pc: bigint, length: number): void {
    if (this.#open?.window.end === this.#begun) this.#closeWindow();
    this.#begun++;
    this.#pc = pc;
    this.#length = length;
    this.inline = this.#isInline(this.#begun - 1);
    if (this.#windows.length > 0 && this.#windows[0]!.first === this.#begun - 1)
      this.#openWindow(this.#windows.shift()!);
  }

  bailIf(): void {
    const { fn } = this;
    const { status } = this.#frame;
    const { exit } = this.#place;
    if (this.#open !== undefined) return this.#open.undoIf();
    const number = this.#interpret();
    if (!this.#registers.isSettled) {
      const leaves = fn.if(undefined, BranchHint.unlikely);
      this.#registers.settle();
      fn.i32Const(number);
      fn.localSet(status);
      fn.br(exit);
      fn.end(leaves);
      return;
    }
    fn.i32Const(number);
    fn.localSet(status);
    fn.brIf(exit, BranchHint.unlikely);
  }

  #isInline(instruction: number): boolean {
    const known = this.#inline[instruction]!;
    if (known !== UNKNOWN) return known === 1;
    const isInline = this.#findInline(instruction);
    this.#inline[instruction] = Number(isInline);
    return isInline;
  }

  #findInline(instruction: number): boolean {
    const { ops } = this.#node.block;
    const first = this.#starts[instruction]!;
    const end = this.#starts[instruction + 1]!;
    if (this.#isRefused(instruction)) return false;
    if (this.#frame.slowPaths)
      for (let index = first; index < end; index++) if (this.#hasSlowPath(ops[index]!)) return false;
    return regionMode(ops, first, end, this.inexactAccrued) === 'inline';
  }

  #hasSlowPath(op: Op): boolean {
    return op.name === 'store' || (op.name === 'load' && !this.#isSafe(op));
  }

  /** Whether a load cannot leave the region. */
  #isSafe(load: Op): boolean {
    return this.#place.plan?.get(load)?.kind === 'covered' || this.#frame.addendOf(load) !== undefined;
  }

  #isRefused(instruction: number): boolean {
    if (this.#frame.refused.size === 0) return false;
    const { pc } = this.#node.block.ops[this.#starts[instruction]!]!;
    return this.#frame.refused.has(signedAddress(pc!));
  }

  /** Those moves that can be put off. */
  #planMoves(all: Moves): Moves {
    const registers = this.#registers;
    const moves = new Map<Op, EntryAddress>();
    const stuck = new Set<number>();
    for (const [op, { register, offset }] of all) {
      const by = offset + registers.movedBy(register);
      if (stuck.has(register) || !registers.canMove(register, by)) stuck.add(register);
      else moves.set(op, { register, offset: by });
    }
    return moves;
  }

  /** Ops that do without their first argument. */
  #planForgone(): ReadonlySet<Op> | undefined {
    const { forgone } = this.#place;
    if (this.#moves.size === 0 && (forgone === undefined || forgone.size === 0)) return undefined;
    const all = new Set(this.#moves.keys());
    const { ops } = this.#node.block;
    for (let instruction = 0; instruction < this.#starts.length - 1; instruction++) {
      if (!this.#isInline(instruction)) continue;
      for (let at = this.#starts[instruction]!; at < this.#starts[instruction + 1]!; at++)
        if (forgone?.has(ops[at]!) === true) all.add(ops[at]!);
    }
    return all;
  }

  #planWindows(): FloatWindow[] {
    const { block } = this.#node;
    const starts = this.#starts;
    const isSafe = (op: Op) => this.#isSafe(op);
    return planFloatWindows(block, {
      starts,
      isRepeatable: (instruction) =>
        this.#isInline(instruction) &&
        block.ops.slice(starts[instruction]!, starts[instruction + 1]!).every((op) => isRepeatableOp(op, isSafe)),
      isRefused: (instruction) => this.#isRefused(instruction),
    });
  }

  #openWindow(window: FloatWindow): void {
    const { fn } = this;
    const { status } = this.#frame;
    const { exit } = this.#place;
    const number = this.#interpret();
    const { deferred } = this.#registers;
    this.#open = new FloatWindowCode(fn, window, () => {
      this.#registers.settle(deferred);
      fn.i32Const(number);
      fn.localSet(status);
      fn.br(exit);
    });
  }

  #closeWindow(): void {
    const open = this.#open;
    this.#open = undefined;
    open?.end(this.#registers);
  }

  field(): void {
    assert(false, 'a region knows its operands');
  }

  readRegister(slot: Slot, type: Type): void {
    if (this.#open?.read(slot, type) !== true) this.#registers.read(slot, type);
  }

  localOf(slot: Slot, type: Type): number | undefined {
    return this.#open === undefined ? this.#registers.localOf(slot, type) : undefined;
  }

  moveRegister(set: Op): boolean {
    const move = this.#moves.get(set);
    if (move !== undefined) this.#registers.move(move.register, move.offset);
    return move !== undefined;
  }

  writeRegister(slot: Slot, type: Type, push: () => void): void {
    (this.#open ?? this.#registers).write(slot, type, push);
  }

  beforeCall(): void {
    this.#frame.beforeCall();
  }

  afterCall(): void {
    this.#frame.afterCall();
  }

  pc(): void {
    this.fn.i64Const(this.#address());
  }

  nextPc(): void {
    this.fn.i64Const(this.#address() + this.#length);
  }

  exitFor(reason: ExitReason): number {
    return this.#interpret() | (reason << Status.reasonShift);
  }

  leaveUnlessZero(): void {
    const { fn } = this;
    const { status } = this.#frame;
    const { exit } = this.#place;
    assert(this.#registers.isSettled, 'nothing is put off where a call may leave');
    fn.localTee(status);
    fn.brIf(exit, BranchHint.unlikely);
  }

  leave(reason: ExitReason): void {
    const { fn } = this;
    const { status } = this.#frame;
    const { exit } = this.#place;
    this.#registers.settle();
    fn.i32Const(this.exitFor(reason));
    fn.localSet(status);
    fn.br(exit);
  }

  /** Of the instruction. */
  #address(): number {
    return signedAddress(this.#pc);
  }

  /** An exit for the interpreter to do the instruction. */
  #interpret(): number {
    return this.#frame.newExit({ pc: this.#address(), refund: this.#unretired(), kind: 'interpret' });
  }

  jump(): void {
    this.#end();
  }

  jumpRelative(): void {
    this.#end();
  }

  branch(): void {
    this.#end();
  }

  fallThrough(): void {
    this.#closeWindow();
    this.#end();
  }

  #end(): void {
    const { end } = this.#place;
    if (end === undefined) this.#frame.endNode(this.#node);
    else end();
  }

  /** Instructions that are paid for and have not retired when this one does not. */
  #unretired(): number {
    return this.#node.instructions - this.#begun + 1 + this.#place.ahead;
  }
}
