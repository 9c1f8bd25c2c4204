import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { GUEST, PERMISSION, Permission, STATE } from '../layout/memory-map.ts';
import { FaultKind, StateOffset } from '../layout/state.ts';
import type { MmioDevice } from './mmio.ts';
import { type Mmu, WITHHELD } from './mmu.ts';
import { walkUnder } from './page-table-oracle.ts';
import { Access, PrivilegeMode } from './regime.ts';
import { REPLACEMENT_POLICIES } from './replacement.ts';
import { halves, RAM, TestMachine } from './test-machine.ts';
import { TRANSLATION_FAULT } from './translation.ts';

const { user, supervisor, machine: machineMode } = PrivilegeMode;
const LEAF = 0xcfn;
const USER_LEAF = 0xdfn;

/** Sv39 with page n of a window at `va` mapped to the n-th of `frames`. The root is the last page of RAM, tables come below it. */
function mapped(size: number, va: bigint, frames: readonly number[], flags = LEAF): TestMachine {
  const machine = new TestMachine(size);
  const root = RAM + size - 4096;
  let next = root;
  frames.forEach((gpa, i) => machine.map(3, root, va + 4096n * BigInt(i), gpa, 0, flags, () => (next -= 4096)));
  machine.usePageTable(3, root);
  return machine;
}

function read(mmu: Mmu, va: bigint, bytes: number): bigint | { fault: number; at: bigint } {
  const words = new Int32Array(4);
  const [low, high] = halves(va);
  const status =
    bytes === 1
      ? mmu.read8(low, high)
      : bytes === 2
        ? mmu.read16(low, high)
        : bytes === 4
          ? mmu.read32(low, high)
          : bytes === 8
            ? mmu.read64(low, high)
            : mmu.read128(low, high, words, 0);
  if (status !== 0) return faultOf(mmu, status);
  if (bytes < 16) words.set([mmu.low, mmu.high]);
  return words.reduceRight((value, word) => (value << 32n) | BigInt(word >>> 0), 0n);
}

function write(mmu: Mmu, va: bigint, bytes: number, value: bigint): undefined | { fault: number; at: bigint } {
  const [low, high] = halves(va);
  const words = Int32Array.from({ length: 4 }, (_, i) => Number(BigInt.asIntN(32, value >> BigInt(32 * i))));
  const status =
    bytes === 1
      ? mmu.write8(low, high, words[0]!)
      : bytes === 2
        ? mmu.write16(low, high, words[0]!)
        : bytes === 4
          ? mmu.write32(low, high, words[0]!)
          : bytes === 8
            ? mmu.write64(low, high, words[0]!, words[1]!)
            : mmu.write128(low, high, words, 0);
  return status === 0 ? undefined : faultOf(mmu, status);
}

function faultOf(mmu: Mmu, status: number): { fault: number; at: bigint } {
  assert.equal(mmu.faultKind, status);
  return { fault: status, at: (BigInt(mmu.faultHigh >>> 0) << 32n) | BigInt(mmu.faultLow >>> 0) };
}

test('reads and writes of every width, aligned or not, within pages and across them, agree with plain bytes', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const size = 1 << 18;
  const window = 0xffff_ffc0_1234_0000n;
  const frames = [7, 3, 9, 1, 30, 31, 2].map((page) => RAM + 4096 * page);
  const machine = mapped(size, window, frames);
  const model = new Uint8Array(frames.length * 4096);
  const { mmu } = machine;
  for (let i = 0; i < 20_000; i++) {
    const bytes = random.pick([1, 2, 4, 8, 16]);
    const page = random.below(frames.length);
    const offset = random.chance(50)
      ? random.pick([0, 8, 4096 - 16, 4096 - 8, 4095, 4093, 4090, 1])
      : random.below(4096);
    const at = Math.min(page * 4096 + offset, model.length - bytes);
    const va = window + BigInt(at);
    if (random.chance(50)) {
      const value = BigInt.asUintN(8 * bytes, (random.next() << 64n) | random.next());
      assert.equal(write(mmu, va, bytes, value), undefined);
      for (let byte = 0; byte < bytes; byte++) model[at + byte] = Number((value >> BigInt(8 * byte)) & 255n);
    } else {
      let expected = 0n;
      for (let byte = bytes - 1; byte >= 0; byte--) expected = (expected << 8n) | BigInt(model[at + byte]!);
      assert.equal(read(mmu, va, bytes), expected, `${bytes} bytes at ${at}`);
    }
    if (random.chance(2)) mmu.fence(undefined);
  }
  mmu.checkInvariants();
  const target = new Uint8Array(model.length);
  assert.equal(mmu.readBytes(...halves(window), target), model.length);
  assert.deepEqual(target, model, 'all of it at once');
});

