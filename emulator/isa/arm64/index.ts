import { rememberExecuted } from '../executed.ts';
import { FixedWidthDecoder } from '../decoder.ts';
import type { Decoded, Isa } from '../instruction.ts';
import { Assembler, showInstruction } from '../syntax.ts';
import { FILES, SINK, ZERO } from './registers.ts';
import { A64 } from './rows.ts';

const decoder = new FixedWidthDecoder(A64, { ranges: [{ lo: 24, width: 8 }] });
const assembler = new Assembler(A64);

function wordAt(bytes: Uint8Array, offset: number): number | undefined {
  if (offset < 0 || offset + 4 > bytes.length) return undefined;
  const word = bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24);
  return word >>> 0;
}

function decode(bytes: Uint8Array, offset: number): Decoded | undefined {
  const word = wordAt(bytes, offset);
  return word === undefined ? undefined : decoder.decode(word);
}

/** Destinations that are the zero register become the sink. */
function canonical(decoded: Decoded): Decoded {
  const entries = Object.entries(decoded.operands).map(([name, operand]): [string, number] => [
    name,
    decoded.row.operands[name]!.destination === true && operand === ZERO ? SINK : operand,
  ]);
  return { ...decoded, operands: Object.fromEntries(entries) };
}

/** The part of A64 that exists so far: the proof that tables, lifting and lowering are not shaped for one ISA. */
export const arm64: Isa = {
  name: 'aarch64',
  files: FILES,
  rows: A64,
  alignment: 4,
  maximumLength: 4,
  // The exception class of an unknown instruction (ESR_ELx.EC 0).
  illegalInstruction: 0,
  decode,
  canonical,
  wordAt,
  words: { groups: 2 ** 4, groupOf: (word) => (word >>> 25) & 15 },
  decodeExecuted: rememberExecuted(wordAt, (word) => {
    const decoded = decoder.decode(word);
    return decoded && canonical(decoded);
  }),
  disassemble: showInstruction,
  assemble: (line, pc) => {
    const result = assembler.assemble(line, pc);
    if ('error' in result) return result;
    return Uint8Array.from({ length: 4 }, (_, i) => (result.word >>> (8 * i)) & 0xff);
  },
  helpers: {},
};
