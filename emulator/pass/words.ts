import type { Value } from '../ir/block.ts';
import { op, type Simpler, type Simplifier } from './simplifier.ts';

/** A number of at most so many bits is the same sign-extended and zero-extended. */
const NATURAL = 31;

/** The 32-bit value, or the bits of a 32-bit constant, that an i64 is the sign extension (or the zero extension) of, if it is seen to be one. */
export function asWord(value: Value, signed: boolean, s: Simplifier): Value | bigint | undefined {
  const definition = s.op(value);
  switch (definition.name) {
    case 'widen_s':
    case 'widen_u': {
      const word = definition.args[0]!;
      return (definition.name === 'widen_s') === signed || s.unsignedWidth(word) <= NATURAL ? word : undefined;
    }
    case 'const': {
      const bits = definition.bits!;
      const low = BigInt.asUintN(32, bits);
      return (signed ? BigInt.asUintN(64, BigInt.asIntN(32, low)) : low) === bits ? low : undefined;
    }
    default:
      return undefined;
  }
}

/** Two i64 as words of the same extension, at most one of them constant; undefined when they are not. */
export function asWords(
  [a, b]: readonly Value[],
  s: Simplifier,
): { readonly words: readonly [Value, Value]; readonly signed: boolean } | undefined {
  // Asked about every op of two i64: most are of neither kind.
  const left = s.op(a!).name;
  const right = s.op(b!).name;
  const widened = (name: string) => name === 'widen_s' || name === 'widen_u';
  if (!widened(left) && !widened(right)) return undefined;
  for (const signed of [true, false]) {
    const x = asWord(a!, signed, s);
    const y = asWord(b!, signed, s);
    if (x !== undefined && y !== undefined) return { words: [place(x, s), place(y, s)], signed };
  }
  return undefined;
}

function place(word: Value | bigint, s: Simplifier): Value {
  return typeof word === 'bigint' ? s.constant('i32', word) : word;
}

/** Bitwise ops of extended words as words, extended once; when the extensions go on to be needed, nothing would be won. */
export function bitwiseOfWords(name: 'and' | 'or' | 'xor', args: readonly Value[], s: Simplifier): Simpler {
  const needed = (value: Value) => s.bits(value) !== undefined || !s.usedOnce(value);
  if (needed(args[0]!) && needed(args[1]!)) return undefined;
  const found = asWords(args, s);
  if (found === undefined) return undefined;
  return op(found.signed ? 'widen_s' : 'widen_u', 'i64', s.value(name, 'i32', found.words));
}
