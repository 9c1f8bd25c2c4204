import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../../check/errors.ts';
import { AlarmClock } from '../../device/clock.ts';
import { UNCONNECTED } from '../../device/device.ts';
import { VirtioEntropy } from '../../device/virtio/entropy.ts';
import { GUEST } from '../../layout/memory-map.ts';
import { Bus } from '../../memory/bus.ts';
import { VirtBoard } from './board.ts';
import { Expansion } from './expansion.ts';
import { INTERRUPTS, RAM_BASE, TIMEBASE_FREQUENCY } from './map.ts';

const RAM_SIZE = 0x10_0000;
const ECAM = 0x3000_0000;

function build(transport: 'pci' | 'mmio', count: number) {
  let ticks = 0;
  const clock = new AlarmClock(TIMEBASE_FREQUENCY, () => ticks);
  const memory = new WebAssembly.Memory({ initial: (GUEST + RAM_SIZE) / 65_536 });
  const bus = new Bus(memory);
  bus.addRam('RAM', RAM_BASE, RAM_SIZE, GUEST);
  const written: number[] = [];
  bus.onWrite = (linear) => void written.push(linear - GUEST + RAM_BASE);
  const hart = {
    machineSoftware: UNCONNECTED,
    machineTimer: UNCONNECTED,
    machineExternal: UNCONNECTED,
    supervisorExternal: UNCONNECTED,
  };
  const board = new VirtBoard({
    clock,
    epoch: 0n,
    harts: [hart],
    rom: new Uint8Array(4),
    output: () => {},
    finish: () => {},
  });
  board.attach(bus);
  const devices = Array.from(
    { length: count },
    () => new VirtioEntropy({ clock, source: (target) => void target.fill(0x5e) }),
  );
  const expansion = new Expansion(bus, { board, devices, transport, memory, ramSize: RAM_SIZE, linear: GUEST });
  const pass = (): void => {
    ticks += 1;
    clock.poll();
  };
  const pending = (source: number): boolean =>
    ((bus.readDevice(0xc00_1000 + 4 * (source >>> 5), 4) as number) & (1 << (source & 31))) !== 0;
  return { bus, expansion, pass, pending, written };
}

/** A queue of one at the start of RAM, with one buffer of eight bytes at RAM + 0x1000. */
function offerBuffer(bus: Bus): DataView {
  const bytes = bus.view(RAM_BASE, RAM_SIZE)!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setBigUint64(0, BigInt(RAM_BASE + 0x1000), true);
  view.setUint32(8, 8, true);
  view.setUint16(12, 2, true);
  view.setUint16(0x102, 1, true);
  return view;
}

/** What a driver writes to start queue 0, as 32-bit words at virtio-mmio offsets. */
const START: readonly (readonly [offset: number, value: number])[] = [
  [0x070, 3],
  [0x024, 1],
  [0x020, 1],
  [0x070, 11],
  [0x038, 1],
  [0x080, RAM_BASE],
  [0x090, RAM_BASE + 0x100],
  [0x0a0, RAM_BASE + 0x200],
  [0x044, 1],
  [0x070, 15],
  [0x050, 0],
];

test('devices in memory-mapped slots work, interrupt by their own input, and the others are empty', () => {
  const { bus, expansion, pass, pending, written } = build('mmio', 2);
  const types = Array.from({ length: 8 }, (_, slot) => bus.readDevice(0x1000_1000 + 0x1000 * slot + 8, 4));
  assert.deepEqual(types, [4, 4, 0, 0, 0, 0, 0, 0]);
  assert.equal(bus.readDevice(0x1000_8000, 4), 0x7472_6976, 'an empty slot still has its magic');
  const view = offerBuffer(bus);
  for (const [offset, value] of START) assert.ok(bus.writeDevice(0x1000_2000 + offset, 4, value));
  pass();
  assert.equal(view.getUint8(0x1007), 0x5e);
  assert.ok(written.includes(RAM_BASE + 0x1000));
  assert.deepEqual([pending(INTERRUPTS.virtio), pending(INTERRUPTS.virtio + 1)], [false, true]);
  assert.equal(expansion.states[1]!.queues[0]!.counters.used, 1);
  expansion.reset();
  assert.equal(bus.readDevice(0x1000_2070, 4), 0);
});

test('devices in PCI slots are found, placed by the guest, and interrupt by the shared inputs', () => {
  const { bus, expansion, pass, pending } = build('pci', 3);
  const ids = [0, 1, 2, 3, 4].map((slot) => bus.readDevice(ECAM + (slot << 15), 4));
  assert.deepEqual(ids, [0x0008_1b36, 0x1044_1af4, 0x1044_1af4, 0x1044_1af4, 0xffff_ffff]);
  assert.equal(bus.readDevice(0x1000_1008, 4), 0, 'all memory-mapped slots are empty');
  assert.equal(bus.readDevice(0x300_03f8, 1), 0xff);
  const slot = ECAM + (2 << 15);
  const at = 0x4100_0000;
  bus.writeDevice(slot + 0x10, 4, at);
  bus.writeDevice(slot + 4, 2, 6);
  const view = offerBuffer(bus);
  const put = (offset: number, width: 1 | 2 | 4, value: number): void =>
    assert.ok(bus.writeDevice(at + offset, width, value));
  put(0x14, 1, 3);
  put(0x08, 4, 1);
  put(0x0c, 4, 1);
  put(0x14, 1, 11);
  put(0x18, 2, 1);
  put(0x20, 4, RAM_BASE);
  put(0x28, 4, RAM_BASE + 0x100);
  put(0x30, 4, RAM_BASE + 0x200);
  put(0x1c, 2, 1);
  put(0x14, 1, 15);
  put(0x3000, 2, 0);
  pass();
  assert.equal(view.getUint8(0x1000), 0x5e);
  // Device 2, INTA: the third of the four.
  assert.deepEqual(
    [0, 1, 2, 3].map((n) => pending(INTERRUPTS.pci + n)),
    [false, false, true, false],
  );
  expansion.reset();
  assert.equal(bus.readDevice(at, 4), 0xffff_ffff, 'the guest has to place it anew');
});

test('more devices than slots are refused in one line', () => {
  assert.throws(() => build('mmio', 9), ConfigError);
  assert.throws(() => build('pci', 32), ConfigError);
});
