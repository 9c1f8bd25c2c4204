import type { Op, Value } from '../ir/block.ts';
import { resultType } from '../ir/op.ts';
import { SHAPES, type Type } from '../ir/type.ts';

/** So far back a value is followed; chains in real code are short, and the work for each question stays bounded. */
const DEPTH = 3;

/** The bits of each type: WIDTH, but for tests that try all values of a narrow one. */
export type Widths = Readonly<Record<Type, number>>;

/** Bits of a number of 64 bits or fewer: 0 for 0. */
function bitLength(bits: bigint): number {
  const high = Number(bits >> 32n);
  return high === 0 ? 32 - Math.clz32(Number(bits)) : 64 - Math.clz32(high);
}

/** The amount of a shift by a constant, modulo the width; undefined when it is not one. */
function shiftAmount(op: Op, ops: readonly Op[], width: number): number | undefined {
  const amount = ops[op.args[1]!]!;
  return amount.name === 'const' ? Number(amount.bits! % BigInt(width)) : undefined;
}

/** The least number of low bits known to hold all the ones of an integer value: it is below 2^n. */
export function unsignedWidth(value: Value, ops: readonly Op[], widths: Widths, depth = DEPTH): number {
  const op = ops[value]!;
  // What most questions come to.
  if (op.name === 'get') return widths[op.type as Type];
  const whole = widths[resultType(op) ?? 'i64'];
  if (op.name === 'const') return whole > 64 ? whole : bitLength(op.bits!);
  if (depth === 0) return whole;
  switch (op.name) {
    case 'eq':
    case 'ne':
    case 'lt_s':
    case 'lt_u':
    case 'le_s':
    case 'le_u':
    case 'feq':
    case 'flt':
    case 'fle':
    case 'store_conditional':
      return 1;
    case 'clz':
    case 'ctz':
    case 'popcnt':
      return whole === 64 ? 7 : 6;
    case 'fclass':
      return 10;
    case 'load':
      return op.signed! ? whole : op.width!;
    case 'v_extract':
      return op.signed! ? whole : SHAPES[op.shape!].laneWidth;
    case 'widen_u':
    case 'wrap':
      return Math.min(32, unsignedOf(op, 0, ops, widths, depth));
    case 'widen_s':
    case 'extend8_s':
    case 'extend16_s':
    case 'extend32_s': {
      const narrow = unsignedOf(op, 0, ops, widths, depth);
      return narrow < extendedFrom(op) ? narrow : whole;
    }
    case 'and':
      return Math.min(unsignedOf(op, 0, ops, widths, depth), unsignedOf(op, 1, ops, widths, depth));
    case 'or':
    case 'xor':
      return Math.max(unsignedOf(op, 0, ops, widths, depth), unsignedOf(op, 1, ops, widths, depth));
    case 'select':
      return Math.max(unsignedOf(op, 1, ops, widths, depth), unsignedOf(op, 2, ops, widths, depth));
    case 'add':
      return Math.min(
        whole,
        Math.max(unsignedOf(op, 0, ops, widths, depth), unsignedOf(op, 1, ops, widths, depth)) + 1,
      );
    case 'mul':
      return Math.min(whole, unsignedOf(op, 0, ops, widths, depth) + unsignedOf(op, 1, ops, widths, depth));
    case 'div_u':
    case 'rem_u':
      return unsignedOf(op, 0, ops, widths, depth);
    case 'shr_u': {
      const amount = shiftAmount(op, ops, whole);
      return amount === undefined
        ? unsignedOf(op, 0, ops, widths, depth)
        : Math.max(0, unsignedOf(op, 0, ops, widths, depth) - amount);
    }
    case 'shl': {
      const amount = shiftAmount(op, ops, whole);
      return amount === undefined ? whole : Math.min(whole, unsignedOf(op, 0, ops, widths, depth) + amount);
    }
    default:
      return whole;
  }
}

/** The least number of low bits known to give the whole integer value when they are sign-extended. */
export function signedWidth(value: Value, ops: readonly Op[], widths: Widths, depth = DEPTH): number {
  const op = ops[value]!;
  if (op.name === 'get') return widths[op.type as Type];
  const whole = widths[resultType(op) ?? 'i64'];
  if (op.name === 'const') return constantWidth(op.bits!, whole);
  if (depth === 0) return whole;
  switch (op.name) {
    case 'load':
      return op.signed! ? op.width! : Math.min(whole, op.width! + 1);
    case 'load_reserved':
    case 'atomic_rmw':
    case 'atomic_cas':
      return op.width!;
    case 'widen_s':
    case 'extend8_s':
    case 'extend16_s':
    case 'extend32_s':
      return Math.min(extendedFrom(op), signedOf(op, 0, ops, widths, depth));
    case 'wrap':
      return Math.min(32, signedOf(op, 0, ops, widths, depth));
    case 'shr_s': {
      const amount = shiftAmount(op, ops, whole);
      return amount === undefined
        ? signedOf(op, 0, ops, widths, depth)
        : Math.max(1, signedOf(op, 0, ops, widths, depth) - amount);
    }
    case 'and':
      return Math.min(
        Math.max(signedOf(op, 0, ops, widths, depth), signedOf(op, 1, ops, widths, depth)),
        unsignedWidth(value, ops, widths, depth - 1) + 1,
        whole,
      );
    case 'or':
    case 'xor':
      return Math.max(signedOf(op, 0, ops, widths, depth), signedOf(op, 1, ops, widths, depth));
    case 'select':
      return Math.max(signedOf(op, 1, ops, widths, depth), signedOf(op, 2, ops, widths, depth));
    case 'add':
    case 'sub':
      return Math.min(whole, Math.max(signedOf(op, 0, ops, widths, depth), signedOf(op, 1, ops, widths, depth)) + 1);
    default:
      return Math.min(whole, unsignedWidth(value, ops, widths, depth - 1) + 1);
  }
}

/** Of an argument. */
function unsignedOf(op: Op, place: number, ops: readonly Op[], widths: Widths, depth: number): number {
  return unsignedWidth(op.args[place]!, ops, widths, depth - 1);
}

function signedOf(op: Op, place: number, ops: readonly Op[], widths: Widths, depth: number): number {
  return signedWidth(op.args[place]!, ops, widths, depth - 1);
}

function constantWidth(bits: bigint, whole: number): number {
  if (whole > 64) return whole;
  const negative = bits >> BigInt(whole - 1) === 1n;
  return bitLength(negative ? BigInt.asUintN(whole, ~bits) : bits) + 1;
}

/** The bits that a sign extension starts from. */
function extendedFrom(op: Op): number {
  return op.name === 'extend8_s' ? 8 : op.name === 'extend16_s' ? 16 : 32;
}
