import assert from 'node:assert/strict';
import { fusedMultiplyAdd } from '../../emulator/bits/float.ts';
import { bitsFromNumber, numberFromBits } from '../../emulator/bits/float-convert.ts';
import { Format, Rounding } from '../../emulator/bits/float-format.ts';
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { F, X } from '../../emulator/isa/riscv/registers.ts';
import { Permission } from '../../emulator/layout/memory-map.ts';
import { FlatMemory } from '../../emulator/memory/flat.ts';
import { defineBench } from '../harness/define-bench.ts';

const CODE = 0x1_0000;
const A0 = 10;
const FA = 10;
const UNROLLED = 8;
const ITERATIONS = 10_000;

/** fa1 and fa2 in every run. fa0 begins at 1 and is the result. */
const FA1 = 1.000_000_123;
const FA2 = 0.000_000_321;

const fused = (a: number, b: number, c: number): number =>
  numberFromBits(
    Format.f64,
    fusedMultiplyAdd(Format.f64, bitsFromNumber(a), bitsFromNumber(b), bitsFromNumber(c), {
      rounding: Rounding.nearestEven,
    }).bits,
  );

/** The instruction, and what it does to fa0. */
const OPERATIONS: Readonly<Record<string, readonly [string, (fa0: number) => number]>> = {
  add: ['fadd.d fa0,fa0,fa2', (a) => a + FA2],
  multiply: ['fmul.d fa0,fa0,fa1', (a) => a * FA1],
  divide: ['fdiv.d fa0,fa0,fa1', (a) => a / FA1],
  'square-root': ['fsqrt.d fa0,fa0', (a) => Math.sqrt(a)],
  'fused-multiply-add': ['fmadd.d fa0,fa0,fa1,fa2', (a) => fused(a, FA1, FA2)],
};

function machine(line: string): Vcpu {
  const memory = new FlatMemory(1 << 20);
  const lines = [
    ...Array.from({ length: UNROLLED }, () => line),
    'addi a0,a0,-1',
    `bne a0,zero,0x${CODE.toString(16)}`,
    'ecall',
  ];
  for (const [index, each] of lines.entries()) {
    const at = CODE + 4 * index;
    const bytes = riscv64.assemble(each, BigInt(at));
    assert(!('error' in bytes), each);
    memory.bytes.set(bytes, at);
  }
  memory.protect(CODE, 0x1000, Permission.read | Permission.execute);
  return new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
}

function run(vcpu: Vcpu): number {
  vcpu.pc = BigInt(CODE);
  vcpu.setRegister(X, A0, BigInt(ITERATIONS));
  for (const [index, value] of [1, FA1, FA2].entries()) vcpu.setRegister(F, FA + index, bitsFromNumber(value));
  vcpu.run(Number.MAX_SAFE_INTEGER);
  return numberFromBits(Format.f64, vcpu.getRegister(F, FA));
}

for (const [name, [line, meaning]] of Object.entries(OPERATIONS)) {
  defineBench<Vcpu>({
    id: `tier/float/${name}`,
    title: `tier 0: ${line}, exact flags and rounding, each depending on the one before`,
    unit: 'ns/op',
    kind: 'time',
    direction: 'lower',
    engine: 'tinybench',
    tags: ['riscv64'],
    setup: () => {
      const vcpu = machine(line);
      for (let i = 0; i < 20; i++) run(vcpu);
      return vcpu;
    },
    work: run,
    items: () => UNROLLED * ITERATIONS,
    check: (_, result) => {
      let fa0 = 1;
      for (let i = 0; i < UNROLLED * ITERATIONS; i++) fa0 = meaning(fa0);
      assert.equal(result, fa0);
    },
    counters: (vcpu) => {
      const before = { ...vcpu.counters };
      run(vcpu);
      const { instructions, floatCalls } = vcpu.counters;
      return {
        'guest-instructions': instructions - before.instructions,
        'float-slow-calls': floatCalls - before.floatCalls,
      };
    },
  });
}
