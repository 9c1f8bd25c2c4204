import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Slot, writeCsrSlot } from '../isa/riscv/csr-storage.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { GUEST, PAGE_SIZE } from '../layout/memory-map.ts';
import { ENGINES, type EngineName, hart, LEAF, RAM, ROOT } from './hart.test-support.ts';

/** Where the page of code can lie beside its own place. */
const OTHER = 16;
/** Tables of the three levels follow each other. */
const LEAVES = ROOT + 2 * PAGE_SIZE;
const TURNS = 1000;
/** Turns of the loop from one change of the page table to the next. */
const PERIOD = 64;
const FENCES = {
  'sfence.vma a0,zero': 'own',
  'sfence.vma a0,a1': 'own',
  'sfence.vma zero,zero': 'all',
  'sfence.vma zero,a1': 'all',
  'sinval.vma a0,zero': 'own',
} as const;

/** Moves its own page now and then, fences, and adds 1 in one place of the page and 3 in the other. */
function loop(fence: string): string[] {
  return [
    'andi t3,s1,63',
    'sltiu t3,t3,1',
    'sub t3,zero,t3',
    'and t3,t3,t1',
    'xor t0,t0,t3',
    'sd t0,0(t2)',
    fence,
    'addi s0,s0,1',
    'addi s1,s1,-1',
    `bne s1,zero,0x${RAM.toString(16)}`,
  ];
}

const leafOf = (page: number): bigint => (BigInt(RAM / PAGE_SIZE + page) << 10n) | LEAF;

/** Runs the loop in supervisor mode behind Sv39. `moves`: whether the page table changes; `fenced`: the page whose address a0 holds. */
function run(kind: EngineName, fence: string, { moves, fenced }: { readonly moves: boolean; readonly fenced: number }) {
  const program = loop(fence);
  const made = hart(kind, program);
  const { state, ram, cpu } = made;
  const bytes = new Uint8Array(ram.buffer, GUEST, PAGE_SIZE * (OTHER + 1));
  bytes.copyWithin(OTHER * PAGE_SIZE, 0, PAGE_SIZE);
  // The immediate of `addi s0,s0,1`.
  const at = OTHER * PAGE_SIZE + 4 * program.indexOf('addi s0,s0,1');
  ram.setUint32(at, (ram.getUint32(at, true) & 0xf_ffff) | (3 << 20), true);
  const [root, middle, leaves] = [ROOT, ROOT + PAGE_SIZE, LEAVES].map((address) => address - RAM) as [
    number,
    number,
    number,
  ];
  const pointer = (address: number) => (BigInt((RAM + address) / PAGE_SIZE) << 10n) | 1n;
  ram.setBigUint64(root + 8 * 2, pointer(middle), true);
  ram.setBigUint64(middle, pointer(leaves), true);
  for (let page = 0; page < 256; page++) ram.setBigUint64(leaves + 8 * page, leafOf(page), true);
  const set = (register: number, value: bigint) => state.setBigUint64(X.offset + 8 * register, value, true);
  set(5, leafOf(0));
  set(6, moves ? leafOf(0) ^ leafOf(OTHER) : 0n);
  set(7, BigInt(LEAVES));
  set(9, BigInt(TURNS));
  set(10, BigInt(RAM + fenced * PAGE_SIZE));
  state.setUint32(PRIVILEGE.offset, Privilege.supervisor, true);
  writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
  writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
  writeCsrSlot(state, Slot.satp, (8n << 60n) | BigInt(ROOT / PAGE_SIZE));
  made.hooks.protectionChanged();
  made.hooks.translationChanged();
  made.run(program.length * TURNS);
  made.mmu.checkInvariants();
  return {
    sum: Number(made.x(8)),
    left: Number(made.x(9)),
    counters: cpu.counters as Readonly<Record<string, number>>,
  };
}

function sumOfMoves(): number {
  let isOther = false;
  let sum = 0;
  for (let left = TURNS; left > 0; left--) {
    if (left % PERIOD === 0) isOther = !isOther;
    sum += isOther ? 3 : 1;
  }
  return sum;
}

for (const fence of Object.keys(FENCES)) {
  test(`behind ${fence} code is fetched from where its page is now, in every tier`, () => {
    for (const kind of Object.keys(ENGINES) as EngineName[]) {
      const { sum, left } = run(kind, fence, { moves: true, fenced: 0 });
      assert.deepEqual({ sum, left }, { sum: sumOfMoves(), left: 0 }, kind);
    }
  });
}

test('regions go on behind the fence of another page, and are left by that of their own', () => {
  const other = run('optimized', 'sfence.vma a0,zero', { moves: false, fenced: 3 });
  const own = run('optimized', 'sfence.vma a0,zero', { moves: false, fenced: 0 });
  for (const { sum, left } of [other, own]) assert.deepEqual({ sum, left }, { sum: TURNS, left: 0 });
  const { regionInstructions = 0 } = other.counters;
  assert.ok(regionInstructions > 5 * TURNS, `${regionInstructions} instructions in regions`);
  const entries = ({ counters }: typeof own) => counters['regionEntries']! + (counters['chained'] ?? 0);
  assert.ok(entries(other) < TURNS / 10, `${entries(other)} entries`);
  assert.ok(entries(own) > TURNS / 2, `${entries(own)} entries`);
});
