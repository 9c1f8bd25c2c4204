import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  GUEST,
  PAGE_CACHE_SIZE,
  PAGE_CACHES,
  PAGE_CACHES_USED,
  PAGE_SIZE,
  TLB_CONTROL,
  TLB_WRITTEN_MOST,
  TlbControl,
} from '../layout/memory-map.ts';
import { L1Tlb, TlbContext } from './l1-tlb.ts';
import { Access } from './regime.ts';

const PAGE = 0x4_5000;

/** A TLB, and two page caches filled as regions do it. */
function filled() {
  const memory = new WebAssembly.Memory({ initial: (GUEST + 16 * PAGE_SIZE) / 65536 });
  const words = new Int32Array(memory.buffer);
  const tlb = new L1Tlb(memory);
  const caches = [PAGE_CACHES + 3 * PAGE_CACHE_SIZE, PAGE_CACHES + 700 * PAGE_CACHE_SIZE];
  caches.forEach((at, index) => {
    words.set([PAGE, 0, GUEST - PAGE], at / 4);
    words[PAGE_CACHES_USED / 4 + 1 + index] = at;
  });
  words[PAGE_CACHES_USED / 4] = caches.length;
  tlb.checkInvariants();
  return { tlb, isEmpty: () => caches.every((at) => words[at / 4] === -1) && words[PAGE_CACHES_USED / 4] === 0 };
}

const EMPTYING: Readonly<Record<string, (tlb: L1Tlb) => void>> = {
  'all tables are emptied': (tlb) => tlb.flushAll(),
  "user mode's table is emptied": (tlb) => tlb.flush(TlbContext.user),
  'user mode goes on in another address space': (tlb) => tlb.flushSpace(TlbContext.user),
  'any page of user mode is forgotten': (tlb) => tlb.flushPage(TlbContext.user, 0x7000, 0),
  'stores to a page are to be seen': (tlb) => tlb.protectWrites(GUEST),
};

for (const [what, act] of Object.entries(EMPTYING)) {
  test(`page caches are emptied when ${what}`, () => {
    const { tlb, isEmpty } = filled();
    act(tlb);
    assert.ok(isEmpty());
    tlb.checkInvariants();
  });
}

test("page caches stay when other modes' translations change", () => {
  const { tlb, isEmpty } = filled();
  tlb.flush(TlbContext.supervisor);
  tlb.flushPage(TlbContext.supervisor, PAGE, 0);
  tlb.fill(TlbContext.user, 0x9000, 0, GUEST + PAGE_SIZE, Access.read, 1);
  assert.equal(isEmpty(), false);
});

test('a page cache that nobody would empty is noticed', () => {
  const memory = new WebAssembly.Memory({ initial: (GUEST + 16 * PAGE_SIZE) / 65536 });
  const tlb = new L1Tlb(memory);
  new Int32Array(memory.buffer)[PAGE_CACHES / 4] = PAGE;
  assert.throws(() => tlb.checkInvariants(), /page cache/);
});

test('a page of 4 KiB is forgotten alone beside a hundred large ones, which go whole', () => {
  const memory = new WebAssembly.Memory({ initial: (GUEST + 16 * PAGE_SIZE) / 65536 });
  const tlb = new L1Tlb(memory);
  const context = TlbContext.supervisor;
  const [low, high] = [0x8000_0000 | 0, -1];
  const large = Array.from({ length: 100 }, (_, n) => (low + n * 2 ** 21) | 0);
  const isKnown = (at: number, atHigh = high) => tlb.probe(context, at, atHigh, Access.read) !== 0;
  const enter = () => {
    for (const at of large) tlb.fill(context, at, high, GUEST, Access.read, 512);
    // Below them, and at the address of one of them in another 4 GiB.
    tlb.fill(context, low - PAGE_SIZE, high, GUEST, Access.read, 1);
    tlb.fill(context, low + PAGE_SIZE, 0, GUEST, Access.read, 1);
  };
  enter();
  tlb.flushPage(context, low - PAGE_SIZE, high);
  tlb.flushPage(context, low + PAGE_SIZE, 0);
  assert.ok(large.every((at) => isKnown(at)));
  assert.ok(!isKnown(low - PAGE_SIZE) && !isKnown(low + PAGE_SIZE, 0));
  enter();
  // Another part of the last one.
  tlb.flushPage(context, large.at(-1)! + 0x1f_f000, high);
  assert.ok(!isKnown(large.at(-1)!));
  tlb.checkInvariants();
});

