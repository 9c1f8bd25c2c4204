import assert from 'node:assert/strict';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { X } from '../../emulator/isa/riscv/registers.ts';
import { Permission, STATE } from '../../emulator/layout/memory-map.ts';
import { ExitReason, REGISTERS } from '../../emulator/layout/state.ts';
import { createCpu, TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';

const SIZE = 1 << 24;
const CODE = 0x1_0000;
/** Where code is generated, and the bytes after which it begins anew. */
const AREA = 0x10_0000;
const AREA_SIZE = 0x40_0000;
const PIECES = { auto: 1000, other: 25_000 };
/** Calls of each piece: enough for tier `auto` to translate it. */
const CALLS = { auto: 8000, other: 4 };

/** Registers by their number. */
const [T0, T1, S0, S1, A0, A2, A3] = [5, 6, 8, 9, 10, 12, 13];
/** Length of a piece: two instructions and the return, and as much again unused. */
const STRIDE = 24;

/**
 * Writes a function `a0 += n; return`, calls it, and goes on with the next number at the next place: code is new for ever. s0: where, s1:
 * its first instruction, a2: calls of each, a3: pieces.
 */
const PROGRAM = [
  'sw s1,0(s0)',
  'sw t0,4(s0)',
  'fence.i',
  'addi t1,a2,0',
  // The inner loop: five instructions with the piece's.
  'jalr ra,0(s0)',
  'addi t1,t1,-1',
  `bne t1,zero,0x${(CODE + 4 * 4).toString(16)}`,
  `addi s0,s0,${STRIDE}`,
  // The next immediate, in the upper 12 bits; it wraps around.
  'lui t2,0x100',
  'addw s1,s1,t2',
  `lui t2,0x${((AREA + AREA_SIZE) >>> 12).toString(16)}`,
  `blt s0,t2,0x${(CODE + 4 * 13).toString(16)}`,
  `lui s0,0x${(AREA >>> 12).toString(16)}`,
  'addi a3,a3,-1',
  `bne a3,zero,0x${CODE.toString(16)}`,
  'ecall',
];

/** Runs a program that generates code all the time. Throws unless it computed what it must. */
function runGeneratedCode(tier: Tier): void {
  const memory = new FlatMemory(SIZE);
  const all = Permission.read | Permission.write | Permission.execute;
  memory.protect(CODE, 0x1000, Permission.read | Permission.execute);
  memory.protect(AREA, AREA_SIZE + 0x1000, all);
  const assemble = (line: string, at: number) => {
    const bytes = riscv64.assemble(line, BigInt(at));
    if ('error' in bytes) throw new Error(`${line}: ${bytes.error}`);
    return bytes;
  };
  for (const [index, line] of PROGRAM.entries()) memory.bytes.set(assemble(line, CODE + 4 * index), CODE + 4 * index);
  const word = (line: string) => new DataView(assemble(line, AREA).buffer).getInt32(0, true);
  const calls = tier === 'auto' ? CALLS.auto : CALLS.other;
  // What is translated at once needs no more than a few calls, and makes many more regions.
  const pieces = tier === 'auto' ? PIECES.auto : PIECES.other;
  const cpu = createCpu(tier, riscv64, memory);
  const registers = new DataView(memory.memory.buffer, STATE + REGISTERS, 0x1000);
  const register = (index: number) => X.offset - REGISTERS + X.stride * index;
  const initial = [
    [S0, AREA],
    [S1, word('addi a0,a0,0')],
    [T0, word('jalr zero,0(ra)')],
    [A2, calls],
    [A3, pieces],
    [T1, 0],
  ] as const;
  for (const [index, value] of initial) registers.setBigInt64(register(index), BigInt(value), true);
  cpu.pc = BigInt(CODE);
  const reason = cpu.run(1e9);
  assert.equal(reason, ExitReason.trap);
  let sum = 0;
  for (let piece = 0; piece < pieces; piece++) sum += calls * (((piece % 4096) << 20) >> 20);
  assert.equal(registers.getBigInt64(register(A0), true), BigInt(sum));
}

// Alone in its process, for memory-overhead.ts: the tier is its argument.
if (import.meta.main) runGeneratedCode(TIERS.find((tier) => tier === process.argv[2])!);
