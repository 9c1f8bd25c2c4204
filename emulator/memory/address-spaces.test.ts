import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { GUEST } from '../layout/memory-map.ts';
import { walkUnder } from './page-table-oracle.ts';
import { Access, PrivilegeMode } from './regime.ts';
import { REPLACEMENT_POLICIES } from './replacement.ts';
import { halves, RAM, TestMachine } from './test-machine.ts';
import { TRANSLATION_FAULT } from './translation.ts';

const { user, supervisor } = PrivilegeMode;
const LEAF = 0xcfn;
/** `ACCESSES=1000000` for the long run. */
const ACCESSES = Number(process.env['ACCESSES'] ?? 8000);

test('address spaces in turn, fenced for what has changed and for no more, do what a walk for every access would do', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed} ACCESSES=${ACCESSES}`);
  for (const [round, policy] of REPLACEMENT_POLICIES.entries()) {
    const random = new Random(seed + round);
    const size = 1 << 18;
    const machine = new TestMachine(size, { l2: { sets: 8, ways: 2, policy } });
    const { mmu } = machine;
    const { regime } = mmu;
    let next = RAM;
    const allocate = (): number => (next += 4096);
    const roots = [1, 2, 3].map(allocate);
    const page = (): number => RAM + 4096 * (32 + random.below(32));
    const flags = (): bigint => 0xc1n | BigInt(random.pick([2, 6, 8, 10, 14, 14])) | (random.chance(40) ? 0x10n : 0n);
    const own = Array.from({ length: 10 }, (_, n) => 0x4000_0000n + 0x1000n * BigInt(n));
    const global = own.map((va) => va + 0x4000_0000n);
    const remap = (va: bigint, spaces: readonly number[], bits: bigint): void => {
      const to = page();
      for (const space of spaces) machine.map(3, roots[space]!, va, to, 0, bits, allocate);
    };
    const remapGlobal = (va: bigint) => remap(va, [0, 1, 2], flags() | 0x20n);
    for (const va of global) remapGlobal(va);
    for (const va of own) for (const space of [0, 1, 2]) remap(va, [space], flags());
    // A large one of 2 MiB, in part RAM, which all share.
    const large = 0xc000_0000n;
    for (const root of roots) machine.map(3, root, large, RAM, 1, LEAF | 0x20n, allocate);
    machine.usePageTable(3, roots[0]!);
    const readPte = (gpa: bigint): bigint | undefined => machine.readPte(Number(gpa));
    let current = 0;
    const enter = (space: number): void => {
      current = space;
      regime.asid = space + 1;
      regime.rootPage = roots[space]! / 4096;
      mmu.regimeChanged();
    };
    enter(0);
    for (let step = 0; step < ACCESSES; step++) {
      if (random.chance(3)) {
        const va = random.pick(global);
        remapGlobal(va);
        if (random.chance(20)) mmu.fence(undefined);
        else mmu.fenceAddress(...halves(va), undefined);
      }
      if (random.chance(5)) {
        const [va, space] = [random.pick(own), random.below(3)];
        remap(va, [space], flags());
        const asid = random.chance(90) ? space + 1 : undefined;
        if (random.chance(40)) mmu.fence(asid);
        else mmu.fenceAddress(...halves(va), asid);
      }
      if (random.chance(10)) enter(random.below(3));
      if (random.chance(5)) {
        regime.dataPrivilege = random.pick([user, supervisor]);
        regime.fetchPrivilege = random.pick([user, supervisor]);
        regime.supervisorUserMemory = random.chance(50);
        regime.makeExecutableReadable = random.chance(20);
        mmu.regimeChanged();
      }
      const va = random.pick([...own, ...global, large + BigInt(4096 * random.below(size / 4096))]);
      const access = random.pick([Access.read, Access.write, Access.execute]);
      const expected = walkUnder(regime, va, access, readPte);
      const linear = mmu.translate(...halves(va), access, 1);
      const what = `seed ${seed}, ${policy}, step ${step}: ${access} at 0x${va.toString(16)} in ${current}`;
      if (expected.kind === 'translated') assert.equal((linear >>> 0) - GUEST + RAM, Number(expected.gpa), what);
      else assert.equal(linear, TRANSLATION_FAULT, what);
    }
    mmu.checkInvariants();
  }
});
