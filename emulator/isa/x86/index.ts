import { assert } from '../../check/assert.ts';
import type { Decoded, Isa } from '../instruction.ts';
import { assemble } from './assemble.ts';
import {
  ByteReader,
  hasModRm,
  immediateBytes,
  MAXIMUM_LENGTH,
  readModRm,
  readPrefixes,
  type X86Operands,
} from './encoding.ts';
import { FILES } from './registers.ts';
import { X86_64, type X86Row } from './rows.ts';
import { mnemonicOf, showOperands } from './syntax.ts';

/** Rows by opcode, two-byte opcodes at 256 and up; several rows at one opcode differ in their digit. */
const BY_OPCODE: readonly (readonly X86Row[])[] = Array.from({ length: 512 }, (_, index) => {
  const rows = X86_64.filter((row) => row.opcode + (row.twoByte ? 256 : 0) === index);
  for (const row of rows) {
    assert(
      rows.filter((other) => other.digit === row.digit || other.digit === undefined).length === 1 || rows.length === 1,
      `${row.name} overlaps another row`,
    );
    assert(hasModRm(row.form) === hasModRm(rows[0]!.form), `${row.name} disagrees about ModRM`);
  }
  return rows;
});

const NO_PLACE = { reg: 0, direct: 1, rm: 0, base: -1, index: -1, scale: 0, displacement: 0 } as const;

function sizeOf(row: X86Row, narrow: boolean, rex: number): number {
  if (row.sizing === 'byte') return 8;
  if (row.sizing === 'near') return 64;
  if ((rex & 8) !== 0) return 64;
  if (narrow) return 16;
  return row.sizing === 'quad' ? 64 : 32;
}

function decode(bytes: Uint8Array, offset: number): Decoded | undefined {
  const reader = new ByteReader(bytes, offset);
  const head = readPrefixes(reader);
  if (!head) return undefined;
  const { narrow, rex } = head.prefixes;
  let { opcode } = head;
  if (opcode === 0x0f) {
    const second = reader.byte();
    if (second === undefined) return undefined;
    opcode = 256 + second;
  }
  const rows = BY_OPCODE[opcode]!;
  if (rows.length === 0) return undefined;
  let place: Omit<X86Operands, 'size' | 'rex' | 'narrow' | 'immediateLow' | 'immediateHigh'> = {
    ...NO_PLACE,
    rm: (opcode & 7) | ((rex & 1) << 3),
  };
  if (hasModRm(rows[0]!.form)) {
    const read = readModRm(reader, rex);
    if (!read) return undefined;
    place = read;
  }
  const row = rows.find(({ digit }) => digit === undefined || digit === (place.reg & 7));
  if (!row || (row.form === 'r,m' && place.direct === 1)) return undefined;
  // Branches and the 32-bit PUSH differ between vendors under an operand-size prefix: refused.
  if (narrow && row.sizing === 'near') return undefined;
  const size = sizeOf(row, narrow, rex);
  const count = immediateBytes(row.form, size);
  const low = count === 0 ? 0 : reader.signed(Math.min(count, 4));
  if (low === undefined) return undefined;
  const high = count === 8 ? reader.signed(4) : low >> 31;
  if (high === undefined) return undefined;
  const length = reader.length;
  const operands: Record<string, number> = {
    size,
    rex: rex === 0 ? 0 : 1,
    narrow: narrow ? 1 : 0,
    ...place,
    immediateLow: low,
    immediateHigh: high,
    length,
  };
  return { row, length, operands };
}

/** The part of x86-64 that exists so far: the proof that decoding, lifting and lowering are not shaped for fixed-length encodings. */
export const x86_64: Isa = {
  name: 'x86_64',
  files: FILES,
  rows: X86_64,
  alignment: 1,
  maximumLength: MAXIMUM_LENGTH,
  // #UD, invalid opcode.
  illegalInstruction: 6,
  decode,
  canonical: (decoded) => decoded,
  decodeExecuted: decode,
  disassemble: ({ row, operands, length }, pc) => {
    const text = showOperands(row as X86Row, operands as unknown as X86Operands, pc, length);
    const mnemonic = mnemonicOf(row as X86Row, operands['size']!);
    return text === '' ? mnemonic : `${mnemonic}\t${text}`;
  },
  assemble,
  helpers: {},
};
