import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import type { OpName } from '../../ir/op.ts';
import type { Operand } from '../../ir/type.ts';
import type { TableRow } from '../table.ts';
import { addWithFlags, conditionHolds, read, setResultFlags, write, type Width } from './access.ts';
import { logicalImmediate } from './logical-immediate.ts';
import { CONDITIONS, instruction } from './operands.ts';
import { C, V, X } from './registers.ts';

const section = (title: string) => ({ spec: `A-profile Arm ARM, "${title}"`, extension: 'A64' });
const SHIFTED = section('Add/subtract (shifted register)');
const LOGICAL = section('Logical (immediate)');
const BITFIELD = section('Bitfield');
const CONDITIONAL_BRANCH = section('Conditional branch (immediate)');
const COMPARE_BRANCH = section('Compare and branch (immediate)');
const BRANCH = section('Unconditional branch (immediate)');
const BRANCH_REGISTER = section('Unconditional branch (register)');
const SELECT = section('Conditional select');
const THREE_SOURCE = section('Data-processing (3 source)');
const PAIR = section('Load/store register pair');

const SHIFT_OPS: readonly OpName[] = ['shl', 'shr_u', 'shr_s'];

function addSubtract(type: Width, subtract: boolean, flags: boolean) {
  return (b: Builder, d: Operand, n: Operand, m: Operand, shift: Operand, amount: Operand): void => {
    const y = b.op(SHIFT_OPS[Number(shift)]!, type, read(b, type, m), b.immediate(type, amount, false));
    const x = read(b, type, n);
    write(b, type, d, flags ? addWithFlags(b, type, x, y, subtract) : b.op(subtract ? 'sub' : 'add', type, x, y));
  };
}

/** ANDS also clears C and V. */
function logical(type: Width, op: OpName, flags: boolean) {
  return (b: Builder, d: Operand, n: Operand, immediate: Operand): void => {
    const result = b.op(op, type, read(b, type, n), logicalImmediate(b, type, immediate));
    if (flags) {
      setResultFlags(b, type, result);
      b.set(C, 0, b.const('i32', 0n));
      b.set(V, 0, b.const('i32', 0n));
    }
    write(b, type, d, result);
  };
}

/**
 * UBFM and SBFM: bit `imms` is moved to the top, then the field comes down to where it belongs; both cases of the manual, imms ≥ immr (extract) and
 * imms < immr (insert in zeroes), are this one formula since shift amounts count modulo the width.
 */
function bitfield(type: Width, down: OpName) {
  return (b: Builder, d: Operand, n: Operand, immr: Operand, imms: Operand): void => {
    const s = b.immediate(type, imms, false);
    const top = b.op('shl', type, read(b, type, n), b.op('sub', type, b.const(type, type === 'i64' ? 63n : 31n), s));
    const distance = b.op('sub', type, b.op('sub', type, b.immediate(type, immr, false), s), b.const(type, 1n));
    write(b, type, d, b.op(down, type, top, distance));
  };
}

/** The value taken when the condition fails: the register itself, incremented, inverted or negated. */
type Otherwise = (b: Builder, type: Width, value: Value) => Value;
const same: Otherwise = (_b, _type, value) => value;
const incremented: Otherwise = (b, type, value) => b.op('add', type, value, b.const(type, 1n));
const inverted: Otherwise = (b, type, value) => b.op('xor', type, value, b.const(type, -1n));
const negated: Otherwise = (b, type, value) => b.op('sub', type, b.const(type, 0n), value);

function select(type: Width, otherwise: Otherwise) {
  return (b: Builder, d: Operand, n: Operand, m: Operand, cond: Operand): void => {
    write(b, type, d, b.select(type, conditionHolds(b, cond), read(b, type, n), otherwise(b, type, read(b, type, m))));
  };
}

function multiplyAdd(type: Width, op: 'add' | 'sub') {
  return (b: Builder, d: Operand, n: Operand, m: Operand, a: Operand): void => {
    write(b, type, d, b.op(op, type, read(b, type, a), b.op('mul', type, read(b, type, n), read(b, type, m))));
  };
}

