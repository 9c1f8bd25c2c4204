import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import {
  GUEST,
  L2_TLB,
  TLB_CONTROL,
  TLB_CROWDED,
  TLB_WRITTEN,
  TLB_WRITTEN_MOST,
  TlbControl,
} from '../layout/memory-map.ts';
import { ALL_SPACES } from './forget-code.ts';
import { TlbContext } from './l1-tlb.ts';
import { L2_ABSENT, L2_REFUSED } from './l2-probe.ts';
import type { Mmu } from './mmu.ts';
import { Access, PrivilegeMode } from './regime.ts';
import { REPLACEMENT_POLICIES } from './replacement.ts';
import { halves, pointerTo, RAM, TestMachine } from './test-machine.ts';

const SIZE = 1 << 22;
const PAGES = SIZE / 4096;
const TABLES = 24;
const ACCESSES = [Access.read, Access.write, Access.execute] as const;
const CONTEXTS = [TlbContext.user, TlbContext.supervisor, TlbContext.supervisorUserMemory];
const MODES = [PrivilegeMode.user, PrivilegeMode.supervisor];
/** Indices that tables have entries at. */
const INDICES = [0, 1, 2, 3, 255, 256, 510, 511];
/** `LOOKUPS=1000000` for the long run. */
const LOOKUPS = Number(process.env['LOOKUPS'] ?? 40_000);

/** An entry for one of TABLES tables: those of the first third lead to each other and to the second, those to the last, and so on to pages. */
function randomPte(random: Random, table: number): bigint {
  const third = Math.floor((3 * table) / TABLES);
  if (third < 2 && random.chance(third === 0 ? 95 : 60)) {
    const to = random.chance(8) ? random.below(TABLES) : random.below(TABLES / 3) + (TABLES / 3) * (third + 1);
    return pointerTo(RAM + 4096 * to) | (random.chance(1) ? 1n << BigInt(random.below(64)) : 0n);
  }
  let pte = random.chance(92) ? 0xcfn : 0x01n;
  pte ^= (random.chance(40) ? 0x30n : 0n) & random.next();
  if (random.chance(15)) pte ^= random.next() & 0xfen;
  // Large ones of 2 MiB are RAM as a whole.
  const near = RAM / 4096 + random.pick([0, 0, 512, 1, 1024]);
  const page =
    third === 2 ? RAM / 4096 + TABLES + random.below(PAGES - TABLES) : random.pick([near, near, near, 0x40000, 0]);
  if (random.chance(3)) pte |= 1n << BigInt(54 + random.below(10));
  return pte | (BigInt(page) << 10n);
}

function randomPage(random: Random): bigint {
  let page = 0n;
  for (let level = 0; level < 5; level++) page = (page << 9n) | BigInt(random.pick(INDICES));
  return page;
}

/** All that JavaScript and generated code share of both levels but the counts, of which each has its own, and the first level's tables. */
function shared({ memory }: TestMachine): readonly Uint8Array[] {
  const bytes = new Uint8Array(memory.buffer);
  const { hits, uses, walks, root, fences } = TlbControl;
  const control = TLB_CONTROL;
  const counts = new Int32Array(memory.buffer, control + TlbControl.writtenCounts, CONTEXTS.length);
  const lists = CONTEXTS.map((table) => {
    const begin = TLB_WRITTEN + 4 * TLB_WRITTEN_MOST * table;
    return bytes.slice(begin, begin + 4 * Math.min(counts[table]!, TLB_WRITTEN_MOST - 1));
  });
  return [
    ...lists,
    bytes.slice(L2_TLB, TLB_WRITTEN),
    bytes.slice(control, control + hits),
    bytes.slice(control + uses, control + walks),
    bytes.slice(control + root, control + fences),
    bytes.slice(control + fences + 8, TLB_CROWDED + 16),
  ];
}

function outcome(mmu: Mmu, low: number, high: number, access: Access): readonly number[] {
  const linear = mmu.translate(low, high, access, 1);
  return linear === 0
    ? [0, mmu.faultKind, mmu.faultLow, mmu.faultHigh]
    : linear === 1
      ? [1, mmu.deviceAddress]
      : [linear];
}

/** `Mmu.fenceAddress`, which counts, and looks at both levels as a whole after each. */
function fence(mmu: Mmu, low: number, high: number, asid: number | undefined): void {
  if (mmu.forget(low, high, asid ?? ALL_SPACES) !== 0) return;
  mmu.l2.flushAddress(low, high, asid);
  if (asid === undefined || asid === mmu.regime.asid) for (const table of CONTEXTS) mmu.l1.flushPage(table, low, high);
}

