import { test } from 'node:test';
import type { Random } from '../ir/random.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import { DATA, DATA_PAGES, type LoopProgram, compareRandomLoops } from './loop-run.test-support.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 100);
const OPEN = Permission.read | Permission.write;

/**
 * A short loop that counts from a constant, in another one: it turns a few times, as often each time or not, and may be left in the middle of a turn, or at
 * an access that faults.
 */
function randomNest(random: Random): LoopProgram {
  const some = (...choices: readonly string[]) => random.pick(choices);
  const begin = random.pick([0, 0, 1, 7, -3, 100]);
  const step = random.pick([1, 1, 2, -1, -3]);
  const turns = 1 + random.below(10);
  const bound = begin + step * turns;
  const isZero = bound === 0 && random.below(2) === 0;
  const back = isZero ? 'bne a2,zero,@' : some('bne a2,t6,@', step > 0 ? 'blt a2,t6,@' : 'blt t6,a2,@');
  const inner = [
    some('lbu a3,0(a0)', 'ld a3,8(a0)', 'add a3,a3,a2', 'slli a3,a2,3'),
    some('add a4,a4,a3', 'xor a4,a4,a2', 'sb a4,1(a1)', 'sllw t4,a3,a2'),
    some('addi a0,a0,1', 'add t5,a1,a2', 'sd a2,0(a1)', 'sub a5,a5,a2'),
  ];
  // Instructions are four bytes long: out of both loops, or on to the outer one's next turn.
  const tail = [some('addi a1,a1,8', 'addi a0,a0,-3', 'addi a1,a1,-1'), 'addi s1,s1,-1'];
  // Now and then the bound is not what it was.
  const shift = random.below(3) === 0 ? [some('xor t6,t6,t3', 'addi t6,t6,1', 'andi t6,a4,7')] : [];
  const after = shift.length + tail.length;
  if (random.below(2) === 0) {
    const on = 4 * (2 + 1 + random.pick([0, after + 1]));
    inner.push(`${some('beq a3,a7', 'bltu a6,a5', 'beq a2,t2')},@${on}`, some('addi t1,t1,1', 'add t1,t1,a2'));
  }
  // A turn of several blocks.
  if (random.below(3) === 0) inner.splice(random.below(3), 0, 'jal zero,@8', 'addi t1,t1,1');
  inner.push(`addi a2,a2,${step}`);
  inner.push(back + String(-4 * inner.length));
  const head = [some('addi a5,a5,1', 'add t1,t1,a4'), `addi a2,zero,${begin}`];
  const body = [...head, ...inner, ...shift, ...tail];
  body.push(`bne s1,zero,@${-4 * body.length}`);
  const place = () => DATA + 8 * random.below((DATA_PAGES * PAGE_SIZE) / 8);
  return {
    lines: body,
    registers: {
      7: begin + step * random.below(turns + 1),
      9: 1 + random.below(300),
      10: place(),
      11: place(),
      15: random.below(100),
      16: random.below(5000),
      17: random.below(256),
      28: random.pick([1, 2, 5]),
      31: bound,
    },
    permissions: Array.from({ length: DATA_PAGES }, () => (random.below(10) === 0 ? Permission.read : OPEN)),
  };
}

test('loops whose turns are written out end alike, however often they turn', (context) => {
  compareRandomLoops(context, randomNest, ROUNDS, [20, 200, 5000]);
});
