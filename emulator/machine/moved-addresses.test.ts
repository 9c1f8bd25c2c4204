import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Permission } from '../layout/memory-map.ts';
import { DATA, DATA_PAGES, type LoopProgram, runLoop } from './loop-run.test-support.ts';

/** Registers that are moved on by so much and then stored to twice, so that the second store needs no check. */
const MOVES = [0x7000_0000, -0x7000_0000, 0x1_0000, -0x1_0000, 0xf000, -0xf000, 0x1000, -0x1000];

for (const move of MOVES) {
  test(`what a register reaches that is moved by ${move} is what the interpreter finds there`, () => {
    const program: LoopProgram = {
      lines: [
        `lui a5,0x${((move >>> 12) & 0xf_ffff).toString(16)}`,
        'add a4,a0,a5',
        'sd a3,0(a4)',
        'sw a2,0(a4)',
        'add a3,a3,a4',
        'addi a3,a3,1',
        'addi a0,a0,8',
        'addi a2,a2,-1',
        'bne a2,zero,@-32',
      ],
      registers: { 10: DATA - move, 12: 300 },
      permissions: Array<number>(DATA_PAGES).fill(Permission.read | Permission.write),
    };
    const { end } = runLoop('interpreter', program, 2, () => 1_000_000);
    const optimized = runLoop('optimized', program, 2, () => 1_000_000);
    assert.deepEqual(optimized.end, end);
    assert.ok(optimized.regionInstructions > 1000, `${optimized.regionInstructions} ran in regions`);
  });
}
