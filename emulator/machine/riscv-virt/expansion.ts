/** What is plugged into the board: virtio devices in its slots, behind PCI or behind memory-mapped registers. */
import { ConfigError } from '../../check/errors.ts';
import type { Device } from '../../device/device.ts';
import { PciHost } from '../../device/pci/host.ts';
import type { VirtioDevice } from '../../device/virtio/device.ts';
import { GuestMemory } from '../../device/virtio/guest-memory.ts';
import { EmptyVirtioMmio, VirtioMmio } from '../../device/virtio/mmio.ts';
import { VirtioPci } from '../../device/virtio/pci.ts';
import type { TransportState } from '../../device/virtio/transport.ts';
import type { Bus } from '../../memory/bus.ts';
import type { MmioDevice, MmioWidth } from '../../memory/mmio.ts';
import type { VirtBoard } from './board.ts';
import { BOARD, RAM_BASE, VIRTIO_SLOTS, virtioSlot } from './map.ts';

export interface ExpansionOptions {
  readonly board: VirtBoard;
  /** In the order in which the guest is to find them. */
  readonly devices: readonly VirtioDevice[];
  readonly transport: 'pci' | 'mmio';
  /** The machine's linear memory, and where RAM lies in it. */
  readonly memory: WebAssembly.Memory;
  readonly ramSize: number;
  readonly linear: number;
}

/** PCI slot 0 is the host bridge. */
const FIRST_PCI_SLOT = 1;
const PCI_SLOTS = 31;

/** Nobody drives a port of the board: reads are all ones. */
const PORTS: MmioDevice = {
  name: 'PCI ports',
  read: (_: number, width: MmioWidth) => (width === 8 ? 0xffff_ffff_ffff_ffffn : 2 ** (8 * width) - 1),
  write: () => {},
};

/**
 * Wires virtio devices to board and bus. PCI addresses are the guest's to give, as its firmware or kernel does; there is no controller for
 * message-signalled interrupts, so drivers use the four wires.
 */
export class Expansion {
  /** Status, queues and counters of each device, in their order. */
  readonly states: readonly TransportState[];
  readonly #slots: readonly Device[];
  readonly #pci: PciHost;
  readonly #functions: readonly VirtioPci[];

  /** Puts everything on `bus`. Throws ConfigError when there are more devices than slots. */
  constructor(bus: Bus, { board, devices, transport, memory, ramSize, linear }: ExpansionOptions) {
    const slots = transport === 'pci' ? PCI_SLOTS : VIRTIO_SLOTS;
    if (devices.length > slots) {
      throw new ConfigError(`${devices.length} virtio devices, and the board has ${slots} slots`);
    }
    const ram = new GuestMemory(memory.buffer, [{ address: RAM_BASE, size: ramSize, offset: linear }], {
      written: (address, length) => bus.written(address, length),
    });
    const mapped = transport === 'mmio' ? devices : [];
    const transports = mapped.map((device, slot) => new VirtioMmio(device, ram, board.virtioLine(slot)));
    this.#slots = Array.from({ length: VIRTIO_SLOTS }, (_, slot) => transports[slot] ?? new EmptyVirtioMmio());
    for (const [slot, device] of this.#slots.entries()) bus.addDevice(virtioSlot(slot).address, device.size, device);

    // Line n is the one of device n's INTA; the host turns them by slot.
    const line = (n: number) => board.pciLine(n, 0);
    this.#pci = new PciHost([BOARD.pciMemory], [line(0), line(1), line(2), line(3)]);
    this.#functions = transport === 'pci' ? devices.map((device) => new VirtioPci(device, ram)) : [];
    for (const [n, { pciFunction }] of this.#functions.entries()) this.#pci.add(FIRST_PCI_SLOT + n, pciFunction);
    bus.addDevice(BOARD.pciConfiguration.address, BOARD.pciConfiguration.size, this.#pci.ecam);
    bus.addDevice(BOARD.pciMemory.address, BOARD.pciMemory.size, this.#pci.windows[0]!);
    bus.addDevice(BOARD.pciPorts.address, BOARD.pciPorts.size, PORTS);
    this.states = [...transports, ...this.#functions].map(({ state }) => state);
  }

  /** As at power-on; disks keep what was written to them. */
  reset(): void {
    for (const device of this.#slots) device.reset();
    for (const each of this.#functions) each.reset();
    this.#pci.reset();
  }
}
