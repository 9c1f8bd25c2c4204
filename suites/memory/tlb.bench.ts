import assert from 'node:assert/strict';
import { GUEST, PAGE_SIZE, STATE, TLB_ENTRIES, TlbEntry } from '../../emulator/layout/memory-map.ts';
import { StateOffset } from '../../emulator/layout/state.ts';
import { L2Tlb } from '../../emulator/memory/l2-tlb.ts';
import { Access } from '../../emulator/memory/regime.ts';
import { REPLACEMENT_POLICIES, type ReplacementPolicy } from '../../emulator/memory/replacement.ts';
import type { TestMachine } from '../../emulator/memory/test-machine.ts';
import { probeTlb } from '../../emulator/tier/tlb-path.ts';
import { ModuleBuilder } from '../../emulator/wasm/module.ts';
import { ValType } from '../../emulator/wasm/type.ts';
import { defineBench } from '../harness/define-bench.ts';
import { bootPages } from './boot-pages.ts';
import { mappedMachine, pageAddresses, WINDOW } from './mapped.ts';

const COMMON = { kind: 'time', direction: 'lower', engine: 'mitata', waits: false, inputs: ['mapped.ts'] } as const;
const LOOKUPS = 1000;
/** Pages so far apart share an entry of the first level. */
const CONFLICT = BigInt(TLB_ENTRIES * PAGE_SIZE);

/** Translates a list of addresses over and over, `LOOKUPS` a call. */
class Lookups {
  readonly machine: TestMachine;
  readonly #addresses: Int32Array;
  #at = 0;

  constructor(machine: TestMachine, addresses: Int32Array) {
    this.machine = machine;
    this.#addresses = addresses;
    this.run();
  }

  run(): number {
    const { mmu } = this.machine;
    const addresses = this.#addresses;
    // Names of the module's would be looked up for each.
    const access = Access.read;
    const lookups = LOOKUPS;
    const end = addresses.length;
    let sum = 0;
    let at = this.#at;
    for (let i = 0; i < lookups; i++) {
      sum = (sum + mmu.translate(addresses[at]!, addresses[at + 1]!, access, 1)) | 0;
      at += 2;
      if (at === end) at = 0;
    }
    this.#at = at;
    return sum;
  }
}

/** Reads 8 bytes from each page of a window in turn by generated code: ROUNDS times the pages a call. */
const INLINE_PAGES = 64;
const ROUNDS = 1000;

function inlineLoop(machine: TestMachine, bytes: number): () => number {
  const module = new ModuleBuilder();
  module.importMemory('env', 'memory', { initial: machine.memory.buffer.byteLength / 65536 });
  const fn = module.function('loop', [], [ValType.i32]);
  const address = fn.local(ValType.i64);
  const linear = fn.local(ValType.i32);
  const left = fn.local(ValType.i32);
  const sum = fn.local(ValType.i64);
  fn.i32Const(INLINE_PAGES * ROUNDS);
  fn.localSet(left);
  const end = fn.block();
  const loop = fn.loop();
  fn.i64Const(WINDOW);
  fn.localGet(left);
  fn.i32Const(INLINE_PAGES - 1);
  fn.op('i32.and');
  fn.op('i64.extend_i32_u');
  fn.i64Const(4096 + 64);
  fn.op('i64.mul');
  fn.op('i64.add');
  fn.localSet(address);
  probeTlb(fn, address, linear, { tag: TlbEntry.read, bytes, natural: false }, () => fn.brIf(end));
  fn.localGet(linear);
  fn.load('i64.load', { align: 1 });
  fn.localGet(sum);
  fn.op('i64.add');
  fn.localSet(sum);
  fn.localGet(left);
  fn.i32Const(1);
  fn.op('i32.sub');
  fn.localTee(left);
  fn.brIf(loop);
  fn.end(loop);
  fn.end(end);
  // How many were left when the probe failed: none.
  fn.localGet(left);
  module.exportFunction('loop', fn);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), {
    env: { memory: machine.memory },
  });
  return instance.exports['loop'] as () => number;
}

