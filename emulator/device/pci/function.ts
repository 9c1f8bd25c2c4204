import { assert } from '../../check/assert.ts';
import type { MmioDevice, MmioWidth } from '../../memory/mmio.ts';
import { UNCONNECTED } from '../device.ts';
import type { InterruptLine } from '../device.ts';

/** Bytes of configuration space a function has behind an ECAM host. */
export const CONFIG_SIZE = 4096;

/** Offsets in the type 0 configuration header (PCI Local Bus, "Configuration Space"). */
export const ConfigOffset = {
  vendor: 0x00,
  device: 0x02,
  command: 0x04,
  status: 0x06,
  revision: 0x08,
  classCode: 0x09,
  bar0: 0x10,
  subsystemVendor: 0x2c,
  subsystem: 0x2e,
  capabilities: 0x34,
  interruptLine: 0x3c,
  interruptPin: 0x3d,
} as const;

/** Bits of the command register that exist here: there is no I/O space. */
export const Command = { memory: 1 << 1, busMaster: 1 << 2, interruptDisable: 1 << 10 } as const;
const STATUS_INTERRUPT = 1 << 3;
const STATUS_CAPABILITIES = 1 << 4;
const FIRST_CAPABILITY = 0x40;
const BARS = 6;

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision: number;
  /** Class, subclass and programming interface in 24 bits. */
  readonly classCode: number;
  readonly subsystemVendor: number;
  readonly subsystem: number;
}

/** A base address register and what lies behind it. */
export interface Bar {
  readonly index: number;
  /** Bytes, a power of two of at least 16. */
  readonly size: number;
  /** 64 bits wide: takes two registers. */
  readonly wide: boolean;
  readonly region: MmioDevice;
}

/** Registers inside a capability that do something when they are accessed. */
export interface CapabilityAccess {
  /** `offset` is relative to the capability. Undefined: the stored bytes serve. */
  read?(offset: number, width: 1 | 2 | 4): number | undefined;
  /** Called after the stored bytes have changed as far as they are writable. */
  written?(offset: number, width: 1 | 2 | 4): void;
}

interface Capability {
  readonly start: number;
  readonly end: number;
  readonly access: CapabilityAccess;
}

/**
 * One PCI function: configuration space, base address registers, capabilities and its INTx wire. Built once, by its device; the guest then
 * changes only bits declared writable.
 */
export class PciFunction {
  readonly name: string;
  readonly bars: Bar[] = [];
  /** Called when the guest has moved a BAR or switched memory decoding. */
  decodingChanged: () => void = () => {};
  line: InterruptLine = UNCONNECTED;

  private readonly bytes = new Uint8Array(CONFIG_SIZE);
  /** A set bit may be changed by the guest. */
  private readonly writable = new Uint8Array(CONFIG_SIZE);
  private readonly view = new DataView(this.bytes.buffer);
  private readonly writableView = new DataView(this.writable.buffer);
  private readonly capabilities: Capability[] = [];
  private nextCapability: number = FIRST_CAPABILITY;
  /** The byte that points to the next capability. */
  private lastPointer: number = ConfigOffset.capabilities;
  private asserted = false;

  /** `pin` is 1 to 4 for INTA to INTD, or 0 for a function without interrupts. */
  constructor(name: string, identity: PciIdentity, pin: 0 | 1 | 2 | 3 | 4) {
    this.name = name;
    const { view, writableView } = this;
    view.setUint16(ConfigOffset.vendor, identity.vendor, true);
    view.setUint16(ConfigOffset.device, identity.device, true);
    view.setUint8(ConfigOffset.revision, identity.revision);
    view.setUint8(ConfigOffset.classCode, identity.classCode & 0xff);
    view.setUint16(ConfigOffset.classCode + 1, identity.classCode >>> 8, true);
    view.setUint16(ConfigOffset.subsystemVendor, identity.subsystemVendor, true);
    view.setUint16(ConfigOffset.subsystem, identity.subsystem, true);
    view.setUint8(ConfigOffset.interruptPin, pin);
    writableView.setUint16(ConfigOffset.command, Command.memory | Command.busMaster | Command.interruptDisable, true);
    // Cache line size and interrupt line are scratch for the guest's own use.
    this.writable[0x0c] = 0xff;
    this.writable[ConfigOffset.interruptLine] = 0xff;
  }

  get pin(): number {
    return this.bytes[ConfigOffset.interruptPin]!;
  }

  get command(): number {
    return this.view.getUint16(ConfigOffset.command, true);
  }