for (const policy of REPLACEMENT_POLICIES) {
  test(`generated code walks as JavaScript does: results, counts, both levels, page tables (${policy})`, (context) => {
    const seed = testSeed();
    context.diagnostic(`SEED=${seed} LOOKUPS=${LOOKUPS}`);
    const random = new Random(seed);
    const options = { l2: { sets: 1 << random.below(7), ways: 1 << random.below(4), policy } };
    const [walked, plain] = [new TestMachine(SIZE, options), new TestMachine(SIZE, options)];
    const { serveMiss: serve, forget } = walked.mmu;
    let forgotten = 0;
    let served = 0;
    let left = 0;
    Object.assign(walked.mmu, {
      serveMiss: (low: number, high: number, access: Access) => {
        const linear = serve(low, high, access);
        if (linear === L2_ABSENT || linear === L2_REFUSED) left++;
        else served++;
        return linear;
      },
      forget: (low: number, high: number, asid: number) => {
        const done = forget(low, high, asid);
        forgotten += done;
        return done;
      },
    });
    // Refusal has JavaScript look for everything.
    Object.assign(plain.mmu, { serveMiss: () => L2_REFUSED, forget: () => 0 });
    const both = (act: (machine: TestMachine) => void): void => {
      act(walked);
      act(plain);
    };
    const pages = Array.from({ length: 100 }, () => randomPage(random));
    /** Some that something was found at: most others fault. */
    const found = pages.slice(0, 20);
    for (let step = 0; step < LOOKUPS; step++) {
      const what = `seed ${seed}, step ${step}, ${JSON.stringify(options)}`;
      if (step % 100 === 0) pages[random.below(pages.length)] = randomPage(random);
      if (step % 2000 === 0) {
        for (let table = 0; table < TABLES; table++)
          for (const index of INDICES) {
            const pte = randomPte(random, table);
            both((machine) => machine.writePte(RAM + 4096 * table + 8 * index, pte));
          }
      }
      if (random.chance(1)) {
        const regime = {
          levels: random.pick([0, 3, 3, 3, 3, 4, 4, 5, 5, 5]),
          rootPage: random.chance(97)
            ? RAM / 4096 + random.below(TABLES / 3)
            : random.below(2 ** 30) * random.below(2 ** 14),
          asid: random.below(3),
          makeExecutableReadable: random.chance(30),
          updateAccessedDirty: random.chance(30),
          pageMemoryTypes: random.chance(30),
        };
        both(({ mmu }) => Object.assign(mmu.regime, regime));
      }
      const privileges = {
        fetchPrivilege: random.pick(MODES),
        dataPrivilege: random.pick([...MODES, ...MODES, PrivilegeMode.machine]),
        supervisorUserMemory: random.chance(50),
      };
      both(({ mmu }) => {
        Object.assign(mmu.regime, privileges);
        mmu.regimeChanged();
      });
      const { levels } = walked.mmu.regime;
      let va = (random.pick(random.chance(70) ? found : pages) << 12n) | (random.next() & 0xfffn);
      va = BigInt.asUintN(64, BigInt.asIntN(12 + 9 * Math.max(levels, 3), va));
      if (random.chance(2)) va ^= 1n << BigInt(32 + random.below(32));
      const [low, high] = halves(va);
      if (random.chance(2)) both(({ mmu }) => mmu.l1.flushAll());
      if (random.chance(3)) {
        const asid = random.pick([undefined, 0, 1]);
        both(({ mmu }) => fence(mmu, low, high, asid));
      }
      if (random.chance(1)) {
        const linear = GUEST + 4096 * random.below(PAGES);
        const marks = random.chance(60);
        both(({ mmu }) => (marks ? mmu.protectCode(linear) : mmu.releaseCode(linear)));
      }
      if (random.below(300) === 0) {
        // A page, all below it, or nothing is closed to all but machine mode.
        const end = BigInt((RAM + random.pick([0, 0, 0, 0, 0, 0, 4096, 8192 + 4, 4096 * random.below(64)])) >>> 2);
        both(({ mmu }) => {
          mmu.pmp.configure([0x08, 0x1f], [end, (1n << 54n) - 1n]);
          mmu.protectionChanged();
        });
      }
      const access = random.pick(ACCESSES);
      const result = outcome(walked.mmu, low, high, access);
      assert.deepEqual(result, outcome(plain.mmu, low, high, access), what);
      if (result[0] !== 0) found[random.below(found.length)] = va >> 12n;
      for (const table of CONTEXTS)
        for (const kind of ACCESSES)
          assert.equal(walked.mmu.l1.probe(table, low, high, kind), plain.mmu.l1.probe(table, low, high, kind), what);
      if (step % 500 === 499) {
        assert.deepEqual({ ...walked.mmu.counters, fences: 0 }, { ...plain.mmu.counters, fences: 0 }, what);
        assert.deepEqual(shared(walked), shared(plain), what);
      }
    }
    assert.ok(Buffer.from(walked.ram.buffer).subarray(GUEST).equals(Buffer.from(plain.ram.buffer).subarray(GUEST)));
    both(({ mmu }) => mmu.checkInvariants());
    const { walks, l2Hits, pageFaults, accessFaults } = walked.mmu.counters;
    context.diagnostic(JSON.stringify({ served, left, forgotten, walks, l2Hits, pageFaults, accessFaults }));
    // Policies that draw numbers have only large pages served.
    const fewest = LOOKUPS / (policy === 'lru' || policy === 'pseudo-lru' ? 50 : 1000);
    assert.ok(forgotten > LOOKUPS / 1000, `${forgotten} fences`);
    assert.ok(served > fewest && left > LOOKUPS / 100, `${served} served, ${left} left`);
  });
}