defineBench<() => number>({
  ...COMMON,
  id: 'memory/tlb/inline-hit',
  title: 'load 8 bytes by generated code, the first level probed inline, over 64 pages',
  unit: 'ns/access',
  target: { value: 2, from: 'issue 4' },
  setup: () => {
    const machine = mappedMachine({ pages: 2 * INLINE_PAGES });
    const addresses = pageAddresses(2 * INLINE_PAGES);
    for (let i = 0; i < addresses.length; i += 2) machine.mmu.read64(addresses[i]!, addresses[i + 1]!);
    assert.notEqual(new DataView(machine.memory.buffer).getInt32(STATE + StateOffset.dataTlb, true), 0);
    return inlineLoop(machine, 8);
  },
  work: (loop) => loop(),
  items: () => INLINE_PAGES * ROUNDS,
  check: (_, left) => assert.equal(left, 0),
});

defineBench<Lookups>({
  ...COMMON,
  id: 'memory/tlb/lookups',
  title: '1000 lookups by the host that the first level serves',
  unit: 'µs',
  target: { value: 5, from: 'issue 4' },
  setup: () => new Lookups(mappedMachine({ pages: 512 }), pageAddresses(512)),
  work: (lookups) => lookups.run(),
  check: ({ machine }) => assert.equal(machine.mmu.counters.l1Misses, 512),
});

for (const policy of REPLACEMENT_POLICIES) {
  defineBench<Lookups>({
    ...COMMON,
    id: `memory/tlb/second-level-hit/${policy}`,
    title: `a lookup that misses the first level and hits the second (${policy})`,
    unit: 'ns/lookup',
    target: { value: 20, from: 'issue 4' },
    setup: () =>
      new Lookups(
        mappedMachine({ pages: 2, stride: CONFLICT, l2: { sets: 512, ways: 4, policy } }),
        pageAddresses(2, CONFLICT),
      ),
    work: (lookups) => lookups.run(),
    items: () => LOOKUPS,
    check: ({ machine: { mmu } }) => {
      assert.equal(mmu.counters.walks, 2);
      assert.ok(mmu.counters.l1Misses >= LOOKUPS, 'the first level serves none of them');
      assert.equal(mmu.counters.l2Hits, mmu.counters.l1Misses - 2);
    },
  });
}

/** A second level of one entry: all that misses the first is walked. */
const NO_SECOND_LEVEL = { l2: { sets: 1, ways: 1, policy: 'lru' as const }, prefetch: false };
const FORMATS = [
  { name: 'sv39', levels: 3 },
  { name: 'sv48', levels: 4 },
  { name: 'sv57', levels: 5 },
];
const LEAVES = [
  { name: '4-kib', level: 0 },
  { name: '2-mib', level: 1 },
  { name: '1-gib', level: 2 },
];

for (const { name: format, levels } of FORMATS) {
  for (const { name: leaf, level } of LEAVES) {
    const size = 4096n << BigInt(9 * level);
    const stride = size < CONFLICT ? CONFLICT : size;
    defineBench<Lookups>({
      ...COMMON,
      id: `memory/tlb/walk/${format}/${leaf}`,
      title: `a miss of both levels: a walk of ${format} to a leaf of ${leaf.replace('-', ' ')}`,
      unit: 'ns/lookup',
      ...(format === 'sv39' ? { target: { value: 150, from: 'issue 4' } } : {}),
      setup: () =>
        new Lookups(mappedMachine({ pages: 8, levels, level, stride, ...NO_SECOND_LEVEL }), pageAddresses(8, stride)),
      work: (lookups) => lookups.run(),
      items: () => LOOKUPS,
      check: ({ machine: { mmu } }) => {
        assert.equal(mmu.counters.walks, mmu.counters.l1Misses);
        assert.ok(mmu.counters.walks >= LOOKUPS, 'the first level serves none of them');
        assert.equal(mmu.counters.walkSteps, mmu.counters.walks * (levels - level));
      },
    });
  }
}

/** Page numbers as programs ask for them: round and round, few often and many seldom, straight on. */
const TRACES: Readonly<Record<string, (i: number) => number>> = {
  loop: (i) => i % 2560,
  skewed: (i) => {
    // A xorshift of the index; the product of two uniform numbers favours small pages.
    let x = (i + 1) * 0x9e37_79b1;
    x ^= x >>> 15;
    x = Math.imul(x, 0x85eb_ca6b);
    x ^= x >>> 13;
    return Math.floor(((x >>> 16) / 65536) * ((x & 0xffff) / 65536) * 8192);
  },
  stream: (i) => i,
};
const TRACE_LENGTH = 50_000;