test('bulk transfers stop at the first page that may not be used, with its fault', () => {
  const window = 0x3f_ffff_e000n;
  const machine = mapped(1 << 17, window, [RAM + 0x3000, RAM + 0x2000]);
  const { mmu } = machine;
  const bytes = Uint8Array.from({ length: 8192 }, (_, i) => (i * 7) & 255);
  assert.equal(mmu.writeBytes(...halves(window), bytes), 8192);
  const back = new Uint8Array(12_000).fill(0xee);
  assert.equal(mmu.readBytes(...halves(window + 100n), back), 8092);
  assert.deepEqual(back.subarray(0, 8092), bytes.subarray(100));
  assert.equal(back[8092], 0xee, 'no byte after the fault');
  assert.deepEqual(faultOf(mmu, mmu.faultKind), { fault: FaultKind.loadPage, at: window + 8192n });
  assert.equal(mmu.writeBytes(...halves(window - 1n), bytes), 0);
  assert.deepEqual(faultOf(mmu, mmu.faultKind), { fault: FaultKind.storePage, at: window - 1n });
  assert.equal(mmu.readBytes(...halves(window), new Uint8Array(0)), 0);
});

test('an access across pages that faults in the second changes nothing and names its address', () => {
  const window = 0x1000n;
  const machine = mapped(1 << 17, window, [RAM + 0x3000]);
  const { mmu } = machine;
  assert.deepEqual(write(mmu, 0x1ffcn, 8, ~0n), { fault: FaultKind.storePage, at: 0x2000n });
  assert.equal(read(mmu, 0x1ff8n, 8), 0n);
  assert.deepEqual(read(mmu, 0x1fffn, 2), { fault: FaultKind.loadPage, at: 0x2000n });
  assert.deepEqual(
    read(mmu, 0xfffn, 2),
    { fault: FaultKind.loadPage, at: 0xfffn },
    'the first page is looked at first',
  );
  // The last byte of the address space and the first.
  assert.deepEqual(read(mmu, 0xffff_ffff_ffff_ffffn, 8), { fault: FaultKind.loadPage, at: 0xffff_ffff_ffff_ffffn });
});

