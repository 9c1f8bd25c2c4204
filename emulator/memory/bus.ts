import { assert } from '../check/assert.ts';
import { ConfigError } from '../check/errors.ts';
import { PAGE_SIZE } from '../layout/memory-map.ts';
import type { MmioDevice, MmioWidth, PhysicalMemory } from './mmio.ts';

interface Region {
  readonly name: string;
  readonly gpa: number;
  readonly end: number;
}

interface RamRegion extends Region {
  /** Linear address of the region's first byte. */
  readonly linear: number;
}

interface DeviceRegion extends Region {
  readonly device: MmioDevice;
}

/** No RAM there. Linear address 0 is never used (layout/memory-map.ts). */
export const NO_RAM = 0;

/**
 * The guest's physical address space: RAM, which lies in the linear memory, and devices. Addresses are numbers below 2^53; what a guest
 * makes up beyond them is as empty as any other hole.
 */
export class Bus implements PhysicalMemory {
  /** Called after a device wrote to RAM, with linear address and length. The MMU sets it. */
  onWrite: (linear: number, length: number) => void = () => {};
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #ram: RamRegion[] = [];
  readonly #devices: DeviceRegion[] = [];
  /** First physical address and bytes of the region of RAM hit last; most machines have one. */
  lastBase = 0;
  lastSize = 0;
  #linear = 0;
  #lastDevice: DeviceRegion | undefined = undefined;

  /** `memory`: all of the linear memory, which must not grow afterwards. */
  constructor(memory: WebAssembly.Memory) {
    this.#memory = new Uint8Array(memory.buffer as ArrayBuffer);
  }

  /** RAM at [gpa, gpa + size), whose bytes are those of the linear memory from `linear`. All three are page multiples. Throws ConfigError for an overlap. */
  addRam(name: string, gpa: number, size: number, linear: number): void {
    assert(
      [gpa, size, linear].every((value) => value % PAGE_SIZE === 0) && linear > 0,
      'RAM begins and ends at pages, and not at linear address 0',
    );
    assert(linear + size <= this.#memory.length, 'RAM lies in the linear memory');
    this.#place({ name, gpa, end: gpa + size });
    this.#ram.push({ name, gpa, end: gpa + size, linear });
  }

  /** A device at [gpa, gpa + size). Throws ConfigError for an overlap. */
  addDevice(gpa: number, size: number, device: MmioDevice): void {
    this.#place({ name: device.name, gpa, end: gpa + size });
    this.#devices.push({ name: device.name, gpa, end: gpa + size, device });
  }

  /** The linear address of [gpa, gpa + length) when all of it is RAM of one region, else NO_RAM. Any numbers may be asked about. */
  ramAt(gpa: number, length: number): number {
    const offset = gpa - this.lastBase;
    if (offset >= 0 && length >= 0 && offset + length <= this.lastSize) return this.#linear + offset;
    for (const region of this.#ram) {
      if (!(gpa >= region.gpa && length >= 0 && gpa + length <= region.end)) continue;
      this.lastBase = region.gpa;
      this.lastSize = region.end - region.gpa;
      this.#linear = region.linear;
      return region.linear + (gpa - region.gpa);
    }
    return NO_RAM;
  }

  /** Whether the page at `gpa` may be reached through the TLB: wholly RAM. */
  isRamPage(gpa: number): boolean {
    return this.ramAt(gpa, PAGE_SIZE) !== NO_RAM;
  }

  view(gpa: number, length: number): Uint8Array<ArrayBuffer> | undefined {
    if (!Number.isSafeInteger(gpa) || !Number.isSafeInteger(length)) return undefined;
    const linear = this.ramAt(gpa, length);
    return linear === NO_RAM ? undefined : this.#memory.subarray(linear, linear + length);
  }

  written(gpa: number, length: number): void {
    const linear = this.ramAt(gpa, length);
    assert(linear !== NO_RAM, 'only RAM that was viewed is written');
    this.onWrite(linear, length);
  }

  /** What a device gives, or undefined when nothing answers: no device, not all bytes in it, misaligned, or refused. */
  readDevice(gpa: number, width: MmioWidth): number | bigint | undefined {
    const region = this.#deviceAt(gpa, width);
    if (region === undefined) return undefined;
    const { device } = region;
    const offset = gpa - region.gpa;
    if (device.refuses?.(offset, width, 'read') === true) return undefined;
    return device.read(offset, width);
  }

  /** False when nothing answers. */
  writeDevice(gpa: number, width: MmioWidth, value: number | bigint): boolean {
    const region = this.#deviceAt(gpa, width);
    if (region === undefined) return false;
    const { device } = region;
    const offset = gpa - region.gpa;
    if (device.refuses?.(offset, width, 'write') === true) return false;
    device.write(offset, width, value);
    return true;
  }

  /** All regions by address, for the device tree and for messages. */
  regions(): readonly Region[] {
    return [...this.#ram, ...this.#devices].sort((a, b) => a.gpa - b.gpa);
  }

  checkInvariants(): void {
    const regions = this.regions();
    for (let i = 1; i < regions.length; i++) assert(regions[i - 1]!.end <= regions[i]!.gpa, 'regions do not overlap');
  }

  #deviceAt(gpa: number, width: number): DeviceRegion | undefined {
    if (gpa % width !== 0) return undefined;
    const last = this.#lastDevice;
    if (last !== undefined && gpa >= last.gpa && gpa + width <= last.end) return last;
    for (const region of this.#devices) {
      if (gpa >= region.gpa && gpa + width <= region.end) return (this.#lastDevice = region);
    }
    return undefined;
  }

  #place({ name, gpa, end }: Region): void {
    if (!(Number.isSafeInteger(gpa) && gpa >= 0 && end > gpa && Number.isSafeInteger(end))) {
      throw new ConfigError(`${name}: no room for ${end - gpa} bytes at ${hexadecimal(gpa)}`);
    }
    const other = this.regions().find((region) => gpa < region.end && region.gpa < end);
    if (other === undefined) return;
    throw new ConfigError(
      `${name} at ${hexadecimal(gpa)}…${hexadecimal(end)} overlaps ${other.name} at ${hexadecimal(other.gpa)}…${hexadecimal(other.end)}`,
      { mend: 'move one of them' },
    );
  }
}

function hexadecimal(gpa: number): string {
  return `0x${gpa.toString(16)}`;
}
