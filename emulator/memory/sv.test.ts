import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { OpenRam } from './open-ram.ts';
import { walkByTheBook, type OracleOutcome } from './page-table-oracle.ts';
import { Access, bareRegime, PrivilegeMode, type Regime } from './regime.ts';
import { SvWalker, Walk } from './sv.ts';
import { halves, pointerTo, RAM, TestMachine } from './test-machine.ts';

const SIZE = 1 << 20;
const PAGES = SIZE / 4096;
/** `WALKS=1000000` for the long run. */
const WALKS = Number(process.env['WALKS'] ?? 60_000);
const PER_TABLE = 500;

function readRam(machine: TestMachine): (gpa: bigint) => bigint | undefined {
  return (gpa) =>
    gpa >= BigInt(RAM) && gpa + 8n <= BigInt(RAM + SIZE)
      ? machine.ram.getBigUint64(Number(gpa) - RAM, true)
      : undefined;
}

function randomPte(random: Random): bigint {
  const roll = random.below(100);
  if (roll < 50) return pointerTo(RAM + 4096 * random.below(PAGES));
  let pte = BigInt(random.below(1024)) | 1n;
  if (random.chance(75)) pte |= 0xcfn;
  let page = BigInt(RAM / 4096 + random.below(PAGES));
  if (random.chance(65)) page = 0x80000n & ~((1n << BigInt(9 * random.below(3))) - 1n);
  if (random.chance(10)) page = 0n;
  if (random.chance(3)) page = random.next() & ((1n << 44n) - 1n);
  if (random.chance(8)) {
    pte |= 1n << 63n;
    if (random.chance(70)) page = (page & ~15n) | 8n;
  }
  if (random.chance(6)) pte |= BigInt(random.below(4)) << 61n;
  if (random.chance(1)) pte |= 1n << BigInt(54 + random.below(7));
  if (random.chance(5)) pte = BigInt(random.below(1024));
  return pte | (page << 10n);
}

function describeOutcome(walker: SvWalker, status: Walk, va: bigint): OracleOutcome {
  if (status === Walk.pageFault) return { kind: 'page fault' };
  if (status === Walk.accessFault) return { kind: 'access fault' };
  return { kind: 'translated', gpa: BigInt(walker.page) * 4096n + (va & 4095n) };
}

function walkerOf({ memory, bus, mmu: { pmp } }: TestMachine): SvWalker {
  return new SvWalker(memory, bus, pmp, new OpenRam(memory, bus, pmp));
}

