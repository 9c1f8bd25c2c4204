import { assert } from '../../check/assert.ts';
import {
  type Comparison,
  classify,
  copySign,
  equalQuiet,
  lessEqualSignaling,
  lessSignaling,
  maximumNumber,
  minimumNumber,
} from '../../bits/float-compare.ts';
import { convertFormat, fromInteger, roundToIntegral, toInteger } from '../../bits/float-convert.ts';
import { type FloatEnvironment, type FloatResult, Format, Rounding, signBit } from '../../bits/float-format.ts';
import { add, div, fusedMultiplyAdd, mul, sqrt, sub } from '../../bits/float.ts';
import type { Type } from '../type.ts';
import { FLOAT, type OpRow, type Typing } from './row.ts';

/** The rounding mode held by an `rm` argument. */
function rounding(rm: bigint | undefined): Rounding {
  assert(rm !== undefined && rm <= Rounding.nearestMaxMagnitude, 'a rounding mode is 0 to 4');
  return Number(rm) as Rounding;
}

/** The format of a float type. */
export function formatOf(type: Type | 'none' | undefined): Format {
  assert(type === 'f32' || type === 'f64', 'a float op works on f32 or f64');
  return Format[type];
}

type Arithmetic = (format: Format, args: readonly bigint[], environment: FloatEnvironment) => FloatResult;

/** Rounded arithmetic on `operands` values of `T`, with the rounding mode as last argument. */
function arithmetic(doc: string, operands: number, meaning: Arithmetic): OpRow {
  return {
    doc,
    types: FLOAT,
    args: [...Array.from<Typing>({ length: operands }).fill('T'), 'rm'],
    result: 'T',
    effect: 'flags',
    evaluateFloat: (args, op) => meaning(formatOf(op.type), args, { rounding: rounding(args[operands]) }),
  };
}

/** An op on bit patterns: NaNs are nothing special and no flag is raised. */
function bitwise(
  doc: string,
  wasm: string,
  args: readonly Typing[],
  meaning: (format: Format, args: readonly bigint[]) => bigint,
): OpRow {
  return {
    doc,
    types: FLOAT,
    args,
    result: 'T',
    effect: 'none',
    wasm,
    evaluate: (values, _width, op) => meaning(formatOf(op.type), values),
  };
}

function selection(doc: string, meaning: (format: Format, a: bigint, b: bigint) => FloatResult): OpRow {
  return {
    doc,
    types: FLOAT,
    args: ['T', 'T'],
    result: 'T',
    effect: 'flags',
    evaluateFloat: ([a, b], op) => meaning(formatOf(op.type), a!, b!),
  };
}

function compare(doc: string, meaning: (format: Format, a: bigint, b: bigint) => Comparison): OpRow {
  return {
    doc,
    types: FLOAT,
    args: ['T', 'T'],
    result: 'i32',
    effect: 'flags',
    evaluateFloat: ([a, b], op) => {
      const { value, flags } = meaning(formatOf(op.type), a!, b!);
      return { bits: value ? 1n : 0n, flags };
    },
  };
}

const integerWidth = (type: Type | 'none' | undefined) => (type === 'i32' ? 32 : 64);