for (const [trace, pageAt] of Object.entries(TRACES)) {
  defineBench({
    id: `memory/tlb/policies/${trace}`,
    title: `hits of the second level (512 sets of 4) in ${TRACE_LENGTH} lookups, by policy: ${trace}`,
    unit: 'hits',
    kind: 'counter',
    direction: 'higher',
    engine: 'counters',
    counters: () =>
      byPolicy((policy) =>
        hitsOf(
          policy,
          512,
          Float64Array.from({ length: TRACE_LENGTH }, (_, i) => pageAt(i)),
        ),
      ),
  });
}

for (const sets of [32, 128, 512]) {
  defineBench({
    id: `memory/tlb/policies/boot-${4 * sets}-entries`,
    title: `hits of a second level of ${sets} sets of 4 in 100,000 lookups of a booting Linux, by policy`,
    unit: 'hits',
    kind: 'counter',
    direction: 'higher',
    engine: 'counters',
    inputs: ['boot-pages.ts', 'boot-pages.gz'],
    counters: () => {
      const pages = bootPages();
      return byPolicy((policy) => hitsOf(policy, sets, pages));
    },
  });
}

function byPolicy(count: (policy: ReplacementPolicy) => number): Record<string, number> {
  return Object.fromEntries(REPLACEMENT_POLICIES.map((policy) => [policy, count(policy)]));
}

function emptyMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: GUEST / 65536, maximum: GUEST / 65536 });
}

function hitsOf(policy: ReplacementPolicy, sets: number, pages: Float64Array): number {
  const l2 = new L2Tlb({ sets, ways: 4, policy }, emptyMemory());
  let hits = 0;
  for (const page of pages) {
    const low = (page % 2 ** 20) * 4096;
    const high = Math.floor(page / 2 ** 20);
    if (l2.find(low | 0, high, 1) >= 0) hits++;
    else l2.insert(low | 0, high, 1, 0xcf, 0, false, false);
  }
  return hits;
}

for (const prefetch of [true, false]) {
  const pages = 4096;
  defineBench({
    id: `memory/tlb/prefetch/${prefetch ? 'on' : 'off'}`,
    title: `walks for one pass over ${pages} pages, ${prefetch ? 'with' : 'without'} prefetch of the next page`,
    unit: 'walks',
    kind: 'counter',
    direction: 'lower',
    engine: 'counters',
    inputs: ['mapped.ts'],
    counters: () => {
      const { mmu } = mappedMachine({ pages, prefetch });
      const addresses = pageAddresses(pages);
      for (let i = 0; i < addresses.length; i += 2) mmu.read8(addresses[i]!, addresses[i + 1]!);
      const { walks, walkSteps, prefetchHits } = mmu.counters;
      return { walks, 'walk-steps': walkSteps, 'prefetch-hits': prefetchHits };
    },
  });
}

for (const prefetch of [true, false]) {
  defineBench({
    id: `memory/tlb/prefetch/boot-${prefetch ? 'on' : 'off'}`,
    title: `misses of a second level of 128 sets of 4 in 100,000 lookups of a booting Linux, ${prefetch ? 'with' : 'without'} prefetch of the next page`,
    unit: 'misses',
    kind: 'counter',
    direction: 'lower',
    engine: 'counters',
    inputs: ['boot-pages.ts', 'boot-pages.gz'],
    counters: () => prefetchOver(bootPages(), prefetch),
  });
}

/** What the MMU's prefetch does on a trace: a miss also enters the next page, if it is mapped: here, if it is ever asked for. */
function prefetchOver(pages: Float64Array, prefetch: boolean): Record<string, number> {
  const l2 = new L2Tlb({ sets: 128, ways: 4, policy: 'pseudo-lru' }, emptyMemory());
  const mapped = new Set(pages);
  const enter = (page: number, early: boolean): number =>
    l2.insert(((page % 2 ** 20) * 4096) | 0, Math.floor(page / 2 ** 20), 1, 0xcf, 0, false, early);
  let misses = 0;
  let prefetched = 0;
  let used = 0;
  for (const page of pages) {
    const entry = l2.find(((page % 2 ** 20) * 4096) | 0, Math.floor(page / 2 ** 20), 1);
    if (entry >= 0) {
      if (l2.takePrefetched(entry)) used++;
      continue;
    }
    misses++;
    enter(page, false);
    if (prefetch && mapped.has(page + 1) && enter(page + 1, true) >= 0) prefetched++;
  }
  return prefetch ? { misses, prefetched, 'prefetched-unused': prefetched - used } : { misses };
}
