import { assert } from '../../check/assert.ts';
import { ConfigError } from '../../check/errors.ts';
import type { MmioDevice, MmioWidth } from '../../memory/mmio.ts';
import { wiredOr } from '../device.ts';
import type { InterruptLine } from '../device.ts';
import { Command, PciFunction } from './function.ts';
import type { Bar } from './function.ts';

/** Bytes of ECAM a bus takes: 32 devices of 8 functions of 4 KiB (PCI Express Base, "PCI Express Enhanced Configuration Access Mechanism"). */
export const ECAM_BUS_SIZE = 1 << 20;
const DEVICES = 32;
const INTX_LINES = 4;

/** A range of physical addresses in which the guest may place BARs. */
export interface PciWindow {
  readonly address: number;
  readonly size: number;
}

/** Which of the host's four lines (0 to 3) pin 1 to 4 of device `device` drives: each device starts one further on. */
export function swizzle(device: number, pin: number): number {
  return (device + pin - 1) % INTX_LINES;
}

interface Decoded {
  readonly start: number;
  readonly end: number;
  readonly region: MmioDevice;
}

/**
 * A PCI Express host with one bus, configured through ECAM: what device trees call `pci-host-ecam-generic`. The machine maps `ecam` and
 * each of `windows` where its device tree says they are; everything else is between the guest and the functions.
 */
export class PciHost {
  readonly ecam: MmioDevice;
  /** One for each window, in their order. */
  readonly windows: readonly MmioDevice[];
  private readonly ranges: readonly PciWindow[];
  private readonly functions: (PciFunction | undefined)[] = Array.from({ length: DEVICES }, () => undefined);
  private readonly lines: readonly (readonly InterruptLine[])[];
  private decoded: Decoded[] = [];
  private last: Decoded | undefined = undefined;

  /** `lines` are the four INTx lines of the machine. Windows do not overlap. */
  constructor(
    ranges: readonly PciWindow[],
    lines: readonly [InterruptLine, InterruptLine, InterruptLine, InterruptLine],
  ) {
    this.ranges = ranges;
    this.lines = lines.map((line) => wiredOr(line, DEVICES));
    this.ecam = {
      name: 'pci-ecam',
      read: (offset, width) => this.readEcam(offset, width),
      write: (offset, width, value) => this.writeEcam(offset, width, value),
    };
    this.windows = ranges.map(({ address }, index) => ({
      name: `pci-window-${index}`,
      read: (offset, width) => this.readWindow(address + offset, width),
      write: (offset, width, value) => this.writeWindow(address + offset, width, value),
    }));
    this.add(
      0,
      // The identity of the generic bridge that Linux and U-Boot know to leave alone.
      new PciFunction(
        'host-bridge',
        { vendor: 0x1b36, device: 0x0008, revision: 0, classCode: 0x06_0000, subsystemVendor: 0, subsystem: 0 },
        0,
      ),
    );
  }

  /** Puts a function into slot `device`, 1 to 31. Throws ConfigError when the slot is taken or none is left. */
  add(device: number, pciFunction: PciFunction): void {
    if (!Number.isInteger(device) || device < 0 || device >= DEVICES || this.functions[device] !== undefined) {
      throw new ConfigError(`PCI slot ${device} for ${pciFunction.name} is taken or does not exist`);
    }
    this.functions[device] = pciFunction;
    pciFunction.decodingChanged = () => this.decode();
    if (pciFunction.pin !== 0) pciFunction.line = this.lines[swizzle(device, pciFunction.pin)]![device]!;
  }

  /** Gives every BAR an address and switches its function on, as firmware does: for guests that start without any. Throws ConfigError when the windows are full. */
  assignAddresses(): void {
    const next = this.ranges.map(({ address }) => address);
    const bars = this.functions.flatMap((owner) =>
      owner === undefined ? [] : owner.bars.map((bar) => ({ owner, bar })),
    );
    // Largest first, so that alignment wastes nothing.
    for (const { owner, bar } of bars.toSorted((a, b) => b.bar.size - a.bar.size)) {
      const window = this.ranges.findIndex(({ address, size }, i) => {
        const start = Math.ceil(next[i]! / bar.size) * bar.size;
        const fits = start + bar.size <= address + size;
        return fits && (bar.wide || start + bar.size <= 4294967296);
      });
      if (window < 0) throw new ConfigError(`no PCI window has ${bar.size} bytes left for ${owner.name}`);
      const start = Math.ceil(next[window]! / bar.size) * bar.size;
      owner.placeBar(bar, start);
      next[window] = start + bar.size;
    }
    for (const owner of this.functions) owner?.writeConfig(4, 2, Command.memory | Command.busMaster);
  }

  reset(): void {
    for (const owner of this.functions) owner?.reset();
  }

  private readEcam(offset: number, width: MmioWidth): number | bigint {
    if (width === 8) return (BigInt(this.readEcam(offset + 4, 4)) << 32n) | BigInt(this.readEcam(offset, 4));
    // Nobody answers for a function that is not there: all ones.
    return this.functionAt(offset)?.readConfig(offset % 4096, width) ?? 2 ** (8 * width) - 1;
  }

  private writeEcam(offset: number, width: MmioWidth, value: number | bigint): void {
    if (width === 8) {
      const bits = BigInt.asUintN(64, BigInt(value));
      this.writeEcam(offset, 4, Number(bits & 0xffff_ffffn));
      this.writeEcam(offset + 4, 4, Number(bits >> 32n));
      return;
    }
    this.functionAt(offset)?.writeConfig(offset % 4096, width, Number(value) % 2 ** (8 * width));
  }

  /** Only bus 0 and functions 0 exist. */
  private functionAt(offset: number): PciFunction | undefined {
    const number = Math.floor(offset / 4096);
    return number % 8 === 0 ? this.functions[number / 8] : undefined;
  }

  private readWindow(address: number, width: MmioWidth): number | bigint {
    const found = this.find(address, width);
    if (found === undefined) return width === 8 ? 0xffff_ffff_ffff_ffffn : 2 ** (8 * width) - 1;
    return found.region.read(address - found.start, width);
  }

  private writeWindow(address: number, width: MmioWidth, value: number | bigint): void {
    const found = this.find(address, width);
    found?.region.write(address - found.start, width, value);
  }

  private find(address: number, width: number): Decoded | undefined {
    const { last } = this;
    if (last !== undefined && address >= last.start && address + width <= last.end) return last;
    for (const decoded of this.decoded) {
      if (address < decoded.start || address + width > decoded.end) continue;
      this.last = decoded;
      return decoded;
    }
    return undefined;
  }

  private decode(): void {
    this.last = undefined;
    this.decoded = [];
    for (const owner of this.functions) {
      if (owner === undefined || (owner.command & Command.memory) === 0) continue;
      for (const bar of owner.bars) this.decoded.push(decodedBar(owner, bar));
    }
  }

  checkInvariants(): void {
    for (const { start, end } of this.decoded)
      assert(start < end && Number.isSafeInteger(end), 'decoded ranges are ranges');
  }
}

function decodedBar(owner: PciFunction, bar: Bar): Decoded {
  const start = owner.barAddress(bar);
  return { start, end: start + bar.size, region: bar.region };
}
