import type { Field } from '../../bits/pattern.ts';
import type { OperandKind } from '../instruction.ts';
import { tableOf } from '../table.ts';
import { decodeLogicalImmediate, encodeLogicalImmediate } from './logical-immediate.ts';
import { STACK, X, ZERO } from './registers.ts';

type Kind = (field: Field) => OperandKind;

/** A general register as an operand: 31 is the zero register, or the stack pointer where `stack`. */
function register(letter: 'x' | 'w', stack: boolean, destination: boolean): Kind {
  const special = stack ? (letter === 'x' ? 'sp' : 'wsp') : `${letter}zr`;
  const at31 = stack ? STACK : ZERO;
  return () => ({
    kind: 'register',
    file: X,
    ...(destination ? { destination: true as const } : {}),
    decode: (raw) => (raw === 31 ? at31 : raw),
    encode: (operand) => (operand === at31 ? 31 : operand >= 0 && operand < 31 ? operand : undefined),
    samples: [0, 1, 2, 15, 30, 31],
    show: (operand) => (operand === at31 ? special : `${letter}${operand}`),
    parse: (text) => {
      if (text === special) return at31;
      const number = text.startsWith(letter) && /^\w(0|[1-9]\d?)$/.test(text) ? Number(text.slice(1)) : 31;
      return number < 31 ? number : undefined;
    },
  });
}

function parseNumber(text: string): number | undefined {
  const match = /^#?(-?)(0x[0-9a-f]+|\d+)$/i.exec(text);
  return match ? Number(`${match[2]}`) * (match[1] === '-' ? -1 : 1) : undefined;
}

const unsigned: Kind = ({ width }) => ({
  kind: 'unsigned immediate',
  decode: (raw) => raw,
  encode: (operand) => (operand >= 0 ? operand : undefined),
  samples: [0, 1, 2 ** (width - 1) - 1, 2 ** (width - 1), 2 ** width - 1],
  show: (operand) => `#${operand}`,
  parse: parseNumber,
});

function scaled(scale: number, shown: (value: number) => string): Kind {
  return ({ width }) => ({
    kind: 'scaled signed immediate',
    decode: (raw) => (raw >= 2 ** (width - 1) ? raw - 2 ** width : raw) * scale,
    encode: (operand) => {
      const units = operand / scale;
      return Number.isInteger(units) && units >= -(2 ** (width - 1)) && units < 2 ** (width - 1)
        ? units < 0
          ? units + 2 ** width
          : units
        : undefined;
    },
    samples: [0, 1, 2 ** (width - 1) - 1, 2 ** (width - 1), 2 ** width - 1],
    show: shown,
    parse: parseNumber,
  });
}

const target: Kind = (field) => ({
  ...scaled(4, String)(field),
  kind: 'target',
  show: (operand, pc) => `0x${BigInt.asUintN(64, pc + BigInt(operand)).toString(16)}`,
  parse: (text, pc) => (/^0x[0-9a-f]+$/i.test(text) ? Number(BigInt.asIntN(64, BigInt(text) - pc)) : undefined),
});

const SHIFTS = ['lsl', 'lsr', 'asr', 'ror'] as const;

/** How the second operand is shifted; `ror` is reserved for additions. */
const shift: Kind = () => ({
  kind: 'shift type',
  decode: (raw) => raw,
  encode: (operand) => operand,
  legal: (raw) => raw !== 3,
  samples: [0, 1, 2],
  specialise: [0, 1, 2],
  show: (operand) => SHIFTS[operand]!,
  parse: (text) => {
    const index = SHIFTS.indexOf(text as 'lsl');
    return index >= 0 && index < 3 ? index : undefined;
  },
});

const amount: Kind = (field) => ({ ...unsigned(field), kind: 'shift amount' });
/** A bit number of a 32-bit register. */
const bit32: Kind = (field) => ({ ...unsigned(field), samples: [0, 1, 15, 16, 31] });

export const CONDITIONS = [
  'eq',
  'ne',
  'cs',
  'cc',
  'mi',
  'pl',
  'vs',
  'vc',
  'hi',
  'ls',
  'ge',
  'lt',
  'gt',
  'le',
  'al',
  'nv',
] as const;

const condition: Kind = () => ({
  kind: 'condition',
  decode: (raw) => raw,
  encode: (operand) => operand,
  samples: [...Array(16).keys()],
  specialise: [...Array(16).keys()],
  show: (operand) => CONDITIONS[operand]!,
  parse: (text) => {
    const index = CONDITIONS.indexOf(text as 'eq');
    return index < 0 ? undefined : index;
  },
});

/** The operand is the 13-bit encoding itself, since the value has 64 bits; assembly shows the value. */
function logical(bits: 32 | 64): Kind {
  const value = (encoded: number): bigint => BigInt.asUintN(bits, decodeLogicalImmediate(encoded)!);
  return () => ({
    kind: 'bit mask immediate',
    decode: (raw) => raw,
    encode: (operand) => operand,
    legal: (raw) => decodeLogicalImmediate(raw) !== undefined && (bits === 64 || raw < 1 << 12),
    samples: [
      0,
      0b000_000_000111,
      0b000_011_000111,
      0b000_001_111000,
      0b000_010_110001,
      ...(bits === 64 ? [0b1_000_000_000_000, 0b1_000_101_011_110] : []),
    ].filter((raw) => decodeLogicalImmediate(raw) !== undefined),
    show: (operand) => `#0x${value(operand).toString(16)}`,
    parse: (text) => {
      if (!/^#0x[0-9a-f]{1,16}$/i.test(text)) return undefined;
      const wanted = BigInt(text.slice(1));
      return encodeLogicalImmediate(bits === 64 ? wanted : (wanted << 32n) | wanted);
    },
  });
}

export const { instruction } = tableOf({
  xd: register('x', false, true),
  xn: register('x', false, false),
  xm: register('x', false, false),
  xa: register('x', false, false),
  xt: register('x', false, true),
  xt2: register('x', false, true),
  xs: register('x', false, false),
  xs2: register('x', false, false),
  wd: register('w', false, true),
  wn: register('w', false, false),
  wm: register('w', false, false),
  wa: register('w', false, false),
  wt: register('w', false, true),
  wt2: register('w', false, true),
  ws: register('w', false, false),
  ws2: register('w', false, false),
  xdSp: register('x', true, true),
  wdSp: register('w', true, true),
  base: register('x', true, false),
  target,
  shift,
  amount,
  amount32: amount,
  immr: unsigned,
  imms: unsigned,
  immr32: bit32,
  imms32: bit32,
  offset8: scaled(8, (value) => `#${value}`),
  offset4: scaled(4, (value) => `#${value}`),
  cond: condition,
  logical64: logical(64),
  logical32: logical(32),
});
