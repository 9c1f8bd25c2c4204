import type { Block } from '../ir/block.ts';
import { GUEST, PAGE_SIZE, PERMISSION, Permission } from '../layout/memory-map.ts';
import { FaultKind } from '../layout/state.ts';
import type { Program, Stop } from './executor.ts';
import { liftInstruction } from './lift.ts';

/** What one instruction did. */
export type Step =
  { readonly kind: 'next'; readonly pc: bigint; readonly retired: number } | Extract<Stop, { kind: 'trap' | 'fault' }>;

/** Fetches, decodes and lifts one instruction after the other, and has `step` carry it out, until the program stops. */
export function stepProgram(program: Program, step: (block: Block, retired: number) => Step): Stop {
  const { isa, start, end, limit } = program;
  let pc = start;
  for (let retired = 0; retired < limit; retired++) {
    if (pc < start || pc >= end) return { kind: 'end', pc, retired };
    const bytes = executableBytes(program, pc);
    const decoded = isa.decode(bytes, 0);
    if (decoded === undefined) {
      if (bytes.length === isa.maximumLength) return { kind: 'illegal', pc, retired };
      return { kind: 'fault', fault: FaultKind.fetch, address: pc + BigInt(bytes.length), pc, retired };
    }
    const done = step(liftInstruction(isa, decoded, pc), retired);
    if (done.kind !== 'next') return { ...done, retired };
    pc = done.pc;
  }
  return { kind: pc < start || pc >= end ? 'end' : 'limit', pc, retired: limit };
}

/** The bytes from pc that may be executed, at most those of the longest instruction. */
function executableBytes({ isa, memory, guestSize }: Program, pc: bigint): Uint8Array {
  const linear = new Uint8Array(memory.buffer);
  let count = 0;
  for (; count < isa.maximumLength; count++) {
    const address = pc + BigInt(count);
    if (address >= BigInt(guestSize)) break;
    if ((linear[PERMISSION + Math.floor(Number(address) / PAGE_SIZE)]! & Permission.execute) === 0) break;
  }
  return count === 0 ? new Uint8Array(0) : linear.subarray(GUEST + Number(pc), GUEST + Number(pc) + count);
}
