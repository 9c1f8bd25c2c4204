import type { Field } from '../../bits/pattern.ts';
import type { OperandKind } from '../instruction.ts';
import { tableOf } from '../table.ts';
import { CSR_NAMES } from './csr.ts';
import { F, F_NAMES, X, X_NAMES } from './registers.ts';

type Kind = (field: Field) => OperandKind;

function register(
  names: readonly string[],
  file: typeof X,
  destination: boolean,
  base = 0,
  refuse: readonly number[] = [],
): Kind {
  const ofWidth = (width: number): OperandKind => ({
    kind: file.name === 'x' ? 'integer register' : 'floating-point register',
    file,
    ...(destination ? { destination: true as const } : {}),
    decode: (raw) => raw + base,
    encode: (operand) => (operand >= base && operand < base + 2 ** width ? operand - base : undefined),
    ...(refuse.length === 0 ? {} : { legal: (raw: number) => !refuse.includes(raw + base) }),
    samples: [0, 1, 2, 5, 8, 15, 31].filter((raw) => raw < 2 ** width && !refuse.includes(raw + base)),
    show: (operand) => names[operand]!,
    parse: (text) => (names.includes(text) ? names.indexOf(text) : undefined),
  });
  // Hundreds of rows have the same.
  const made: OperandKind[] = [];
  return ({ width }) => (made[width] ??= ofWidth(width));
}

function parseInteger(text: string): number | undefined {
  return /^-?(0x[0-9a-f]+|\d+)$/i.test(text)
    ? text.startsWith('-')
      ? -Number(text.slice(1))
      : Number(text)
    : undefined;
}

const edges = (width: number): number[] =>
  [...new Set([0, 1, 2, 2 ** (width - 1) - 1, 2 ** (width - 1), 2 ** width - 2, 2 ** width - 1])].filter(
    (raw) => raw >= 0,
  );

/** Raw values that keep the bits no piece supplies at zero. */
function samplesOf(field: Field, legal: (raw: number) => boolean): number[] {
  const held = field.pieces.reduce((bits, { width, shift }) => bits | ((2 ** width - 1) << shift), 0) >>> 0;
  return [...new Set(edges(field.width).map((raw) => (raw & held) >>> 0))].filter(legal);
}

const anyRaw = (): boolean => true;

/** A two's-complement immediate of the field's width. */
function signed(legal: (raw: number) => boolean = anyRaw): Kind {
  return (field) => ({
    kind: 'signed immediate',
    decode: (raw) => (raw >= 2 ** (field.width - 1) ? raw - 2 ** field.width : raw),
    encode: (operand) =>
      operand >= -(2 ** (field.width - 1)) && operand < 2 ** (field.width - 1)
        ? operand < 0
          ? operand + 2 ** field.width
          : operand
        : undefined,
    ...(legal === anyRaw ? {} : { legal }),
    samples: samplesOf(field, legal),
    show: String,
    parse: parseInteger,
  });
}

function unsigned(show: (operand: number) => string, legal: (raw: number) => boolean = anyRaw): Kind {
  return (field) => ({
    kind: 'unsigned immediate',
    decode: (raw) => raw,
    encode: (operand) => (operand >= 0 ? operand : undefined),
    ...(legal === anyRaw ? {} : { legal }),
    samples: samplesOf(field, legal),
    show,
    parse: parseInteger,
  });
}

const hexadecimal = (value: number): string => `0x${value.toString(16)}`;

/** The upper 20 bits of LUI and AUIPC: the operand is the whole 32-bit value, assembly shows bits 31…12 unsigned. */
const upper: Kind = (field) => ({
  kind: 'upper immediate',
  decode: (raw) => raw | 0,
  encode: (operand) => ((operand & 0xfff) === 0 ? operand >>> 0 : undefined),
  samples: samplesOf(field, anyRaw),
  show: (operand) => hexadecimal(operand >>> 12),
  parse: (text) => {
    const value = parseInteger(text);
    return value === undefined || value < 0 || value > 0xfffff ? undefined : (value << 12) | 0;
  },
});

/** The immediate of C.LUI: six bits, sign-extended to 20. */
const compressedUpper: Kind = (field) => ({
  kind: 'upper immediate',
  decode: (raw) => (raw << 14) >> 14,
  encode: (operand) => (operand >= -(2 ** 17) && operand < 2 ** 17 ? operand & 0x3ffff : undefined),
  legal: (raw) => raw !== 0,
  samples: samplesOf(field, (raw) => raw !== 0),
  show: (operand) => hexadecimal((operand >> 12) & 0xfffff),
  parse: (text) => {
    const value = parseInteger(text);
    return value === undefined ? undefined : (value << 12) | 0;
  },
});

