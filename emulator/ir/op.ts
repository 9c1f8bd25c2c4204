import * as integer from '../bits/integer.ts';
import type { Attributes } from './block.ts';
import { WIDTH, type Type } from './type.ts';

/**
 * What an op does beside computing its result. `none`: pure, may be moved, merged or dropped. `flags`: accrues floating-point
 * exception flags. `reads`/`writes`: guest registers. `memory`: may fault. `call`: everything a helper may do. `control`: may leave the block.
 */
export type Effect = 'none' | 'flags' | 'reads' | 'writes' | 'memory' | 'call' | 'control' | 'marker';

/** The type of one argument or result: a fixed type, `T` (the op's own type), or nothing. */
export type Typing = Type | 'T' | 'from';

export interface OpRow {
  readonly doc: string;
  /** The types `T` may be; empty when the op has no type. */
  readonly types: readonly Type[];
  readonly args: readonly Typing[] | 'variadic';
  readonly result: Typing | 'none' | 'optional';
  readonly effect: Effect;
  /** Attributes that must be there. */
  readonly attributes?: readonly (keyof Attributes)[];
  readonly terminator?: true;
  /** The WebAssembly instruction that does exactly this for `T`, `T.` put in front when it starts with a dot. */
  readonly wasm?: string;
  /** Reference meaning of a pure op: unsigned bit patterns in, unsigned bit pattern out. */
  readonly evaluate?: (args: readonly bigint[], width: number, op: Attributes & { readonly type: Type | 'none' }) => bigint;
}

const INTEGER = ['i32', 'i64'] as const;
const FLOAT = ['f32', 'f64'] as const;
const SCALAR = ['i32', 'i64', 'f32', 'f64'] as const;
const ANY = ['i32', 'i64', 'f32', 'f64', 'v128'] as const;

type Binary = (a: bigint, b: bigint, width: number) => bigint;
type Unary = (a: bigint, width: number) => bigint;

/** An integer op of two arguments of `T`. */
function binary(doc: string, wasm: string | undefined, meaning: Binary): OpRow {
  const row: OpRow = {
    doc,
    types: INTEGER,
    args: ['T', 'T'],
    result: 'T',
    effect: 'none',
    evaluate: ([a, b], width) => integer.toUnsigned(meaning(a!, b!, width), width),
  };
  return wasm === undefined ? row : { ...row, wasm };
}

/** An integer comparison; the result is 0 or 1 as `i32`. */
function compare(doc: string, wasm: string, meaning: (a: bigint, b: bigint, width: number) => boolean): OpRow {
  return {
    doc,
    types: INTEGER,
    args: ['T', 'T'],
    result: 'i32',
    effect: 'none',
    wasm,
    evaluate: ([a, b], width) => (meaning(a!, b!, width) ? 1n : 0n),
  };
}

function unary(doc: string, types: readonly Type[], wasm: string | undefined, meaning: Unary): OpRow {
  const row: OpRow = {
    doc,
    types,
    args: ['T'],
    result: 'T',
    effect: 'none',
    evaluate: ([a], width) => integer.toUnsigned(meaning(a!, width), width),
  };
  return wasm === undefined ? row : { ...row, wasm };
}

const signed = integer.toSigned;

