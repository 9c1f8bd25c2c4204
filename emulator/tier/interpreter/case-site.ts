import type { Field, Slot, Type } from '../../ir/type.ts';
import type { RecordOperand } from './record.ts';
import { RECORD_SIZE } from './record.ts';
import { assert } from '../../check/assert.ts';
import { STATE } from '../../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../../layout/state.ts';
import type { FunctionBuilder, Label } from '../../wasm/function.ts';
import { ValType } from '../../wasm/type.ts';
import { loadRegister, storeRegister } from '../register-access.ts';
import type { Site } from '../site.ts';
import type { Case } from './case.ts';
import { Frame } from './frame.ts';

/** What a case's own function returns beside 0 (go on) and exit reasons: jump to the guest address in the state's pc. */
export const JUMP_STATUS = 16;

/** What both kinds of case share: operands come from the record whose address is in a local. */
abstract class CaseSite {
  readonly fn: FunctionBuilder;
  protected readonly record: number;
  protected readonly near: boolean;
  /** Bytes from the record that the local has to this one. */
  protected readonly ahead: number;
  /** Bytes from this record to the next instruction's. */
  protected readonly step: number;
  readonly #operands: ReadonlyMap<string, RecordOperand>;
  readonly #length: number;
  readonly #shift: number;

  constructor(fn: FunctionBuilder, record: number, { operands, length, near }: Case, shift: number, ahead = 0) {
    this.fn = fn;
    this.record = record;
    this.ahead = ahead;
    this.near = near;
    this.step = length << shift;
    assert(this.step % RECORD_SIZE === 0, 'an instruction is a whole number of records');
    this.#operands = new Map(operands.map((operand) => [operand.name, operand]));
    this.#length = length;
    this.#shift = shift;
  }

  beginInstruction(): void {}

  field({ field }: Field, type: 'i32' | 'i64', signed: boolean): void {
    const operand = this.#operand(field);
    const { format } = operand;
    const offset = this.ahead + operand.offset;
    this.fn.localGet(this.record);
    if (type === 'i32') this.fn.load('i32.load', { offset });
    else if (format.endsWith('64')) this.fn.load('i64.load', { offset });
    else this.fn.load(signed ? 'i64.load32_s' : 'i64.load32_u', { offset });
  }

