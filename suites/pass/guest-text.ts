import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { liftInstructions } from '../../emulator/filetests/lift.ts';
import type { Block } from '../../emulator/ir/block.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { parseElf } from '../../emulator/loader/elf.ts';
import type { DecodedAt } from '../isa/program-text.ts';
import { instructionsIn } from '../isa/program-text.ts';

/** The linker puts a guest's own functions first, the C library after them. */
const OWN_TEXT = 4096;
/** As long as blocks get. */
const INSTRUCTIONS = 64;

/** A guest's executable, from this folder. */
export function guestInput(name: string): string {
  return `../guests/riscv64/${name}`;
}

/** The basic blocks of a committed guest's own code: each ends behind its first jump or branch. */
export function guestBlocks(name: string): Block[] {
  const elf = parseElf(readFileSync(join(import.meta.dirname, guestInput(name))), name);
  const section = elf.sections().find((each) => each.name === '.text');
  assert(section !== undefined, `${name} has a .text`);
  const bytes = elf.bytes.slice(section.fileOffset, section.fileOffset + Math.min(section.size, OWN_TEXT));
  let rest: DecodedAt[] = [];
  for (let at = 0; at < bytes.length;) {
    const decoded = riscv64.decode(bytes, at);
    if (decoded !== undefined) rest.push({ decoded, pc: BigInt(section.address + at) });
    at += decoded?.length ?? riscv64.alignment;
  }
  const blocks: Block[] = [];
  while (rest.length > 0) {
    const block = liftInstructions(riscv64, rest.slice(0, INSTRUCTIONS));
    blocks.push(block);
    rest = rest.slice(instructionsIn(block));
  }
  return blocks;
}