/** A branch or jump displacement: the operand is relative to the instruction, assembly shows the target. */
const target: Kind = (field) => ({
  ...signed()(field),
  kind: 'target',
  show: (operand, pc) => hexadecimalBig(BigInt.asUintN(64, pc + BigInt(operand))),
  parse: (text, pc) =>
    /^(0x)?[0-9a-f]+$/i.test(text)
      ? Number(BigInt.asIntN(64, BigInt(text.startsWith('0x') ? text : `0x${text}`) - pc))
      : undefined,
});

function hexadecimalBig(value: bigint): string {
  return `0x${value.toString(16)}`;
}

const csr: Kind = (field) => ({
  ...unsigned(hexadecimal)(field),
  kind: 'CSR',
  show: (operand) => CSR_NAMES.get(operand) ?? hexadecimal(operand),
  parse: (text) => parseInteger(text) ?? [...CSR_NAMES].find(([, name]) => name === text)?.[0],
});

const ROUNDING_NAMES = ['rne', 'rtz', 'rdn', 'rup', 'rmm', '', '', 'dyn'] as const;

/** A rounding mode (Unprivileged ISA, "Floating-Point Control and Status Register"); 5 and 6 are reserved. Shown with a comma, unless dynamic. */
const rounding: Kind = () => ({
  kind: 'rounding mode',
  decode: (raw) => raw,
  encode: (operand) => operand,
  legal: (raw) => raw !== 5 && raw !== 6,
  samples: [0, 1, 2, 3, 4, 7],
  specialise: [0, 1, 2, 3, 4, 7],
  show: (operand) => (operand === 7 ? '' : `,${ROUNDING_NAMES[operand]!}`),
  parse: (text) => {
    const mode = text === '' ? 7 : ROUNDING_NAMES.indexOf(text.slice(1) as 'rne');
    return mode < 0 || mode === 5 || mode === 6 ? undefined : mode;
  },
});

/** The same for conversions that are always exact: assembly leaves out nearest-even, which compilers write. */
const roundingOfExact: Kind = (field) => ({
  ...rounding(field),
  show: (operand) => (operand === 0 ? '' : `,${ROUNDING_NAMES[operand]!}`),
  parse: (text) => (text === '' ? 0 : rounding(field).parse(text, 0n)),
});

/** Acquire and release bits: shown as part of the mnemonic by the rows, so never alone. */
const fenceSet: Kind = (field) => ({
  ...unsigned(showFence)(field),
  kind: 'fence set',
  parse: (text) => {
    if (text === 'unknown') return 0;
    return /^i?o?r?w?$/.test(text) && text !== ''
      ? [...text].reduce((bits, letter) => bits | { i: 8, o: 4, r: 2, w: 1 }[letter as 'i' | 'o' | 'r' | 'w'], 0)
      : undefined;
  },
});

function showFence(set: number): string {
  const text = `${set & 8 ? 'i' : ''}${set & 4 ? 'o' : ''}${set & 2 ? 'r' : ''}${set & 1 ? 'w' : ''}`;
  return text === '' ? 'unknown' : text;
}

const decimal = (value: number): string => String(value);
const notZero = (raw: number): boolean => raw !== 0;

/** What every field name in the RISC-V tables means. Names ending in `q` are the three-bit registers of compressed instructions. */
export const { instruction, shortForm, relift } = tableOf({
  rd: register(X_NAMES, X, true),
  rs1: register(X_NAMES, X, false),
  rs2: register(X_NAMES, X, false),
  rdNonzero: register(X_NAMES, X, true, 0, [0]),
  rdNotSp: register(X_NAMES, X, true, 0, [2]),
  rs1Nonzero: register(X_NAMES, X, false, 0, [0]),
  rs2Nonzero: register(X_NAMES, X, false, 0, [0]),
  rdq: register(X_NAMES, X, true, 8),
  rs1q: register(X_NAMES, X, false, 8),
  rs2q: register(X_NAMES, X, false, 8),
  fd: register(F_NAMES, F, true),
  fs1: register(F_NAMES, F, false),
  fs2: register(F_NAMES, F, false),
  fs3: register(F_NAMES, F, false),
  fdq: register(F_NAMES, F, true, 8),
  fs2q: register(F_NAMES, F, false, 8),
  imm: signed(),
  immNonzero: signed(notZero),
  upper,
  compressedUpper,
  target,
  uimm: unsigned(decimal),
  uimmNonzero: unsigned(decimal, notZero),
  shamt: unsigned(hexadecimal),
  shamtNonzero: unsigned(hexadecimal, notZero),
  csr,
  rm: rounding,
  rmExact: roundingOfExact,
  pred: fenceSet,
  succ: fenceSet,
  any: unsigned(decimal),
});
