import type { Block, Op, Value } from '../ir/block.ts';

/**
 * Writes a new block from an old one, op by op in order, and knows what became of each value. Nothing is copied before something differs,
 * and an op is only copied when the number of one of its arguments has changed: most ops of most blocks go through as they are.
 */
export class Rewriter {
  readonly ops: Op[] = [];
  readonly #block: Block;
  readonly #values: Int32Array;
  #changed = false;

  constructor(block: Block) {
    this.#block = block;
    this.#values = new Int32Array(block.ops.length);
  }

  /** What the old value has become. */
  value(old: Value): Value {
    return this.#values[old]!;
  }

  /** The op with its arguments as they are now. */
  renamed(op: Op): Op {
    const { args } = op;
    for (let index = 0; index < args.length; index++) {
      if (this.#values[args[index]!] !== args[index]) return { ...op, args: this.#renamedArguments(args) };
    }
    return op;
  }

  /** The op at `index` of the old block goes on as `op`, whose arguments are new values. */
  replace(index: Value, op: Op): Value {
    if (op !== this.#block.ops[index]) this.#changed = true;
    return (this.#values[index] = this.ops.push(op) - 1);
  }

  /** Whoever uses the old value uses `value`, a new one, instead. The op itself is left for dead-code removal, so that numbers stay. */
  forward(index: Value, op: Op, value: Value): void {
    this.replace(index, op);
    this.#values[index] = value;
    this.#changed = true;
  }

  /** An op that was not there before, in front of the next one. */
  insert(op: Op): Value {
    this.#changed = true;
    return this.ops.push(op) - 1;
  }

  /** The op at `index` goes; whoever uses its value, if it had one, uses `value`, a new one, instead. */
  drop(index: Value, value: Value = -1): void {
    this.#values[index] = value;
    this.#changed = true;
  }

  /** The new block; the old one when it is the same. */
  finish(): Block {
    return this.#changed ? { isa: this.#block.isa, ops: this.ops } : this.#block;
  }

  #renamedArguments(args: readonly Value[]): Value[] {
    const renamed: Value[] = [];
    for (let index = 0; index < args.length; index++) renamed.push(this.#values[args[index]!]!);
    return renamed;
  }
}
