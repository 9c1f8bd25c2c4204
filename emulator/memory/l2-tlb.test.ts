import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../check/errors.ts';
import { GUEST } from '../layout/memory-map.ts';
import { L2Tlb } from './l2-tlb.ts';
import { createReplacement, REPLACEMENT_POLICIES, type ReplacementPolicy } from './replacement.ts';

const FLAGS = 0xcf;
/** Only one TLB is in use at a time. */
const memory = new WebAssembly.Memory({ initial: GUEST / 65536, maximum: GUEST / 65536 });

function tlb(policy: ReplacementPolicy, sets = 1, ways = 4): L2Tlb {
  return new L2Tlb({ sets, ways, policy }, memory);
}

function enter(l2: L2Tlb, page: number, asid = 1): void {
  l2.insert(page << 12, 0, asid, FLAGS, 0, false, false);
}

function holds(l2: L2Tlb, page: number, asid = 1): boolean {
  return l2.find(page << 12, 0, asid) >= 0;
}

/** Hits of a sequence of pages that are entered when they miss. */
function hits(l2: L2Tlb, pages: Iterable<number>): number {
  let count = 0;
  for (const page of pages) {
    if (holds(l2, page)) count++;
    else enter(l2, page);
  }
  l2.checkInvariants();
  return count;
}

function* loop(length: number, rounds: number): Generator<number> {
  for (let round = 0; round < rounds; round++) for (let page = 0; page < length; page++) yield page;
}

test('the least recently used page goes', () => {
  const l2 = tlb('lru');
  for (const page of [1, 2, 3, 4]) enter(l2, page);
  assert.ok(holds(l2, 1));
  enter(l2, 5);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((page) => holds(l2, page)),
    [true, false, true, true, true],
  );
});

test('pseudo-LRU never lets the page used last go, and takes all ways in turn', () => {
  const replacement = createReplacement('pseudo-lru', 2, 8, 1, memory);
  const victims = new Set<number>();
  let last = -1;
  for (let i = 0; i < 8; i++) {
    const victim = replacement.victim(1);
    assert.notEqual(victim, last);
    victims.add(victim);
    replacement.entered(1, (last = victim));
  }
  assert.equal(victims.size, 8);
});

test('random replacement takes every way about as often, and the same ones for the same seed', () => {
  const draw = (seed: number): number[] => {
    const replacement = createReplacement('random', 1, 4, seed, memory);
    return Array.from({ length: 4000 }, () => replacement.victim(0));
  };
  const counts = [0, 0, 0, 0];
  for (const way of draw(7)) counts[way]!++;
  assert.ok(
    counts.every((count) => count > 850 && count < 1150),
    String(counts),
  );
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
});

test('a loop over a little more than fits: adaptive keeps part of it, LRU none; a loop that fits stays', () => {
  const [sets, ways] = [64, 4];
  const pages = (sets * ways * 5) / 4;
  const rounds = 40;
  assert.equal(hits(tlb('lru', sets, ways), loop(pages, rounds)), 0);
  const adaptive = hits(tlb('adaptive', sets, ways), loop(pages, rounds));
  assert.ok(adaptive > (pages * rounds) / 3, `${adaptive} of ${pages * rounds}`);
  for (const policy of REPLACEMENT_POLICIES) {
    const fits = sets * ways;
    const count = hits(tlb(policy, sets, ways), loop(fits, rounds));
    assert.equal(count, fits * (rounds - 1), `${policy}: everything hits after the first round`);
  }
});

test('entries belong to their address space, unless global', () => {
  const l2 = tlb('lru', 4, 4);
  enter(l2, 1, 1);
  l2.insert(2 << 12, 0, 1, FLAGS | 0x20, 0, false, false);
  assert.deepEqual([holds(l2, 1, 1), holds(l2, 1, 2), holds(l2, 2, 2)], [true, false, true]);
  l2.flushAsid(1);
  assert.deepEqual([holds(l2, 1, 1), holds(l2, 2, 1)], [false, true]);
  l2.flushAll();
  assert.equal(l2.size, 0);
});

test('a large page is one entry, found at all its addresses and nowhere else', () => {
  const l2 = tlb('lru', 8, 4);
  l2.insert(0x4000_0000, 0, 1, FLAGS, 2, false, false);
  l2.insert(0x20_0000, -1, 1, FLAGS, 1, false, false);
  l2.insert(0, 0x180, 1, FLAGS, 3, false, false);
  l2.insert(0, 0x10000, 1, FLAGS, 4, false, false);
  assert.equal(l2.size, 4);
  for (const [low, high, level] of [
    [0x7fff_ffff, 0, 2],
    [0x4000_0000, 0, 2],
    [0x3f_ffff, -1, 1],
    [-1, 0x1ff, 3],
    [-1, 0x1ffff, 4],
  ] as const) {
    const entry = l2.find(low, high, 1);
    assert.ok(entry >= 0, `${low} ${high}`);
    assert.equal(l2.levelOf(entry), level);
  }
  for (const [low, high] of [
    [0x8000_0000 | 0, 0],
    [0x3fff_ffff, 0],
    [0x40_0000, -1],
    [0x20_0000, 0],
    [0, 0x200],
    [0, 0x20000],
  ] as const) {
    assert.equal(l2.find(low, high, 1), -1, `${low} ${high}`);
  }
  l2.flushAddress(0x5000_0000, 0, 1);
  assert.equal(l2.find(0x4000_0000, 0, 1), -1);
  assert.equal(l2.size, 3);
  l2.checkInvariants();
});

test('a fence for an address leaves its neighbours, unless they are one 64 KiB range', () => {
  const l2 = tlb('lru', 16, 4);
  for (const page of [16, 17, 18]) enter(l2, page);
  l2.flushAddress(17 << 12, 0, 1);
  assert.deepEqual(
    [16, 17, 18].map((page) => holds(l2, page)),
    [true, false, true],
  );
  l2.insert(19 << 12, 0, 1, FLAGS, 0, true, false);
  l2.flushAddress(18 << 12, 0, 1);
  assert.deepEqual(
    [16, 18, 19].map((page) => holds(l2, page)),
    [true, false, false],
  );
});

test('a prefetched page is told apart when it is first used', () => {
  const l2 = tlb('lru');
  const entry = l2.insert(1 << 12, 0, 1, FLAGS, 0, false, true);
  assert.equal(l2.find(1 << 12, 0, 1), entry);
  assert.equal(l2.takePrefetched(entry), true);
  assert.equal(l2.takePrefetched(entry), false);
  assert.equal(l2.insert(1 << 12, 0, 1, FLAGS, 0, false, true), -1, 'what is known is not prefetched');
});

test('sizes that are no powers of two are refused', () => {
  for (const [sets, ways] of [
    [3, 4],
    [0, 4],
    [4, 32],
    [4, 0.5],
    [131072, 1],
  ] as const) {
    assert.throws(() => new L2Tlb({ sets, ways, policy: 'lru' }, memory), ConfigError);
  }
});
