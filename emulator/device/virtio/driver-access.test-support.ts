/** How a test driver reaches its device: the registers of either transport, as a driver would use them. */
import type { InterruptLine } from '../device.ts';
import type { VirtioDevice } from './device.ts';
import type { GuestMemory } from './guest-memory.ts';
import { VirtioMmio } from './mmio.ts';
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

export function pciAccess(device: VirtioDevice, memory: GuestMemory): DriverAccess {
  return mmioAccess(device, memory);
}
