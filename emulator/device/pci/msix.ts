import type { MmioDevice, MmioWidth } from '../../memory/mmio.ts';
import type { PciFunction } from './function.ts';

/** Where message-signalled interrupts go: a write of `data` to a physical address that an interrupt controller listens to. */
export type MessageTarget = (address: number, data: number) => void;

const CAPABILITY_ID = 0x11;
const ENABLE = 1 << 15;
const FUNCTION_MASK = 1 << 14;
const ENTRY_SIZE = 16;
const ENTRY_MASK = 1;
/** Where the pending bits lie in the BAR. */
const PENDING = 0x800;

/** Bytes of the BAR that holds vector table and pending bits. */
export const MSIX_BAR_SIZE = 0x1000;
/** Vectors for which there is room. */
export const MAX_VECTORS = PENDING / ENTRY_SIZE;

/** Message-signalled interrupts of one function: capability, vector table and pending bits (PCI Local Bus, "MSI-X Capability and Table Structure"). */
export class Msix implements MmioDevice {
  readonly name: string;
  readonly vectors: number;
  private readonly table: DataView;
  private readonly pending: Uint8Array;
  private readonly target: MessageTarget;
  private readonly owner: PciFunction;
  private readonly capability: number;

  /** Adds the capability and BAR `bar` to `owner`. */
  constructor(owner: PciFunction, bar: number, vectors: number, target: MessageTarget) {
    this.name = `${owner.name}-msix`;
    this.owner = owner;
    this.vectors = vectors;
    this.target = target;
    this.table = new DataView(new ArrayBuffer(vectors * ENTRY_SIZE));
    this.pending = new Uint8Array(MAX_VECTORS / 8);
    this.reset();
    owner.addBar(bar, MSIX_BAR_SIZE, this);
    const body = new Uint8Array(10);
    const view = new DataView(body.buffer);
    view.setUint16(0, vectors - 1, true);
    view.setUint32(2, bar, true);
    view.setUint32(6, PENDING | bar, true);
    const writable = new Uint8Array(10);
    writable[1] = (ENABLE | FUNCTION_MASK) >>> 8;
    this.capability = owner.addCapability(CAPABILITY_ID, body, writable, { written: () => this.flush() });
  }

  get enabled(): boolean {
    return (this.control & ENABLE) !== 0;
  }

  /** Sends vector `vector`, or remembers it while it is masked. A vector that does not exist sends nothing. */
  raise(vector: number): void {
    if (vector >= this.vectors) return;
    if (this.masked(vector)) this.pending[vector >>> 3]! |= 1 << (vector & 7);
    else this.send(vector);
  }

  read(offset: number, width: MmioWidth): number | bigint {
    if (width === 8) return (BigInt(this.read(offset + 4, 4)) << 32n) | BigInt(this.read(offset, 4));
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + this.byteAt(offset + i);
    return value;
  }

  /** The table takes whole words only; the pending bits are read-only. */
  write(offset: number, width: MmioWidth, value: number | bigint): void {
    if (width === 8) {
      const bits = BigInt.asUintN(64, BigInt(value));
      this.write(offset, 4, Number(bits & 0xffff_ffffn));
      this.write(offset + 4, 4, Number(bits >> 32n));
      return;
    }
    if (width !== 4 || offset >= this.table.byteLength) return;
    this.table.setUint32(offset, Number(value) >>> 0, true);
    this.flush();
  }

  /** All vectors masked, none pending. */
  reset(): void {
    this.pending.fill(0);
    for (let vector = 0; vector < this.vectors; vector++) {
      for (let word = 0; word < 4; word++)
        this.table.setUint32(vector * ENTRY_SIZE + 4 * word, word === 3 ? 1 : 0, true);
    }
  }

  private get control(): number {
    return this.owner.stored(this.capability + 2, 2);
  }

  private masked(vector: number): boolean {
    const entry = this.table.getUint32(vector * ENTRY_SIZE + 12, true);
    return (this.control & FUNCTION_MASK) !== 0 || (entry & ENTRY_MASK) !== 0;
  }

  private send(vector: number): void {
    const at = vector * ENTRY_SIZE;
    const address = this.table.getUint32(at, true) + 4294967296 * this.table.getUint32(at + 4, true);
    this.target(address, this.table.getUint32(at + 8, true));
  }

  /** Sends what is pending and no longer masked. */
  private flush(): void {
    if (!this.enabled) return;
    for (let vector = 0; vector < this.vectors; vector++) {
      const bit = 1 << (vector & 7);
      if ((this.pending[vector >>> 3]! & bit) === 0 || this.masked(vector)) continue;
      this.pending[vector >>> 3]! &= ~bit;
      this.send(vector);
    }
  }

  private byteAt(offset: number): number {
    if (offset < this.table.byteLength) return this.table.getUint8(offset);
    return this.pending[offset - PENDING] ?? 0;
  }
}
