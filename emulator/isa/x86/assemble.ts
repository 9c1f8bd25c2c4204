import { hasModRm, immediateBytes, type RegisterOrMemory, RIP, writeModRm } from './encoding.ts';
import { registerName } from './registers.ts';
import { X86_64, type X86Row } from './rows.ts';
import { mnemonicOf } from './syntax.ts';

interface RegisterOperand {
  readonly kind: 'register';
  readonly number: number;
  readonly bits: number;
  /** spl, bpl, sil and dil need a REX prefix; ah, ch, dh and bh forbid one. */
  readonly rex: 'needed' | 'forbidden' | 'any';
}
interface MemoryOperand {
  readonly kind: 'memory';
  /** Bits that `… PTR` says. */
  readonly bits: number | undefined;
  readonly place: RegisterOrMemory;
}
interface NumberOperand {
  readonly kind: 'number';
  readonly value: bigint;
  readonly text: string;
}
type SyntaxOperand = RegisterOperand | MemoryOperand | NumberOperand;

const REGISTERS: ReadonlyMap<string, RegisterOperand> = new Map(
  [8, 16, 32, 64].flatMap((bits) =>
    [...Array(16).keys()].flatMap((number) =>
      [true, false].map((withRex): [string, RegisterOperand] => {
        const split = bits === 8 && number >= 4 && number < 8;
        const rex = split ? (withRex ? 'needed' : 'forbidden') : 'any';
        return [registerName(number, bits, withRex), { kind: 'register', number, bits, rex }];
      }),
    ),
  ),
);
const POINTER_BITS: Readonly<Record<string, number>> = { BYTE: 8, WORD: 16, DWORD: 32, QWORD: 64 };
const NUMBER = /^-?(0x[0-9a-f]{1,16}|\d{1,20})$/i;

const ROWS: ReadonlyMap<string, readonly X86Row[]> = Map.groupBy(X86_64, ({ mnemonic }) => mnemonic);

/** The value of a number with an optional sign, or undefined when the text is none. */
function parseNumber(text: string): bigint | undefined {
  if (!NUMBER.test(text)) return undefined;
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}

/** A displacement, if 32 bits sign-extended hold it. */
function displacementOf(value: bigint): number | undefined {
  const narrow = BigInt.asIntN(32, value);
  return BigInt.asUintN(64, narrow) === BigInt.asUintN(64, value) ? Number(narrow) : undefined;
}

/** What stands between brackets: base, index times scale, displacement, each at most once. */
function parseSum(text: string): RegisterOrMemory | undefined {
  let base = -1;
  let index = -1;
  let scale = 0;
  let displacement: number | undefined;
  for (const term of text.match(/[+-]?[^+-]+/g) ?? []) {
    const plain = term.replace(/^\+/, '').trim();
    const [, name, factor] = /^(\w+?)(?:\*([1248]))?$/.exec(plain) ?? [];
    const register = name === undefined ? undefined : REGISTERS.get(name);
    const number = parseNumber(plain);
    if (plain === 'rip' && base < 0) base = RIP;
    else if (number !== undefined && displacement === undefined) {
      displacement = displacementOf(number);
      if (displacement === undefined) return undefined;
    } else if (register?.bits !== 64 || term.startsWith('-')) return undefined;
    else if (factor === undefined && base < 0) base = register.number;
    // Number 4 as index means none.
    else if (index < 0 && register.number !== 4) {
      index = register.number;
      scale = Math.log2(Number(factor ?? 1));
    } else return undefined;
  }
  if (base === RIP && index >= 0) return undefined;
  return { reg: 0, direct: 0, rm: 0, base, index, scale, displacement: displacement ?? 0 };
}

function parseOperand(text: string): SyntaxOperand | undefined {
  const register = REGISTERS.get(text);
  if (register) return register;
  const value = parseNumber(text);
  if (value !== undefined) return { kind: 'number', value, text };
  const [, pointer, sum, absolute] =
    /^(?:(BYTE|WORD|DWORD|QWORD) PTR )?(?:\[(.+)\]|ds:(0x[0-9a-f]+))$/.exec(text) ?? [];
  const inside = sum ?? absolute;
  const place = inside === undefined ? undefined : parseSum(inside);
  if (!place) return undefined;
  return { kind: 'memory', bits: pointer === undefined ? undefined : POINTER_BITS[pointer], place };
}

/** What an encoding is made of, as far as the operands of one line determine it. */
interface Parts {
  reg: number;
  place: RegisterOrMemory | undefined;
  /** The register in the low bits of the opcode. */
  opcodeRegister: number;
  immediate: bigint;
  rexNeeded: boolean;
  rexForbidden: boolean;
}

