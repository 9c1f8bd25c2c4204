import assert from 'node:assert/strict';
import type { Block } from '../../emulator/ir/block.ts';
import { evaluate, type Environment, type Outcome } from '../../emulator/ir/evaluate.ts';
import { LinearMemory } from '../../emulator/ir/evaluator-memory.ts';
import { liftInstructions } from '../../emulator/filetests/lift.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { GUEST, PERMISSION, Permission, STATE, STATE_SIZE } from '../../emulator/layout/memory-map.ts';
import { REGISTERS } from '../../emulator/layout/state.ts';
import { defineBench } from '../harness/define-bench.ts';

const GUEST_SIZE = 0x1_0000;
const DATA = 0x1000n;
const A0 = REGISTERS + 8 * 10;
const A1 = REGISTERS + 8 * 11;

/** What compilers make of `a0 = (a0 ^ *p * 3) >> 5, *p = a0` a few times over: integer work, a load and a store. */
const SOURCE = ['ld t0,0(a1)', 'slli t1,t0,0x1', 'add t0,t0,t1', 'xor a0,a0,t0', 'srli a0,a0,0x5', 'sd a0,0(a1)'];
const ROUNDS = 8;

interface Case {
  readonly block: Block;
  readonly environment: Environment;
}

function setUp(): Case {
  const code = Array.from({ length: ROUNDS }, () => SOURCE)
    .flat()
    .map((line, index) => {
      const bytes = riscv64.assemble(line, 0n);
      assert(!('error' in bytes), line);
      return { decoded: riscv64.decode(bytes, 0)!, pc: BigInt(4 * index) };
    });
  const buffer = new ArrayBuffer(GUEST + GUEST_SIZE);
  new Uint8Array(buffer, PERMISSION).fill(Permission.read | Permission.write, 0, GUEST_SIZE / 4096);
  return {
    block: liftInstructions(riscv64, code),
    environment: { state: new DataView(buffer, STATE, STATE_SIZE), memory: new LinearMemory(buffer, GUEST_SIZE) },
  };
}

function run({ block, environment: { state, memory, ...rest } }: Case): { outcome: Outcome; a0: bigint } {
  state.setBigUint64(A0, 0x0123_4567_89ab_cdefn, true);
  state.setBigUint64(A1, DATA, true);
  memory.store(DATA, 8, 0xfedc_ba98n);
  return { outcome: evaluate(block, { state, memory, ...rest }), a0: state.getBigUint64(A0, true) };
}

/** The same by hand. */
function expected(): bigint {
  let a0 = 0x0123_4567_89ab_cdefn;
  let data = 0xfedc_ba98n;
  for (let round = 0; round < ROUNDS; round++) {
    a0 = (a0 ^ BigInt.asUintN(64, data * 3n)) >> 5n;
    data = a0;
  }
  return a0;
}

defineBench<Case>({
  id: 'ir/evaluate/integer',
  title: 'evaluate a block with BigInt, the oracle',
  unit: 'ns/op',
  kind: 'time',
  direction: 'lower',
  engine: 'mitata',
  setup: setUp,
  work: run,
  items: ({ block }) => block.ops.length,
  check: (_, result) => {
    const { outcome, a0 } = result as ReturnType<typeof run>;
    assert.equal(outcome.retired, ROUNDS * SOURCE.length);
    assert.equal(a0, expected());
  },
  counters: ({ block }) => ({ 'ir-ops': block.ops.length }),
});
