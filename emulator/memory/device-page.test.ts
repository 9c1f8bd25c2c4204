import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import type { MmioDevice } from './mmio.ts';
import { Pmp } from './pmp.ts';
import { Access, PrivilegeMode } from './regime.ts';
import { halves, RAM, TestMachine } from './test-machine.ts';

const DEVICE = 0x1000_0000;
const PAGE = 4096;
const ROOT = RAM + 0x1_0000;
const LEAF = 0xcfn;

class Log implements MmioDevice {
  readonly name = 'log';
  last = '';
  read(offset: number): number {
    this.last = `read ${offset}`;
    return 0;
  }
  write(offset: number): void {
    this.last = `write ${offset}`;
  }
}

/** Entry 0 about one page of the device or half of it, entry 1 about everything. */
const PROTECTIONS = [
  { configuration: [0x18, 0x1f], what: 'the first page closed' },
  { configuration: [0x19, 0x1f], what: 'the first page for reading' },
  { configuration: [0x98, 0x1f], what: 'the first page closed to machine mode too' },
  { configuration: [0x99, 0x1f], what: 'the first page for reading, in machine mode too' },
  { configuration: [0x00, 0x1f], what: 'all open' },
  { configuration: [0x00, 0x00], what: 'closed to others than machine mode' },
] as const;

/** Size of the naturally aligned range, and the address that says so. */
function rangeAt(gpa: number, size: number): bigint {
  return (BigInt(gpa) >> 2n) | ((BigInt(size) >> 3n) - 1n);
}

test('a remembered page of a device is reached as if it were not, whatever changes in between', (t) => {
  const seed = testSeed();
  t.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const machine = new TestMachine(1 << 18);
  const device = new Log();
  machine.bus.addDevice(DEVICE, 2 * PAGE, device);
  const { mmu } = machine;
  let next = ROOT;
  const allocate = (): number => (next += PAGE);
  // Translated, the two pages have changed places.
  for (const n of [0, 1]) machine.map(3, ROOT, BigInt(DEVICE + n * PAGE), DEVICE + (1 - n) * PAGE, 0, LEAF, allocate);
  const pmp = new Pmp();
  const protect = (configuration: readonly number[], size: number): void => {
    const addresses = [rangeAt(DEVICE, size), (1n << 54n) - 1n];
    pmp.configure(configuration, addresses);
    mmu.pmp.configure(configuration, addresses);
    mmu.protectionChanged();
  };
  protect([0, 0x1f], PAGE);
  let what = 'all open';
  let reached = 0;
  for (let n = 0; n < 20_000; n++) {
    const change = random.below(12);
    if (change === 0) {
      const chosen = PROTECTIONS[random.below(PROTECTIONS.length)]!;
      const size = random.below(3) === 0 ? PAGE / 2 : PAGE;
      protect(chosen.configuration, size);
      ({ what } = chosen);
    } else if (change === 1) {
      const { regime } = mmu;
      regime.levels = random.below(2) * 3;
      regime.rootPage = ROOT / PAGE;
      regime.dataPrivilege = random.below(2) === 0 ? PrivilegeMode.machine : PrivilegeMode.supervisor;
      regime.fetchPrivilege = regime.dataPrivilege;
      mmu.regimeChanged();
    } else if (change === 2) mmu.fence(undefined);
    const privileged = mmu.regime.dataPrivilege === PrivilegeMode.machine;
    const offset = random.below((2 * PAGE) / 4) * 4;
    const access = random.below(2) === 0 ? Access.read : Access.write;
    const translated = mmu.regime.levels > 0 && !privileged;
    const physical = translated ? offset ^ PAGE : offset;
    const word = access === Access.read ? 'read' : 'write';
    // The tables themselves are in RAM, which all protections but the last leave open.
    const walks = !translated || pmp.allows(ROOT, 8, Access.read, false);
    const expected = walks && pmp.allows(DEVICE + physical, 4, access, privileged) ? `${word} ${physical}` : '';
    device.last = '';
    const [low, high] = halves(BigInt(DEVICE + offset));
    const fault = access === Access.read ? mmu.read32(low, high) : mmu.write32(low, high, 0);
    assert.equal(device.last, expected, `${n}: ${word} at ${offset}, ${what}, levels ${mmu.regime.levels}`);
    assert.equal(fault === 0, expected !== '');
    if (expected !== '') reached++;
  }
  assert.ok(reached > 5000);
});
