import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bus } from '../../memory/bus.ts';
import { AlarmClock } from '../clock.ts';
import { UNCONNECTED } from '../device.ts';
import type { InterruptLine } from '../device.ts';
import { ECAM_BUS_SIZE, PciHost } from '../pci/host.ts';
import { MemoryDisk } from './block-backend.ts';
import { VirtioBlock } from './block.ts';
import { Status } from './device.ts';
import { GuestMemory } from './guest-memory.ts';
import { VIRTIO_MMIO_SIZE, VirtioMmio } from './mmio.ts';
import { VirtioPci } from './pci.ts';

// Where the common RISC-V board has these.
const RAM = { address: 0x8000_0000, size: 0x10_0000, linear: 0x1_0000 };
const MMIO = 0x1000_1000;
const ECAM = 0x3000_0000;
const WINDOW = { address: 0x4000_0000, size: 0x4000_0000 };

class Line implements InterruptLine {
  level = false;

  set(level: boolean): void {
    this.level = level;
  }
}

/** A disk behind either transport on a bus, as a machine wires it. */
function board(): { bus: Bus; line: Line; pciLine: Line; pass: () => void; dirty: number[]; disk: Uint8Array } {
  const memory = new WebAssembly.Memory({ initial: 32, maximum: 32 });
  const bus = new Bus(memory);
  bus.addRam('ram', RAM.address, RAM.size, RAM.linear);
  const dirty: number[] = [];
  bus.onWrite = (linear) => void dirty.push(linear - RAM.linear + RAM.address);
  const guest = new GuestMemory(memory.buffer, [{ address: RAM.address, size: RAM.size, offset: RAM.linear }], bus);
  let ticks = 0;
  const clock = new AlarmClock(1_000_000, () => ticks);
  const [line, pciLine] = [new Line(), new Line()];
  const disk = new Uint8Array(8192).fill(0x11).fill(0x22, 4096);
  const create = (): VirtioBlock => new VirtioBlock({ backend: new MemoryDisk(disk), clock, latency: 5 });
  bus.addDevice(MMIO, VIRTIO_MMIO_SIZE, new VirtioMmio(create(), guest, line));
  const host = new PciHost([WINDOW], [UNCONNECTED, pciLine, UNCONNECTED, UNCONNECTED]);
  host.add(1, new VirtioPci(create(), guest).pciFunction);
  host.assignAddresses();
  bus.addDevice(ECAM, 16 * ECAM_BUS_SIZE, host.ecam);
  bus.addDevice(WINDOW.address, WINDOW.size, host.windows[0]!);
  const pass = (): void => {
    ticks += 5;
    clock.poll();
  };
  return { bus, line, pciLine, pass, dirty, disk };
}

/** Writes a queue of four at the start of RAM and a read of the second 4 KiB to RAM + 0x2000. */
function prepare(bus: Bus): DataView {
  const bytes = bus.view(RAM.address, RAM.size)!;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const describe = (index: number, offset: number, length: number, flags: number): void => {
    view.setBigUint64(16 * index, BigInt(RAM.address + offset), true);
    view.setUint32(16 * index + 8, length, true);
    view.setUint16(16 * index + 12, flags, true);
    view.setUint16(16 * index + 14, index + 1, true);
  };
  describe(0, 0x1000, 16, 1);
  describe(1, 0x2000, 4096, 3);
  describe(2, 0x3800, 1, 2);
  view.setUint32(0x1008, 8, true);
  view.setUint8(0x3800, 0xff);
  view.setUint16(0x102, 1, true);
  return view;
}

function checkAnswer(view: DataView, dirty: readonly number[]): void {
  assert.equal(view.getUint16(0x202, true), 1, 'the used index');
  assert.equal(view.getUint8(0x3800), 0, 'the status');
  assert.deepEqual([view.getUint8(0x2000), view.getUint8(0x2fff)], [0x22, 0x22]);
  assert.ok(dirty.includes(RAM.address + 0x2000), 'the processor is told that code there may be stale');
}

test('a disk on the bus answers over virtio-mmio', () => {
  const { bus, line, pass, dirty } = board();
  const view = prepare(bus);
  const put = (offset: number, value: number): void => assert.ok(bus.writeDevice(MMIO + offset, 4, value));
  assert.equal(bus.readDevice(MMIO, 4), 0x7472_6976);
  assert.equal(bus.readDevice(MMIO, 1), undefined, 'control registers are four bytes wide');
  assert.equal(bus.readDevice(MMIO + 0x100, 8), 16n, 'the capacity');
  put(0x070, Status.acknowledge | Status.driver);
  put(0x024, 1);
  put(0x020, 1);
  put(0x070, 11);
  put(0x030, 0);
  put(0x038, 4);
  for (const [offset, address] of [
    [0x080, RAM.address],
    [0x090, RAM.address + 0x100],
    [0x0a0, RAM.address + 0x200],
  ] as const) {
    put(offset, address);
    put(offset + 4, 0);
  }
  put(0x044, 1);
  put(0x070, 15);
  put(0x050, 0);
  assert.equal(line.level, false, 'completion waits for the clock');
  pass();
  assert.equal(line.level, true);
  checkAnswer(view, dirty);
  put(0x064, 1);
  assert.equal(line.level, false);
});

test('a disk on the bus answers over virtio-pci', () => {
  const { bus, pciLine, pass, dirty } = board();
  const view = prepare(bus);
  const slot = ECAM + (1 << 15);
  assert.equal(bus.readDevice(slot, 4), 0x1042_1af4);
  assert.equal(bus.readDevice(ECAM + (2 << 15), 4), 0xffff_ffff);
  const registers = bus.readDevice(slot + 0x10, 4) as number;
  const put = (offset: number, width: 1 | 2 | 4 | 8, value: number | bigint): void =>
    assert.ok(bus.writeDevice(registers + offset, width, value));
  assert.equal(bus.readDevice(registers + 0x2000, 4), 16);
  put(0x14, 1, Status.acknowledge | Status.driver);
  put(0x08, 4, 1);
  put(0x0c, 4, 1);
  put(0x14, 1, 11);
  put(0x18, 2, 4);
  put(0x20, 8, BigInt(RAM.address));
  put(0x28, 8, BigInt(RAM.address + 0x100));
  put(0x30, 8, BigInt(RAM.address + 0x200));
  put(0x1c, 2, 1);
  put(0x14, 1, 15);
  put(0x3000, 2, 0);
  pass();
  assert.equal(pciLine.level, true, 'slot 1, INTA: the second line');
  checkAnswer(view, dirty);
  assert.equal(bus.readDevice(registers + 0x1000, 1), 1);
  assert.equal(pciLine.level, false);
});
