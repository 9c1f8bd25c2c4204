// hot: the translator calls one method here for every WebAssembly instruction it emits.
import { fail } from './error.ts';
import { type ByteBuffer, u32Length } from './leb128.ts';
import { opcode } from './opcode.ts';
import type { OpName } from './opcode.ts';
import type { Opcode } from './opcode-row.ts';
import type { BlockType, FunctionType, RefType, ValType } from './type.ts';
import type { FunctionValidator } from './validate.ts';

/** Whether the condition of a branch usually holds: code that is seldom reached is laid out, and given registers, after all else. */
export const BranchHint = { unlikely: 0, likely: 1 } as const;
export type BranchHint = (typeof BranchHint)[keyof typeof BranchHint];
/** Index into a module's function space: imports first. */
export type FunctionIndex = number;
/** A block, loop or if that is open; what branches name. */
export type Label = number;
export type Callee = FunctionIndex | FunctionBuilder;

export interface MemoryOperand {
  /** Added to the address; unsigned, 32 bits; 0 unless given. */
  readonly offset?: number;
  /** In bytes, a power of two; the natural alignment unless given. */
  readonly align?: number;
}

// Hoisted: a lookup in a table of this size takes 10 to 14 ns even by a constant name (34 to 27 ns an instruction emitted).
const END = opcode.end;
const BLOCK = opcode.block;
const LOOP = opcode.loop;
const IF = opcode.if;
const BR = opcode.br;
const BR_IF = opcode.br_if;
const DROP = opcode.drop;
const SELECT = opcode.select;
const ELSE = opcode.else;
const LOCAL_GET = opcode['local.get'];
const LOCAL_SET = opcode['local.set'];
const LOCAL_TEE = opcode['local.tee'];
const I32_CONST = opcode['i32.const'];
const I64_CONST = opcode['i64.const'];
const F32_CONST = opcode['f32.const'];
const F64_CONST = opcode['f64.const'];
const V128_CONST = opcode['v128.const'];
const SHUFFLE = opcode['i8x16.shuffle'];
const BR_TABLE = opcode['br_table'];
const REF_NULL = opcode['ref.null'];
const SELECT_TYPED = opcode['select_t'];
const VOID_BLOCK = 0x40;
const CLOSED = -1;
const AT_ZERO: MemoryOperand = {};

/** Writes one function's body straight to bytes. Made by `ModuleBuilder.function`. */
export class FunctionBuilder {
  readonly name: string;
  readonly index: FunctionIndex;
  readonly typeIndex: number;
  readonly type: FunctionType;
  /** Instructions written so far, block ends included: an exact counter. */
  operators: number;
  readonly code: ByteBuffer;
  private readonly validator: FunctionValidator | undefined;
  private readonly localTypes: ValType[];
  /** Runs of declared locals of one type: the type, and how many. */
  private readonly localRuns: number[];
  private readonly freeLocals: number[];
  private readonly takenLocals: number[];
  /** Nesting depth of each label ever opened, CLOSED once it is shut. */
  private readonly labelDepths: number[];
  private readonly openLabels: Label[];
  /** Branch hints: for each, the byte of `code` where its instruction begins, and 1 when the branch is likely, 0 when not. */
  private readonly hints: number[];
  /** Where the `local.set` written last begins and ends, and its local: followed by a `local.get` of the same it becomes a `local.tee`. */
  private setStart: number;
  private setEnd: number;
  private setLocal: number;
  private finished: boolean;

  constructor(
    name: string,
    index: FunctionIndex,
    typeIndex: number,
    type: FunctionType,
    validator: FunctionValidator | undefined,
    code: ByteBuffer,
  ) {
    this.name = name;
    this.index = index;
    this.typeIndex = typeIndex;
    this.type = type;
    this.operators = 0;
    this.code = code;
    this.validator = validator;
    this.localTypes = type.params.slice();
    this.localRuns = [];
    this.freeLocals = [];
    this.takenLocals = [];
    this.labelDepths = [0];
    this.openLabels = [0];
    this.hints = [];
    this.setStart = CLOSED;
    this.setEnd = CLOSED;
    this.setLocal = CLOSED;
    this.finished = false;
  }

