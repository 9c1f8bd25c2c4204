import type { Op, Value } from '../ir/block.ts';
import { copyOp } from '../ir/make-op.ts';
import type { OpName } from '../ir/op.ts';
import { op, powerOfTwo, type Rule, type Rules, type Simpler, type Simplifier } from './simplifier.ts';
import { bitwiseOfWords } from './words.ts';

/** A constant first argument goes second, where rules and value numbering look for it. */
function constantLast(given: Op, s: Simplifier): Op | undefined {
  const [a, b] = given.args as readonly [Value, Value];
  return s.bits(a) !== undefined && s.bits(b) === undefined ? copyOp(given, [b, a]) : undefined;
}

/**
 * `(x op c1) op c2` as `x op (c1 op c2)`, for associative ops, when the value in the middle is of no other use: else nothing would be saved,
 * and x would have to be kept beside it.
 */
function reassociate(given: Op, s: Simplifier, combine: (a: bigint, b: bigint) => bigint): Op | undefined {
  const [a, b] = given.args as readonly [Value, Value];
  const inner = s.op(a);
  if (inner.name !== given.name || !s.usedOnce(a)) return undefined;
  const first = s.bits(inner.args[1]!);
  const second = s.bits(b);
  if (first === undefined || second === undefined) return undefined;
  return op(given.name, given.type, inner.args[0]!, s.constant(given.type, combine(first, second)));
}

const sum = (a: bigint, b: bigint) => a + b;

const add: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  const c = s.bits(b);
  if (c === undefined) return constantLast(given, s) ?? rotation(given, s);
  return c === 0n ? a : reassociate(given, s, sum);
};

/** The two halves of a rotation: `x << k` with `x >> w - k`. */
function rotation(given: Op, s: Simplifier): Op | undefined {
  const first = s.op(given.args[0]!);
  const second = s.op(given.args[1]!);
  const [left, right] = first.name === 'shl' ? [first, second] : [second, first];
  if (left.name !== 'shl' || right.name !== 'shr_u' || left.args[0] !== right.args[0]) return undefined;
  const up = s.bits(left.args[1]!);
  const down = s.bits(right.args[1]!);
  if (up === undefined || down === undefined || up + down !== BigInt(s.width(given.type))) return undefined;
  return op('rotl', given.type, left.args[0]!, left.args[1]!);
}

const sub: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  if (a === b) return s.constantOp(given.type, 0n);
  const c = s.bits(b);
  if (c === undefined) return undefined;
  return c === 0n ? a : op('add', given.type, a, s.constant(given.type, -c));
};

const mul: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  const c = s.bits(b);
  if (c === undefined) return constantLast(given, s);
  if (c === 0n) return b;
  const shift = powerOfTwo(c);
  if (shift === 0) return a;
  return shift === undefined ? undefined : op('shl', given.type, a, s.constant(given.type, BigInt(shift)));
};

const highProduct: Rule = (given, s) => {
  const [, b] = given.args as readonly [Value, Value];
  const c = s.bits(b);
  if (c === undefined) return given.name === 'mulh_su' ? undefined : constantLast(given, s);
  if (c === 0n) return b;
  if (given.name !== 'mulh_u') return undefined;
  const shift = powerOfTwo(c);
  if (shift === undefined) return undefined;
  if (shift === 0) return s.constantOp(given.type, 0n);
  return op('shr_u', given.type, given.args[0]!, s.constant(given.type, BigInt(s.width(given.type) - shift)));
};

/** Division and remainder by 0 and 1, and of unsigned numbers by powers of two. WebAssembly compilers do the other constants. */
const divide: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  const c = s.bits(b);
  if (c === undefined) return undefined;
  const quotient = given.name === 'div_s' || given.name === 'div_u';
  if (c === 0n) return quotient ? b : a;
  if (c === 1n) return quotient ? a : s.constantOp(given.type, 0n);
  const shift = powerOfTwo(c);
  if (shift === undefined) return undefined;
  if (given.name === 'div_u') return op('shr_u', given.type, a, s.constant(given.type, BigInt(shift)));
  return given.name === 'rem_u' ? op('and', given.type, a, s.constant(given.type, c - 1n)) : undefined;
};

const ones = (s: Simplifier, given: Op) => (1n << BigInt(s.width(given.type))) - 1n;

const and: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  if (a === b) return a;
  const c = s.bits(b);
  if (c === undefined) return constantLast(given, s) ?? bitwise(given, s);
  if (c === 0n) return b;
  // All the bits that the value can have are among those that are kept.
  const covered = (1n << BigInt(s.unsignedWidth(a))) - 1n;
  if ((c & covered) === covered) return a;
  return reassociate(given, s, (x, y) => x & y) ?? bitwise(given, s);
};

/** As an op of words. */
function bitwise(given: Op, s: Simplifier): Simpler {
  return given.type === 'i64' ? bitwiseOfWords(given.name as 'and' | 'or' | 'xor', given.args, s) : undefined;
}

const or: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  if (a === b) return a;
  const c = s.bits(b);
  if (c === undefined) return constantLast(given, s) ?? rotation(given, s) ?? bitwise(given, s);
  if (c === 0n) return a;
  return c === ones(s, given) ? b : (reassociate(given, s, (x, y) => x | y) ?? bitwise(given, s));
};

