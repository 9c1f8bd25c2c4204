import type { Instruction } from '../instruction.ts';
import type { TableRow } from '../table.ts';
import { instruction, shortForm } from './operands.ts';
import { RV_F, RV_D } from './rv-fd.ts';
import { RV_I } from './rv-i.ts';
import { Cause } from './trap.ts';

const section = (title: string) => ({ spec: `Unprivileged ISA, "${title}"`, extension: 'C' });
const STACK = section('Stack-Pointer-Based Loads and Stores');
const REGISTER = section('Register-Based Loads and Stores');
const CONTROL = section('Control Transfer Instructions');
const CONSTANT = section('Integer Constant-Generation Instructions');
const IMMEDIATE = section('Integer Register-Immediate Operations');
const OPERATION = section('Integer Register-Register Operations');

const SP = 2;
const RA = 1;
const ZERO = 0;

const BASE = new Map([...RV_I, ...RV_F, ...RV_D].map((row) => [row.name, row]));

function base(name: string): Instruction {
  const row = BASE.get(name);
  if (!row) throw new Error(`no base instruction is called ${name}`);
  return row;
}

/** "C" extension for compressed instructions: each stands for one base instruction. */
export const RV_C: readonly TableRow[] = [
  instruction(
    'c.unimp',
    '0000000000000000',
    '',
    (b) => b.trap(Cause.illegalInstruction, b.const('i64', 0n)),
    section('Defined Illegal Instruction'),
  ),
  shortForm(
    'c.addi4spn',
    '000 uimmNonzero[5:4] uimmNonzero[9:6] uimmNonzero[2] uimmNonzero[3] rdq:3 00',
    '{rdq},sp,{uimmNonzero}',
    base('addi'),
    ({ rdq, uimmNonzero }) => ({ rd: rdq, rs1: SP, imm: uimmNonzero }),
    IMMEDIATE,
  ),
  shortForm(
    'c.fld',
    '001 uimm[5:3] rs1q:3 uimm[7:6] fdq:3 00',
    '{fdq},{uimm}({rs1q})',
    base('fld'),
    ({ fdq, rs1q, uimm }) => ({ fd: fdq, rs1: rs1q, imm: uimm }),
    REGISTER,
  ),
  shortForm(
    'c.lw',
    '010 uimm[5:3] rs1q:3 uimm[2] uimm[6] rdq:3 00',
    '{rdq},{uimm}({rs1q})',
    base('lw'),
    ({ rdq, rs1q, uimm }) => ({ rd: rdq, rs1: rs1q, imm: uimm }),
    REGISTER,
  ),
  shortForm(
    'c.ld',
    '011 uimm[5:3] rs1q:3 uimm[7:6] rdq:3 00',
    '{rdq},{uimm}({rs1q})',
    base('ld'),
    ({ rdq, rs1q, uimm }) => ({ rd: rdq, rs1: rs1q, imm: uimm }),
    REGISTER,
  ),
  shortForm(
    'c.fsd',
    '101 uimm[5:3] rs1q:3 uimm[7:6] fs2q:3 00',
    '{fs2q},{uimm}({rs1q})',
    base('fsd'),
    ({ fs2q, rs1q, uimm }) => ({ fs2: fs2q, rs1: rs1q, imm: uimm }),
    REGISTER,
  ),
  shortForm(
    'c.sw',
    '110 uimm[5:3] rs1q:3 uimm[2] uimm[6] rs2q:3 00',
    '{rs2q},{uimm}({rs1q})',
    base('sw'),
    ({ rs2q, rs1q, uimm }) => ({ rs2: rs2q, rs1: rs1q, imm: uimm }),
    REGISTER,
  ),
  shortForm(
    'c.sd',
    '111 uimm[5:3] rs1q:3 uimm[7:6] rs2q:3 00',
    '{rs2q},{uimm}({rs1q})',
    base('sd'),
    ({ rs2q, rs1q, uimm }) => ({ rs2: rs2q, rs1: rs1q, imm: uimm }),
    REGISTER,
  ),

  shortForm(
    'c.nop',
    '000 0 00000 00000 01',
    '',
    base('addi'),
    () => ({ rd: ZERO, rs1: ZERO, imm: 0 }),
    section('NOP Instruction'),
  ),
  shortForm(
    'c.nop',
    '000 immNonzero[5] 00000 immNonzero[4:0] 01',
    '{immNonzero}',
    base('addi'),
    ({ immNonzero }) => ({ rd: ZERO, rs1: ZERO, imm: immNonzero }),
    { ...section('NOP Instruction'), name: 'c.nop (hint)' },
  ),
  shortForm(
    'c.addi',
    '000 imm[5] rdNonzero:5 imm[4:0] 01',
    '{rdNonzero},{imm}',
    base('addi'),
    ({ rdNonzero, imm }) => ({ rd: rdNonzero, rs1: rdNonzero, imm }),
    IMMEDIATE,
  ),
  shortForm(
    'c.addiw',
    '001 imm[5] rdNonzero:5 imm[4:0] 01',
    '{rdNonzero},{imm}',
    base('addiw'),
    ({ rdNonzero, imm }) => ({ rd: rdNonzero, rs1: rdNonzero, imm }),
    IMMEDIATE,
  ),
  shortForm(
    'c.li',
    '010 imm[5] rd:5 imm[4:0] 01',
    '{rd},{imm}',
    base('addi'),
    ({ rd, imm }) => ({ rd, rs1: ZERO, imm }),
    CONSTANT,
  ),
  shortForm(
    'c.addi16sp',
    '011 immNonzero[9] 00010 immNonzero[4] immNonzero[6] immNonzero[8:7] immNonzero[5] 01',
    'sp,{immNonzero}',
    base('addi'),
    ({ immNonzero }) => ({ rd: SP, rs1: SP, imm: immNonzero }),
    IMMEDIATE,
  ),
  shortForm(
    'c.lui',
    '011 compressedUpper[17] rdNotSp:5 compressedUpper[16:12] 01',
    '{rdNotSp},{compressedUpper}',
    base('lui'),
    ({ rdNotSp, compressedUpper }) => ({ rd: rdNotSp, upper: compressedUpper }),
    CONSTANT,
  ),
  shortForm(
    'c.srli',
    '100 shamt[5] 00 rdq:3 shamt[4:0] 01',
    '{rdq},{shamt}',
    base('srli'),
    ({ rdq, shamt }) => ({ rd: rdq, rs1: rdq, shamt }),
    IMMEDIATE,
  ),
  shortForm(
    'c.srai',
    '100 shamt[5] 01 rdq:3 shamt[4:0] 01',
    '{rdq},{shamt}',
    base('srai'),
    ({ rdq, shamt }) => ({ rd: rdq, rs1: rdq, shamt }),
    IMMEDIATE,
  ),
  shortForm(
    'c.andi',
    '100 imm[5] 10 rdq:3 imm[4:0] 01',
    '{rdq},{imm}',
    base('andi'),
    ({ rdq, imm }) => ({ rd: rdq, rs1: rdq, imm }),
    IMMEDIATE,
  ),
  shortForm(
    'c.sub',
    '100011 rdq:3 00 rs2q:3 01',
    '{rdq},{rs2q}',
    base('sub'),
    ({ rdq, rs2q }) => ({ rd: rdq, rs1: rdq, rs2: rs2q }),
    OPERATION,
  ),
  shortForm(
    'c.xor',
    '100011 rdq:3 01 rs2q:3 01',
    '{rdq},{rs2q}',
    base('xor'),
    ({ rdq, rs2q }) => ({ rd: rdq, rs1: rdq, rs2: rs2q }),
    OPERATION,
  ),
  shortForm(
    'c.or',
    '100011 rdq:3 10 rs2q:3 01',
    '{rdq},{rs2q}',
    base('or'),
    ({ rdq, rs2q }) => ({ rd: rdq, rs1: rdq, rs2: rs2q }),
    OPERATION,
  ),
  shortForm(
    'c.and',
    '100011 rdq:3 11 rs2q:3 01',
    '{rdq},{rs2q}',
    base('and'),
    ({ rdq, rs2q }) => ({ rd: rdq, rs1: rdq, rs2: rs2q }),
    OPERATION,
  ),
  shortForm(
    'c.subw',
    '100111 rdq:3 00 rs2q:3 01',
    '{rdq},{rs2q}',
    base('subw'),
    ({ rdq, rs2q }) => ({ rd: rdq, rs1: rdq, rs2: rs2q }),
    OPERATION,
  ),
  shortForm(
    'c.addw',
    '100111 rdq:3 01 rs2q:3 01',
    '{rdq},{rs2q}',
    base('addw'),
    ({ rdq, rs2q }) => ({ rd: rdq, rs1: rdq, rs2: rs2q }),
    OPERATION,
  ),
  shortForm(
    'c.j',
    '101 target[11] target[4] target[9:8] target[10] target[6] target[7] target[3:1] target[5] 01',
    '{target}',
    base('jal'),
    ({ target }) => ({ rd: ZERO, target }),
    CONTROL,
  ),
  shortForm(
    'c.beqz',
    '110 target[8] target[4:3] rs1q:3 target[7:6] target[2:1] target[5] 01',
    '{rs1q},{target}',
    base('beq'),
    ({ rs1q, target }) => ({ rs1: rs1q, rs2: ZERO, target }),
    CONTROL,
  ),
  shortForm(
    'c.bnez',
    '111 target[8] target[4:3] rs1q:3 target[7:6] target[2:1] target[5] 01',
    '{rs1q},{target}',
    base('bne'),
    ({ rs1q, target }) => ({ rs1: rs1q, rs2: ZERO, target }),
    CONTROL,
  ),

  shortForm(
    'c.slli',
    '000 shamt[5] rd:5 shamt[4:0] 10',
    '{rd},{shamt}',
    base('slli'),
    ({ rd, shamt }) => ({ rd, rs1: rd, shamt }),
    IMMEDIATE,
  ),
  shortForm(
    'c.fldsp',
    '001 uimm[5] fd:5 uimm[4:3] uimm[8:6] 10',
    '{fd},{uimm}(sp)',
    base('fld'),
    ({ fd, uimm }) => ({ fd, rs1: SP, imm: uimm }),
    STACK,
  ),
  shortForm(
    'c.lwsp',
    '010 uimm[5] rdNonzero:5 uimm[4:2] uimm[7:6] 10',
    '{rdNonzero},{uimm}(sp)',
    base('lw'),
    ({ rdNonzero, uimm }) => ({ rd: rdNonzero, rs1: SP, imm: uimm }),
    STACK,
  ),
  shortForm(
    'c.ldsp',
    '011 uimm[5] rdNonzero:5 uimm[4:3] uimm[8:6] 10',
    '{rdNonzero},{uimm}(sp)',
    base('ld'),
    ({ rdNonzero, uimm }) => ({ rd: rdNonzero, rs1: SP, imm: uimm }),
    STACK,
  ),
  shortForm(
    'c.jr',
    '1000 rs1Nonzero:5 00000 10',
    '{rs1Nonzero}',
    base('jalr'),
    ({ rs1Nonzero }) => ({ rd: ZERO, rs1: rs1Nonzero, imm: 0 }),
    CONTROL,
  ),
  shortForm(
    'c.mv',
    '1000 rd:5 rs2Nonzero:5 10',
    '{rd},{rs2Nonzero}',
    base('add'),
    ({ rd, rs2Nonzero }) => ({ rd, rs1: ZERO, rs2: rs2Nonzero }),
    OPERATION,
  ),
  shortForm('c.ebreak', '1001 00000 00000 10', '', base('ebreak'), () => ({}), section('Breakpoint Instruction')),
  shortForm(
    'c.jalr',
    '1001 rs1Nonzero:5 00000 10',
    '{rs1Nonzero}',
    base('jalr'),
    ({ rs1Nonzero }) => ({ rd: RA, rs1: rs1Nonzero, imm: 0 }),
    CONTROL,
  ),
  shortForm(
    'c.add',
    '1001 rd:5 rs2Nonzero:5 10',
    '{rd},{rs2Nonzero}',
    base('add'),
    ({ rd, rs2Nonzero }) => ({ rd, rs1: rd, rs2: rs2Nonzero }),
    OPERATION,
  ),
  shortForm(
    'c.fsdsp',
    '101 uimm[5:3] uimm[8:6] fs2:5 10',
    '{fs2},{uimm}(sp)',
    base('fsd'),
    ({ fs2, uimm }) => ({ fs2, rs1: SP, imm: uimm }),
    STACK,
  ),
  shortForm(
    'c.swsp',
    '110 uimm[5:2] uimm[7:6] rs2:5 10',
    '{rs2},{uimm}(sp)',
    base('sw'),
    ({ rs2, uimm }) => ({ rs2, rs1: SP, imm: uimm }),
    STACK,
  ),
  shortForm(
    'c.sdsp',
    '111 uimm[5:3] uimm[8:6] rs2:5 10',
    '{rs2},{uimm}(sp)',
    base('sd'),
    ({ rs2, uimm }) => ({ rs2, rs1: SP, imm: uimm }),
    STACK,
  ),
];