test('both levels together do what a walk for every access would do', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  for (const [round, policy] of REPLACEMENT_POLICIES.entries()) {
    const random = new Random(seed + round);
    const size = 1 << 18;
    const machine = new TestMachine(size, { l2: { sets: 4, ways: 2, policy }, prefetch: round % 2 === 0 });
    const { mmu } = machine;
    const { regime } = mmu;
    const root = RAM;
    let next = RAM;
    const allocate = (): number => (next += 4096);
    const addresses: bigint[] = [];
    const remap = (va: bigint): void => {
      const level = random.pick([0, 0, 0, 0, 1, 2]);
      const flags = BigInt(random.below(256)) | (random.chance(80) ? 0x4fn : 0n) | (random.chance(5) ? 0n : 1n);
      const align = [1, 512, 512 * 512][level]!;
      const page = level === 0 ? RAM / 4096 + 32 + random.below(32) : (RAM / 4096 / align) * align;
      // A large page takes the place of what was below it.
      machine.map(3, root, va, page * 4096, level, flags, () =>
        next < RAM + 31 * 4096 ? allocate() : RAM + 31 * 4096,
      );
    };
    for (let i = 0; i < 24; i++) {
      const va =
        (BigInt(random.pick([0, 1, 511])) << 30n) | (BigInt(random.below(2)) << 21n) | BigInt(4096 * random.below(6));
      addresses.push(BigInt.asUintN(64, BigInt.asIntN(39, va)));
      remap(addresses[i]!);
    }
    machine.usePageTable(3, root);
    const readPte = (gpa: bigint): bigint | undefined =>
      gpa >= BigInt(RAM) && gpa + 8n <= BigInt(RAM + size) ? machine.readPte(Number(gpa)) : undefined;
    let translated = 0;
    const enough = () => translated > 500 && mmu.counters.l2Hits > 100 && mmu.counters.walks > 100;
    // Some seeds begin with mappings that little can be reached by, until they are changed.
    for (let i = 0; i < 6000 || (i < 60_000 && !enough()); i++) {
      if (random.chance(4)) {
        remap(random.pick(addresses));
        mmu.fence(undefined);
      }
      if (random.chance(4)) {
        regime.dataPrivilege = random.pick([user, supervisor]);
        regime.fetchPrivilege = random.pick([user, supervisor]);
        regime.supervisorUserMemory = random.chance(50);
        regime.makeExecutableReadable = random.chance(50);
        regime.updateAccessedDirty = random.chance(50);
        mmu.regimeChanged();
      }
      const va = random.pick(addresses) + BigInt(random.below(4096));
      const access = random.pick([Access.read, Access.write, Access.execute]);
      const expected = walkUnder(regime, va, access, readPte);
      const linear = mmu.translate(...halves(va), access, 1);
      const what = `seed ${seed}, ${policy}, access ${i}: ${access} at 0x${va.toString(16)}`;
      const inRam = expected.kind === 'translated' && expected.gpa >= BigInt(RAM) && expected.gpa < BigInt(RAM + size);
      if (!inRam) {
        assert.ok(linear === TRANSLATION_FAULT || linear === 1, what);
        continue;
      }
      translated++;
      assert.equal((linear >>> 0) - GUEST + RAM, Number(expected.gpa), what);
      if (expected.update) assert.equal(readPte(expected.update.gpa), expected.update.pte, what);
    }
    mmu.checkInvariants();
    assert.ok(translated > 500, 'many accesses succeed');
    assert.ok(mmu.counters.l2Hits > 100 && mmu.counters.walks > 100, 'both levels are used');
  }
});

test('fences take away what they name and nothing that they must not', () => {
  const va = 0x4000_0000n;
  const machine = new TestMachine(1 << 18);
  const { mmu } = machine;
  const { regime } = mmu;
  const root = RAM + 0x2_0000;
  let next = root;
  const allocate = (): number => (next += 4096);
  const at = (page: number): number => RAM + 4096 * page;
  const remap = (address: bigint, page: number, flags = LEAF): void =>
    machine.map(3, root, address, at(page), 0, flags, allocate);
  remap(va, 1);
  remap(va + 4096n, 2, LEAF | 0x20n);
  machine.usePageTable(3, root);
  const where = (address: bigint): number => {
    const linear = mmu.translate(...halves(address), Access.read, 1) >>> 0;
    return (linear - GUEST) / 4096;
  };
  const inAsid = (asid: number): void => {
    regime.asid = asid;
    mmu.regimeChanged();
  };
  inAsid(5);
  assert.deepEqual([where(va), where(va + 4096n)], [1, 2]);
  remap(va, 3);
  remap(va + 4096n, 4, LEAF | 0x20n);
  assert.deepEqual([where(va), where(va + 4096n)], [1, 2], 'stale until fenced');
  inAsid(6);
  assert.deepEqual([where(va), where(va + 4096n)], [3, 2], 'another address space shares only the global page');
  mmu.fence(5);
  inAsid(5);
  assert.deepEqual([where(va), where(va + 4096n)], [3, 2], 'by ASID: not global pages');
  remap(va, 1);
  mmu.fenceAddress(...halves(va + 4096n), 5);
  assert.deepEqual([where(va), where(va + 4096n)], [3, 2], 'another address; a global page and an ASID');
  mmu.fenceAddress(...halves(va + 8n), 5);
  assert.deepEqual([where(va), where(va + 4096n)], [1, 2], 'address and ASID');
  inAsid(6);
  assert.equal(where(va), 3, 'the other address space keeps its own');
  mmu.fenceAddress(...halves(va), undefined);
  mmu.fenceAddress(...halves(va + 4096n), undefined);
  assert.deepEqual([where(va), where(va + 4096n)], [1, 4], 'an address in all address spaces');
  remap(va, 2);
  mmu.fence(undefined);
  assert.equal(where(va), 2);
  remap(va, 3);
  mmu.fence(5);
  assert.equal(where(va), 2, 'the fence was for another address space');
  mmu.fence(6);
  assert.equal(where(va), 3, 'by the ASID that is in force');
  mmu.checkInvariants();
});

