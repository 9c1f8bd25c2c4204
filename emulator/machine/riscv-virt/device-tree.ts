/** The board's device tree (Devicetree Specification v0.4; Linux's bindings where it has none), made from its map. */
import { FinisherCommand } from '../../device/test-finisher.ts';
import { fdtNode, type Fdt, type FdtNode } from '../../loader/fdt.ts';
import {
  BOARD,
  INTERRUPTS,
  PLIC_SOURCES,
  RAM_BASE,
  TIMEBASE_FREQUENCY,
  UART_FREQUENCY,
  VIRTIO_SLOTS,
  pciInterrupt,
  plicContext,
  virtioSlot,
  type AddressRange,
} from './map.ts';

export interface BoardDescription {
  /** Bytes. */
  readonly ramSize: number;
  readonly harts: number;
  /** Lower-case names: `i`, `m`, `zicsr`, `sstc`…, in the order of the ISA string. */
  readonly extensions: readonly string[];
  readonly mmu: 'sv39' | 'sv48' | 'sv57';
  /** The kernel's command line. */
  readonly bootArguments?: string;
  /** Guest-physical [start, end). */
  readonly initrd?: { readonly start: number; readonly end: number };
  /** Entropy for the kernel; deterministic if it is. */
  readonly seed?: Uint8Array;
  /** Leave out the PCI host bridge, by default false. */
  readonly withoutPci?: boolean;
}

/** Nodes that others refer to. Harts have theirs after these: 16 + 2·hart, and their interrupt controllers one more. */
const Phandle = { plic: 1, finisher: 2, hart: 16 } as const;
/** Interrupt numbers at a hart's own controller (Privileged ISA, "Machine Cause Register"). */
const Local = { machineSoftware: 3, machineTimer: 7, supervisorExternal: 9, machineExternal: 11 } as const;
/** Bytes of a cache block, for Zicbom, Zicboz and Zicbop. */
const CACHE_BLOCK = 64;

/** The tree that firmware or a kernel gets in a1. */
export function boardTree(board: BoardDescription): Fdt {
  const { bootArguments, initrd, seed } = board;
  const stdout = `/soc/serial@${BOARD.uart.address.toString(16)}`;
  const root = fdtNode(
    '',
    { '#address-cells': 2, '#size-cells': 2, compatible: 'riscv-virtio', model: 'vm-dyno,virt' },
    [
      fdtNode('aliases', { serial0: stdout }),
      fdtNode('chosen', {
        'stdout-path': stdout,
        bootargs: bootArguments,
        'linux,initrd-start': initrd && BigInt(initrd.start),
        'linux,initrd-end': initrd && BigInt(initrd.end),
        'rng-seed': seed,
      }),
      at('memory', { address: RAM_BASE, size: board.ramSize }, { device_type: 'memory' }),
      cpus(board),
      syscon('poweroff', FinisherCommand.pass),
      syscon('reboot', FinisherCommand.reset),
      soc(board),
    ],
  );
  return { root, reservations: [], bootCpu: 0 };
}

/** The value of `riscv,isa`: single letters run together, longer names after underscores. */
export function isaString(extensions: readonly string[]): string {
  const long = extensions.filter((name) => name.length > 1);
  return (
    ['rv64', extensions.filter((name) => name.length === 1).join('')].join('') + long.map((name) => `_${name}`).join('')
  );
}

function cpus({ harts, extensions, mmu }: BoardDescription): FdtNode {
  const block = (extension: string): number | undefined => (extensions.includes(extension) ? CACHE_BLOCK : undefined);
  const cores = Array.from({ length: harts }, (_, hart) => hart);
  return fdtNode('cpus', { '#address-cells': 1, '#size-cells': 0, 'timebase-frequency': TIMEBASE_FREQUENCY }, [
    ...cores.map((hart) =>
      fdtNode(
        `cpu@${hart.toString(16)}`,
        {
          device_type: 'cpu',
          reg: hart,
          status: 'okay',
          compatible: 'riscv',
          phandle: hartPhandle(hart),
          'riscv,isa': isaString(extensions),
          'riscv,isa-base': 'rv64i',
          'riscv,isa-extensions': extensions,
          'mmu-type': `riscv,${mmu}`,
          'riscv,cbom-block-size': block('zicbom'),
          'riscv,cboz-block-size': block('zicboz'),
          'riscv,cbop-block-size': block('zicbop'),
        },
        [
          fdtNode('interrupt-controller', {
            '#address-cells': 0,
            '#interrupt-cells': 1,
            'interrupt-controller': true,
            compatible: 'riscv,cpu-intc',
            phandle: localController(hart),
          }),
        ],
      ),
    ),
    fdtNode('cpu-map', {}, [
      fdtNode(
        'cluster0',
        {},
        cores.map((hart) => fdtNode(`core${hart}`, { cpu: hartPhandle(hart) })),
      ),
    ]),
  ]);
}

