import assert from 'node:assert/strict';
import { test } from 'node:test';
import { riscv64 } from '../../isa/riscv/index.ts';
import { planBoot, type BootPlan } from './boot.ts';
import { RAM_BASE } from './map.ts';
import { ReferenceMachine } from './reference-machine.test-support.ts';

const RAM = 8 * 2 ** 20;

/** Machine code at `base`; `@name` in a line stands for the address of the line `name:`. */
function assemble(base: number, lines: readonly string[]): Uint8Array {
  const labels = new Map<string, number>();
  let at = base;
  for (const line of lines) {
    if (line.endsWith(':')) labels.set(line.slice(0, -1), at);
    else at += 4;
  }
  const words: Uint8Array[] = [];
  at = base;
  for (const line of lines) {
    if (line.endsWith(':')) continue;
    const text = line.replace(/@(\w+)/, (_, name: string) => `0x${labels.get(name)!.toString(16)}`);
    const bytes = riscv64.assemble(text, BigInt(at));
    assert.ok(bytes instanceof Uint8Array && bytes.length === 4, `${text}: ${JSON.stringify(bytes)}`);
    words.push(bytes);
    at += 4;
  }
  return Buffer.concat(words);
}

/** A supervisor call: extension in two halves, as lui and addiw take it, and the function. */
const call = (upper: string, lower: number, id: number): string[] => [
  `lui a7, ${upper}`,
  `addiw a7, a7, ${lower}`,
  `addi a6, zero, ${id}`,
  'ecall',
];
const WRITE_BYTE = call('0x44424', 0x34e, 2);
const SET_TIMER = call('0x54495', -0x2bb, 0);
const RESET = call('0x53525', 0x354, 0);

/** A kernel begins 2 MiB into RAM. */
const supervisor = (lines: readonly string[]): BootPlan =>
  planBoot(
    { ramSize: RAM, harts: 1, mmu: 'sv39', extensions: ['i', 'm', 'a', 'sstc'] },
    { kernel: { origin: 'program', bytes: assemble(RAM_BASE + 0x20_0000, lines) } },
  );

test('a kernel in supervisor mode gets hart and device tree, writes to the console in two ways and powers off', () => {
  const machine = new ReferenceMachine(
    RAM,
    supervisor([
      // The first word of the tree, big-endian: 0xd0 at its lowest address.
      'lbu s0, 0(a1)',
      'add s1, a0, zero',
      'addi a0, zero, 65',
      ...WRITE_BYTE,
      'lui t0, 0x10000',
      'addi t1, s1, 66',
      'sb t1, 0(t0)',
      'addi a0, zero, 0',
      'addi a1, zero, 0',
      ...RESET,
    ]),
  );
  machine.run(1000);
  assert.equal(machine.console, 'AB');
  assert.deepEqual(machine.finish, { kind: 'pass' });
  assert.equal(machine.cpu.state.getUint8(0x100 + 8 * 8), 0xd0);
});

test('the timer that was set by a supervisor call interrupts at its time', () => {
  const machine = new ReferenceMachine(
    RAM,
    supervisor([
      'auipc t0, 0',
      'addi t0, t0, 64',
      'csrrw zero, stvec, t0',
      'csrrs s0, time, zero',
      'addi a0, s0, 1000',
      ...SET_TIMER,
      'addi t0, zero, 32',
      'csrrs zero, sie, t0',
      'csrrsi zero, sstatus, 2',
      'wait:',
      'wfi',
      'jal zero, @wait',
      'addi zero, zero, 0',
      'addi zero, zero, 0',
      // The handler, at 64: what is left is the cause and how much time has passed.
      'csrrs s1, scause, zero',
      'csrrs s2, time, zero',
      'sub s2, s2, s0',
      'addi a0, zero, 0',
      'addi a1, zero, 0',
      ...RESET,
    ]),
  );
  machine.run(5000);
  assert.deepEqual(machine.finish, { kind: 'pass' });
  const x = (n: number): bigint => machine.cpu.state.getBigUint64(0x100 + 8 * n, true);
  assert.equal(x(9), (1n << 63n) | 5n);
  assert.ok(x(18) >= 1000n && x(18) < 1100n, `${x(18)} ticks`);
});

test('a key pressed interrupts through UART and PLIC, is claimed, echoed and completed', () => {
  const machine = new ReferenceMachine(
    RAM,
    supervisor([
      'auipc t0, 0',
      'addi t0, t0, 96',
      'csrrw zero, stvec, t0',
      // UART: interrupt on received data. PLIC: source 10 of priority 1, enabled in context 1.
      'lui s0, 0x10000',
      'addi t1, zero, 1',
      'sb t1, 1(s0)',
      'lui s1, 0xc000',
      'sw t1, 40(s1)',
      'addi t2, zero, 1024',
      'lui t3, 0xc002',
      'sw t2, 128(t3)',
      'lui s2, 0xc201',
      'sw zero, 0(s2)',
      'addi t0, zero, 512',
      'csrrs zero, sie, t0',
      'csrrsi zero, sstatus, 2',
      'wait:',
      'wfi',
      'jal zero, @wait',
      ...Array.from({ length: 6 }, () => 'addi zero, zero, 0'),
      // The handler, at 96.
      'lw s3, 4(s2)',
      'lbu t0, 0(s0)',
      'sb t0, 0(s0)',
      'sw s3, 4(s2)',
      // Still pending while there are more characters.
      'lui t0, 0xc001',
      'lw s4, 0(t0)',
      'sret',
    ]),
  );
  machine.run(500);
  assert.equal(machine.console, '');
  for (const key of ['x', 'y', 'zz']) {
    machine.board.uart.receive(Buffer.from(key));
    machine.run(machine.cpu.counters.instructions + 500);
  }
  assert.equal(machine.console, 'xyzz');
  const x = (n: number): bigint => machine.cpu.state.getBigUint64(0x100 + 8 * n, true);
  assert.deepEqual([x(19), x(20)], [10n, 0n]);
});

test('firmware begins in machine mode with what the ROM hands over, and may use the test finisher', () => {
  const firmware = assemble(RAM_BASE, [
    'csrrs s0, mhartid, zero',
    'lw s1, 0(a2)',
    'lui t0, 0x100',
    'lui t1, 0x73',
    'addiw t1, t1, 819',
    'sw t1, 0(t0)',
  ]);
  const plan = planBoot(
    { ramSize: RAM, harts: 1, mmu: 'sv39', extensions: ['i', 'm', 'a'] },
    { firmware: { origin: 'fw', bytes: firmware } },
  );
  const machine = new ReferenceMachine(RAM, plan);
  machine.run(100);
  assert.deepEqual(machine.finish, { kind: 'fail', code: 7 });
  assert.equal(machine.cpu.state.getUint32(0x100 + 8 * 9, true), 0x4942534f);
});
