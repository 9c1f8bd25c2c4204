import type { MmioWidth } from '../../memory/mmio.ts';
import { RingFeature, Status } from './device.ts';
import type { VirtioDevice, VirtioHost } from './device.ts';
import type { GuestMemory } from './guest-memory.ts';
import { SplitQueue } from './queue.ts';
import type { QueueOwner } from './queue.ts';

/** What every queue of the house can do. */
const RING_FEATURES = RingFeature.indirectDescriptors | RingFeature.eventIndex | RingFeature.version1;

/** How a transport tells the driver. */
export interface TransportSignals {
  usedBuffer(queue: number): void;
  configuration(): void;
  /** The device was reset: forget pending interrupts. */
  reset(): void;
}

/** Exact counters of a device's dealings with its driver, queues apart. */
export interface TransportCounters {
  resets: number;
  starts: number;
  /** Writes that came out of order, to read-only fields or to what does not exist; they had no effect. */
  refused: number;
  needsReset: number;
  configChanges: number;
}

/**
 * What virtio-mmio and virtio-pci share: device status, feature negotiation, the queues' configuration and the device configuration
 * space. Transports only lay these out as registers. Values come from the guest: anything may be asked or written.
 */
export class TransportState implements VirtioHost, QueueOwner {
  readonly device: VirtioDevice;
  readonly memory: GuestMemory;
  readonly queues: readonly SplitQueue[];
  readonly counters: TransportCounters;
  /** What the device offers, ring features included. */
  readonly offered: bigint;
  /** Device status bits. */
  status = 0;
  /** What the driver acknowledged so far; negotiated once FEATURES_OK is set. */
  features = 0n;
  configGeneration = 0;
  /** Why the device last asked for a reset, for people. */
  reason: string | undefined = undefined;

  private readonly signals: TransportSignals;

  constructor(device: VirtioDevice, memory: GuestMemory, signals: TransportSignals) {
    this.device = device;
    this.memory = memory;
    this.signals = signals;
    this.queues = device.queueSizes.map((size, index) => new SplitQueue(index, size, memory, this));
    this.offered = device.features | RING_FEATURES;
    this.counters = { resets: 0, starts: 0, refused: 0, needsReset: 0, configChanges: 0 };
  }

  /** Word `select` of the features on offer. */
  offeredWord(select: number): number {
    return select > 1 ? 0 : Number((this.offered >> BigInt(32 * select)) & 0xffff_ffffn);
  }

  /** Word `select` of the driver's features. */
  acknowledgedWord(select: number): number {
    return select > 1 ? 0 : Number((this.features >> BigInt(32 * select)) & 0xffff_ffffn);
  }

  acknowledge(select: number, value: number): void {
    const early = (this.status & Status.driver) !== 0 && (this.status & Status.featuresOk) === 0;
    if (!early || select > 1) {
      // A driver may clear words it does not know.
      if (!(select > 1 && value === 0)) this.counters.refused++;
      return;
    }
    const shift = BigInt(32 * select);
    this.features = (this.features & ~(0xffff_ffffn << shift)) | (BigInt(value >>> 0) << shift);
  }

  /** The driver writes the status register. Zero resets; a bit that comes before those it builds on, or is taken back, stays as it was. */
  writeStatus(value: number): void {
    if (value === 0) {
      this.reset();
      return;
    }
    if ((this.status & ~value & ~Status.needsReset) !== 0) this.counters.refused++;
    this.advance(value, Status.acknowledge, 0);
    // NON-SPEC: ACKNOWLEDGE should come first, but U-Boot resets the device between the two and sets DRIVER alone.
    this.advance(value, Status.driver, 0);
    if (this.acceptable()) this.advance(value, Status.featuresOk, Status.driver);
    else if ((value & Status.featuresOk) !== 0) this.counters.refused++;
    const started = (this.status & Status.driverOk) !== 0;
    this.advance(value, Status.driverOk, Status.featuresOk);
    if ((value & Status.failed) !== 0) this.status |= Status.failed;
    if (started || (this.status & Status.driverOk) === 0) return;
    this.counters.starts++;
    this.device.start(this);
    // Buffers may be offered before DRIVER_OK, and a notification then went nowhere: Linux's balloon driver does that.
    for (const queue of this.queues) if (queue.pending) this.device.notify(queue.index);
  }

