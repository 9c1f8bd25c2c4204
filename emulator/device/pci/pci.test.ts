import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConfigError } from '../../check/errors.ts';
import type { MmioDevice, MmioWidth } from '../../memory/mmio.ts';
import type { InterruptLine } from '../device.ts';
import { PciFunction } from './function.ts';
import type { PciIdentity } from './function.ts';
import { ECAM_BUS_SIZE, PciHost, swizzle } from './host.ts';
import { Msix } from './msix.ts';

const IDENTITY: PciIdentity = {
  vendor: 0x1234,
  device: 0x5678,
  revision: 3,
  classCode: 0x01_02_03,
  subsystemVendor: 0x9abc,
  subsystem: 0xdef0,
};
const WINDOW = { address: 0x4000_0000, size: 0x100_0000 };
const HIGH_WINDOW = { address: 0x4_0000_0000, size: 0x4000_0000 };

/** Remembers the last write and reads as its offset. */
class Probe implements MmioDevice {
  readonly name = 'probe';
  last: [offset: number, width: MmioWidth, value: number | bigint] | undefined;

  read(offset: number, width: MmioWidth): number | bigint {
    return width === 8 ? BigInt(offset) : offset;
  }

  write(offset: number, width: MmioWidth, value: number | bigint): void {
    this.last = [offset, width, value];
  }
}

class Line implements InterruptLine {
  level = false;

  set(level: boolean): void {
    this.level = level;
  }
}

function board(): { host: PciHost; lines: [Line, Line, Line, Line] } {
  const lines: [Line, Line, Line, Line] = [new Line(), new Line(), new Line(), new Line()];
  return { host: new PciHost([WINDOW, HIGH_WINDOW], lines), lines };
}

const at = (device: number, offset: number): number => device * 8 * 4096 + offset;

test('configuration space shows the identity and absent functions read as ones', () => {
  const { host } = board();
  host.add(1, new PciFunction('probe', IDENTITY, 1));
  assert.equal(host.ecam.read(at(1, 0), 4), 0x5678_1234);
  assert.equal(host.ecam.read(at(1, 2), 2), 0x5678);
  assert.equal(host.ecam.read(at(1, 8), 4), 0x0102_0303);
  assert.equal(host.ecam.read(at(1, 0x2c), 4), 0xdef0_9abc);
  assert.equal(host.ecam.read(at(1, 0x3d), 1), 1);
  assert.equal((host.ecam.read(at(0, 8), 4) as number) >>> 8, 0x06_0000, 'slot 0 is the host bridge');
  for (const absent of [at(2, 0), at(1, 0) + 4096, ECAM_BUS_SIZE, 5 * ECAM_BUS_SIZE + 12]) {
    assert.equal(host.ecam.read(absent, 4), 0xffff_ffff);
    host.ecam.write(absent, 4, 0);
  }
  assert.equal(host.ecam.read(at(2, 0), 8), 0xffff_ffff_ffff_ffffn);
});

test('a slot holds one function', () => {
  const { host } = board();
  host.add(1, new PciFunction('a', IDENTITY, 1));
  for (const slot of [0, 1, 32, 1.5])
    assert.throws(() => host.add(slot, new PciFunction('b', IDENTITY, 1)), ConfigError);
});

test('writing ones to a BAR shows its size, and only bits above it stick', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 31 }),
      fc.boolean(),
      fc.boolean(),
      fc.nat(0xffff_ffff),
      (log, wide, prefetchable, value) => {
        const owner = new PciFunction('probe', IDENTITY, 0);
        const size = 2 ** log;
        owner.addBar(2, size, new Probe(), wide, prefetchable);
        const type = (wide ? 4 : 0) | (prefetchable ? 8 : 0);
        owner.writeConfig(0x18, 4, 0xffff_ffff);
        assert.equal(owner.readConfig(0x18, 4), (-size | type) >>> 0);
        owner.writeConfig(0x1c, 4, 0xffff_ffff);
        assert.equal(owner.readConfig(0x1c, 4), wide ? 0xffff_ffff : 0);
        owner.writeConfig(0x18, 4, value);
        assert.equal(owner.barAddress(owner.bars[0]!) % size, 0);
      },
    ),
  );
});

