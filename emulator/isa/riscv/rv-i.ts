import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import type { OpName } from '../../ir/op.ts';
import type { Operand } from '../../ir/type.ts';
import type { TableRow } from '../table.ts';
import { address, readWord, readX, writeWord, writeX } from './access.ts';
import { instruction } from './operands.ts';
import { Cause } from './trap.ts';

const integer = (section: string) => ({ spec: `Unprivileged ISA, "${section}"`, extension: 'I' });
const REGISTER_IMMEDIATE = integer('Integer Register-Immediate Instructions');
const REGISTER_REGISTER = integer('Integer Register-Register Operations');
const JUMPS = integer('Unconditional Jumps');
const BRANCHES = integer('Conditional Branches');
const LOADS = integer('Load and Store Instructions');
const WORDS = integer('RV64I Base Integer Instruction Set');

type RegisterRegister = Readonly<Record<'rd' | 'rs1' | 'rs2', Operand>>;
type RegisterImmediate = Readonly<Record<'rd' | 'rs1' | 'imm', Operand>>;
type Shift = Readonly<Record<'rd' | 'rs1' | 'shamt', Operand>>;

function binary(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: RegisterRegister) =>
    writeX(b, rd, b.op(op, 'i64', readX(b, rs1), readX(b, rs2)));
}

function binaryImmediate(op: OpName) {
  return (b: Builder, { rd, rs1, imm }: RegisterImmediate) =>
    writeX(b, rd, b.op(op, 'i64', readX(b, rs1), b.immediate('i64', imm)));
}

/** A comparison gives 0 or 1. */
function compareTo(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: RegisterRegister) =>
    writeX(b, rd, b.op('widen_u', 'i64', b.op(op, 'i64', readX(b, rs1), readX(b, rs2))));
}

function compareToImmediate(op: OpName) {
  return (b: Builder, { rd, rs1, imm }: RegisterImmediate) =>
    writeX(b, rd, b.op('widen_u', 'i64', b.op(op, 'i64', readX(b, rs1), b.immediate('i64', imm))));
}

function shiftImmediate(op: OpName) {
  return (b: Builder, { rd, rs1, shamt }: Shift) =>
    writeX(b, rd, b.op(op, 'i64', readX(b, rs1), b.immediate('i64', shamt, false)));
}

function shiftWordImmediate(op: OpName) {
  return (b: Builder, { rd, rs1, shamt }: Shift) =>
    writeWord(b, rd, b.op(op, 'i32', readWord(b, rs1), b.immediate('i32', shamt, false)));
}

function binaryWord(op: OpName) {
  return (b: Builder, { rd, rs1, rs2 }: RegisterRegister) =>
    writeWord(b, rd, b.op(op, 'i32', readWord(b, rs1), readWord(b, rs2)));
}

function branch(compare: (b: Builder, x: Value, y: Value) => Value) {
  return (b: Builder, { rs1, rs2, target }: Readonly<Record<'rs1' | 'rs2' | 'target', Operand>>) =>
    b.branch(compare(b, readX(b, rs1), readX(b, rs2)), target);
}

function load(width: number, signed: boolean) {
  return (b: Builder, { rd, rs1, imm }: RegisterImmediate) =>
    writeX(b, rd, b.load('i64', width, address(b, rs1, imm), { signed }));
}

function store(width: number) {
  return (b: Builder, { rs1, rs2, imm }: Readonly<Record<'rs1' | 'rs2' | 'imm', Operand>>) =>
    b.store('i64', width, address(b, rs1, imm), readX(b, rs2));
}

/** Whether a register holds return addresses, so that jumps through it can be predicted (Unprivileged ISA, "Unconditional Jumps"). */
function isLink(register: Operand): boolean {
  return Number(register) === 1 || Number(register) === 5;
}

function fence(b: Builder): void {
  b.emit('fence', 'none', [], { order: 'seqCst' });
}