  /** The driver enables queue `index`, which it may do once, between FEATURES_OK and DRIVER_OK. */
  enableQueue(index: number): void {
    const queue = this.queueToConfigure(index);
    if (queue !== undefined) queue.enable(this.features);
  }

  /** The driver stops using queue `index`: what the device holds of it is gone. */
  disableQueue(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined) this.counters.refused++;
    else if (queue.ready) queue.reset();
  }

  /** Queue `index` if its configuration may be written now; counted as refused otherwise. */
  queueToConfigure(index: number): SplitQueue | undefined {
    const queue = this.queues[index];
    const settled = (this.status & Status.featuresOk) === 0 || (this.status & Status.driverOk) !== 0;
    if (queue === undefined || queue.ready || queue.fault !== undefined || settled) {
      this.counters.refused++;
      return undefined;
    }
    return queue;
  }

  /** The driver notifies the device of new buffers in queue `index`. */
  notify(index: number): void {
    const queue = this.queues[index];
    if (queue === undefined || !queue.ready || queue.fault !== undefined || (this.status & Status.driverOk) === 0) {
      this.counters.refused++;
      return;
    }
    queue.kicked();
    this.device.notify(index);
  }

  /** `width` bytes of the device configuration; bytes past its end read as 0. */
  readConfig(offset: number, width: MmioWidth): number | bigint {
    if (width === 8) return (BigInt(this.readConfig(offset + 4, 4)) << 32n) | BigInt(this.readConfig(offset, 4));
    const bytes = this.device.config;
    let value = 0;
    for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] ?? 0);
    return value;
  }

  writeConfig(offset: number, width: MmioWidth, value: number | bigint): void {
    if (width === 8) {
      const bits = BigInt.asUintN(64, BigInt(value));
      this.writeConfig(offset, 4, Number(bits & 0xffff_ffffn));
      this.writeConfig(offset + 4, 4, Number(bits >> 32n));
      return;
    }
    const { device } = this;
    if (device.writeConfig === undefined || offset + width > device.config.length) this.counters.refused++;
    else device.writeConfig(offset, width, Number(value) % 2 ** (8 * width));
  }

  configChanged(): void {
    this.configGeneration = (this.configGeneration + 1) & 0xff;
    this.counters.configChanges++;
    if ((this.status & Status.driverOk) !== 0) this.signals.configuration();
  }

  needsReset(reason: string): void {
    this.reason = reason;
    this.counters.needsReset++;
    this.status |= Status.needsReset;
    if ((this.status & Status.driverOk) !== 0) this.signals.configuration();
  }

  notifyDriver(queue: number): void {
    this.signals.usedBuffer(queue);
  }

  /** The reset the driver asks for by writing 0, and the machine's. */
  reset(): void {
    this.counters.resets++;
    this.status = 0;
    this.features = 0n;
    this.reason = undefined;
    for (const queue of this.queues) queue.reset();
    this.device.reset();
    this.signals.reset();
  }

  checkInvariants(): void {
    for (const queue of this.queues) queue.checkInvariants();
  }

  private advance(value: number, bit: number, after: number): void {
    if ((value & bit) === 0 || (this.status & bit) !== 0) return;
    if ((this.status & after) === after) this.status |= bit;
    else this.counters.refused++;
  }

  /** Nothing that was not offered, and no legacy driver. */
  private acceptable(): boolean {
    return (this.features & ~this.offered) === 0n && (this.features & RingFeature.version1) !== 0n;
  }
}

/** `address` with its low or high 32 bits replaced: how drivers write 64-bit ring addresses. */
export function replaceHalf(address: number, high: boolean, value: number): number {
  const low = address % 4294967296;
  return high ? low + value * 4294967296 : address - low + value;
}
