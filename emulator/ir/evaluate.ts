import { assert } from '../check/assert.ts';
import { signExtend, toSigned, toUnsigned } from '../bits/integer.ts';
import { FaultKind, StateOffset } from '../layout/state.ts';
import type { Rmw } from './attributes.ts';
import type { Block, Op } from './block.ts';
import type { EvaluatorMemory } from './evaluator-memory.ts';
import { opRow } from './op.ts';
import { type Field, isField, type Slot, type Type, WIDTH } from './type.ts';

/** What a helper does with its i64 arguments: gives a result (unsigned) or a guest trap. */
type EvaluatorHelper = (
  args: readonly bigint[],
) => { readonly result: bigint } | { readonly trap: number; readonly value: bigint };

export interface Environment {
  /** The vCPU state: offset 0 is its start (layout/state.ts). Registers and floating-point flags are read and written here. */
  readonly state: DataView;
  readonly memory: EvaluatorMemory;
  /** By the name that `call` uses. `retired`: instructions completed in this evaluation before the one that calls. */
  readonly helper?: (name: string, args: readonly bigint[], retired: number) => ReturnType<EvaluatorHelper>;
  /** For blocks lifted with symbolic operands: what each field holds (a register field: the register's index). */
  readonly fields?: Readonly<Record<string, number | bigint>>;
  /** For such blocks: the address of the first instruction, in place of what its `insn` says. */
  readonly pc?: bigint;
}

/**
 * How control left. `next`: fell through, `pc` is the address after the last instruction. `jump`: `pc` is the target. `trap`, `fault`:
 * `pc` is the instruction that caused it. `retired`: instructions completed; the one that trapped or faulted is not.
 */
export type Outcome = { readonly pc: bigint; readonly retired: number } & (
  | { readonly kind: 'next' | 'jump' }
  | { readonly kind: 'trap'; readonly cause: number; readonly value: bigint }
  | { readonly kind: 'fault'; readonly fault: FaultKind; readonly address: bigint; readonly width: number }
);

/**
 * The reference meaning of the IR, in plain BigInt arithmetic over the rows' own meanings: slow, and meant to be obviously right. The
 * block must be one that `verify` accepts. Neither pc nor the budget in the state is touched; the outcome says where to go on.
 */
export function evaluate(block: Block, environment: Environment): Outcome {
  return new Evaluation(environment).run(block);
}

/** Thrown and caught here only: leaves the block from the middle of an op. */
class Leave {
  readonly outcome: Outcome;
  constructor(outcome: Outcome) {
    this.outcome = outcome;
  }
}

class Evaluation {
  readonly #environment: Environment;
  readonly #values: (bigint | undefined)[] = [];
  #pc = 0n;
  #length = 0n;
  #begun = 0;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  run(block: Block): Outcome {
    try {
      for (const op of block.ops) {
        const outcome = this.#terminate(op);
        if (outcome !== undefined) return outcome;
        this.#values.push(this.#compute(op));
      }
    } catch (error) {
      if (error instanceof Leave) return error.outcome;
      throw error;
    }
    return { kind: 'next', pc: this.#nextPc(), retired: this.#begun };
  }

