import assert from 'node:assert/strict';
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import type { FlatMemory } from '../../emulator/memory/flat.ts';
import { defineBench } from '../harness/define-bench.ts';
import { assembleMix, CODE, mixMemory, runMix, runPlainMix } from './mix.ts';
import { PlainInterpreter } from './plain-interpreter.ts';

const ITERATIONS = 100_000;

interface Both {
  readonly memory: FlatMemory;
  readonly vcpu: Vcpu;
  readonly plainMemory: ArrayBuffer;
  readonly plain: PlainInterpreter;
  turn: number;
}

/** Seconds that the run took, and the checksum it ended with. */
function timed(run: () => bigint): { seconds: number; checksum: bigint } {
  const start = performance.now();
  const checksum = run();
  return { seconds: (performance.now() - start) / 1000, checksum };
}

defineBench<Both>({
  id: 'tier/interpreter/times-plain',
  title: 'how many times as fast as a plain TypeScript interpreter, side by side on the integer mix',
  unit: 'times',
  kind: 'throughput',
  direction: 'higher',
  engine: 'tinybench',
  selfMeasured: true,
  inputs: ['mix.ts', 'plain-interpreter.ts'],
  target: { value: 2.5, from: 'issue 2, section B' },
  setup: () => {
    const memory = mixMemory();
    const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
    const plainMemory = new ArrayBuffer(1 << 22);
    const plain = new PlainInterpreter(assembleMix(), CODE, plainMemory);
    // V8 puts the optimised code of tier 0 in place some ten million instructions in.
    runMix(vcpu, memory, 10 * ITERATIONS);
    runPlainMix(plain, plainMemory, 10 * ITERATIONS);
    return { memory, vcpu, plainMemory, plain, turn: 0 };
  },
  work: (state) => {
    const { memory, vcpu, plainMemory, plain } = state;
    const runs = {
      tier0: () => timed(() => runMix(vcpu, memory, ITERATIONS)),
      plain: () => timed(() => runPlainMix(plain, plainMemory, ITERATIONS)),
    };
    // Which one goes first alternates, so that what the machine does meanwhile falls on both.
    const first = state.turn++ % 2 === 0 ? runs.tier0() : runs.plain();
    const second = state.turn % 2 === 1 ? runs.plain() : runs.tier0();
    assert.equal(first.checksum, second.checksum);
    return state.turn % 2 === 1 ? second.seconds / first.seconds : first.seconds / second.seconds;
  },
});