function compareBranch(type: Width, op: 'eq' | 'ne') {
  return (b: Builder, t: Operand, target: Operand): void =>
    b.branch(b.op(op, type, read(b, type, t), b.const(type, 0n)), target);
}

type Mode = 'post' | 'pre' | 'offset';

/** The address accessed and the base register's new value. */
function pairAddress(b: Builder, base: Operand, offset: Operand, mode: Mode): { address: Value; next: Value } {
  const start = b.get(X, base);
  const next = b.op('add', 'i64', start, b.immediate('i64', offset));
  return { address: mode === 'post' ? start : next, next };
}

/** Both halves are loaded before anything is written, so that a fault leaves base and registers as they were. */
function loadPair(type: Width, mode: Mode) {
  const bytes = type === 'i64' ? 8n : 4n;
  return (b: Builder, t: Operand, t2: Operand, base: Operand, offset: Operand): void => {
    const { address, next } = pairAddress(b, base, offset, mode);
    const first = b.load(type, Number(bytes) * 8, address);
    const second = b.load(type, Number(bytes) * 8, b.op('add', 'i64', address, b.const('i64', bytes)));
    if (mode !== 'offset') b.set(X, base, next);
    write(b, type, t, first);
    write(b, type, t2, second);
  };
}

/**
 * Two accesses, in order. When the second faults, the first has been made: the architecture allows that, since the instruction is run again
 * as a whole; the base register must not have moved by then.
 */
function storePair(type: Width, mode: Mode) {
  const bytes = type === 'i64' ? 8n : 4n;
  return (b: Builder, t: Operand, t2: Operand, base: Operand, offset: Operand): void => {
    const { address, next } = pairAddress(b, base, offset, mode);
    const second = b.op('add', 'i64', address, b.const('i64', bytes));
    b.store(type, Number(bytes) * 8, address, read(b, type, t));
    b.store(type, Number(bytes) * 8, second, read(b, type, t2));
    if (mode !== 'offset') b.set(X, base, next);
  };
}

const ARITHMETIC = [
  ['add', '00', false, false],
  ['adds', '01', false, true],
  ['sub', '10', true, false],
  ['subs', '11', true, true],
] as const;
const MODES = [
  ['post', '001', '[{base}],{offset}'],
  ['pre', '011', '[{base},{offset}]!'],
  ['offset', '010', '[{base},{offset}]'],
] as const;

const add = (bits: string, name: string, subtract: boolean, flags: boolean): TableRow[] => {
  const wide = addSubtract('i64', subtract, flags);
  const narrow = addSubtract('i32', subtract, flags);
  return [
    instruction(
      name,
      `1${bits as '00'}01011 shift:2 0 xm:5 amount:6 xn:5 xd:5`,
      '{xd},{xn},{xm},{shift} {amount}',
      (b, { xd, xn, xm, shift, amount }) => wide(b, xd, xn, xm, shift, amount),
      { ...SHIFTED, name: `${name} (64)` },
    ),
    instruction(
      name,
      `0${bits as '00'}01011 shift:2 0 wm:5 0 amount32:5 wn:5 wd:5`,
      '{wd},{wn},{wm},{shift} {amount32}',
      (b, { wd, wn, wm, shift, amount32 }) => narrow(b, wd, wn, wm, shift, amount32),
      { ...SHIFTED, name: `${name} (32)` },
    ),
  ];
};

/** AND, ORR and EOR may write the stack pointer, ANDS the zero register. */
const logicalRows = (bits: string, name: string, op: OpName): TableRow[] => {
  const wide = logical('i64', op, false);
  const narrow = logical('i32', op, false);
  return [
    instruction(
      name,
      `1${bits as '00'}100100 logical64:13 xn:5 xdSp:5`,
      '{xdSp},{xn},{logical64}',
      (b, { xdSp, xn, logical64 }) => wide(b, xdSp, xn, logical64),
      { ...LOGICAL, name: `${name} (64)` },
    ),
    instruction(
      name,
      `0${bits as '00'}100100 logical32:13 wn:5 wdSp:5`,
      '{wdSp},{wn},{logical32}',
      (b, { wdSp, wn, logical32 }) => narrow(b, wdSp, wn, logical32),
      { ...LOGICAL, name: `${name} (32)` },
    ),
  ];
};