  /** Bytes of code so far, local declarations excluded. */
  get byteLength(): number {
    return this.code.length;
  }

  /** The label of the function body: a branch to it returns. */
  get bodyLabel(): Label {
    return 0;
  }

  /** Declares a local and returns its index; parameters come first. Runs of one type share a declaration. */
  local(type: ValType): number {
    const { localRuns } = this;
    const last = localRuns.length - 2;
    if (last >= 0 && localRuns[last] === type) localRuns[last + 1]!++;
    else localRuns.push(type, 1);
    return this.localTypes.push(type) - 1;
  }

  /** The type of a parameter or declared local. */
  localType(index: number): ValType {
    return this.localTypes[index] ?? fail(`${this.name}: no local ${index}`);
  }

  /** A scratch local, from those freed when there is one of the type. Its value is whatever was left there. */
  takeLocal(type: ValType): number {
    for (let position = this.freeLocals.length - 1; position >= 0; position--) {
      const index = this.freeLocals[position]!;
      if (this.localTypes[index] !== type) continue;
      this.freeLocals[position] = this.freeLocals[this.freeLocals.length - 1]!;
      this.freeLocals.pop();
      this.takenLocals.push(index);
      return index;
    }
    const index = this.local(type);
    this.takenLocals.push(index);
    return index;
  }

  freeLocal(index: number): void {
    const { takenLocals } = this;
    // Most are freed in the reverse order.
    const at = takenLocals.lastIndexOf(index);
    if (at < 0) fail(`${this.name}: local ${index} is not a taken scratch local`);
    takenLocals[at] = takenLocals[takenLocals.length - 1]!;
    takenLocals.pop();
    this.freeLocals.push(index);
  }

  /** Any instruction without immediates, also those whose only immediates are the indices of memory 0. */
  op(name: OpName): void {
    this.plain(name, this.row(name));
  }

  /** The same for one whose row is at hand: its look-up would take a third of the time. */
  plain(name: OpName, row: Opcode): void {
    if (row === END || row === ELSE) fail(`${this.name}: ${name} has a method of its own`);
    switch (row.immediates) {
      case 'none':
        this.put(row);
        break;
      case 'memory':
      case 'zero':
        this.put(row);
        this.code.byte(0);
        break;
      case 'memoryMemory':
        this.put(row);
        this.code.byte(0);
        this.code.byte(0);
        break;
      default:
        fail(`${this.name}: ${name} takes immediates (${row.immediates})`);
    }
    this.validator?.plain(name, this.code.length);
  }

  drop(): void {
    this.plain('drop', DROP);
  }

  select(): void {
    this.plain('select', SELECT);
  }

  return(): void {
    this.op('return');
  }

  unreachable(): void {
    this.op('unreachable');
  }

  i32Const(value: number): void {
    this.put(I32_CONST);
    this.code.s32(value);
    this.validator?.plain('i32.const', this.code.length);
  }

