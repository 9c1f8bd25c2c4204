import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { testSeed } from '../bits/float-operands.ts';
import { CODE, CODE_SIZE, DATA, PAGES } from '../cpu/random-code.test-support.ts';
import { randomImage as anyImage } from '../cpu/random-code.test-support.ts';
import { randomLoops } from '../cpu/random-loops.test-support.ts';
import { besidePolicy, sampledPolicy } from '../cpu/random-policy.test-support.ts';
import { randomProgram, randomSpaghetti } from '../cpu/random-program.test-support.ts';
import { Vcpu } from '../cpu/vcpu.ts';
import { Random } from '../ir/random.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { X } from '../isa/riscv/registers.ts';
import { PAGE_SIZE, Permission } from '../layout/memory-map.ts';
import { DeferredCompilers } from '../tier/background/deferred-compilers.test-support.ts';
import { AUTO, BASELINE, OPTIMIZED, type TierPolicy } from '../tier/policy.ts';
import { SystemReference } from './system-reference.ts';
import {
  layoutOf,
  type Make,
  mapPage,
  RAM,
  RAM_SIZE,
  ramBytes,
  run,
  setUp,
  translating,
  memory,
  userHart,
} from './translated-guest.test-support.ts';

const base = testSeed();
const ROUNDS = Number(process.env['ROUNDS'] ?? 8);

function engines(random: Random): Record<string, Make> {
  return {
    interpreter: translating(),
    optimized: translating({ policy: OPTIMIZED }),
    baseline: translating({ policy: BASELINE }),
    shaped: translating({
      policy: { ...OPTIMIZED, limits: { instructions: 1 + random.below(80), inlined: random.below(40) } },
    }),
    sampled: translating({ policy: sampledPolicy(random) }),
    background: translating(besidePolicy(sampledPolicy(random), random, RAM_SIZE, true)),
  };
}

test('an instruction across two pages is what both hold now, in every tier', () => {
  const random = new Random(base);
  const start = anyImage(random);
  // A loop of one jump, whose second half is all that is executed of its page; another half lets it jump further back.
  const at = CODE + PAGE_SIZE - 2;
  const jump = (target: number, from = at): Uint8Array => {
    const bytes = riscv64.assemble(`jal zero,0x${target.toString(16)}`, BigInt(from));
    assert.ok(bytes instanceof Uint8Array);
    return bytes;
  };
  const first = jump(at - 16);
  const second = jump(at - 32);
  assert.deepEqual([...first.subarray(0, 2)], [...second.subarray(0, 2)], 'they differ behind the page only');
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  for (let pc = at - 32; pc < at; pc += 2) start.guest.set([0x05, 0x05], pc);
  start.guest.set(first, at);
  const far = at + 1024;
  start.guest.set(jump(at - 32, far), far);
  const layout = { spaces: layoutOf(random).spaces, hardwareDirty: false };
  const page = CODE / PAGE_SIZE + 1;
  const end = (make: Make, how: 'store' | 'map', begin: number) => {
    setUp(start, layout);
    const { cpu, bus, hooks, state } = userHart(layout.hardwareDirty, make);
    cpu.pc = BigInt(begin);
    cpu.run(1000);
    const place = layout.spaces[0]![page]! * PAGE_SIZE;
    if (how === 'store') {
      bus.view(RAM + place, 2)!.set(second.subarray(2));
      bus.written(RAM + place, 2);
    } else {
      const other = layout.spaces[1]![page]! * PAGE_SIZE;
      ramBytes.set(second.subarray(2), other);
      mapPage(0, page, other / PAGE_SIZE, PAGES[page]!, true);
      hooks.fence(undefined, undefined);
    }
    cpu.run(1001);
    return [cpu.pc, state.getBigUint64(X.offset + 80, true)];
  };
  for (const how of ['store', 'map'] as const) {
    // From far on, something else of the page has been decoded.
    for (const begin of [at - 32, far]) {
      const expected = end((mmu, hooks) => new SystemReference(riscv64, memory, mmu, { hooks }), how, begin);
      for (const [name, make] of Object.entries(engines(random)))
        assert.deepEqual(end(make, how, begin), expected, `${name}, ${how}`);
    }
  }
});

