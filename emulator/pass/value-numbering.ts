import type { Block, Op, Value } from '../ir/block.ts';
import type { OpName } from '../ir/op.ts';
import { isField } from '../ir/type.ts';
import { StateOffset } from '../layout/state.ts';
import { Effect, effects } from './effects.ts';
import type { Pass } from './pass.ts';
import { slotOffset } from './register-table.ts';
import { filled, Rewriter } from './rewriter.ts';

const COMMUTATIVE: ReadonlySet<OpName> = new Set<OpName>([
  'add',
  'mul',
  'mulh_s',
  'mulh_u',
  'and',
  'or',
  'xor',
  'eq',
  'ne',
  'v_and',
  'v_or',
  'v_xor',
]);

const NONE = -1;
/** So many ops with the same last argument are looked at; a block in which everything is added to one value stays linear. */
const CANDIDATES = 16;

/** Displacements that lowering leaves to the access. */
const NEAR = 4096;

/** The ops of the new block that might be had again. They are found by the last defined of their arguments. */
class Known {
  readonly #block: { readonly ops: readonly Op[] };
  readonly #latest: Value[];
  readonly #earlier: Value[];
  readonly #constants: Value[] = [];

  /** `size`: the most ops the new block will have. */
  constructor(block: { readonly ops: readonly Op[] }, size: number) {
    this.#block = block;
    this.#latest = filled(size, NONE);
    this.#earlier = filled(size, NONE);
  }

  /** The latest op that is the same, at or after `since`; NONE when there is none. */
  find(op: Op, since: number): Value {
    let left = CANDIDATES;
    const { ops } = this.#block;
    for (let at = this.#latest[lastArgument(op)]!; at >= since && left > 0; at = this.#earlier[at]!) {
      if (same(op, ops[at]!)) return at;
      left--;
    }
    return NONE;
  }

  add(op: Op, value: Value): void {
    const last = lastArgument(op);
    this.#earlier[value] = this.#latest[last]!;
    this.#latest[last] = value;
  }

  constant(op: Op): Value {
    const { ops } = this.#block;
    const first = Math.max(0, this.#constants.length - CANDIDATES);
    for (let index = this.#constants.length - 1; index >= first; index--) {
      const known = ops[this.#constants[index]!]!;
      if (known.type === op.type && known.bits === op.bits) return this.#constants[index]!;
    }
    return NONE;
  }

  addConstant(value: Value): void {
    this.#constants.push(value);
  }
}

/** The argument by which the op is found; of a check only the condition matters. */
function lastArgument({ name, args }: Op): Value {
  if (name === 'trap_if') return args[0]!;
  let last = NONE;
  for (let index = 0; index < args.length; index++) if (args[index]! > last) last = args[index]!;
  return last;
}

function same(a: Op, b: Op): boolean {
  if (a.name !== b.name || a.type !== b.type) return false;
  if (a.name === 'trap_if') return a.args[0] === b.args[0];
  if (a.from !== b.from || a.signed !== b.signed || a.shape !== b.shape || a.lane !== b.lane) return false;
  const { args } = a;
  let equal = true;
  for (let index = 0; index < args.length; index++) if (args[index] !== b.args[index]) equal = false;
  if (!equal) return COMMUTATIVE.has(a.name) && args[0] === b.args[1] && args[1] === b.args[0];
  return a.lanes === b.lanes || (a.lanes?.every((lane, index) => lane === b.lanes?.[index]) ?? false);
}

/** Whether the op may take accrued flags back, so that an op that raises them has to raise them again. */
function clearsFlags(op: Op): boolean {
  if (op.name === 'call') return true;
  if (op.name !== 'set') return false;
  const { slot } = op;
  return isField(slot!.index) || Math.abs(slotOffset(slot!)! - StateOffset.floatFlags) < 16;
}

/**
 * Whether the op is an address at a small distance from another. WebAssembly's accesses take the distance for nothing, so that computing
 * it again is cheaper than keeping it: nbody's regions have 1.3 % fewer WebAssembly ops for it.
 */
function isDisplaced({ name, type, args }: Op, ops: readonly Op[]): boolean {
  if (name !== 'add' || type !== 'i64') return false;
  const distance = ops[args[1]!]!;
  if (distance.name !== 'const') return false;
  const bytes = Number(BigInt.asIntN(64, distance.bits!));
  return bytes >= -NEAR && bytes < NEAR;
}

function run(block: Block): Block {
  const rewriter = new Rewriter(block);
  const known = new Known(rewriter, block.ops.length);
  let flagsSince = 0;
  for (let index = 0; index < block.ops.length; index++) {
    const old = block.ops[index]!;
    if (old.name === 'const') {
      const found = known.constant(old);
      if (found === NONE) known.addConstant(rewriter.keep(index));
      else rewriter.forward(index, old, found);
      continue;
    }
    const bits = effects(old);
    if ((bits & Effect.repeatable) === 0 && old.name !== 'trap_if') {
      const value = rewriter.keep(index);
      if (clearsFlags(old)) flagsSince = value;
      continue;
    }
    const op = rewriter.renamed(old);
    if (isDisplaced(op, rewriter.ops)) {
      rewriter.replace(index, op);
      continue;
    }
    const found = known.find(op, (bits & Effect.flags) !== 0 ? flagsSince : 0);
    if (found === NONE) known.add(op, rewriter.replace(index, op));
    else rewriter.drop(index, found);
  }
  return rewriter.finish();
}

export const valueNumbering: Pass = {
  name: 'value-numbering',
  prose:
    'Computes what is computed twice once: ops with the same arguments, floating-point ops and their flags included, and traps whose condition has been tested.',
  run,
};
