import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import { isField, type Operand } from '../../ir/type.ts';

/**
 * The immediate of the logical instructions (A-profile Arm ARM, "DecodeBitMasks"): 13 bits N:immr:imms stand for a run of ones, rotated
 * right within an element of 2…64 bits that is repeated over the register.
 */

/** The 64-bit value, or undefined for a reserved encoding. A 32-bit instruction takes the low half of a value whose N is 0. */
export function decodeLogicalImmediate(encoded: number): bigint | undefined {
  const n = (encoded >> 12) & 1;
  const immr = (encoded >> 6) & 63;
  const imms = encoded & 63;
  // The element's size is given by the highest bit set in N:NOT(imms).
  const size = 31 - Math.clz32((n << 6) | (~imms & 63));
  if (size < 1) return undefined;
  const width = 1 << size;
  const ones = (imms & (width - 1)) + 1;
  // All ones in an element is reserved.
  if (ones === width) return undefined;
  const rotation = BigInt(immr & (width - 1));
  const run = (1n << BigInt(ones)) - 1n;
  const element = BigInt.asUintN(width, (run >> rotation) | (run << (BigInt(width) - rotation)));
  let value = 0n;
  for (let at = 0; at < 64; at += width) value |= element << BigInt(at);
  return value;
}

let encodings: Map<bigint, number> | undefined;

/** The canonical encoding of a 64-bit value, or undefined when it has none. */
export function encodeLogicalImmediate(value: bigint): number | undefined {
  encodings ??= allEncodings();
  return encodings.get(value);
}

/** 5334 values have an encoding; of several the one with the fewest rotation bits is kept, as assemblers do. */
function allEncodings(): Map<bigint, number> {
  const map = new Map<bigint, number>();
  for (let encoded = 0; encoded < 1 << 13; encoded++) {
    const value = decodeLogicalImmediate(encoded);
    if (value !== undefined && !map.has(value)) map.set(value, encoded);
  }
  return map;
}

/** The value as an operand: a constant, or worked out from the encoding when that is only known at run time (the interpreter). */
export function logicalImmediate(b: Builder, type: 'i64' | 'i32', operand: Operand): Value {
  if (!isField(operand)) return b.const(type, decodeLogicalImmediate(Number(operand))!);
  const constant = (bits: bigint): Value => b.const('i64', bits);
  const low6 = (value: Value): Value => b.op('and', 'i64', value, constant(63n));
  const encoded = b.immediate('i64', operand, false);
  const imms = low6(encoded);
  const top = b.op('and', 'i64', b.op('shr_u', 'i64', encoded, constant(6n)), constant(64n));
  const chooser = b.op('or', 'i64', top, b.op('xor', 'i64', imms, constant(63n)));
  const size = b.op('sub', 'i64', constant(63n), b.op('clz', 'i64', chooser));
  const width = b.op('shl', 'i64', constant(1n), size);
  const widthMask = b.op('sub', 'i64', width, constant(1n));
  const ones = b.op('add', 'i64', b.op('and', 'i64', imms, widthMask), constant(1n));
  const rotation = b.op('and', 'i64', b.op('shr_u', 'i64', encoded, constant(6n)), widthMask);
  const run = b.op('sub', 'i64', b.op('shl', 'i64', constant(1n), ones), constant(1n));
  const elementMask = b.op('shr_u', 'i64', constant(-1n), b.op('sub', 'i64', constant(64n), width));
  const right = b.op('shr_u', 'i64', run, rotation);
  const left = b.op('shl', 'i64', run, b.op('sub', 'i64', width, rotation));
  const element = b.op('and', 'i64', b.op('or', 'i64', right, left), elementMask);
  // All ones divided by an element of ones has a one at the bottom of each element.
  const value = b.op('mul', 'i64', element, b.op('div_u', 'i64', constant(-1n), elementMask));
  return type === 'i64' ? value : b.op('wrap', 'i32', value);
}
