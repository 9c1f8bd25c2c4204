import type { Block, Op, Value } from '../../ir/block.ts';

/** An address as what a register, given as a state offset, holds when the block is entered, plus `offset`. */
export interface EntryAddress {
  readonly register: number;
  readonly offset: number;
}

/** What a value is: `offset` from a root, which stands for one unknown number. */
interface Known {
  readonly root: number;
  readonly offset: number;
  /** The register, as a state offset, if the root is what one held when the block was entered. */
  readonly register: number | undefined;
}

/** Writes that move a register on by a constant, with how far it then is from what it was at the block's entry. */
export type Moves = ReadonlyMap<Op, EntryAddress>;

/** Those of a block, as far as nothing else was written to the register before. */
export function movesOf({ ops }: Block): Moves {
  const moves = new Map<Op, EntryAddress>();
  // Most blocks have none.
  if (!ops.some(({ name, type, args }) => name === 'set' && type === 'i64' && ops[args[0]!]!.name === 'add'))
    return moves;
  const values = new Values(ops);
  const lost = new Set<number>();
  ops.forEach((op, index) => {
    const known = values.follow(index, op);
    if (op.name !== 'set') return;
    const register = stateOffset(op);
    if (known?.register === register && !lost.has(register)) moves.set(op, { register, offset: known.offset });
    else lost.add(register);
  });
  return moves;
}

/** What the values of a block are known as, as far as it was followed. */
export class Values {
  readonly #ops: readonly Op[];
  readonly #known: (Known | undefined)[] = [];
  /** What registers hold, by state offset, and those that were written. */
  readonly #registers = new Map<number, Known>();
  readonly #written = new Set<number>();
  /** The root of constants. */
  readonly #zero = 0;
  #roots = 1;

  constructor(ops: readonly Op[]) {
    this.#ops = ops;
  }

  /** Goes on by the next op; of a write of a register of 64 bits what it holds then. */
  follow(index: Value, op: Op): Known | undefined {
    switch (op.name) {
      case 'const':
      case 'add': {
        // A sum is known better when one of its parts is a small constant.
        const known = op.name === 'const' ? this.#constant(op) : this.#sum(op);
        if (known !== undefined) this.#known[index] = known;
        return undefined;
      }
      case 'get': {
        if (op.type !== 'i64') return undefined;
        const register = stateOffset(op);
        const held = this.#registers.get(register) ?? this.#fresh(this.#written.has(register) ? undefined : register);
        this.#registers.set(register, held);
        this.#known[index] = held;
        return undefined;
      }
      case 'set': {
        const register = stateOffset(op);
        this.#written.add(register);
        const known = op.type === 'i64' ? this.of(op.args[0]!) : undefined;
        if (known === undefined) this.#registers.delete(register);
        else this.#registers.set(register, known);
        return known;
      }
      default:
        return undefined;
    }
  }

  /** What a value is known as: a root of its own, when nothing better. */
  of(value: Value): Known {
    return (this.#known[value] ??= this.#fresh(undefined));
  }

  /** A number of its own. */
  #fresh(register: number | undefined): Known {
    return { root: this.#roots++, offset: 0, register };
  }

  #constant(op: Op): Known | undefined {
    const offset = small(op);
    return offset === undefined ? undefined : { root: this.#zero, offset, register: undefined };
  }

  #sum({ type, args }: Op): Known | undefined {
    if (type !== 'i64') return undefined;
    const second = small(this.#ops[args[1]!]!);
    const constant = second ?? small(this.#ops[args[0]!]!);
    if (constant === undefined) return undefined;
    const { root, offset, register } = this.of(second === undefined ? args[1]! : args[0]!);
    const total = offset + constant;
    return Math.abs(total) < 2 ** 31 ? { root, offset: total, register } : undefined;
  }
}

function small(op: Op): number | undefined {
  if (op.name !== 'const' || op.type !== 'i64') return undefined;
  const value = Number(BigInt.asIntN(64, op.bits!));
  return value >= -(2 ** 31) && value < 2 ** 31 ? value : undefined;
}

function stateOffset({ slot }: Op): number {
  return slot!.file.offset + slot!.file.stride * Number(slot!.index);
}