test('a fence for any address in a large page takes away all of it', () => {
  for (const [level, flags, span] of [
    [1, LEAF, 2 ** 21],
    [2, LEAF, 2 ** 30],
    [0, LEAF | (1n << 63n), 65536],
  ] as const) {
    const machine = new TestMachine(1 << 18);
    const { mmu } = machine;
    const root = RAM + 0x2_0000;
    let next = root;
    const va = 0x4000_0000n;
    const map = (leafFlags: bigint): void => {
      const count = level === 0 ? 16 : 1;
      for (let i = 0; i < count; i++) {
        const gpa = level === 0 ? RAM + 8 * 4096 : RAM;
        machine.map(3, root, va + 4096n * BigInt(i), gpa, level, leafFlags, () => (next += 4096));
      }
    };
    map(flags);
    machine.usePageTable(3, root);
    const touched = [0n, 0x3000n, 0xf000n];
    for (const offset of touched) {
      assert.equal(mmu.translate(...halves(va + offset), Access.read, 1) >>> 0, GUEST + Number(offset), `${span}`);
    }
    map(0n);
    for (const offset of touched) {
      assert.notEqual(mmu.translate(...halves(va + offset), Access.read, 1), TRANSLATION_FAULT, 'stale');
    }
    mmu.fenceAddress(...halves(va + 0x7000n), undefined);
    for (const offset of touched) {
      assert.equal(mmu.translate(...halves(va + offset), Access.read, 1), TRANSLATION_FAULT, `${span}: ${offset}`);
    }
    mmu.checkInvariants();
  }
});

test('a fence for one of very many large pages takes it away', () => {
  const machine = new TestMachine(1 << 18);
  const { mmu } = machine;
  const root = RAM + 0x2_0000;
  let next = root;
  const address = (n: number): bigint => 0x4000_0000n + (BigInt(n) << 21n);
  const map = (n: number, flags: bigint): void => machine.map(3, root, address(n), RAM, 1, flags, () => (next += 4096));
  for (let n = 0; n < 40; n++) map(n, LEAF);
  machine.usePageTable(3, root);
  // Another 4 KiB of each, so that no two share an entry of the first level.
  const part = (n: number): number => mmu.translate(...halves(address(n) + 4096n * BigInt(n)), Access.read, 1) >>> 0;
  for (let n = 0; n < 40; n++) assert.equal(part(n), GUEST + 4096 * n);
  for (let n = 0; n < 40; n++) assert.equal(part(n), GUEST + 4096 * n);
  for (let n = 0; n < 40; n += 3) {
    for (let other = 0; other < 40; other++) part(other);
    map(n, 0n);
    mmu.fenceAddress(...halves(address(n) + 0x7_0000n), undefined);
    assert.equal(part(n), TRANSLATION_FAULT, `${n}`);
  }
  assert.equal(part(1), GUEST + 4096);
});

test('a change of PMP holds for what the TLB knew before', () => {
  const va = 0x10_0000n;
  const { mmu } = mapped(1 << 17, va, [RAM]);
  assert.equal(read(mmu, va, 8), 0n);
  mmu.pmp.configure([], []);
  mmu.protectionChanged();
  assert.deepEqual(read(mmu, va, 8), { fault: FaultKind.load, at: va });
});

