export interface RomValues {
  /** Where firmware begins. */
  readonly start: number;
  readonly deviceTree: number;
  /** Where firmware of the dynamic kind is to go on in supervisor mode; 0 for nowhere. */
  readonly next: number;
}

/** "OSBI" and the version of OpenSBI's `struct fw_dynamic_info`, whose fields are 8 bytes each. */
const DYNAMIC_MAGIC = 0x4942_534fn;
const DYNAMIC_VERSION = 2n;
const SUPERVISOR = 1n;

const A0 = 10;
const A1 = 11;
const A2 = 12;
const T0 = 5;

const CODE_SIZE = 24;
/** Offsets of the words behind the code. */
const Word = { start: CODE_SIZE, deviceTree: CODE_SIZE + 8, dynamic: CODE_SIZE + 16 } as const;

/** Where the dynamic information lies in the ROM. */
export const DYNAMIC_OFFSET = Word.dynamic;

/**
 * What every hart runs first: it puts its number into a0, the device tree into a1 and OpenSBI's dynamic information into a2, and jumps to the
 * firmware. Position-independent.
 */
export function bootRom({ start, deviceTree, next }: RomValues): Uint8Array {
  const code = [
    auipc(T0, 0),
    addi(A2, T0, Word.dynamic),
    csrr(A0, 0xf14),
    load64(A1, T0, Word.deviceTree),
    load64(T0, T0, Word.start),
    jump(T0),
  ];
  const dynamic = [DYNAMIC_MAGIC, DYNAMIC_VERSION, BigInt(next), SUPERVISOR, 0n, 0n];
  const words = [BigInt(start), BigInt(deviceTree), ...dynamic];
  const rom = new Uint8Array(CODE_SIZE + 8 * words.length);
  const view = new DataView(rom.buffer);
  for (const [n, instruction] of code.entries()) view.setUint32(4 * n, instruction, true);
  for (const [n, word] of words.entries()) view.setBigUint64(CODE_SIZE + 8 * n, word, true);
  return rom;
}

// Five encodings, so that a board need not bring an assembler; boot.test.ts runs them.
function auipc(rd: number, immediate: number): number {
  return ((immediate << 12) | (rd << 7) | 0x17) >>> 0;
}

function addi(rd: number, rs1: number, immediate: number): number {
  return ((immediate << 20) | (rs1 << 15) | (rd << 7) | 0x13) >>> 0;
}

function load64(rd: number, rs1: number, immediate: number): number {
  return ((immediate << 20) | (rs1 << 15) | (3 << 12) | (rd << 7) | 0x03) >>> 0;
}

function csrr(rd: number, csr: number): number {
  return ((csr << 20) | (2 << 12) | (rd << 7) | 0x73) >>> 0;
}

function jump(rs1: number): number {
  return ((rs1 << 15) | 0x67) >>> 0;
}
