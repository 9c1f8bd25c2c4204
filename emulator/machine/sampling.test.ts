import assert from 'node:assert/strict';
import { test } from 'node:test';
import { X } from '../isa/riscv/registers.ts';
import { ExitReason } from '../layout/state.ts';
import { hart, RAM } from './hart.test-support.ts';

const hex = (address: number): string => `0x${address.toString(16)}`;
const [FIRST, SECOND] = [1000, 4000];
const WORK = 40;

test('code that comes back to JavaScript every so many instructions is translated as other code is', () => {
  const second = RAM + 8;
  const program = [
    // A region, so that from now on the interpreter runs between regions.
    'addi s1,s1,-1',
    `bne s1,zero,${hex(RAM)}`,
    ...Array.from({ length: WORK }, () => 'addi s0,s0,1'),
    // Control comes out behind it, whatever is left of the budget.
    'csrrw zero,satp,zero',
    'addi s2,s2,-1',
    `bne s2,zero,${hex(second)}`,
  ];
  const { cpu, state, x } = hart('sampled', program);
  state.setBigUint64(X.offset + 8 * 9, BigInt(FIRST), true);
  state.setBigUint64(X.offset + 8 * 18, BigInt(SECOND), true);
  const before = 2 * FIRST;
  const total = before + (WORK + 3) * SECOND;
  let stops = 0;
  while (cpu.counters.instructions < total) {
    const reason = cpu.run(total - cpu.counters.instructions);
    if (reason === ExitReason.helper) stops++;
    else assert.equal(reason, ExitReason.budget);
  }
  assert.equal(stops, SECOND);
  assert.deepEqual([x(8), x(18)], [BigInt(WORK * SECOND), 0n]);
  const { regionInstructions = 0 } = cpu.counters as Partial<Record<string, number>>;
  assert.ok(regionInstructions - before > (total - before) / 2, `${regionInstructions} of ${total} in regions`);
});