test('privilege modes, user memory and MPRV each have their own rights', () => {
  const va = 0x10_0000n;
  const machine = mapped(1 << 17, va, [RAM], USER_LEAF);
  const { mmu } = machine;
  const { regime } = mmu;
  assert.deepEqual(read(mmu, va, 4), { fault: FaultKind.loadPage, at: va }, 'supervisor without SUM');
  regime.supervisorUserMemory = true;
  mmu.regimeChanged();
  assert.equal(read(mmu, va, 4), 0n);
  assert.equal(mmu.translate(...halves(va), Access.execute, 2), TRANSLATION_FAULT, 'never executed by the supervisor');
  regime.supervisorUserMemory = false;
  mmu.regimeChanged();
  assert.deepEqual(read(mmu, va, 4), { fault: FaultKind.loadPage, at: va });
  regime.dataPrivilege = regime.fetchPrivilege = user;
  mmu.regimeChanged();
  assert.equal(read(mmu, va, 4), 0n);
  assert.notEqual(mmu.translate(...halves(va), Access.execute, 2), TRANSLATION_FAULT);
  regime.dataPrivilege = regime.fetchPrivilege = machineMode;
  mmu.regimeChanged();
  assert.deepEqual(read(mmu, va, 4), { fault: FaultKind.load, at: va }, 'machine mode is not translated');
  assert.equal(read(mmu, BigInt(RAM), 4), 0n);
  regime.dataPrivilege = user;
  mmu.regimeChanged();
  assert.equal(read(mmu, va, 4), 0n, 'MPRV');
  assert.deepEqual(read(mmu, BigInt(RAM), 4), { fault: FaultKind.loadPage, at: BigInt(RAM) });
});

test('PMP decides behind translation, also where it cuts a page', () => {
  const va = 0x10_0000n;
  const machine = mapped(1 << 17, va, [RAM + 0x4000, RAM + 0x5000]);
  const { mmu } = machine;
  // Entry 0: 8 bytes without rights in the first page; entry 1: read only for the second page; entry 2: all else.
  mmu.pmp.configure(
    [0x18, 0x19, 0x1f],
    [BigInt((RAM + 0x4100) >>> 2), BigInt(((RAM + 0x5000) >>> 2) | 0x1ff), (1n << 54n) - 1n],
  );
  mmu.protectionChanged();
  assert.equal(read(mmu, va, 8), 0n);
  assert.deepEqual(read(mmu, va + 0x100n, 4), { fault: FaultKind.load, at: va + 0x100n });
  assert.deepEqual(read(mmu, va + 0xfcn, 8), { fault: FaultKind.load, at: va + 0xfcn }, 'half of it');
  assert.equal(read(mmu, va + 0x108n, 8), 0n);
  assert.equal(read(mmu, va + 0x1000n, 8), 0n);
  assert.deepEqual(write(mmu, va + 0x1000n, 8, 1n), { fault: FaultKind.store, at: va + 0x1000n });
  assert.equal(mmu.readBytes(...halves(va), new Uint8Array(4096)), 0x100, 'bulk stops at the hole');
  machine.openProtection();
  assert.equal(write(mmu, va + 0x1000n, 8, 1n), undefined);
  mmu.pmp.configure([], []);
  mmu.protectionChanged();
  assert.deepEqual(read(mmu, va, 1), { fault: FaultKind.load, at: va }, 'no entry matches: only machine mode may');
});

class Recorder implements MmioDevice {
  readonly name = 'recorder';
  readonly log: string[] = [];
  read(offset: number, width: number): number | bigint {
    this.log.push(`read ${offset} ${width}`);
    return width === 8 ? 0x1122_3344_5566_7788n : 0xfedc_ba98;
  }
  write(offset: number, width: number, value: number | bigint): void {
    this.log.push(`write ${offset} ${width} ${value}`);
  }
  refuses(offset: number): boolean {
    return offset >= 0x80;
  }
}

