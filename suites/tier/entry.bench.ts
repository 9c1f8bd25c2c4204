import assert from 'node:assert/strict';
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { PAGE_SIZE, Permission } from '../../emulator/layout/memory-map.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { BASELINE, OPTIMIZED, type TierPolicy } from '../../emulator/tier/policy.ts';
import type { TieredEngine } from '../../emulator/tier/tiered.ts';
import { defineBench } from '../harness/define-bench.ts';

const SIZE = 1 << 20;
const CODE = 0x1_0000;
const COMMON = { unit: 'ns', kind: 'time', direction: 'lower', engine: 'mitata', tags: ['riscv64'] } as const;

interface Looping {
  readonly vcpu: Vcpu;
  readonly engine: TieredEngine;
}

/** A loop of so many jumps to the instruction behind them, and one back; every jump begins a block. */
function loop(jumps: number, policy: TierPolicy): Looping {
  const memory = new FlatMemory(SIZE);
  const lines = Array.from({ length: jumps }, (_, jump) => CODE + 4 * ((jump + 1) % jumps));
  for (const [jump, target] of lines.entries()) {
    const encoded = riscv64.assemble(`jal zero,0x${target.toString(16)}`, BigInt(CODE + 4 * jump));
    assert(!('error' in encoded));
    memory.bytes.set(encoded, CODE + 4 * jump);
  }
  memory.permission.fill(Permission.read | Permission.execute, CODE / PAGE_SIZE, CODE / PAGE_SIZE + 1);
  const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: SIZE, tiers: { policy } });
  vcpu.pc = BigInt(CODE);
  // Long enough for all regions to be made, and for V8 to have optimised them.
  for (let round = 0; round < 200; round++) vcpu.run(10_000);
  return { vcpu, engine: vcpu.tiers! };
}

/** Instructions of one run of the loop that is entered over and over. */
const FEW = 16;

defineBench<Looping>({
  ...COMMON,
  id: 'tier/entry/from-outside',
  title: 'entering a region from JavaScript, 16 instructions, and coming back at the end of the budget',
  setup: () => loop(4, OPTIMIZED),
  work: ({ vcpu }) => vcpu.run(FEW),
  check: ({ engine }) => assert.ok(engine.counters.regionEntries > 0),
  counters: ({ vcpu, engine: { counters } }) => {
    const { regionEntries, regionInstructions } = counters;
    for (let round = 0; round < 100; round++) vcpu.run(FEW);
    return {
      entries: counters.regionEntries - regionEntries,
      'in-regions': counters.regionInstructions - regionInstructions,
    };
  },
});

const MANY = 100_000;
/** Every jump is a region. */
const SINGLE: TierPolicy = { ...BASELINE, limits: { instructions: 1, inlined: 0 } };

defineBench<Looping>({
  ...COMMON,
  id: 'tier/entry/chained',
  title: 'from region to region by the jump cache, without leaving WebAssembly',
  setup: () => loop(4, SINGLE),
  work: ({ vcpu }) => vcpu.run(MANY),
  items: () => MANY,
  check: ({ engine }) => assert.ok(engine.counters.chained > 0),
  counters: ({ vcpu, engine: { counters } }) => {
    const { chained, regionEntries, regionInstructions } = counters;
    vcpu.run(MANY);
    return {
      chained: counters.chained - chained,
      entries: counters.regionEntries - regionEntries,
      'in-regions': counters.regionInstructions - regionInstructions,
    };
  },
});
