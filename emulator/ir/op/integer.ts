import * as integer from '../../bits/integer.ts';
import type { Type } from '../type.ts';
import { ANY, INTEGER, type OpRow, withWasm } from './row.ts';

type Binary = (a: bigint, b: bigint, width: number) => bigint;
type Unary = (a: bigint, width: number) => bigint;
type Relation = (a: bigint, b: bigint, width: number) => boolean;

const signed = integer.toSigned;
/** A shift amount, modulo the width. */
const amount = (b: bigint, width: number) => b % BigInt(width);

/** An integer op of two arguments of `T`. */
function binary(doc: string, wasm: string | undefined, meaning: Binary): OpRow {
  return withWasm(
    {
      doc,
      types: INTEGER,
      args: ['T', 'T'],
      result: 'T',
      effect: 'none',
      evaluate: ([a, b], width) => integer.toUnsigned(meaning(a!, b!, width), width),
    },
    wasm,
  );
}

/** An integer comparison; the result is 0 or 1 as `i32`. */
function compare(doc: string, wasm: string, meaning: Relation): OpRow {
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
  return withWasm(
    {
      doc,
      types,
      args: ['T'],
      result: 'T',
      effect: 'none',
      evaluate: ([a], width) => integer.toUnsigned(meaning(a!, width), width),
    },
    wasm,
  );
}

function convert(doc: string, type: Type, from: Type, wasm: string, meaning: (a: bigint) => bigint): OpRow {
  return {
    doc,
    types: [type],
    args: [from],
    result: 'T',
    effect: 'none',
    wasm,
    evaluate: ([a]) => meaning(a!),
  };
}

/** Arithmetic, logic and comparison of `i32` and `i64`. */
export const INTEGER_OPS = {
  add: binary('Sum modulo 2^w.', '.add', (a, b) => a + b),
  sub: binary('Difference modulo 2^w.', '.sub', (a, b) => a - b),
  mul: binary('Low half of the product.', '.mul', (a, b) => a * b),
  mulh_s: binary('High half of the signed product.', undefined, integer.multiplyHighSigned),
  mulh_u: binary('High half of the unsigned product.', undefined, integer.multiplyHighUnsigned),
  mulh_su: binary('High half of signed times unsigned.', undefined, integer.multiplyHighSignedUnsigned),
  div_s: binary('Signed quotient, towards zero; x / 0 = 0, and the least value / -1 = itself.', undefined, (a, b, w) =>
    b === 0n ? 0n : signed(a, w) / signed(b, w),
  ),
  div_u: binary('Unsigned quotient; x / 0 = 0.', undefined, (a, b) => (b === 0n ? 0n : a / b)),
  rem_s: binary(
    'Signed remainder with the sign of the dividend; x % 0 = x, and the least value % -1 = 0.',
    undefined,
    (a, b, w) => (b === 0n ? a : signed(a, w) % signed(b, w)),
  ),
  rem_u: binary('Unsigned remainder; x % 0 = x.', undefined, (a, b) => (b === 0n ? a : a % b)),
  and: binary('Bitwise and.', '.and', (a, b) => a & b),
  or: binary('Bitwise or.', '.or', (a, b) => a | b),
  xor: binary('Bitwise exclusive or.', '.xor', (a, b) => a ^ b),
  shl: binary('Shift left; the amount is taken modulo w, here and below.', '.shl', (a, b, w) => a << amount(b, w)),
  shr_s: binary('Arithmetic shift right.', '.shr_s', (a, b, w) => signed(a, w) >> amount(b, w)),
  shr_u: binary('Logical shift right.', '.shr_u', (a, b, w) => a >> amount(b, w)),
  rotl: binary('Rotate left.', '.rotl', (a, b, w) => integer.rotateLeft(a, Number(amount(b, w)), w)),
  rotr: binary('Rotate right.', '.rotr', (a, b, w) => integer.rotateRight(a, Number(amount(b, w)), w)),
  eq: compare('Equal.', '.eq', (a, b) => a === b),
  ne: compare('Not equal.', '.ne', (a, b) => a !== b),
  lt_s: compare('Signed less.', '.lt_s', (a, b, w) => signed(a, w) < signed(b, w)),
  lt_u: compare('Unsigned less.', '.lt_u', (a, b) => a < b),
  le_s: compare('Signed less or equal.', '.le_s', (a, b, w) => signed(a, w) <= signed(b, w)),
  le_u: compare('Unsigned less or equal.', '.le_u', (a, b) => a <= b),
  clz: unary('Leading zeros; w for zero.', INTEGER, '.clz', (a, w) => BigInt(integer.countLeadingZeros(a, w))),
  ctz: unary('Trailing zeros; w for zero.', INTEGER, '.ctz', (a, w) => BigInt(integer.countTrailingZeros(a, w))),
  popcnt: unary('Ones.', INTEGER, '.popcnt', (a, w) => BigInt(integer.population(a, w))),
  byte_reverse: unary('The bytes in the opposite order.', INTEGER, undefined, integer.byteReverse),
  bit_reverse: unary('The bits in the opposite order.', INTEGER, undefined, integer.bitReverse),
  extend8_s: unary('The low 8 bits, sign-extended.', INTEGER, '.extend8_s', (a, w) => integer.signExtend(a, 8, w)),
  extend16_s: unary('The low 16 bits, sign-extended.', INTEGER, '.extend16_s', (a, w) => integer.signExtend(a, 16, w)),
  extend32_s: unary('The low 32 bits, sign-extended.', ['i64'], '.extend32_s', (a, w) => integer.signExtend(a, 32, w)),
  widen_s: convert('i32 to i64, sign-extended.', 'i64', 'i32', '.extend_i32_s', (a) => integer.signExtend(a, 32, 64)),
  widen_u: convert('i32 to i64, zero-extended.', 'i64', 'i32', '.extend_i32_u', (a) => a),
  wrap: convert('The low 32 bits of an i64.', 'i32', 'i64', '.wrap_i64', (a) => integer.toUnsigned(a, 32)),
  select: {
    doc: 'The second argument when the first is not 0, else the third.',
    types: ANY,
    args: ['i32', 'T', 'T'],
    result: 'T',
    effect: 'none',
    evaluate: ([condition, then, otherwise]) => (condition === 0n ? otherwise! : then!),
  },
} as const satisfies Record<string, OpRow>;
