/**
 * The byte structure of an instruction: legacy prefixes, REX, opcode, ModRM, SIB, displacement, immediate (Intel SDM volume 2, "Instruction
 * Format"). The operands of a decoded x86-64 instruction are these numbers; which of them are there depends on the row's form.
 */
export interface X86Operands {
  /** Bits operated on: 8, 16, 32 or 64. */
  readonly size: number;
  /** 1 when a REX prefix is there: it changes which byte registers 4…7 are. */
  readonly rex: number;
  /** 1 when an operand-size prefix (66) is there. */
  readonly narrow: number;
  /** ModRM.reg with REX.R. */
  readonly reg: number;
  /** 1 when the r/m operand is a register, with its number in `rm`. */
  readonly direct: number;
  readonly rm: number;
  /** Base and index registers of a memory operand; -1 for none, and base 16 for rip. */
  readonly base: number;
  readonly index: number;
  /** 0…3: the index is shifted left by this. */
  readonly scale: number;
  readonly displacement: number;
  readonly immediateLow: number;
  /** The upper half of a 64-bit immediate (only MOV has one), else the sign of the low half. */
  readonly immediateHigh: number;
}

/** What follows the opcode, in the order of assembly operands. */
export type Form =
  | 'rm,r'
  | 'r,rm'
  | 'rm,imm8'
  | 'rm,imm'
  | 'r,rm,imm8'
  | 'r,rm,imm'
  | 'acc,imm'
  | 'r,imm'
  | 'rm,1'
  | 'rm,cl'
  | 'rm'
  | 'opcode-r'
  | 'imm8'
  | 'imm32'
  | 'imm16'
  | 'rel8'
  | 'rel32'
  | 'r,rm8'
  | 'r,rm16'
  | 'r,m'
  | 'none';

/** Where a row stands in the opcode maps: one byte, or 0F and one byte; `digit` is ModRM.reg where that is part of the opcode. */
export interface OpcodePlace {
  readonly opcode: number;
  readonly twoByte: boolean;
  readonly digit: number | undefined;
}

export const RIP = 16;
export const MAXIMUM_LENGTH = 15;

/** Whether the form has a ModRM byte. */
export function hasModRm(form: Form): boolean {
  return form.includes('rm') || form === 'r,m';
}

/** Bytes of the immediate of a form at an operand size; MOV r64, imm is the one with 8. */
export function immediateBytes(form: Form, size: number): number {
  switch (form) {
    case 'rm,imm8':
    case 'r,rm,imm8':
    case 'imm8':
    case 'rel8':
      return 1;
    case 'imm16':
      return 2;
    case 'imm32':
    case 'rel32':
      return 4;
    case 'rm,imm':
    case 'r,rm,imm':
    case 'acc,imm':
      return Math.min(size, 32) / 8;
    case 'r,imm':
      return size / 8;
    default:
      return 0;
  }
}

/** A cursor over bytes that says when they run out instead of reading past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  at: number;
  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = Math.min(bytes.length, start + MAXIMUM_LENGTH);
    this.at = start;
  }
  get length(): number {
    return this.at - this.#start;
  }
  byte(): number | undefined {
    return this.at < this.#end && this.at >= 0 ? this.#bytes[this.at++] : undefined;
  }
  /** A signed little-endian integer of 1, 2 or 4 bytes. */
  signed(bytes: number): number | undefined {
    let value = 0;
    for (let i = 0; i < bytes; i++) {
      const byte = this.byte();
      if (byte === undefined) return undefined;
      value |= byte << (8 * i);
    }
    const unused = 32 - 8 * bytes;
    return (value << unused) >> unused;
  }
}

export interface Prefixes {
  readonly narrow: boolean;
  readonly rex: number;
}

/** Reads 66 and REX; other legacy prefixes mean instructions that do not exist here yet. */
export function readPrefixes(reader: ByteReader): { readonly prefixes: Prefixes; readonly opcode: number } | undefined {
  let narrow = false;
  let byte = reader.byte();
  while (byte === 0x66) {
    narrow = true;
    byte = reader.byte();
  }
  let rex = 0;
  if (byte !== undefined && byte >= 0x40 && byte <= 0x4f) {
    rex = byte;
    byte = reader.byte();
  }
  return byte === undefined ? undefined : { prefixes: { narrow, rex }, opcode: byte };
}

export type RegisterOrMemory = Pick<X86Operands, 'reg' | 'direct' | 'rm' | 'base' | 'index' | 'scale' | 'displacement'>;

/** Reads ModRM, SIB and displacement (Intel SDM volume 2, "ModR/M and SIB Bytes"). */
export function readModRm(reader: ByteReader, rex: number): RegisterOrMemory | undefined {
  const modRm = reader.byte();
  if (modRm === undefined) return undefined;
  const mod = modRm >> 6;
  const reg = ((modRm >> 3) & 7) | ((rex & 4) << 1);
  const low = modRm & 7;
  const high = (rex & 1) << 3;
  if (mod === 3) return { reg, direct: 1, rm: low | high, base: -1, index: -1, scale: 0, displacement: 0 };
  let base = low | high;
  let index = -1;
  let scale = 0;
  let bytes = mod === 1 ? 1 : mod === 2 ? 4 : 0;
  if (low === 4) {
    const sib = reader.byte();
    if (sib === undefined) return undefined;
    scale = sib >> 6;
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    // Number 4 without REX.X means no index; r12 can be one.
    if (index === 4) {
      index = -1;
      scale = 0;
    }
    base = (sib & 7) | high;
    if ((sib & 7) === 5 && mod === 0) {
      base = -1;
      bytes = 4;
    }
  } else if (low === 5 && mod === 0) {
    base = RIP;
    bytes = 4;
  }
  const displacement = bytes === 0 ? 0 : reader.signed(bytes);
  return displacement === undefined ? undefined : { reg, direct: 0, rm: 0, base, index, scale, displacement };
}

/** Writes ModRM, SIB and displacement, each in its shortest form; the REX bits they need come along. */
export function writeModRm(operands: RegisterOrMemory): { readonly bytes: readonly number[]; readonly rex: number } {
  const { reg, direct, rm, base, index, scale, displacement } = operands;
  const regBits = (reg & 7) << 3;
  const rexR = (reg & 8) >> 1;
  if (direct === 1) return { bytes: [0xc0 | regBits | (rm & 7)], rex: rexR | ((rm & 8) >> 3) };
  const word = [0, 8, 16, 24].map((shift) => (displacement >> shift) & 0xff);
  if (base === RIP) return { bytes: [regBits | 5, ...word], rex: rexR };
  const rex = rexR | (base > 0 ? (base & 8) >> 3 : 0) | (index > 0 ? (index & 8) >> 2 : 0);
  const sib = (scale << 6) | ((index < 0 ? 4 : index & 7) << 3);
  if (base < 0) return { bytes: [regBits | 4, sib | 5, ...word], rex };
  // rbp and r13 as base without displacement would mean something else.
  const short = displacement >= -128 && displacement <= 127;
  const mod = displacement === 0 && (base & 7) !== 5 ? 0 : short ? 1 : 2;
  const tail = mod === 0 ? [] : mod === 1 ? [displacement & 0xff] : word;
  if (index < 0 && (base & 7) !== 4) return { bytes: [(mod << 6) | regBits | (base & 7), ...tail], rex };
  return { bytes: [(mod << 6) | regBits | 4, sib | (base & 7), ...tail], rex };
}
