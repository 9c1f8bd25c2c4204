import type { MmioWidth } from '../../memory/mmio.ts';
import type { Device, InterruptLine } from '../device.ts';
import { RegisterBlock } from '../register-block.ts';
import type { Register } from '../register-block.ts';
import type { VirtioDevice } from './device.ts';
import type { GuestMemory } from './guest-memory.ts';
import { replaceHalf, TransportState } from './transport.ts';

const SPEC = 'MMIO Device Register Layout';
/** "virt" in ASCII. */
const MAGIC = 0x7472_6976;
const VERSION = 2;
const CONFIG = 0x100;
const Interrupt = { usedBuffer: 1, configuration: 2 } as const;

/** Bytes of address space that a board gives each virtio-mmio device. */
export const VIRTIO_MMIO_SIZE = 0x1000;

/** A virtio device behind memory-mapped registers, version 2 (Virtual I/O Device, "Virtio Over MMIO"). */
export class VirtioMmio implements Device {
  readonly name: string;
  readonly size = VIRTIO_MMIO_SIZE;
  readonly state: TransportState;
  deviceFeaturesSelect = 0;
  driverFeaturesSelect = 0;
  queueSelect = 0;
  interruptStatus = 0;
  private readonly line: InterruptLine;

  constructor(device: VirtioDevice, memory: GuestMemory, line: InterruptLine) {
    this.name = `virtio-${device.name}`;
    this.line = line;
    this.state = new TransportState(device, memory, {
      usedBuffer: () => this.interrupt(Interrupt.usedBuffer),
      configuration: () => this.interrupt(Interrupt.configuration),
      reset: () => this.clear(),
    });
  }

  read(offset: number, width: MmioWidth): number | bigint {
    if (offset >= CONFIG) return this.state.readConfig(offset - CONFIG, width);
    return width === 4 ? (BY_WORD[offset >>> 2]?.read?.(this, 0) ?? 0) : 0;
  }

  write(offset: number, width: MmioWidth, value: number | bigint): void {
    if (offset >= CONFIG) this.state.writeConfig(offset - CONFIG, width, value);
    else if (width === 4) BY_WORD[offset >>> 2]?.write?.(this, Number(value) >>> 0, 0);
  }

  refuses(offset: number, width: MmioWidth): boolean {
    return offset < CONFIG && VIRTIO_MMIO_REGISTERS.refuses(width);
  }

  /** The machine's reset. */
  reset(): void {
    this.state.reset();
  }

  acknowledgeInterrupt(bits: number): void {
    this.interruptStatus &= ~bits;
    if (this.interruptStatus === 0) this.line.set(false);
  }

  private interrupt(bit: number): void {
    this.interruptStatus |= bit;
    this.line.set(true);
  }

  private clear(): void {
    this.deviceFeaturesSelect = 0;
    this.driverFeaturesSelect = 0;
    this.queueSelect = 0;
    this.interruptStatus = 0;
    this.line.set(false);
  }
}

/** A slot without a device: boards whose device tree lists all their slots say so by device type 0, and drivers pass on. */
export class EmptyVirtioMmio implements Device {
  readonly name = 'virtio-none';
  readonly size = VIRTIO_MMIO_SIZE;

  read(offset: number, width: MmioWidth): number {
    if (width !== 4) return 0;
    return offset === 0 ? MAGIC : offset === 4 ? VERSION : 0;
  }

  write(): void {
    // Nothing listens.
  }

  reset(): void {
    // Nothing to forget.
  }
}

const queueOf = ({ state, queueSelect }: VirtioMmio) => state.queues[queueSelect];

const RING_NAMES = { descriptorTable: 'descriptor table', availRing: 'available ring', usedRing: 'used ring' } as const;

/** A half of one of the selected queue's ring addresses; the driver may only write it, and only while the queue is not ready. */
function ringAddress(
  name: string,
  offset: number,
  field: keyof typeof RING_NAMES,
  high: boolean,
): Register<VirtioMmio> {
  return {
    name,
    offset,
    width: 4,
    doc: `${high ? 'high' : 'low'} half of the selected queue's ${RING_NAMES[field]}`,
    spec: SPEC,
    write: ({ state, queueSelect }, value) => {
      const queue = state.queueToConfigure(queueSelect);
      if (queue !== undefined) queue[field] = replaceHalf(queue[field], high, Number(value));
    },
  };
}

/** A half of the length or address of a shared memory region, of which there are none: all ones. */
const noSharedMemory = (name: string, offset: number): Register<VirtioMmio> => ({
  name,
  offset,
  width: 4,
  reset: 0xffff_ffff,
  doc: 'no shared memory region exists',
  spec: SPEC,
  read: () => 0xffff_ffff,
});

