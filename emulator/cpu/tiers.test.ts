import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { X } from '../isa/riscv/registers.ts';
import { PAGE_SIZE, STATE } from '../layout/memory-map.ts';
import { ExitReason, REGISTERS, StateOffset } from '../layout/state.ts';
import { DeferredCompilers } from '../tier/background/deferred-compilers.test-support.ts';
import { AUTO, BASELINE, OPTIMIZED } from '../tier/policy.ts';
import { CodeStore } from '../tier/region/code-store.ts';
import { randomPolicies, type Tiers } from './random-policy.test-support.ts';
import { randomProgram, randomSpaghetti } from './random-program.test-support.ts';
import { CODE, CODE_SIZE, GUEST_SIZE, Image, randomImage } from './random-code.test-support.ts';
import { Vcpu } from './vcpu.ts';

type Start = ReturnType<typeof randomImage>;

const base = testSeed();
/** Programs of each kind; more where there is time for them. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 12);
const subject = new Image();

/** How a budget is split over calls: instructions of the next one, and how many more it may retire. */
interface Split {
  readonly part: () => number;
  readonly more: () => number;
}

/** Runs with parts of the budget; after an exit goes on at an address that depends on what has been done so far only. */
function run(seed: number, start: Start, budget: number, tiers: Tiers | undefined, split: Partial<Split> = {}) {
  const { part = () => budget, more = () => 0 } = split;
  subject.load(start);
  const vcpu = new Vcpu(riscv64, subject.memory, { guestSize: GUEST_SIZE, ...(tiers ? { tiers } : {}) });
  const exits: string[] = [];
  vcpu.pc = BigInt(CODE);
  for (let left = budget; left > 0 && exits.length < 150;) {
    const asked = Math.min(left, part());
    const most = Math.min(left, asked + more());
    const before = vcpu.counters.instructions;
    const reason = vcpu.run(asked, most);
    const done = vcpu.counters.instructions - before;
    left -= done;
    if (reason === ExitReason.budget) {
      assert.ok(done >= asked && done <= most, `a budget is used up, and no more than may be, seed ${seed}`);
      continue;
    }
    assert.ok(done < most, `the instruction that leaves does not retire, seed ${seed}`);
    exits.push(`${reason} ${vcpu.cause} ${vcpu.value} at ${vcpu.pc} after ${vcpu.counters.instructions}`);
    vcpu.pc = BigInt(CODE + 2 * ((vcpu.counters.instructions * 4057 + exits.length * 773) % (CODE_SIZE / 2)));
  }
  vcpu.checkInvariants();
  const registers = Buffer.from(Buffer.from(subject.memory.buffer, STATE + REGISTERS, 0x1000));
  // The sink's content is nobody's business.
  registers.fill(0, X.offset - REGISTERS + 32 * 8, X.offset - REGISTERS + 33 * 8);
  const end = {
    exits,
    pc: vcpu.pc,
    instructions: vcpu.counters.instructions,
    registers,
    flags: vcpu.state.getUint32(StateOffset.floatFlags, true),
    guest: Buffer.from(subject.guest),
  };
  const counters: Readonly<Partial<Record<string, number>>> = { ...vcpu.counters, ...vcpu.tiers?.translation };
  return { end, counters };
}

function compare(seed: number, start: Start, budget: number, random: Random, sum: Record<string, number>): void {
  const expected = run(seed, start, budget, undefined);
  for (const [name, tiers] of Object.entries(randomPolicies(random))) {
    const parts = 1 + random.below(3) ** 5 * 100;
    const part = () => 1 + random.below(parts);
    for (const split of [{}, { part }, { part, more: () => random.below(500) }]) {
      const { end, counters } = run(seed, start, budget, tiers, split);
      assert.deepEqual(end, expected.end, `seed ${seed}, ${name}`);
      for (const key of [
        'instructions',
        'regionInstructions',
        'regions',
        'refusals',
        'chained',
        'regionsDropped',
        'outdated',
      ])
        sum[key] = (sum[key] ?? 0) + (counters[key] ?? 0);
    }
    if (tiers.compilers instanceof DeferredCompilers) sum['asked'] = (sum['asked'] ?? 0) + tiers.compilers.requests;
  }
}

