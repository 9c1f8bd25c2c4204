import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slot, writeCsrSlot } from '../isa/riscv/csr-storage.ts';
import { riscv64 } from '../isa/riscv/index.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { GUEST, PAGE_SIZE } from '../layout/memory-map.ts';
import { ExitReason } from '../layout/state.ts';
import { TlbContext } from '../memory/l1-tlb.ts';
import { ENGINES, type EngineName, hart, LEAF, RAM, ROOT } from './hart.test-support.ts';

const GLOBAL = 0x20n;
const ASID = 44n;
const TURNS = 4000;
const hex = (address: number): string => `0x${address.toString(16)}`;
/** Goes to the other of two address spaces, which have the same page table. */
const SWITCH = 'csrrw zero,satp,t0';
const NOTHING = 'addi zero,zero,0';
/** Turns from one time that the TLB forgets the function's page to the next. */
const STRIDE = 20;
const CALL = `jal ra,${hex(RAM + PAGE_SIZE)}`;
/** Calls a function in another page, once before the loop so that this is translated with it. */
const loop = (first: string): string[] => [
  CALL,
  first,
  'xor t0,t0,t1',
  CALL,
  'addi s1,s1,-1',
  `bne s1,zero,${hex(RAM + 4)}`,
];
const FUNCTION = ['addi s0,s0,1', 'jalr zero,0(ra)'];

/** Runs the loop in supervisor mode behind Sv39, whose leaves have `flags`. `forgets`: now and then, between call and loop's end, the TLB forgets the function's page. */
function run(kind: EngineName, first: string, flags: bigint, forgets = false) {
  const program = loop(first);
  const made = hart(kind, program);
  const { state, ram, cpu } = made;
  FUNCTION.forEach((line, n) => {
    const bytes = riscv64.assemble(line, BigInt(RAM + PAGE_SIZE + 4 * n));
    assert.ok(bytes instanceof Uint8Array);
    new Uint8Array(ram.buffer, GUEST + PAGE_SIZE + 4 * n).set(bytes);
  });
  const table = (level: number) => ROOT - RAM + level * PAGE_SIZE;
  const entry = (page: number, bits: bigint) => (BigInt(RAM / PAGE_SIZE + page) << 10n) | bits;
  ram.setBigUint64(table(0) + 8 * 2, entry(table(1) / PAGE_SIZE, 1n), true);
  ram.setBigUint64(table(1), entry(table(2) / PAGE_SIZE, 1n), true);
  for (let page = 0; page < 256; page++) ram.setBigUint64(table(2) + 8 * page, entry(page, flags), true);
  const satp = (8n << 60n) | (1n << ASID) | BigInt(ROOT / PAGE_SIZE);
  const set = (register: number, value: bigint) => state.setBigUint64(X.offset + 8 * register, value, true);
  set(5, satp);
  set(6, 3n << ASID);
  set(9, BigInt(TURNS));
  state.setUint32(PRIVILEGE.offset, Privilege.supervisor, true);
  writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
  writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
  writeCsrSlot(state, Slot.satp, satp);
  made.hooks.protectionChanged();
  made.hooks.translationChanged();
  const turn = program.length - 1 + FUNCTION.length;
  const start = 1 + FUNCTION.length;
  const total = start + turn * TURNS;
  let next = forgets ? start + turn - 2 : total;
  while (cpu.counters.instructions < total) {
    // It comes back after each change of the address space.
    const reason = cpu.run(next - cpu.counters.instructions);
    assert.ok(reason === ExitReason.budget || reason === ExitReason.helper, `${kind}: ${reason}, cause ${cpu.cause}`);
    if (cpu.counters.instructions < next) continue;
    next = Math.min(total, next + STRIDE * turn);
    made.mmu.l1.flushPage(TlbContext.supervisor, RAM + PAGE_SIZE, 0);
  }
  made.mmu.checkInvariants();
  assert.deepEqual([made.x(8), made.x(9)], [BigInt(TURNS + 1), 0n], kind);
  const counters: Partial<Record<string, number>> = { ...cpu.counters, misses: made.mmu.counters.l1Misses };
  return counters;
}

test('two address spaces in turn, with global pages and without, are the same to the guest in every tier', () => {
  for (const kind of Object.keys(ENGINES) as EngineName[])
    for (const flags of [LEAF, LEAF | GLOBAL]) {
      const { instructions, regionInstructions = 0 } = run(kind, SWITCH, flags);
      assert.ok(regionInstructions <= instructions!, 'what the interpreter has retired is not counted for regions');
      run(kind, NOTHING, flags, true);
    }
});

test('global code is not looked up again in another address space, nor its regions left for JavaScript', () => {
  const { misses = 0, unsuited = 0, chainRefills = 0 } = run('optimized', SWITCH, LEAF | GLOBAL);
  assert.ok(misses < 100, `${misses} misses`);
  assert.ok(unsuited + chainRefills < TURNS / 10, `${unsuited} unsuited, ${chainRefills} refills`);
});

test('regions one of whose pages is not in the TLB are entered once it is, and not made anew for it', () => {
  const { unsuited = 0, regions = 0, regionInstructions = 0 } = run('sampled', NOTHING, LEAF, true);
  assert.ok(unsuited > TURNS / STRIDE / 2, `${unsuited} unsuited`);
  assert.ok(regions < 8, `${regions} regions`);
  assert.ok(regionInstructions > 6 * TURNS, `${regionInstructions} instructions in regions`);
});