/** `add`, `v_add`…: everything the IR can say. Builder, printer, parser, verifier, evaluator, WebAssembly lowering and the docs derive from it. */
export const OPS = {
  // What is known and where it comes from
  const: { doc: 'A known bit pattern.', types: ANY, args: [], result: 'T', effect: 'none', attributes: ['bits'], evaluate: (_args, _width, op) => op.bits! },
  field: { doc: "An operand field of the decoded record, sign-extended when `signed`.", types: INTEGER, args: [], result: 'T', effect: 'none', attributes: ['field', 'signed'] },
  pc: { doc: 'The address of the current guest instruction.', types: ['i64'], args: [], result: 'T', effect: 'none' },
  next_pc: { doc: 'The address after the current guest instruction.', types: ['i64'], args: [], result: 'T', effect: 'none' },
  get: { doc: 'Reads a guest register; a narrower type reads the low part.', types: ANY, args: [], result: 'T', effect: 'reads', attributes: ['slot'] },
  set: { doc: 'Writes a guest register; a narrower type writes the low part and leaves the rest.', types: ANY, args: ['T'], result: 'none', effect: 'writes', attributes: ['slot'] },
  insn: { doc: 'A guest instruction begins here.', types: [], args: [], result: 'none', effect: 'marker', attributes: ['pc', 'length'] },

  // Integers
  add: binary('Sum modulo 2^w.', '.add', (a, b) => a + b),
  sub: binary('Difference modulo 2^w.', '.sub', (a, b) => a - b),
  mul: binary('Low half of the product.', '.mul', (a, b) => a * b),
  mulh_s: binary('High half of the signed product.', undefined, (a, b, w) => (signed(a, w) * signed(b, w)) >> BigInt(w)),
  mulh_u: binary('High half of the unsigned product.', undefined, (a, b, w) => (a * b) >> BigInt(w)),
  mulh_su: binary('High half of signed times unsigned.', undefined, (a, b, w) => (signed(a, w) * b) >> BigInt(w)),
  div_s: binary('Signed quotient, towards zero; x / 0 = 0, and the least value / -1 = itself.', undefined, (a, b, w) => (b === 0n ? 0n : signed(a, w) / signed(b, w))),
  div_u: binary('Unsigned quotient; x / 0 = 0.', undefined, (a, b) => (b === 0n ? 0n : a / b)),
  rem_s: binary('Signed remainder with the sign of the dividend; x % 0 = x, and the least value % -1 = 0.', undefined, (a, b, w) => (b === 0n ? a : signed(a, w) % signed(b, w))),
  rem_u: binary('Unsigned remainder; x % 0 = x.', undefined, (a, b) => (b === 0n ? a : a % b)),
  and: binary('Bitwise and.', '.and', (a, b) => a & b),
  or: binary('Bitwise or.', '.or', (a, b) => a | b),
  xor: binary('Bitwise exclusive or.', '.xor', (a, b) => a ^ b),
  shl: binary('Shift left; the amount is taken modulo w, here and below.', '.shl', (a, b, w) => a << (b % BigInt(w))),
  shr_s: binary('Arithmetic shift right.', '.shr_s', (a, b, w) => signed(a, w) >> (b % BigInt(w))),
  shr_u: binary('Logical shift right.', '.shr_u', (a, b, w) => a >> (b % BigInt(w))),
  rotl: binary('Rotate left.', '.rotl', (a, b, w) => integer.rotateLeft(a, Number(b % BigInt(w)), w)),
  rotr: binary('Rotate right.', '.rotr', (a, b, w) => integer.rotateLeft(a, (w - Number(b % BigInt(w))) % w, w)),
  eq: compare('Equal.', '.eq', (a, b) => a === b),
  ne: compare('Not equal.', '.ne', (a, b) => a !== b),
  lt_s: compare('Signed less.', '.lt_s', (a, b, w) => signed(a, w) < signed(b, w)),
  lt_u: compare('Unsigned less.', '.lt_u', (a, b) => a < b),
  le_s: compare('Signed less or equal.', '.le_s', (a, b, w) => signed(a, w) <= signed(b, w)),
  le_u: compare('Unsigned less or equal.', '.le_u', (a, b) => a <= b),
  clz: unary('Leading zeros; w for zero.', INTEGER, '.clz', (a, w) => BigInt(integer.countLeadingZeros(a, w))),
  ctz: unary('Trailing zeros; w for zero.', INTEGER, '.ctz', (a, w) => BigInt(integer.countTrailingZeros(a, w))),
  popcnt: unary('Ones.', INTEGER, '.popcnt', (a, w) => BigInt(integer.population(a, w))),
  byte_reverse: unary('The bytes in the opposite order.', INTEGER, undefined, (a, w) => integer.byteReverse(a, w)),
  bit_reverse: unary('The bits in the opposite order.', INTEGER, undefined, (a, w) => integer.bitReverse(a, w)),
  extend8_s: unary('The low 8 bits, sign-extended.', INTEGER, '.extend8_s', (a, w) => integer.signExtend(a, 8, w)),
  extend16_s: unary('The low 16 bits, sign-extended.', INTEGER, '.extend16_s', (a, w) => integer.signExtend(a, 16, w)),
  extend32_s: unary('The low 32 bits, sign-extended.', ['i64'], '.extend32_s', (a, w) => integer.signExtend(a, 32, w)),
  widen_s: { doc: 'i32 to i64, sign-extended.', types: ['i64'], args: ['i32'], result: 'T', effect: 'none', wasm: 'i64.extend_i32_s', evaluate: ([a]) => integer.signExtend(a!, 32, 64) },
  widen_u: { doc: 'i32 to i64, zero-extended.', types: ['i64'], args: ['i32'], result: 'T', effect: 'none', wasm: 'i64.extend_i32_u', evaluate: ([a]) => a! },
  wrap: { doc: 'The low 32 bits of an i64.', types: ['i32'], args: ['i64'], result: 'T', effect: 'none', wasm: 'i32.wrap_i64', evaluate: ([a]) => integer.toUnsigned(a!, 32) },
  select: { doc: 'The second argument when the first is not 0, else the third.', types: ANY, args: ['i32', 'T', 'T'], result: 'T', effect: 'none', evaluate: ([c, a, b]) => (c === 0n ? b! : a!) },

  // Memory
  load: { doc: 'Loads `width` bits, extended to T as `signed` says.', types: ANY, args: ['i64'], result: 'T', effect: 'memory', attributes: ['width', 'signed', 'alignment', 'order'] },
  store: { doc: 'Stores the low `width` bits of the second argument at the first.', types: ANY, args: ['i64', 'T'], result: 'none', effect: 'memory', attributes: ['width', 'alignment', 'order'] },
  load_reserved: { doc: 'Loads `width` bits (sign-extended) and holds a reservation on the address.', types: ['i64'], args: ['i64'], result: 'T', effect: 'memory', attributes: ['width', 'order'] },
  store_conditional: { doc: 'Stores when the reservation holds and memory still has the value loaded; gives 0 on success, 1 on failure, and drops the reservation.', types: ['i64'], args: ['i64', 'T'], result: 'i32', effect: 'memory', attributes: ['width', 'order'] },
  atomic_rmw: { doc: 'Atomically applies `rmw` to `width` bits (natural alignment); gives the old value, sign-extended.', types: ['i64'], args: ['i64', 'T'], result: 'T', effect: 'memory', attributes: ['width', 'rmw', 'order'] },
  atomic_cas: { doc: 'Atomically stores the third argument when memory equals the second; gives the old value, sign-extended.', types: ['i64'], args: ['i64', 'T', 'T'], result: 'T', effect: 'memory', attributes: ['width', 'order'] },
  fence: { doc: 'Orders memory accesses before it against those after it.', types: [], args: [], result: 'none', effect: 'memory', attributes: ['order'] },

  // Helpers and control
  call: { doc: "Calls a helper of the ISA with i64 arguments; `T` is its result's type when it has one. It may trap.", types: ['i64'], args: 'variadic', result: 'optional', effect: 'call', attributes: ['helper'] },
  trap_if: { doc: 'Leaves with guest trap `cause` and the second argument as its value when the first is not 0.', types: [], args: ['i32', 'i64'], result: 'none', effect: 'control', attributes: ['cause'] },
  trap: { doc: 'Leaves with guest trap `cause` and the argument as its value; pc stays on this instruction.', types: [], args: ['i64'], result: 'none', effect: 'control', attributes: ['cause'], terminator: true },
  jump: { doc: 'Goes to the address in the argument.', types: [], args: ['i64'], result: 'none', effect: 'control', attributes: ['hint'], terminator: true },
  jump_rel: { doc: 'Goes to this instruction plus `displacement`.', types: [], args: [], result: 'none', effect: 'control', attributes: ['displacement', 'hint'], terminator: true },
  branch: { doc: 'Goes to this instruction plus `displacement` when the argument is not 0, else on to the next.', types: [], args: ['i32'], result: 'none', effect: 'control', attributes: ['displacement'], terminator: true },
} as const satisfies Record<string, OpRow>;

export type OpName = keyof typeof OPS;

/** The row of an op under its general type. */
export function opRow(name: OpName): OpRow {
  return OPS[name];
}


