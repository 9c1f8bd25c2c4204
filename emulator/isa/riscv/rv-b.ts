import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import type { OpName } from '../../ir/op.ts';
import type { Operand } from '../../ir/type.ts';
import type { TableRow } from '../table.ts';
import { readWord, readX, writeWord, writeX } from './access.ts';
import { instruction } from './operands.ts';

const ZBA = { spec: 'Unprivileged ISA, "Zba: Address generation"', extension: 'Zba' };
const ZBB = { spec: 'Unprivileged ISA, "Zbb: Basic bit-manipulation"', extension: 'Zbb' };
const ZBS = { spec: 'Unprivileged ISA, "Zbs: Single-bit instructions"', extension: 'Zbs' };
const ZICOND = { spec: 'Unprivileged ISA, "Zicond" Extension for Integer Conditional Operations', extension: 'Zicond' };

type Three = Readonly<Record<'rd' | 'rs1' | 'rs2', Operand>>;
type Two = Readonly<Record<'rd' | 'rs1', Operand>>;
type Shifted = Readonly<Record<'rd' | 'rs1' | 'shamt', Operand>>;

/** (rs1 << n) + rs2, with rs1 cut to its low word first when `unsignedWord`. */
function shiftAdd(amount: number, unsignedWord: boolean) {
  return (b: Builder, { rd, rs1, rs2 }: Three) => {
    const index = unsignedWord ? b.op('widen_u', 'i64', readWord(b, rs1)) : readX(b, rs1);
    const scaled = amount === 0 ? index : b.op('shl', 'i64', index, b.const('i64', amount));
    writeX(b, rd, b.op('add', 'i64', scaled, readX(b, rs2)));
  };
}

function withInverted(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: Three) =>
    writeX(b, rd, b.op(op, 'i64', readX(b, rs1), b.op('xor', 'i64', readX(b, rs2), b.const('i64', -1n))));
}

function onDouble(op: OpName) {
  return (b: Builder, { rd, rs1 }: Two) => writeX(b, rd, b.op(op, 'i64', readX(b, rs1)));
}

function onWord(op: OpName) {
  return (b: Builder, { rd, rs1 }: Two) => writeWord(b, rd, b.op(op, 'i32', readWord(b, rs1)));
}

function rotate(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: Three) => writeX(b, rd, b.op(op, 'i64', readX(b, rs1), readX(b, rs2)));
}

function rotateWord(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: Three) => writeWord(b, rd, b.op(op, 'i32', readWord(b, rs1), readWord(b, rs2)));
}

/** The one of two values that the comparison picks. */
function extreme(compare: OpName, greater: boolean) {
  return (b: Builder, { rd, rs1, rs2 }: Three) => {
    const x = readX(b, rs1);
    const y = readX(b, rs2);
    writeX(b, rd, b.select('i64', greater ? b.op(compare, 'i64', y, x) : b.op(compare, 'i64', x, y), x, y));
  };
}

/** Each byte becomes all ones when it is not zero: add 0x7f to the low seven bits, carry into the top one, then spread it. */
function orCombine(b: Builder, { rd, rs1 }: Two): void {
  const x = readX(b, rs1);
  const low = b.const('i64', 0x7f7f_7f7f_7f7f_7f7fn);
  const carried = b.op('or', 'i64', b.op('add', 'i64', b.op('and', 'i64', x, low), low), x);
  const ones = b.op(
    'and',
    'i64',
    b.op('shr_u', 'i64', carried, b.const('i64', 7n)),
    b.const('i64', 0x0101_0101_0101_0101n),
  );
  writeX(b, rd, b.op('mul', 'i64', ones, b.const('i64', 0xffn)));
}

/** 1 << index, the index taken modulo 64. */
function bitAt(b: Builder, index: Value): Value {
  return b.op('shl', 'i64', b.const('i64', 1n), index);
}

type BitAction = (b: Builder, x: Value, index: Value) => Value;
const clear: BitAction = (b, x, index) =>
  b.op('and', 'i64', x, b.op('xor', 'i64', bitAt(b, index), b.const('i64', -1n)));
