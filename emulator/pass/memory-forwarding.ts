import type { Block, Op, Value } from '../ir/block.ts';
import { attributedOp, constant, plainOp } from '../ir/make-op.ts';
import { type Type, WIDTH } from '../ir/type.ts';
import { Address } from './address.ts';
import { Effect, effects } from './effects.ts';
import type { Pass, PassContext } from './pass.ts';
import { Rewriter } from './rewriter.ts';

/** What is known to be in memory: the low `width` bits of `value`, at a base plus an offset. */
interface Known {
  readonly base: Value;
  readonly offset: number;
  readonly width: number;
  readonly value: Value;
  readonly type: Type;
  /** It was stored, so that storing it again does not fault. */
  readonly stored: boolean;
  /** It may be loaded without a fault. */
  readable: boolean;
}

/** So many places are remembered; the oldest goes first. */
const PLACES = 32;

/** An access that a later or earlier one may stand for: neither ordered nor one that faults on a misaligned address. */
function isPlain(op: Op): boolean {
  return op.order === 'none' && op.alignment === 'any';
}

class Forwarding {
  readonly #rewriter: Rewriter;
  readonly #context: PassContext;
  readonly #address = new Address();
  #known: Known[] = [];

  constructor(rewriter: Rewriter, context: PassContext) {
    this.#rewriter = rewriter;
    this.#context = context;
  }

  op(index: Value, op: Op): void {
    if (op.name === 'load' && isPlain(op)) this.#load(index, op);
    else if (op.name === 'store' && isPlain(op)) this.#store(index, op);
    else {
      if ((effects(op) & (Effect.memory | Effect.call)) !== 0) this.#known = [];
      this.#rewriter.replace(index, op);
    }
  }

  #load(index: Value, op: Op): void {
    this.#address.resolve(op.args[0]!, this.#rewriter.ops);
    const known = this.#find(op.width!);
    const value = known?.readable === true ? this.#loaded(known, op) : undefined;
    if (value !== undefined) {
      this.#rewriter.drop(index, value);
      return;
    }
    const loaded = this.#rewriter.replace(index, op);
    if (known === undefined) this.#remember(op, loaded, false);
    else known.readable = true;
  }

  #store(index: Value, op: Op): void {
    this.#address.resolve(op.args[0]!, this.#rewriter.ops);
    const known = this.#find(op.width!);
    if (known?.stored === true && known.type === op.type && known.value === op.args[1]) {
      this.#rewriter.drop(index);
      return;
    }
    this.#rewriter.replace(index, op);
    const { base, offset } = this.#address;
    const end = offset + op.width! / 8;
    // Bases may be any distance apart; only of the same base is it known that places are not.
    this.#known = this.#known.filter(
      (each) => each.base === base && (each.offset >= end || each.offset + each.width / 8 <= offset),
    );
    this.#remember(op, op.args[1]!, true);
  }

  #find(width: number): Known | undefined {
    const { base, offset } = this.#address;
    for (const each of this.#known) {
      if (each.base === base && each.offset === offset && each.width === width) return each;
    }
    return undefined;
  }

  #remember(op: Op, value: Value, stored: boolean): void {
    if (this.#known.length === PLACES) this.#known.shift();
    const { base, offset } = this.#address;
    const readable = !stored || this.#context.writableIsReadable === true;
    this.#known.push({ base, offset, width: op.width!, value, type: op.type as Type, stored, readable });
  }

  /** What the load gives, by ops on the value that is in memory; undefined when that cannot be had. */
  #loaded(known: Known, op: Op): Value | undefined {
    const rewriter = this.#rewriter;
    const type = op.type as Type;
    if (type === 'v128' || known.type === 'v128') {
      return type === known.type && op.width === 128 ? known.value : undefined;
    }
    if (type === known.type && op.width === WIDTH[type]) return known.value;
    const insert = (name: Op['name'], to: Type, args: Value[], from?: Type) =>
      rewriter.insert(from === undefined ? plainOp(name, to, args) : attributedOp(name, to, args, { from }));
    let value = known.value;
    let held = known.type;
    if (held === 'f32' || held === 'f64') {
      const integer = held === 'f32' ? 'i32' : 'i64';
      value = insert('bitcast', integer, [value], held);
      held = integer;
    }
    const wanted = type === 'f32' || type === 'i32' ? 'i32' : 'i64';
    if (held !== wanted) {
      value = wanted === 'i32' ? insert('wrap', 'i32', [value]) : insert('widen_u', 'i64', [value]);
    }
    const width = op.width!;
    if (width < WIDTH[wanted]) {
      if (op.signed === true) {
        value = insert(width === 8 ? 'extend8_s' : width === 16 ? 'extend16_s' : 'extend32_s', wanted, [value]);
      } else {
        const mask = rewriter.insert(constant(wanted, (1n << BigInt(width)) - 1n));
        value = insert('and', wanted, [value, mask]);
      }
    }
    return type === wanted ? value : insert('bitcast', type, [value], wanted);
  }
}

function hasAccesses(ops: readonly Op[]): boolean {
  for (let index = 0; index < ops.length; index++) {
    const { name } = ops[index]!;
    if (name === 'load' || name === 'store') return true;
  }
  return false;
}

function run(block: Block, context: PassContext): Block {
  if (context.ordinaryMemory !== true || !hasAccesses(block.ops)) return block;
  const rewriter = new Rewriter(block);
  const forwarding = new Forwarding(rewriter, context);
  for (let index = 0; index < block.ops.length; index++) {
    forwarding.op(index, rewriter.renamed(block.ops[index]!));
  }
  return rewriter.finish();
}

export const memoryForwarding: Pass = {
  name: 'memory-forwarding',
  prose:
    'Takes what a plain load would give from an earlier load of or store to the same place, and leaves out stores of what was stored there, where memory is ordinary.',
  run,
};
