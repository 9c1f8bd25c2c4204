import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCsrSlot, Slot, writeCsrSlot } from '../isa/riscv/csr-storage.ts';
import { Interrupt, setInterruptLine } from '../isa/riscv/interrupt.ts';
import { Privilege, PRIVILEGE, X } from '../isa/riscv/registers.ts';
import { ENGINES, hart, RAM, type EngineName } from './hart.test-support.ts';
import { RiscvHart } from './riscv-hart.ts';

function machine(kind: EngineName, program: readonly string[]) {
  const clock = { now: 0n };
  const { cpu, state, hooks, x } = hart(kind, program, () => clock.now);
  const it = new RiscvHart(cpu, hooks, () => clock.now);
  return { it, cpu, state, x, clock, hooks };
}

const HANDLER = BigInt(RAM) + 0x10n;

for (const kind of Object.keys(ENGINES) as EngineName[]) {
  test(`${kind}: WFI waits until an interrupt is pending, which then is taken`, () => {
    const { it, state, x, cpu } = machine(kind, [
      'csrrsi zero, mstatus, 8',
      'wfi',
      'addi a0, a0, 1',
      'jal zero, 0x80000004',
      // The handler:
      'addi a1, a1, 1',
      'csrrwi zero, mie, 0',
      'mret',
    ]);
    writeCsrSlot(state, Slot.mtvec, HANDLER);
    writeCsrSlot(state, Slot.mie, 0x80n);
    it.run(100);
    assert.equal(it.waiting, true);
    assert.equal(it.instructions, 2, 'WFI has retired');
    it.run(100);
    assert.equal(it.instructions, 2, 'and nothing after it');
    setInterruptLine(state, Interrupt.machineTimer, true);
    it.run(4);
    assert.equal(it.waiting, false);
    assert.deepEqual([x(10), x(11)], [1n, 1n]);
    assert.deepEqual([...it.counters.interrupts], [[7, 1]]);
    assert.equal(readCsrSlot(state, Slot.mepc), BigInt(RAM) + 8n, 'after the WFI');
    assert.equal(cpu.pc, BigInt(RAM) + 12n);
  });

  test(`${kind}: the supervisor timer interrupts when time reaches stimecmp`, () => {
    const { it, state, clock, x, hooks } = machine(kind, [
      'csrrw zero, stimecmp, a0',
      'addi a1, a1, 1',
      'jal zero, 0x80000004',
      'addi zero, zero, 0',
      // The handler:
      'csrrs a2, scause, zero',
      'jal zero, 0x80000014',
    ]);
    writeCsrSlot(state, Slot.menvcfg, 1n << 63n);
    writeCsrSlot(state, Slot.mcounteren, 2n);
    writeCsrSlot(state, Slot.mideleg, 0x20n);
    writeCsrSlot(state, Slot.mie, 0x20n);
    writeCsrSlot(state, Slot.stvec, HANDLER);
    writeCsrSlot(state, Slot.mstatus, 2n);
    writeCsrSlot(state, Slot.stimecmp, 1000n);
    state.setUint32(PRIVILEGE.offset, Privilege.supervisor, true);
    // All memory is open to supervisor mode.
    writeCsrSlot(state, Slot.pmpConfiguration, 0x1fn);
    writeCsrSlot(state, Slot.pmpAddress, (1n << 54n) - 1n);
    hooks.protectionChanged();
    hooks.translationChanged();
    state.setBigUint64(X.offset + 80, 500n, true);
    it.run(50);
    assert.equal(it.deadline, 500);
    assert.equal(it.counters.interrupts.size, 0);
    assert.ok(x(11) > 10n);
    clock.now = 500n;
    it.run(5);
    assert.deepEqual([...it.counters.interrupts], [[5, 1]]);
    assert.equal(x(12), (1n << 63n) | 5n);
    assert.equal(it.deadline, Infinity, 'it has passed');
  });

  test(`${kind}: a timer that comes due after the hart began to wait wakes it`, () => {
    const { it, state, clock } = machine(kind, ['wfi', 'addi a1, a1, 1', 'jal zero, 0x80000004']);
    writeCsrSlot(state, Slot.menvcfg, 1n << 63n);
    writeCsrSlot(state, Slot.mie, 0x20n);
    writeCsrSlot(state, Slot.stimecmp, 1000n);
    it.run(50);
    assert.deepEqual([it.waiting, it.deadline], [true, 1000]);
    clock.now = 1000n;
    assert.equal(it.deadline, 0, 'there is nothing to wait for');
    it.run(50);
    assert.equal(it.waiting, false);
  });

  test(`${kind}: a handler that traps gets no more than its share`, () => {
    const { it, state } = machine(kind, ['ebreak']);
    writeCsrSlot(state, Slot.mtvec, BigInt(RAM));
    it.run(1_000_000);
    assert.equal(it.instructions, 0);
    assert.equal(it.counters.exceptions.get(3), 1000);
  });
}
