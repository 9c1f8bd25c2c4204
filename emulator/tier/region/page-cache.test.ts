import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GUEST, PAGE_CACHES_USED } from '../../layout/memory-map.ts';
import { ExitReason } from '../../layout/state.ts';
import { Access, PrivilegeMode } from '../../memory/regime.ts';
import { halves, RAM, TestMachine } from '../../memory/test-machine.ts';
import { ModuleBuilder } from '../../wasm/module.ts';
import { ValType } from '../../wasm/type.ts';
import { behindSecondLevel } from '../second-level.ts';
import { defineFindPage, PageCachePlaces } from './page-cache.ts';

const SIZE = 1 << 18;
const PAGE = 4096n;
const WINDOW = 0x3f_0000_0000n;
/** To be read, written and accessed in user mode; and to be read only. */
const ALL = 0xd7n;
const READ_ONLY = 0x53n;

/** Of a page for loads, or for stores; of so many bytes. */
type Find = (address: bigint, bytes: number) => number;

/** Two pages in user mode and a third for reads only, a cache of each kind, and what looks for pages. */
function machineWithCaches() {
  const machine = new TestMachine(SIZE);
  const { mmu, memory } = machine;
  const root = RAM + SIZE - 4096;
  let next = root;
  const map = (page: bigint, to: number, flags: bigint) =>
    machine.map(3, root, WINDOW + PAGE * page, RAM + 4096 * to, 0, flags, () => (next -= 4096));
  map(0n, 1, ALL);
  map(1n, 2, ALL);
  map(2n, 3, READ_ONLY);
  machine.usePageTable(3, root, PrivilegeMode.user);
  const fault = () => ExitReason.fault;
  const { notePageCache } = behindSecondLevel(memory, mmu.serveMiss, { tlbLoad: fault, tlbStore: fault });
  const module = new ModuleBuilder({ check: true });
  module.importMemory('env', 'memory', { initial: 1 });
  const note = module.importFunction('env', 'notePageCache', [ValType.i32], []);
  const found = defineFindPage(module, note);
  module.exportFunction('load', found.load);
  module.exportFunction('store', found.store);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), {
    env: { memory, notePageCache },
  });
  const places = new PageCachePlaces(5);
  const forLoads = places.take(false);
  const forStores = places.take(true);
  const finding = (name: string, cache: number): Find => {
    const find = exports[name] as (address: bigint, cache: number, last: bigint) => number;
    return (address, bytes) => find(address, cache, BigInt(bytes - 1));
  };
  const view = new DataView(memory.buffer);
  const words = new Int32Array(memory.buffer);
  return {
    mmu,
    map,
    forLoads,
    forStores,
    findLoad: finding('load', forLoads),
    findStore: finding('store', forStores),
    /** Has the first level know a page. */
    know: (page: bigint, access: Access) =>
      assert.notEqual(mmu.translate(...halves(WINDOW + PAGE * page), access, 1), 0),
    /** The number of the page that a cache has and that of the page in RAM to which it leads. */
    has: (cache: number) => {
      mmu.l1.checkInvariants();
      if (view.getInt32(cache, true) === -1) return undefined;
      const tag = view.getBigInt64(cache, true);
      const linear = Number(BigInt.asUintN(32, tag + BigInt(view.getInt32(cache + 8, true))));
      return [Number((tag - WINDOW) / PAGE), (linear - GUEST) / 4096];
    },
    noted: () => [...words.subarray(PAGE_CACHES_USED / 4 + 1).subarray(0, words[PAGE_CACHES_USED / 4]!)],
  };
}

test('a page is found where all bytes lie in it, and its cache is noted once', () => {
  const { findStore, know, has, noted, forStores } = machineWithCaches();
  for (const page of [0n, 1n]) know(page, Access.write);
  for (const bytes of [2, 24, 512]) {
    const before = has(forStores);
    assert.equal(findStore(WINDOW + PAGE - BigInt(bytes) + 1n, bytes), 0, 'the last byte is in the next page');
    assert.deepEqual(has(forStores), before);
    assert.equal(findStore(WINDOW + PAGE - BigInt(bytes), bytes), GUEST + 8192 - bytes);
    assert.deepEqual(has(forStores), [0, 1]);
    assert.equal(findStore(WINDOW + PAGE, bytes), GUEST + 8192);
    assert.deepEqual(has(forStores), [1, 2]);
    assert.deepEqual(noted(), [forStores]);
  }
  assert.equal(findStore(WINDOW + 3n * PAGE, 1), 0, 'nothing is there');
});

test('a page that may only be read is found for loads, not for stores', () => {
  const { findLoad, findStore, know, has, noted, forLoads, forStores } = machineWithCaches();
  know(2n, Access.read);
  assert.equal(findStore(WINDOW + 2n * PAGE, 8), 0);
  assert.deepEqual([has(forStores), noted()], [undefined, []]);
  assert.equal(findLoad(WINDOW + 2n * PAGE + 24n, 8), GUEST + 3 * 4096 + 24);
  assert.deepEqual([has(forLoads), noted()], [[2, 3], [forLoads]]);
});

test('after a fence a cache is empty, is noted anew, and has where the page lies now', () => {
  const { mmu, findStore, know, has, noted, map, forStores } = machineWithCaches();
  know(0n, Access.write);
  assert.equal(findStore(WINDOW + 8n, 8), GUEST + 4096 + 8);
  map(0n, 5, ALL);
  mmu.fence(undefined);
  assert.deepEqual([has(forStores), noted()], [undefined, []]);
  assert.equal(findStore(WINDOW + 8n, 8), 0);
  know(0n, Access.write);
  assert.equal(findStore(WINDOW + 8n, 8), GUEST + 5 * 4096 + 8);
  assert.deepEqual([has(forStores), noted()], [[0, 5], [forStores]]);
});
