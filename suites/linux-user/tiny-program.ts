import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { ElfMachine } from '../../emulator/loader/elf.ts';

const HEADERS = 64 + 2 * 56;
const TEXT = 0x1_0000;
/** 64 KiB that the program may write, all zero; `lui reg,0x20` gives the address. */
const DATA = 0x2_0000;
const DATA_SIZE = 0x1_0000;

/** Of `p_type` and `p_flags` (System V ABI, "Program Header"). */
const Segment = { load: 1, execute: 1, write: 2, read: 4 } as const;

/**
 * A static riscv64 Linux program of these assembly lines and nothing else: no C library stands between the benchmark and what it measures.
 * `name:` is a label; each instruction is 4 bytes long, so labels are known beforehand. The program starts at its first line.
 */
export function tinyProgram(source: string): Uint8Array {
  const lines = source
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const labels = new Map<string, number>();
  const instructions: string[] = [];
  for (const line of lines) {
    if (line.endsWith(':')) labels.set(line.slice(0, -1), TEXT + HEADERS + 4 * instructions.length);
    else instructions.push(line);
  }
  const code = instructions.flatMap((line, index) => {
    const resolved = line.replace(/\w+$/, (word) => (labels.has(word) ? `0x${labels.get(word)!.toString(16)}` : word));
    const bytes = riscv64.assemble(resolved, BigInt(TEXT + HEADERS + 4 * index));
    if ('error' in bytes) throw new Error(`${line}: ${bytes.error}`);
    return [...bytes];
  });

  const file = new Uint8Array(HEADERS + code.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, ElfMachine.riscv, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(TEXT + HEADERS), true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  writeSegment(view, 64, Segment.read | Segment.execute, TEXT, file.length, file.length);
  writeSegment(view, 120, Segment.read | Segment.write, DATA, 0, DATA_SIZE);
  file.set(code, HEADERS);
  return file;
}

/** One PT_LOAD of the file's start. */
function writeSegment(
  view: DataView,
  at: number,
  flags: number,
  address: number,
  fileSize: number,
  size: number,
): void {
  view.setUint32(at, Segment.load, true);
  view.setUint32(at + 4, flags, true);
  view.setBigUint64(at + 16, BigInt(address), true);
  view.setBigUint64(at + 24, BigInt(address), true);
  view.setBigUint64(at + 32, BigInt(fileSize), true);
  view.setBigUint64(at + 40, BigInt(size), true);
  view.setBigUint64(at + 48, 4096n, true);
}

/** Writes `hello` and a newline, and exits with 0. */
export const HELLO = `
  addi sp,sp,-16
  lui t0,0x6c6c6
  addi t0,t0,0x568
  sw t0,0(sp)
  lui t0,0x1
  addi t0,t0,-1425
  sw t0,4(sp)
  addi a0,zero,1
  addi a1,sp,0
  addi a2,zero,6
  addi a7,zero,64
  ecall
  addi a0,zero,0
  addi a7,zero,94
  ecall
`;
