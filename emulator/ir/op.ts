import type { Attributes } from './attributes.ts';
import { CONTROL_OPS, REGISTER_OPS } from './op/control.ts';
import { FLOAT_OPS } from './op/float.ts';
import { INTEGER_OPS } from './op/integer.ts';
import { MEMORY_OPS } from './op/memory.ts';
import type { OpRow, Typing } from './op/row.ts';
import { VECTOR_OPS } from './op/vector.ts';
import { SHAPES, type Type } from './type.ts';

export type { OpRow, Typing } from './op/row.ts';

/** Everything the IR can say. Builder, printer, parser, verifier, evaluator, WebAssembly lowering and the docs derive from it. */
export const OPS = {
  ...REGISTER_OPS,
  ...INTEGER_OPS,
  ...FLOAT_OPS,
  ...VECTOR_OPS,
  ...MEMORY_OPS,
  ...CONTROL_OPS,
} as const satisfies Record<string, OpRow>;

export type OpName = keyof typeof OPS;

/** All ops, in table order. */
export const OP_NAMES: readonly OpName[] = Object.keys(OPS) as OpName[];

/** The row of an op under its general type. */
export function opRow(name: OpName): OpRow {
  return OPS[name];
}

const V_EXTRACT = OP_NAMES.indexOf('v_extract');
/** The rows with what they leave out as undefined: objects of one shape, for V8 looks up properties of more than four in a table. */
const ROWS: readonly OpRow[] = OP_NAMES.map((name) => {
  const { doc, types, args, result, effect, attributes, from, shapes, terminator, wasm, evaluate, evaluateFloat } =
    opRow(name);
  const optional = { attributes, from, shapes, terminator, wasm, evaluate, evaluateFloat };
  return { doc, types, args, result, effect, ...optional } as OpRow;
});

/** The row of an op; one lookup in a list. */
export function rowOf({ kind }: { readonly kind: number }): OpRow {
  return ROWS[kind]!;
}

/** What the functions below look at in an op. */
export type Typeable = Attributes & { readonly kind: number; readonly type: Type | 'none' };

/** The type of the op's value, or undefined when it has none. */
export function resultType(op: Typeable): Type | undefined {
  const { result } = rowOf(op);
  if (result === 'none') return undefined;
  return resolve(result === 'optional' ? 'T' : result, op);
}

/** The type that argument `index` must have; undefined when there is no such argument or its type cannot be told. */
export function argumentType(op: Typeable, index: number): Type | undefined {
  const { args } = rowOf(op);
  if (args === 'variadic') return 'i64';
  const typing = args[index];
  return typing === undefined ? undefined : resolve(typing, op);
}

/** The WebAssembly instruction that does exactly what the op does, given its arguments in order; undefined when it takes more than one. */
export function wasmInstruction(op: Typeable): string | undefined {
  const { wasm } = rowOf(op);
  if (wasm === undefined) return undefined;
  if (!wasm.startsWith('.')) return wasm;
  const shape = op.shape;
  const narrow = op.kind === V_EXTRACT && shape !== undefined && SHAPES[shape].laneWidth < 32;
  return `${shape ?? op.type}${wasm.replace('{from}', op.from ?? '')}${narrow ? (op.signed === true ? '_s' : '_u') : ''}`;
}

function resolve(typing: Typing, op: Typeable): Type | undefined {
  switch (typing) {
    case 'T':
      return op.type === 'none' ? undefined : op.type;
    case 'from':
      return op.from;
    case 'lane':
      return op.shape === undefined ? undefined : SHAPES[op.shape].scalar;
    case 'rm':
      return 'i32';
    default:
      return typing;
  }
}
