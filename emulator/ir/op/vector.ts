import { add, div, mul, sqrt, sub } from '../../bits/float.ts';
import { type FloatEnvironment, type FloatResult, type Format, Rounding, signBit } from '../../bits/float-format.ts';
import { mask, toSigned, toUnsigned } from '../../bits/integer.ts';
import { type Shape, SHAPES } from '../type.ts';
import { formatOf } from './float.ts';
import { type OpRow, type Typed, type Typing, withWasm } from './row.ts';

const V128 = ['v128'] as const;
const INTEGERS = ['i8x16', 'i16x8', 'i32x4', 'i64x2'] as const;
/** WebAssembly has unsigned comparison, minimum and maximum only up to 32-bit lanes; i64x2 is therefore lacking here too. */
const UP_TO_32 = ['i8x16', 'i16x8', 'i32x4'] as const;
const FLOATS = ['f32x4', 'f64x2'] as const;
const EVERY = [...INTEGERS, ...FLOATS] as const;
const NEAREST: FloatEnvironment = { rounding: Rounding.nearestEven };

/** The lanes of a vector as unsigned integers, lane 0 first. */
function splitLanes(vector: bigint, shape: Shape): bigint[] {
  const { laneWidth, lanes } = SHAPES[shape];
  return Array.from({ length: lanes }, (_, lane) => toUnsigned(vector >> BigInt(lane * laneWidth), laneWidth));
}

/** The vector of lanes, each taken modulo 2^laneWidth. */
export function joinLanes(lanes: readonly bigint[], shape: Shape): bigint {
  const { laneWidth } = SHAPES[shape];
  return lanes.reduceRight((vector, lane) => (vector << BigInt(laneWidth)) | toUnsigned(lane, laneWidth), 0n);
}

/** An op on the 128 bits as such. */
function whole(doc: string, wasm: string, args: number, meaning: (args: readonly bigint[]) => bigint): OpRow {
  return {
    doc,
    types: V128,
    args: Array.from<Typing>({ length: args }).fill('T'),
    result: 'T',
    effect: 'none',
    wasm,
    evaluate: (values) => toUnsigned(meaning(values), 128),
  };
}

type Lane = (args: readonly bigint[], width: number, format: () => Format) => bigint;

/** An op that treats each lane alike; the lanes come as unsigned integers. */
function lanewise(
  doc: string,
  shapes: readonly Shape[],
  args: readonly Typing[],
  wasm: string | undefined,
  meaning: Lane,
): OpRow {
  const evaluate = (values: readonly bigint[], _width: number, op: Typed) => {
    const shape = op.shape!;
    const { laneWidth, scalar } = SHAPES[shape];
    // A scalar argument (a shift amount) is the same for every lane.
    const split = values.map((value, index) => (args[index] === 'T' ? splitLanes(value, shape) : value));
    const at = (lane: number) => split.map((value) => (typeof value === 'bigint' ? value : value[lane]!));
    const format = () => formatOf(scalar);
    const lanes = Array.from({ length: SHAPES[shape].lanes }, (_, lane) => meaning(at(lane), laneWidth, format));
    return joinLanes(lanes, shape);
  };
  return withWasm(
    { doc, types: V128, args, result: 'T', effect: 'none', attributes: ['shape'], shapes, evaluate },
    wasm,
  );
}

const PAIR = ['T', 'T'] as const;
const ones = (truth: boolean) => (truth ? -1n : 0n);

function signedPair(meaning: (a: bigint, b: bigint) => bigint): Lane {
  return ([a, b], width) => meaning(toSigned(a!, width), toSigned(b!, width));
}

function unsignedPair(meaning: (a: bigint, b: bigint) => bigint): Lane {
  return ([a, b]) => meaning(a!, b!);
}

const least = (a: bigint, b: bigint) => (a < b ? a : b);
const greatest = (a: bigint, b: bigint) => (a > b ? a : b);