/** IEEE 754 arithmetic with RISC-V's choices: canonical NaN results, saturating conversions, tininess after rounding. */
export const FLOAT_OPS = {
  fadd: arithmetic('Sum.', 2, (format, [a, b], environment) => add(format, a!, b!, environment)),
  fsub: arithmetic('Difference.', 2, (format, [a, b], environment) => sub(format, a!, b!, environment)),
  fmul: arithmetic('Product.', 2, (format, [a, b], environment) => mul(format, a!, b!, environment)),
  fdiv: arithmetic('Quotient.', 2, (format, [a, b], environment) => div(format, a!, b!, environment)),
  fsqrt: arithmetic('Square root.', 1, (format, [a], environment) => sqrt(format, a!, environment)),
  fma: arithmetic(
    'a * b + c, rounded once; infinity * 0 is invalid even when c is a NaN.',
    3,
    (format, [a, b, c], environment) => fusedMultiplyAdd(format, a!, b!, c!, environment),
  ),
  fneg: bitwise('The sign flipped.', '.neg', ['T'], (format, [a]) => a! ^ signBit(format)),
  fabs: bitwise('The sign cleared.', '.abs', ['T'], (format, [a]) => a! & ~signBit(format)),
  fcopysign: bitwise('The first argument with the sign of the second.', '.copysign', ['T', 'T'], (format, [a, b]) =>
    copySign(format, a!, b!),
  ),
  fmin: selection(
    'minimumNumber: the lesser, -0 below +0, a number rather than a NaN; a signaling NaN raises invalid.',
    minimumNumber,
  ),
  fmax: selection(
    'maximumNumber: the greater, +0 above -0, a number rather than a NaN; a signaling NaN raises invalid.',
    maximumNumber,
  ),
  feq: compare('Equal; only a signaling NaN raises invalid.', equalQuiet),
  flt: compare('Less; any NaN raises invalid.', lessSignaling),
  fle: compare('Less or equal; any NaN raises invalid.', lessEqualSignaling),
  fclass: {
    doc: 'The class as one bit: 0 to 9 are -infinity, negative normal, negative subnormal, -0, +0, positive subnormal, positive normal, +infinity, signaling NaN, quiet NaN.',
    types: FLOAT,
    args: ['T'],
    result: 'i32',
    effect: 'none',
    evaluate: ([a], _width, op) => BigInt(classify(formatOf(op.type), a!)),
  },
  f_convert: {
    doc: 'To the other float type.',
    types: FLOAT,
    args: ['from', 'rm'],
    result: 'T',
    effect: 'flags',
    attributes: ['from'],
    from: { f32: ['f64'], f64: ['f32'] },
    evaluateFloat: ([a, rm], op) => convertFormat(formatOf(op.from), formatOf(op.type), a!, { rounding: rounding(rm) }),
  },
  f_to_int: {
    doc: 'To an integer: out of range and infinities saturate, NaN gives the largest; each raises invalid alone.',
    types: ['i32', 'i64'],
    args: ['from', 'rm'],
    result: 'T',
    effect: 'flags',
    attributes: ['from', 'signed'],
    from: { i32: FLOAT, i64: FLOAT },
    evaluateFloat: ([a, rm], op) =>
      toInteger(formatOf(op.from), a!, { width: integerWidth(op.type), signed: op.signed!, rounding: rounding(rm) }),
  },
  int_to_f: {
    doc: 'From an integer.',
    types: FLOAT,
    args: ['from', 'rm'],
    result: 'T',
    effect: 'flags',
    attributes: ['from', 'signed'],
    from: { f32: ['i32', 'i64'], f64: ['i32', 'i64'] },
    evaluateFloat: ([a, rm], op) =>
      fromInteger(formatOf(op.type), a!, { width: integerWidth(op.from), signed: op.signed!, rounding: rounding(rm) }),
  },
  f_round: {
    doc: 'To an integral value of the same type, the sign of a zero kept; raises invalid for a signaling NaN, never inexact.',
    types: FLOAT,
    args: ['T', 'rm'],
    result: 'T',
    effect: 'flags',
    evaluateFloat: ([a, rm], op) => roundToIntegral(formatOf(op.type), a!, { rounding: rounding(rm) }),
  },
  bitcast: {
    doc: 'The same bits as the integer or float type of the same width.',
    types: ['i32', 'i64', 'f32', 'f64'],
    args: ['from'],
    result: 'T',
    effect: 'none',
    attributes: ['from'],
    from: { i32: ['f32'], i64: ['f64'], f32: ['i32'], f64: ['i64'] },
    wasm: '.reinterpret_{from}',
    evaluate: ([a]) => a!,
  },
} as const satisfies Record<string, OpRow>;