test('a store over the instruction behind it is seen by that, in every tier', () => {
  const random = new Random(base);
  const start = anyImage(random);
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  const patched = CODE + 8;
  // a0 is where to, a1 what: two encodings in turn, told apart by a2.
  const lines = ['xor a1,a1,a2', 'sw a1,0(a0)', 'addi t0,t0,1', 'addi t1,t1,1', `jal zero,0x${CODE.toString(16)}`];
  const encode = (line: string, at: number): Uint8Array => {
    const bytes = riscv64.assemble(line, BigInt(at));
    assert.ok(bytes instanceof Uint8Array);
    return bytes;
  };
  for (const [index, line] of lines.entries()) start.guest.set(encode(line, CODE + 4 * index), CODE + 4 * index);
  const word = (line: string) => new DataView(encode(line, patched).buffer).getUint32(0, true);
  const [one, two] = [word('addi t0,t0,1'), word('addi t0,t0,256')];
  const layout = { spaces: layoutOf(random).spaces, hardwareDirty: false };
  const end = (make: Make) => {
    setUp(start, layout);
    const { cpu, state } = userHart(false, make);
    mapPage(
      0,
      CODE / PAGE_SIZE,
      layout.spaces[0]![CODE / PAGE_SIZE]!,
      Permission.read | Permission.write | Permission.execute,
      true,
    );
    const register = (index: number, value: number) => state.setBigUint64(X.offset + 8 * index, BigInt(value), true);
    for (const [index, value] of [
      [5, 0],
      [6, 0],
      [10, patched],
      [11, one],
      [12, one ^ two],
    ] as const)
      register(index, value);
    cpu.pc = BigInt(CODE);
    // Few enough for the page to remain one of code.
    cpu.run(5 * 50);
    return [5, 6].map((index) => state.getBigUint64(X.offset + 8 * index, true));
  };
  assert.deepEqual(
    end((mmu, hooks) => new SystemReference(riscv64, memory, mmu, { hooks })),
    [25n * 257n, 50n],
  );
  for (const [name, make] of Object.entries(engines(random))) assert.deepEqual(end(make), [25n * 257n, 50n], name);
});

test('accesses that run on into another page find the rest there, after others in the page before, in every tier', () => {
  const random = new Random(base);
  const start = anyImage(random);
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  // Steps of two lengths in turn, so that no guard stands before the loop.
  const lines = [
    'ld t0,0(a0)',
    'add t1,t1,t0',
    'sd t1,0(a1)',
    'add a0,a0,a2',
    'add a1,a1,a2',
    'xor a2,a2,a3',
    `jal zero,0x${CODE.toString(16)}`,
  ];
  for (const [index, line] of lines.entries()) {
    const bytes = riscv64.assemble(line, BigInt(CODE + 4 * index));
    assert.ok(bytes instanceof Uint8Array, line);
    start.guest.set(bytes, CODE + 4 * index);
  }
  const layout = { spaces: layoutOf(random).spaces, hardwareDirty: false };
  const end = (make: Make) => {
    setUp(start, layout);
    const { cpu, state } = userHart(false, make);
    const register = (index: number, value: number) => state.setBigUint64(X.offset + 8 * index, BigInt(value), true);
    const second = DATA + PAGE_SIZE;
    for (const [index, value] of [
      [6, 0],
      [10, second - 100],
      [11, second - 400],
      [12, 1],
      [13, 3],
    ] as const)
      register(index, value);
    cpu.pc = BigInt(CODE);
    const budget = lines.length * 300;
    while (cpu.counters.instructions < budget) cpu.run(budget - cpu.counters.instructions);
    return [state.getBigUint64(X.offset + 8 * 6, true), Buffer.from(ramBytes).toString('latin1')];
  };
  const expected = end((mmu, hooks) => new SystemReference(riscv64, memory, mmu, { hooks }));
  for (const [name, make] of Object.entries(engines(random))) assert.ok(isDeepStrictEqual(end(make), expected), name);
});

test('a loop that writes up to itself is seen to write over itself, though its page has become one of data', () => {
  const random = new Random(base);
  const start = anyImage(random);
  start.guest.fill(0, CODE, CODE + CODE_SIZE);
  const stores = 100;
  const head = CODE + PAGE_SIZE + 0x800;
  const encode = (line: string, at: number): Uint8Array => {
    const bytes = riscv64.assemble(line, BigInt(at));
    assert.ok(bytes instanceof Uint8Array, line);
    return bytes;
  };
  const lines = ['sw a1,0(a0)', 'addi a0,a0,4', 'addi t0,t0,1', `jal zero,0x${head.toString(16)}`];
  lines.forEach((line, index) => start.guest.set(encode(line, head + 4 * index), head + 4 * index));
  const layout = { spaces: layoutOf(random).spaces, hardwareDirty: false };
  const end = (make: Make) => {
    setUp(start, layout);
    const { cpu, state } = userHart(false, make);
    const register = (index: number, value: number) => state.setBigUint64(X.offset + 8 * index, BigInt(value), true);
    register(5, 0);
    register(10, head - 4 * stores);
    register(11, new DataView(encode('addi t0,t0,256', head).buffer).getUint32(0, true));
    cpu.pc = BigInt(head);
    // The last store is the next turn's first instruction.
    const budget = 4 * (stores + 11);
    while (cpu.counters.instructions < budget) cpu.run(budget - cpu.counters.instructions);
    return state.getBigUint64(X.offset + 8 * 5, true);
  };
  const expected = BigInt(stores + 11 + 256 * 10);
  assert.equal(
    end((mmu, hooks) => new SystemReference(riscv64, memory, mmu, { hooks })),
    expected,
  );
  for (const [name, make] of Object.entries(engines(random))) assert.equal(end(make), expected, name);
});

