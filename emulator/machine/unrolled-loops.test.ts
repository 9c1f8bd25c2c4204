import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Random } from '../ir/random.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import { DATA, DATA_PAGES, type LoopProgram, compareRandomLoops, runLoop } from './loop-run.test-support.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 100);
const permissions = Array<number>(DATA_PAGES).fill(Permission.read | Permission.write);

/** Numbers that counters begin or end near, where signs change and sums wrap around. */
const EDGES = [0, 0, 0, 2 ** 31, -(2 ** 31), 2 ** 32];

/** The end of a loop that counts in one of the ways that compilers write it, for so many turns, or fewer when it wraps around. */
function randomCount(random: Random, turns: number) {
  const isNarrow = random.below(3) === 0;
  const step = random.pick([1, 1, 4, 3, 100]) * random.pick([1, -1]);
  const edge = random.pick(EDGES) + random.below(21) - 10;
  const distance = step * turns;
  const [counter, bound] = random.below(2) === 0 ? [edge, edge + distance] : [edge - distance, edge];
  const up = ['bne a2,t6,@', 'bltu a2,t6,@', 'blt a2,t6,@', 'bgeu t6,a2,@', 'bge t6,a2,@', 'bne t6,a2,@'];
  const down = ['bne a2,t6,@', 'bltu t6,a2,@', 'blt t6,a2,@', 'bgeu a2,t6,@', 'bge a2,t6,@'];
  const add = `addi${isNarrow ? 'w' : ''} a2,a2,${step}`;
  const branch = random.pick(step > 0 ? up : down);
  return { lines: [add, branch], counter, bound };
}

/** A short loop that may be left in the middle of a turn, with pointers and counters moved on before and behind that, and registers that are only left behind. */
function randomLoop(random: Random): LoopProgram {
  const body: string[] = [];
  const some = (...choices: readonly string[]) => body.push(random.pick(choices));
  some('lbu a3,0(a0)', 'ld a3,8(a0)', 'lw a3,-4(a0)');
  some('addi a0,a0,8', 'addi a0,a0,1', 'addi a0,a0,-8', 'addi a0,a0,64');
  some('add a4,a4,a3', 'xor t4,a3,a0', 'fmv.d.x fa3,a3', 'addi t5,a0,24');
  if (random.below(2) === 0) some('sb a4,-1(a0)', 'sd a4,-8(a0)', 'sd a1,0(a1)', 'sd a0,0(a1)');
  some('addi a1,a1,16', 'addi a1,a1,0', 'addi a5,a5,3', 'addi a1,a1,-16', 'add a5,a5,a0');
  // Each instruction is four bytes long; the program ends behind the branch back.
  const exit = () => body.push(random.pick(['beq a5,a6,@', 'bltu a6,a5,@', 'beq a3,a7,@', 'bgeu a0,t0,@']));
  const exits: number[] = [];
  if (random.below(3) !== 0) exits.push(exit() - 1);
  if (random.below(2) === 0) some('addi a5,a5,7', 'addi a0,a0,8', 'sub t4,a0,a1', 'addi a1,a1,8');
  if (random.below(3) === 0) exits.push(exit() - 1);
  const { lines, counter, bound } = randomCount(random, 1 + random.below(random.pick([5, 10, 100, 2000])));
  body.push(...lines);
  body[body.length - 1] += String(-4 * (body.length - 1));
  for (const at of exits) body[at] += String(4 * (body.length - at));
  const inside = () => DATA + 8 * random.below((DATA_PAGES * PAGE_SIZE) / 8);
  return {
    lines: body,
    registers: {
      5: inside(),
      10: inside(),
      11: inside(),
      12: counter,
      15: random.below(100),
      16: random.below(random.pick([100, 5000])),
      17: random.below(256),
      31: bound,
    },
    permissions,
  };
}

test('several turns in a row end alike wherever they are left', (context) => {
  compareRandomLoops(context, randomLoop, ROUNDS, [20, 200, 5000]);
});

test('a register moved further than an instruction can say is what it was moved to', () => {
  // Past 2^31 the second of the three moves cannot be put off, so that the third must not be either.
  const program: LoopProgram = {
    lines: [
      'addi a5,a5,1',
      'addi a5,a5,2',
      'lui t0,0x70000',
      'add a1,a1,t0',
      'beq a2,a6,@28',
      'lui t1,0x10000',
      'add a1,a1,t1',
      'lbu a4,0(a0)',
      'lui t2,0xf0000',
      'add a1,a1,t2',
      'lbu a3,0(a0)',
      'addi a0,a0,1',
      'addi a2,a2,-1',
      'bne a2,zero,@-52',
    ],
    registers: { 10: DATA, 12: 100, 16: 3 },
    permissions,
  };
  const { end } = runLoop('interpreter', program, 3, () => 1_000_000);
  assert.deepEqual(runLoop('optimized', program, 3, () => 1_000_000).end, end);
});