const ands64 = logical('i64', 'and', true);
const ands32 = logical('i32', 'and', true);

const bitfieldRows = (bits: string, name: string, down: OpName): TableRow[] => {
  const wide = bitfield('i64', down);
  const narrow = bitfield('i32', down);
  return [
    instruction(
      name,
      `1${bits as '00'}100110 1 immr:6 imms:6 xn:5 xd:5`,
      '{xd},{xn},{immr},{imms}',
      (b, { xd, xn, immr, imms }) => wide(b, xd, xn, immr, imms),
      { ...BITFIELD, name: `${name} (64)` },
    ),
    instruction(
      name,
      `0${bits as '00'}100110 0 0 immr32:5 0 imms32:5 wn:5 wd:5`,
      '{wd},{wn},{immr32},{imms32}',
      (b, { wd, wn, immr32, imms32 }) => narrow(b, wd, wn, immr32, imms32),
      { ...BITFIELD, name: `${name} (32)` },
    ),
  ];
};

const selectRows = (op: string, op2: string, name: string, otherwise: Otherwise): TableRow[] => {
  const wide = select('i64', otherwise);
  const narrow = select('i32', otherwise);
  return [
    instruction(
      name,
      `1${op as '0'}011010100 xm:5 cond:4 ${op2 as '00'} xn:5 xd:5`,
      '{xd},{xn},{xm},{cond}',
      (b, { xd, xn, xm, cond }) => wide(b, xd, xn, xm, cond),
      { ...SELECT, name: `${name} (64)` },
    ),
    instruction(
      name,
      `0${op as '0'}011010100 wm:5 cond:4 ${op2 as '00'} wn:5 wd:5`,
      '{wd},{wn},{wm},{cond}',
      (b, { wd, wn, wm, cond }) => narrow(b, wd, wn, wm, cond),
      { ...SELECT, name: `${name} (32)` },
    ),
  ];
};

const multiplyRows = (bit: string, name: string, op: 'add' | 'sub'): TableRow[] => {
  const wide = multiplyAdd('i64', op);
  const narrow = multiplyAdd('i32', op);
  return [
    instruction(
      name,
      `10011011000 xm:5 ${bit as '0'} xa:5 xn:5 xd:5`,
      '{xd},{xn},{xm},{xa}',
      (b, { xd, xn, xm, xa }) => wide(b, xd, xn, xm, xa),
      { ...THREE_SOURCE, name: `${name} (64)` },
    ),
    instruction(
      name,
      `00011011000 wm:5 ${bit as '0'} wa:5 wn:5 wd:5`,
      '{wd},{wn},{wm},{wa}',
      (b, { wd, wn, wm, wa }) => narrow(b, wd, wn, wm, wa),
      { ...THREE_SOURCE, name: `${name} (32)` },
    ),
  ];
};

const pairRows = ([mode, bits]: (typeof MODES)[number]): TableRow[] => {
  const shape = <Offset extends string>(offset: Offset) =>
    (mode === 'post'
      ? `[{base}],{${offset}}`
      : mode === 'pre'
        ? `[{base},{${offset}}]!`
        : `[{base},{${offset}}]`) as `[{base},{${Offset}}]`;
  const [load64, load32, store64, store32] = [
    loadPair('i64', mode),
    loadPair('i32', mode),
    storePair('i64', mode),
    storePair('i32', mode),
  ];
  return [
    instruction(
      'ldp',
      `10101 00${bits.slice(1) as '01'} 1 offset8:7 xt2:5 base:5 xt:5`,
      `{xt},{xt2},${shape('offset8')}`,
      (b, { xt, xt2, base, offset8 }) => load64(b, xt, xt2, base, offset8),
      { ...PAIR, name: `ldp (64, ${mode})` },
    ),
    instruction(
      'ldp',
      `00101 00${bits.slice(1) as '01'} 1 offset4:7 wt2:5 base:5 wt:5`,
      `{wt},{wt2},${shape('offset4')}`,
      (b, { wt, wt2, base, offset4 }) => load32(b, wt, wt2, base, offset4),
      { ...PAIR, name: `ldp (32, ${mode})` },
    ),
    instruction(
      'stp',
      `10101 00${bits.slice(1) as '01'} 0 offset8:7 xs2:5 base:5 xs:5`,
      `{xs},{xs2},${shape('offset8')}`,
      (b, { xs, xs2, base, offset8 }) => store64(b, xs, xs2, base, offset8),
      { ...PAIR, name: `stp (64, ${mode})` },
    ),
    instruction(
      'stp',
      `00101 00${bits.slice(1) as '01'} 0 offset4:7 ws2:5 base:5 ws:5`,
      `{ws},{ws2},${shape('offset4')}`,
      (b, { ws, ws2, base, offset4 }) => store32(b, ws, ws2, base, offset4),
      { ...PAIR, name: `stp (32, ${mode})` },
    ),
  ];
};

