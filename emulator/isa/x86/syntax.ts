import { RIP, type X86Operands } from './encoding.ts';
import { registerName } from './registers.ts';
import type { X86Row } from './rows.ts';

const POINTERS: Readonly<Record<number, string>> = {
  8: 'BYTE PTR ',
  16: 'WORD PTR ',
  32: 'DWORD PTR ',
  64: 'QWORD PTR ',
};

function hexadecimal(value: number): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

/** A memory operand in Intel syntax: `[rax+rcx*4-0x8]`; without base and index as `ds:0x10`. */
function memory({ base, index, scale, displacement }: X86Operands): string {
  const parts: string[] = [];
  if (base === RIP) parts.push('rip');
  else if (base >= 0) parts.push(registerName(base, 64, true));
  if (index >= 0) parts.push(`${registerName(index, 64, true)}*${1 << scale}`);
  if (parts.length === 0) return `ds:0x${BigInt.asUintN(64, BigInt(displacement)).toString(16)}`;
  const sum = parts.join('+');
  // Distances from rip are shown as 64 bits without a sign.
  if (base === RIP) return `[${sum}+0x${BigInt.asUintN(64, BigInt(displacement)).toString(16)}]`;
  // An index without base always has a displacement in its encoding, and it is shown.
  if (displacement === 0 && base >= 0) return `[${sum}]`;
  return displacement < 0 ? `[${sum}${hexadecimal(displacement)}]` : `[${sum}+${hexadecimal(displacement)}]`;
}

/** The immediate as assembly shows it: unsigned at the operand size, except bytes of wider operands, which are sign-extended first. */
function immediateText(operands: X86Operands): string {
  const value = (BigInt(operands.immediateHigh) << 32n) | BigInt(operands.immediateLow >>> 0);
  return `0x${BigInt.asUintN(operands.size, value).toString(16)}`;
}

/** The mnemonic at an operand size: two encodings have names of their own, since their operands alone would not tell them from others. */
export function mnemonicOf(row: X86Row, size: number): string {
  if (row.form === 'r,imm' && size === 64) return 'movabs';
  return row.form === 'imm8' && size === 16 ? `${row.mnemonic}w` : row.mnemonic;
}

/** Operands in Intel syntax, as `objdump -M intel` writes them. */
export function showOperands(row: X86Row, operands: X86Operands, pc: bigint, length: number): string {
  const { form } = row;
  const { size } = operands;
  const rex = operands.rex !== 0;
  const register = (number: number, bits: number = size): string => registerName(number, bits, rex);
  const place = (bits: number = size, pointer = true): string =>
    operands.direct === 1 ? register(operands.rm, bits) : `${pointer ? POINTERS[bits]! : ''}${memory(operands)}`;
  switch (form) {
    case 'rm,r':
      return `${place(size, true)},${register(operands.reg)}`;
    case 'r,rm':
      return `${register(operands.reg)},${place()}`;
    case 'r,rm8':
      return `${register(operands.reg)},${place(8)}`;
    case 'r,rm16':
      return `${register(operands.reg)},${place(16)}`;
    case 'r,m':
      return `${register(operands.reg)},${place(size, false)}`;
    case 'rm,imm8':
    case 'rm,imm':
      return `${place()},${row.mnemonic === 'shl' ? `0x${(operands.immediateLow & 0xff).toString(16)}` : immediateText(operands)}`;
    case 'r,rm,imm8':
    case 'r,rm,imm':
      return `${register(operands.reg)},${place()},${immediateText(operands)}`;
    case 'acc,imm':
      return `${register(0)},${immediateText(operands)}`;
    case 'r,imm':
      return `${register(operands.rm)},${immediateText(operands)}`;
    case 'rm,1':
      return `${place()},1`;
    case 'rm,cl':
      return `${place()},cl`;
    case 'rm':
      return place();
    case 'opcode-r':
      return register(operands.rm);
    case 'imm8':
    case 'imm32':
      return immediateText(operands);
    case 'imm16':
      return `0x${(operands.immediateLow & 0xffff).toString(16)}`;
    case 'rel8':
    case 'rel32':
      return `0x${BigInt.asUintN(64, pc + BigInt(length + operands.immediateLow)).toString(16)}`;
    case 'none':
      return '';
  }
}
