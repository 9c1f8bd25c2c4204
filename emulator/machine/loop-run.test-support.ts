import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { TestContext } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { FloatFlag } from '../bits/float-format.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { F, X } from '../isa/riscv/registers.ts';
import { PAGE_SIZE, Permission, STATE } from '../layout/memory-map.ts';
import { ExitReason, StateOffset } from '../layout/state.ts';
import { FlatMemory } from '../memory/flat.ts';
import { createCpu, type Tier } from './tier.ts';

const SIZE = 1 << 20;
export const CODE = 0x1_0000;
/** Pages that loops walk over, each with permissions of its own. */
export const DATA = 0x8_0000;
export const DATA_PAGES = 16;
const EXECUTE = Permission.read | Permission.execute;

/** Instructions of a run: some loops never end. */
const MOST_INSTRUCTIONS = 200_000;

export interface LoopProgram {
  /** Of four bytes each; @n is the address n bytes on. */
  readonly lines: readonly string[];
  readonly registers: Readonly<Record<number, number>>;
  /** Bits of floating-point registers. Where there are any, the inexact flag has accrued. */
  readonly floats?: readonly bigint[];
  readonly permissions: readonly number[];
  /** What memory is filled with from DATA on. */
  readonly data?: readonly bigint[];
}

/** Runs a program `times` times, in slices of as many instructions as `part` says, and gives all that can be seen of it. */
export function runLoop(tier: Tier, program: LoopProgram, times: number, part: () => number) {
  const { lines, registers, permissions, floats = [], data: filling = [] } = program;
  const memory = new FlatMemory(SIZE);
  memory.permission.fill(EXECUTE, CODE / PAGE_SIZE, CODE / PAGE_SIZE + 1);
  memory.permission.set(permissions, DATA / PAGE_SIZE);
  const bytes: number[] = [];
  for (const line of [...lines, 'ecall']) {
    // Distances are written with an @.
    const here = CODE + bytes.length;
    const absolute = line.replace(/@(-?\d+)/, (_, distance) => `0x${(here + Number(distance)).toString(16)}`);
    const encoded = riscv64.assemble(absolute, BigInt(here));
    if ('error' in encoded) throw new Error(`${line}: ${encoded.error}`);
    bytes.push(...encoded);
  }
  memory.bytes.set(bytes, CODE);
  for (let at = 0; at < DATA_PAGES * PAGE_SIZE; at++) memory.bytes[DATA + at] = (at * 7) >> 3;
  memory.bytes.set(new Uint8Array(BigUint64Array.from(filling).buffer), DATA);
  const cpu = createCpu(tier, riscv64, memory);
  const file = new BigUint64Array(memory.memory.buffer, STATE + X.offset, 32);
  const floatFile = new BigUint64Array(memory.memory.buffer, STATE + F.offset, 32);
  const state = new DataView(memory.memory.buffer, STATE);
  const ends: string[] = [];
  for (let time = 0; time < times; time++) {
    cpu.pc = BigInt(CODE);
    for (const [register, value] of Object.entries(registers)) file[Number(register)] = BigInt(value);
    floatFile.set(floats);
    if (floats.length > 0) state.setUint32(StateOffset.floatFlags, FloatFlag.inexact, true);
    const end = Number(cpu.counters.instructions) + MOST_INSTRUCTIONS;
    let reason: ExitReason;
    let left: number;
    do {
      reason = cpu.run(Math.min(part(), end - Number(cpu.counters.instructions)));
      left = end - Number(cpu.counters.instructions);
    } while (reason === ExitReason.budget && left > 0);
    ends.push(
      `${reason} ${cpu.cause} ${cpu.value} at ${cpu.pc} after ${cpu.counters.instructions}, flags ${state.getUint32(StateOffset.floatFlags, true)}`,
    );
  }
  const counters: Readonly<Partial<Record<string, number>>> = { ...cpu.counters };
  const held = [...file, ...floatFile].map((value) => value.toString(16)).join(' ');
  const data = memory.bytes.subarray(DATA, DATA + DATA_PAGES * PAGE_SIZE);
  const dataHash = createHash('sha256').update(data).digest('hex');
  return { end: { ends, held, dataHash }, regionInstructions: counters['regionInstructions'] ?? 0 };
}

/**
 * Runs `rounds` random programs in regions, whole and in random slices (`longest`: picks the most instructions in one), and compares all that can be
 * seen with the interpreter's. Prints the seed.
 */
export function compareRandomLoops(
  context: TestContext,
  make: (random: Random) => LoopProgram,
  rounds: number,
  longest: readonly number[],
): void {
  const base = testSeed();
  context.diagnostic(`SEED=${base}`);
  let inRegions = 0;
  for (let round = 0; round < rounds; round++) {
    const seed = base + round;
    const program = make(new Random(seed));
    const whole = () => 1_000_000;
    const expected = runLoop('interpreter', program, 3, whole);
    const random = new Random(seed);
    const most = random.pick(longest);
    for (const part of [whole, () => 1 + random.below(most)]) {
      const { end, regionInstructions } = runLoop('optimized', program, 3, part);
      assert.deepEqual(end, expected.end, `seed ${seed}\n${program.lines.join('\n')}`);
      inRegions += regionInstructions;
    }
  }
  assert.ok(inRegions > rounds * 100, `${inRegions} instructions ran in regions`);
}