/** The operands put where the form has them at this size, or undefined when they do not fit. */
function fit(row: X86Row, size: number, given: readonly SyntaxOperand[]): Parts | undefined {
  const parts: Parts = {
    reg: 0,
    place: undefined,
    opcodeRegister: 0,
    immediate: 0n,
    rexNeeded: false,
    rexForbidden: false,
  };
  const wanted = row.form === 'none' ? [] : row.form === 'opcode-r' ? ['r'] : row.form.split(',');
  if (wanted.length !== given.length) return undefined;
  const inOpcode = row.form === 'opcode-r' || row.form === 'r,imm';
  const sized = wanted.some((each) => each === 'r');
  const takeRegister = (operand: SyntaxOperand, bits: number): number | undefined => {
    if (operand.kind !== 'register' || operand.bits !== bits) return undefined;
    if (operand.rex === 'needed') parts.rexNeeded = true;
    if (operand.rex === 'forbidden') parts.rexForbidden = true;
    return operand.number;
  };
  for (const [i, each] of wanted.entries()) {
    const operand = given[i]!;
    switch (each) {
      case 'r': {
        const number = takeRegister(operand, size);
        if (number === undefined) return undefined;
        if (inOpcode) parts.opcodeRegister = number;
        else parts.reg = number;
        break;
      }
      case 'acc':
        if (takeRegister(operand, size) !== 0) return undefined;
        break;
      case 'cl':
        if (takeRegister(operand, 8) !== 1) return undefined;
        break;
      case 'm':
        if (operand.kind !== 'memory' || operand.bits !== undefined) return undefined;
        parts.place = operand.place;
        break;
      case '1':
        if (operand.kind !== 'number' || operand.text !== '1') return undefined;
        break;
      case 'rm':
      case 'rm8':
      case 'rm16': {
        const bits = each === 'rm' ? size : Number(each.slice(2));
        if (operand.kind === 'memory') {
          if (operand.bits === undefined ? !sized || each !== 'rm' : operand.bits !== bits) return undefined;
          parts.place = operand.place;
          break;
        }
        const rm = takeRegister(operand, bits);
        if (rm === undefined) return undefined;
        parts.place = { reg: 0, direct: 1, rm, base: -1, index: -1, scale: 0, displacement: 0 };
        break;
      }
      default:
        // Immediates and branch targets.
        if (operand.kind !== 'number' || (row.form === 'rm,imm8' && row.mnemonic === 'shl' && operand.text === '1'))
          return undefined;
        parts.immediate = operand.value;
    }
  }
  return parts;
}

/** The immediate's bytes, or undefined when sign extension would not give the value back. */
function encodeImmediate(row: X86Row, size: number, value: bigint): number[] | undefined {
  const count = immediateBytes(row.form, size);
  // Shift counts and RET's byte count are plain numbers, branch displacements 64-bit ones.
  const bits = row.mnemonic === 'shl' ? 8 : row.form === 'imm16' ? 16 : row.form.startsWith('rel') ? 64 : size;
  const unsigned = BigInt.asUintN(bits, value);
  if (value !== unsigned && value !== BigInt.asIntN(bits, value)) return undefined;
  if (BigInt.asUintN(bits, BigInt.asIntN(8 * count, value)) !== unsigned) return undefined;
  return Array.from({ length: count }, (_, i) => Number((unsigned >> BigInt(8 * i)) & 0xffn));
}

function encode(row: X86Row, size: number, parts: Parts, pc: bigint): number[] | undefined {
  const { reg, place, opcodeRegister } = parts;
  const modRm = hasModRm(row.form) && place ? writeModRm({ ...place, reg: row.digit ?? reg }) : undefined;
  const wide = size === 64 && row.sizing === 'word' ? 8 : 0;
  const rexBits = wide | (modRm?.rex ?? opcodeRegister >> 3);
  if (parts.rexForbidden && (rexBits !== 0 || parts.rexNeeded)) return undefined;
  const inOpcode = row.form === 'opcode-r' || row.form === 'r,imm';
  // There is a row for each register that stands in the opcode.
  if (inOpcode && (row.opcode & 7) !== (opcodeRegister & 7)) return undefined;
  const head = [
    ...(size === 16 ? [0x66] : []),
    ...(rexBits !== 0 || parts.rexNeeded ? [0x40 | rexBits] : []),
    ...(row.twoByte ? [0x0f] : []),
    row.opcode,
    ...(modRm?.bytes ?? []),
  ];
  const count = immediateBytes(row.form, size);
  if (count === 0) return head;
  const relative = row.form.startsWith('rel');
  const target = BigInt.asIntN(64, parts.immediate - pc - BigInt(head.length + count));
  const immediate = encodeImmediate(row, size, relative ? target : parts.immediate);
  return immediate && [...head, ...immediate];
}

const SIZES = { byte: [8], word: [16, 32, 64], quad: [64, 16], near: [64] } as const;

/**
 * Assembles a line in the syntax that `showOperands` writes; `[rip+…]` takes the displacement itself. Of several encodings the shortest is
 * made, and of those the one that stands first in the table. Otherwise says why it cannot.
 */
export function assemble(line: string, pc: bigint): Uint8Array | { readonly error: string } {
  const [, mnemonic, text] = /^\s*(\S+)\s*(.*?)\s*$/.exec(line) ?? [];
  if (mnemonic === undefined || text === undefined) return { error: 'an empty line is no instruction' };
  const rows = ROWS.get(mnemonic) ?? ROWS.get(mnemonic.replace(/^movabs$/, 'mov').replace(/^pushw$/, 'push'));
  if (!rows) return { error: `no instruction is called ${mnemonic}` };
  const operands: SyntaxOperand[] = [];
  for (const part of text === '' ? [] : text.split(',')) {
    const operand = parseOperand(part.trim().replaceAll(/\s+/g, ' '));
    if (!operand) return { error: `${mnemonic}: '${part.trim()}' is no register, memory operand or number` };
    operands.push(operand);
  }
  let best: number[] | undefined;
  for (const row of rows) {
    for (const size of SIZES[row.sizing]) {
      if (mnemonicOf(row, size) !== mnemonic) continue;
      const parts = fit(row, size, operands);
      const bytes = parts && encode(row, size, parts, pc);
      if (bytes && (best === undefined || bytes.length < best.length)) best = bytes;
    }
  }
  return best ? Uint8Array.from(best) : { error: `${mnemonic} does not take '${text}'` };
}
