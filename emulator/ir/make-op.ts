import type { Attributes } from './attributes.ts';
import type { Op, Value } from './block.ts';
import { OP_NAMES, type OpName, opRow } from './op.ts';
import type { Slot, Type } from './type.ts';

/** An op before it has been made. */
export type OpParts = Omit<Op, 'kind'>;

const KINDS: ReadonlyMap<OpName, number> = new Map(OP_NAMES.map((name, kind) => [name, kind]));
const CONST = opKind('const');
const INSN = opKind('insn');
const NO_ARGS: readonly Value[] = [];

/**
 * Ops are objects of four shapes: V8 looks up properties in line for so many, and passes took half as long again when each set of attributes
 * had its own. Ops of the last have all attributes, those that their row does not name undefined.
 */
const Shape = { plain: 0, constant: 1, register: 2, other: 3 } as const;
type Shape = (typeof Shape)[keyof typeof Shape];
const SHAPES: readonly Shape[] = OP_NAMES.map((name) => {
  const { attributes } = opRow(name);
  if (attributes === undefined) return Shape.plain;
  return attributes[0] === 'bits' ? Shape.constant : attributes[0] === 'slot' ? Shape.register : Shape.other;
});

/** The op's place in OP_NAMES. */
export function opKind(name: OpName): number {
  return KINDS.get(name)!;
}

/** Any op; attributes that its row does not name are left out. */
export function makeOp({ name, type, args, ...attributes }: OpParts): Op {
  return shaped(name, opKind(name), type, args, attributes);
}

/** An op without attributes. */
export function plainOp(name: OpName, type: Type | 'none', args: readonly Value[]): Op {
  return plain(name, opKind(name), type, args);
}

/** A `const`. `bits` fit the type. */
export function constant(type: Type | 'none', bits: bigint): Op {
  return { name: 'const', kind: CONST, type, args: NO_ARGS, bits };
}

/** A `get` or `set`. */
export function registerOp(name: 'get' | 'set', type: Type | 'none', args: readonly Value[], slot: Slot): Op {
  return register(name, opKind(name), type, args, slot);
}

/** The mark of a guest instruction. */
export function insnOp(pc: bigint, length: number): Op {
  const op = new AttributedOp('insn', INSN, 'none', NO_ARGS);
  op.pc = pc;
  op.length = length;
  return op;
}

/** A `load`, or a `store`, of which `signed` is undefined. */
export function accessOp(
  name: 'load' | 'store',
  type: Type,
  args: readonly Value[],
  width: number,
  signed: boolean | undefined,
  { alignment = 'any', order = 'none' }: Pick<Attributes, 'alignment' | 'order'>,
): Op {
  const op = new AttributedOp(name, opKind(name), type, args);
  op.width = width;
  op.signed = signed;
  op.alignment = alignment;
  op.order = order;
  return op;
}

/** An op with attributes other than those of constants and registers; those that its row does not name are not to be given. */
export function attributedOp(name: OpName, type: Type | 'none', args: readonly Value[], attributes: Attributes): Op {
  return attributed(name, opKind(name), type, args, attributes);
}

/** The op with other arguments, and maybe of another type. */
export function copyOp(op: Op, args: readonly Value[], type: Type | 'none' = op.type): Op {
  return op instanceof AttributedOp ? copyAttributed(op, args, type) : shaped(op.name, op.kind, type, args, op);
}

function shaped(name: OpName, kind: number, type: Type | 'none', args: readonly Value[], attributes: Attributes): Op {
  switch (SHAPES[kind]) {
    case Shape.constant:
      return { name, kind, type, args, bits: attributes.bits! };
    case Shape.register:
      return register(name, kind, type, args, attributes.slot!);
    case Shape.other:
      return attributed(name, kind, type, args, attributes);
    default:
      return plain(name, kind, type, args);
  }
}

function plain(name: OpName, kind: number, type: Type | 'none', args: readonly Value[]): Op {
  return { name, kind, type, args };
}

function register(name: OpName, kind: number, type: Type | 'none', args: readonly Value[], slot: Slot): Op {
  return { name, kind, type, args, slot };
}

/** All attributes, always in this order: then V8 sees one kind of object. */
class AttributedOp implements Op {
  readonly name: OpName;
  readonly kind: number;
  readonly type: Type | 'none';
  readonly args: readonly Value[];
  pc: Attributes['pc'];
  length: Attributes['length'];
  width: Attributes['width'];
  signed: Attributes['signed'];
  alignment: Attributes['alignment'];
  order: Attributes['order'];
  displacement: Attributes['displacement'];
  hint: Attributes['hint'];
  from: Attributes['from'];
  cause: Attributes['cause'];
  helper: Attributes['helper'];
  rmw: Attributes['rmw'];
  shape: Attributes['shape'];
  lane: Attributes['lane'];
  lanes: Attributes['lanes'];
  field: Attributes['field'];

  constructor(name: OpName, kind: number, type: Type | 'none', args: readonly Value[]) {
    this.name = name;
    this.kind = kind;
    this.type = type;
    this.args = args;
  }
}

function attributed(
  name: OpName,
  kind: number,
  type: Type | 'none',
  args: readonly Value[],
  attributes: Attributes,
): Op {
  const op = new AttributedOp(name, kind, type, args);
  op.pc = attributes.pc;
  op.length = attributes.length;
  op.width = attributes.width;
  op.signed = attributes.signed;
  op.alignment = attributes.alignment;
  op.order = attributes.order;
  op.displacement = attributes.displacement;
  op.hint = attributes.hint;
  op.from = attributes.from;
  op.cause = attributes.cause;
  op.helper = attributes.helper;
  op.rmw = attributes.rmw;
  op.shape = attributes.shape;
  op.lane = attributes.lane;
  op.lanes = attributes.lanes;
  op.field = attributes.field;
  return op;
}

/** Apart from the above, for V8: here attributes come from objects of one shape. */
function copyAttributed(from: AttributedOp, args: readonly Value[], type: Type | 'none'): Op {
  const op = new AttributedOp(from.name, from.kind, type, args);
  op.pc = from.pc;
  op.length = from.length;
  op.width = from.width;
  op.signed = from.signed;
  op.alignment = from.alignment;
  op.order = from.order;
  op.displacement = from.displacement;
  op.hint = from.hint;
  op.from = from.from;
  op.cause = from.cause;
  op.helper = from.helper;
  op.rmw = from.rmw;
  op.shape = from.shape;
  op.lane = from.lane;
  op.lanes = from.lanes;
  op.field = from.field;
  return op;
}
