import type { Value } from '../../ir/block.ts';
import type { Builder } from '../../ir/builder.ts';
import type { OpName } from '../../ir/op.ts';
import type { Operand } from '../../ir/type.ts';
import type { TableRow } from '../table.ts';
import {
  address,
  readF,
  readWord,
  readX,
  requireFloat,
  roundingMode,
  writeF,
  writeSingleBits,
  writeWord,
  writeX,
  type FloatType,
} from './access.ts';
import { instruction, relift } from './operands.ts';
import { F } from './registers.ts';

interface Format {
  readonly extension: 'F' | 'D';
  readonly bits: '00' | '01';
  readonly suffix: 's' | 'd';
  readonly type: FloatType;
}

const SINGLE: Format = { extension: 'F', bits: '00', suffix: 's', type: 'f32' };
const DOUBLE: Format = { extension: 'D', bits: '01', suffix: 'd', type: 'f64' };

type Three = Readonly<Record<'fd' | 'fs1' | 'fs2', Operand>>;
type Rounded = { readonly rm: Operand };

/** The rows that F and D have alike. */
function alike({ extension, bits, suffix, type }: Format): TableRow[] {
  const named = (section: string) => ({
    spec: `Unprivileged ISA, "${extension === 'F' ? 'Single' : 'Double'}-Precision Floating-Point ${section}"`,
    extension,
  });
  const compute = named('Computational Instructions');
  const convert = named('Conversion and Move Instructions');
  const comparison = named('Compare Instructions');
  const classify = named('Classify Instruction');
  const read = (b: Builder, register: Operand): Value => readF(b, type, register);

  const arithmetic =
    (op: OpName) =>
    (b: Builder, { fd, fs1, fs2, rm }: Three & Rounded) => {
      const mode = roundingMode(b, rm);
      writeF(b, type, fd, b.op(op, type, read(b, fs1), read(b, fs2), mode));
    };
  /** ±(fs1 × fs2) ± fs3: negating operands is exact and leaves one rounding. */
  const fused =
    (negateProduct: boolean, negateAddend: boolean) =>
    (b: Builder, { fd, fs1, fs2, fs3, rm }: Three & Rounded & { readonly fs3: Operand }) => {
      const mode = roundingMode(b, rm);
      const multiplicand = read(b, fs1);
      const addend = read(b, fs3);
      const product = negateProduct ? b.op('fneg', type, multiplicand) : multiplicand;
      writeF(
        b,
        type,
        fd,
        b.op('fma', type, product, read(b, fs2), negateAddend ? b.op('fneg', type, addend) : addend, mode),
      );
    };
  const signInjection =
    (sign: (b: Builder, x: Value, y: Value) => Value) =>
    (b: Builder, { fd, fs1, fs2 }: Three) => {
      const x = read(b, fs1);
      writeF(b, type, fd, b.op('fcopysign', type, x, sign(b, x, read(b, fs2))));
    };
  const extreme =
    (op: OpName) =>
    (b: Builder, { fd, fs1, fs2 }: Three) =>
      writeF(b, type, fd, b.op(op, type, read(b, fs1), read(b, fs2)));
  const compare =
    (op: OpName) =>
    (b: Builder, { rd, fs1, fs2 }: Readonly<Record<'rd' | 'fs1' | 'fs2', Operand>>) =>
      writeX(b, rd, b.op('widen_u', 'i64', b.op(op, type, read(b, fs1), read(b, fs2))));
  const toInteger =
    (width: 'i32' | 'i64', signed: boolean) =>
    (b: Builder, { rd, fs1, rm }: Readonly<Record<'rd' | 'fs1' | 'rm', Operand>>) => {
      const mode = roundingMode(b, rm);
      const result = b.emit('f_to_int', width, [read(b, fs1), mode], { from: type, signed });
      if (width === 'i32') writeWord(b, rd, result);
      else writeX(b, rd, result);
    };
  const fromInteger = (
    b: Builder,
    fd: Operand,
    rs1: Operand,
    rm: Operand,
    width: 'i32' | 'i64',
    signed: boolean,
  ): void => {
    const mode = roundingMode(b, rm);
    writeF(
      b,
      type,
      fd,
      b.emit('int_to_f', type, [width === 'i32' ? readWord(b, rs1) : readX(b, rs1), mode], { from: width, signed }),
    );
  };
  /** sgnjx: the sign of the exclusive or, as a value to take a sign from. */
  const signProduct = (b: Builder, x: Value, y: Value): Value => {
    const integer = type === 'f32' ? 'i32' : 'i64';
    const mixed = b.op(
      'xor',
      integer,
      b.emit('bitcast', integer, [x], { from: type }),
      b.emit('bitcast', integer, [y], { from: type }),
    );
    return b.emit('bitcast', type, [mixed], { from: integer });
  };

  return [
    instruction(
      `fmadd.${suffix}`,
      `fs3:5 ${bits} fs2:5 fs1:5 rm:3 fd:5 1000011`,
      '{fd},{fs1},{fs2},{fs3}{rm}',
      fused(false, false),
      compute,
    ),
    instruction(
      `fmsub.${suffix}`,
      `fs3:5 ${bits} fs2:5 fs1:5 rm:3 fd:5 1000111`,
      '{fd},{fs1},{fs2},{fs3}{rm}',
      fused(false, true),
      compute,
    ),
    instruction(
      `fnmsub.${suffix}`,
      `fs3:5 ${bits} fs2:5 fs1:5 rm:3 fd:5 1001011`,
      '{fd},{fs1},{fs2},{fs3}{rm}',
      fused(true, false),
      compute,
    ),
    instruction(
      `fnmadd.${suffix}`,
      `fs3:5 ${bits} fs2:5 fs1:5 rm:3 fd:5 1001111`,
      '{fd},{fs1},{fs2},{fs3}{rm}',
      fused(true, true),
      compute,
    ),
    instruction(
      `fadd.${suffix}`,
      `00000 ${bits} fs2:5 fs1:5 rm:3 fd:5 1010011`,
      '{fd},{fs1},{fs2}{rm}',
      arithmetic('fadd'),
      compute,
    ),
    instruction(
      `fsub.${suffix}`,
      `00001 ${bits} fs2:5 fs1:5 rm:3 fd:5 1010011`,
      '{fd},{fs1},{fs2}{rm}',
      arithmetic('fsub'),
      compute,
    ),
    instruction(
      `fmul.${suffix}`,
      `00010 ${bits} fs2:5 fs1:5 rm:3 fd:5 1010011`,
      '{fd},{fs1},{fs2}{rm}',
      arithmetic('fmul'),
      compute,
    ),
    instruction(
      `fdiv.${suffix}`,
      `00011 ${bits} fs2:5 fs1:5 rm:3 fd:5 1010011`,
      '{fd},{fs1},{fs2}{rm}',
      arithmetic('fdiv'),
      compute,
    ),
    instruction(
      `fsqrt.${suffix}`,
      `01011 ${bits} 00000 fs1:5 rm:3 fd:5 1010011`,
      '{fd},{fs1}{rm}',
      (b, { fd, fs1, rm }) => {
        const mode = roundingMode(b, rm);
        writeF(b, type, fd, b.op('fsqrt', type, read(b, fs1), mode));
      },
      compute,
    ),
    instruction(
      `fsgnj.${suffix}`,
      `00100 ${bits} fs2:5 fs1:5 000 fd:5 1010011`,
      '{fd},{fs1},{fs2}',
      signInjection((_b, _x, y) => y),
      convert,
    ),
    instruction(
      `fsgnjn.${suffix}`,
      `00100 ${bits} fs2:5 fs1:5 001 fd:5 1010011`,
      '{fd},{fs1},{fs2}',
      signInjection((b, _x, y) => b.op('fneg', type, y)),
      convert,
    ),
    instruction(
      `fsgnjx.${suffix}`,
      `00100 ${bits} fs2:5 fs1:5 010 fd:5 1010011`,
      '{fd},{fs1},{fs2}',
      signInjection(signProduct),
      convert,
    ),
    instruction(
      `fmin.${suffix}`,
      `00101 ${bits} fs2:5 fs1:5 000 fd:5 1010011`,
      '{fd},{fs1},{fs2}',
      extreme('fmin'),
      compute,
    ),
    instruction(
      `fmax.${suffix}`,
      `00101 ${bits} fs2:5 fs1:5 001 fd:5 1010011`,
      '{fd},{fs1},{fs2}',
      extreme('fmax'),
      compute,
    ),
    instruction(
      `feq.${suffix}`,
      `10100 ${bits} fs2:5 fs1:5 010 rd:5 1010011`,
      '{rd},{fs1},{fs2}',
      compare('feq'),
      comparison,
    ),
    instruction(
      `flt.${suffix}`,
      `10100 ${bits} fs2:5 fs1:5 001 rd:5 1010011`,
      '{rd},{fs1},{fs2}',
      compare('flt'),
      comparison,
    ),
    instruction(
      `fle.${suffix}`,
      `10100 ${bits} fs2:5 fs1:5 000 rd:5 1010011`,
      '{rd},{fs1},{fs2}',
      compare('fle'),
      comparison,
    ),
    instruction(
      `fclass.${suffix}`,
      `11100 ${bits} 00000 fs1:5 001 rd:5 1010011`,
      '{rd},{fs1}',
      (b, { rd, fs1 }) => writeX(b, rd, b.op('widen_u', 'i64', b.op('fclass', type, read(b, fs1)))),
      classify,
    ),
    instruction(
      `fcvt.w.${suffix}`,
      `11000 ${bits} 00000 fs1:5 rm:3 rd:5 1010011`,
      '{rd},{fs1}{rm}',
      toInteger('i32', true),
      convert,
    ),
    instruction(
      `fcvt.wu.${suffix}`,
      `11000 ${bits} 00001 fs1:5 rm:3 rd:5 1010011`,
      '{rd},{fs1}{rm}',
      toInteger('i32', false),
      convert,
    ),
    instruction(
      `fcvt.l.${suffix}`,
      `11000 ${bits} 00010 fs1:5 rm:3 rd:5 1010011`,
      '{rd},{fs1}{rm}',
      toInteger('i64', true),
      convert,
    ),
    instruction(
      `fcvt.lu.${suffix}`,
      `11000 ${bits} 00011 fs1:5 rm:3 rd:5 1010011`,
      '{rd},{fs1}{rm}',
      toInteger('i64', false),
      convert,
    ),
    ...(type === 'f32'
      ? [
          instruction(
            `fcvt.${suffix}.w`,
            `11010 ${bits} 00000 rs1:5 rm:3 fd:5 1010011`,
            '{fd},{rs1}{rm}',
            (b, { fd, rs1, rm }) => fromInteger(b, fd, rs1, rm, 'i32', true),
            convert,
          ),
          instruction(
            `fcvt.${suffix}.wu`,
            `11010 ${bits} 00001 rs1:5 rm:3 fd:5 1010011`,
            '{fd},{rs1}{rm}',
            (b, { fd, rs1, rm }) => fromInteger(b, fd, rs1, rm, 'i32', false),
            convert,
          ),
        ]
      : [
          instruction(
            `fcvt.${suffix}.w`,
            `11010 ${bits} 00000 rs1:5 rmExact:3 fd:5 1010011`,
            '{fd},{rs1}{rmExact}',
            (b, { fd, rs1, rmExact }) => fromInteger(b, fd, rs1, rmExact, 'i32', true),
            convert,
          ),
          instruction(
            `fcvt.${suffix}.wu`,
            `11010 ${bits} 00001 rs1:5 rmExact:3 fd:5 1010011`,
            '{fd},{rs1}{rmExact}',
            (b, { fd, rs1, rmExact }) => fromInteger(b, fd, rs1, rmExact, 'i32', false),
            convert,
          ),
        ]),
    instruction(
      `fcvt.${suffix}.l`,
      `11010 ${bits} 00010 rs1:5 rm:3 fd:5 1010011`,
      '{fd},{rs1}{rm}',
      (b, { fd, rs1, rm }) => fromInteger(b, fd, rs1, rm, 'i64', true),
      convert,
    ),
    instruction(
      `fcvt.${suffix}.lu`,
      `11010 ${bits} 00011 rs1:5 rm:3 fd:5 1010011`,
      '{fd},{rs1}{rm}',
      (b, { fd, rs1, rm }) => fromInteger(b, fd, rs1, rm, 'i64', false),
      convert,
    ),
  ];
}

