import type { RegisterFile } from '../../ir/type.ts';
import { REGISTERS, StateOffset } from '../../layout/state.ts';

/** rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8…r15, by their numbers in encodings. */
export const R: RegisterFile = { name: 'r', offset: REGISTERS, stride: 8, count: 16, type: 'i64' };
export const PC: RegisterFile = { name: 'pc', offset: StateOffset.pc, stride: 8, count: 1, type: 'i64' };
export const RSP = 4;

function flag(name: string, index: number): RegisterFile {
  return { name, offset: R.offset + R.stride * R.count + 4 * index, stride: 4, count: 1, type: 'i32' };
}

/** The status flags, 0 or 1 each. */
export const CF = flag('cf', 0);
export const PF = flag('pf', 1);
export const AF = flag('af', 2);
export const ZF = flag('zf', 3);
export const SF = flag('sf', 4);
export const OF = flag('of', 5);

export const FILES = [R, PC, CF, PF, AF, ZF, SF, OF] as const;

const WORD_NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];

/** The name of a register of 8, 16, 32 or 64 bits. Without REX, byte registers 4…7 are ah, ch, dh and bh. */
export function registerName(number: number, bits: number, rex: boolean): string {
  if (number >= 8) return `r${number}${{ 8: 'b', 16: 'w', 32: 'd', 64: '' }[bits]!}`;
  const word = WORD_NAMES[number]!;
  if (bits === 16) return word;
  if (bits === 32) return `e${word}`;
  if (bits === 64) return `r${word}`;
  if (number < 4) return `${word[0]!}l`;
  return rex ? `${word}l` : `${WORD_NAMES[number - 4]![0]!}h`;
}
