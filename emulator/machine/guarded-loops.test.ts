import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Random } from '../ir/random.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import { DATA, DATA_PAGES, type LoopProgram, compareRandomLoops, runLoop } from './loop-run.test-support.ts';

const EXECUTE = Permission.read | Permission.execute;
const READ_WRITE = Permission.read | Permission.write;
const ROUNDS = Number(process.env['ROUNDS'] ?? 60);

const LOADS = { 1: ['lb', 'lbu'], 2: ['lh', 'lhu'], 4: ['lw', 'lwu'], 8: ['ld'] } as const;
const STORES = { 1: 'sb', 2: 'sh', 4: 'sw', 8: 'sd' } as const;
type Bytes = keyof typeof LOADS;

/** A loop whose pointers move on by constants, some of them by way of another register, over memory that may end before the loop does. */
function randomLoop(random: Random): LoopProgram {
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

test('loops that are checked for many turns at once end alike at every fault and every end of the budget', (context) => {
  compareRandomLoops(context, randomLoop, ROUNDS, [30, 1000, 100_000]);
});

test('an access that was refused so often that it looks for itself does not do so for others', () => {
  // Once the guards are refused near the end of the page, `sb` is too, which would look for the bytes of `sw` as well.
  const program: LoopProgram = {
    lines: [
      'sb a4,-8(a0)',
      'lw a3,87(a1)',
      'add a4,a4,a3',
      'addi a0,a0,64',
      'slli a3,a4,3',
      'xor a4,a4,a3',
      'addi a4,a4,5',
      'sw a4,-3(a0)',
      'sw a4,16(a5)',
      'addi a5,a0,-19',
      'addi a1,a1,-8',
      'addi a2,a2,-1',
      'bne a2,zero,@-48',
    ],
    registers: { 10: 0x8_503d, 11: 0x8_f03e, 12: 206, 14: 1, 15: 0x8_ee4c, 17: 0x8_73e7 },
    permissions: Array.from({ length: DATA_PAGES }, (_, page) => (page === 6 || page === 7 ? 0 : READ_WRITE)),
  };
  const { end } = runLoop('interpreter', program, 3, () => 1_000_000);
  for (const first of [1_000_000, 13 * 60]) {
    let runs = 0;
    const { end: optimized } = runLoop('optimized', program, 3, () => (runs++ === 1 ? first : 1_000_000));
    assert.deepEqual(optimized, end, `${first} instructions at first`);
  }
});
