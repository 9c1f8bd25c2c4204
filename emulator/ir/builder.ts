import type { Attributes, JumpHint, Order, Rmw } from './attributes.ts';
import type { Block, Op, Value } from './block.ts';
import { accessOp, attributedOp, constant, insnOp, makeOp, plainOp, registerOp } from './make-op.ts';
import type { OpName } from './op.ts';
import { isField, type Operand, type RegisterFile, type Type } from './type.ts';

const NO_ARGS: readonly Value[] = [];

/** What a memory access is like; a plain, unaligned, zero-extending access unless said otherwise. */
export interface Access {
  readonly signed?: boolean;
  readonly alignment?: 'any' | 'natural';
  readonly order?: Order;
}

/**
 * Writes the ops of a block. A lifting function is handed one and says what its instruction does; it must not look at operands that
 * may be fields, so that one lifting function serves the evaluator, the JIT (operands known) and the interpreter generator (operands symbolic).
 */
export class Builder {
  readonly block: Block;
  #pc: bigint | undefined;
  #length = 0;

  constructor(isa: string) {
    this.block = { isa, ops: [] };
  }

  /** Starts a guest instruction. With `pc` undefined the address is only known at run time (interpreter cases). */
  beginInstruction(pc: bigint | undefined, length: number): void {
    this.#pc = pc;
    this.#length = length;
    this.#push(insnOp(pc ?? 0n, length));
  }

  /** Any op that needs no attributes. */
  op(name: OpName, type: Type, ...args: Value[]): Value {
    return this.#push(plainOp(name, type, args));
  }

  /** Any op with its attributes. */
  emit(name: OpName, type: Type | 'none', args: readonly Value[], attributes: Attributes): Value {
    return this.#push(makeOp({ name, type, args, ...attributes }));
  }

  const(type: Type, bits: bigint | number): Value {
    const width = type === 'v128' ? 128 : type.endsWith('32') ? 32 : 64;
    return this.#push(constant(type, BigInt.asUintN(width, BigInt(bits))));
  }

  /** An immediate operand as a value of `type`; sign-extended unless `signed` is false. */
  immediate(type: 'i32' | 'i64', operand: Operand, signed = true): Value {
    if (isField(operand)) return this.#push(attributedOp('field', type, NO_ARGS, { field: operand, signed }));
    return this.const(type, operand);
  }

  /** The address of this instruction. */
  pc(): Value {
    return this.#pc === undefined ? this.op('pc', 'i64') : this.const('i64', this.#pc);
  }

  /** The address after this instruction. */
  nextPc(): Value {
    return this.#pc === undefined ? this.op('next_pc', 'i64') : this.const('i64', this.#pc + BigInt(this.#length));
  }

  get(file: RegisterFile, index: Operand, type: Type = file.type): Value {
    return this.#push(registerOp('get', type, NO_ARGS, { file, index: isField(index) ? index : Number(index) }));
  }

  set(file: RegisterFile, index: Operand, value: Value, type: Type = file.type): void {
    this.#push(registerOp('set', type, [value], { file, index: isField(index) ? index : Number(index) }));
  }

  load(type: Type, width: number, address: Value, access: Access = {}): Value {
    return this.#push(accessOp('load', type, [address], width, access.signed ?? false, access));
  }

  store(type: Type, width: number, address: Value, value: Value, access: Access = {}): void {
    this.#push(accessOp('store', type, [address, value], width, undefined, access));
  }

  atomicRmw(rmw: Rmw, width: number, address: Value, operand: Value, order: Order): Value {
    return this.#push(attributedOp('atomic_rmw', 'i64', [address, operand], { width, rmw, order }));
  }

  select(type: Type, condition: Value, then: Value, otherwise: Value): Value {
    return this.op('select', type, condition, then, otherwise);
  }

  /** Calls a helper of the ISA; arguments are i64. */
  call(helper: string, args: readonly Value[], result: 'i64' | 'none' = 'none'): Value {
    return this.#push(attributedOp('call', result, args, { helper }));
  }

  trapIf(condition: Value, cause: number, value: Value): void {
    this.#push(attributedOp('trap_if', 'none', [condition, value], { cause }));
  }

  trap(cause: number, value: Value): void {
    this.#push(attributedOp('trap', 'none', [value], { cause }));
  }

  jump(target: Value, hint: JumpHint = 'none'): void {
    this.#push(attributedOp('jump', 'none', [target], { hint }));
  }

  jumpRelative(displacement: Operand, hint: JumpHint = 'none'): void {
    this.#push(attributedOp('jump_rel', 'none', NO_ARGS, { displacement: asDisplacement(displacement), hint }));
  }

  branch(condition: Value, displacement: Operand): void {
    this.#push(attributedOp('branch', 'none', [condition], { displacement: asDisplacement(displacement) }));
  }

  #push(op: Op): Value {
    return this.block.ops.push(op) - 1;
  }
}

function asDisplacement(operand: Operand) {
  return isField(operand) ? operand : Number(operand);
}
