import assert from 'node:assert/strict';
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { generateInterpreter } from '../../emulator/tier/interpreter/generate.ts';
import { defineBench } from '../harness/define-bench.ts';
import { assembleMix, CODE, mixMemory, runMix, runPlainMix } from './mix.ts';
import { PlainInterpreter } from './plain-interpreter.ts';

const ITERATIONS = 100_000;
/** What ITERATIONS of the mix take, by the interpreter's own exact count, and the checksum they end with (both interpreters agree on it). */
const INSTRUCTIONS = 2_549_506;
const CHECKSUM = 3_963_105_355n;

const inputs = ['mix.ts', 'plain-interpreter.ts'];

interface Tier0 {
  readonly memory: FlatMemory;
  readonly vcpu: Vcpu;
}

function tier0(): Tier0 {
  const memory = mixMemory();
  return { memory, vcpu: new Vcpu(riscv64, memory.memory, { guestSize: memory.size }) };
}

defineBench<Tier0>({
  id: 'tier/interpreter/mix',
  title: 'tier 0 on a 64-bit integer mix',
  unit: 'MIPS',
  kind: 'throughput',
  direction: 'higher',
  engine: 'tinybench',
  inputs,
  target: { value: 250, from: 'REQUIREMENTS A3' },
  setup: () => {
    const state = tier0();
    // V8 puts its optimised code in place some ten million instructions in.
    runMix(state.vcpu, state.memory, 10 * ITERATIONS);
    return state;
  },
  work: ({ vcpu, memory }) => runMix(vcpu, memory, ITERATIONS),
  items: () => INSTRUCTIONS,
  check: (_, checksum) => assert.equal(checksum, CHECKSUM),
  counters: ({ vcpu, memory }) => {
    const before = vcpu.counters.instructions;
    runMix(vcpu, memory, ITERATIONS);
    return {
      instructions: vcpu.counters.instructions - before,
      decoded: vcpu.counters.decoded,
      misses: vcpu.counters.misses,
    };
  },
});

interface Plain {
  readonly memory: ArrayBuffer;
  readonly interpreter: PlainInterpreter;
}

defineBench<Plain>({
  id: 'tier/plain-interpreter/mix',
  title: 'a plain TypeScript interpreter on the same mix',
  unit: 'MIPS',
  kind: 'throughput',
  direction: 'higher',
  engine: 'tinybench',
  inputs,
  setup: () => {
    const memory = new ArrayBuffer(1 << 22);
    return { memory, interpreter: new PlainInterpreter(assembleMix(), CODE, memory) };
  },
  work: ({ interpreter, memory }) => runPlainMix(interpreter, memory, ITERATIONS),
  items: () => INSTRUCTIONS,
  check: (_, checksum) => assert.equal(checksum, CHECKSUM),
});

defineBench({
  id: 'tier/interpreter/generate',
  title: 'generating the RV64GC interpreter',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  target: { value: 20, from: 'emulator/docs/interpreter.md' },
  work: () => generateInterpreter(riscv64, { guestSize: 1 << 24 }),
  counters: () => {
    const { bytes, table } = generateInterpreter(riscv64, { guestSize: 1 << 24 });
    const { all } = table;
    return { 'module-bytes': bytes.length, cases: all.length, inline: all.filter(({ inline }) => inline).length };
  },
});

defineBench<FlatMemory>({
  id: 'tier/interpreter/first-instruction',
  title: 'from nothing to the first guest instruction, in a process that has run one before',
  unit: 'ms',
  kind: 'time',
  direction: 'lower',
  engine: 'tinybench',
  inputs,
  target: { value: 10, from: 'REQUIREMENTS E13' },
  setup: mixMemory,
  work: (memory) => {
    const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
    vcpu.pc = BigInt(CODE);
    return vcpu.run(1);
  },
});
