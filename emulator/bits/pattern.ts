// Bit patterns as the manuals print them, most significant bit first:
//
//   '0000000 rs2:5 rs1:5 000 rd:5 0111011'
//       literal bits and fields `name:width`
//   'imm[12] imm[10:5] rs2:5 rs1:5 000 imm[4:1] imm[11] 1100011'
//       a field in pieces: the brackets say which of its bits stand here
//   '1101010100 - 00 --- 0011 crm:4 010 11111'
//       `-` is a bit that does not matter
//
// Blanks only group. A piece may repeat its width, `imm[11:5]:7`, and then the two must agree. The width of a pattern
// is the sum of its parts: a multiple of 8 up to 32.

import { extractBits, insertBits } from './integer.ts';

const BLANK = ' '.charCodeAt(0);
const ZERO = '0'.charCodeAt(0);
/** Names begin with letters, which have greater codes; `-` has a smaller one. */
const ONE = '1'.charCodeAt(0);

/** `width` bits of the word from bit `lo` up, which are bits `shift` to `shift` + width - 1 of the field. */
export interface Piece {
  readonly lo: number;
  readonly width: number;
  readonly shift: number;
}

export interface Field {
  readonly name: string;
  /** One more than the highest bit of the field that any piece supplies, so that the value is below 2^width. */
  readonly width: number;
  /** In the order printed. Bits which no piece supplies, such as bit 0 of a branch offset, are zero. */
  readonly pieces: readonly Piece[];
}

export interface Pattern<Names extends string = string> {
  readonly text: string;
  readonly width: number;
  /** A one for every literal bit; unsigned. */
  readonly mask: number;
  /** The value of the literal bits; a word belongs to the pattern when (word & mask) === match. Unsigned. */
  readonly match: number;
  readonly fields: Readonly<Record<Names, Field>>;
}

/**
 * The union of the field names in a pattern literal: `FieldNames<'000 imm[4:1] rd:5'>` is `'imm' | 'rd'`; `string` for
 * any string.
 */
export type FieldNames<Text extends string> = string extends Text ? string : NamesIn<Text>;

type NamesIn<Text extends string> = Text extends `${infer Head} ${infer Tail}`
  ? NameOf<Head> | NamesIn<Tail>
  : NameOf<Text>;
type NameOf<Part extends string> = Part extends `${infer Name}[${string}`
  ? Name
  : Part extends `${infer Name}:${string}`
    ? Name
    : never;

/**
 * What objects with fields are made from: one named like a member of Object.prototype is no special case. [measured: made from null itself
 * they are hash tables to V8, of 1.3 KiB each]
 */
const NO_MEMBERS: object = Object.freeze(Object.create(null));

/**
 * Parses a pattern.
 * @throws PatternError naming the offending part.
 */
export function parsePattern<const Text extends string>(text: Text): Pattern<FieldNames<Text>> {
  const parts = text
    .split(' ')
    .filter((part) => part !== '')
    .map((part) => parsePart(text, part));
  const { width, mask, match } = literalBits(text);
  if (width === 0 || width > 32 || width % 8 !== 0) {
    throw new PatternError(text, `has ${width} bits; expected 8, 16, 24 or 32`);
  }
  const pieces = new Map<string, Piece[]>();
  let lo = width;
  for (const part of parts) {
    lo -= part.width;
    if (part.kind === 'field') {
      const piece = { lo, width: part.width, shift: part.shift };
      const earlier = pieces.get(part.name);
      if (earlier === undefined) pieces.set(part.name, [piece]);
      else earlier.push(piece);
    }
  }
  const fields = Object.create(NO_MEMBERS) as Record<FieldNames<Text>, Field>;
  for (const [name, list] of pieces) fields[name as FieldNames<Text>] = gather(text, name, list);
  return { text, width, mask, match, fields };
}

/** The bits that a pattern fixes, and its width. Does not look for mistakes, which `parsePattern` does: a start reads hundreds of patterns. */
export function literalBits(text: string): Pick<Pattern, 'width' | 'mask' | 'match'> {
  let width = 0;
  let mask = 0;
  let match = 0;
  for (let at = 0; at < text.length; at++) {
    const sign = text.charCodeAt(at);
    if (sign === BLANK) continue;
    let bits = 1;
    if (sign > ONE) {
      const blank = text.indexOf(' ', at);
      const end = blank < 0 ? text.length : blank;
      bits = fieldWidth(text.slice(at, end));
      at = end;
    }
    width += bits;
    // Not by shifts, which would end at bit 31.
    const scale = 2 ** bits;
    mask = mask * scale + (sign === ZERO || sign === ONE ? 1 : 0);
    match = match * scale + (sign === ONE ? 1 : 0);
  }
  return { width, mask, match };
}

