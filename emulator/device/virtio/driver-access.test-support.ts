/** How a test driver reaches its device: the registers of either transport, as a driver would use them. */
import { assert } from '../../check/assert.ts';
import { UNCONNECTED } from '../device.ts';
import type { InterruptLine } from '../device.ts';
import { PciHost } from '../pci/host.ts';
import type { VirtioDevice } from './device.ts';
import type { GuestMemory } from './guest-memory.ts';
import { VirtioMmio } from './mmio.ts';
import { VirtioPci } from './pci.ts';
import type { TransportState } from './transport.ts';

export interface DriverAccess {
  readonly state: TransportState;
  readStatus(): number;
  writeStatus(value: number): void;
  readFeatures(select: number): number;
  writeFeatures(select: number, value: number): void;
  queueSizeMax(index: number): number;
  setQueue(index: number, size: number, table: number | bigint, avail: number | bigint, used: number | bigint): void;
  enableQueue(index: number): void;
  queueEnabled(index: number): boolean;
  notify(index: number): void;
  readConfig(offset: number, width: 1 | 2 | 4): number;
  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void;
  /** Reads and acknowledges: bit 0 used buffers, bit 1 configuration change. */
  takeInterruptStatus(): number;
  lineLevel(): boolean;
  /** How often the interrupt line rose. */
  interrupts(): number;
}

/** Where the driver asks messages to be sent. */
const MESSAGE_ADDRESS = 0x2800_0000;

class CountingLine implements InterruptLine {
  level = false;
  raised = 0;

  set(level: boolean): void {
    if (level && !this.level) this.raised++;
    this.level = level;
  }
}

const low = (value: number | bigint): number => Number(BigInt(value) & 0xffff_ffffn);
const high = (value: number | bigint): number => Number((BigInt(value) >> 32n) & 0xffff_ffffn);

export function mmioAccess(device: VirtioDevice, memory: GuestMemory): DriverAccess {
  const line = new CountingLine();
  const mmio = new VirtioMmio(device, memory, line);
  const get = (offset: number): number => Number(mmio.read(offset, 4));
  const put = (offset: number, value: number): void => mmio.write(offset, 4, value);
  const select = (index: number): void => put(0x030, index);
  return {
    state: mmio.state,
    readStatus: () => get(0x070),
    writeStatus: (value) => put(0x070, value),
    readFeatures(word) {
      put(0x014, word);
      return get(0x010);
    },
    writeFeatures(word, value) {
      put(0x024, word);
      put(0x020, value);
    },
    queueSizeMax(index) {
      select(index);
      return get(0x034);
    },
    setQueue(index, size, table, avail, used) {
      select(index);
      put(0x038, size);
      for (const [offset, address] of [
        [0x080, table],
        [0x090, avail],
        [0x0a0, used],
      ] as const) {
        put(offset, low(address));
        put(offset + 4, high(address));
      }
    },
    enableQueue(index) {
      select(index);
      put(0x044, 1);
    },
    queueEnabled(index) {
      select(index);
      return get(0x044) === 1;
    },
    notify: (index) => put(0x050, index),
    readConfig: (offset, width) => Number(mmio.read(0x100 + offset, width)),
    writeConfig: (offset, width, value) => mmio.write(0x100 + offset, width, value),
    takeInterruptStatus() {
      const bits = get(0x060);
      put(0x064, bits);
      return bits;
    },
    lineLevel: () => line.level,
    interrupts: () => line.raised,
  };
}

const WINDOW = { address: 0x4000_0000, size: 0x10_0000 } as const;
const SLOT = 3;
const VENDOR_CAPABILITY = 9;
const MSIX_CAPABILITY = 0x11;