const SINGLE_MOVES = {
  spec: 'Unprivileged ISA, "Single-Precision Floating-Point Conversion and Move Instructions"',
  extension: 'F',
};
const SINGLE_MEMORY = { spec: 'Unprivileged ISA, "Single-Precision Load and Store Instructions"', extension: 'F' };
const DOUBLE_MOVES = {
  spec: 'Unprivileged ISA, "Double-Precision Floating-Point Conversion and Move Instructions"',
  extension: 'D',
};
const DOUBLE_MEMORY = { spec: 'Unprivileged ISA, "Double-Precision Load and Store Instructions"', extension: 'D' };

function whileOn(rows: readonly TableRow[]): readonly TableRow[] {
  return rows.map((row) =>
    relift(row, (b, operands) => {
      requireFloat(b);
      row.lift(b, operands);
    }),
  );
}

/** "F" extension for single-precision floating point. */
export const RV_F: readonly TableRow[] = whileOn([
  ...alike(SINGLE),
  instruction(
    'flw',
    'imm:12 rs1:5 010 fd:5 0000111',
    '{fd},{imm}({rs1})',
    (b, { fd, rs1, imm }) => writeSingleBits(b, fd, b.load('i32', 32, address(b, rs1, imm))),
    SINGLE_MEMORY,
  ),
  // A store and a move to an integer register take the low bits as they are, boxed or not.
  instruction(
    'fsw',
    'imm[11:5] fs2:5 rs1:5 010 imm[4:0] 0100111',
    '{fs2},{imm}({rs1})',
    (b, { fs2, rs1, imm }) => b.store('i64', 32, address(b, rs1, imm), b.get(F, fs2, 'i64')),
    SINGLE_MEMORY,
  ),
  instruction(
    'fmv.x.w',
    '1110000 00000 fs1:5 000 rd:5 1010011',
    '{rd},{fs1}',
    (b, { rd, fs1 }) => writeX(b, rd, b.op('extend32_s', 'i64', b.get(F, fs1, 'i64'))),
    SINGLE_MOVES,
  ),
  instruction(
    'fmv.w.x',
    '1111000 00000 rs1:5 000 fd:5 1010011',
    '{fd},{rs1}',
    (b, { fd, rs1 }) => writeSingleBits(b, fd, readWord(b, rs1)),
    SINGLE_MOVES,
  ),
]);