test('a BAR of more than 4 GiB needs both registers for its size', () => {
  const owner = new PciFunction('probe', IDENTITY, 0);
  owner.addBar(0, 2 ** 33, new Probe(), true);
  owner.writeConfig(0x10, 4, 0xffff_ffff);
  owner.writeConfig(0x14, 4, 0xffff_ffff);
  assert.equal(owner.readConfig(0x10, 4), 4);
  assert.equal(owner.readConfig(0x14, 4), 0xffff_fffe);
});

test('accesses to a window reach the BAR that is there, while memory decoding is on', () => {
  const { host } = board();
  const probe = new Probe();
  const owner = new PciFunction('probe', IDENTITY, 0);
  owner.addBar(0, 0x1000, probe);
  host.add(4, owner);
  const window = host.windows[0]!;
  host.ecam.write(at(4, 0x10), 4, WINDOW.address + 0x3000);
  assert.equal(window.read(0x3010, 4), 0xffff_ffff, 'decoding is off');
  host.ecam.write(at(4, 4), 2, 2);
  assert.equal(window.read(0x3010, 4), 0x10);
  window.write(0x3ffc, 4, 77);
  assert.deepEqual(probe.last, [0xffc, 4, 77]);
  window.write(0x3008, 8, 5n);
  assert.deepEqual(probe.last, [8, 8, 5n]);
  for (const outside of [0x2ffc, 0x4000]) assert.equal(window.read(outside, 4), 0xffff_ffff);
  assert.equal(window.read(0x4000, 8), 0xffff_ffff_ffff_ffffn);
  host.ecam.write(at(4, 0x10), 4, WINDOW.address + 0x8000);
  assert.equal(window.read(0x3010, 4), 0xffff_ffff, 'the BAR has moved');
  assert.equal(window.read(0x8010, 1), 0x10);
  host.reset();
  assert.equal(window.read(0x8010, 1), 0xff);
});

test('addresses are given out aligned, apart and inside the windows, as far as they go', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 4, max: 24 }), fc.boolean()), { maxLength: 20 }), (bars) => {
      const { host } = board();
      const owners = bars.map(([log, wide], slot) => {
        const owner = new PciFunction(`probe ${slot}`, IDENTITY, 0);
        owner.addBar(0, 2 ** log, new Probe(), wide);
        host.add(slot + 1, owner);
        return owner;
      });
      try {
        host.assignAddresses();
      } catch (error) {
        assert.ok(error instanceof ConfigError);
        return;
      }
      host.checkInvariants();
      const ranges = owners
        .map((owner) => ({
          start: owner.barAddress(owner.bars[0]!),
          size: owner.bars[0]!.size,
          wide: owner.bars[0]!.wide,
        }))
        .sort((a, b) => a.start - b.start);
      for (const [i, { start, size, wide }] of ranges.entries()) {
        assert.equal(start % size, 0);
        const inside = [WINDOW, HIGH_WINDOW].some((w) => start >= w.address && start + size <= w.address + w.size);
        assert.ok(inside && (wide || start + size <= 2 ** 32));
        if (i > 0) assert.ok(ranges[i - 1]!.start + ranges[i - 1]!.size <= start);
      }
    }),
  );
});

test('32-bit BARs that do not fit are refused in one line', () => {
  const { host } = board();
  const owner = new PciFunction('probe', IDENTITY, 0);
  owner.addBar(0, 2 ** 25, new Probe());
  host.add(1, owner);
  assert.throws(() => host.assignAddresses(), ConfigError);
});

test('INTx: each slot starts one line further on, and lines are shared', () => {
  const { host, lines } = board();
  const owners = [1, 5, 6].map((slot) => {
    const owner = new PciFunction(`probe ${slot}`, IDENTITY, 1);
    host.add(slot, owner);
    return owner;
  });
  assert.deepEqual([swizzle(1, 1), swizzle(5, 1), swizzle(6, 1), swizzle(3, 4)], [1, 1, 2, 2]);
  owners[0]!.setInterrupt(true);
  owners[1]!.setInterrupt(true);
  assert.deepEqual(
    lines.map(({ level }) => level),
    [false, true, false, false],
  );
  owners[0]!.setInterrupt(false);
  assert.equal(lines[1].level, true, 'slot 5 still holds it');
  owners[1]!.setInterrupt(false);
  assert.equal(lines[1].level, false);
  owners[2]!.setInterrupt(true);
  assert.equal(lines[2].level, true);
  assert.equal((host.ecam.read(at(6, 6), 2) as number) & 8, 8, 'the status register shows it');
  host.ecam.write(at(6, 4), 2, 1 << 10);
  assert.equal(lines[2].level, false, 'the command register disables it');
  host.ecam.write(at(6, 4), 2, 0);
  assert.equal(lines[2].level, true);
});

