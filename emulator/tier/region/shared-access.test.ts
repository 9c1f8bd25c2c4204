import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STATE } from '../../layout/memory-map.ts';
import { StateOffset } from '../../layout/state.ts';
import { Access, PrivilegeMode } from '../../memory/regime.ts';
import { halves, RAM, TestMachine } from '../../memory/test-machine.ts';
import { Frame } from '../interpreter/frame.ts';
import { SlowAccess } from '../runtime.ts';
import { behindSecondLevel } from '../second-level.ts';
import { ACCESS_HIGH_SHIFT, accessCode } from './access-code.ts';

const SIZE = 1 << 18;
const WINDOW = 0xffff_ffc0_0000_0000n;
const SLOT = STATE + StateOffset.arguments;
const PATTERN = 0xfedc_ba98_7654_3210n;
const UPPER = 0x0123_4567_89ab_cdefn;
const BUDGET = 1000;
const EXIT = 0x0200_0007;
/** What is left of the budget when JavaScript was called. */
const WITHHELD = -3;

type RegionLoad = (address: bigint, access: bigint, budget: number) => [bigint, number, number];
type RegionStore = (address: bigint, access: bigint, budget: number, value: bigint) => [number, number];

/** An access of so many bytes, `distance` from the address given. */
function access(bytes: number, distance = 0, flags = 0): bigint {
  return (BigInt(distance) << BigInt(ACCESS_HIGH_SHIFT)) | BigInt(accessCode(bytes, flags, EXIT));
}

/** Two pages in supervisor mode, and what counts the accesses that come to JavaScript, whose status `status` gives. */
function machineWithPages(status: () => number) {
  const machine = new TestMachine(SIZE);
  const root = RAM + SIZE - 4096;
  let next = root;
  for (const page of [0, 1])
    machine.map(3, root, WINDOW + 4096n * BigInt(page), RAM + 4096 * (page + 1), 0, 0xcfn, () => (next -= 4096));
  machine.usePageTable(3, root, PrivilegeMode.supervisor);
  const view = new DataView(machine.memory.buffer);
  const slow: string[] = [];
  const note = (name: string) => (low: number, high: number, bytes: number, flags: number) => {
    slow.push([name, low >>> 0, high >>> 0, bytes, flags, view.getInt32(Frame.budget, true)].join(' '));
    view.setInt32(Frame.budget, WITHHELD, true);
    if (name === 'load') view.setBigUint64(SLOT, 0x55n, true);
    return status();
  };
  const { regionLoad, regionStore } = behindSecondLevel(machine.memory, machine.mmu.serveMiss, {
    tlbLoad: note('load'),
    tlbStore: note('store'),
  });
  for (const page of [0n, 1n])
    for (const access of [Access.read, Access.write])
      assert.notEqual(machine.mmu.translate(...halves(WINDOW + 4096n * page), access, 1), 0);
  return { view, slow, load: regionLoad as unknown as RegionLoad, store: regionStore as unknown as RegionStore };
}

test('what a level of the TLB serves is stored and loaded with zeros above, and costs no budget', () => {
  const { view, slow, load, store } = machineWithPages(() => 0);
  for (const bytes of [1, 2, 4, 8, 16]) {
    for (const offset of [0n, 3n, 4096n - BigInt(bytes)]) {
      const what = `${bytes} bytes at ${offset}`;
      view.setBigUint64(SLOT + 8, UPPER, true);
      assert.deepEqual(store(WINDOW + offset, access(bytes), BUDGET, PATTERN), [0, BUDGET], what);
      view.setBigUint64(SLOT + 8, 0n, true);
      const value = BigInt.asUintN(8 * Math.min(bytes, 8), PATTERN);
      const [loaded, ...others] = load(WINDOW + offset, access(bytes), BUDGET);
      assert.equal(BigInt.asUintN(64, loaded), value, what);
      assert.deepEqual(others, [0, BUDGET], what);
      assert.equal(view.getBigUint64(SLOT, true), value, what);
      if (bytes === 16) assert.equal(view.getBigUint64(SLOT + 8, true), UPPER, what);
    }
  }
  assert.deepEqual(slow, []);
});

test('what JavaScript serves comes back with what it left of the budget', () => {
  const { view, slow, load, store } = machineWithPages(() => 0);
  const across = WINDOW + 4093n;
  const [low, high] = halves(across).map((half) => half >>> 0);
  assert.deepEqual(load(across, access(8), BUDGET), [0x55n, 0, WITHHELD]);
  assert.deepEqual(store(across, access(4), BUDGET, PATTERN), [0, WITHHELD]);
  assert.equal(view.getBigUint64(SLOT, true), PATTERN);
  assert.deepEqual(slow, [`load ${low} ${high} 8 0 ${BUDGET}`, `store ${low} ${high} 4 0 ${BUDGET}`]);
});

test('after a fault the status is the exit', () => {
  const { load, store } = machineWithPages(() => 2);
  assert.deepEqual(load(WINDOW + 4093n, access(8), BUDGET).slice(1), [EXIT, WITHHELD]);
  assert.deepEqual(store(WINDOW + 4093n, access(8), BUDGET, PATTERN), [EXIT, WITHHELD]);
});

test('an access may be some way from the address that is given', () => {
  const { slow, load, store } = machineWithPages(() => 0);
  for (const distance of [-2048, -8, 0, 8, 511, 4000]) {
    const base = WINDOW + 4096n - BigInt(distance);
    assert.deepEqual(store(base, access(8, distance), BUDGET, PATTERN + BigInt(distance)), [0, BUDGET]);
    const loaded = load(WINDOW + 4096n, access(8), BUDGET)[0];
    assert.equal(BigInt.asUintN(64, loaded), PATTERN + BigInt(distance));
    assert.equal(load(base, access(8, distance), BUDGET)[0], loaded);
  }
  assert.deepEqual(slow, []);
});

test('misaligned accesses that fault for it are not served by the first level', () => {
  const { slow, load, store } = machineWithPages(() => 2);
  const natural = access(4, 0, SlowAccess.natural);
  assert.equal(load(WINDOW + 4n, natural, BUDGET)[1], 0);
  assert.equal(slow.length, 0);
  assert.equal(load(WINDOW + 2n, natural, BUDGET)[1], EXIT);
  assert.equal(store(WINDOW + 2n, natural, BUDGET, PATTERN)[0], EXIT);
  assert.deepEqual(
    slow.map((call) => call.split(' ')[4]),
    [String(SlowAccess.natural), String(SlowAccess.natural)],
  );
});
