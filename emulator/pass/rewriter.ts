import type { Block, Op, Value } from '../ir/block.ts';
import { constant, copyOp } from '../ir/make-op.ts';

/**
 * Writes a new block from an old one, op by op in order, and knows what became of each value. Nothing is copied before something differs,
 * and an op is only copied when the number of one of its arguments has changed: most ops of most blocks go through as they are.
 * The arrays are ordinary ones: typed arrays of more than 64 bytes lie outside V8's heap, and making three for each pass of a block of
 * twenty ops took a fifth of the time.
 */
export class Rewriter {
  readonly #block: Block;
  /** The new ops; undefined as long as they are the old ones. */
  #ops: Op[] | undefined;
  /** What the old values have become; undefined as long as all are what they were. */
  #values: Value[] | undefined;
  /** Old ops that have been dealt with. */
  #done = 0;

  constructor(block: Block) {
    this.#block = block;
  }

  /** The new ops so far. What comes behind them is not to be looked at. */
  get ops(): readonly Op[] {
    return this.#ops ?? this.#block.ops;
  }

  /** The op with its arguments as they are now. */
  renamed(op: Op): Op {
    const values = this.#values;
    if (values === undefined) return op;
    const { args } = op;
    for (let index = 0; index < args.length; index++) {
      if (values[args[index]!] !== args[index]) return copyOp(op, renamedArguments(args, values));
    }
    return op;
  }

  /** The op at `index` of the old block goes on as it is, but for the numbers of its arguments. Gives its new number. */
  keep(index: Value): Value {
    if (this.#ops === undefined && this.#values === undefined) {
      this.#done++;
      return index;
    }
    return this.replace(index, this.renamed(this.#block.ops[index]!));
  }

  /** The op at `index` of the old block goes on as `op`, whose arguments are new values. Gives its new number. */
  replace(index: Value, op: Op): Value {
    if (this.#ops === undefined) {
      if (op === this.#block.ops[index]) {
        this.#values?.push(index);
        this.#done++;
        return index;
      }
      this.#change();
    }
    const value = this.#ops!.push(op) - 1;
    if (this.#values !== undefined) this.#values.push(value);
    else if (value !== index) this.#rename().push(value);
    this.#done++;
    return value;
  }

  /** Whoever uses the old value uses `value`, a new one, instead. The op itself is left for dead-code removal, so that numbers stay. */
  forward(index: Value, op: Op, value: Value): void {
    this.#rename();
    this.replace(index, op);
    this.#values![index] = value;
  }

  /** An op that was not there before, in front of the next one. */
  insert(op: Op): Value {
    this.#change();
    this.#rename();
    return this.#ops!.push(op) - 1;
  }

  /**
   * The op at `index` is for nothing any more; whoever uses its value, if it had one, uses `value`, a new one, instead. A constant that
   * nobody uses takes its place until dead-code removal, so that numbers stay and no op has to be copied for them.
   */
  drop(index: Value, value?: Value): void {
    if (value !== undefined) this.#rename();
    this.replace(index, NOTHING);
    if (value !== undefined) this.#values![index] = value;
  }

  /** The op at `index`, whose value has no uses, goes at once. */
  remove(index: Value): void {
    this.#change();
    this.#rename()[index] = -1;
    this.#done++;
  }

  /** The new block; the old one when it is the same. */
  finish(): Block {
    const { isa, ops } = this.#block;
    if (this.#ops === undefined && this.#done < ops.length) this.#change();
    return this.#ops === undefined ? this.#block : { isa, ops: this.#ops };
  }

  #change(): void {
    this.#ops ??= this.#block.ops.slice(0, this.#done);
  }

  #rename(): Value[] {
    if (this.#values === undefined) {
      this.#values = [];
      for (let index = 0; index < this.#done; index++) this.#values.push(index);
    }
    return this.#values;
  }
}

const NOTHING = constant('i32', 0n);

/** Lists to copy: for V8 that takes a third of what making one of a length and filling it takes, which calls into its runtime. */
const TEMPLATES = { 0: [0], [-1]: [-1] };

/** A list of so many times the same number. */
export function filled(length: number, number: 0 | -1): number[] {
  const template = TEMPLATES[number];
  while (template.length < length) template.push(number);
  return template.slice(0, length);
}

function renamedArguments(args: readonly Value[], values: readonly Value[]): Value[] {
  if (args.length === 1) return [values[args[0]!]!];
  if (args.length === 2) return [values[args[0]!]!, values[args[1]!]!];
  const renamed: Value[] = [];
  for (let index = 0; index < args.length; index++) renamed.push(values[args[index]!]!);
  return renamed;
}
