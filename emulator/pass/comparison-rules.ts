import type { Op, Value } from '../ir/block.ts';
import { copyOp } from '../ir/make-op.ts';
import type { OpName } from '../ir/op.ts';
import { op, type Rule, type Rules, type Simpler, type Simplifier } from './simplifier.ts';
import { asWords } from './words.ts';

/** The comparison that holds when another does not, and whether its arguments change places. Only integers: NaNs are neither. */
const OPPOSITE: Readonly<Partial<Record<OpName, { readonly name: OpName; readonly swap: boolean }>>> = {
  eq: { name: 'ne', swap: false },
  ne: { name: 'eq', swap: false },
  lt_s: { name: 'le_s', swap: true },
  lt_u: { name: 'le_u', swap: true },
  le_s: { name: 'lt_s', swap: true },
  le_u: { name: 'lt_u', swap: true },
};

/** The same relation of numbers that are known not to be negative. */
const UNSIGNED: Readonly<Partial<Record<OpName, OpName>>> = { lt_s: 'lt_u', le_s: 'le_u' };

const truth = (s: Simplifier, value: boolean) => s.constantOp('i32', value ? 1n : 0n);

const equality: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  const equal = given.name === 'eq';
  if (a === b) return truth(s, equal);
  const c = s.bits(b);
  if (c === undefined) {
    return s.bits(a) === undefined ? narrowed(given, s) : copyOp(given, [b, a]);
  }
  const inner = s.op(a);
  if (c === 0n) {
    // x - y or x ^ y is zero when they are equal.
    if (inner.name === 'sub' || inner.name === 'xor') return op(given.name, given.type, ...inner.args);
    const opposite = OPPOSITE[inner.name];
    if (equal && opposite !== undefined) {
      const [x, y] = inner.args as readonly [Value, Value];
      return opposite.swap ? op(opposite.name, inner.type, y, x) : op(opposite.name, inner.type, x, y);
    }
  }
  const width = s.unsignedWidth(a);
  if (c >> BigInt(width) !== 0n) return truth(s, !equal);
  if (width === 1 && given.type === 'i32') {
    // A truth value compared with 0 or 1 is itself or its opposite.
    if ((c === 1n) === equal) return a;
    if (c === 1n) return op('eq', 'i32', a, s.constant('i32', 0n));
  }
  return narrowed(given, s);
};

const order: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  const { name, type } = given;
  const strict = name === 'lt_s' || name === 'lt_u';
  if (a === b) return truth(s, !strict);
  return (name === 'lt_u' || name === 'le_u' ? unsignedOrder : signedOrder)(a, b, name, type, s) ?? narrowed(given, s);
};

function unsignedOrder(a: Value, b: Value, name: OpName, type: Op['type'], s: Simplifier): Simpler {
  const left = s.bits(a);
  const right = s.bits(b);
  const strict = name === 'lt_u';
  if (right !== undefined) {
    // x < 1 and x <= 0 say x = 0.
    if (right === (strict ? 1n : 0n)) return op('eq', type, a, s.constant(type, 0n));
    const greatest = (1n << BigInt(s.unsignedWidth(a))) - 1n;
    if (strict ? greatest < right : greatest <= right) return truth(s, true);
    if (right === 0n) return truth(s, false);
  }
  if (left !== undefined) {
    // 0 < x and 1 <= x say x is not 0.
    if (left === (strict ? 0n : 1n)) return op('ne', type, b, s.constant(type, 0n));
    if (left === 0n) return truth(s, true);
    const greatest = (1n << BigInt(s.unsignedWidth(b))) - 1n;
    if (strict ? left >= greatest : left > greatest) return truth(s, false);
    // x | c is not below c: so it is seen that a single that was boxed is boxed.
    const other = s.op(b);
    const least = other.name === 'or' ? s.bits(other.args[1]!) : undefined;
    if (least !== undefined && (strict ? left < least : left <= least)) return truth(s, true);
  }
  return undefined;
}

function signedOrder(a: Value, b: Value, name: OpName, type: Op['type'], s: Simplifier): Simpler {
  const left = s.bits(a);
  const right = s.bits(b);
  if (left === undefined && right === undefined) return undefined;
  const sign = s.width(type) - 1;
  const natural = (value: Value, bits: bigint | undefined) =>
    bits === undefined ? s.unsignedWidth(value) <= sign : bits >> BigInt(sign) === 0n;
  return natural(a, left) && natural(b, right) ? op(UNSIGNED[name]!, type, a, b) : undefined;
}

/** Numbers widened from 32 bits, or constants that could be, compared as 32 bits. */
function narrowed(given: Op, s: Simplifier): Simpler {
  const found = given.type === 'i64' ? asWords(given.args, s) : undefined;
  if (found === undefined) return undefined;
  // Zero extension makes signed comparison unsigned; sign extension keeps the order of unsigned numbers too.
  const name = found.signed ? given.name : (UNSIGNED[given.name] ?? given.name);
  return op(name, 'i32', ...found.words);
}

/** What a condition that is only tested for being 0 may be instead: `x ≠ 0` as 32 bits is x. */
function tested(condition: Value, s: Simplifier): Value | undefined {
  const op = s.op(condition);
  return op.name === 'ne' && op.type === 'i32' && s.bits(op.args[1]!) === 0n ? op.args[0] : undefined;
}

const condition: Rule = (given, s) => {
  const simpler = tested(given.args[0]!, s);
  return simpler === undefined ? undefined : copyOp(given, [simpler, ...given.args.slice(1)]);
};

const select: Rule = (given, s) => {
  const [test, then, otherwise] = given.args as readonly [Value, Value, Value];
  if (then === otherwise) return then;
  const known = s.bits(test);
  if (known !== undefined) return known === 0n ? otherwise : then;
  const inner = s.op(test);
  if (inner.name === 'eq' && inner.type === 'i32' && s.bits(inner.args[1]!) === 0n) {
    return op('select', given.type, inner.args[0]!, otherwise, then);
  }
  const simpler = tested(test, s);
  if (simpler !== undefined) return op('select', given.type, simpler, then, otherwise);
  return selectTruth(given, s, s.bits(then), s.bits(otherwise));
};

/** 1 or 0 as a truth value says: the truth value. */
function selectTruth(given: Op, s: Simplifier, then: bigint | undefined, otherwise: bigint | undefined): Simpler {
  if (then !== 1n || otherwise !== 0n || (given.type !== 'i32' && given.type !== 'i64')) return undefined;
  const test = given.args[0]!;
  if (s.unsignedWidth(test) !== 1) return undefined;
  return given.type === 'i32' ? test : op('widen_u', 'i64', test);
}

export const COMPARISON_RULES: Rules = {
  eq: equality,
  ne: equality,
  lt_s: order,
  lt_u: order,
  le_s: order,
  le_u: order,
  branch: condition,
  trap_if: condition,
  select,
};
