import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { opRow } from '../../emulator/ir/op.ts';
import type { Block } from '../../emulator/ir/block.ts';
import type { Decoded } from '../../emulator/isa/instruction.ts';
import { liftInstructions } from '../../emulator/filetests/lift.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { parseElf } from '../../emulator/loader/elf.ts';

/** A committed program with the C library in it: what compilers and the library's authors write, all of it. */
const PROGRAM = 'libc';

/** What a benchmark over the program's text names as its input, from a suite's own folder. */
export const PROGRAM_INPUT = `../guests/riscv64/${PROGRAM}`;

export interface DecodedAt {
  readonly decoded: Decoded;
  readonly pc: bigint;
}

export interface ProgramText {
  readonly bytes: Uint8Array;
  readonly address: bigint;
}

/** The program's `.text`. */
export function programText(): ProgramText {
  const path = join(import.meta.dirname, PROGRAM_INPUT);
  const elf = parseElf(readFileSync(path), PROGRAM);
  const section = elf.sections().find(({ name }) => name === '.text');
  assert(section !== undefined, `${PROGRAM} has a .text`);
  const bytes = elf.bytes.slice(section.fileOffset, section.fileOffset + section.size);
  return { bytes, address: BigInt(section.address) };
}

/** Its instructions in order of address; at most `limit` from the start. Bytes that are none (padding) are stepped over. */
export function programInstructions(limit = Infinity): DecodedAt[] {
  const { bytes, address } = programText();
  const found: DecodedAt[] = [];
  for (let at = 0; at < bytes.length && found.length < limit;) {
    const decoded = riscv64.decode(bytes, at);
    if (decoded !== undefined) found.push({ decoded, pc: address + BigInt(at) });
    at += decoded?.length ?? riscv64.alignment;
  }
  return found;
}

/** The first so many basic blocks of the text: each ends behind its first jump or branch. */
export function programBlocks(count: number): Block[] {
  const blocks: Block[] = [];
  let rest = programInstructions();
  while (blocks.length < count && rest.length > 0) {
    const block = liftInstructions(riscv64, rest.slice(0, 64));
    blocks.push(block);
    rest = rest.slice(instructionsIn(block));
  }
  return blocks;
}

/** One block of exactly so many instructions: the text with its jumps and branches left out. */
export function straightBlock(count: number): Block {
  const straight = programInstructions().filter(({ decoded, pc }) => {
    const { ops } = liftInstructions(riscv64, [{ decoded, pc }]);
    return ops.every(({ name }) => opRow(name).terminator !== true);
  });
  return liftInstructions(riscv64, straight.slice(0, count));
}

export function instructionsIn(block: Block): number {
  return block.ops.filter(({ name }) => name === 'insn').length;
}
