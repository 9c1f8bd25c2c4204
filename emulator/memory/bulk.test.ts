import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { FaultKind } from '../layout/state.ts';
import { PrivilegeMode } from './regime.ts';
import { halves, RAM, TestMachine } from './test-machine.ts';

const PAGE = 4096;
const SIZE = 4 << 20;
const ROOT = RAM + SIZE - PAGE;
/** Frames that pages are mapped to; tables lie above them. */
const FRAMES = 256;
const VA = 0x4000_0000n;
const ROUNDS = Number(process.env['ROUNDS'] ?? 50);

/** Two machines with the same memory and the same random pages from `va` on, most of them one after the other in RAM. */
function twins(random: Random, va: bigint, pages: number, prefetch: boolean): TestMachine[] {
  const flags: bigint[] = [];
  const frames: number[] = [];
  for (let page = 0; page < pages; page++) {
    // Accessed and dirty for both privileges, but here and there one bit is missing, or one is set that makes it another kind of leaf.
    const odd = random.chance(6) ? 1n << BigInt(random.pick([0, 1, 2, 4, 6, 7, 7, 7, 61, 62, 63])) : 0n;
    flags.push(0xdfn ^ odd);
    frames.push(page > 0 && random.chance(85) ? (frames[page - 1]! + 1) % FRAMES : random.below(FRAMES));
  }
  const inside = random.chance(30) ? random.below(FRAMES * 8) * 512 : undefined;
  const sum = random.chance(80);
  const mode = random.pick([PrivilegeMode.user, PrivilegeMode.supervisor]);
  const updates = random.chance(50);
  return [0, 1].map(() => {
    const machine = new TestMachine(SIZE, { prefetch, l2: { sets: 4, ways: 2, policy: 'lru' } });
    let next = ROOT;
    flags.forEach((bits, page) =>
      machine.map(3, ROOT, va + BigInt(page * PAGE), RAM + PAGE * frames[page]!, 0, bits, () => (next -= PAGE)),
    );
    for (let at = 0; at < FRAMES * PAGE; at += 8) machine.ram.setUint32(at, at * 0x9e3779b1, true);
    const { regime, pmp } = machine.mmu;
    regime.supervisorUserMemory = sum;
    regime.updateAccessedDirty = updates;
    // A boundary of protection within a page, above which all is permitted and below which nothing can be stored.
    if (inside !== undefined) pmp.configure([0x0d, 0x0f], [BigInt(RAM + inside) >> 2n, (1n << 54n) - 1n]);
    machine.usePageTable(3, ROOT, mode);
    machine.mmu.protectionChanged();
    return machine;
  });
}

test('a transfer of many pages does what one byte after the other does, page tables included', (t) => {
  const seed = testSeed();
  t.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  let whole = 0;
  let cut = 0;
  for (let round = 0; round < ROUNDS; round++) {
    // Windows that cross from one table of leaves to the next, and where the low half of the address wraps.
    const first = BigInt(random.pick([0, 500, 511]));
    const va = random.pick([0x4000_0000n, 0xffff_ffc0_ffe0_0000n, 0xffff_ffc1_0000_0000n - 0x20_0000n]) + first * 4096n;
    const pages = 1 + random.below(40);
    const [bulk, single] = twins(random, va, pages, random.chance(20)) as [TestMachine, TestMachine];
    const what = `seed ${seed}, round ${round}`;
    for (let transfer = 0; transfer < 3; transfer++) {
      const offset = random.below(PAGE);
      const length = random.below(pages * PAGE - offset) + 1;
      const buffer = new Uint8Array(length).map((_, i) => i * 7 + transfer);
      const start = va + BigInt(offset);
      const writes = random.chance(50);
      const done = writes
        ? bulk.mmu.writeBytes(...halves(start), buffer)
        : bulk.mmu.readBytes(...halves(start), buffer);
      let expected = 0;
      let status = 0;
      while (expected < length) {
        const at = halves(start + BigInt(expected));
        status = writes ? single.mmu.write8(...at, buffer[expected]!) : single.mmu.read8(...at);
        if (status !== 0) break;
        if (!writes) assert.equal(buffer[expected], single.mmu.low & 0xff, `${what}: byte ${expected}`);
        expected++;
      }
      assert.equal(done, expected, what);
      if (expected === length) whole++;
      else {
        cut++;
        const { faultKind, faultLow, faultHigh } = bulk.mmu;
        assert.deepEqual([faultKind, faultLow, faultHigh], [status, single.mmu.faultLow, single.mmu.faultHigh], what);
      }
      assert.ok(same(bulk, single), `${what}: memory differs`);
    }
  }
  assert.ok(whole > 15 && cut > 15, `${whole} whole, ${cut} cut short`);
});

