// hot:
/**
 * What someone writes who wants a RISC-V interpreter in TypeScript and knows the engine: instructions predecoded to an Int32Array, a
 * dense switch, 64-bit registers as halves in one Int32Array, no allocation in the loop. The yardstick for tier 0, for the RV64IM
 * instructions that the mix in `mix.ts` uses; it knows no traps, no compressed instructions and no floating point.
 */

const Op = {
  addi: 0,
  add: 1,
  sub: 2,
  xor: 3,
  or: 4,
  and: 5,
  andi: 6,
  xori: 7,
  slli: 8,
  srli: 9,
  srai: 10,
  sltu: 11,
  mul: 12,
  addw: 13,
  addiw: 14,
  ld: 15,
  lw: 16,
  lbu: 17,
  sd: 18,
  sw: 19,
  sb: 20,
  beq: 21,
  bne: 22,
  bltu: 23,
  jal: 24,
  lui: 25,
  jalr: 26,
  stop: 27,
} as const;

/** Int32s of a decoded instruction: op, rd, rs1, rs2, imm. */
const WORDS = 5;

export class PlainInterpreter {
  /** Low and high halves of x0…x31, then of the register that swallows writes to x0. */
  readonly registers = new Int32Array(2 * 33);
  readonly #memory: DataView;
  readonly #base: number;
  readonly #program: Int32Array;

  /** Decodes `code`, which stands at guest address `base` (as wide as one slot of 4 bytes per instruction). Memory is flat from address 0. */
  constructor(code: Uint8Array, base: number, memory: ArrayBuffer) {
    this.#memory = new DataView(memory);
    this.#base = base;
    const words = new DataView(code.buffer, code.byteOffset, code.byteLength);
    this.#program = new Int32Array((code.byteLength / 4) * WORDS);
    for (let index = 0; index < code.byteLength / 4; index++) {
      this.#program.set(decode(words.getInt32(4 * index, true)), index * WORDS);
    }
  }