/** Finds the device as an operating system does: from slot to capabilities to structures in a BAR. With `messages`, interrupts come by MSI-X. */
export function pciAccess(device: VirtioDevice, memory: GuestMemory, messages = false): DriverAccess {
  const line = new CountingLine();
  let sent = 0;
  let pendingBits = 0;
  const transport = new VirtioPci(device, memory, (address, data) => {
    assert(address === MESSAGE_ADDRESS, 'messages go where the driver said');
    sent++;
    pendingBits |= data;
  });
  const others: [InterruptLine, InterruptLine] = [UNCONNECTED, UNCONNECTED];
  // Slot 3, INTA: the fourth line.
  const host = new PciHost([WINDOW], [...others, UNCONNECTED, line]);
  host.add(SLOT, transport.pciFunction);
  host.assignAddresses();

  const config = (offset: number, width: 1 | 2 | 4): number => Number(host.ecam.read(SLOT * 8 * 4096 + offset, width));
  const structures = new Map<number, number>();
  let msixControl = 0;
  let multiplier = 0;
  for (let at = config(0x34, 1); at !== 0; at = config(at + 1, 1)) {
    if (config(at, 1) === MSIX_CAPABILITY) msixControl = at + 2;
    if (config(at, 1) !== VENDOR_CAPABILITY) continue;
    const type = config(at + 3, 1);
    structures.set(type, config(0x10 + 4 * config(at + 4, 1), 4) - WINDOW.address + config(at + 8, 4));
    if (type === 2) multiplier = config(at + 16, 4);
  }
  const [window] = host.windows;
  const get = (type: number, offset: number, width: 1 | 2 | 4): number =>
    Number(window!.read(structures.get(type)! + offset, width));
  const put = (type: number, offset: number, width: 1 | 2 | 4, value: number): void =>
    window!.write(structures.get(type)! + offset, width, value);
  const common = 1;
  const places = new Map<number, number>();
  const select = (index: number): void => put(common, 22, 2, index);
  if (messages) {
    const table = config(0x14, 4) - WINDOW.address;
    for (let vector = 0; vector < 2; vector++) {
      window!.write(table + 16 * vector, 4, MESSAGE_ADDRESS);
      // The data says what happened as the ISR status would.
      window!.write(table + 16 * vector + 8, 4, vector === 0 ? 2 : 1);
      window!.write(table + 16 * vector + 12, 4, 0);
    }
    host.ecam.write(SLOT * 8 * 4096 + msixControl, 2, 0x8000);
  }
  return {
    state: transport.state,
    readStatus: () => get(common, 20, 1),
    writeStatus(value) {
      put(common, 20, 1, value);
      if (messages && value === 0) put(common, 16, 2, 0);
    },
    readFeatures(word) {
      put(common, 0, 4, word);
      return get(common, 4, 4);
    },
    writeFeatures(word, value) {
      put(common, 8, 4, word);
      put(common, 12, 4, value);
    },
    queueSizeMax(index) {
      select(index);
      return get(common, 24, 2);
    },
    setQueue(index, size, table, avail, used) {
      select(index);
      put(common, 24, 2, size);
      if (messages) put(common, 26, 2, 1);
      for (const [offset, address] of [
        [32, table],
        [40, avail],
        [48, used],
      ] as const) {
        put(common, offset, 4, low(address));
        put(common, offset + 4, 4, high(address));
      }
    },
    enableQueue(index) {
      select(index);
      put(common, 28, 2, 1);
    },
    queueEnabled(index) {
      select(index);
      return get(common, 28, 2) === 1;
    },
    notify(index) {
      // Where to is asked once a queue, as drivers do.
      let place = places.get(index);
      if (place === undefined) {
        select(index);
        place = index < get(common, 18, 2) ? get(common, 30, 2) : index;
        places.set(index, place);
      }
      put(2, place * multiplier, 2, index);
    },
    readConfig: (offset, width) => get(4, offset, width),
    writeConfig: (offset, width, value) => put(4, offset, width, value),
    takeInterruptStatus() {
      if (!messages) return get(3, 0, 1);
      const bits = pendingBits;
      pendingBits = 0;
      return bits;
    },
    lineLevel: () => line.level,
    interrupts: () => (messages ? sent : line.raised),
  };
}