  /** Puts `region` behind base address register `index`. `size` is a power of two, at least 16. */
  addBar(index: number, size: number, region: MmioDevice, wide = false, prefetchable = false): void {
    assert(size >= 16 && Number.isInteger(Math.log2(size)), 'a BAR spans a power of two of at least 16 bytes');
    assert(size <= 2 ** 31 || wide, 'a BAR past 2 GiB is 64 bits wide');
    assert(index + (wide ? 1 : 0) < BARS, 'a function has six base address registers');
    const at = ConfigOffset.bar0 + 4 * index;
    assert(this.writableView.getUint32(at, true) === 0, 'a BAR is declared once');
    this.view.setUint32(at, (wide ? 4 : 0) | (prefetchable ? 8 : 0), true);
    // Address bits below the size read as zero, which is how the guest finds the size (PCI Local Bus, "Base Addresses").
    const mask = BigInt.asUintN(64, -BigInt(size));
    this.writableView.setUint32(at, Number(mask & 0xffff_fff0n), true);
    if (wide) this.writableView.setUint32(at + 4, Number(mask >> 32n), true);
    this.bars.push({ index, size, wide, region });
  }

  /** Where the guest put `bar`; meaningful while memory decoding is on. */
  barAddress({ index, wide }: Bar): number {
    const at = ConfigOffset.bar0 + 4 * index;
    const low = this.view.getUint32(at, true);
    return low - (low & 0xf) + (wide ? 4294967296 * this.view.getUint32(at + 4, true) : 0);
  }

  /** Puts `bar` at `address`, a multiple of its size, as firmware would. */
  placeBar({ index, wide }: Bar, address: number): void {
    const at = ConfigOffset.bar0 + 4 * index;
    this.writeConfig(at, 4, address % 4294967296);
    if (wide) this.writeConfig(at + 4, 4, Math.floor(address / 4294967296));
  }

  /** Adds a capability of type `id`: `body` follows its two header bytes, `writable` says which bits of the body the guest may change. Returns its offset. */
  addCapability(id: number, body: Uint8Array, writable: Uint8Array, access: CapabilityAccess = {}): number {
    const start = this.nextCapability;
    const end = start + 2 + body.length;
    assert(end <= 256 && writable.length === body.length, 'capabilities fit the conventional configuration space');
    this.bytes[start] = id;
    this.bytes.set(body, start + 2);
    this.writable.set(writable, start + 2);
    this.bytes[this.lastPointer] = start;
    this.lastPointer = start + 1;
    this.nextCapability = (end + 3) & ~3;
    this.view.setUint16(
      ConfigOffset.status,
      this.view.getUint16(ConfigOffset.status, true) | STATUS_CAPABILITIES,
      true,
    );
    this.capabilities.push({ start, end, access });
    return start;
  }

  /** `offset` is a multiple of `width` inside configuration space. */
  readConfig(offset: number, width: 1 | 2 | 4): number {
    const capability = this.capabilityAt(offset);
    return capability?.access.read?.(offset - capability.start, width) ?? readBytes(this.view, offset, width);
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    const { bytes, writable } = this;
    let rest = value;
    for (let i = offset; i < offset + width; i++) {
      bytes[i] = (bytes[i]! & ~writable[i]!) | (rest & writable[i]!);
      rest = Math.floor(rest / 256);
    }
    if (offset < ConfigOffset.bar0 + 4 * BARS) {
      this.drive();
      this.decodingChanged();
      return;
    }
    const capability = this.capabilityAt(offset);
    capability?.access.written?.(offset - capability.start, width);
  }

  /** Bytes of a capability as they are stored. */
  stored(offset: number, width: 1 | 2 | 4): number {
    return readBytes(this.view, offset, width);
  }

  /** Drives the INTx wire; nothing reaches it while the guest has it disabled. */
  setInterrupt(level: boolean): void {
    this.asserted = level;
    this.drive();
  }

  /** The machine's reset: writable bits to zero. */
  reset(): void {
    for (let i = 0; i < CONFIG_SIZE; i++) this.bytes[i] = this.bytes[i]! & ~this.writable[i]!;
    this.setInterrupt(false);
    this.decodingChanged();
  }

  private drive(): void {
    const status = this.view.getUint16(ConfigOffset.status, true);
    this.view.setUint16(
      ConfigOffset.status,
      this.asserted ? status | STATUS_INTERRUPT : status & ~STATUS_INTERRUPT,
      true,
    );
    this.line.set(this.asserted && (this.command & Command.interruptDisable) === 0);
  }

  private capabilityAt(offset: number): Capability | undefined {
    return this.capabilities.find(({ start, end }) => offset >= start && offset < end);
  }
}

/** An access to device registers from configuration space or a window: `value` as `MmioDevice` has it. */
export function readBytes(view: DataView, offset: number, width: MmioWidth): number {
  assert(width !== 8, 'configuration space is read by at most four bytes at a time');
  if (width === 4) return view.getUint32(offset, true);
  return width === 2 ? view.getUint16(offset, true) : view.getUint8(offset);
}
