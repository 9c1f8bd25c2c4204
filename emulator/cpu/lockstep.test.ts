import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Builder } from '../ir/builder.ts';
import { evaluate } from '../ir/evaluate.ts';
import { LinearMemory } from '../ir/evaluator-memory.ts';
import { Random, randomBits } from '../ir/random.ts';
import type { RegisterFile } from '../ir/type.ts';
import type { HelperContext } from '../isa/instruction.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { F, X } from '../isa/riscv/registers.ts';
import { PAGE_SIZE, Permission, STATE, STATE_SIZE } from '../layout/memory-map.ts';
import { ExitReason, FaultKind, REGISTERS, StateOffset } from '../layout/state.ts';
import { CODE, CODE_SIZE, GUEST_SIZE, Image, PAGES, randomImage } from './random-code.test-support.ts';
import { ReferenceCpu } from './reference.ts';
import { Vcpu } from './vcpu.ts';

const RESULT_OFFSETS = [
  StateOffset.floatFlags,
  StateOffset.floatRounding,
  StateOffset.reservation,
  StateOffset.reserved,
];
const { execute } = Permission;

const oracle = new Image();
const subject = new Image();
type End = readonly [kind: string, cause?: number, value?: bigint];

/** One instruction of the oracle: pc moves on, or an exit is given. */
function oracleStep(retired: number): End {
  const { state } = oracle;
  const pc = state.getBigUint64(StateOffset.pc, true);
  // No RISC-V instruction sets an odd pc; whoever else does gets a fetch fault.
  if (pc % 2n === 1n) return ['fault', FaultKind.fetch, pc];
  const bytes = fetchable(pc);
  const decoded = riscv64.decode(bytes, 0);
  if (decoded === undefined) {
    const short = (bytes[0]! & 3) !== 3;
    if (bytes.length < (short ? 2 : 4)) return ['fault', FaultKind.fetch, pc + BigInt(bytes.length)];
    return [
      'trap',
      riscv64.illegalInstruction,
      bytes.subarray(0, short ? 2 : 4).reduceRight((bits, byte) => (bits << 8n) | BigInt(byte), 0n),
    ];
  }
  const builder = new Builder(riscv64.name);
  const { row, operands } = riscv64.canonical(decoded);
  builder.beginInstruction(pc, decoded.length);
  row.lift(builder, operands);
  const count = () => BigInt(retired);
  const context: HelperContext = { state, retired: count, time: count, flushCode: () => {} };
  const outcome = evaluate(builder.block, {
    state,
    memory: new LinearMemory(oracle.memory.buffer, GUEST_SIZE),
    helper: (name, args) => riscv64.helpers[name]!.call(context, args),
  });
  if (outcome.kind === 'trap') return ['trap', outcome.cause, outcome.value];
  if (outcome.kind === 'fault') return ['fault', outcome.fault, outcome.address];
  state.setBigUint64(StateOffset.pc, outcome.pc, true);
  return ['on'];
}

function fetchable(pc: bigint): Uint8Array {
  if (pc >= BigInt(GUEST_SIZE)) return new Uint8Array(0);
  const start = Number(pc);
  let end = start;
  while (end < start + 4 && ((PAGES[Math.floor(end / PAGE_SIZE)] ?? 0) & execute) !== 0) end++;
  return oracle.guest.slice(start, end);
}

function subjectEnd(vcpu: Pick<Vcpu, 'cause' | 'value'>, reason: ExitReason): End {
  if (reason === ExitReason.budget) return ['on'];
  return [reason === ExitReason.trap ? 'trap' : 'fault', vcpu.cause, vcpu.value];
}

function registers(state: DataView, file: RegisterFile): bigint[] {
  return Array.from({ length: file.count }, (_, index) =>
    index === file.sink ? 0n : state.getBigUint64(file.offset + file.stride * index, true),
  );
}

function assertSame(what: string): void {
  assert.deepEqual(registers(subject.state, X), registers(oracle.state, X), `integer registers, ${what}`);
  assert.deepEqual(registers(subject.state, F), registers(oracle.state, F), `floating-point registers, ${what}`);
  for (const offset of RESULT_OFFSETS) {
    const width =
      offset === StateOffset.floatFlags || offset === StateOffset.floatRounding ? 'getUint32' : 'getBigUint64';
    assert.equal(subject.state[width](offset, true), oracle.state[width](offset, true), `state at ${offset}, ${what}`);
  }
}

function assertSameMemory(what: string): void {
  assert.ok(Buffer.from(subject.guest).equals(oracle.guest), `memory, ${what}`);
  const rest = (image: Image) => Buffer.from(image.memory.buffer, STATE + F.offset + 256, STATE_SIZE - F.offset - 256);
  assert.ok(rest(subject).equals(rest(oracle)), `control registers, ${what}`);
}

const STEPS = 250;

