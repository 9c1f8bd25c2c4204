import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Permission } from '../layout/memory-map.ts';
import { CODE, DATA_PAGES, type LoopProgram, runLoop } from './loop-run.test-support.ts';

const permissions = Array<number>(DATA_PAGES).fill(Permission.read | Permission.write);

/** Loops of several nodes that are left before the end of a turn, in each way there is. */
const LOOPS: readonly { readonly title: string; readonly program: LoopProgram }[] = [
  {
    title: 'by an indirect jump to an address not seen before',
    program: {
      // In the turn with a2 = 5 the jump goes two instructions further than in all others: behind the loop.
      lines: [
        'addi t0,a2,-5',
        'sltiu t0,t0,1',
        'slli t0,t0,3',
        'add t1,t2,t0',
        'jalr zero,0(t1)',
        'addi a2,a2,-1',
        'bne a2,zero,@-24',
      ],
      registers: { 7: CODE + 20, 12: 900 },
      permissions,
    },
  },
  {
    title: 'by a branch out of its middle',
    program: {
      lines: ['addi a4,a4,1', 'beq a4,a5,@16', 'xor a3,a3,a4', 'addi a2,a2,-1', 'bne a2,zero,@-16'],
      registers: { 12: 900, 15: 700 },
      permissions,
    },
  },
  {
    title: 'by a branch to another part of the loop around it',
    program: {
      // The inner loop is left when a4 comes to a multiple of 8, which is where the outer one goes on.
      lines: [
        'addi a1,zero,100',
        'addi a4,a4,1',
        'andi t0,a4,7',
        'beq t0,zero,@16',
        'xor a3,a3,a4',
        'addi a1,a1,-1',
        'bne a1,zero,@-20',
        'addi a3,a3,5',
        'addi a2,a2,-1',
        'bne a2,zero,@-36',
      ],
      registers: { 12: 300 },
      permissions,
    },
  },
  {
    title: 'for an instruction that regions do not hold, on a side path',
    program: {
      lines: [
        'andi t0,a2,127',
        'bne t0,zero,@8',
        'csrrs a4,fflags,zero',
        'addi a3,a3,3',
        'addi a2,a2,-1',
        'bne a2,zero,@-20',
      ],
      registers: { 12: 900 },
      permissions,
    },
  },
];

for (const { title, program } of LOOPS) {
  test(`a loop that is left ${title} has retired what the interpreter retires`, () => {
    for (const part of [1_000_000, 7, 50, 333]) {
      const { end } = runLoop('interpreter', program, 3, () => part);
      const optimized = runLoop('optimized', program, 3, () => part);
      assert.deepEqual(optimized.end, end, `slices of ${part}`);
      if (part > 7) assert.ok(optimized.regionInstructions > 1000, `${optimized.regionInstructions} ran in regions`);
    }
  });
}
