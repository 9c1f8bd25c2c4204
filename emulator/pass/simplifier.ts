import type { Op, Value } from '../ir/block.ts';
import { constant, plainOp } from '../ir/make-op.ts';
import type { OpName } from '../ir/op.ts';
import { type Type, WIDTH } from '../ir/type.ts';
import { foldConstant } from './constant-folding.ts';
import { signedWidth, unsignedWidth, type Widths } from './known-width.ts';

/** What an op may be replaced by: a value there already is, another op, or, with undefined, nothing. */
export type Simpler = Value | Op | undefined;

/** What one op is when its arguments allow it to be something simpler. May insert constants and ops that the result needs. */
export type Rule = (op: Op, simplifier: Simplifier) => Simpler;

export type Rules = Readonly<Partial<Record<OpName, Rule>>>;

/** Rules by the kind of op. */
export type RuleTable = readonly (Rule | undefined)[];

/** A rule's result may be simplified again; this often, so that rules that undo each other do no harm. */
const ROUNDS = 4;

/** The block being written: its ops so far, and an op more. */
export interface Target {
  readonly ops: readonly Op[];
  insert(op: Op): Value;
}

/** What rules see of the block being written, and what they write. */
export class Simplifier {
  readonly #target: Target;
  readonly #rules: RuleTable;
  readonly #widths: Widths;
  /** How often each value of the new block is used by what has been simplified and what is still to come. */
  readonly uses: number[] = [];

  constructor(target: Target, rules: RuleTable, widths: Widths = WIDTH) {
    this.#target = target;
    this.#rules = rules;
    this.#widths = widths;
  }

  /** The simplest form of an op that rules find: the op itself when it is as simple as can be. */
  simplify(op: Op): Value | Op {
    let current = op;
    for (let round = 0; round < ROUNDS; round++) {
      const rule = this.#rules[current.kind];
      const simpler = rule?.(current, this);
      if (simpler === undefined) return current;
      if (typeof simpler === 'number') return simpler;
      current = foldConstant(simpler, this.#target.ops) ?? simpler;
    }
    return current;
  }

  op(value: Value): Op {
    return this.#target.ops[value]!;
  }

  /** The bits of a constant; undefined when the value is not one. */
  bits(value: Value): bigint | undefined {
    const op = this.#target.ops[value]!;
    return op.name === 'const' ? op.bits : undefined;
  }

  /** Whether only one op uses the value: it need not be computed when that op does without it. */
  usedOnce(value: Value): boolean {
    return (this.uses[value] ?? 0) <= 1;
  }

  /** More or fewer uses of values. */
  use(values: readonly Value[], more: number): void {
    for (let index = 0; index < values.length; index++) {
      const value = values[index]!;
      this.uses[value] = (this.uses[value] ?? 0) + more;
    }
  }

  width(type: Type | 'none'): number {
    return this.#widths[type as Type];
  }

  unsignedWidth(value: Value): number {
    return unsignedWidth(value, this.#target.ops, this.#widths);
  }

  signedWidth(value: Value): number {
    return signedWidth(value, this.#target.ops, this.#widths);
  }

  /** A constant of the type, whose bits may be any integer; not in the block yet. */
  constantOp(type: Type | 'none', bits: bigint): Op {
    return constant(type as Type, BigInt.asUintN(this.#widths[type as Type], bits));
  }

  /** The same in the block. */
  constant(type: Type | 'none', bits: bigint): Value {
    return this.#target.insert(this.constantOp(type, bits));
  }

  /** An op that the result needs as argument, as simple as it can be, in the block. */
  value(name: OpName, type: Type, args: readonly Value[]): Value {
    const op = plainOp(name, type, args);
    const folded = foldConstant(op, this.#target.ops);
    if (folded !== undefined) return this.#target.insert(folded);
    // Rules ask for narrower ops only, so that this comes to an end.
    const simpler = this.simplify(op);
    if (typeof simpler === 'number') return simpler;
    this.use(simpler.args, 1);
    return this.#target.insert(simpler);
  }
}

/** An op of the same type with other arguments. */
export function op(name: OpName, type: Type | 'none', ...args: Value[]): Op {
  return plainOp(name, type, args);
}

/** Whether the value with the given bits is 2^n, and n. */
export function powerOfTwo(bits: bigint): number | undefined {
  if (bits === 0n || (bits & (bits - 1n)) !== 0n) return undefined;
  return bits < 0x8000_0000n ? 31 - Math.clz32(Number(bits)) : bits.toString(2).length - 1;
}
