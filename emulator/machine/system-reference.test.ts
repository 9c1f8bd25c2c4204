import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCsrSlot, Slot, writeCsrSlot } from '../isa/riscv/csr-storage.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { causeOfFault } from '../isa/riscv/trap.ts';
import { ExitReason } from '../layout/state.ts';
import { ENGINES, hart, LEAF, RAM, ROOT, type EngineName } from './hart.test-support.ts';

/** satp for Sv39 with the root table at ROOT. */
const SATP = (8n << 60n) | BigInt(ROOT / 4096);

for (const kind of Object.keys(ENGINES) as EngineName[]) {
  test(`${kind}: satp takes effect with the next instruction, and what is not mapped traps to where it is told`, () => {
    const { state, ram, run, x, hooks } = hart(kind, [
      'csrrw zero, satp, a0',
      'sfence.vma zero, zero',
      'csrrw zero, mepc, a1',
      'mret',
      // In supervisor mode, at 0x40000010:
      'ld t0, 0(a2)',
      'addi t1, zero, 7',
      // The handler, at 0x40000018:
      'csrrs t2, scause, zero',
      'csrrs t3, stval, zero',
      'csrrs t4, sepc, zero',
      'sd t2, 0(a3)',
    ]);
    // 1 GiB at 0x40000000 is RAM; that at 0x80000000 likewise, for machine mode does not care.
    ram.setBigUint64(ROOT - RAM + 8, (BigInt(RAM / 4096) << 10n) | LEAF, true);
    writeCsrSlot(state, Slot.mstatus, 1n << 11n);
    writeCsrSlot(state, Slot.medeleg, 1n << 13n);
    writeCsrSlot(state, Slot.stvec, 0x4000_0018n);
    // Physical memory is open to all.
    writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
    writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
    const set = (index: number, value: bigint) => state.setBigUint64(X.offset + 8 * index, value, true);
    set(10, SATP);
    set(11, 0x4000_0010n);
    set(12, 0xffff_ffff_0000_0008n);
    set(13, 0x4000_9000n);
    hooks.protectionChanged();
    run(8);
    assert.equal(state.getUint32(PRIVILEGE.offset, true), Privilege.supervisor);
    assert.deepEqual([x(7), x(28), x(29)], [13n, 0xffff_ffff_0000_0008n, 0x4000_0010n]);
    assert.equal(x(6), 0n, 'what follows the load did not run');
    assert.equal(ram.getBigUint64(0x9000, true), 13n, 'the store went through the mapping');
  });

  test(`${kind}: an instruction across two pages is fetched from both, or faults with the address of the second`, () => {
    const { cpu, state, ram, run, hooks, x } = hart(kind, ['csrrw zero, satp, a0', 'csrrw zero, mepc, a1', 'mret']);
    writeCsrSlot(state, Slot.mstatus, 1n << 11n);
    writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
    writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
    hooks.protectionChanged();
    const tables = [ROOT, ROOT + 4096, ROOT + 8192];
    ram.setBigUint64(ROOT - RAM, (BigInt(tables[1]! / 4096) << 10n) | 1n, true);
    ram.setBigUint64(tables[1]! - RAM, (BigInt(tables[2]! / 4096) << 10n) | 1n, true);
    // Virtual pages 4 and 5 are the physical pages 0x30 and 0x20 of RAM: `addi t0, zero, 42` lies across them.
    ram.setBigUint64(tables[2]! - RAM + 8 * 4, (BigInt(RAM / 4096 + 0x30) << 10n) | LEAF, true);
    ram.setUint16(0x3_0ffe, 0x0293, true);
    ram.setUint16(0x2_0000, 0x02a0, true);
    state.setBigUint64(X.offset + 80, SATP, true);
    state.setBigUint64(X.offset + 88, 0x4ffen, true);
    run(3);
    assert.equal(cpu.run(1), ExitReason.fault);
    assert.deepEqual([causeOfFault(cpu.cause), cpu.value, cpu.pc], [12, 0x5000n, 0x4ffen]);
    ram.setBigUint64(tables[2]! - RAM + 8 * 5, (BigInt(RAM / 4096 + 0x20) << 10n) | LEAF, true);
    assert.equal(cpu.run(1), ExitReason.budget);
    assert.equal(x(5), 42n);
    assert.equal(readCsrSlot(state, Slot.satp), SATP);
  });

  test(`${kind}: stores to code take effect after fence.i, in the same page and under another address`, () => {
    const { ram, run, x, state, hooks } = hart(kind, [
      // Twice: executes the instruction at 0x24, then overwrites it with a1.
      'addi t0, zero, 2',
      'auipc t1, 0',
      'jalr ra, 32(t1)',
      'sw a1, 32(t1)',
      'fence.i',
      'addi t0, t0, -1',
      'bne t0, zero, 0x80000008',
      'jal zero, 0x8000001c',
      'addi zero, zero, 0',
      // 0x24:
      'addi a2, a2, 1',
      'jalr zero, 0(ra)',
    ]);
    // addi a2, a2, 16
    state.setBigUint64(X.offset + 88, 0x0106_0613n, true);
    hooks.translationChanged();
    run(17);
    assert.equal(x(12), 17n, 'once the old instruction, once the new');
    assert.equal(ram.getUint32(0x24, true), 0x0106_0613);
  });

  test(`${kind}: a budget split in any way gives the same end`, () => {
    const program = [
      'addi t0, zero, 100',
      'addi a0, a0, 3',
      'mul a1, a0, t0',
      'xor a2, a2, a1',
      'csrrs a3, minstret, zero',
      'add a4, a4, a3',
      'addi t0, t0, -1',
      'bne t0, zero, 0x80000004',
      'jal zero, 0x80000020',
    ];
    const ends = [1, 2, 7, 64, 65, 1000].map((slice) => {
      const { cpu, x } = hart(kind, program);
      while (cpu.counters.instructions < 650) cpu.run(Math.min(slice, 650 - cpu.counters.instructions));
      assert.equal(cpu.counters.instructions, 650);
      return [cpu.pc, ...[5, 10, 11, 12, 13, 14].map(x)];
    });
    for (const end of ends) assert.deepEqual(end, ends[0]);
  });
}