const xor: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  if (a === b) return s.constantOp(given.type, 0n);
  const c = s.bits(b);
  if (c === undefined) return constantLast(given, s) ?? rotation(given, s) ?? bitwise(given, s);
  if (c === 0n) return a;
  // The opposite of a truth value is a comparison with 0, which the rules of comparisons turn round.
  if (c === 1n && given.type === 'i32' && s.unsignedWidth(a) === 1) return op('eq', 'i32', a, s.constant('i32', 0n));
  return reassociate(given, s, (x, y) => x ^ y) ?? bitwise(given, s);
};

/** The amount as a constant below the width, or the value that it is the low bits of. */
function shiftAmount(given: Op, s: Simplifier): Simpler {
  const width = BigInt(s.width(given.type));
  const amount = given.args[1]!;
  const c = s.bits(amount);
  if (c !== undefined) {
    if (c < width) return undefined;
    return copyOp(given, [given.args[0]!, s.constant(given.type, c % width)]);
  }
  // Shifts take the amount modulo the width, so cutting it to as many bits before is for nothing.
  const masked = s.op(amount);
  if (masked.name !== 'and') return undefined;
  const mask = s.bits(masked.args[1]!);
  if (mask === undefined || (mask & (width - 1n)) !== width - 1n) return undefined;
  return copyOp(given, [given.args[0]!, masked.args[0]!]);
}

const rotate: Rule = (given, s) => {
  const c = s.bits(given.args[1]!);
  return c === 0n ? given.args[0]! : shiftAmount(given, s);
};

const shift: Rule = (given, s) => {
  const [a, b] = given.args as readonly [Value, Value];
  const c = s.bits(b);
  const width = s.width(given.type);
  if (c === undefined || c >= BigInt(width)) return shiftAmount(given, s);
  if (c === 0n) return a;
  const amount = Number(c);
  if (given.name === 'shr_u' && s.unsignedWidth(a) <= amount) return s.constantOp(given.type, 0n);
  const inner = s.op(a);
  const first =
    inner.name === 'shl' || inner.name === 'shr_u' || inner.name === 'shr_s' ? s.bits(inner.args[1]!) : undefined;
  if (first === undefined || first >= BigInt(width)) return undefined;
  if (inner.name === given.name) return shiftTwice(given, s, inner, Number(first) + amount);
  if (Number(first) === amount) return shiftThereAndBack(given, s, inner, amount);
  const word = inner.name === 'shl' && given.type === 'i64' && first === 32n && s.usedOnce(a);
  return word ? shiftOfWord(given, s, inner.args[0]!, amount) : undefined;
};

/** Left by 32 and right by another amount, as compilers extend and scale an index: an extension, and a shift by the difference. */
function shiftOfWord(given: Op, s: Simplifier, x: Value, amount: number): Simpler {
  const signed = given.name === 'shr_s';
  const word = signed ? s.value('extend32_s', 'i64', [x]) : s.value('widen_u', 'i64', [s.value('wrap', 'i32', [x])]);
  const distance = BigInt(Math.abs(32 - amount));
  return op(amount < 32 ? 'shl' : given.name, 'i64', word, s.constant('i64', distance));
}

function shiftTwice(given: Op, s: Simplifier, inner: Op, total: number): Simpler {
  const width = s.width(given.type);
  if (total >= width && given.name !== 'shr_s') return s.constantOp(given.type, 0n);
  return op(given.name, given.type, inner.args[0]!, s.constant(given.type, BigInt(Math.min(total, width - 1))));
}

const EXTENSIONS: Readonly<Record<number, OpName>> = { 8: 'extend8_s', 16: 'extend16_s', 32: 'extend32_s' };
/** Masks of so many bits are immediates of machine instructions; wider ones would cost more than the two shifts. */
const MASK_WIDTH = 31;

/** Left and right by the same amount, or right and left: an extension or a mask. */
function shiftThereAndBack(given: Op, s: Simplifier, inner: Op, amount: number): Simpler {
  const width = s.width(given.type);
  const kept = width - amount;
  const x = inner.args[0]!;
  if (given.name === 'shl') {
    if (amount > MASK_WIDTH) return undefined;
    return op('and', given.type, x, s.constant(given.type, -(1n << BigInt(amount))));
  }
  if (inner.name !== 'shl') return undefined;
  if (given.name === 'shr_u') {
    if (s.unsignedWidth(x) <= kept) return x;
    if (given.type === 'i64' && kept === 32) return op('widen_u', 'i64', s.value('wrap', 'i32', [x]));
    return kept > MASK_WIDTH ? undefined : op('and', given.type, x, s.constant(given.type, (1n << BigInt(kept)) - 1n));
  }
  if (s.signedWidth(x) <= kept) return x;
  const extension = EXTENSIONS[kept];
  return extension === undefined ? undefined : op(extension, given.type, x);
}

export const ARITHMETIC_RULES: Rules = {
  add,
  sub,
  mul,
  mulh_s: highProduct,
  mulh_u: highProduct,
  mulh_su: highProduct,
  div_s: divide,
  div_u: divide,
  rem_s: divide,
  rem_u: divide,
  and,
  or,
  xor,
  shl: shift,
  shr_s: shift,
  shr_u: shift,
  rotl: rotate,
  rotr: rotate,
};