  /** Runs from guest address `pc` until an ECALL; the instructions it took. Gives up after `limit`. */
  run(pc: number, limit: number): number {
    const x = this.registers;
    const program = this.#program;
    const memory = this.#memory;
    let at = ((pc - this.#base) >> 2) * WORDS;
    let count = 0;
    while (count < limit) {
      const rd = program[at + 1]! << 1;
      const a = program[at + 2]! << 1;
      const b = program[at + 3]! << 1;
      const imm = program[at + 4]!;
      count++;
      switch (program[at]) {
        case Op.addi: {
          const al = x[a]!;
          const low = (al + imm) | 0;
          x[rd + 1] = (x[a + 1]! + (imm >> 31) + (low >>> 0 < al >>> 0 ? 1 : 0)) | 0;
          x[rd] = low;
          break;
        }
        case Op.add: {
          const al = x[a]!;
          const low = (al + x[b]!) | 0;
          x[rd + 1] = (x[a + 1]! + x[b + 1]! + (low >>> 0 < al >>> 0 ? 1 : 0)) | 0;
          x[rd] = low;
          break;
        }
        case Op.sub: {
          const al = x[a]!;
          const bl = x[b]!;
          x[rd + 1] = (x[a + 1]! - x[b + 1]! - (al >>> 0 < bl >>> 0 ? 1 : 0)) | 0;
          x[rd] = (al - bl) | 0;
          break;
        }
        case Op.xor:
          x[rd + 1] = x[a + 1]! ^ x[b + 1]!;
          x[rd] = x[a]! ^ x[b]!;
          break;
        case Op.or:
          x[rd + 1] = x[a + 1]! | x[b + 1]!;
          x[rd] = x[a]! | x[b]!;
          break;
        case Op.and:
          x[rd + 1] = x[a + 1]! & x[b + 1]!;
          x[rd] = x[a]! & x[b]!;
          break;
        case Op.andi:
          x[rd + 1] = x[a + 1]! & (imm >> 31);
          x[rd] = x[a]! & imm;
          break;
        case Op.xori:
          x[rd + 1] = x[a + 1]! ^ (imm >> 31);
          x[rd] = x[a]! ^ imm;
          break;
        case Op.slli: {
          const low = x[a]!;
          if (imm >= 32) {
            x[rd + 1] = low << (imm - 32);
            x[rd] = 0;
          } else {
            x[rd + 1] = imm === 0 ? x[a + 1]! : (x[a + 1]! << imm) | (low >>> (32 - imm));
            x[rd] = low << imm;
          }
          break;
        }
        case Op.srli: {
          const high = x[a + 1]!;
          if (imm >= 32) {
            x[rd] = high >>> (imm - 32);
            x[rd + 1] = 0;
          } else {
            x[rd] = imm === 0 ? x[a]! : (x[a]! >>> imm) | (high << (32 - imm));
            x[rd + 1] = high >>> imm;
          }
          break;
        }
        case Op.srai: {
          const high = x[a + 1]!;
          if (imm >= 32) {
            x[rd] = high >> (imm - 32);
            x[rd + 1] = high >> 31;
          } else {
            x[rd] = imm === 0 ? x[a]! : (x[a]! >>> imm) | (high << (32 - imm));
            x[rd + 1] = high >> imm;
          }
          break;
        }
        case Op.sltu: {
          const ah = x[a + 1]! >>> 0;
          const bh = x[b + 1]! >>> 0;
          const less = ah < bh || (ah === bh && x[a]! >>> 0 < x[b]! >>> 0);
          x[rd + 1] = 0;
          x[rd] = less ? 1 : 0;
          break;
        }
        case Op.mul: {
          const al = x[a]!;
          const bl = x[b]!;
          const high = (Math.imul(x[a + 1]!, bl) + Math.imul(al, x[b + 1]!) + multiplyHigh(al, bl)) | 0;
          x[rd] = Math.imul(al, bl);
          x[rd + 1] = high;
          break;
        }
        case Op.addw: {
          const sum = (x[a]! + x[b]!) | 0;
          x[rd + 1] = sum >> 31;
          x[rd] = sum;
          break;
        }
        case Op.addiw: {
          const sum = (x[a]! + imm) | 0;
          x[rd + 1] = sum >> 31;
          x[rd] = sum;
          break;
        }
        case Op.ld: {
          const address = (x[a]! + imm) >>> 0;
          x[rd + 1] = memory.getInt32(address + 4, true);
          x[rd] = memory.getInt32(address, true);
          break;
        }
        case Op.lw: {
          const word = memory.getInt32((x[a]! + imm) >>> 0, true);
          x[rd + 1] = word >> 31;
          x[rd] = word;
          break;
        }
        case Op.lbu:
          x[rd + 1] = 0;
          x[rd] = memory.getUint8((x[a]! + imm) >>> 0);
          break;
        case Op.sd: {
          const address = (x[a]! + imm) >>> 0;
          memory.setInt32(address, x[b]!, true);
          memory.setInt32(address + 4, x[b + 1]!, true);
          break;
        }
        case Op.sw:
          memory.setInt32((x[a]! + imm) >>> 0, x[b]!, true);
          break;
        case Op.sb:
          memory.setUint8((x[a]! + imm) >>> 0, x[b]!);
          break;
        case Op.beq:
          if (x[a] === x[b] && x[a + 1] === x[b + 1]) {
            at += imm;
            continue;
          }
          break;
        case Op.bne:
          if (x[a] !== x[b] || x[a + 1] !== x[b + 1]) {
            at += imm;
            continue;
          }
          break;
        case Op.bltu: {
          const ah = x[a + 1]! >>> 0;
          const bh = x[b + 1]! >>> 0;
          if (ah < bh || (ah === bh && x[a]! >>> 0 < x[b]! >>> 0)) {
            at += imm;
            continue;
          }
          break;
        }
        case Op.jal:
          x[rd] = this.#base + (at / WORDS) * 4 + 4;
          x[rd + 1] = 0;
          at += imm;
          continue;
        case Op.jalr: {
          const target = (x[a]! + imm) & ~1;
          x[rd] = this.#base + (at / WORDS) * 4 + 4;
          x[rd + 1] = 0;
          at = ((target - this.#base) >> 2) * WORDS;
          continue;
        }
        case Op.lui:
          x[rd + 1] = imm >> 31;
          x[rd] = imm;
          break;
        default:
          return count;
      }
      at += WORDS;
    }
    return count;
  }
}

/** High word of the unsigned product of two words. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const low = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(low / 65536)) | 0;
}

const REGISTER_OPS: Readonly<Record<string, number>> = {
  '0/0': Op.add,
  '0/32': Op.sub,
  '4/0': Op.xor,
  '6/0': Op.or,
  '7/0': Op.and,
  '3/0': Op.sltu,
  '0/1': Op.mul,
};
const LOADS: Readonly<Record<number, number>> = { 3: Op.ld, 2: Op.lw, 4: Op.lbu };
const STORES: Readonly<Record<number, number>> = { 3: Op.sd, 2: Op.sw, 0: Op.sb };
const BRANCHES: Readonly<Record<number, number>> = { 0: Op.beq, 1: Op.bne, 6: Op.bltu };
const SINK = 32;

function decode(word: number): number[] {
  const rd = (word >>> 7) & 31 || SINK;
  const rs1 = (word >>> 15) & 31;
  const rs2 = (word >>> 20) & 31;
  const funct3 = (word >>> 12) & 7;
  const funct7 = word >>> 25;
  const immediate = word >> 20;
  switch (word & 0x7f) {
    case 0x13: {
      const shamt = immediate & 63;
      const op =
        funct3 === 0
          ? Op.addi
          : funct3 === 7
            ? Op.andi
            : funct3 === 4
              ? Op.xori
              : funct3 === 1
                ? Op.slli
                : (word >>> 30) & 1
                  ? Op.srai
                  : Op.srli;
      const shift = funct3 === 1 || funct3 === 5;
      return [op, rd, rs1, 0, shift ? shamt : immediate];
    }
    case 0x1b:
      return known(funct3 === 0 ? Op.addiw : undefined, word, [rd, rs1, 0, immediate]);
    case 0x33:
      return known(REGISTER_OPS[`${funct3}/${funct7}`], word, [rd, rs1, rs2, 0]);
    case 0x3b:
      return known(funct3 === 0 && funct7 === 0 ? Op.addw : undefined, word, [rd, rs1, rs2, 0]);
    case 0x03:
      return known(LOADS[funct3], word, [rd, rs1, 0, immediate]);
    case 0x23:
      return known(STORES[funct3], word, [SINK, rs1, rs2, ((word >> 25) << 5) | ((word >>> 7) & 31)]);
    case 0x63: {
      const displacement =
        ((word >> 31) << 12) | ((word << 4) & 0x800) | ((word >>> 20) & 0x7e0) | ((word >>> 7) & 0x1e);
      return known(BRANCHES[funct3], word, [SINK, rs1, rs2, (displacement / 4) * WORDS]);
    }
    case 0x6f: {
      const displacement = ((word >> 31) << 20) | (word & 0xff000) | ((word >>> 9) & 0x800) | ((word >>> 20) & 0x7fe);
      return [Op.jal, rd, 0, 0, (displacement / 4) * WORDS];
    }
    case 0x67:
      return [Op.jalr, rd, rs1, 0, immediate];
    case 0x37:
      return [Op.lui, rd, 0, 0, word & -4096];
    case 0x73:
      return [Op.stop, SINK, 0, 0, 0];
    default:
      return known(undefined, word, []);
  }
}

function known(op: number | undefined, word: number, rest: readonly number[]): number[] {
  if (op === undefined) throw new RangeError(`the plain interpreter has no instruction 0x${(word >>> 0).toString(16)}`);
  return [op, ...rest];
}