function shift(doc: string, wasm: string, meaning: (a: bigint, amount: bigint, width: number) => bigint): OpRow {
  return lanewise(doc, INTEGERS, ['T', 'i32'], wasm, ([a, b], width) => meaning(a!, b! % BigInt(width), width));
}

function arithmetic(
  doc: string,
  args: readonly Typing[],
  meaning: (format: Format, args: readonly bigint[]) => FloatResult,
): OpRow {
  const full = `${doc} Each lane rounds to nearest even and raises no flag; a NaN result is the canonical one.`;
  return lanewise(full, FLOATS, args, undefined, (values, _width, format) => meaning(format(), values).bits);
}

/** 128-bit vectors. Ops that saturate, narrow or widen lanes are to be added with the first instruction that wants them. */
export const VECTOR_OPS = {
  v_and: whole('Bitwise and.', 'v128.and', 2, ([a, b]) => a! & b!),
  v_or: whole('Bitwise or.', 'v128.or', 2, ([a, b]) => a! | b!),
  v_xor: whole('Bitwise exclusive or.', 'v128.xor', 2, ([a, b]) => a! ^ b!),
  v_andnot: whole('The first argument without the bits of the second.', 'v128.andnot', 2, ([a, b]) => a! & ~b!),
  v_not: whole('The opposite bits.', 'v128.not', 1, ([a]) => ~a!),
  v_bitselect: whole(
    'Bits of the first argument where the third has ones, of the second where it has zeros.',
    'v128.bitselect',
    3,
    ([a, b, c]) => (a! & c!) | (b! & ~c!),
  ),

  v_add: lanewise(
    'Sums.',
    INTEGERS,
    PAIR,
    '.add',
    unsignedPair((a, b) => a + b),
  ),
  v_sub: lanewise(
    'Differences.',
    INTEGERS,
    PAIR,
    '.sub',
    unsignedPair((a, b) => a - b),
  ),
  v_mul: lanewise(
    'Low halves of the products.',
    ['i16x8', 'i32x4', 'i64x2'],
    PAIR,
    '.mul',
    unsignedPair((a, b) => a * b),
  ),
  v_neg: lanewise('Negated lanes.', INTEGERS, ['T'], '.neg', ([a]) => -a!),
  v_abs: lanewise('Absolute values; the least value stays.', INTEGERS, ['T'], '.abs', ([a], width) => {
    const value = toSigned(a!, width);
    return value < 0n ? -value : value;
  }),
  v_min_s: lanewise('Signed minima.', UP_TO_32, PAIR, '.min_s', signedPair(least)),
  v_min_u: lanewise('Unsigned minima.', UP_TO_32, PAIR, '.min_u', unsignedPair(least)),
  v_max_s: lanewise('Signed maxima.', UP_TO_32, PAIR, '.max_s', signedPair(greatest)),
  v_max_u: lanewise('Unsigned maxima.', UP_TO_32, PAIR, '.max_u', unsignedPair(greatest)),
  v_eq: lanewise(
    'All ones where equal, else zero.',
    INTEGERS,
    PAIR,
    '.eq',
    unsignedPair((a, b) => ones(a === b)),
  ),
  v_ne: lanewise(
    'All ones where not equal, else zero.',
    INTEGERS,
    PAIR,
    '.ne',
    unsignedPair((a, b) => ones(a !== b)),
  ),
  v_lt_s: lanewise(
    'All ones where signed less, else zero.',
    INTEGERS,
    PAIR,
    '.lt_s',
    signedPair((a, b) => ones(a < b)),
  ),
  v_le_s: lanewise(
    'All ones where signed less or equal, else zero.',
    INTEGERS,
    PAIR,
    '.le_s',
    signedPair((a, b) => ones(a <= b)),
  ),
  v_lt_u: lanewise(
    'All ones where unsigned less, else zero.',
    UP_TO_32,
    PAIR,
    '.lt_u',
    unsignedPair((a, b) => ones(a < b)),
  ),
  v_le_u: lanewise(
    'All ones where unsigned less or equal, else zero.',
    UP_TO_32,
    PAIR,
    '.le_u',
    unsignedPair((a, b) => ones(a <= b)),
  ),
  v_shl: shift(
    'Shift left; the one amount is taken modulo the lane width, here and below.',
    '.shl',
    (a, amount) => a << amount,
  ),
  v_shr_s: shift('Arithmetic shift right.', '.shr_s', (a, amount, width) => toSigned(a, width) >> amount),
  v_shr_u: shift('Logical shift right.', '.shr_u', (a, amount) => a >> amount),

  v_splat: {
    doc: 'The argument (its low bits, for narrow lanes) in every lane.',
    types: V128,
    args: ['lane'],
    result: 'T',
    effect: 'none',
    attributes: ['shape'],
    shapes: EVERY,
    wasm: '.splat',
    evaluate: ([a], _width, op) =>
      joinLanes(Array.from<bigint>({ length: SHAPES[op.shape!].lanes }).fill(a!), op.shape!),
  },
  v_extract: {
    doc: 'One lane; lanes narrower than 32 bits are extended to i32 as `signed` says (which is false for all others).',
    types: V128,
    args: ['T'],
    result: 'lane',
    effect: 'none',
    attributes: ['shape', 'lane', 'signed'],
    shapes: EVERY,
    wasm: '.extract_lane',
    evaluate: ([a], _width, op) => {
      const lane = splitLanes(a!, op.shape!)[op.lane!]!;
      return op.signed === true ? toUnsigned(toSigned(lane, SHAPES[op.shape!].laneWidth), 32) : lane;
    },
  },
  v_replace: {
    doc: 'The first argument with one lane taken from the second.',
    types: V128,
    args: ['T', 'lane'],
    result: 'T',
    effect: 'none',
    attributes: ['shape', 'lane'],
    shapes: EVERY,
    wasm: '.replace_lane',
    evaluate: ([a, b], _width, op) => joinLanes(splitLanes(a!, op.shape!).with(op.lane!, b!), op.shape!),
  },
  v_shuffle: {
    doc: 'Byte i of the result is byte `lanes[i]` of the 32 bytes of both arguments, the first ones first.',
    types: V128,
    args: PAIR,
    result: 'T',
    effect: 'none',
    attributes: ['lanes'],
    wasm: 'i8x16.shuffle',
    evaluate: ([a, b], _width, op) => {
      const bytes = [...splitLanes(a!, 'i8x16'), ...splitLanes(b!, 'i8x16')];
      return joinLanes(
        op.lanes!.map((lane) => bytes[lane]!),
        'i8x16',
      );
    },
  },
  v_swizzle: {
    doc: 'Byte i of the result is the byte of the first argument that byte i of the second numbers, 0 when that is above 15.',
    types: V128,
    args: PAIR,
    result: 'T',
    effect: 'none',
    wasm: 'i8x16.swizzle',
    evaluate: ([a, b]) => {
      const bytes = splitLanes(a!, 'i8x16');
      return joinLanes(
        splitLanes(b!, 'i8x16').map((lane) => bytes[Number(lane)] ?? 0n),
        'i8x16',
      );
    },
  },

  vf_add: arithmetic('Sums.', PAIR, (format, [a, b]) => add(format, a!, b!, NEAREST)),
  vf_sub: arithmetic('Differences.', PAIR, (format, [a, b]) => sub(format, a!, b!, NEAREST)),
  vf_mul: arithmetic('Products.', PAIR, (format, [a, b]) => mul(format, a!, b!, NEAREST)),
  vf_div: arithmetic('Quotients.', PAIR, (format, [a, b]) => div(format, a!, b!, NEAREST)),
  vf_sqrt: arithmetic('Square roots.', ['T'], (format, [a]) => sqrt(format, a!, NEAREST)),
  vf_neg: lanewise('Signs flipped.', FLOATS, ['T'], '.neg', ([a], _width, format) => a! ^ signBit(format())),
  vf_abs: lanewise('Signs cleared.', FLOATS, ['T'], '.abs', ([a], width) => a! & mask(width - 1)),
} as const satisfies Record<string, OpRow>;