const extract: BitAction = (b, x, index) => b.op('and', 'i64', b.op('shr_u', 'i64', x, index), b.const('i64', 1n));
const invert: BitAction = (b, x, index) => b.op('xor', 'i64', x, bitAt(b, index));
const set: BitAction = (b, x, index) => b.op('or', 'i64', x, bitAt(b, index));

function byRegister(action: BitAction) {
  return (b: Builder, { rd, rs1, rs2 }: Three) => writeX(b, rd, action(b, readX(b, rs1), readX(b, rs2)));
}

function byImmediate(action: BitAction) {
  return (b: Builder, { rd, rs1, shamt }: Shifted) =>
    writeX(b, rd, action(b, readX(b, rs1), b.immediate('i64', shamt, false)));
}

/** rs1, or zero when rs2 is (or is not) zero. */
function conditionalZero(whenZero: boolean) {
  return (b: Builder, { rd, rs1, rs2 }: Three) => {
    const test = b.op(whenZero ? 'eq' : 'ne', 'i64', readX(b, rs2), b.const('i64', 0n));
    writeX(b, rd, b.select('i64', test, b.const('i64', 0n), readX(b, rs1)));
  };
}

const THREE = '{rd},{rs1},{rs2}';
const TWO = '{rd},{rs1}';
const SHIFTED = '{rd},{rs1},{shamt}';

export const RV_ZBA: readonly TableRow[] = [
  instruction('sh1add', '0010000 rs2:5 rs1:5 010 rd:5 0110011', THREE, shiftAdd(1, false), ZBA),
  instruction('sh2add', '0010000 rs2:5 rs1:5 100 rd:5 0110011', THREE, shiftAdd(2, false), ZBA),
  instruction('sh3add', '0010000 rs2:5 rs1:5 110 rd:5 0110011', THREE, shiftAdd(3, false), ZBA),
  instruction('add.uw', '0000100 rs2:5 rs1:5 000 rd:5 0111011', THREE, shiftAdd(0, true), ZBA),
  instruction('sh1add.uw', '0010000 rs2:5 rs1:5 010 rd:5 0111011', THREE, shiftAdd(1, true), ZBA),
  instruction('sh2add.uw', '0010000 rs2:5 rs1:5 100 rd:5 0111011', THREE, shiftAdd(2, true), ZBA),
  instruction('sh3add.uw', '0010000 rs2:5 rs1:5 110 rd:5 0111011', THREE, shiftAdd(3, true), ZBA),
  instruction(
    'slli.uw',
    '000010 shamt:6 rs1:5 001 rd:5 0011011',
    SHIFTED,
    (b, { rd, rs1, shamt }) =>
      writeX(b, rd, b.op('shl', 'i64', b.op('widen_u', 'i64', readWord(b, rs1)), b.immediate('i64', shamt, false))),
    ZBA,
  ),
];