test('random code, jumps into the middle of instructions and stores to code included, ends alike in every tier', (context) => {
  context.diagnostic(`SEED=${base}`);
  const sum: Record<string, number> = {};
  for (let seed = base; seed < base + ROUNDS; seed++) {
    const random = new Random(seed);
    compare(seed, randomImage(random), 1500, random, sum);
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(sum['asked']! > 0, 'regions are asked for beside the guest');
  assert.ok(sum['regionInstructions']! > 100 && sum['refusals']! > 0, 'regions run and give instructions back');
});

test('random programs of loops, calls, switches and floating point end alike in every tier', (context) => {
  context.diagnostic(`SEED=${base}`);
  const sum: Record<string, number> = {};
  for (let seed = base; seed < base + ROUNDS; seed++) {
    const random = new Random(seed);
    compare(seed, randomProgram(random), 20_000, random, sum);
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(sum['regionInstructions']! > 0.3 * sum['instructions']! && sum['chained']! > 0, 'most of it in regions');
});

test('control flow that no structure fits ends alike in every tier', (context) => {
  context.diagnostic(`SEED=${base}`);
  const sum: Record<string, number> = {};
  for (let seed = base; seed < base + ROUNDS; seed++) {
    const random = new Random(seed);
    compare(seed, randomSpaghetti(random), 4000, random, sum);
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(sum['regionInstructions']! > 0.3 * sum['instructions']!, 'most of it in regions');
});

/** Instructions at CODE in a page that may be written too. */
function writableCode(...lines: readonly string[]): Start {
  const start = randomImage(new Random(1));
  start.guest.fill(0);
  let at = CODE + PAGE_SIZE;
  for (const line of ['auipc a0,0x0', ...lines]) {
    const bytes = riscv64.assemble(line, BigInt(at));
    assert.ok(!('error' in bytes), line);
    start.guest.set(bytes, at);
    at += bytes.length;
  }
  const jump = riscv64.assemble(`jal zero,0x${(CODE + PAGE_SIZE).toString(16)}`, BigInt(CODE));
  assert.ok(!('error' in jump), 'the way in');
  start.guest.set(jump, CODE);
  return start;
}

test('a loop whose data shares a page with its code runs in a region', () => {
  const loop = `0x${(CODE + PAGE_SIZE + 4).toString(16)}`;
  const start = writableCode('ld a1,512(a0)', 'addi a1,a1,3', 'sd a1,512(a0)', `jal zero,${loop}`);
  const tiers = { policy: { ...AUTO, warmUp: 0, cost: 0, coldCost: 0, lineCost: 0, sampleInterval: 100 } };
  const { end, counters } = run(0, start, 100_000, tiers);
  assert.deepEqual(end, run(0, start, 100_000, undefined).end);
  assert.ok(counters['regionInstructions']! > 90_000, JSON.stringify(counters));
  assert.equal(counters['codeWrites'], 0);
  assert.ok(counters['refusals']! < 200, JSON.stringify(counters));
});

test('what writes over the instruction behind it has that run as it is then', () => {
  // At 16(a0): 20 into the lower half of eight bytes, 0, which is no instruction, into the upper one.
  for (const store of [
    'sd a1,0(a2)',
    'amoswap.d a3,a1,(a2)',
    'amominu.d a3,a1,(a2)',
    'amoand.d a3,a1,(a2)',
    'sc.d a3,a1,(a2)',
  ]) {
    const lines = ['addi a2,a0,16', 'lr.d a3,(a2)', 'addi a1,zero,20', store, 'addi a4,zero,1', 'addi a4,zero,2'];
    const start = writableCode(...lines);
    const ends = [undefined, BASELINE, OPTIMIZED].map((policy) => run(0, start, 20, policy && { policy }).end);
    assert.ok(ends[0]!.exits[0]!.startsWith(`${ExitReason.trap} ${riscv64.illegalInstruction} 0 `), store);
    for (const end of ends.slice(1)) assert.deepEqual(end, ends[0], store);
  }
});

test('a loop that patches itself every time does what it patched', () => {
  // The immediate of the instruction at 16(a0) is counted up; without a fence the next fetch sees it, as in the interpreter.
  const loop = `0x${(CODE + PAGE_SIZE + 4).toString(16)}`;
  const start = writableCode(
    'lui a2,0x100',
    'lw a1,16(a0)',
    'add a1,a1,a2',
    'addi a3,a3,1',
    'sw a1,16(a0)',
    'fence.i',
    `jal zero,${loop}`,
  );
  for (const policy of [
    OPTIMIZED,
    BASELINE,
    { ...AUTO, warmUp: 0, cost: 0, coldCost: 0, lineCost: 0, sampleInterval: 50 },
  ]) {
    const { end } = run(0, start, 20_000, { policy });
    assert.deepEqual(end, run(0, start, 20_000, undefined).end);
  }
});

test('stored code is left when bytes of it change that have not been executed in this run', () => {
  const begin = CODE + PAGE_SIZE;
  const at = (instruction: number) => `0x${(begin + 4 * instruction).toString(16)}`;
  const [loop, join, cold] = [6, 9, 256];
  const program = (takesCold: number) => [
    `addi a4,zero,${takesCold}`,
    'addi a5,zero,0',
    'lui a6,0x5',
    // addi a3,a3,7
    'lui a7,0x768',
    'addi a7,a7,1683',
    'addi a5,a5,1',
    `beq a4,zero,${at(join)}`,
    `jal zero,${at(cold)}`,
    `bne a5,a6,${at(loop)}`,
    `sw a7,${4 * cold}(a0)`,
    'addi a4,zero,1',
    `jal zero,${at(loop)}`,
    ...Array.from({ length: cold - 13 }, () => 'ecall'),
    'addi a3,a3,1',
    `jal zero,${at(join)}`,
  ];
  const policy = { ...AUTO, warmUp: 0, cost: 0, coldCost: 0, lineCost: 0, sampleInterval: 100 };
  const store = new CodeStore();
  run(0, writableCode(...program(1)), 50_000, { policy, store });
  const start = writableCode(...program(0));
  const { end, counters } = run(0, start, 200_000, { policy, store });
  assert.ok(counters['reused']! > 0 && counters['regionInstructions']! > 50_000, JSON.stringify(counters));
  assert.deepEqual(end, run(0, start, 200_000, undefined).end);
});

test('code that follows what is known to become hot is there before it is reached', () => {
  // Behind the instruction that writableCode begins with.
  const at = (line: number) => `0x${(CODE + PAGE_SIZE + 4 + 4 * line).toString(16)}`;
  const loop = (register: string, line: number) => [
    `addi ${register},zero,1000`,
    `addi ${register},${register},-1`,
    `bne ${register},zero,${at(line + 1)}`,
  ];
  const lines = [...loop('a1', 0), ...loop('a2', 3), ...loop('a3', 6), 'ecall'];
  const policy = { ...AUTO, warmUp: 0, cost: 0, coldCost: 0, lineCost: 0, sampleInterval: 100 };
  const store = new CodeStore();
  const start = writableCode(...lines);
  const budget = 3 * 2001 + 2;
  const first = run(0, start, budget, { policy, store });
  assert.equal(first.counters['prefetched'], 0);
  const second = run(0, start, budget, { policy, store });
  assert.deepEqual(second.end, first.end);
  assert.equal(second.counters['prefetched'], 2);
  assert.equal(second.counters['translated'], 0);
  // What was interpreted is the first sample, and the beginnings of loops.
  assert.ok(second.counters['instructions']! - second.counters['regionInstructions']! < 100 + 10);
  const one = run(0, start, budget, { policy: { ...policy, prefetch: 0 }, store });
  assert.deepEqual([one.end, one.counters['prefetched']], [first.end, 0]);
});
