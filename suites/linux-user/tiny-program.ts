import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { ElfMachine } from '../../emulator/loader/elf.ts';
import { headersSize, SegmentFlag, writeElf } from '../../emulator/loader/write-elf.ts';

const HEADERS = headersSize(2);
const TEXT = 0x1_0000;
/** 64 KiB that the program may write, all zero; `lui reg,0x20` gives the address. */
const DATA = 0x2_0000;
const DATA_SIZE = 0x1_0000;

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

  return writeElf({
    machine: ElfMachine.riscv,
    entry: TEXT + HEADERS,
    segments: [
      {
        address: TEXT,
        flags: SegmentFlag.read | SegmentFlag.execute,
        bytes: Uint8Array.from(code),
        withHeaders: true,
      },
      {
        address: DATA,
        flags: SegmentFlag.read | SegmentFlag.write,
        bytes: new Uint8Array(),
        memorySize: DATA_SIZE,
      },
    ],
  });
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