/** The control registers; the device's configuration follows at 0x100. */
export const VIRTIO_MMIO_REGISTERS = new RegisterBlock<VirtioMmio>(
  'virtio-mmio',
  'Virtual I/O Device',
  CONFIG,
  [4],
  [
    { name: 'MagicValue', offset: 0x000, width: 4, reset: MAGIC, doc: '"virt"', spec: SPEC, read: () => MAGIC },
    { name: 'Version', offset: 0x004, width: 4, reset: VERSION, doc: 'not legacy', spec: SPEC, read: () => VERSION },
    {
      name: 'DeviceID',
      offset: 0x008,
      width: 4,
      reset: 'varies',
      doc: 'device type',
      spec: SPEC,
      read: ({ state }) => state.device.id,
    },
    { name: 'VendorID', offset: 0x00c, width: 4, reset: 0, doc: 'no vendor', spec: SPEC, read: () => 0 },
    {
      name: 'DeviceFeatures',
      offset: 0x010,
      width: 4,
      reset: 'varies',
      doc: 'the selected word of the features on offer',
      spec: SPEC,
      read: ({ state, deviceFeaturesSelect }) => state.offeredWord(deviceFeaturesSelect),
    },
    {
      name: 'DeviceFeaturesSel',
      offset: 0x014,
      width: 4,
      doc: 'selects a word of DeviceFeatures',
      spec: SPEC,
      write: (transport, value) => void (transport.deviceFeaturesSelect = Number(value)),
    },
    {
      name: 'DriverFeatures',
      offset: 0x020,
      width: 4,
      doc: 'the selected word of what the driver acknowledges',
      spec: SPEC,
      write: ({ state, driverFeaturesSelect }, value) => state.acknowledge(driverFeaturesSelect, Number(value)),
    },
    {
      name: 'DriverFeaturesSel',
      offset: 0x024,
      width: 4,
      doc: 'selects a word of DriverFeatures',
      spec: SPEC,
      write: (transport, value) => void (transport.driverFeaturesSelect = Number(value)),
    },
    {
      name: 'QueueSel',
      offset: 0x030,
      width: 4,
      doc: 'selects a queue',
      spec: SPEC,
      write: (transport, value) => void (transport.queueSelect = Number(value)),
    },
    {
      name: 'QueueSizeMax',
      offset: 0x034,
      width: 4,
      reset: 'varies',
      doc: 'the largest size of the selected queue, or 0 if there is none',
      spec: SPEC,
      read: (transport) => queueOf(transport)?.maxSize ?? 0,
    },
    {
      name: 'QueueSize',
      offset: 0x038,
      width: 4,
      doc: 'size of the selected queue',
      spec: SPEC,
      write: ({ state, queueSelect }, value) => {
        const queue = state.queueToConfigure(queueSelect);
        if (queue !== undefined) queue.size = Number(value);
      },
    },
    {
      name: 'QueueReady',
      offset: 0x044,
      width: 4,
      doc: 'writing 1 lets the device use the selected queue',
      spec: SPEC,
      read: (transport) => (queueOf(transport)?.ready === true ? 1 : 0),
      write: ({ state, queueSelect }, value) => {
        if (value === 1) state.enableQueue(queueSelect);
        else if (value === 0) state.disableQueue(queueSelect);
        else state.counters.refused++;
      },
    },
    {
      name: 'QueueNotify',
      offset: 0x050,
      width: 4,
      doc: 'the number of a queue with new buffers',
      spec: SPEC,
      write: ({ state }, value) => state.notify(Number(value)),
    },
    {
      name: 'InterruptStatus',
      offset: 0x060,
      width: 4,
      doc: 'bit 0 used buffers, bit 1 configuration change',
      spec: SPEC,
      read: ({ interruptStatus }) => interruptStatus,
    },
    {
      name: 'InterruptACK',
      offset: 0x064,
      width: 4,
      doc: 'clears bits of InterruptStatus',
      spec: SPEC,
      write: (transport, value) => transport.acknowledgeInterrupt(Number(value)),
    },
    {
      name: 'Status',
      offset: 0x070,
      width: 4,
      doc: 'device status; writing 0 resets',
      spec: SPEC,
      read: ({ state }) => state.status,
      write: ({ state }, value) => state.writeStatus(Number(value)),
    },
    ringAddress('QueueDescLow', 0x080, 'descriptorTable', false),
    ringAddress('QueueDescHigh', 0x084, 'descriptorTable', true),
    ringAddress('QueueDriverLow', 0x090, 'availRing', false),
    ringAddress('QueueDriverHigh', 0x094, 'availRing', true),
    ringAddress('QueueDeviceLow', 0x0a0, 'usedRing', false),
    ringAddress('QueueDeviceHigh', 0x0a4, 'usedRing', true),
    noSharedMemory('SHMLenLow', 0x0b0),
    noSharedMemory('SHMLenHigh', 0x0b4),
    noSharedMemory('SHMBaseLow', 0x0b8),
    noSharedMemory('SHMBaseHigh', 0x0bc),
    {
      name: 'ConfigGeneration',
      offset: 0x0fc,
      width: 4,
      doc: 'changes with the device configuration',
      spec: SPEC,
      read: ({ state }) => state.configGeneration,
    },
  ],
);

/**
 * The table by offset. All registers are a word wide and a request costs a notification, a look at the status and an acknowledgement,
 * so the search through 28 rows that `RegisterBlock` makes is worth saving: 520 ns down to 20 for the three.
 */
const BY_WORD: readonly (Register<VirtioMmio> | undefined)[] = Array.from({ length: CONFIG / 4 }, (_, word) =>
  VIRTIO_MMIO_REGISTERS.registers.find(({ offset }) => offset === 4 * word),
);
