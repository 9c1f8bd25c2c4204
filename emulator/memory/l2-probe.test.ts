import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import {
  GUEST,
  L2_TLB,
  PAGE_SIZE,
  PERMISSION,
  Permission,
  TLB,
  TLB_CONTROL,
  TLB_ENTRIES,
  TLB_WRITTEN,
  TLB_WRITTEN_MOST,
  TlbControl,
} from '../layout/memory-map.ts';
import { L1Tlb, TlbContext } from './l1-tlb.ts';
import { L2_ABSENT, L2_REFUSED, type L2Probe, missCode } from './l2-probe.ts';
import { L2Tlb, type L2TlbOptions, RIGHTS } from './l2-tlb.ts';
import { Access } from './regime.ts';
import { REPLACEMENT_POLICIES } from './replacement.ts';
import { Pte } from './sv.ts';

const GUEST_PAGES = 64;
const ALL = Access.read | Access.write | Access.execute;
const ACCESSES = [Access.read, Access.write, Access.execute] as const;
/** `PROBES=1000000` for the long run. */
const PROBES = Number(process.env['PROBES'] ?? 30_000);

/** Both levels in a memory of their own. */
class Levels {
  readonly memory = new WebAssembly.Memory({ initial: (GUEST + GUEST_PAGES * PAGE_SIZE) / 65536 });
  readonly words = new Int32Array(this.memory.buffer);
  readonly bytes = new Uint8Array(this.memory.buffer);
  readonly l1 = new L1Tlb(this.memory);
  readonly l2: L2Tlb;
  readonly probe: L2Probe;

  constructor(options: L2TlbOptions) {
    this.l2 = new L2Tlb(options, this.memory);
    this.probe = missCode(this.memory, options).probe;
  }

  get hits(): number {
    return new Float64Array(this.memory.buffer)[(TLB_CONTROL + TlbControl.hits) / 8]!;
  }

  /** All that the TLB keeps, the count of hits excepted, which JavaScript keeps for itself. */
  snapshot(): readonly Uint8Array[] {
    const hits = TLB_CONTROL + TlbControl.hits;
    return [this.bytes.slice(L2_TLB, hits), this.bytes.slice(hits + 8, hits + 64)];
  }
}

/** What `AddressTranslation` does in JavaScript for an access that the second level might serve. */
function lookUp(
  { l1, l2, bytes }: Levels,
  low: number,
  high: number,
  asid: number,
  context: TlbContext,
  access: Access,
): number {
  const entry = l2.find(low, high, asid);
  if (entry < 0) return L2_ABSENT;
  // Large pages are no concern of the probe's.
  if (l2.levelOf(entry) > 0) return L2_ABSENT;
  const linear = l2.linearOf(entry);
  let allowed = (l2.rightsOf(entry) >>> (RIGHTS * context)) & ALL;
  if ((bytes[PERMISSION + (linear - GUEST) / PAGE_SIZE]! & Permission.code) !== 0) allowed &= ~Access.write;
  if (l2.isContiguous(entry) || linear === 0 || (allowed & access) === 0) return L2_REFUSED;
  l1.fill(context, low, high, linear, allowed, 1, l2.isGlobal(entry));
  return linear + (low & (PAGE_SIZE - 1));
}