test('entries that are written again and again do not keep a table from being emptied one by one', () => {
  const memory = new WebAssembly.Memory({ initial: (GUEST + 16 * PAGE_SIZE) / 65536 });
  const words = new Int32Array(memory.buffer);
  const tlb = new L1Tlb(memory);
  const context = TlbContext.supervisor;
  const pages = Array.from({ length: 700 }, (_, n) => 0x4000_0000 + 3 * n * PAGE_SIZE);
  for (const page of pages) tlb.fill(context, page, 5, GUEST, Access.read, 1);
  for (let round = 0; round < 2 * TLB_WRITTEN_MOST; round++) {
    const page = pages[round % 2]!;
    tlb.flushPage(context, page, 5);
    tlb.fill(context, page, 5, GUEST, Access.read, 1);
  }
  const written = words[(TLB_CONTROL + TlbControl.writtenCounts) / 4 + context]!;
  assert.ok(written >= pages.length && written < 4 * pages.length, `${written} of ${pages.length} are remembered`);
  assert.ok(pages.every((page) => tlb.probe(context, page, 5, Access.read) !== 0));
  tlb.checkInvariants();
  // What is remembered is enough to find all entries of a page of RAM, and to empty the table.
  tlb.protectWrites(GUEST);
  tlb.flush(context);
  assert.ok(!pages.some((page) => tlb.probe(context, page, 5, Access.read) !== 0));
  tlb.checkInvariants();
});

/** Pages in turn global and not, and which of them a table knows. */
function mixed(count: number) {
  const memory = new WebAssembly.Memory({ initial: (GUEST + 16 * PAGE_SIZE) / 65536 });
  const tlb = new L1Tlb(memory);
  const context = TlbContext.supervisor;
  const pages = Array.from({ length: count }, (_, n) => n * PAGE_SIZE);
  const enter = (isGlobal: (n: number) => boolean) =>
    pages.forEach((page, n) => tlb.fill(context, page, 1, GUEST, Access.read, 1, isGlobal(n)));
  const known = () => pages.filter((page) => tlb.probe(context, page, 1, Access.read) !== 0);
  return { memory, tlb, context, pages, enter, known };
}

test('in another address space global pages are still known, and nothing else', () => {
  const { tlb, context, pages, enter, known } = mixed(1000);
  const isGlobal = (n: number) => n % 3 === 0;
  const globals = pages.filter((_, n) => isGlobal(n));
  for (let round = 0; round < 3; round++) {
    enter(isGlobal);
    assert.equal(known().length, pages.length);
    tlb.flushSpace(context);
    assert.deepEqual(known(), globals);
    tlb.checkInvariants();
  }
  // What was global once may be of one address space the next time, and the other way round.
  enter((n) => n % 2 === 0);
  tlb.flushSpace(context);
  assert.deepEqual(
    known(),
    pages.filter((_, n) => n % 2 === 0),
  );
  tlb.checkInvariants();
  tlb.flush(context);
  assert.deepEqual(known(), []);
});

test('a list that has become long is gone through for what is left, and one that was given up means the whole table', () => {
  const { memory, tlb, context, pages, enter, known } = mixed(900);
  const counts = new Int32Array(memory.buffer, TLB_CONTROL + TlbControl.writtenCounts, 4);
  for (let round = 0; round < 40; round++) {
    for (const page of pages) tlb.flushPage(context, page, 1);
    enter(() => true);
    tlb.flushSpace(context);
    assert.ok(counts[context]! < 4 * pages.length, `${counts[context]} remembered in round ${round}`);
    assert.equal(known().length, pages.length);
  }
  tlb.checkInvariants();
  while (counts[context]! < TLB_WRITTEN_MOST) enter(() => true);
  tlb.flushSpace(context);
  assert.deepEqual(known(), []);
  tlb.checkInvariants();
});
