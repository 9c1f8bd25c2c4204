import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AlarmClock } from '../../device/clock.ts';
import { Probe } from '../../device/mmio-driver.test-support.ts';
import type { Finish } from '../../device/test-finisher.ts';
import { Interrupt, pendingBits } from '../../isa/riscv/interrupt.ts';
import { STATE, STATE_SIZE } from '../../layout/memory-map.ts';
import { Bus } from '../../memory/bus.ts';
import { hartWires, VirtBoard } from './board.ts';
import { INTERRUPTS, pciInterrupt, plicContext, TIMEBASE_FREQUENCY, virtioSlot } from './map.ts';

function build() {
  let ticks = 0;
  const clock = new AlarmClock(TIMEBASE_FREQUENCY, () => ticks);
  const harts = [0, 1].map(() => ({
    machineSoftware: new Probe(),
    machineTimer: new Probe(),
    machineExternal: new Probe(),
    supervisorExternal: new Probe(),
  }));
  const sent: number[] = [];
  const finishes: Finish[] = [];
  const board = new VirtBoard({
    clock,
    epoch: 1_000_000_000n,
    harts,
    rom: Uint8Array.of(0x97, 0x02),
    output: (byte) => sent.push(byte),
    finish: (finish) => finishes.push(finish),
  });
  const bus = new Bus(new WebAssembly.Memory({ initial: 1 }));
  board.attach(bus);
  const advance = (by: number): void => {
    ticks += by;
    clock.poll();
  };
  return { board, bus, harts, sent, finishes, advance };
}

const PLIC = 0xc00_0000;
/** Lets `source` interrupt the supervisor of hart 1. */
function enable(bus: Bus, source: number): void {
  bus.writeDevice(PLIC + 4 * source, 4, 1);
  bus.writeDevice(
    PLIC + 0x2000 + 0x80 * plicContext(1, 'supervisor') + 4 * (source >>> 5),
    4,
    (1 << (source & 31)) >>> 0,
  );
}

test('every device answers where the map has it', () => {
  const { bus, sent, finishes, advance } = build();
  bus.writeDevice(0x1000_0000, 1, 0x41);
  bus.writeDevice(0x10_0000, 4, 0x5555);
  advance(5);
  assert.deepEqual(sent, [0x41]);
  assert.deepEqual(finishes, [{ kind: 'pass' }]);
  assert.equal(bus.readDevice(0x200_bff8, 8), 5n);
  assert.equal(bus.readDevice(0x10_1000, 4), 1_000_000_500);
  assert.equal(bus.readDevice(0x1000, 2), 0x0297);
  assert.equal(bus.writeDevice(0x1000, 2, 0), false, 'ROM is not written');
  assert.equal(bus.readDevice(0x3000, 8), 0n);
  assert.equal(bus.readDevice(PLIC, 8), undefined, 'the PLIC has 4-byte accesses only');
  assert.equal(bus.readDevice(0x1000_0100, 1), undefined, 'nothing lies behind the UART');
});

test('CLINT wires go to their harts', () => {
  const { bus, harts, advance } = build();
  bus.writeDevice(0x200_0004, 4, 1);
  bus.writeDevice(0x200_4000, 8, 10n);
  advance(10);
  assert.deepEqual(
    harts.map(({ machineSoftware, machineTimer }) => [machineSoftware.level, machineTimer.level]),
    [
      [false, true],
      [true, false],
    ],
  );
});

test('UART, clock, virtio slots and PCI pins interrupt through the PLIC under their numbers', () => {
  const { board, bus, harts } = build();
  const raise: Record<number, () => void> = {
    [INTERRUPTS.uart]: () => {
      bus.writeDevice(0x1000_0001, 1, 1);
      board.uart.receive(Uint8Array.of(1));
    },
    [INTERRUPTS.rtc]: () => {
      bus.writeDevice(0x10_1010, 4, 1);
      bus.writeDevice(0x10_1008, 4, 0);
    },
    [virtioSlot(7).interrupt]: () => board.virtioLine(7).set(true),
    [pciInterrupt(2, 3)]: () => board.pciLine(2, 3).set(true),
  };
  const claim = PLIC + 0x20_0004 + 0x1000 * plicContext(1, 'supervisor');
  for (const [source, act] of Object.entries(raise)) {
    enable(bus, Number(source));
    assert.equal(harts[1]!.supervisorExternal.level, false, source);
    act();
    assert.equal(harts[1]!.supervisorExternal.level, true, source);
    assert.equal(bus.readDevice(claim, 4), Number(source));
  }
  assert.deepEqual([harts[0]!.supervisorExternal.rises, harts[1]!.machineExternal.rises], [0, 0]);
});

test('a PCI wire that two devices share is low only when both are', () => {
  const { board, bus, harts } = build();
  enable(bus, pciInterrupt(1, 0));
  const claim = PLIC + 0x20_0004 + 0x1000 * plicContext(1, 'supervisor');
  const handle = (): void => {
    bus.writeDevice(claim, 4, bus.readDevice(claim, 4)!);
  };
  board.pciLine(1, 0).set(true);
  board.pciLine(5, 0).set(true);
  board.pciLine(1, 0).set(false);
  handle();
  assert.equal(harts[1]!.supervisorExternal.level, true);
  board.pciLine(5, 0).set(false);
  handle();
  assert.equal(harts[1]!.supervisorExternal.level, false);
});

test('a reset lowers what the devices hold', () => {
  const { board, bus, harts } = build();
  bus.writeDevice(0x200_0000, 4, 1);
  bus.writeDevice(0x200_4000, 8, 0n);
  board.reset();
  assert.deepEqual([harts[0]!.machineSoftware.level, harts[0]!.machineTimer.level], [false, false]);
});

test('wires of a hart’s state set the bits of mip', () => {
  const memory = new WebAssembly.Memory({ initial: 2 });
  const state = new DataView(memory.buffer, STATE, STATE_SIZE);
  const wires = hartWires(state, () => {});
  for (const [wire, interrupt] of [
    [wires.machineSoftware, Interrupt.machineSoftware],
    [wires.machineTimer, Interrupt.machineTimer],
    [wires.machineExternal, Interrupt.machineExternal],
    [wires.supervisorExternal, Interrupt.supervisorExternal],
  ] as const) {
    wire.set(true);
    assert.equal(pendingBits(state), 1 << interrupt);
    wire.set(false);
    assert.equal(pendingBits(state), 0);
  }
});
