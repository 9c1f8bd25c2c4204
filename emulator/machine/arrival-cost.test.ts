import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { CODE, CODE_SIZE, randomImage } from '../cpu/random-code.test-support.ts';
import { Vcpu } from '../cpu/vcpu.ts';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import { AUTO_TRANSLATED, type TierPolicy } from '../tier/policy.ts';
import { layoutOf, RAM, ramBytes, setUp, translating, userHart } from './translated-guest.test-support.ts';

/** By offset. The loop is translated before it is left for the first time, which it is every 2048 turns. */
const LOOP: readonly (readonly [number, string, number?])[] = [
  [0, 'addi t0,t0,1'],
  [4, 'andi t1,t0,2047'],
  [8, 'beq t1,zero,', 256],
  [12, 'jal zero,', 0],
  [256, 'addi t2,t2,1'],
  [260, 'jal zero,', 0],
];

/** Regions that are made of the loop where an arrival counts so much. */
function regionsMade(privilege: number, arrivalCost: number, systemArrivalCost: number): number {
  const random = new Random(testSeed());
  const start = randomImage(random);
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  const layout = { spaces: layoutOf(random).spaces, hardwareDirty: false };
  setUp(start, layout);
  const place = layout.spaces[0]![CODE / PAGE_SIZE]! * PAGE_SIZE;
  const pc = privilege === Privilege.user ? CODE : RAM + place;
  for (const [offset, line, target] of LOOP) {
    const whole = target === undefined ? line : `${line}0x${(pc + target).toString(16)}`;
    const bytes = riscv64.assemble(whole, BigInt(pc + offset));
    assert.ok(bytes instanceof Uint8Array, whole);
    ramBytes.set(bytes, place + offset);
  }
  const policy: TierPolicy = {
    ...AUTO_TRANSLATED,
    // So many looks that the end of the loop, interpreted for two instructions each time, is not sampled often enough.
    sampleInterval: 20,
    hotSamples: 50,
    warmUp: 0,
    lineCost: 0,
    cost: 1,
    coldCost: 0,
    leastRegion: 1,
    arrivalCost,
    systemArrivalCost,
  };
  const { cpu, state, hooks } = userHart(false, translating({ policy }));
  assert.ok(cpu instanceof Vcpu);
  state.setUint32(PRIVILEGE.offset, privilege, true);
  hooks.translationChanged();
  state.setBigUint64(X.offset + 8 * 5, 1n, true);
  cpu.pc = BigInt(pc);
  while (cpu.counters.instructions < 600_000) cpu.run(600_000 - cpu.counters.instructions);
  return cpu.tiers!.counters.regions;
}

test('an arrival counts what the policy says for user mode, and for other modes', () => {
  for (const [user, system] of [
    [1e6, 0],
    [0, 1e6],
  ] as const) {
    const made = [Privilege.user, Privilege.machine].map((privilege) => regionsMade(privilege, user, system));
    assert.deepEqual(made, user > 0 ? [2, 1] : [1, 2]);
  }
});