test('random page tables are walked as the specification says', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed} WALKS=${WALKS}`);
  const random = new Random(seed);
  const machine = new TestMachine(SIZE);
  const walker = walkerOf(machine);
  const read = readRam(machine);
  const seen = { translated: 0, 'page fault': 0, 'access fault': 0, updates: 0, served: 0, servedUpdates: 0 };
  const levelsSeen = new Set<string>();
  for (let done = 0; done < WALKS; done++) {
    if (done % PER_TABLE === 0) {
      for (let at = 0; at < SIZE; at += 8) {
        // Most of a table is the same few entries: with all of them drawn, filling would take longer than walking.
        if (at % 4096 < 64 || at % 4096 >= 4032 || done === 0) machine.ram.setBigUint64(at, randomPte(random), true);
      }
    }
    const levels = random.pick([3, 4, 5]);
    const regime: Regime = {
      ...bareRegime(),
      levels,
      rootPage: random.chance(98) ? RAM / 4096 + random.below(PAGES) : Number(random.next() & 0xfff_ffff_ffffn),
      supervisorUserMemory: random.chance(50),
      makeExecutableReadable: random.chance(50),
      updateAccessedDirty: random.chance(70),
      pageMemoryTypes: random.chance(50),
    };
    let va = 0n;
    for (let level = 0; level < levels; level++) {
      const index = random.chance(80) ? random.pick([0, 1, 2, 3, 4, 5, 6, 7, 504, 505, 510, 511]) : random.below(512);
      va = (va << 9n) | BigInt(index);
    }
    va = BigInt.asUintN(64, BigInt.asIntN(12 + 9 * levels, (va << 12n) | BigInt(random.below(4096))));
    if (random.chance(3)) va ^= 1n << BigInt(32 + random.below(32));
    const access = random.pick([Access.read, Access.write, Access.execute]);
    const userMode = random.chance(50);
    const expected = walkByTheBook(
      va,
      access === Access.read ? 'r' : access === Access.write ? 'w' : 'x',
      userMode,
      {
        levels,
        root: BigInt(regime.rootPage),
        sum: regime.supervisorUserMemory,
        mxr: regime.makeExecutableReadable,
        adue: regime.updateAccessedDirty,
        pbmte: regime.pageMemoryTypes,
      },
      read,
    );
    const privilege = userMode ? PrivilegeMode.user : PrivilegeMode.supervisor;
    // Whichever comes first may set accessed and dirty bits.
    const early = random.chance(50) ? machine.serveAfresh(va, access, privilege, regime) : undefined;
    if (early !== undefined && expected.kind === 'translated' && expected.update !== undefined) {
      assert.equal(read(expected.update.gpa), expected.update.pte, `generated code, seed ${seed}, walk ${done}`);
      seen.servedUpdates++;
    }
    const status = walker.walk(...halves(va), access, privilege, regime);
    const served = early ?? machine.serveAfresh(va, access, privilege, regime);
    const what = `seed ${seed}, walk ${done}, va 0x${va.toString(16)}, levels ${levels}, access ${access}`;
    const { update, ...outcome } = expected as Extract<OracleOutcome, { kind: 'translated' }>;
    assert.deepEqual(describeOutcome(walker, status, va), outcome, what);
    if (update !== undefined) {
      assert.equal(read(update.gpa), update.pte, `accessed and dirty bits, ${what}`);
      seen.updates++;
    }
    if (served !== undefined) {
      assert.deepEqual(outcome, { kind: 'translated', gpa: BigInt(served) }, `generated code, ${what}`);
      seen.served++;
    }
    seen[outcome.kind]++;
    if (outcome.kind === 'translated') levelsSeen.add(`${levels}/${walker.level}${walker.contiguous ? 'n' : ''}`);
  }
  context.diagnostic(`${JSON.stringify(seen)} leaves ${[...levelsSeen].sort().join(' ')}`);
  assert.ok(
    seen.translated > WALKS / 50 &&
      seen['access fault'] > WALKS / 200 &&
      seen.updates > WALKS / 200 &&
      seen.served > WALKS / 100 &&
      seen.servedUpdates > WALKS / 4000,
  );
  for (const leaf of ['3/0', '3/1', '3/2', '3/0n', '4/3', '5/4', '5/0']) assert.ok(levelsSeen.has(leaf), leaf);
});

const LEAF = 0xcfn;

function walkOne(
  build: (machine: TestMachine) => void,
  va: bigint,
  options: Partial<Regime> = {},
  access: Access = Access.read,
): Walk {
  const machine = new TestMachine(1 << 16);
  build(machine);
  const walker = walkerOf(machine);
  const regime = { ...bareRegime(), levels: 3, rootPage: RAM / 4096, ...options };
  const before = Buffer.from(machine.ram.buffer, machine.ram.byteOffset, machine.ram.byteLength);
  const copy = Buffer.from(before);
  const status = walker.walk(...halves(va), access, PrivilegeMode.supervisor, regime);
  assert.ok(walker.steps <= 5, 'a walk ends');
  assert.ok(before.equals(copy), 'nothing is written');
  return status;
}

test('hostile page tables end in faults', () => {
  const loop = (machine: TestMachine): void => machine.writePte(RAM, pointerTo(RAM));
  assert.equal(walkOne(loop, 0n), Walk.pageFault, 'a table that points to itself');
  assert.equal(walkOne(loop, 0n, { levels: 5 }), Walk.pageFault, 'the same with five levels');
  assert.equal(
    walkOne(() => {}, 0n, { rootPage: 0 }),
    Walk.accessFault,
    'a root outside RAM',
  );
  assert.equal(
    walkOne(() => {}, 0n, { rootPage: 2 ** 44 - 1 }),
    Walk.accessFault,
    'a root at the end of physical memory',
  );
  const beyond = (machine: TestMachine): void => machine.writePte(RAM, pointerTo(RAM + 65536));
  assert.equal(walkOne(beyond, 0n), Walk.accessFault, 'a table just past RAM');
  const huge = (machine: TestMachine): void => machine.writePte(RAM, (((1n << 44n) - 1n) << 10n) | 1n);
  assert.equal(walkOne(huge, 0n), Walk.accessFault, 'a table at the highest page');
  const crooked = (machine: TestMachine): void => machine.writePte(RAM, (0x80001n << 10n) | LEAF);
  assert.equal(walkOne(crooked, 0n), Walk.pageFault, 'a gigapage that does not begin where one can');
  for (const va of [1n << 38n, 1n << 63n, 0xffff_ff80_0000_0000n ^ (1n << 50n)]) {
    assert.equal(walkOne(loop, va), Walk.pageFault, `0x${va.toString(16)} is no Sv39 address`);
  }
});

test('each reserved bit of an entry faults', () => {
  const leafAt = (extra: bigint) => (machine: TestMachine) => machine.writePte(RAM, (0x80000n << 10n) | LEAF | extra);
  assert.equal(walkOne(leafAt(0n), 0n), Walk.done);
  for (let bit = 54n; bit <= 60n; bit++) assert.equal(walkOne(leafAt(1n << bit), 0n), Walk.pageFault, `bit ${bit}`);
  assert.equal(walkOne(leafAt(1n << 61n), 0n), Walk.pageFault, 'a memory type without Svpbmt');
  assert.equal(walkOne(leafAt(1n << 61n), 0n, { pageMemoryTypes: true }), Walk.done);
  assert.equal(walkOne(leafAt(3n << 61n), 0n, { pageMemoryTypes: true }), Walk.pageFault, 'the reserved memory type');
  assert.equal(walkOne(leafAt(1n << 63n), 0n), Walk.pageFault, 'a contiguous gigapage');
  for (const bit of [4n, 6n, 7n, 61n, 63n]) {
    const pointer = (machine: TestMachine) => {
      machine.writePte(RAM, pointerTo(RAM + 4096) | (1n << bit));
      machine.writePte(RAM + 4096, (0x80000n << 10n) | LEAF);
    };
    assert.equal(walkOne(pointer, 0n, { pageMemoryTypes: true }), Walk.pageFault, `bit ${bit} of a pointer`);
  }
  const writeOnly = (machine: TestMachine) => machine.writePte(RAM, (0x80000n << 10n) | 0xc5n);
  assert.equal(walkOne(writeOnly, 0n), Walk.pageFault, 'writable but not readable');
});

test('accessed and dirty bits are written only where supervisor mode may write', () => {
  const machine = new TestMachine(1 << 16);
  machine.writePte(RAM, (0x80000n << 10n) | 0xfn);
  // The table's page may be read only: one entry for it, one for all the rest.
  machine.mmu.pmp.configure([0x19, 0x1f], [BigInt((RAM >>> 2) | 0x1ff), (1n << 54n) - 1n]);
  const walker = walkerOf(machine);
  const regime = { ...bareRegime(), levels: 3, rootPage: RAM / 4096, updateAccessedDirty: true };
  assert.equal(walker.walk(0, 0, Access.read, PrivilegeMode.supervisor, regime), Walk.accessFault);
  assert.equal(machine.readPte(RAM), (0x80000n << 10n) | 0xfn);
  machine.openProtection();
  assert.equal(walker.walk(0, 0, Access.read, PrivilegeMode.supervisor, regime), Walk.done);
  assert.equal(machine.readPte(RAM), (0x80000n << 10n) | 0x4fn);
  assert.equal(walker.walk(0, 0, Access.write, PrivilegeMode.supervisor, regime), Walk.done);
  assert.equal(machine.readPte(RAM), (0x80000n << 10n) | 0xcfn);
});