/** "D" extension for double-precision floating point. */
export const RV_D: readonly TableRow[] = whileOn([
  ...alike(DOUBLE),
  instruction(
    'fcvt.s.d',
    '0100000 00001 fs1:5 rm:3 fd:5 1010011',
    '{fd},{fs1}{rm}',
    (b, { fd, fs1, rm }) => {
      const mode = roundingMode(b, rm);
      writeF(b, 'f32', fd, b.emit('f_convert', 'f32', [readF(b, 'f64', fs1), mode], { from: 'f64' }));
    },
    DOUBLE_MOVES,
  ),
  instruction(
    'fcvt.d.s',
    '0100001 00000 fs1:5 rmExact:3 fd:5 1010011',
    '{fd},{fs1}{rmExact}',
    (b, { fd, fs1, rmExact }) => {
      const mode = roundingMode(b, rmExact);
      writeF(b, 'f64', fd, b.emit('f_convert', 'f64', [readF(b, 'f32', fs1), mode], { from: 'f32' }));
    },
    DOUBLE_MOVES,
  ),
  instruction(
    'fld',
    'imm:12 rs1:5 011 fd:5 0000111',
    '{fd},{imm}({rs1})',
    (b, { fd, rs1, imm }) => b.set(F, fd, b.load('i64', 64, address(b, rs1, imm)), 'i64'),
    DOUBLE_MEMORY,
  ),
  instruction(
    'fsd',
    'imm[11:5] fs2:5 rs1:5 011 imm[4:0] 0100111',
    '{fs2},{imm}({rs1})',
    (b, { fs2, rs1, imm }) => b.store('i64', 64, address(b, rs1, imm), b.get(F, fs2, 'i64')),
    DOUBLE_MEMORY,
  ),
  instruction(
    'fmv.x.d',
    '1110001 00000 fs1:5 000 rd:5 1010011',
    '{rd},{fs1}',
    (b, { rd, fs1 }) => writeX(b, rd, b.get(F, fs1, 'i64')),
    DOUBLE_MOVES,
  ),
  instruction(
    'fmv.d.x',
    '1111001 00000 rs1:5 000 fd:5 1010011',
    '{fd},{rs1}',
    (b, { fd, rs1 }) => b.set(F, fd, readX(b, rs1), 'i64'),
    DOUBLE_MOVES,
  ),
]);