test('capabilities form a list, and the guest changes only what is writable', () => {
  const owner = new PciFunction('probe', IDENTITY, 0);
  assert.equal(owner.readConfig(6, 2) & 0x10, 0);
  const first = owner.addCapability(5, Uint8Array.of(1, 2, 3), Uint8Array.of(0, 0xf0, 0));
  const second = owner.addCapability(9, Uint8Array.of(7, 7), Uint8Array.of(0, 0));
  assert.equal(owner.readConfig(6, 2) & 0x10, 0x10);
  assert.equal(owner.readConfig(0x34, 1), first);
  assert.deepEqual([owner.readConfig(first, 1), owner.readConfig(first + 1, 1)], [5, second]);
  assert.deepEqual([owner.readConfig(second, 1), owner.readConfig(second + 1, 1)], [9, 0]);
  owner.writeConfig(first, 4, 0xffff_ffff);
  assert.equal(owner.readConfig(first, 4), 0xf2_01_00_05 + (second << 8));
});

test('any write to configuration space leaves what is read-only as it was', () => {
  const widths = fc.constantFrom<1 | 2 | 4>(1, 2, 4);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1023), widths, fc.nat(0xffff_ffff)), { maxLength: 50 }), (writes) => {
      const { host } = board();
      const owner = new PciFunction('probe', IDENTITY, 2);
      owner.addBar(0, 256, new Probe());
      host.add(9, owner);
      for (const [word, width, value] of writes) host.ecam.write(at(9, word * 4), width, value % 2 ** (8 * width));
      assert.equal(host.ecam.read(at(9, 0), 4), 0x5678_1234);
      assert.equal(host.ecam.read(at(9, 0x0e), 1), 0);
      assert.equal(host.ecam.read(at(9, 0x3d), 1), 2);
      assert.equal((host.ecam.read(at(9, 0x10), 4) as number) % 256, 0);
      host.checkInvariants();
    }),
  );
});

test('MSI-X: vectors are masked at first, kept while masked, and sent when they are not', () => {
  const sent: [number, number][] = [];
  const owner = new PciFunction('probe', IDENTITY, 1);
  const msix = new Msix(owner, 1, 3, (address, data) => void sent.push([address, data]));
  const capability = owner.readConfig(0x34, 1);
  assert.equal(owner.readConfig(capability + 2, 2), 2, 'three vectors');
  owner.writeConfig(capability + 2, 2, 0x8000);
  assert.equal(msix.enabled, true);
  msix.write(16, 4, 0xfee0_0000);
  msix.write(20, 4, 1);
  msix.write(24, 4, 42);
  msix.raise(1);
  assert.deepEqual(sent, []);
  assert.equal(msix.read(0x800, 8), 2n, 'pending');
  msix.write(28, 4, 0);
  assert.deepEqual(sent, [[0x1_fee0_0000, 42]]);
  assert.equal(msix.read(0x800, 4), 0);
  owner.writeConfig(capability + 2, 2, 0xc000);
  msix.raise(1);
  msix.raise(1);
  assert.equal(sent.length, 1, 'the whole function is masked');
  owner.writeConfig(capability + 2, 2, 0x8000);
  assert.equal(sent.length, 2, 'pending twice is sent once');
  msix.raise(3);
  msix.raise(0xffff);
  msix.write(0x800, 4, 0xffff_ffff);
  assert.equal(msix.read(0x800, 4), 0, 'pending bits are read-only');
  assert.equal(msix.read(0xffc, 4), 0);
  msix.reset();
  msix.raise(1);
  assert.equal(sent.length, 2);
});
