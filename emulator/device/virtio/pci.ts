import { assert } from '../../check/assert.ts';
import type { MmioDevice, MmioWidth } from '../../memory/mmio.ts';
import { PciFunction } from '../pci/function.ts';
import { MAX_VECTORS, Msix } from '../pci/msix.ts';
import type { MessageTarget } from '../pci/msix.ts';
import { RegisterBlock } from '../register-block.ts';
import type { Register } from '../register-block.ts';
import { DeviceId } from './device.ts';
import type { VirtioDevice } from './device.ts';
import type { GuestMemory } from './guest-memory.ts';
import { replaceHalf, TransportState } from './transport.ts';

const SPEC = 'Common configuration structure layout';
const VENDOR = 0x1af4;
/** Device ids of modern devices start here. */
const FIRST_DEVICE = 0x1040;
const VENDOR_CAPABILITY = 0x09;
const CapabilityType = { common: 1, notify: 2, isr: 3, device: 4, configAccess: 5 } as const;
const NO_VECTOR = 0xffff;
const Interrupt = { usedBuffer: 1, configuration: 2 } as const;

/** What lies where in the BAR with the virtio structures; a page each, so that a hypervisor guest may map them apart. */
const REGISTERS_BAR = 0;
const MSIX_BAR = 1;
const BAR_SIZE = 0x4000;
const PAGE = 0x1000;
const ISR = 0x1000;
const CONFIG = 0x2000;
const NOTIFY = 0x3000;
/** Bytes between two queues' notification addresses. */
const NOTIFY_MULTIPLIER = 4;

/** Base class and subclass by device type (PCI Code and ID Assignment, "Class Codes"). */
const CLASS_CODES: ReadonlyMap<number, number> = new Map<number, number>([
  [DeviceId.network, 0x02_0000],
  [DeviceId.block, 0x01_0000],
  [DeviceId.console, 0x07_8000],
  [DeviceId.gpu, 0x03_8000],
]);
const OTHER_CLASS = 0xff_0000;

/** A virtio device as a modern PCI function (Virtual I/O Device, "Virtio Over PCI Bus"): structures in BAR 0, MSI-X in BAR 1, INTA. */
export class VirtioPci implements MmioDevice {
  readonly name: string;
  readonly state: TransportState;
  readonly pciFunction: PciFunction;
  readonly msix: Msix;
  deviceFeaturesSelect = 0;
  driverFeaturesSelect = 0;
  queueSelect = 0;
  configVector: number = NO_VECTOR;
  readonly queueVectors: number[];
  private isr = 0;

  /** `target` takes message-signalled interrupts; a machine without a controller for them leaves it out, and drivers fall back to INTx. */
  constructor(device: VirtioDevice, memory: GuestMemory, target: MessageTarget = () => {}) {
    this.name = `virtio-${device.name}`;
    this.state = new TransportState(device, memory, {
      usedBuffer: (queue) => this.interrupt(Interrupt.usedBuffer, this.queueVectors[queue]!),
      configuration: () => this.interrupt(Interrupt.configuration, this.configVector),
      reset: () => this.clear(),
    });
    this.queueVectors = device.queueSizes.map(() => NO_VECTOR);
    const queues = device.queueSizes.length;
    assert(queues < MAX_VECTORS && queues * NOTIFY_MULTIPLIER <= PAGE, 'the structures have room for every queue');
    this.pciFunction = new PciFunction(
      this.name,
      {
        vendor: VENDOR,
        device: FIRST_DEVICE + device.id,
        revision: 1,
        classCode: CLASS_CODES.get(device.id) ?? OTHER_CLASS,
        subsystemVendor: VENDOR,
        // Any from 0x40 on says that the device is not transitional.
        subsystem: 0x40,
      },
      1,
    );
    this.pciFunction.addBar(REGISTERS_BAR, BAR_SIZE, this);
    this.msix = new Msix(this.pciFunction, MSIX_BAR, queues + 1, target);
    this.addStructure(CapabilityType.common, 0, VIRTIO_PCI_COMMON.size);
    this.addStructure(CapabilityType.isr, ISR, 1);
    if (device.config.length > 0) this.addStructure(CapabilityType.device, CONFIG, device.config.length);
    const multiplier = new Uint8Array(4);
    multiplier[0] = NOTIFY_MULTIPLIER;
    this.addStructure(CapabilityType.notify, NOTIFY, queues * NOTIFY_MULTIPLIER, multiplier);
    this.addConfigAccess();
  }

  read(offset: number, width: MmioWidth): number | bigint {
    if (offset < VIRTIO_PCI_COMMON.size) {
      return offset + width > VIRTIO_PCI_COMMON.size ? 0 : VIRTIO_PCI_COMMON.read(this, offset, width);
    }
    if (offset >= CONFIG && offset < CONFIG + PAGE) return this.state.readConfig(offset - CONFIG, width);
    return offset === ISR ? this.takeIsr() : 0;
  }

