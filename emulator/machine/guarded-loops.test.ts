import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { X } from '../isa/riscv/registers.ts';
import { PAGE_SIZE, Permission, STATE } from '../layout/memory-map.ts';
import { ExitReason, REGISTERS } from '../layout/state.ts';
import { FlatMemory } from '../memory/flat.ts';
import { createCpu, type Tier } from './tier.ts';

const SIZE = 1 << 20;
const CODE = 0x1_0000;
/** Pages that loops walk over, each with permissions of its own. */
const DATA = 0x8_0000;
const DATA_PAGES = 16;
const EXECUTE = Permission.read | Permission.execute;
const READ_WRITE = Permission.read | Permission.write;
const ROUNDS = Number(process.env['ROUNDS'] ?? 60);

const LOADS = { 1: ['lb', 'lbu'], 2: ['lh', 'lhu'], 4: ['lw', 'lwu'], 8: ['ld'] } as const;
const STORES = { 1: 'sb', 2: 'sh', 4: 'sw', 8: 'sd' } as const;
type Bytes = keyof typeof LOADS;

interface Program {
  readonly lines: readonly string[];
  readonly registers: Readonly<Record<number, number>>;
  readonly permissions: readonly number[];
}

/** A loop whose pointers move on by constants, some of them by way of another register, over memory that may end before the loop does. */
function randomLoop(random: Random): Program {
  const pointers = ['a0', 'a1'];
  const strides = pointers.map(() => random.pick([1, 2, 4, 8, 16, 24, 64, 0, -1, -8, -32]));
  const width = (): Bytes => random.pick([1, 2, 4, 8] as const);
  const offset = () => random.pick([0, 0, 8, -8, 16, 40, -3, random.below(200) - 100]);
  const operation = (): string[] => {
    const pointer = random.pick(pointers);
    const bytes = width();
    switch (random.below(7)) {
      case 0:
      case 1:
        return [`${random.pick(LOADS[bytes])} a3,${offset()}(${pointer})`, 'add a4,a4,a3'];
      case 2:
      case 3:
        return [`${STORES[bytes]} a4,${offset()}(${pointer})`];
      case 4:
        // By way of a register that is set from the pointer further on.
        return [`${STORES[bytes]} a4,${offset()}(a5)`, `addi a5,${pointer},${offset()}`];
      case 5:
        // A place in a table.
        return [`andi a6,a4,${random.pick([7, 63, 255])}`, 'slli a6,a6,2', 'add a6,a6,a7', 'lw a3,4(a6)'];
      default:
        return ['slli a3,a4,3', 'xor a4,a4,a3', 'addi a4,a4,5'];
    }
  };
  const body: string[] = [];
  const moves = pointers.map((pointer, at) => ({
    line: `addi ${pointer},${pointer},${strides[at]!}`,
    at: random.below(5),
  }));
  for (let at = 0; at < 5; at++) {
    const some = operation();
    // Each instruction is four bytes long.
    const skipped = random.below(3) === 0 ? [`andi t3,a4,1`, `beq t3,zero,@${4 * (some.length + 1)}`] : [];
    body.push(...skipped, ...some);
    for (const move of moves) if (move.at === at) body.push(move.line);
  }
  body.push('addi a2,a2,-1');
  body.push(`bne a2,zero,@${-4 * body.length}`);
  const inData = () => DATA + random.below(DATA_PAGES * PAGE_SIZE);
  const nearEdge = () => DATA + random.below(DATA_PAGES) * PAGE_SIZE + random.below(129) - 64;
  const start = () => (random.below(2) === 0 ? inData() : nearEdge());
  const kinds = [
    READ_WRITE,
    READ_WRITE,
    READ_WRITE,
    READ_WRITE,
    READ_WRITE,
    Permission.read,
    0,
    EXECUTE | Permission.write,
  ];
  let kind = READ_WRITE;
  const permissions = Array.from({ length: DATA_PAGES }, () =>
    random.below(3) === 0 ? (kind = random.pick(kinds)) : kind,
  );
  return {
    lines: body,
    registers: {
      10: start(),
      11: start(),
      12: 1 + random.below(random.pick([10, 400, 3000])),
      14: 1,
      15: start(),
      17: inData(),
    },
    permissions,
  };
}

function run(tier: Tier, { lines, registers, permissions }: Program, times: number, part: () => number) {
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
  const cpu = createCpu(tier, riscv64, memory);
  const file = new BigUint64Array(memory.memory.buffer, STATE + X.offset, 32);
  const ends: string[] = [];
  for (let time = 0; time < times; time++) {
    cpu.pc = BigInt(CODE);
    for (const [register, value] of Object.entries(registers)) file[Number(register)] = BigInt(value);
    let reason: ExitReason;
    do reason = cpu.run(part());
    while (reason === ExitReason.budget);
    ends.push(`${reason} ${cpu.cause} ${cpu.value} at ${cpu.pc} after ${cpu.counters.instructions}`);
  }
  const counters: Readonly<Partial<Record<string, number>>> = { ...cpu.counters };
  const held = Buffer.from(Buffer.from(memory.memory.buffer, STATE + REGISTERS, 32 * 8));
  const data = Buffer.from(memory.bytes.subarray(DATA, DATA + DATA_PAGES * PAGE_SIZE)).toString('base64');
  return { end: { ends, held, data }, regionInstructions: counters['regionInstructions'] ?? 0 };
}

test('loops that are checked for many turns at once end alike at every fault and every end of the budget', (context) => {
  const base = testSeed();
  context.diagnostic(`SEED=${base}`);
  let inRegions = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const seed = base + round;
    const program = randomLoop(new Random(seed));
    const whole = () => 1_000_000;
    const expected = run('interpreter', program, 3, whole);
    const random = new Random(seed);
    const longest = random.pick([30, 1000, 100_000]);
    for (const part of [whole, () => 1 + random.below(longest)]) {
      const { end, regionInstructions } = run('optimized', program, 3, part);
      assert.deepEqual(end, expected.end, `seed ${seed}\n${program.lines.join('\n')}`);
      inRegions += regionInstructions;
    }
  }
  assert.ok(inRegions > ROUNDS * 100, `${inRegions} instructions ran in regions`);
});
