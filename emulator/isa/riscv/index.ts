import { FixedWidthDecoder } from '../decoder.ts';
import { rememberExecuted } from '../executed.ts';
import { type Decoded, type Helper, type Instruction, type Isa, QuickOutcome } from '../instruction.ts';
import { Assembler, showInstruction } from '../syntax.ts';
import type { TableRow } from '../table.ts';
import { accessCsr } from './csr.ts';
import { CSR_FORMS } from './csr-forms.ts';
import { PRIVILEGED, PRIVILEGED_HELPERS } from './privileged.ts';
import { accessCsrQuickly } from './quick-csr.ts';
import { FILES, FLOAT_OFF, FRM } from './registers.ts';
import { RV_A } from './rv-a.ts';
import { RV_ZBA, RV_ZBB, RV_ZBS, RV_ZICOND } from './rv-b.ts';
import { RV_C } from './rv-c.ts';
import { RV_D, RV_F } from './rv-fd.ts';
import { RV_I } from './rv-i.ts';
import { RV_M } from './rv-m.ts';
import { Cause } from './trap.ts';
import { ZICSR_ROWS } from './zicsr.ts';

const ROWS: readonly TableRow[] = [
  ...RV_I,
  ...RV_M,
  ...RV_A,
  ...RV_F,
  ...RV_D,
  ...RV_ZBA,
  ...RV_ZBB,
  ...RV_ZBS,
  ...RV_ZICOND,
  ...ZICSR_ROWS,
  ...PRIVILEGED,
  ...RV_C,
];

/** Opcode and funct3 tell most instructions apart; compressed ones by quadrant and the top six bits. */
const wide = new FixedWidthDecoder(
  ROWS.filter(({ length }) => length === 4),
  {
    ranges: [
      { lo: 25, width: 2 },
      { lo: 12, width: 3 },
      { lo: 2, width: 5 },
    ],
  },
);
const compressed = new FixedWidthDecoder(
  ROWS.filter(({ length }) => length === 2),
  {
    ranges: [
      { lo: 10, width: 6 },
      { lo: 0, width: 2 },
    ],
  },
);
let assembler: Assembler | undefined;

/** The bits of the instruction at an offset; undefined where it is cut off. */
function wordAt(bytes: Uint8Array, offset: number): number | undefined {
  if (offset < 0 || offset + 2 > bytes.length) return undefined;
  const low = bytes[offset]! | (bytes[offset + 1]! << 8);
  // The two lowest bits are 11 in all encodings of 32 bits and more (Unprivileged ISA, "Base Instruction-Length Encoding").
  if ((low & 3) !== 3) return low;
  if (offset + 4 > bytes.length) return undefined;
  return (low | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>> 0;
}

function decode(bytes: Uint8Array, offset: number): Decoded | undefined {
  const word = wordAt(bytes, offset);
  return word === undefined ? undefined : decodeWord(word);
}

function decodeWord(word: number): Decoded | undefined {
  return (word & 3) === 3 ? wide.decode(word) : compressed.decode(word);
}

const WIDE_GROUPS = 1 << 5;
/** The major opcode (Unprivileged ISA, "RV32/64G Instruction Set Listings"); of compressed words the quadrant and the three highest bits. */
function groupOf(word: number): number {
  return (word & 3) === 3 ? (word >>> 2) & 31 : WIDE_GROUPS | ((word >>> 11) & 0x1c) | (word & 3);
}

interface Sink {
  readonly name: string;
  readonly sink: number;
}

const sinks = new Map<Instruction, readonly Sink[]>();

/** The operands of a row that are written, and where writes to number 0 go. */
function sinksOf(row: Instruction): readonly Sink[] {
  let known = sinks.get(row);
  if (known === undefined) {
    known = Object.entries(row.operands).flatMap(([name, { destination, file }]) =>
      destination === true && file?.sink !== undefined ? [{ name, sink: file.sink }] : [],
    );
    sinks.set(row, known);
  }
  return known;
}

/** The row as executed: the base instruction of a compressed one, writes to x0 sent to the sink. */
function canonical(decoded: Decoded): Decoded {
  const { row, length, operands } = decoded;
  const expanded = row.expandsTo?.(operands) ?? { row, operands };
  let result: Record<string, number> | undefined;
  const written = sinksOf(expanded.row);
  for (let i = 0; i < written.length; i++) {
    const { name, sink } = written[i]!;
    if (expanded.operands[name] !== 0) continue;
    result ??= { ...expanded.operands };
    result[name] = sink;
  }
  if (expanded.row === row && result === undefined) return decoded;
  return { row: expanded.row, length, operands: result ?? expanded.operands };
}

const helpers: Readonly<Record<string, Helper>> = {
  csr: {
    doc: 'Accesses a control and status register: its number, a CsrOperation, the operand; gives the old value.',
    parameters: 3,
    straight: true,
    call: (context, [number, operation, operand]) => accessCsr(context, Number(number), Number(operation), operand!),
    quick: accessCsrQuickly,
    forms: CSR_FORMS,
  },
  fence_i: {
    doc: 'Makes stores visible to instruction fetches: decoded and translated code is dropped.',
    parameters: 0,
    straight: true,
    call: ({ flushCode }) => {
      flushCode();
      return { result: 0n };
    },
    quick: ({ flushCode }) => {
      flushCode();
      return QuickOutcome.done;
    },
    // Generated code has seen to it when code was written.
    forms: [{ lift: () => {} }],
  },
  ...PRIVILEGED_HELPERS,
};

/** RV64GC with Zicsr, Zifencei, Zba, Zbb, Zbs, Zicond and the cache-block extensions; machine, supervisor and user mode. */
export const riscv64: Isa = {
  name: 'riscv64',
  files: FILES,
  modes: [FRM, FLOAT_OFF],
  rows: ROWS,
  alignment: 2,
  maximumLength: 4,
  illegalInstruction: Cause.illegalInstruction,
  decode,
  canonical,
  wordAt,
  words: { groups: 2 * WIDE_GROUPS, groupOf },
  decodeExecuted: rememberExecuted(wordAt, (word) => {
    const decoded = decodeWord(word);
    return decoded && canonical(decoded);
  }),
  disassemble: showInstruction,
  assemble: (line, pc) => {
    assembler ??= new Assembler(ROWS);
    const result = assembler.assemble(line, pc);
    if ('error' in result) return result;
    return Uint8Array.from({ length: result.length }, (_, i) => (result.word >>> (8 * i)) & 0xff);
  },
  helpers,
};
