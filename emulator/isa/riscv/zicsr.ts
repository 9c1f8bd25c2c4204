import type { Builder } from '../../ir/builder.ts';
import type { Operand, RegisterFile } from '../../ir/type.ts';
import type { TableRow } from '../table.ts';
import { readX, requireFloat, writeX } from './access.ts';
import { CsrOperation } from './csr.ts';
import { instruction } from './operands.ts';
import { FFLAGS, FRM } from './registers.ts';

const ZICSR = {
  spec: 'Unprivileged ISA, "Zicsr" Extension for Control and Status Register (CSR) Instructions',
  extension: 'Zicsr',
  cold: true,
} as const;
const ZIFENCEI = {
  spec: 'Unprivileged ISA, "Zifencei" Extension for Instruction-Fetch Fence',
  extension: 'Zifencei',
  cold: true,
} as const;

function access(b: Builder, rd: Operand, csr: Operand, operation: number, operand: ReturnType<Builder['const']>): void {
  writeX(b, rd, b.call('csr', [b.immediate('i64', csr, false), b.const('i64', operation), operand], 'i64'));
}

function byRegister(operation: number) {
  return (b: Builder, { rd, csr, rs1 }: Readonly<Record<'rd' | 'csr' | 'rs1', Operand>>) =>
    access(b, rd, csr, operation, readX(b, rs1));
}

function byImmediate(operation: number) {
  return (b: Builder, { rd, csr, uimm }: Readonly<Record<'rd' | 'csr' | 'uimm', Operand>>) =>
    access(b, rd, csr, operation, b.immediate('i64', uimm, false));
}

/** CSRRS and CSRRC with x0 do not write at all. */
function readOnly(b: Builder, { rd, csr }: Readonly<Record<'rd' | 'csr', Operand>>): void {
  access(b, rd, csr, CsrOperation.read, b.const('i64', 0n));
}

/**
 * Reads of the rounding mode and of the flags, which mathematical libraries are full of, need nobody else: regions, which are left for other
 * control registers where there is no address translation, hold them.
 */
function readFloat(file: RegisterFile) {
  return (b: Builder, { rd }: Readonly<Record<'rd', Operand>>) => {
    requireFloat(b);
    writeX(b, rd, b.op('widen_u', 'i64', b.get(file, 0, 'i32')));
  };
}

function fenceInstruction(b: Builder): void {
  b.call('fence_i', []);
  b.jump(b.nextPc());
}

/** Zicsr and Zifencei. */
export const ZICSR_ROWS: readonly TableRow[] = [
  instruction('csrrw', 'csr:12 rs1:5 001 rd:5 1110011', '{rd},{csr},{rs1}', byRegister(CsrOperation.write), ZICSR),
  instruction('csrrs', 'csr:12 rs1:5 010 rd:5 1110011', '{rd},{csr},{rs1}', byRegister(CsrOperation.set), ZICSR),
  instruction('csrrc', 'csr:12 rs1:5 011 rd:5 1110011', '{rd},{csr},{rs1}', byRegister(CsrOperation.clear), ZICSR),
  instruction('csrrs', 'csr:12 00000 010 rd:5 1110011', '{rd},{csr},zero', readOnly, {
    ...ZICSR,
    name: 'csrrs (read)',
  }),
  instruction('csrrc', 'csr:12 00000 011 rd:5 1110011', '{rd},{csr},zero', readOnly, {
    ...ZICSR,
    name: 'csrrc (read)',
  }),
  instruction('csrrs', '000000000001 00000 010 rd:5 1110011', '{rd},fflags,zero', readFloat(FFLAGS), {
    ...ZICSR,
    name: 'csrrs (fflags)',
  }),
  instruction('csrrs', '000000000010 00000 010 rd:5 1110011', '{rd},frm,zero', readFloat(FRM), {
    ...ZICSR,
    name: 'csrrs (frm)',
  }),
  instruction('csrrwi', 'csr:12 uimm:5 101 rd:5 1110011', '{rd},{csr},{uimm}', byImmediate(CsrOperation.write), ZICSR),
  instruction(
    'csrrsi',
    'csr:12 uimm:5 110 rd:5 1110011',
    '{rd},{csr},{uimm}',
    byImmediate(CsrOperation.setImmediate),
    ZICSR,
  ),
  instruction(
    'csrrci',
    'csr:12 uimm:5 111 rd:5 1110011',
    '{rd},{csr},{uimm}',
    byImmediate(CsrOperation.clearImmediate),
    ZICSR,
  ),
  instruction('fence.i', '000000000000 00000 001 00000 0001111', '', fenceInstruction, ZIFENCEI),
  // Unused fields are reserved for finer fences and are to be ignored.
  instruction('fence.i', 'imm:12 rs1:5 001 rd:5 0001111', '', fenceInstruction, {
    ...ZIFENCEI,
    name: 'fence.i (reserved)',
  }),
];
