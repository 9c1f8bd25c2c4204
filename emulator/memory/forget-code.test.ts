import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GUEST } from '../layout/memory-map.ts';
import { ALL_SPACES } from './forget-code.ts';
import { L1Tlb, TlbContext } from './l1-tlb.ts';
import { missCode } from './l2-probe.ts';
import { L2Tlb, type L2TlbOptions } from './l2-tlb.ts';
import { Access } from './regime.ts';
import { halves } from './test-machine.ts';

const OPTIONS: L2TlbOptions = { sets: 4, ways: 2, policy: 'pseudo-lru' };
const memory = new WebAssembly.Memory({ initial: (GUEST + 65536) / 65536 });
const { forget } = missCode(memory, OPTIONS);
const l2 = new L2Tlb(OPTIONS, memory);
const address = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const context = fc.constantFrom(TlbContext.user, TlbContext.supervisor, TlbContext.supervisorUserMemory);
/** Svnapot, and the levels of Sv57. */
const size = fc.constantFrom(16, 2 ** 9, 2 ** 18, 2 ** 27, 2 ** 36);

test('a fence in a large page that the first level has parts of is left to JavaScript, wherever in it the address lies', () => {
  const l1 = new L1Tlb(memory);
  fc.assert(
    fc.property(address, size, context, fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }), (at, pages, table, offset) => {
      l1.fill(table, ...halves(at), GUEST, Access.read, pages);
      const bytes = BigInt(pages) * 4096n;
      const fenced = BigInt.asIntN(64, (at & -bytes) + (offset & (bytes - 1n)));
      assert.equal(forget(...halves(fenced), ALL_SPACES), 0);
      assert.equal(forget(...halves(fenced), 0), 0);
      // The first level has nothing of other address spaces.
      assert.equal(forget(...halves(fenced), 1), 1);
      l1.flushAll();
      assert.equal(forget(...halves(fenced), ALL_SPACES), 1);
    }),
  );
});

test('fences beside large pages are not', () => {
  const l1 = new L1Tlb(memory);
  // Linux: 1 GiB of RAM in pages of 2 MiB, its fixed mappings, and 4 GiB above.
  for (let page = 0n; page < 512n; page++)
    l1.fill(TlbContext.supervisor, ...halves(0xffff_ffd6_0000_0000n + page * 2n ** 21n), GUEST, Access.read, 512);
  for (const at of [0xffff_ffc4_fea0_0000n, 0xffff_ffd6_4000_0000n, 0x1234_5000n]) {
    l1.fill(TlbContext.supervisor, ...halves(at), GUEST, Access.read, 1);
    assert.equal(forget(...halves(at), ALL_SPACES), 1);
    assert.equal(l1.probe(TlbContext.supervisor, ...halves(at), Access.read), 0);
  }
  assert.notEqual(l1.probe(TlbContext.supervisor, ...halves(0xffff_ffd6_3fe0_0000n), Access.read), 0);
  l2.checkInvariants();
});
