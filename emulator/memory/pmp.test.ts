import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '../bits/float-operands.ts';
import { Random } from '../ir/random.ts';
import { Pmp, PMP_MIXED } from './pmp.ts';
import { Access } from './regime.ts';

/** The rules byte by byte: the lowest-numbered entry that matches any byte must match all, and then its bits decide. */
function allowedByTheBook(
  configuration: readonly number[],
  address: readonly bigint[],
  gpa: bigint,
  length: bigint,
  access: number,
  machine: boolean,
): boolean {
  for (let entry = 0; entry < 16; entry++) {
    const byte = configuration[entry]!;
    const matches = (at: bigint): boolean => {
      switch ((byte >> 3) & 3) {
        case 1: {
          const from = entry === 0 ? 0n : address[entry - 1]! * 4n;
          return at >= from && at < address[entry]! * 4n;
        }
        case 2:
          return at >> 2n === address[entry]!;
        case 3: {
          let size = 8n;
          for (let bits = address[entry]!; (bits & 1n) === 1n; bits >>= 1n) size *= 2n;
          return at / size === (address[entry]! * 4n) / size;
        }
        default:
          return false;
      }
    };
    let matched = 0n;
    for (let at = gpa; at < gpa + length; at++) if (matches(at)) matched++;
    if (matched === 0n) continue;
    if (matched < length) return false;
    if (machine && (byte & 0x80) === 0) return true;
    return (byte & access) !== 0;
  }
  return machine;
}

test('random entries decide as the rules say, byte by byte', (context) => {
  const seed = testSeed();
  context.diagnostic(`SEED=${seed}`);
  const random = new Random(seed);
  const pmp = new Pmp();
  let allowed = 0;
  for (let round = 0; round < 1500; round++) {
    const configuration = Array.from({ length: 16 }, () => (random.chance(40) ? random.below(256) & 0x9f : 0));
    const address = Array.from({ length: 16 }, () => {
      const base = BigInt(random.below(64));
      return random.chance(30) ? base | ((1n << BigInt(random.below(7))) - 1n) : base;
    });
    pmp.configure(configuration, address);
    for (let i = 0; i < 10; i++) {
      const gpa = random.below(260);
      const length = random.pick([1, 2, 4, 8, 16]);
      const access = random.pick([Access.read, Access.write, Access.execute]);
      const machine = random.chance(50);
      const expected = allowedByTheBook(configuration, address, BigInt(gpa), BigInt(length), access, machine);
      const what = `seed ${seed}, round ${round}: ${gpa}+${length}, access ${access}, machine ${machine}`;
      assert.equal(pmp.allows(gpa, length, access, machine), expected, what);
      if (expected) allowed++;
      const whole = pmp.permissionsOf(gpa, length, machine);
      if (whole !== PMP_MIXED) assert.equal((whole & access) !== 0, expected, `as a whole, ${what}`);
    }
  }
  assert.ok(allowed > 2000 && allowed < 13_000, String(allowed));
});

test('the largest ranges reach to the end of physical memory', () => {
  const pmp = new Pmp();
  pmp.configure([0x1f], [(1n << 54n) - 1n]);
  assert.equal(pmp.permissionsOf(2 ** 52, 4096, false), 7);
  pmp.configure([0x0f], [(1n << 54n) - 1n]);
  assert.equal(pmp.permissionsOf(2 ** 52, 4096, false), 7);
  pmp.configure([], []);
  assert.equal(pmp.permissionsOf(0, 4096, false), 0);
  assert.equal(pmp.permissionsOf(0, 4096, true), 7);
});
