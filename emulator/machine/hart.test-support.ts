import assert from 'node:assert/strict';
import { riscv64 } from '../isa/riscv/index.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { causeOfFault, deliverTrap } from '../isa/riscv/trap.ts';
import { GUEST, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason } from '../layout/state.ts';
import { Bus } from '../memory/bus.ts';
import { Mmu } from '../memory/mmu.ts';
import { Vcpu, type VcpuOptions } from '../cpu/vcpu.ts';
import { AUTO_TRANSLATED, BASELINE, OPTIMIZED } from '../tier/policy.ts';
import type { Isa, SystemHooks } from '../isa/instruction.ts';
import { governTranslation } from './riscv-translation.ts';
import { SystemReference } from './system-reference.ts';

export const RAM = 0x8000_0000;
const SIZE = 1 << 20;

interface HartOptions {
  readonly hooks: SystemHooks;
  readonly time?: () => bigint;
}

/** An engine made like a SystemReference. */
function translating(tiers?: VcpuOptions['tiers']) {
  return class extends Vcpu {
    constructor(isa: Isa, memory: WebAssembly.Memory, mmu: Mmu, { hooks, time }: HartOptions) {
      super(isa, memory, {
        guestSize: SIZE,
        translation: { mmu, hooks },
        ...(time ? { time } : {}),
        ...(tiers ? { tiers } : {}),
      });
    }
  };
}

export const ENGINES = {
  reference: SystemReference,
  interpreter: translating(),
  optimized: translating({ policy: OPTIMIZED }),
  baseline: translating({ policy: BASELINE }),
  // Between regions it interprets.
  sampled: translating({
    policy: {
      ...AUTO_TRANSLATED,
      warmUp: 0,
      cost: 0,
      coldCost: 0,
      lineCost: 0,
      sampleInterval: 50,
      hotSamples: 1,
      hotExits: 2,
    },
  }),
} as const;

export const ROOT = RAM + 0x8_0000;
export const LEAF = 0xcfn;

export type EngineName = keyof typeof ENGINES;

/** A hart in machine mode with a program at the start of RAM. */
export function hart(kind: EngineName, program: readonly string[], time?: () => bigint) {
  const memory = new WebAssembly.Memory({ initial: (GUEST + SIZE) / 65536 });
  const bus = new Bus(memory);
  bus.addRam('RAM', RAM, SIZE, GUEST);
  const mmu = new Mmu(memory, bus);
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
  const hooks = governTranslation(state, mmu);
  const cpu = new ENGINES[kind](riscv64, memory, mmu, { hooks, ...(time ? { time } : {}) });
  const ram = new DataView(memory.buffer, GUEST, SIZE);
  let at = 0;
  for (const line of program) {
    const bytes = riscv64.assemble(line, BigInt(RAM + at));
    assert.ok(bytes instanceof Uint8Array, `${line}: ${JSON.stringify(bytes)}`);
    new Uint8Array(memory.buffer, GUEST + at).set(bytes);
    at += bytes.length;
  }
  cpu.pc = BigInt(RAM);
  /** Runs, delivering traps, until the program has retired so many instructions. */
  const run = (instructions: number): void => {
    for (let traps = 0; cpu.counters.instructions < instructions; traps++) {
      assert.ok(traps < 20, `traps without end at 0x${cpu.pc.toString(16)}, cause ${cpu.cause}`);
      const reason = cpu.run(instructions - cpu.counters.instructions);
      if (reason !== ExitReason.trap && reason !== ExitReason.fault) continue;
      deliverTrap(cpu.state, reason === ExitReason.trap ? cpu.cause : causeOfFault(cpu.cause), cpu.value);
      hooks.translationChanged();
    }
  };
  const x = (index: number): bigint => state.getBigUint64(X.offset + 8 * index, true);
  return { cpu, mmu, state, ram, run, x, hooks };
}