export const RV_ZBB: readonly TableRow[] = [
  instruction('andn', '0100000 rs2:5 rs1:5 111 rd:5 0110011', THREE, withInverted('and'), ZBB),
  instruction('orn', '0100000 rs2:5 rs1:5 110 rd:5 0110011', THREE, withInverted('or'), ZBB),
  instruction('xnor', '0100000 rs2:5 rs1:5 100 rd:5 0110011', THREE, withInverted('xor'), ZBB),
  instruction('clz', '011000000000 rs1:5 001 rd:5 0010011', TWO, onDouble('clz'), ZBB),
  instruction('ctz', '011000000001 rs1:5 001 rd:5 0010011', TWO, onDouble('ctz'), ZBB),
  instruction('cpop', '011000000010 rs1:5 001 rd:5 0010011', TWO, onDouble('popcnt'), ZBB),
  instruction('clzw', '011000000000 rs1:5 001 rd:5 0011011', TWO, onWord('clz'), ZBB),
  instruction('ctzw', '011000000001 rs1:5 001 rd:5 0011011', TWO, onWord('ctz'), ZBB),
  instruction('cpopw', '011000000010 rs1:5 001 rd:5 0011011', TWO, onWord('popcnt'), ZBB),
  instruction('max', '0000101 rs2:5 rs1:5 110 rd:5 0110011', THREE, extreme('lt_s', true), ZBB),
  instruction('maxu', '0000101 rs2:5 rs1:5 111 rd:5 0110011', THREE, extreme('lt_u', true), ZBB),
  instruction('min', '0000101 rs2:5 rs1:5 100 rd:5 0110011', THREE, extreme('lt_s', false), ZBB),
  instruction('minu', '0000101 rs2:5 rs1:5 101 rd:5 0110011', THREE, extreme('lt_u', false), ZBB),
  instruction('sext.b', '011000000100 rs1:5 001 rd:5 0010011', TWO, onDouble('extend8_s'), ZBB),
  instruction('sext.h', '011000000101 rs1:5 001 rd:5 0010011', TWO, onDouble('extend16_s'), ZBB),
  instruction(
    'zext.h',
    '000010000000 rs1:5 100 rd:5 0111011',
    TWO,
    (b, { rd, rs1 }) => writeX(b, rd, b.op('and', 'i64', readX(b, rs1), b.const('i64', 0xffffn))),
    ZBB,
  ),
  instruction('rol', '0110000 rs2:5 rs1:5 001 rd:5 0110011', THREE, rotate('rotl'), ZBB),
  instruction('ror', '0110000 rs2:5 rs1:5 101 rd:5 0110011', THREE, rotate('rotr'), ZBB),
  instruction(
    'rori',
    '011000 shamt:6 rs1:5 101 rd:5 0010011',
    SHIFTED,
    (b, { rd, rs1, shamt }) => writeX(b, rd, b.op('rotr', 'i64', readX(b, rs1), b.immediate('i64', shamt, false))),
    ZBB,
  ),
  instruction('rolw', '0110000 rs2:5 rs1:5 001 rd:5 0111011', THREE, rotateWord('rotl'), ZBB),
  instruction('rorw', '0110000 rs2:5 rs1:5 101 rd:5 0111011', THREE, rotateWord('rotr'), ZBB),
  instruction(
    'roriw',
    '0110000 shamt:5 rs1:5 101 rd:5 0011011',
    SHIFTED,
    (b, { rd, rs1, shamt }) =>
      writeWord(b, rd, b.op('rotr', 'i32', readWord(b, rs1), b.immediate('i32', shamt, false))),
    ZBB,
  ),
  instruction('orc.b', '001010000111 rs1:5 101 rd:5 0010011', TWO, orCombine, ZBB),
  instruction('rev8', '011010111000 rs1:5 101 rd:5 0010011', TWO, onDouble('byte_reverse'), ZBB),
];

export const RV_ZBS: readonly TableRow[] = [
  instruction('bclr', '0100100 rs2:5 rs1:5 001 rd:5 0110011', THREE, byRegister(clear), ZBS),
  instruction('bclri', '010010 shamt:6 rs1:5 001 rd:5 0010011', SHIFTED, byImmediate(clear), ZBS),
  instruction('bext', '0100100 rs2:5 rs1:5 101 rd:5 0110011', THREE, byRegister(extract), ZBS),
  instruction('bexti', '010010 shamt:6 rs1:5 101 rd:5 0010011', SHIFTED, byImmediate(extract), ZBS),
  instruction('binv', '0110100 rs2:5 rs1:5 001 rd:5 0110011', THREE, byRegister(invert), ZBS),
  instruction('binvi', '011010 shamt:6 rs1:5 001 rd:5 0010011', SHIFTED, byImmediate(invert), ZBS),
  instruction('bset', '0010100 rs2:5 rs1:5 001 rd:5 0110011', THREE, byRegister(set), ZBS),
  instruction('bseti', '001010 shamt:6 rs1:5 001 rd:5 0010011', SHIFTED, byImmediate(set), ZBS),
];

export const RV_ZICOND: readonly TableRow[] = [
  instruction('czero.eqz', '0000111 rs2:5 rs1:5 101 rd:5 0110011', THREE, conditionalZero(true), ZICOND),
  instruction('czero.nez', '0000111 rs2:5 rs1:5 111 rd:5 0110011', THREE, conditionalZero(false), ZICOND),
];