test('devices answer at their addresses only, whole and aligned', () => {
  const machine = new TestMachine(1 << 17);
  const device = new Recorder();
  machine.bus.addDevice(0x1000_0000, 0x100, device);
  const { mmu } = machine;
  const at = 0x1000_0000n;
  assert.equal(read(mmu, at, 1), 0x98n);
  assert.equal(read(mmu, at + 2n, 2), 0xba98n);
  assert.equal(read(mmu, at + 4n, 4), 0xfedc_ba98n);
  assert.equal(read(mmu, at + 8n, 8), 0x1122_3344_5566_7788n);
  assert.equal(write(mmu, at + 4n, 4, 0xffff_ffffn), undefined);
  assert.equal(write(mmu, at + 8n, 8, ~0n), undefined);
  assert.equal(write(mmu, at, 1, 0x1ffn), undefined);
  assert.deepEqual(device.log, [
    'read 0 1',
    'read 2 2',
    'read 4 4',
    'read 8 8',
    'write 4 4 4294967295',
    'write 8 8 18446744073709551615',
    'write 0 1 255',
  ]);
  device.log.length = 0;
  for (const [address, bytes] of [
    [at + 1n, 2],
    [at, 16],
    [at + 0xffn, 2],
    [at + 0x80n, 4],
    [at + 0x100n, 1],
    [at - 1n, 1],
  ] as const) {
    assert.deepEqual(read(mmu, address, bytes), { fault: FaultKind.load, at: address }, `${address} ${bytes}`);
    assert.deepEqual(write(mmu, address, bytes, 0n), { fault: FaultKind.store, at: address });
  }
  assert.equal(mmu.load(...halves(at), 4, true, 0x1000), FaultKind.store, 'no atomics');
  assert.equal(mmu.translate(...halves(at), Access.execute, 2), TRANSLATION_FAULT, 'no instructions');
  assert.equal(mmu.readBytes(...halves(at), new Uint8Array(4)), 0, 'not in bulk');
  assert.deepEqual(device.log, []);
  assert.deepEqual([mmu.counters.deviceReads, mmu.counters.deviceWrites], [4, 3]);
});

test('an access that lies in RAM in part is refused as a whole', () => {
  const machine = new TestMachine(1 << 17);
  const { mmu } = machine;
  const before = new Recorder();
  machine.bus.addDevice(RAM - 0x1000, 0x1000, before);
  const at = BigInt(RAM) - 4n;
  machine.bus.addDevice(RAM + (1 << 17), 0x80, before);
  const end = BigInt(RAM + (1 << 17)) - 4n;
  assert.deepEqual(read(mmu, at, 8), { fault: FaultKind.load, at });
  assert.deepEqual(write(mmu, at, 8, ~0n), { fault: FaultKind.store, at });
  assert.deepEqual(read(mmu, end, 8), { fault: FaultKind.load, at: end + 4n });
  assert.deepEqual(write(mmu, end, 8, ~0n), { fault: FaultKind.store, at: end + 4n });
  assert.deepEqual([read(mmu, BigInt(RAM), 4), read(mmu, end, 4)], [0n, 0n], 'nothing was stored');
  assert.deepEqual(before.log, []);
});

test('addresses beyond physical memory are access faults', () => {
  const { mmu } = new TestMachine(1 << 17);
  for (const va of [0n, BigInt(RAM) + (1n << 17n), 1n << 56n, (1n << 63n) + BigInt(RAM), 0xffff_ffff_ffff_fff8n]) {
    assert.deepEqual(read(mmu, va, 8), { fault: FaultKind.load, at: va });
    assert.deepEqual(write(mmu, va, 8, 0n), { fault: FaultKind.store, at: va });
  }
  const mappedFar = mapped(1 << 17, 0n, [2 ** 55]);
  assert.deepEqual(read(mappedFar.mmu, 0n, 8), { fault: FaultKind.load, at: 0n }, 'a leaf that leads there');
});

test('stores to pages with decoded code are reported under every alias, until released', () => {
  const machine = mapped(1 << 17, 0x1000n, [RAM, RAM, RAM + 0x1000]);
  const { mmu } = machine;
  const reported: string[] = [];
  mmu.onCodeWrite = (linear, length) => reported.push(`${linear - GUEST}+${length}`);
  for (const va of [0x1000n, 0x2000n, 0x3000n]) write(mmu, va, 8, 1n);
  assert.deepEqual(reported, []);
  mmu.protectCode(GUEST + 0x10);
  assert.equal(new Uint8Array(machine.memory.buffer)[PERMISSION], Permission.code);
  write(mmu, 0x1010n, 8, 1n);
  write(mmu, 0x2020n, 1, 1n);
  write(mmu, 0x2ffcn, 8, 1n);
  write(mmu, 0x3000n, 8, 1n);
  mmu.writeBytes(...halves(0x1ff0n), new Uint8Array(32));
  machine.bus.view(RAM + 0x800, 0x1000)!.fill(0);
  machine.bus.written(RAM + 0x800, 0x1000);
  assert.deepEqual(reported, ['16+8', '32+1', '4092+4', '4080+16', '0+16', '2048+2048']);
  mmu.releaseCode(GUEST);
  reported.length = 0;
  write(mmu, 0x1010n, 8, 1n);
  assert.deepEqual(reported, []);
});