  write(offset: number, width: MmioWidth, value: number | bigint): void {
    // A driver may write two or four bytes here; which queue it means is said by the address.
    if (offset >= NOTIFY) this.state.notify(Math.floor((offset - NOTIFY) / NOTIFY_MULTIPLIER));
    else if (offset >= CONFIG) this.state.writeConfig(offset - CONFIG, width, value);
    else if (offset + width <= VIRTIO_PCI_COMMON.size) VIRTIO_PCI_COMMON.write(this, offset, width, value);
    else this.state.counters.refused++;
  }

  /** The machine's reset. */
  reset(): void {
    this.state.reset();
    this.msix.reset();
    this.pciFunction.reset();
  }

  private interrupt(bit: number, vector: number): void {
    if (this.msix.enabled) {
      this.msix.raise(vector);
      return;
    }
    this.isr |= bit;
    this.pciFunction.setInterrupt(true);
  }

  /** Reading the ISR status acknowledges it. */
  private takeIsr(): number {
    const { isr } = this;
    this.isr = 0;
    this.pciFunction.setInterrupt(false);
    return isr;
  }

  private clear(): void {
    this.deviceFeaturesSelect = 0;
    this.driverFeaturesSelect = 0;
    this.queueSelect = 0;
    this.configVector = NO_VECTOR;
    this.queueVectors.fill(NO_VECTOR);
    this.takeIsr();
  }

  /** A vendor-specific capability that says where a structure lies (Virtual I/O Device, "Virtio Structure PCI Capabilities"). */
  private addStructure(type: number, offset: number, length: number, more = new Uint8Array(0)): void {
    const body = structureBody(type, REGISTERS_BAR, offset, length, more);
    this.pciFunction.addCapability(VENDOR_CAPABILITY, body, new Uint8Array(body.length));
  }

  /** The window into the BARs for those who cannot map them: firmware early in its life. */
  private addConfigAccess(): void {
    const body = structureBody(CapabilityType.configAccess, 0, 0, 0, new Uint8Array(4));
    const writable = new Uint8Array(body.length);
    // BAR number, offset, length and the window itself.
    writable[2] = 0xff;
    writable.fill(0xff, 6);
    const start = this.pciFunction.addCapability(VENDOR_CAPABILITY, body, writable, {
      read: (offset) => (offset === 16 ? this.readThrough(start) : undefined),
      written: (offset) => {
        if (offset === 16) this.writeThrough(start);
      },
    });
  }

  private readThrough(start: number): number | undefined {
    const access = this.accessAt(start);
    return access === undefined ? 0 : Number(access.region.read(access.offset, access.width));
  }

  private writeThrough(start: number): void {
    const access = this.accessAt(start);
    access?.region.write(access.offset, access.width, this.pciFunction.stored(start + 16, access.width));
  }

  private accessAt(start: number): { region: MmioDevice; offset: number; width: 1 | 2 | 4 } | undefined {
    const index = this.pciFunction.stored(start + 4, 1);
    const offset = this.pciFunction.stored(start + 8, 4);
    const width = this.pciFunction.stored(start + 12, 4);
    const bar = this.pciFunction.bars.find((candidate) => candidate.index === index);
    if (bar === undefined || (width !== 1 && width !== 2 && width !== 4)) return undefined;
    return offset % width === 0 && offset + width <= bar.size ? { region: bar.region, offset, width } : undefined;
  }
}

/** The bytes after the capability's id and next pointer. */
function structureBody(type: number, bar: number, offset: number, length: number, more: Uint8Array): Uint8Array {
  const body = new Uint8Array(14 + more.length);
  const view = new DataView(body.buffer);
  body[0] = body.length + 2;
  body[1] = type;
  body[2] = bar;
  view.setUint32(6, offset, true);
  view.setUint32(10, length, true);
  body.set(more, 14);
  return body;
}

const queueOf = ({ state, queueSelect }: VirtioPci) => state.queues[queueSelect];

function ringAddress(
  name: string,
  offset: number,
  field: 'descriptorTable' | 'availRing' | 'usedRing',
  doc: string,
): Register<VirtioPci>[] {
  return [false, true].map((high) => ({
    name: high ? `${name}_hi` : `${name}_lo`,
    offset: offset + (high ? 4 : 0),
    width: 4,
    doc: `${high ? 'high' : 'low'} half of the selected queue's ${doc}`,
    spec: SPEC,
    read: (transport) => {
      const address = queueOf(transport)?.[field] ?? 0;
      return high ? Math.floor(address / 4294967296) : address % 4294967296;
    },
    write: ({ state, queueSelect }, value) => {
      const queue = state.queueToConfigure(queueSelect);
      if (queue !== undefined) queue[field] = replaceHalf(queue[field], high, Number(value));
    },
  }));
}

