import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATE } from '../layout/memory-map.ts';
import { StateOffset } from '../layout/state.ts';
import { PrivilegeMode } from '../memory/regime.ts';
import { halves, RAM, TestMachine } from '../memory/test-machine.ts';
import { SlowAccess } from './runtime.ts';
import { behindSecondLevel, type TlbImports } from './second-level.ts';

const SIZE = 1 << 18;
const WINDOW = 0xffff_ffc0_0000_0000n;
const SLOW = 77;
const SLOT = STATE + StateOffset.arguments;

/** Four pages in supervisor mode, the last for reads only, and what counts the accesses that come to JavaScript. */
function machineWithPages(): { machine: TestMachine; imports: TlbImports; slow: string[]; view: DataView } {
  const machine = new TestMachine(SIZE);
  const root = RAM + SIZE - 4096;
  let next = root;
  [0xcfn, 0xcfn, 0xcfn, 0x43n].forEach((flags, i) =>
    machine.map(3, root, WINDOW + 4096n * BigInt(i), RAM + 4096 * (i + 1), 0, flags, () => (next -= 4096)),
  );
  machine.usePageTable(3, root, PrivilegeMode.supervisor);
  const slow: string[] = [];
  const note = (name: string) => (low: number, _: number, bytes: number, flags: number) => {
    slow.push(`${name} ${low} ${bytes} ${flags}`);
    return SLOW;
  };
  const imports = behindSecondLevel(machine.memory, machine.mmu.serveMiss, {
    tlbLoad: note('load'),
    tlbStore: note('store'),
  });
  return { machine, imports, slow, view: new DataView(machine.memory.buffer) };
}

/** Has both levels know a page, and the first forget it again. */
function enterSecondLevel({ mmu }: TestMachine, page: number): void {
  assert.notEqual(mmu.translate(...halves(WINDOW + 4096n * BigInt(page)), 1, 1), 0);
  mmu.l1.flushAll();
}

test('loads and stores of every width that the second level serves never come to JavaScript', () => {
  const { machine, imports, slow, view } = machineWithPages();
  const { mmu, ram } = machine;
  for (let i = 0; i < 64; i++) ram.setUint8(4096 + i, 0x81 + i);
  enterSecondLevel(machine, 0);
  for (const bytes of [1, 2, 4, 8, 16]) {
    for (const offset of [0, 3, 4096 - bytes]) {
      const what = `${bytes} bytes at ${offset}`;
      const [low, high] = halves(WINDOW + BigInt(offset));
      view.setBigUint64(SLOT, 0xfedc_ba98_7654_3210n, true);
      view.setBigUint64(SLOT + 8, 0x0123_4567_89ab_cdefn, true);
      const before = { ...mmu.counters };
      mmu.l1.flushAll();
      assert.equal(imports.tlbStore(low, high, bytes, 0), 0, what);
      view.setBigUint64(SLOT, ~0n, true);
      view.setBigUint64(SLOT + 8, ~0n, true);
      mmu.l1.flushAll();
      assert.equal(imports.tlbLoad(low, high, bytes, 0), 0, what);
      assert.equal(view.getBigUint64(SLOT, true), BigInt.asUintN(8 * Math.min(bytes, 8), 0xfedc_ba98_7654_3210n), what);
      if (bytes === 16) assert.equal(view.getBigUint64(SLOT + 8, true), 0x0123_4567_89ab_cdefn, what);
      // What the first level knows now is neither missed nor hit.
      assert.equal(imports.tlbLoad(low, high, bytes, 0), 0, what);
      const { l1Misses, l2Hits } = mmu.counters;
      assert.deepEqual([l1Misses - before.l1Misses, l2Hits - before.l2Hits], [2, 2], what);
    }
  }
  assert.deepEqual(slow, []);
  mmu.checkInvariants();
});