test('a region that comes back when its code has changed, or other code has its records, is left', () => {
  const random = new Random(base);
  const start = anyImage(random);
  const layout = { spaces: layoutOf(random).spaces, hardwareDirty: false };
  const page = CODE / PAGE_SIZE;
  const loop = (step: number): Uint8Array =>
    Buffer.concat(
      [`addi t0,t0,${step}`, 'addi t1,t1,1', 'addi t2,t2,1', `jal zero,0x${CODE.toString(16)}`].map((line, index) => {
        const bytes = riscv64.assemble(line, BigInt(CODE + 4 * index));
        assert.ok(bytes instanceof Uint8Array, line);
        return bytes;
      }),
    );
  const loops = [loop(1), loop(256)] as const;
  const policy: TierPolicy = { ...AUTO, sampleInterval: 20, hotSamples: 1, backgroundCost: 20, warmUp: 0, lineCost: 0 };
  for (const how of ['store', 'records', 'nothing'] as const) {
    start.guest.fill(0, CODE, CODE + CODE_SIZE);
    start.guest.set(loops[0], CODE);
    setUp(start, layout);
    const [here, there] = layout.spaces.map((places) => places[page]! * PAGE_SIZE);
    ramBytes.set(loops[1], there!);
    const subject = { isa: riscv64.name, guestSize: RAM_SIZE, translated: true, policy, disabledPasses: [] };
    // By then the change has been made, and its code has run.
    const compilers = new DeferredCompilers(riscv64, subject, () => 10);
    const { cpu, bus, hooks, state } = userHart(false, translating({ policy, compilers }));
    assert.ok(cpu instanceof Vcpu);
    const counters = cpu.tiers!.translation;
    cpu.pc = BigInt(CODE);
    for (const index of [5, 6, 7]) state.setBigUint64(X.offset + 8 * index, 0n, true);
    for (let rounds = 0; compilers.requests === 0; rounds++) {
      assert.ok(rounds < 1000, 'a region is asked for');
      cpu.run(50);
    }
    const before = cpu.counters.instructions;
    assert.equal(cpu.pc, BigInt(CODE + 4 * (before % 4)));
    if (how === 'store') {
      bus.view(RAM + here!, loops[1].length)!.set(loops[1]);
      bus.written(RAM + here!, loops[1].length);
    } else if (how === 'records') {
      // Long enough for the page to be dropped; what is decoded next takes its records.
      bus.written(RAM + here!, PAGE_SIZE);
      mapPage(0, page, there! / PAGE_SIZE, PAGES[page]!, true);
      hooks.fence(undefined, undefined);
    }
    const end = before + 4000;
    while (cpu.counters.instructions < end) cpu.run(end - cpu.counters.instructions);
    const step = how === 'nothing' ? 1 : 256;
    const rounds = Math.ceil(before / 4);
    assert.equal(
      state.getBigUint64(X.offset + 8 * 5, true),
      BigInt(rounds + step * (Math.ceil(cpu.counters.instructions / 4) - rounds)),
      how,
    );
    assert.equal(counters.outdated, how === 'nothing' ? 0 : 1, how);
    assert.ok(cpu.tiers!.counters.regionInstructions > 0, 'in the end there is a region');
    cpu.checkInvariants();
  }
});

for (const [kind, image, budget] of [
  ['code', anyImage, 3000],
  ['programs', randomProgram, 6000],
  ['control flow', randomSpaghetti, 3000],
  ['loops', randomLoops, 12_000],
] as const) {
  test(`random ${kind} behind scattered and changing pages ends alike in every tier`, (context) => {
    context.diagnostic(`SEED=${base}`);
    let inRegions = 0;
    const beside = { regions: 0, outdated: 0 };
    for (let seed = base; seed < base + ROUNDS; seed++) {
      const random = new Random(seed);
      const start = image(random);
      const layout = layoutOf(random);
      const reference: Make = (mmu, hooks) => new SystemReference(riscv64, memory, mmu, { hooks });
      const expected = run(seed, start, layout, budget, reference);
      for (const [name, make] of Object.entries(engines(random))) {
        const { end, counters } = run(seed, start, layout, budget, make);
        assert.deepEqual(end, expected.end, `seed ${seed}, ${name}`);
        inRegions += counters['regionInstructions'] ?? 0;
        if (name !== 'background') continue;
        beside.regions += counters['regions'] ?? 0;
        beside.outdated += counters['outdated'] ?? 0;
      }
    }
    context.diagnostic(`${inRegions} instructions in regions, beside the guest ${JSON.stringify(beside)}`);
    assert.ok(beside.regions > 0, 'regions are made beside the guest');
    assert.ok(inRegions > 100 * ROUNDS, 'regions run');
  });
}