function lockStep(seed: number): { retired: number; faults: number; traps: number; codeWrites: number } {
  const random = new Random(seed);
  const image = randomImage(random);
  oracle.load(image);
  subject.load(image);
  const vcpu = new Vcpu(riscv64, subject.memory, { guestSize: GUEST_SIZE });
  let [retired, faults, traps] = [0, 0, 0];
  const go = (pc: bigint) => {
    oracle.state.setBigUint64(StateOffset.pc, pc, true);
    vcpu.pc = pc;
  };
  go(BigInt(CODE));
  for (let step = 0; step < STEPS; step++) {
    const pc = vcpu.pc;
    const expected = oracleStep(retired);
    const actual = subjectEnd(vcpu, vcpu.run(1));
    const what = `seed ${seed}, step ${step}, pc 0x${pc.toString(16)}: ${describe(pc)}`;
    assert.deepEqual(actual, expected, what);
    assert.equal(vcpu.pc, oracle.state.getBigUint64(StateOffset.pc, true), `pc after, ${what}`);
    assertSame(what);
    if (expected[0] === 'on') {
      retired++;
      continue;
    }
    if (expected[0] === 'trap') traps++;
    else faults++;
    // Somewhere else: usually in the code, sometimes nowhere.
    go(random.chance(95) ? BigInt(CODE + 2 * random.below(CODE_SIZE / 2)) : randomBits(random, 'i64'));
  }
  assert.equal(vcpu.counters.instructions, retired, `instructions retired, seed ${seed}`);
  assertSameMemory(`seed ${seed}`);
  vcpu.checkInvariants();
  return { retired, faults, traps, codeWrites: vcpu.counters.codeWrites };
}

function describe(pc: bigint): string {
  const bytes = fetchable(pc);
  const decoded = riscv64.decode(bytes, 0);
  return decoded === undefined ? Buffer.from(bytes).toString('hex') : riscv64.disassemble(decoded, pc);
}

const base = testSeed();

test('an illegal encoding of 16 bits in front of a page that may not be executed is illegal, one of 32 a fault', () => {
  const pc = BigInt(CODE + CODE_SIZE - 2);
  for (const [low, expected] of [
    [0x80f0, ['trap', riscv64.illegalInstruction, 0x80f0n]],
    [0xffff, ['fault', FaultKind.fetch, pc + 2n]],
  ] as const) {
    oracle.load(randomImage(new Random(base)));
    subject.load(randomImage(new Random(base)));
    for (const { guest } of [oracle, subject]) guest.set([low & 0xff, low >> 8], Number(pc));
    for (const vcpu of [
      new Vcpu(riscv64, subject.memory, { guestSize: GUEST_SIZE }),
      new ReferenceCpu(riscv64, subject.memory, { guestSize: GUEST_SIZE }),
    ]) {
      vcpu.pc = pc;
      assert.deepEqual(subjectEnd(vcpu, vcpu.run(1)), expected);
    }
    oracle.state.setBigUint64(StateOffset.pc, pc, true);
    assert.deepEqual(oracleStep(0), expected);
  }
});

test('random RISC-V code does in the interpreter what the evaluator says, step by step', (context) => {
  context.diagnostic(`SEED=${base}`);
  const sum = { retired: 0, faults: 0, traps: 0, codeWrites: 0 };
  const meetsEverything = () => sum.retired > 1000 && sum.faults > 50 && sum.traps > 50 && sum.codeWrites > 0;
  // One program in ten writes to code: of 40, one time in sixty none.
  for (let seed = base; seed < base + 40 || (seed < base + 400 && !meetsEverything()); seed++) {
    const one = lockStep(seed);
    for (const key of ['retired', 'faults', 'traps', 'codeWrites'] as const) sum[key] += one[key];
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(meetsEverything(), 'the code gets somewhere and meets everything');
});

/** Runs with parts of the budget as `part` says; after an exit goes on at an address that depends on what has been done so far only. */
function runInParts(seed: number, image: ReturnType<typeof randomImage>, part: () => number) {
  subject.load(image);
  const vcpu = new Vcpu(riscv64, subject.memory, { guestSize: GUEST_SIZE });
  const exits: string[] = [];
  vcpu.pc = BigInt(CODE);
  for (let left = 1500; left > 0 && exits.length < 150;) {
    const asked = Math.min(left, part());
    const before = vcpu.counters.instructions;
    const reason = vcpu.run(asked);
    const done = vcpu.counters.instructions - before;
    left -= done;
    if (reason === ExitReason.budget) {
      assert.equal(done, asked, `a budget is used up, seed ${seed}`);
      continue;
    }
    assert.ok(done < asked, `the instruction that leaves does not retire, seed ${seed}`);
    exits.push(`${reason} ${vcpu.cause} ${vcpu.value} at ${vcpu.pc} after ${vcpu.counters.instructions}`);
    vcpu.pc = BigInt(CODE + 2 * ((vcpu.counters.instructions * 4057 + exits.length * 773) % (CODE_SIZE / 2)));
  }
  vcpu.checkInvariants();
  const registers = Buffer.from(Buffer.from(subject.memory.buffer, STATE + REGISTERS, 0x1000));
  // The sink's content is nobody's business.
  registers.fill(0, X.offset - REGISTERS + 32 * 8, X.offset - REGISTERS + 33 * 8);
  const { instructions } = vcpu.counters;
  return {
    exits,
    pc: vcpu.pc,
    instructions,
    registers,
    flags: vcpu.state.getUint32(StateOffset.floatFlags, true),
    guest: Buffer.from(subject.guest),
  };
}

test('any way to split a budget gives the same end state, sequences and all', (context) => {
  context.diagnostic(`SEED=${base}`);
  let instructions = 0;
  for (let seed = base; seed < base + 40; seed++) {
    const random = new Random(seed);
    const image = randomImage(random);
    const whole = runInParts(seed, image, () => 1500);
    instructions += whole.instructions;
    for (const part of [() => 1, () => 7, () => 1 + random.below(20)]) {
      assert.deepEqual(runInParts(seed, image, part), whole, `seed ${seed}`);
    }
  }
  context.diagnostic(`${instructions} instructions`);
  assert.ok(instructions > 4000, 'the code gets somewhere');
});