test('what is misaligned, crosses a page, is not permitted or has code is left to JavaScript, uncounted', () => {
  const { machine, imports, slow } = machineWithPages();
  const { mmu } = machine;
  for (const page of [0, 1, 3]) enterSecondLevel(machine, page);
  mmu.protectCode(mmu.translate(...halves(WINDOW + 4096n), 1, 1));
  mmu.l1.flushAll();
  const { l1Misses, l2Hits } = mmu.counters;
  const load = (address: bigint, bytes: number, flags = 0): number => imports.tlbLoad(...halves(address), bytes, flags);
  const store = (address: bigint, bytes: number): number => imports.tlbStore(...halves(address), bytes, 0);
  assert.equal(load(WINDOW + 2n, 4, SlowAccess.natural), SLOW);
  assert.equal(load(WINDOW + 4093n, 4), SLOW);
  assert.equal(load(WINDOW + 4096n * 4n, 4), SLOW, 'not mapped');
  assert.equal(load(WINDOW + 4096n * 3n, 4, SlowAccess.update), SLOW);
  assert.equal(store(WINDOW + 4096n * 3n, 4), SLOW);
  assert.equal(store(WINDOW + 4096n, 4), SLOW, 'there is code');
  assert.deepEqual(
    slow.map((call) => call.split(' ')[0]),
    ['load', 'load', 'load', 'load', 'store', 'store'],
  );
  assert.equal(slow[0], `load ${halves(WINDOW + 2n)[0]} 4 ${SlowAccess.natural}`);
  assert.deepEqual([mmu.counters.l1Misses, mmu.counters.l2Hits], [l1Misses, l2Hits]);
  assert.equal(load(WINDOW + 4096n * 3n, 4), 0);
  assert.equal(load(WINDOW + 4096n, 4), 0);
  // The first level serves loads there now, and stores still not.
  assert.equal(store(WINDOW + 4096n, 4), SLOW);
  assert.equal(load(WINDOW + 4096n * 3n, 4, SlowAccess.update), SLOW);
});

test('page tables are walked without JavaScript once it has found what RAM is open, and their pages served from the second level then', () => {
  const { machine, imports, slow } = machineWithPages();
  const { mmu } = machine;
  const load = (page: bigint): number => imports.tlbLoad(...halves(WINDOW + 4096n * page), 8, 0);
  assert.equal(load(0n), SLOW);
  enterSecondLevel(machine, 0);
  const before = { ...mmu.counters };
  assert.equal(load(1n), 0);
  assert.equal(imports.tlbStore(...halves(WINDOW + 8192n), 8, 0), 0);
  mmu.l1.flushAll();
  assert.equal(load(1n), 0);
  const { l1Misses, l2Hits, walks, walkSteps } = mmu.counters;
  assert.deepEqual(
    [l1Misses - before.l1Misses, l2Hits - before.l2Hits, walks - before.walks, walkSteps - before.walkSteps],
    [3, 1, 2, 6],
  );
  mmu.protectionChanged();
  assert.equal(load(1n), SLOW, 'RAM may be closed now');
  assert.equal(slow.length, 2);
  mmu.checkInvariants();
});

test('a fence, another address space and another privilege mode are as if JavaScript looked', () => {
  const { machine, imports } = machineWithPages();
  const { mmu } = machine;
  const load = (): number => imports.tlbLoad(...halves(WINDOW), 8, 0);
  enterSecondLevel(machine, 0);
  const walks = (): number => {
    const before = mmu.counters.walks;
    assert.equal(load(), 0);
    return mmu.counters.walks - before;
  };
  assert.equal(walks(), 0);
  mmu.fence(undefined);
  assert.equal(walks(), 1);
  mmu.fenceAddress(...halves(WINDOW), undefined);
  assert.equal(walks(), 1);
  mmu.regime.asid = 5;
  mmu.regimeChanged();
  assert.equal(walks(), 1, 'nothing is global');
  mmu.fence(5);
  mmu.regime.asid = 0;
  mmu.regimeChanged();
  assert.equal(walks(), 0, 'the fence was for the other');
  mmu.regime.dataPrivilege = PrivilegeMode.user;
  mmu.regimeChanged();
  assert.equal(load(), SLOW, 'a page of supervisor mode');
  mmu.regime.dataPrivilege = PrivilegeMode.machine;
  mmu.regimeChanged();
  assert.equal(load(), SLOW);
});