  /** Terminators: where control goes. Undefined for other ops. */
  #terminate(op: Op): Outcome | undefined {
    switch (op.name) {
      case 'jump':
        return this.#jump(this.#argument(op, 0));
      case 'jump_rel':
        return this.#jump(this.#pc + this.#displacement(op));
      case 'branch':
        if (this.#argument(op, 0) !== 0n) return this.#jump(this.#pc + this.#displacement(op));
        return { kind: 'next', pc: this.#nextPc(), retired: this.#begun };
      case 'trap':
        return this.#trap(op.cause!, this.#argument(op, 0));
      default:
        return undefined;
    }
  }

  #compute(op: Op): bigint | undefined {
    switch (op.name) {
      case 'insn':
        this.#beginInstruction(op);
        return undefined;
      case 'field':
        return this.#field(op.field!, op.signed!, WIDTH[op.type as Type]);
      case 'pc':
        return this.#pc;
      case 'next_pc':
        return this.#nextPc();
      case 'get':
        return this.#readRegister(op.slot!, WIDTH[op.type as Type]);
      case 'set':
        this.#writeRegister(op.slot!, WIDTH[op.type as Type], this.#argument(op, 0));
        return undefined;
      case 'trap_if':
        if (this.#argument(op, 0) !== 0n) throw new Leave(this.#trap(op.cause!, this.#argument(op, 1)));
        return undefined;
      case 'call':
        return this.#call(op);
      case 'load':
      case 'store':
      case 'load_reserved':
      case 'store_conditional':
      case 'atomic_rmw':
      case 'atomic_cas':
        return this.#access(op);
      case 'fence':
        return undefined;
      default:
        return this.#pure(op);
    }
  }

  #pure(op: Op): bigint {
    const { evaluate, evaluateFloat } = opRow(op.name);
    const args = op.args.map((_, index) => this.#argument(op, index));
    if (evaluate !== undefined) return evaluate(args, op.type === 'none' ? 0 : WIDTH[op.type], op);
    assert(evaluateFloat !== undefined, `${op.name} has a meaning`);
    const { bits, flags } = evaluateFloat(args, op);
    const { state } = this.#environment;
    state.setUint32(StateOffset.floatFlags, state.getUint32(StateOffset.floatFlags, true) | flags, true);
    return bits;
  }

  #access(op: Op): bigint | undefined {
    const { memory, state } = this.#environment;
    const address = this.#argument(op, 0);
    const width = op.width!;
    const bytes = width / 8;
    const atomic = op.name !== 'load' && op.name !== 'store';
    const reads = op.name === 'load' || op.name === 'load_reserved';

    const fault = (kind: FaultKind): never => {
      throw new Leave({ kind: 'fault', fault: kind, address, width: bytes, pc: this.#pc, retired: this.#begun - 1 });
    };
    if ((atomic || op.alignment === 'natural') && address % BigInt(bytes) !== 0n) {
      fault(reads ? FaultKind.loadMisaligned : FaultKind.storeMisaligned);
    }
    if (op.name === 'store') {
      if (!memory.store(address, bytes, this.#argument(op, 1))) fault(FaultKind.store);
      return undefined;
    }
    const old = memory.load(address, bytes);
    if (old === undefined) return fault(reads ? FaultKind.load : FaultKind.store);
    if (!reads && !memory.writable(address, bytes)) fault(FaultKind.store);
    const extended = signExtend(old, width, 64);

    switch (op.name) {
      case 'load':
        return op.signed! ? signExtend(old, width, WIDTH[op.type as Type]) : old;
      case 'load_reserved':
        state.setBigUint64(StateOffset.reservation, address, true);
        state.setBigUint64(StateOffset.reserved, extended, true);
        return extended;
      case 'store_conditional': {
        const held =
          state.getBigUint64(StateOffset.reservation, true) === address &&
          state.getBigUint64(StateOffset.reserved, true) === extended;
        state.setBigInt64(StateOffset.reservation, -1n, true);
        if (held) memory.store(address, bytes, this.#argument(op, 1));
        return held ? 0n : 1n;
      }
      case 'atomic_cas':
        if (old === toUnsigned(this.#argument(op, 1), width)) memory.store(address, bytes, this.#argument(op, 2));
        return extended;
      default:
        memory.store(address, bytes, combine(op.rmw!, old, toUnsigned(this.#argument(op, 1), width), width));
        return extended;
    }
  }

  #call(op: Op): bigint | undefined {
    const { helper } = this.#environment;
    assert(helper !== undefined, `a block that calls ${op.helper} is evaluated with helpers`);
    const args = op.args.map((_, index) => this.#argument(op, index));
    const outcome = helper(op.helper!, args, this.#begun - 1);
    if ('trap' in outcome) throw new Leave(this.#trap(outcome.trap, outcome.value));
    return op.type === 'none' ? undefined : toUnsigned(outcome.result, 64);
  }

  #beginInstruction(op: Op): void {
    const { pc } = this.#environment;
    this.#pc = pc === undefined ? op.pc! : this.#begun === 0 ? pc : this.#nextPc();
    this.#length = BigInt(op.length!);
    this.#begun++;
  }

  #nextPc(): bigint {
    return toUnsigned(this.#pc + this.#length, 64);
  }

  #jump(target: bigint): Outcome {
    return { kind: 'jump', pc: toUnsigned(target, 64), retired: this.#begun };
  }

  #trap(cause: number, value: bigint): Outcome {
    return { kind: 'trap', cause, value, pc: this.#pc, retired: this.#begun - 1 };
  }

  #argument(op: Op, index: number): bigint {
    const value = this.#values[op.args[index]!];
    assert(value !== undefined, `argument ${index} of ${op.name} has a value`);
    return value;
  }

  #field(field: Field, signed: boolean, width: number): bigint {
    const value = this.#environment.fields?.[field.field];
    assert(value !== undefined, `the field ${field.field} is given`);
    // Immediates narrower than T are held in 32 bits of the record when they are numbers.
    return typeof value === 'bigint' || signed ? toUnsigned(BigInt(value), width) : toUnsigned(BigInt(value), 32);
  }

  #displacement(op: Op): bigint {
    const displacement = op.displacement!;
    return isField(displacement) ? toSigned(this.#field(displacement, true, 64), 64) : BigInt(displacement);
  }

  #registerOffset(slot: Slot): number {
    const index = isField(slot.index) ? Number(this.#field(slot.index, true, 64)) : slot.index;
    return slot.file.offset + slot.file.stride * index;
  }

  #readRegister(slot: Slot, width: number): bigint {
    const offset = this.#registerOffset(slot);
    let value = 0n;
    for (let byte = width / 8 - 1; byte >= 0; byte--) {
      value = (value << 8n) | BigInt(this.#environment.state.getUint8(offset + byte));
    }
    return value;
  }

  #writeRegister(slot: Slot, width: number, value: bigint): void {
    const offset = this.#registerOffset(slot);
    for (let byte = 0; byte < width / 8; byte++) {
      this.#environment.state.setUint8(offset + byte, Number((value >> BigInt(8 * byte)) & 0xffn));
    }
  }
}

/** What an atomic read-modify-write stores; old value and operand are unsigned, `width` bits. */
function combine(rmw: Rmw, old: bigint, operand: bigint, width: number): bigint {
  const lessSigned = toSigned(old, width) < toSigned(operand, width);
  switch (rmw) {
    case 'add':
      return old + operand;
    case 'and':
      return old & operand;
    case 'or':
      return old | operand;
    case 'xor':
      return old ^ operand;
    case 'xchg':
      return operand;
    case 'minS':
      return lessSigned ? old : operand;
    case 'maxS':
      return lessSigned ? operand : old;
    case 'minU':
      return old < operand ? old : operand;
    case 'maxU':
      return old < operand ? operand : old;
  }
}
