import assert from 'node:assert/strict';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { VirtMachine } from '../../emulator/machine/riscv-virt/machine.ts';
import { defineBench } from '../harness/define-bench.ts';

const RAM = 0x8000_0000;
const HANDLER = 16 * 4;
const INTERRUPTS = 1000;
/** Ticks of 100 ns that the timer is set ahead. */
const AHEAD = 200;
const NANOSECONDS_PER_TICK = 100;
/** Where the program leaves the sum of latencies and the greatest. */
const RESULT = 1024;

/**
 * In machine mode: sets the timer, counts in a loop, and in the handler asks the time first of all. Ticks behind the time it was set to are
 * the latency as the guest sees it: noticing, trapping and reading `mtime`.
 */
const PROGRAM = [
  'auipc s0,0x0',
  `addi t0,s0,${HANDLER}`,
  'csrrw zero,mtvec,t0',
  // mtimecmp and mtime.
  'lui s1,0x2004',
  'lui s2,0x200c',
  'addi s2,s2,-8',
  `addi s3,zero,${INTERRUPTS}`,
  'addi t0,zero,128',
  'csrrw zero,mie,t0',
  'ld s6,0(s2)',
  `addi s6,s6,${AHEAD}`,
  'sd s6,0(s1)',
  'csrrsi zero,mstatus,0x8',
  'addi s7,s7,1',
  `jal zero,0x${(RAM + 13 * 4).toString(16)}`,
  'addi zero,zero,0',
  // HANDLER
  'ld t2,0(s2)',
  'sub t2,t2,s6',
  'add s4,s4,t2',
  `bge s5,t2,0x${(RAM + 21 * 4).toString(16)}`,
  'addi s5,t2,0',
  'addi s3,s3,-1',
  `beq s3,zero,0x${(RAM + 27 * 4).toString(16)}`,
  'ld s6,0(s2)',
  `addi s6,s6,${AHEAD}`,
  'sd s6,0(s1)',
  'mret',
  `sd s4,${RESULT}(s0)`,
  `sd s5,${RESULT + 8}(s0)`,
  'lui a0,0x100',
  'lui a1,0x5',
  'addi a1,a1,1365',
  'sw a1,0(a0)',
];

function image(): Uint8Array {
  const bytes = PROGRAM.flatMap((line, index) => {
    const encoded = riscv64.assemble(line, BigInt(RAM + 4 * index));
    if ('error' in encoded) throw new Error(`${line}: ${encoded.error}`);
    assert.equal(encoded.length, 4, line);
    return [...encoded];
  });
  return Uint8Array.from(bytes);
}

interface Latency {
  /** In ticks. */
  readonly mean: number;
  readonly greatest: number;
  readonly instructions: number;
}

async function run(bytes: Uint8Array, deterministic: boolean): Promise<Latency> {
  const machine = new VirtMachine({ firmware: { origin: 'interrupts', bytes }, deterministic });
  const outcome = await machine.run({ timeout: 30 });
  assert.deepEqual(outcome, { kind: 'exit', code: 0 });
  const result = machine.bus.view(RAM + RESULT, 16)!;
  const view = new DataView(result.buffer, result.byteOffset, 16);
  const { instructions } = machine;
  machine.close();
  const [sum, greatest] = [Number(view.getBigInt64(0, true)), Number(view.getBigInt64(8, true))];
  return { mean: sum / INTERRUPTS, greatest, instructions };
}

for (const [which, title] of [
  ['mean', 'from the time a timer was set to until its handler has read the clock, mean of 1000 interrupts'],
  ['greatest', 'the longest of 1000 such times'],
] as const) {
  defineBench<Uint8Array>({
    id: `machine/interrupt/timer-${which}`,
    title,
    unit: 'ns',
    kind: 'time',
    direction: 'lower',
    engine: 'tinybench',
    selfMeasured: true,
    setup: image,
    work: async (bytes) => (await run(bytes, false))[which] * NANOSECONDS_PER_TICK,
    check: (_, nanoseconds) => assert((nanoseconds as number) > 0),
    counters: async (bytes) => {
      const { mean, greatest, instructions } = await run(bytes, true);
      return { 'ticks-of-all': Math.round(mean * INTERRUPTS), 'ticks-of-longest': greatest, instructions };
    },
  });
}