  /** A number must be a safe integer; a bigint is taken modulo 2^64. */
  i64Const(value: bigint | number): void {
    if (typeof value === 'bigint') {
      const near = Number(value);
      // Most are small, and operations on bigints are calls.
      if (Number.isSafeInteger(near)) this.i64ConstHalves(near | 0, Math.floor(near / 0x1_0000_0000) | 0);
      else this.i64ConstHalves(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)));
      return;
    }
    if (!Number.isSafeInteger(value)) fail(`${this.name}: i64.const ${value} is not a safe integer`);
    this.i64ConstHalves(value | 0, Math.floor(value / 0x1_0000_0000) | 0);
  }

  i64ConstHalves(lo: number, hi: number): void {
    this.put(I64_CONST);
    this.code.s64Halves(lo, hi);
    this.validator?.plain('i64.const', this.code.length);
  }

  f32Const(value: number): void {
    this.put(F32_CONST);
    this.code.f32(value);
    this.validator?.plain('f32.const', this.code.length);
  }

  /** An f32 by its bits, so that NaN payloads survive. */
  f32ConstBits(bits: number): void {
    this.put(F32_CONST);
    this.code.u32le(bits);
    this.validator?.plain('f32.const', this.code.length);
  }

  f64Const(value: number): void {
    this.put(F64_CONST);
    this.code.f64(value);
    this.validator?.plain('f64.const', this.code.length);
  }

  /** An f64 by the halves of its bits, so that NaN payloads survive. */
  f64ConstBits(lo: number, hi: number): void {
    this.put(F64_CONST);
    this.code.u32le(lo);
    this.code.u32le(hi);
    this.validator?.plain('f64.const', this.code.length);
  }

  /** Sixteen bytes, lane 0 first. */
  v128Const(bytes: Uint8Array): void {
    if (bytes.length !== 16) fail(`${this.name}: v128.const of ${bytes.length} bytes`);
    this.put(V128_CONST);
    this.code.append(bytes);
    this.validator?.plain('v128.const', this.code.length);
  }

  /** Pushes a local. What has just been written to it is kept on the stack instead. */
  localGet(index: number): void {
    if (this.setLocal === index && this.setEnd === this.code.length) {
      this.code.bytes[this.setStart] = LOCAL_TEE.code;
      this.setEnd = CLOSED;
      this.validator?.local('local.get', this.localTypes[index]!, this.code.length);
      return;
    }
    this.local1('local.get', LOCAL_GET, index);
  }

  localSet(index: number): void {
    this.setStart = this.code.length;
    this.local1('local.set', LOCAL_SET, index);
    this.setEnd = this.code.length;
    this.setLocal = index;
  }

  localTee(index: number): void {
    this.local1('local.tee', LOCAL_TEE, index);
  }

  globalGet(index: number): void {
    this.indexed('global.get', index);
  }

  globalSet(index: number): void {
    this.indexed('global.set', index);
  }

  /** Any instruction with a memory operand and without a lane: plain or atomic, load, store, rmw, wait, notify. */
  load(name: OpName, at: MemoryOperand = AT_ZERO): void {
    const row = this.row(name);
    if (row.immediates !== 'memarg') fail(`${this.name}: ${name} is no memory access`);
    this.put(row);
    this.memoryOperand(name, row, at);
    this.validator?.plain(name, this.code.length);
  }

  /** The same as `load`, for the reader of a store. */
  store(name: OpName, at: MemoryOperand = AT_ZERO): void {
    this.load(name, at);
  }

  /** `v128.load8_lane` and its kin. */
  memoryLane(name: OpName, at: MemoryOperand, lane: number): void {
    const row = this.row(name);
    if (row.immediates !== 'memarg+lane') fail(`${this.name}: ${name} is no memory access of a lane`);
    if (lane >>> 0 >= 16 / row.bytes) fail(`${this.name}: ${name} has no lane ${lane}`);
    this.put(row);
    this.memoryOperand(name, row, at);
    this.code.byte(lane);
    this.validator?.plain(name, this.code.length);
  }

  /** Extract and replace of a lane. */
  laneOp(name: OpName, lane: number): void {
    const row = this.row(name);
    if (row.immediates !== 'lane') fail(`${this.name}: ${name} takes no lane`);
    if (lane >>> 0 >= laneCount(name)) fail(`${this.name}: ${name} has no lane ${lane}`);
    this.put(row);
    this.code.byte(lane);
    this.validator?.plain(name, this.code.length);
  }

  /** `i8x16.shuffle`: each of the sixteen lanes names one of the operands' thirty-two bytes. */
  shuffle(lanes: Uint8Array): void {
    if (lanes.length !== 16 || lanes.some((lane) => lane > 31)) fail(`${this.name}: i8x16.shuffle of lanes ${lanes}`);
    this.put(SHUFFLE);
    this.code.append(lanes);
    this.validator?.plain('i8x16.shuffle', this.code.length);
  }

  /** `type`: nothing, one result, or the index of a function type (`ModuleBuilder.type`). */
  block(type?: BlockType): Label {
    return this.open('block', BLOCK, type);
  }

  loop(type?: BlockType): Label {
    return this.open('loop', LOOP, type);
  }

  if(type?: BlockType, hint?: BranchHint): Label {
    if (hint !== undefined) this.hints.push(this.code.length, hint);
    return this.open('if', IF, type);
  }

  else(): void {
    this.put(ELSE);
    this.validator?.else(this.code.length);
  }

  /** Ends the innermost open block; `label`, when given, asserts which one that is. */
  end(label?: Label): void {
    if (this.openLabels.length === 1) fail(`${this.name}: end without an open block`);
    const closed = this.openLabels.pop()!;
    if (label !== undefined && label !== closed)
      fail(`${this.name}: end of label ${label} while ${closed} is innermost`);
    this.labelDepths[closed] = CLOSED;
    this.put(END);
    this.validator?.end(this.code.length);
  }

  br(label: Label): void {
    this.branch('br', BR, label);
  }

  brIf(label: Label, hint?: BranchHint): void {
    if (hint !== undefined) this.hints.push(this.code.length, hint);
    this.branch('br_if', BR_IF, label);
  }

  /** Jumps to `labels[operand]`, or to `otherwise` when the operand is out of range. */
  brTable(labels: readonly Label[], otherwise: Label): void {
    this.put(BR_TABLE);
    this.code.u32(labels.length);
    for (let index = 0; index < labels.length; index++) this.code.u32(this.relativeDepth(labels[index]!));
    this.code.u32(this.relativeDepth(otherwise));
    this.validator?.branchTable(
      [...labels, otherwise].map((label) => this.relativeDepth(label)),
      this.code.length,
    );
  }

  call(callee: Callee): void {
    this.indexed('call', functionIndex(callee));
  }

  returnCall(callee: Callee): void {
    this.indexed('return_call', functionIndex(callee));
  }

  /** `type`: a function type's index; the callee's table index is the last operand. */
  callIndirect(type: number, table: number): void {
    this.indexed('call_indirect', type, table);
  }

  returnCallIndirect(type: number, table: number): void {
    this.indexed('return_call_indirect', type, table);
  }

  /** `ref.func`: V8 wants the function exported or in an element segment. */
  refFunc(callee: Callee): void {
    this.indexed('ref.func', functionIndex(callee));
  }

  refNull(type: RefType): void {
    this.put(REF_NULL);
    this.code.byte(type);
    this.validator?.constantReference(type, this.code.length);
  }

  /** `select` of references, which must state their type. */
  selectTyped(type: ValType): void {
    this.put(SELECT_TYPED);
    this.code.byte(1);
    this.code.byte(type);
    this.validator?.selectTyped(type, this.code.length);
  }

  /** Table, segment, bulk and other instructions by their index immediates in binary order. */
  indexed(name: OpName, first: number, second?: number): void {
    const row = this.row(name);
    if (second === undefined ? !takesOneIndex(row) : !takesTwoIndices(row)) {
      fail(`${this.name}: ${name} takes other immediates (${row.immediates})`);
    }
    this.put(row);
    this.code.u32(first);
    if (second !== undefined) this.code.u32(second);
    this.validator?.indexed(name, first, second ?? 0, this.code.length);
  }

  /** Checks that blocks are closed and scratch locals freed, and writes the final end. Once only; encoding does it. */
  finish(): void {
    if (this.finished) return;
    if (this.openLabels.length !== 1) fail(`${this.name}: ${this.openLabels.length - 1} blocks left open`);
    if (this.takenLocals.length !== 0) fail(`${this.name}: scratch locals ${this.takenLocals.join(', ')} not freed`);
    this.put(END);
    this.validator?.end(this.code.length);
    this.finished = true;
  }

  get hasHints(): boolean {
    return this.hints.length > 0;
  }

  /** Appends the function's entry of the branch hint section (Branch Hinting proposal, "Binary Format"). */
  encodeHintsTo(target: ByteBuffer): void {
    const declarations = this.declarationBytes();
    target.u32(this.index);
    target.u32(this.hints.length / 2);
    for (let at = 0; at < this.hints.length; at += 2) {
      // Offsets count from the local declarations on.
      target.u32(declarations + this.hints[at]!);
      target.u32(1);
      target.byte(this.hints[at + 1]!);
    }
  }

  /** Appends the code entry: local declarations, then the body; the length before them is the caller's. */
  encodeTo(target: ByteBuffer): void {
    this.encodeDeclarationsTo(target);
    target.appendBuffer(this.code);
  }

  private declarationBytes(): number {
    const { localRuns } = this;
    let bytes = u32Length(localRuns.length / 2);
    for (let at = 1; at < localRuns.length; at += 2) bytes += u32Length(localRuns[at]!) + 1;
    return bytes;
  }

  private encodeDeclarationsTo(target: ByteBuffer): void {
    const { localRuns } = this;
    target.u32(localRuns.length / 2);
    for (let at = 0; at < localRuns.length; at += 2) {
      target.u32(localRuns[at + 1]!);
      target.byte(localRuns[at]!);
    }
  }

  /** Names may come from another table by a cast: a wrong one is reported here. */
  private row(name: OpName): Opcode {
    const row: Opcode | undefined = opcode[name];
    if (row === undefined) fail(`${this.name}: ${name} is no instruction`);
    return row;
  }

  private put(row: Opcode): void {
    if (this.finished) fail(`${this.name}: is finished`);
    this.operators++;
    const code = row.code;
    if (code < 0x100) {
      this.code.byte(code);
    } else {
      this.code.byte(code >>> 12);
      this.code.u32(code & 0xfff);
    }
  }

  private local1(name: 'local.get' | 'local.set' | 'local.tee', row: Opcode, index: number): void {
    if (index >>> 0 >= this.localTypes.length) fail(`${this.name}: no local ${index}`);
    this.put(row);
    this.code.u32(index);
    this.validator?.local(name, this.localTypes[index]!, this.code.length);
  }

  private memoryOperand(name: OpName, row: Opcode, at: MemoryOperand): void {
    const align = at.align ?? row.bytes;
    if (align > row.bytes || align <= 0 || (align & (align - 1)) !== 0 || (row.atomic && align !== row.bytes)) {
      fail(`${this.name}: ${name} cannot state an alignment of ${align} bytes`);
    }
    const offset = at.offset ?? 0;
    if (offset !== offset >>> 0) fail(`${this.name}: ${name} cannot have offset ${offset}`);
    this.code.byte(31 - Math.clz32(align));
    this.code.u32(offset);
  }

  private open(name: 'block' | 'loop' | 'if', row: Opcode, type: BlockType | undefined): Label {
    this.put(row);
    if (type === undefined) this.code.byte(VOID_BLOCK);
    else if (typeof type === 'number') this.code.byte(type);
    else this.code.s32(type.type);
    const label = this.labelDepths.push(this.openLabels.length) - 1;
    this.openLabels.push(label);
    this.validator?.open(name, type, this.code.length);
    return label;
  }

  private branch(name: 'br' | 'br_if', row: Opcode, label: Label): void {
    const depth = this.relativeDepth(label);
    this.put(row);
    this.code.u32(depth);
    this.validator?.branch(name, depth, this.code.length);
  }

  private relativeDepth(label: Label): number {
    const depth = this.labelDepths[label] ?? CLOSED;
    if (depth === CLOSED) fail(`${this.name}: branch to label ${label}, which is not open`);
    return this.openLabels.length - 1 - depth;
  }
}

/** The function's place in the index space, however it is named. */
export function functionIndex(callee: Callee): FunctionIndex {
  return typeof callee === 'number' ? callee : callee.index;
}

function laneCount(name: OpName): number {
  return Number(name.slice(name.indexOf('x') + 1, name.indexOf('.')));
}

function takesOneIndex(row: Opcode): boolean {
  switch (row.immediates) {
    case 'func':
    case 'global':
    case 'table':
    case 'elem':
    case 'data':
      return true;
    default:
      return false;
  }
}

function takesTwoIndices(row: Opcode): boolean {
  switch (row.immediates) {
    case 'callIndirect':
    case 'tableTable':
    case 'elemTable':
    case 'dataMemory':
    case 'memoryMemory':
      return true;
    default:
      return false;
  }
}
