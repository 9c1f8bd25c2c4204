/** Where everything is on the common RISC-V `virt` board: addresses and interrupts are those that its firmware and kernels know. */

export interface AddressRange {
  readonly address: number;
  readonly size: number;
}

export const BOARD = {
  /** Reset vector and what it jumps with; read-only. */
  bootRom: { address: 0x1000, size: 0xf000 },
  finisher: { address: 0x10_0000, size: 0x1000 },
  rtc: { address: 0x10_1000, size: 0x1000 },
  clint: { address: 0x200_0000, size: 0x1_0000 },
  /** PCI port I/O as the bus sees it. */
  pciPorts: { address: 0x300_0000, size: 0x1_0000 },
  plic: { address: 0xc00_0000, size: 0x60_0000 },
  uart: { address: 0x1000_0000, size: 0x100 },
  /** The first of VIRTIO_SLOTS, one behind the other. */
  virtio: { address: 0x1000_1000, size: 0x1000 },
  pciConfiguration: { address: 0x3000_0000, size: 0x1000_0000 },
  pciMemory: { address: 0x4000_0000, size: 0x4000_0000 },
} as const satisfies Record<string, AddressRange>;

export const RAM_BASE = 0x8000_0000;
/** What `--memory` may ask for: guest RAM and our own structures share a 4 GiB linear memory. */
export const MAX_RAM = 3 * 2 ** 30;

export const VIRTIO_SLOTS = 8;

/** Inputs of the PLIC. */
export const INTERRUPTS = {
  /** Of virtio slot 0; slot n has the n-th after it. */
  virtio: 1,
  uart: 10,
  rtc: 11,
  /** INTA of PCI device 0; see `pciInterrupt`. */
  pci: 32,
} as const;
/** Inputs of the PLIC, the absent input 0 counted. */
export const PLIC_SOURCES = 96;
export const PLIC_PRIORITY_BITS = 3;

/** Ticks a second of `mtime` and the `time` counter. */
export const TIMEBASE_FREQUENCY = 10_000_000;
/** The UART's input clock; its speed is not modelled. */
export const UART_FREQUENCY = 3_686_400;

/** Contexts of the PLIC: two a hart. */
export function plicContext(hart: number, mode: 'machine' | 'supervisor'): number {
  return 2 * hart + (mode === 'machine' ? 0 : 1);
}

/** Where virtio-mmio slot 0 to VIRTIO_SLOTS - 1 is. */
export function virtioSlot(slot: number): AddressRange & { readonly interrupt: number } {
  const { address, size } = BOARD.virtio;
  return { address: address + slot * size, size, interrupt: INTERRUPTS.virtio + slot };
}

/** The PLIC input of a PCI device's pin (0 is INTA): devices take turns (PCI-to-PCI Bridge Architecture, "Interrupt Support"). */
export function pciInterrupt(device: number, pin: number): number {
  return INTERRUPTS.pci + ((device + pin) % 4);
}