  readRegister(slot: Slot, type: Type): void {
    loadRegister(this.fn, type, this.#registerAddress(slot));
  }

  writeRegister(slot: Slot, type: Type, push: () => void): void {
    const offset = this.#registerAddress(slot);
    push();
    storeRegister(this.fn, type, offset);
  }

  pc(): void {
    this.#pcAndMore(0);
  }

  nextPc(): void {
    this.#pcAndMore(this.#length);
  }

  /** Pushes the guest address so many bytes behind the instruction's. */
  #pcAndMore(bytes: number): void {
    this.pcDelta();
    this.fn.localGet(this.record);
    this.fn.i32Const(this.#shift);
    this.fn.op('i32.shr_u');
    this.fn.op('i64.extend_i32_u');
    this.fn.op('i64.add');
    const distance = (this.ahead >> this.#shift) + bytes;
    if (distance === 0) return;
    this.fn.i64Const(distance);
    this.fn.op('i64.add');
  }

  /** Pushes the address of the record that a near jump goes to. */
  protected nearRecord(displacement: number | Field): void {
    this.fn.localGet(this.record);
    this.fn.localGet(this.record);
    this.fn.load('i32.load', { offset: this.#displacementOffset(displacement) });
    this.fn.op('i32.add');
    if (this.ahead === 0) return;
    this.fn.i32Const(this.ahead);
    this.fn.op('i32.add');
  }

  /** Pushes the guest address that a jump goes to. */
  protected farTarget(displacement: number | Field): void {
    this.pc();
    if (typeof displacement === 'number') {
      this.fn.i64Const(displacement);
    } else {
      this.fn.localGet(this.record);
      this.fn.load('i64.load32_s', { offset: this.#displacementOffset(displacement) });
    }
    this.fn.op('i64.add');
  }

  /** Pushes what added to a record's address gives its guest address. */
  protected abstract pcDelta(): void;

  /** Pushes the base of a register's address and returns the offset to add to it. */
  #registerAddress({ file, index }: Slot): number {
    if (typeof index === 'number') {
      this.fn.i32Const(0);
      return STATE + file.offset + file.stride * index;
    }
    const { offset, format } = this.#operand(index.field);
    assert(format === 'register', 'a register operand stands as its offset');
    this.fn.localGet(this.record);
    this.fn.load('i32.load16_u', { offset: this.ahead + offset });
    return STATE;
  }

  #operand(name: string): RecordOperand {
    const operand = this.#operands.get(name);
    assert(operand !== undefined, `operand ${name} has a place in the record`);
    return operand;
  }

  #displacementOffset(displacement: number | Field): number {
    assert(typeof displacement !== 'number', 'near jumps have their displacement in the record');
    return this.ahead + this.#operand(displacement.field).offset;
  }
}

/** Locals and labels of the main function that cases use. */
export interface MainFrame {
  readonly record: number;
  readonly pcDelta: number;
  readonly target: number;
  /** Dispatches the instruction at `record`. */
  readonly next: Label;
  /** Goes to the guest address in `target`. */
  readonly jump: Label;
  /** Runs the instruction's own function instead. */
  readonly twin: Label;
}

/** A case in the main function. */
export class InlineSite extends CaseSite implements Site {
  readonly inline = true;
  readonly inexactAccrued = false;
  readonly #frame: MainFrame;
  readonly #runsOn: boolean;

  /**
   * `ahead`: bytes from the record that the frame's local has to this one. `runsOn`: into the code behind it, which must be the next case's of a sequence, with
   * the same record in the local. Not a class of its own: V8 looks up properties of at most four kinds of sites in line.
   */
  constructor(fn: FunctionBuilder, which: Case, shift: number, frame: MainFrame, ahead = 0, runsOn = false) {
    super(fn, frame.record, which, shift, ahead);
    this.#frame = frame;
    this.#runsOn = runsOn;
  }

  bailIf(): void {
    assert(this.ahead === 0, 'a twin begins at the record of its instruction');
    this.fn.brIf(this.#frame.twin);
  }

  leave(): void {
    assert(false, 'code in the main function leaves through its twin');
  }

  jump(): void {
    this.fn.localSet(this.#frame.target);
    this.fn.br(this.#frame.jump);
  }

  jumpRelative(displacement: number | Field): void {
    if (!this.near) {
      this.farTarget(displacement);
      this.jump();
      return;
    }
    this.nearRecord(displacement);
    this.fn.localSet(this.record);
    this.fn.br(this.#frame.next);
  }

  branch(displacement: number | Field): void {
    const taken = this.fn.if();
    this.jumpRelative(displacement);
    this.fn.end(taken);
    this.fallThrough();
  }

  fallThrough(): void {
    if (this.#runsOn) return;
    this.fn.localGet(this.record);
    this.fn.i32Const(this.ahead + this.step);
    this.fn.op('i32.add');
    this.fn.localSet(this.record);
    this.fn.br(this.#frame.next);
  }

  protected pcDelta(): void {
    this.fn.localGet(this.#frame.pcDelta);
  }
}

/** A case in a function of its own, `(record) -> status`, which leaves the next record in the frame. */
export class FunctionSite extends CaseSite implements Site {
  readonly inline = false;
  readonly inexactAccrued = false;
  readonly #refetches: boolean;

  /** `refetches`: behind the instruction, the next one is looked for by its address. */
  constructor(fn: FunctionBuilder, which: Case, shift: number, refetches = false) {
    super(fn, 0, which, shift);
    this.#refetches = refetches;
  }

  bailIf(): void {
    assert(false, 'this code is the twin');
  }

  leave(reason: ExitReason): void {
    this.#return(reason);
  }

  jump(): void {
    const { fn } = this;
    const target = fn.takeLocal(ValType.i64);
    fn.localSet(target);
    fn.i32Const(0);
    fn.localGet(target);
    fn.store('i64.store', { offset: STATE + StateOffset.pc });
    fn.freeLocal(target);
    this.#return(JUMP_STATUS);
  }

  jumpRelative(displacement: number | Field): void {
    if (this.near) {
      this.#goOnAt(() => this.nearRecord(displacement));
      return;
    }
    this.farTarget(displacement);
    this.jump();
  }

  branch(displacement: number | Field): void {
    const taken = this.fn.if();
    this.jumpRelative(displacement);
    this.fn.end(taken);
    this.fallThrough();
  }

  fallThrough(): void {
    if (this.#refetches) {
      this.nextPc();
      this.jump();
      return;
    }
    this.#goOnAt(() => {
      this.fn.localGet(this.record);
      this.fn.i32Const(this.step);
      this.fn.op('i32.add');
    });
  }

  protected pcDelta(): void {
    this.fn.i32Const(0);
    this.fn.load('i64.load', { offset: Frame.pcDelta });
  }

  #goOnAt(pushRecord: () => void): void {
    this.fn.i32Const(0);
    pushRecord();
    this.fn.store('i32.store', { offset: Frame.record });
    this.#return(0);
  }

  #return(status: number): void {
    this.fn.i32Const(status);
    this.fn.return();
  }
}