/** Of `rd:5`, `imm[11:5]` or `imm[12]`. */
function fieldWidth(part: string): number {
  const bracket = part.indexOf('[');
  if (bracket < 0) return Number(part.slice(part.indexOf(':') + 1));
  const [high, low = high] = part.slice(bracket + 1, part.indexOf(']')).split(':');
  return Number(high) - Number(low) + 1;
}

/** Whether a word carries the pattern's literal bits. */
export function matches(pattern: Pattern, word: number): boolean {
  return (word & pattern.mask) >>> 0 === pattern.match;
}

/** The field's value in a word: unsigned, its pieces put in place. */
export function extractField(word: number, field: Field): number {
  const { pieces } = field;
  let value = 0;
  // By index: a program's first few thousand instructions are decoded before V8 has compiled any of this.
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i]!;
    value |= extractBits(word, piece.lo, piece.width) << piece.shift;
  }
  return value >>> 0;
}

/**
 * The word, unsigned, with the field set to the value's low bits; a negative number is taken in two's complement. Bits
 * of the value which no piece holds are dropped: `fitsField` tells beforehand.
 */
export function insertField(word: number, field: Field, value: number): number {
  let result = word;
  for (const { lo, width, shift } of field.pieces) result = insertBits(result, lo, width, value >>> shift);
  return result >>> 0;
}

/** Whether an unsigned value survives insertion: no bit lies above the field or where no piece supplies one. */
export function fitsField(field: Field, value: number): boolean {
  return (
    Number.isInteger(value) &&
    value >= 0 &&
    value <= 0xffff_ffff &&
    extractField(insertField(0, field, value), field) === value
  );
}

/** The bits that a pattern fixes. */
type Bits = Pick<Pattern, 'mask' | 'match'>;

/**
 * Whether some word belongs to both patterns. Patterns of unlike widths are compared from their low bits, as they lie
 * in memory.
 */
export function overlaps(a: Bits, b: Bits): boolean {
  return ((a.match ^ b.match) & a.mask & b.mask) === 0;
}

/** Whether every word of `inner` belongs to `outer` too, so that `inner` must be tried first. */
export function contains(outer: Bits, inner: Bits): boolean {
  return overlaps(outer, inner) && (outer.mask & ~inner.mask) === 0;
}

/** A pattern that cannot be parsed: a mistake in a table of ours, not in a guest. */
export class PatternError extends Error {
  constructor(text: string, problem: string) {
    super(`pattern '${text}' ${problem}`);
    this.name = 'PatternError';
  }
}

type Part =
  | { readonly kind: 'bits'; readonly width: number }
  | { readonly kind: 'field'; readonly width: number; readonly name: string; readonly shift: number };

function parsePart(text: string, part: string): Part {
  if (/^[01-]+$/.test(part)) {
    if (part.length > 32) throw new PatternError(text, `has more than 32 bits in '${part}'`);
    return { kind: 'bits', width: part.length };
  }
  const found = /^([A-Za-z_]\w*)(?:\[(\d+)(?::(\d+))?\])?(?::(\d+))?$/.exec(part);
  const name = found?.[1];
  if (name === undefined)
    throw new PatternError(text, `has a part '${part}' that is neither bits nor a field such as rd:5 or imm[4:0]`);
  const stated = found?.[4] === undefined ? undefined : Number(found[4]);
  if (found?.[2] === undefined) {
    if (stated === undefined)
      throw new PatternError(text, `gives no width for field '${part}'; write ${part}:5 or ${part}[4:0]`);
    return field(text, part, name, stated, 0);
  }
  const high = Number(found[2]);
  const low = found[3] === undefined ? high : Number(found[3]);
  if (stated !== undefined && stated !== high - low + 1) {
    throw new PatternError(text, `says ${stated} bits in '${part}', whose brackets hold ${high - low + 1}`);
  }
  return field(text, part, name, high - low + 1, low);
}

function field(text: string, part: string, name: string, width: number, shift: number): Part {
  if (width < 1 || shift + width > 32)
    throw new PatternError(text, `has an impossible range in '${part}'; expected bits 31 to 0, high first`);
  return { kind: 'field', width, name, shift };
}

function gather(text: string, name: string, pieces: readonly Piece[]): Field {
  let taken = 0;
  let width = 0;
  for (const piece of pieces) {
    const bits = insertBits(0, piece.shift, piece.width, -1);
    if ((taken & bits) !== 0) throw new PatternError(text, `supplies a bit of field '${name}' twice`);
    taken |= bits;
    width = Math.max(width, piece.shift + piece.width);
  }
  return { name, width, pieces };
}