for (const policy of REPLACEMENT_POLICIES) {
  test(`the probe does what JavaScript does: results, both levels, and ages (${policy})`, (context) => {
    const seed = testSeed();
    context.diagnostic(`SEED=${seed} PROBES=${PROBES}`);
    const random = new Random(seed);
    const options = { sets: 1 << random.below(4), ways: 1 << random.below(4), policy };
    const [probed, plain] = [new Levels(options), new Levels(options)];
    const both = (act: (levels: Levels) => void): void => {
      act(probed);
      act(plain);
    };
    const pages = Array.from({ length: 40 }, () => [
      random.pick([0, 1, 7, 8, 9, 65536, -1, -8]),
      random.pick([0, 1, -1, 1 << 20]),
    ]);
    const contexts = [TlbContext.user, TlbContext.supervisor, TlbContext.supervisorUserMemory, TlbContext.machine];
    const seen = { served: 0, absent: 0, refused: 0 };
    let asid = 0;
    for (let step = 0; step < PROBES; step++) {
      const [number, high] = random.pick(pages) as [number, number];
      const low = (number << 12) | random.below(PAGE_SIZE);
      const what = `seed ${seed}, step ${step}`;
      if (random.chance(20)) {
        const level = random.pick([0, 0, 0, 0, 0, 0, 1, 2]);
        const owner = random.pick([0, 1, 0xffff]);
        // A page that is global in one address space is in all.
        const flags = Pte.valid | (high === 1 ? Pte.global : 0);
        const contiguous = level === 0 && random.chance(10);
        const linear = random.chance(10) ? 0 : GUEST + PAGE_SIZE * random.below(GUEST_PAGES);
        const rights = random.below(512);
        both(({ l2 }) => {
          const entry = l2.insert(low, high, owner, flags, level, contiguous, false);
          l2.describe(entry, step, linear, rights);
        });
      }
      const fenced = random.pick([undefined, 1]);
      if (random.chance(2)) both(({ l2 }) => l2.flushAddress(low, high, fenced));
      if (random.chance(1)) {
        const code = PERMISSION + random.below(GUEST_PAGES);
        both(({ bytes }) => (bytes[code]! ^= Permission.code));
      }
      if (random.chance(1)) both(({ l1 }) => l1.flush(TlbContext.user));
      if (random.chance(5)) asid = random.pick([0, 1, 0xffff]);
      both((levels) => levels.l2.select(asid));
      const table = random.pick(contexts);
      both(({ l1 }) => l1.select(table, table));
      const access = random.pick(ACCESSES);
      const hits = probed.hits;
      const expected = lookUp(plain, low, high, asid, table, access);
      const actual = probed.probe(low, high, access);
      assert.equal(actual, expected, what);
      seen[actual === L2_ABSENT ? 'absent' : actual === L2_REFUSED ? 'refused' : 'served']++;
      // JavaScript looks again where the probe has refused, and only then is told what was used and what was missed.
      if (actual === L2_REFUSED) probed.l2.find(low, high, asid);
      else if (actual === L2_ABSENT) probed.l2.findLarge(low, high, asid);
      assert.equal(probed.hits - hits, actual === L2_ABSENT || actual === L2_REFUSED ? 0 : 1, what);
      for (const kind of ACCESSES)
        assert.equal(probed.l1.probe(table, low, high, kind), plain.l1.probe(table, low, high, kind), what);
      if (step % 1000 === 0) assert.deepEqual(probed.snapshot(), plain.snapshot(), what);
    }
    assert.deepEqual(probed.snapshot(), plain.snapshot());
    probed.l1.checkInvariants();
    probed.l2.checkInvariants();
    assert.ok(
      Object.values(seen).every((count) => count > PROBES / 200),
      JSON.stringify(seen),
    );
  });
}

test('pages that the probe has entered are forgotten with their table, few or many', () => {
  const levels = new Levels({ sets: 1, ways: 1, policy: 'random' });
  const { l1, l2, words } = levels;
  l1.select(TlbContext.user, TlbContext.user);
  const count = (TLB_CONTROL + TlbControl.writtenCounts) / 4;
  for (const many of [1, 5, TLB_WRITTEN_MOST - 1, TLB_WRITTEN_MOST, TLB_WRITTEN_MOST + 7]) {
    for (let page = 0; page < many; page++) {
      const low = page << 12;
      l2.describe(l2.insert(low, 0, 0, Pte.valid, 0, false, false), 0, GUEST, ALL);
      assert.equal(levels.probe(low, 0, Access.read), GUEST);
    }
    assert.equal(words[count], Math.min(many, TLB_WRITTEN_MOST));
    l1.flush(TlbContext.user);
    for (let at = TLB / 4; at < TLB / 4 + TLB_ENTRIES * 8; at += 8)
      assert.ok(words[at] === -1 || (words[at] === 0 && words[at + 1] === 0));
    assert.equal(l1.probe(TlbContext.user, 0, 0, Access.read), 0);
  }
  assert.equal(words[TLB_WRITTEN / 4 + TLB_WRITTEN_MOST], 0, 'nothing was noted beyond the list');
});

test('what the guest has prefetched or marked as code, or what is not RAM, is left to JavaScript', () => {
  const levels = new Levels({ sets: 4, ways: 2, policy: 'pseudo-lru' });
  const { l1, l2, bytes } = levels;
  l1.select(TlbContext.supervisor, TlbContext.supervisor);
  const enter = (page: number, prefetched: boolean, linear: number): number => {
    const entry = l2.insert(page << 12, 0, 0, Pte.valid, 0, false, prefetched);
    l2.describe(entry, page, linear, ALL << RIGHTS);
    return entry;
  };
  const entry = enter(1, true, GUEST);
  assert.equal(levels.probe(1 << 12, 0, Access.read), L2_REFUSED);
  assert.ok(l2.takePrefetched(entry));
  assert.equal(levels.probe(1 << 12, 0, Access.read), GUEST);
  enter(2, false, 0);
  assert.equal(levels.probe(2 << 12, 0, Access.read), L2_REFUSED);
  bytes[PERMISSION] = Permission.code;
  assert.equal(levels.probe(1 << 12, 0, Access.write), L2_REFUSED);
  assert.equal(levels.probe(1 << 12, 0, Access.execute), GUEST);
  assert.equal(l1.probe(TlbContext.supervisor, 1 << 12, 0, Access.write), 0, 'stores to code are reported');
  l1.select(TlbContext.machine, TlbContext.machine);
  assert.equal(levels.probe(1 << 12, 0, Access.read), L2_REFUSED, 'machine mode is not translated');
  l2.flushAll();
  assert.equal(levels.probe(-4096, -1, Access.read), L2_ABSENT, 'nothing is found in an empty TLB');
  assert.equal(levels.probe(0, 0, Access.read), L2_ABSENT, 'nor at address 0, whose tag empty entries have');
});
