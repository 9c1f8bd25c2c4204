import { joinLanes } from '../ir/op/vector.ts';
import { SHAPES, type Shape, type Type } from '../ir/type.ts';
import { FloatFlag } from '../bits/float-format.ts';

/**
 * Reads a value of a corpus as bits:
 * - `12`, `-1`, `0xff` (negative: two's complement in `width` bits)
 * - `f64:1.5`, `f32:-0.0`, `box:1.5` (an f32 with ones above it), with `inf`, `nan` (canonical) and `snan` too
 * - `i32x4[1 -2 0x3 4]`, lane 0 first; float shapes take the numbers as above
 * Undefined when the text is none of these or does not fit.
 */
export function parseValue(text: string, width: number): bigint | undefined {
  const integer = /^(-?)(0x[\da-f_]+|\d+)$/i.exec(text);
  if (integer !== null) {
    const size = BigInt(integer[2]!.replaceAll('_', ''));
    const negative = integer[1] === '-';
    if (negative ? size > 1n << BigInt(width - 1) : size >> BigInt(width) !== 0n) return undefined;
    return BigInt.asUintN(width, negative ? -size : size);
  }
  const [, kind, number] = /^(f32|f64|box):(\S+)$/.exec(text) ?? [];
  if (kind !== undefined && number !== undefined) {
    const bits = parseFloatBits(number, kind === 'f64' ? 'f64' : 'f32');
    if (bits === undefined || (kind === 'f64' && width < 64)) return undefined;
    return kind === 'box' ? bits | ((1n << BigInt(width)) - (1n << 32n)) : bits;
  }
  const [, shape, lanes] = /^(\w+)\[([^\]]*)\]$/.exec(text) ?? [];
  if (shape === undefined || !Object.hasOwn(SHAPES, shape) || width !== 128) return undefined;
  return parseLanes(lanes!.trim().split(/\s+/), shape as Shape);
}

/** The same for a value of a known type, where a float may be written plainly: `1.5`, `inf`; its bits with 0x. */
export function parseTyped(text: string, type: Type): bigint | undefined {
  const width = type === 'v128' ? 128 : type.endsWith('32') ? 32 : 64;
  const plainFloat = (type === 'f32' || type === 'f64') && !/^0x/i.test(text);
  return plainFloat ? parseFloatBits(text, type) : parseValue(text, width);
}

function parseLanes(texts: readonly string[], shape: Shape): bigint | undefined {
  const { lanes, laneWidth, scalar } = SHAPES[shape];
  const values = texts.map((text) =>
    scalar === 'f32' || scalar === 'f64' ? parseTyped(text, scalar) : parseValue(text, laneWidth),
  );
  if (values.length !== lanes || values.includes(undefined)) return undefined;
  return joinLanes(values as bigint[], shape);
}

function parseFloatBits(text: string, type: 'f32' | 'f64'): bigint | undefined {
  const sign = text.startsWith('-') ? 1n << (type === 'f32' ? 31n : 63n) : 0n;
  const word = text.replace(/^[-+]/, '');
  if (word === 'nan') return sign | (type === 'f32' ? 0x7fc0_0000n : 0x7ff8_0000_0000_0000n);
  if (word === 'snan') return sign | (type === 'f32' ? 0x7f80_0001n : 0x7ff0_0000_0000_0001n);
  const number = word === 'inf' ? Infinity : /^\d/.test(word) ? Number(word) : Number.NaN;
  if (Number.isNaN(number)) return undefined;
  const view = new DataView(new ArrayBuffer(8));
  if (type === 'f64') view.setFloat64(0, number);
  else view.setFloat32(4, number);
  return sign | view.getBigUint64(0);
}

const FLAG_NAMES: Readonly<Record<string, number>> = {
  nx: FloatFlag.inexact,
  uf: FloatFlag.underflow,
  of: FloatFlag.overflow,
  dz: FloatFlag.divideByZero,
  nv: FloatFlag.invalid,
};

/** Exception flags: a number, or names joined by bars, as in `of|nx`. */
export function parseFlags(text: string): number | undefined {
  const number = parseValue(text, 5);
  if (number !== undefined) return Number(number);
  let flags = 0;
  for (const name of text.split('|')) {
    const flag = FLAG_NAMES[name];
    if (flag === undefined) return undefined;
    flags |= flag;
  }
  return flags;
}

/** The way flags are shown in messages. */
export function showFlags(flags: number): string {
  const names = Object.entries(FLAG_NAMES).flatMap(([name, bit]) => ((flags & bit) === 0 ? [] : [name]));
  return names.length === 0 ? '0' : names.join('|');
}