/** A vector the device has, or none. */
const vectorOf = ({ msix }: VirtioPci, value: number): number => (value < msix.vectors ? value : NO_VECTOR);

export const VIRTIO_PCI_COMMON = new RegisterBlock<VirtioPci>(
  'virtio-pci common configuration',
  'Virtual I/O Device',
  0x40,
  [1, 2, 4, 8],
  [
    {
      name: 'device_feature_select',
      offset: 0x00,
      width: 4,
      doc: 'selects a word of device_feature',
      spec: SPEC,
      read: ({ deviceFeaturesSelect }) => deviceFeaturesSelect,
      write: (transport, value) => void (transport.deviceFeaturesSelect = Number(value)),
    },
    {
      name: 'device_feature',
      offset: 0x04,
      width: 4,
      reset: 'varies',
      doc: 'the selected word of the features on offer',
      spec: SPEC,
      read: ({ state, deviceFeaturesSelect }) => state.offeredWord(deviceFeaturesSelect),
    },
    {
      name: 'driver_feature_select',
      offset: 0x08,
      width: 4,
      doc: 'selects a word of driver_feature',
      spec: SPEC,
      read: ({ driverFeaturesSelect }) => driverFeaturesSelect,
      write: (transport, value) => void (transport.driverFeaturesSelect = Number(value)),
    },
    {
      name: 'driver_feature',
      offset: 0x0c,
      width: 4,
      doc: 'the selected word of what the driver acknowledges',
      spec: SPEC,
      read: ({ state, driverFeaturesSelect }) => state.acknowledgedWord(driverFeaturesSelect),
      write: ({ state, driverFeaturesSelect }, value) => state.acknowledge(driverFeaturesSelect, Number(value)),
    },
    {
      name: 'config_msix_vector',
      offset: 0x10,
      width: 2,
      reset: NO_VECTOR,
      doc: 'vector of configuration changes',
      spec: SPEC,
      read: ({ configVector }) => configVector,
      write: (transport, value) => void (transport.configVector = vectorOf(transport, Number(value))),
    },
    {
      name: 'num_queues',
      offset: 0x12,
      width: 2,
      reset: 'varies',
      doc: 'queues the device has',
      spec: SPEC,
      read: ({ state }) => state.queues.length,
    },
    {
      name: 'device_status',
      offset: 0x14,
      width: 1,
      doc: 'device status; writing 0 resets',
      spec: SPEC,
      read: ({ state }) => state.status,
      write: ({ state }, value) => state.writeStatus(Number(value)),
    },
    {
      name: 'config_generation',
      offset: 0x15,
      width: 1,
      doc: 'changes with the device configuration',
      spec: SPEC,
      read: ({ state }) => state.configGeneration,
    },
    {
      name: 'queue_select',
      offset: 0x16,
      width: 2,
      doc: 'selects a queue',
      spec: SPEC,
      read: ({ queueSelect }) => queueSelect,
      write: (transport, value) => void (transport.queueSelect = Number(value)),
    },
    {
      name: 'queue_size',
      offset: 0x18,
      width: 2,
      reset: 'varies',
      doc: 'size of the selected queue, at first its largest; 0 if there is none',
      spec: SPEC,
      read: (transport) => queueOf(transport)?.size ?? 0,
      write: ({ state, queueSelect }, value) => {
        const queue = state.queueToConfigure(queueSelect);
        if (queue !== undefined) queue.size = Number(value);
      },
    },
    {
      name: 'queue_msix_vector',
      offset: 0x1a,
      width: 2,
      reset: NO_VECTOR,
      doc: "vector of the selected queue's used buffers",
      spec: SPEC,
      read: ({ queueVectors, queueSelect }) => queueVectors[queueSelect] ?? NO_VECTOR,
      write: (transport, value) => {
        const { queueVectors, queueSelect } = transport;
        if (queueSelect < queueVectors.length) queueVectors[queueSelect] = vectorOf(transport, Number(value));
      },
    },
    {
      name: 'queue_enable',
      offset: 0x1c,
      width: 2,
      doc: 'writing 1 lets the device use the selected queue',
      spec: SPEC,
      read: (transport) => (queueOf(transport)?.ready === true ? 1 : 0),
      write: ({ state, queueSelect }, value) => {
        if (value === 1) state.enableQueue(queueSelect);
        else state.counters.refused++;
      },
    },
    {
      name: 'queue_notify_off',
      offset: 0x1e,
      width: 2,
      doc: "the selected queue's place among the notification addresses",
      spec: SPEC,
      read: ({ state, queueSelect }) => (queueSelect < state.queues.length ? queueSelect : 0),
    },
    ...ringAddress('queue_desc', 0x20, 'descriptorTable', 'descriptor table'),
    ...ringAddress('queue_driver', 0x28, 'availRing', 'available ring'),
    ...ringAddress('queue_device', 0x30, 'usedRing', 'used ring'),
  ],
);