/** The guest's memory is alike; the TLBs, which lie beside it, need not be. */
function same(a: TestMachine, b: TestMachine): boolean {
  const bytes = ({ ram }: TestMachine) => new Uint8Array(ram.buffer, ram.byteOffset, ram.byteLength);
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}

test('a transfer that misses both levels reads each leaf once and walks once a table', () => {
  const pages = 1024;
  const machine = new TestMachine(2 * SIZE + PAGE * 16, { l2: { sets: 1, ways: 1, policy: 'lru' } });
  const root = RAM + 2 * SIZE;
  let next = root;
  for (let page = 0; page < pages; page++)
    machine.map(3, root, 0x4000_0000n + BigInt(page * PAGE), RAM + page * PAGE, 0, 0xcfn, () => (next += PAGE));
  machine.usePageTable(3, root);
  assert.equal(machine.mmu.readBytes(...halves(0x4000_0000n), new Uint8Array(pages * PAGE)), pages * PAGE);
  const { walks, walkSteps } = machine.mmu.counters;
  assert.equal(walks, 2);
  assert.equal(walkSteps, pages + 4);
});

/** `pages` pages from VA on, mapped to one frame after the other from `frame` on. */
function straight(frame: number, pages: number): TestMachine {
  const machine = new TestMachine(SIZE);
  let next = ROOT;
  for (let page = 0; page < pages; page++) {
    const gpa = RAM + PAGE * (frame + page);
    machine.map(3, ROOT, VA + BigInt(PAGE * page), gpa, 0, 0xcfn, () => (next -= PAGE));
  }
  machine.usePageTable(3, ROOT, PrivilegeMode.supervisor);
  return machine;
}

test('a run of leaves ends where RAM ends', () => {
  const { mmu } = straight(SIZE / PAGE - 5, 20);
  assert.equal(mmu.readBytes(...halves(VA), new Uint8Array(20 * PAGE)), 5 * PAGE);
  assert.deepEqual([mmu.faultKind, mmu.faultLow], [FaultKind.load, Number(VA) + 5 * PAGE]);
});

test('a run of leaves ends where protection does', () => {
  const { mmu } = straight(10, 20);
  // Some pages are to be read only; the page tables are not among them.
  const boundary = (page: number): bigint => BigInt(RAM + page * PAGE) >> 2n;
  mmu.pmp.configure([0x0f, 0x09, 0x0f], [boundary(17), boundary(100), (1n << 54n) - 1n]);
  mmu.protectionChanged();
  assert.equal(mmu.writeBytes(...halves(VA), new Uint8Array(20 * PAGE).fill(1)), 7 * PAGE);
  assert.deepEqual([mmu.faultKind, mmu.faultLow], [FaultKind.store, Number(VA) + 7 * PAGE]);
  assert.equal(mmu.readBytes(...halves(VA), new Uint8Array(20 * PAGE)), 20 * PAGE);
});

test('a transfer that changes leaves follows them as they are then', () => {
  const machine = straight(10, 20);
  const table = ROOT - 2 * PAGE;
  // The first page is the table itself, whose other leaves the transfer makes ones that permit no stores.
  machine.ram.setBigUint64(table - RAM, (BigInt(table) >> 2n) | 0xcfn, true);
  const pages = new Uint8Array(20 * PAGE);
  pages.set(new Uint8Array(machine.ram.buffer, machine.ram.byteOffset + table - RAM, PAGE));
  for (let leaf = 1; leaf < 20; leaf++) pages[8 * leaf]! &= ~0x04;
  const { mmu } = machine;
  // What comes after the first page was known before it was written.
  assert.equal(mmu.writeBytes(...halves(VA), pages), 2 * PAGE);
  assert.deepEqual([mmu.faultKind, mmu.faultLow], [FaultKind.storePage, Number(VA) + 2 * PAGE]);
});
