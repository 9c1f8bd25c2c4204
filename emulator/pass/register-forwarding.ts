import type { Block, Op, Value } from '../ir/block.ts';
import { attributedOp, constant, plainOp } from '../ir/make-op.ts';
import { type Shape, type Type, WIDTH } from '../ir/type.ts';
import { Effect, effects } from './effects.ts';
import { type Pass, type PassContext, slotName } from './pass.ts';
import { RegisterTable } from './register-table.ts';
import { Rewriter } from './rewriter.ts';

/** The vector shape that has the type as a lane. */
const SHAPE_OF: Readonly<Partial<Record<Type, Shape>>> = { i32: 'i32x4', i64: 'i64x2', f32: 'f32x4', f64: 'f64x2' };

/** The op that gives the low bits of `value` of type `from` as `type`; undefined when that takes more than one op. */
function reinterpret(value: Value, from: Type | 'none', type: Type): Op | undefined {
  const pair = `${from} ${type}`;
  switch (pair) {
    case 'i64 i32':
      return plainOp('wrap', type, [value]);
    case 'i64 f64':
    case 'f64 i64':
    case 'i32 f32':
    case 'f32 i32':
      return attributedOp('bitcast', type, [value], { from: from as Type });
    default:
      if (from !== 'v128') return undefined;
      return attributedOp('v_extract', 'v128', [value], { shape: SHAPE_OF[type]!, lane: 0, signed: false });
  }
}

/** What a register that is read holds since the block was entered, as far as the context tells. */
function heldAtEntry(op: Op, table: RegisterTable, { knownIn, modes }: PassContext): bigint | undefined {
  if (knownIn === undefined || modes?.includes(op.slot!.file) === false) return undefined;
  const type = op.type as Type;
  if (WIDTH[type] > WIDTH[op.slot!.file.type] || !table.untouched(op.slot!, type)) return undefined;
  const held = knownIn.get(slotName(op.slot!));
  return held === undefined ? undefined : BigInt.asUintN(WIDTH[type], held);
}

function run(block: Block, context: PassContext): Block {
  const rewriter = new Rewriter(block);
  const table = new RegisterTable();
  for (let index = 0; index < block.ops.length; index++) {
    const old = block.ops[index]!;
    if (old.name !== 'get' && old.name !== 'set') {
      const bits = effects(old);
      if ((bits & Effect.call) !== 0) table.forget();
      else if ((bits & Effect.flags) !== 0) table.forgetFlags();
      rewriter.keep(index);
      continue;
    }
    const op = rewriter.renamed(old);
    if (op.name === 'get') {
      const definer = table.definer(op.slot!, op.type as Type, rewriter.ops);
      if (definer < 0) {
        const held = heldAtEntry(op, table, context);
        if (held !== undefined) {
          rewriter.replace(index, constant(op.type as Type, held));
          continue;
        }
        table.define(op.slot!, op.type as Type, rewriter.replace(index, op));
        continue;
      }
      const known = rewriter.ops[definer]!;
      const value = known.name === 'get' ? definer : known.args[0]!;
      if (known.type === op.type) rewriter.forward(index, op, value);
      else rewriter.replace(index, reinterpret(value, known.type, op.type as Type) ?? op);
    } else {
      const definer = table.definer(op.slot!, op.type as Type, rewriter.ops);
      const known = definer < 0 ? undefined : rewriter.ops[definer]!;
      if (known !== undefined && known.type === op.type) {
        const held = known.name === 'get' ? definer : known.args[0]!;
        if (held === op.args[0]) {
          rewriter.drop(index);
          continue;
        }
      }
      table.define(op.slot!, op.type as Type, rewriter.replace(index, op));
    }
  }
  return rewriter.finish();
}

export const registerForwarding: Pass = {
  name: 'register-forwarding',
  prose:
    'Replaces reads of a register by the value last read from or written to it, or known at the start, and removes writes of what it already holds.',
  run,
};
