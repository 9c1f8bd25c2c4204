import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { LARGE_PENDING, PAGE_SIZE, TLB_ENTRIES } from '../layout/memory-map.ts';
import { TlbContext } from './l1-tlb.ts';
import { L2_ABSENT } from './l2-probe.ts';
import type { L2TlbOptions } from './l2-tlb.ts';
import { Access, PrivilegeMode } from './regime.ts';
import { halves, RAM, TestMachine } from './test-machine.ts';

const SIZE = 4 << 20;
const ROOT = RAM + (2 << 20);
const LEVELS = 5;
/** All large pages lead to the same RAM, which is only a part of those above 2 MiB. */
const WINDOW = 0xff00_0000_0000_0000n;
const SUPERVISOR = 0xcfn;
const USER = 0xdfn;

interface LargeLeaf {
  readonly va: bigint;
  /** The address that leads to the start of RAM. */
  readonly ram: bigint;
  readonly bytes: bigint;
  readonly user: boolean;
}

/** A machine with large pages of a level mapped from WINDOW on, so many times their size apart, every other one for user mode. */
function machineWith(
  level: number,
  count: number,
  stride = 1n,
  l2?: L2TlbOptions,
): { machine: TestMachine; leaves: readonly LargeLeaf[] } {
  const machine = new TestMachine(SIZE, l2 === undefined ? {} : { l2 });
  const bytes = 4096n << BigInt(9 * level);
  const gpa = BigInt(RAM) & -bytes;
  let next = ROOT;
  const leaves = Array.from({ length: count }, (_, i) => {
    const va = WINDOW + stride * bytes * BigInt(i);
    return { va, ram: va + BigInt(RAM) - gpa, bytes, user: i % 2 === 1 };
  });
  for (const { va, user } of leaves)
    machine.map(LEVELS, ROOT, va, Number(gpa), level, user ? USER : SUPERVISOR, () => (next += 4096));
  // Generated code walks in RAM that JavaScript has come across.
  machine.usePageTable(LEVELS, ROOT, PrivilegeMode.user);
  machine.mmu.translate(...halves(leaves[1]!.ram), Access.read, 1);
  machine.usePageTable(LEVELS, ROOT, PrivilegeMode.supervisor);
  return { machine, leaves };
}

/** Of the tables of the first level, what has generated code enter in one of them. */
const MODES = [
  { context: TlbContext.user, privilege: PrivilegeMode.user, sum: false, user: true },
  { context: TlbContext.supervisor, privilege: PrivilegeMode.supervisor, sum: false, user: false },
  { context: TlbContext.supervisorUserMemory, privilege: PrivilegeMode.supervisor, sum: true, user: true },
  { context: TlbContext.supervisorUserMemory, privilege: PrivilegeMode.supervisor, sum: true, user: false },
];

test('a fence takes away all parts of a large page that generated code has entered, wherever in it the address lies', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  for (const level of [1, 2, 3, 4]) {
    const { machine, leaves } = machineWith(level, 40);
    const { mmu } = machine;
    for (let round = 0; round < 80; round++) {
      const mode = random.pick(MODES);
      Object.assign(mmu.regime, { dataPrivilege: mode.privilege, supervisorUserMemory: mode.sum });
      mmu.regimeChanged();
      if (random.chance(20)) mmu.l1.flush(mode.context);
      const leaf = random.pick(leaves.filter(({ user }) => user === mode.user));
      const parts = Array.from({ length: 4 }, () => leaf.ram + 4096n * BigInt(random.below(SIZE / 2 / 4096)));
      for (const part of parts) {
        const linear = mmu.serveMiss(...halves(part), Access.read);
        assert.ok(linear !== L2_ABSENT, `level ${level}, 0x${part.toString(16)} is walked to by generated code`);
        assert.equal(mmu.l1.probe(mode.context, ...halves(part), Access.read), linear);
      }
      // Others may be entered meanwhile.
      for (const { ram } of leaves.slice(0, random.below(3))) mmu.translate(...halves(ram), Access.read, 1);
      const fenced = leaf.va + (random.next() & (leaf.bytes - 1n));
      mmu.fenceAddress(...halves(fenced), random.pick([undefined, 0]));
      for (const part of parts)
        assert.equal(mmu.l1.probe(mode.context, ...halves(part), Access.read), 0, `level ${level}, round ${round}`);
    }
    mmu.checkInvariants();
  }
});

test('generated code notes large pages up to a number, then JavaScript takes them over', () => {
  const { machine, leaves } = machineWith(1, 2 * LARGE_PENDING + 20);
  const { mmu } = machine;
  const supervisor = leaves.filter(({ user }) => !user);
  const [more] = supervisor.splice(LARGE_PENDING);
  for (const { va } of supervisor) assert.notEqual(mmu.serveMiss(...halves(va), Access.read), L2_ABSENT);
  const { walks, l1Misses } = mmu.counters;
  assert.equal(walks, 1 + LARGE_PENDING);
  assert.equal(mmu.serveMiss(...halves(more!.va), Access.read), L2_ABSENT);
  assert.deepEqual([mmu.counters.walks, mmu.counters.l1Misses], [walks, l1Misses], 'nothing has changed');
  mmu.translate(...halves(more!.va), Access.read, 1);
  assert.notEqual(mmu.serveMiss(...halves(more!.va + 4096n), Access.read), L2_ABSENT);
  mmu.checkInvariants();
  const [one] = supervisor;
  mmu.fenceAddress(...halves(one!.va + 0x1f_f000n), undefined);
  assert.equal(mmu.l1.probe(TlbContext.supervisor, ...halves(one!.va), Access.read), 0);
});

test('large pages that take turns in entries of the first level have a note each', () => {
  const stride = BigInt((TLB_ENTRIES * PAGE_SIZE) / 2 ** 21);
  for (const [level, apart] of [
    [1, 1n],
    [1, stride],
    [2, 1n],
  ] as const) {
    const { machine, leaves } = machineWith(level, 64, apart, { sets: 1, ways: 1, policy: 'lru' });
    const { mmu } = machine;
    const supervisor = leaves.filter(({ user }) => !user);
    for (let lookup = 0; lookup < 20 * LARGE_PENDING; lookup++) {
      const { ram } = supervisor[lookup % supervisor.length]!;
      assert.notEqual(mmu.serveMiss(...halves(ram), Access.read), L2_ABSENT);
    }
  }
});