test('a store that would meet code is withheld when it is asked to be, also by its second page', () => {
  const machine = mapped(1 << 17, 0x1000n, [RAM, RAM + 0x1000]);
  const { mmu } = machine;
  const bytes = new Uint8Array(machine.memory.buffer);
  const source = STATE + StateOffset.arguments;
  bytes.fill(0x5a, source, source + 8);
  const asked: string[] = [];
  const isCode = (linear: number, length: number) => {
    asked.push(`${linear - GUEST}+${length}`);
    return linear - GUEST < 0x1010;
  };
  mmu.onCodeWrite = () => assert.fail('nothing is stored over code');
  const store = (va: bigint) => mmu.storeUnlessCode(...halves(va), 8, source, isCode);
  assert.equal(store(0x1ffcn), 0, 'there is no page of code yet');
  assert.deepEqual(asked, []);
  mmu.protectCode(GUEST + 0x1000);
  bytes.fill(0, GUEST, GUEST + 0x2000);
  assert.equal(store(0x1ffcn), WITHHELD);
  assert.equal(store(0x2008n), WITHHELD);
  assert.deepEqual(asked, ['4096+4', '4104+8']);
  assert.ok(bytes.subarray(GUEST, GUEST + 0x2000).every((byte) => byte === 0));
  mmu.onCodeWrite = (linear) => assert.equal(linear - GUEST, 0x1010);
  assert.equal(store(0x2010n), 0, 'a page of code has other bytes too');
  assert.equal(bytes[GUEST + 0x1010], 0x5a);
  mmu.onCodeWrite = () => {};
  write(mmu, 0x2000n, 8, 1n);
  assert.equal(bytes[GUEST + 0x1000], 1, 'other stores do not ask');
});

test('a page that has been stored to is protected too, also where the addend wraps around', () => {
  const { mmu } = new TestMachine(1 << 17);
  let reported = 0;
  mmu.onCodeWrite = () => reported++;
  write(mmu, BigInt(RAM), 8, 1n);
  mmu.protectCode(GUEST);
  write(mmu, BigInt(RAM) + 8n, 8, 1n);
  assert.equal(reported, 1);
});

test('a page is entered as writable only once it is dirty', () => {
  const machine = mapped(1 << 17, 0x1000n, [RAM], 0x4fn);
  const { mmu } = machine;
  const leaf = RAM + (1 << 17) - 3 * 4096 + 8;
  assert.equal(read(mmu, 0x1000n, 8), 0n);
  assert.deepEqual(write(mmu, 0x1000n, 8, 1n), { fault: FaultKind.storePage, at: 0x1000n }, 'Svade');
  mmu.regime.updateAccessedDirty = true;
  mmu.regimeChanged();
  assert.equal(read(mmu, 0x1000n, 8), 0n);
  assert.equal(machine.readPte(leaf) & 0x80n, 0n);
  assert.equal(write(mmu, 0x1000n, 8, 1n), undefined);
  assert.equal(machine.readPte(leaf) & 0x80n, 0x80n, 'Svadu');
});

test('the bus refuses regions that overlap', () => {
  const { bus } = new TestMachine(1 << 17);
  assert.throws(
    () => bus.addDevice(RAM + 0x1000, 0x1000, new Recorder()),
    /recorder at 0x80001000…0x80002000 overlaps RAM/,
  );
  assert.throws(() => bus.addDevice(-1, 0x1000, new Recorder()), /no room/);
  assert.equal(bus.view(NaN, 1), undefined);
  assert.equal(bus.view(RAM, -1), undefined);
  assert.equal(bus.view(RAM, 2 ** 40), undefined);
  assert.equal(bus.view(RAM + (1 << 17) - 1, 2), undefined);
  assert.equal(bus.view(RAM + (1 << 17) - 1, 1)?.length, 1);
});