/** RV32I and RV64I base instructions. */
export const RV_I: readonly TableRow[] = [
  instruction(
    'lui',
    'upper[31:12] rd:5 0110111',
    '{rd},{upper}',
    (b, { rd, upper }) => writeX(b, rd, b.immediate('i64', upper)),
    REGISTER_IMMEDIATE,
  ),
  instruction(
    'auipc',
    'upper[31:12] rd:5 0010111',
    '{rd},{upper}',
    (b, { rd, upper }) => writeX(b, rd, b.op('add', 'i64', b.pc(), b.immediate('i64', upper))),
    REGISTER_IMMEDIATE,
  ),
  instruction('addi', 'imm:12 rs1:5 000 rd:5 0010011', '{rd},{rs1},{imm}', binaryImmediate('add'), REGISTER_IMMEDIATE),
  instruction(
    'slti',
    'imm:12 rs1:5 010 rd:5 0010011',
    '{rd},{rs1},{imm}',
    compareToImmediate('lt_s'),
    REGISTER_IMMEDIATE,
  ),
  instruction(
    'sltiu',
    'imm:12 rs1:5 011 rd:5 0010011',
    '{rd},{rs1},{imm}',
    compareToImmediate('lt_u'),
    REGISTER_IMMEDIATE,
  ),
  instruction('xori', 'imm:12 rs1:5 100 rd:5 0010011', '{rd},{rs1},{imm}', binaryImmediate('xor'), REGISTER_IMMEDIATE),
  instruction('ori', 'imm:12 rs1:5 110 rd:5 0010011', '{rd},{rs1},{imm}', binaryImmediate('or'), REGISTER_IMMEDIATE),
  instruction('andi', 'imm:12 rs1:5 111 rd:5 0010011', '{rd},{rs1},{imm}', binaryImmediate('and'), REGISTER_IMMEDIATE),
  instruction(
    'slli',
    '000000 shamt:6 rs1:5 001 rd:5 0010011',
    '{rd},{rs1},{shamt}',
    shiftImmediate('shl'),
    REGISTER_IMMEDIATE,
  ),
  instruction(
    'srli',
    '000000 shamt:6 rs1:5 101 rd:5 0010011',
    '{rd},{rs1},{shamt}',
    shiftImmediate('shr_u'),
    REGISTER_IMMEDIATE,
  ),
  instruction(
    'srai',
    '010000 shamt:6 rs1:5 101 rd:5 0010011',
    '{rd},{rs1},{shamt}',
    shiftImmediate('shr_s'),
    REGISTER_IMMEDIATE,
  ),

  instruction('add', '0000000 rs2:5 rs1:5 000 rd:5 0110011', '{rd},{rs1},{rs2}', binary('add'), REGISTER_REGISTER),
  instruction('sub', '0100000 rs2:5 rs1:5 000 rd:5 0110011', '{rd},{rs1},{rs2}', binary('sub'), REGISTER_REGISTER),
  instruction('sll', '0000000 rs2:5 rs1:5 001 rd:5 0110011', '{rd},{rs1},{rs2}', binary('shl'), REGISTER_REGISTER),
  instruction('slt', '0000000 rs2:5 rs1:5 010 rd:5 0110011', '{rd},{rs1},{rs2}', compareTo('lt_s'), REGISTER_REGISTER),
  instruction('sltu', '0000000 rs2:5 rs1:5 011 rd:5 0110011', '{rd},{rs1},{rs2}', compareTo('lt_u'), REGISTER_REGISTER),
  instruction('xor', '0000000 rs2:5 rs1:5 100 rd:5 0110011', '{rd},{rs1},{rs2}', binary('xor'), REGISTER_REGISTER),
  instruction('srl', '0000000 rs2:5 rs1:5 101 rd:5 0110011', '{rd},{rs1},{rs2}', binary('shr_u'), REGISTER_REGISTER),
  instruction('sra', '0100000 rs2:5 rs1:5 101 rd:5 0110011', '{rd},{rs1},{rs2}', binary('shr_s'), REGISTER_REGISTER),
  instruction('or', '0000000 rs2:5 rs1:5 110 rd:5 0110011', '{rd},{rs1},{rs2}', binary('or'), REGISTER_REGISTER),
  instruction('and', '0000000 rs2:5 rs1:5 111 rd:5 0110011', '{rd},{rs1},{rs2}', binary('and'), REGISTER_REGISTER),

  instruction(
    'jal',
    'target[20] target[10:1] target[11] target[19:12] rd:5 1101111',
    '{rd},{target}',
    (b, { rd, target }) => {
      writeX(b, rd, b.nextPc());
      b.jumpRelative(target, isLink(rd) ? 'call' : 'none');
    },
    JUMPS,
  ),
  instruction(
    'jalr',
    'imm:12 rs1:5 000 rd:5 1100111',
    '{rd},{imm}({rs1})',
    (b, { rd, rs1, imm }) => {
      // The target is read before rd is written: they may be the same register.
      const target = b.op('and', 'i64', address(b, rs1, imm), b.const('i64', -2n));
      writeX(b, rd, b.nextPc());
      b.jump(target, isLink(rd) ? 'call' : isLink(rs1) ? 'return' : 'none');
    },
    JUMPS,
  ),
  instruction(
    'beq',
    'target[12] target[10:5] rs2:5 rs1:5 000 target[4:1] target[11] 1100011',
    '{rs1},{rs2},{target}',
    branch((b, x, y) => b.op('eq', 'i64', x, y)),
    BRANCHES,
  ),
  instruction(
    'bne',
    'target[12] target[10:5] rs2:5 rs1:5 001 target[4:1] target[11] 1100011',
    '{rs1},{rs2},{target}',
    branch((b, x, y) => b.op('ne', 'i64', x, y)),
    BRANCHES,
  ),
  instruction(
    'blt',
    'target[12] target[10:5] rs2:5 rs1:5 100 target[4:1] target[11] 1100011',
    '{rs1},{rs2},{target}',
    branch((b, x, y) => b.op('lt_s', 'i64', x, y)),
    BRANCHES,
  ),
  instruction(
    'bge',
    'target[12] target[10:5] rs2:5 rs1:5 101 target[4:1] target[11] 1100011',
    '{rs1},{rs2},{target}',
    branch((b, x, y) => b.op('le_s', 'i64', y, x)),
    BRANCHES,
  ),
  instruction(
    'bltu',
    'target[12] target[10:5] rs2:5 rs1:5 110 target[4:1] target[11] 1100011',
    '{rs1},{rs2},{target}',
    branch((b, x, y) => b.op('lt_u', 'i64', x, y)),
    BRANCHES,
  ),
  instruction(
    'bgeu',
    'target[12] target[10:5] rs2:5 rs1:5 111 target[4:1] target[11] 1100011',
    '{rs1},{rs2},{target}',
    branch((b, x, y) => b.op('le_u', 'i64', y, x)),
    BRANCHES,
  ),

  instruction('lb', 'imm:12 rs1:5 000 rd:5 0000011', '{rd},{imm}({rs1})', load(8, true), LOADS),
  instruction('lh', 'imm:12 rs1:5 001 rd:5 0000011', '{rd},{imm}({rs1})', load(16, true), LOADS),
  instruction('lw', 'imm:12 rs1:5 010 rd:5 0000011', '{rd},{imm}({rs1})', load(32, true), LOADS),
  instruction('ld', 'imm:12 rs1:5 011 rd:5 0000011', '{rd},{imm}({rs1})', load(64, true), LOADS),
  instruction('lbu', 'imm:12 rs1:5 100 rd:5 0000011', '{rd},{imm}({rs1})', load(8, false), LOADS),
  instruction('lhu', 'imm:12 rs1:5 101 rd:5 0000011', '{rd},{imm}({rs1})', load(16, false), LOADS),
  instruction('lwu', 'imm:12 rs1:5 110 rd:5 0000011', '{rd},{imm}({rs1})', load(32, false), LOADS),
  instruction('sb', 'imm[11:5] rs2:5 rs1:5 000 imm[4:0] 0100011', '{rs2},{imm}({rs1})', store(8), LOADS),
  instruction('sh', 'imm[11:5] rs2:5 rs1:5 001 imm[4:0] 0100011', '{rs2},{imm}({rs1})', store(16), LOADS),
  instruction('sw', 'imm[11:5] rs2:5 rs1:5 010 imm[4:0] 0100011', '{rs2},{imm}({rs1})', store(32), LOADS),
  instruction('sd', 'imm[11:5] rs2:5 rs1:5 011 imm[4:0] 0100011', '{rs2},{imm}({rs1})', store(64), LOADS),

  instruction(
    'addiw',
    'imm:12 rs1:5 000 rd:5 0011011',
    '{rd},{rs1},{imm}',
    (b, { rd, rs1, imm }) => writeWord(b, rd, b.op('add', 'i32', readWord(b, rs1), b.immediate('i32', imm))),
    WORDS,
  ),
  instruction(
    'slliw',
    '0000000 shamt:5 rs1:5 001 rd:5 0011011',
    '{rd},{rs1},{shamt}',
    shiftWordImmediate('shl'),
    WORDS,
  ),
  instruction(
    'srliw',
    '0000000 shamt:5 rs1:5 101 rd:5 0011011',
    '{rd},{rs1},{shamt}',
    shiftWordImmediate('shr_u'),
    WORDS,
  ),
  instruction(
    'sraiw',
    '0100000 shamt:5 rs1:5 101 rd:5 0011011',
    '{rd},{rs1},{shamt}',
    shiftWordImmediate('shr_s'),
    WORDS,
  ),
  instruction('addw', '0000000 rs2:5 rs1:5 000 rd:5 0111011', '{rd},{rs1},{rs2}', binaryWord('add'), WORDS),
  instruction('subw', '0100000 rs2:5 rs1:5 000 rd:5 0111011', '{rd},{rs1},{rs2}', binaryWord('sub'), WORDS),
  instruction('sllw', '0000000 rs2:5 rs1:5 001 rd:5 0111011', '{rd},{rs1},{rs2}', binaryWord('shl'), WORDS),
  instruction('srlw', '0000000 rs2:5 rs1:5 101 rd:5 0111011', '{rd},{rs1},{rs2}', binaryWord('shr_u'), WORDS),
  instruction('sraw', '0100000 rs2:5 rs1:5 101 rd:5 0111011', '{rd},{rs1},{rs2}', binaryWord('shr_s'), WORDS),

  instruction(
    'fence',
    '0000 pred:4 succ:4 00000 000 00000 0001111',
    '{pred},{succ}',
    fence,
    integer('Memory Ordering Instructions'),
  ),
  // Fences with reserved fields set are executed as ordinary ones, as the specification asks of base implementations.
  instruction('fence', 'any:4 pred:4 succ:4 rs1:5 000 rd:5 0001111', '{pred},{succ}', fence, {
    ...integer('Memory Ordering Instructions'),
    name: 'fence (reserved)',
  }),
  instruction(
    'fence.tso',
    '1000 0011 0011 00000 000 00000 0001111',
    '',
    fence,
    integer('Memory Ordering Instructions'),
  ),
  instruction('pause', '0000 0001 0000 00000 000 00000 0001111', '', () => {}, {
    ...integer('Zihintpause Extension for Pause Hint'),
    extension: 'Zihintpause',
  }),
  instruction(
    'ecall',
    '000000000000 00000 000 00000 1110011',
    '',
    (b) => b.trap(Cause.environmentCallFromUser, b.const('i64', 0n)),
    integer('Environment Call and Breakpoints'),
  ),
  instruction(
    'ebreak',
    '000000000001 00000 000 00000 1110011',
    '',
    (b) => b.trap(Cause.breakpoint, b.pc()),
    integer('Environment Call and Breakpoints'),
  ),
];