const cbz = (['eq', 'ne'] as const).flatMap((op, i) => {
  const name = i === 0 ? 'cbz' : 'cbnz';
  const wide = compareBranch('i64', op);
  const narrow = compareBranch('i32', op);
  const bit = String(i) as '0';
  return [
    instruction(name, `1011010${bit} target[18:0] xs:5`, '{xs},{target}', (b, { xs, target }) => wide(b, xs, target), {
      ...COMPARE_BRANCH,
      name: `${name} (64)`,
    }),
    instruction(
      name,
      `0011010${bit} target[18:0] ws:5`,
      '{ws},{target}',
      (b, { ws, target }) => narrow(b, ws, target),
      { ...COMPARE_BRANCH, name: `${name} (32)` },
    ),
  ];
});

/** The instructions of A64 that exist so far. */
export const A64: readonly TableRow[] = [
  ...ARITHMETIC.flatMap(([name, bits, subtract, flags]) => add(bits, name, subtract, flags)),
  ...logicalRows('00', 'and', 'and'),
  ...logicalRows('01', 'orr', 'or'),
  ...logicalRows('10', 'eor', 'xor'),
  instruction(
    'ands',
    '111100100 logical64:13 xn:5 xd:5',
    '{xd},{xn},{logical64}',
    (b, { xd, xn, logical64 }) => ands64(b, xd, xn, logical64),
    { ...LOGICAL, name: 'ands (64)' },
  ),
  instruction(
    'ands',
    '011100100 logical32:13 wn:5 wd:5',
    '{wd},{wn},{logical32}',
    (b, { wd, wn, logical32 }) => ands32(b, wd, wn, logical32),
    { ...LOGICAL, name: 'ands (32)' },
  ),
  ...bitfieldRows('10', 'ubfm', 'shr_u'),
  ...bitfieldRows('00', 'sbfm', 'shr_s'),
  ...selectRows('0', '00', 'csel', same),
  ...selectRows('0', '01', 'csinc', incremented),
  ...selectRows('1', '00', 'csinv', inverted),
  ...selectRows('1', '01', 'csneg', negated),
  ...multiplyRows('0', 'madd', 'add'),
  ...multiplyRows('1', 'msub', 'sub'),
  ...MODES.flatMap(pairRows),
  ...CONDITIONS.map((name, number) =>
    instruction(
      `b.${name}`,
      `01010100 target[18:0] 0 ${number.toString(2).padStart(4, '0') as '0000'}`,
      '{target}',
      (b, { target }) => b.branch(conditionHolds(b, number), target),
      CONDITIONAL_BRANCH,
    ),
  ),
  ...cbz,
  instruction('b', '000101 target[25:0]', '{target}', (b, { target }) => b.jumpRelative(target), BRANCH),
  instruction(
    'bl',
    '100101 target[25:0]',
    '{target}',
    (b, { target }) => {
      b.set(X, 30, b.nextPc());
      b.jumpRelative(target, 'call');
    },
    BRANCH,
  ),
  instruction(
    'ret',
    '1101011001011111000000 xn:5 00000',
    '{xn}',
    (b, { xn }) => b.jump(read(b, 'i64', xn), 'return'),
    BRANCH_REGISTER,
  ),
];
