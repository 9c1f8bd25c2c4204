/** The board's own devices, wired: everything but harts, RAM and what is plugged in. */
import { Clint } from '../../device/clint.ts';
import { wiredOr, type Clock, type Device, type InterruptLine } from '../../device/device.ts';
import { GoldfishRtc } from '../../device/goldfish-rtc.ts';
import { Plic } from '../../device/plic.ts';
import { Rom } from '../../device/rom.ts';
import { TestFinisher, type Finish } from '../../device/test-finisher.ts';
import { Uart16550 } from '../../device/uart-16550.ts';
import { Interrupt, setInterruptLine } from '../../isa/riscv/interrupt.ts';
import type { Bus } from '../../memory/bus.ts';
import { BOARD, INTERRUPTS, PLIC_PRIORITY_BITS, PLIC_SOURCES, virtioSlot, type AddressRange } from './map.ts';

/** The interrupt inputs of one hart. */
export interface HartWires {
  readonly machineSoftware: InterruptLine;
  readonly machineTimer: InterruptLine;
  readonly machineExternal: InterruptLine;
  readonly supervisorExternal: InterruptLine;
}

export interface BoardOptions {
  /** Runs at TIMEBASE_FREQUENCY. */
  readonly clock: Clock;
  /** Nanoseconds since 1970 at tick 0: the host's time of day, or a fixed moment in deterministic mode. */
  readonly epoch: bigint;
  readonly harts: readonly HartWires[];
  /** Content of the boot ROM. */
  readonly rom: Uint8Array;
  /** A byte the guest sends to the console. */
  readonly output: (byte: number) => void;
  /** The guest powered off or asked for a reset: the machine stops before the next instruction. */
  readonly finish: (finish: Finish) => void;
}

export class VirtBoard {
  readonly clint: Clint;
  readonly plic: Plic;
  readonly uart: Uart16550;
  readonly rtc: GoldfishRtc;
  readonly finisher: TestFinisher;
  readonly rom: Rom;
  /** By pin of the four that all PCI devices share, how many sources there may be. */
  readonly #pciLines: InterruptLine[][];

  constructor({ clock, epoch, harts, rom, output, finish }: BoardOptions) {
    this.clint = new Clint(
      clock,
      harts.map(({ machineSoftware, machineTimer }) => ({ software: machineSoftware, timer: machineTimer })),
    );
    this.plic = new Plic({
      sources: PLIC_SOURCES,
      priorityBits: PLIC_PRIORITY_BITS,
      // In the order of plicContext.
      contexts: harts.flatMap(({ machineExternal, supervisorExternal }) => [machineExternal, supervisorExternal]),
    });
    this.uart = new Uart16550({ line: this.plic.line(INTERRUPTS.uart), output });
    this.rtc = new GoldfishRtc({ clock, line: this.plic.line(INTERRUPTS.rtc), epoch });
    this.finisher = new TestFinisher(finish);
    this.rom = new Rom('boot ROM', BOARD.bootRom.size, rom);
    this.#pciLines = [0, 1, 2, 3].map((n) => wiredOr(this.plic.line(INTERRUPTS.pci + n), PCI_DEVICES));
  }

  /** Puts the devices where the map says. Throws ConfigError when something else is there. */
  attach(bus: Bus): void {
    const place = ({ address, size }: AddressRange, device: Device): void => bus.addDevice(address, size, device);
    place(BOARD.bootRom, this.rom);
    place(BOARD.finisher, this.finisher);
    place(BOARD.rtc, this.rtc);
    place(BOARD.clint, this.clint);
    place(BOARD.plic, this.plic);
    place(BOARD.uart, this.uart);
  }

  /** The wire of a virtio-mmio slot. */
  virtioLine(slot: number): InterruptLine {
    return this.plic.line(virtioSlot(slot).interrupt);
  }

  /** The wire of a PCI device's pin, 0 for INTA; four devices share each. */
  pciLine(device: number, pin: number): InterruptLine {
    return this.#pciLines[(device + pin) % 4]![device]!;
  }

  /** As at power-on. The harts' own state is the machine's. */
  reset(): void {
    for (const device of [this.clint, this.plic, this.uart, this.rtc, this.finisher, this.rom]) device.reset();
  }
}

/** Devices on a PCI bus (PCI Local Bus Specification, "Configuration Address"). */
const PCI_DEVICES = 32;

/** The inputs of the hart whose state this is. */
export function hartWires(state: DataView, raised: () => void): HartWires {
  const wire = (interrupt: Interrupt): InterruptLine => ({
    set: (level) => {
      setInterruptLine(state, interrupt, level);
      if (level) raised();
    },
  });
  return {
    machineSoftware: wire(Interrupt.machineSoftware),
    machineTimer: wire(Interrupt.machineTimer),
    machineExternal: wire(Interrupt.machineExternal),
    supervisorExternal: wire(Interrupt.supervisorExternal),
  };
}
