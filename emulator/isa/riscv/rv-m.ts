import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import type { Operand } from '../../ir/type.ts';
import type { OpName } from '../../ir/op.ts';
import type { TableRow } from '../table.ts';
import { readWord, readX, writeWord, writeX } from './access.ts';
import { instruction } from './operands.ts';

const MULTIPLY = { spec: 'Unprivileged ISA, "Multiplication Operations"', extension: 'M' };
const DIVIDE = { spec: 'Unprivileged ISA, "Division Operations"', extension: 'M' };

type Operands = Readonly<Record<'rd' | 'rs1' | 'rs2', Operand>>;

function multiply(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: Operands) => writeX(b, rd, b.op(op, 'i64', readX(b, rs1), readX(b, rs2)));
}

/** Division by zero gives all ones; the IR's quotient by zero is 0 and everything else agrees with it. */
function quotient(b: Builder, op: 'div_s' | 'div_u', type: 'i32' | 'i64', x: Value, y: Value): Value {
  return b.select(type, b.op('eq', type, y, b.const(type, 0n)), b.const(type, -1n), b.op(op, type, x, y));
}

function divide(op: 'div_s' | 'div_u') {
  return (b: Builder, { rd, rs1, rs2 }: Operands) =>
    writeX(b, rd, quotient(b, op, 'i64', readX(b, rs1), readX(b, rs2)));
}

function divideWord(op: 'div_s' | 'div_u') {
  return (b: Builder, { rd, rs1, rs2 }: Operands) =>
    writeWord(b, rd, quotient(b, op, 'i32', readWord(b, rs1), readWord(b, rs2)));
}

function onWords(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: Operands) =>
    writeWord(b, rd, b.op(op, 'i32', readWord(b, rs1), readWord(b, rs2)));
}

/** "M" extension for integer multiplication and division. */
export const RV_M: readonly TableRow[] = [
  instruction('mul', '0000001 rs2:5 rs1:5 000 rd:5 0110011', '{rd},{rs1},{rs2}', multiply('mul'), MULTIPLY),
  instruction('mulh', '0000001 rs2:5 rs1:5 001 rd:5 0110011', '{rd},{rs1},{rs2}', multiply('mulh_s'), MULTIPLY),
  instruction('mulhsu', '0000001 rs2:5 rs1:5 010 rd:5 0110011', '{rd},{rs1},{rs2}', multiply('mulh_su'), MULTIPLY),
  instruction('mulhu', '0000001 rs2:5 rs1:5 011 rd:5 0110011', '{rd},{rs1},{rs2}', multiply('mulh_u'), MULTIPLY),
  instruction('mulw', '0000001 rs2:5 rs1:5 000 rd:5 0111011', '{rd},{rs1},{rs2}', onWords('mul'), MULTIPLY),
  instruction('div', '0000001 rs2:5 rs1:5 100 rd:5 0110011', '{rd},{rs1},{rs2}', divide('div_s'), DIVIDE),
  instruction('divu', '0000001 rs2:5 rs1:5 101 rd:5 0110011', '{rd},{rs1},{rs2}', divide('div_u'), DIVIDE),
  instruction('rem', '0000001 rs2:5 rs1:5 110 rd:5 0110011', '{rd},{rs1},{rs2}', multiply('rem_s'), DIVIDE),
  instruction('remu', '0000001 rs2:5 rs1:5 111 rd:5 0110011', '{rd},{rs1},{rs2}', multiply('rem_u'), DIVIDE),
  instruction('divw', '0000001 rs2:5 rs1:5 100 rd:5 0111011', '{rd},{rs1},{rs2}', divideWord('div_s'), DIVIDE),
  instruction('divuw', '0000001 rs2:5 rs1:5 101 rd:5 0111011', '{rd},{rs1},{rs2}', divideWord('div_u'), DIVIDE),
  instruction('remw', '0000001 rs2:5 rs1:5 110 rd:5 0111011', '{rd},{rs1},{rs2}', onWords('rem_s'), DIVIDE),
  instruction('remuw', '0000001 rs2:5 rs1:5 111 rd:5 0111011', '{rd},{rs1},{rs2}', onWords('rem_u'), DIVIDE),
];