function soc(board: BoardDescription): FdtNode {
  const cores = Array.from({ length: board.harts }, (_, hart) => hart);
  const wired = (interrupt: number) => ({ 'interrupt-parent': Phandle.plic, interrupts: interrupt });
  const contexts = cores.flatMap((hart) => [
    { context: plicContext(hart, 'machine'), cells: [localController(hart), Local.machineExternal] },
    { context: plicContext(hart, 'supervisor'), cells: [localController(hart), Local.supervisorExternal] },
  ]);
  return fdtNode('soc', { '#address-cells': 2, '#size-cells': 2, compatible: 'simple-bus', ranges: true }, [
    at('test', BOARD.finisher, { compatible: ['sifive,test1', 'sifive,test0', 'syscon'], phandle: Phandle.finisher }),
    at('rtc', BOARD.rtc, { compatible: 'google,goldfish-rtc', ...wired(INTERRUPTS.rtc) }),
    at('clint', BOARD.clint, {
      compatible: ['sifive,clint0', 'riscv,clint0'],
      'interrupts-extended': cores.flatMap((hart) => [
        localController(hart),
        Local.machineSoftware,
        localController(hart),
        Local.machineTimer,
      ]),
    }),
    at('plic', BOARD.plic, {
      compatible: ['sifive,plic-1.0.0', 'riscv,plic0'],
      '#address-cells': 0,
      '#interrupt-cells': 1,
      'interrupt-controller': true,
      'interrupts-extended': contexts.toSorted((a, b) => a.context - b.context).flatMap(({ cells }) => cells),
      'riscv,ndev': PLIC_SOURCES - 1,
      phandle: Phandle.plic,
    }),
    at('serial', BOARD.uart, {
      compatible: 'ns16550a',
      'clock-frequency': UART_FREQUENCY,
      ...wired(INTERRUPTS.uart),
    }),
    ...Array.from({ length: VIRTIO_SLOTS }, (_, slot) => {
      const { interrupt, ...range } = virtioSlot(slot);
      return at('virtio_mmio', range, { compatible: 'virtio,mmio', 'dma-coherent': true, ...wired(interrupt) });
    }),
    ...(board.withoutPci === true ? [] : [pci()]),
  ]);
}

/** The generic host bridge (PCI Bus Binding to IEEE 1275: an address is three cells, the kind of space in the first). */
function pci(): FdtNode {
  const { pciConfiguration, pciPorts, pciMemory } = BOARD;
  const map = [0, 1, 2, 3].flatMap((device) =>
    [0, 1, 2, 3].flatMap((pin) => [device << 11, 0, 0, pin + 1, Phandle.plic, pciInterrupt(device, pin)]),
  );
  const ports = [0x0100_0000, 0n, BigInt(pciPorts.address), BigInt(pciPorts.size)];
  const memory = [0x0200_0000, BigInt(pciMemory.address), BigInt(pciMemory.address), BigInt(pciMemory.size)];
  return at('pci', pciConfiguration, {
    compatible: 'pci-host-ecam-generic',
    device_type: 'pci',
    '#address-cells': 3,
    '#size-cells': 2,
    '#interrupt-cells': 1,
    'bus-range': [0, pciConfiguration.size / 2 ** 20 - 1],
    'linux,pci-domain': 0,
    'dma-coherent': true,
    ranges: [...ports, ...memory],
    'interrupt-map-mask': [0x1800, 0, 0, 7],
    'interrupt-map': map,
  });
}

/** Power-off and reboot by a word written to the finisher (bindings power/reset/syscon-poweroff and syscon-reboot). */
function syscon(name: 'poweroff' | 'reboot', value: number): FdtNode {
  return fdtNode(name, { compatible: `syscon-${name}`, regmap: Phandle.finisher, offset: 0, value });
}

/** A node with the unit address and `reg` of its range. */
function at(name: string, { address, size }: AddressRange, properties: Parameters<typeof fdtNode>[1]): FdtNode {
  return fdtNode(`${name}@${address.toString(16)}`, { reg: [BigInt(address), BigInt(size)], ...properties });
}

function hartPhandle(hart: number): number {
  return Phandle.hart + 2 * hart;
}

function localController(hart: number): number {
  return hartPhandle(hart) + 1;
}
