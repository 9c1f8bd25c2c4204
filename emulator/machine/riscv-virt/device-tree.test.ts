import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Clint } from '../../device/clint.ts';
import { GoldfishRtc } from '../../device/goldfish-rtc.ts';
import { Plic } from '../../device/plic.ts';
import { TestFinisher } from '../../device/test-finisher.ts';
import { Uart16550 } from '../../device/uart-16550.ts';
import { cellsOf, findNode, parseFdt, stringsOf, writeFdt, type FdtNode } from '../../loader/fdt.ts';
import { input } from '../../../scripts/inputs.ts';
import { boardTree, isaString, type BoardDescription } from './device-tree.ts';
import { BOARD, RAM_BASE, VIRTIO_SLOTS, pciInterrupt, plicContext, virtioSlot } from './map.ts';

const SMALL: BoardDescription = {
  ramSize: 512 * 2 ** 20,
  harts: 1,
  extensions: ['i', 'm', 'a', 'f', 'd', 'c', 'zicsr', 'zifencei', 'zicboz', 'sstc'],
  mmu: 'sv39',
};
const FULL: BoardDescription = {
  ...SMALL,
  ramSize: 3 * 2 ** 30,
  harts: 4,
  bootArguments: 'console=ttyS0 quiet',
  initrd: { start: 0x8800_0000, end: 0x8812_3456 },
  seed: Uint8Array.of(1, 2, 3, 4),
};

function property(root: FdtNode, path: string, name: string): Uint8Array {
  const node = findNode(root, path);
  assert.ok(node !== undefined, `no node ${path}`);
  const value = node.properties.get(name);
  assert.ok(value !== undefined, `${path} has no ${name}`);
  return value;
}
const cells = (root: FdtNode, path: string, name: string): number[] => cellsOf(property(root, path, name));
const strings = (root: FdtNode, path: string, name: string): string[] => stringsOf(property(root, path, name));

test('/chosen holds the command line, RAM disk, console and seed that were given, and no others', () => {
  const { root } = boardTree(FULL);
  assert.deepEqual(strings(root, '/chosen', 'bootargs'), ['console=ttyS0 quiet']);
  assert.deepEqual(cells(root, '/chosen', 'linux,initrd-start'), [0, 0x8800_0000]);
  assert.deepEqual(cells(root, '/chosen', 'linux,initrd-end'), [0, 0x8812_3456]);
  assert.deepEqual([...property(root, '/chosen', 'rng-seed')], [1, 2, 3, 4]);
  const stdout = strings(root, '/chosen', 'stdout-path')[0]!;
  assert.deepEqual(strings(root, stdout, 'compatible'), ['ns16550a']);
  assert.deepEqual([...findNode(boardTree(SMALL).root, '/chosen')!.properties.keys()], ['stdout-path']);
});

test('memory is as large as was asked for, also above 2 GiB', () => {
  assert.deepEqual(cells(boardTree(FULL).root, '/memory', 'reg'), [0, RAM_BASE, 0, 0xc000_0000]);
});

test('every hart has a node, an interrupt controller and two PLIC contexts in order', () => {
  const { root } = boardTree(FULL);
  const extended = cells(root, '/soc/plic', 'interrupts-extended');
  assert.equal(extended.length, 2 * 2 * 4);
  for (let hart = 0; hart < 4; hart++) {
    const controller = cells(root, `/cpus/cpu@${hart}/interrupt-controller`, 'phandle')[0]!;
    const machine = plicContext(hart, 'machine');
    const supervisor = plicContext(hart, 'supervisor');
    assert.deepEqual(extended.slice(2 * machine, 2 * machine + 2), [controller, 11]);
    assert.deepEqual(extended.slice(2 * supervisor, 2 * supervisor + 2), [controller, 9]);
    assert.deepEqual(cells(root, '/soc/clint', 'interrupts-extended').slice(4 * hart, 4 * hart + 4), [
      controller,
      3,
      controller,
      7,
    ]);
    assert.deepEqual(cells(root, `/cpus/cpu@${hart}`, 'reg'), [hart]);
  }
});

test('the ISA is said in both ways, with block sizes for the cache-block extensions there are', () => {
  const { root } = boardTree(SMALL);
  assert.deepEqual(strings(root, '/cpus/cpu', 'riscv,isa'), ['rv64imafdc_zicsr_zifencei_zicboz_sstc']);
  assert.deepEqual(strings(root, '/cpus/cpu', 'riscv,isa-extensions'), [...SMALL.extensions]);
  assert.deepEqual(strings(root, '/cpus/cpu', 'mmu-type'), ['riscv,sv39']);
  assert.deepEqual(cells(root, '/cpus/cpu', 'riscv,cboz-block-size'), [64]);
  assert.equal(findNode(root, '/cpus/cpu')!.properties.has('riscv,cbom-block-size'), false);
  assert.equal(isaString(['i']), 'rv64i');
});

test('PCI interrupts take turns, and the map says what the board wires', () => {
  const map = cells(boardTree(SMALL).root, '/soc/pci', 'interrupt-map');
  assert.equal(map.length, 16 * 6);
  const plic = cells(boardTree(SMALL).root, '/soc/plic', 'phandle')[0]!;
  const turns = ['32 33 34 35', '33 34 35 32', '34 35 32 33', '35 32 33 34'];
  for (const [device, interrupts] of turns.entries()) {
    for (const [pin, interrupt] of interrupts.split(' ').entries()) {
      const row = map.slice(6 * (4 * device + pin), 6 * (4 * device + pin) + 6);
      assert.deepEqual(row, [0x800 * device, 0, 0, pin + 1, plic, Number(interrupt)]);
      assert.equal(pciInterrupt(device, pin), Number(interrupt));
    }
  }
  assert.equal(findNode(boardTree({ ...SMALL, withoutPci: true }).root, '/soc/pci'), undefined);
});

/** The tree of the small board as kernels have known it for years, by path and property; numbers are cells. */
const EXPECTED: Readonly<Record<string, Readonly<Record<string, readonly (string | number)[]>>>> = {
  '/': { '#address-cells': [2], '#size-cells': [2], compatible: ['riscv-virtio'] },
  '/cpus': { '#address-cells': [1], '#size-cells': [0], 'timebase-frequency': [10_000_000] },
  '/cpus/cpu/interrupt-controller': {
    '#interrupt-cells': [1],
    '#address-cells': [0],
    compatible: ['riscv,cpu-intc'],
    'interrupt-controller': [],
  },
  '/soc': { '#address-cells': [2], '#size-cells': [2], compatible: ['simple-bus'], ranges: [] },
  '/soc/test': { compatible: ['sifive,test1', 'sifive,test0', 'syscon'], reg: [0, 0x10_0000, 0, 0x1000] },
  '/soc/rtc': { compatible: ['google,goldfish-rtc'], reg: [0, 0x10_1000, 0, 0x1000], interrupts: [11] },
  '/soc/clint': { compatible: ['sifive,clint0', 'riscv,clint0'], reg: [0, 0x200_0000, 0, 0x1_0000] },
  '/soc/plic': {
    compatible: ['sifive,plic-1.0.0', 'riscv,plic0'],
    reg: [0, 0xc00_0000, 0, 0x60_0000],
    '#address-cells': [0],
    '#interrupt-cells': [1],
    'riscv,ndev': [95],
    'interrupt-controller': [],
  },
  '/soc/serial': { compatible: ['ns16550a'], reg: [0, 0x1000_0000, 0, 0x100], interrupts: [10] },
  '/soc/pci': {
    compatible: ['pci-host-ecam-generic'],
    device_type: ['pci'],
    reg: [0, 0x3000_0000, 0, 0x1000_0000],
    '#address-cells': [3],
    '#size-cells': [2],
    '#interrupt-cells': [1],
    'bus-range': [0, 255],
    'linux,pci-domain': [0],
    'dma-coherent': [],
    ranges: [
      [0x0100_0000, 0, 0, 0, 0x0300_0000, 0, 0x1_0000],
      [0x0200_0000, 0, 0x4000_0000, 0, 0x4000_0000, 0, 0x4000_0000],
    ].flat(),
    'interrupt-map-mask': [0x1800, 0, 0, 7],
  },
};

for (const [path, properties] of Object.entries(EXPECTED)) {
  test(`${path} says what its bindings ask for`, () => {
    const { root } = boardTree(SMALL);
    for (const [name, value] of Object.entries(properties)) {
      const actual = typeof value[0] === 'string' ? strings(root, path, name) : cells(root, path, name);
      assert.deepEqual(actual, value, name);
    }
  });
}

test('virtio slots are where their nodes say', () => {
  const { root } = boardTree(SMALL);
  for (let slot = 0; slot < VIRTIO_SLOTS; slot++) {
    const path = `/soc/virtio_mmio@${(0x1000_1000 + 0x1000 * slot).toString(16)}`;
    assert.deepEqual(cells(root, path, 'reg'), [0, virtioSlot(slot).address, 0, 0x1000]);
    assert.deepEqual(cells(root, path, 'interrupts'), [slot + 1]);
  }
});

test('power-off and reboot write the finisher’s words', () => {
  const { root } = boardTree(SMALL);
  const finisher = cells(root, '/soc/test', 'phandle');
  for (const [path, value] of [
    ['/poweroff', 0x5555],
    ['/reboot', 0x7777],
  ] as const) {
    assert.deepEqual(cells(root, path, 'regmap'), finisher);
    assert.deepEqual(cells(root, path, 'value'), [value]);
  }
});

test('address ranges do not overlap and have room for their devices', () => {
  const ranges = Object.entries(BOARD).map(([name, { address, size }]) => ({
    name,
    address,
    end: address + size * (name === 'virtio' ? VIRTIO_SLOTS : 1),
  }));
  ranges.sort((a, b) => a.address - b.address);
  for (const [n, { name, end }] of ranges.entries()) {
    const next = ranges[n + 1]?.address ?? RAM_BASE;
    assert.ok(end <= next, `${name} ends at 0x${end.toString(16)}`);
  }
  assert.equal(BOARD.clint.size, Clint.block.size);
  assert.equal(BOARD.plic.size, Plic.block.size);
  assert.equal(BOARD.uart.size, Uart16550.block.size);
  assert.equal(BOARD.rtc.size, GoldfishRtc.block.size);
  assert.equal(BOARD.finisher.size, TestFinisher.block.size);
});

test('phandles are unique and every reference has one', () => {
  const phandles: number[] = [];
  const walk = (node: FdtNode): void => {
    const phandle = node.properties.get('phandle');
    if (phandle !== undefined) phandles.push(...cellsOf(phandle));
    node.children.forEach(walk);
  };
  const { root } = boardTree(FULL);
  walk(root);
  assert.equal(new Set(phandles).size, phandles.length);
  for (const path of ['/soc/serial', '/soc/rtc'])
    assert.ok(phandles.includes(cells(root, path, 'interrupt-parent')[0]!));
});

test('dtc has nothing to object to', (t) => {
  for (const board of [SMALL, FULL]) {
    const done = spawnSync('dtc', ['-I', 'dtb', '-O', 'dtb'], { input: writeFdt(boardTree(board)) });
    if (done.error !== undefined) return t.skip('dtc is not installed (package device-tree-compiler)');
    assert.equal(done.status, 0);
    // A name with an underscore is what every board with these slots uses.
    const warnings = done.stderr.toString().split('\n');
    assert.deepEqual(
      warnings.filter((line) => line.includes('Warning') && !line.includes('virtio_mmio')),
      [],
    );
    assert.equal(findNode(parseFdt(done.stdout, 'dtc').root, '/soc')!.children.length, 6 + VIRTIO_SLOTS);
  }
});

test('OpenSBI on another emulator of the board finds its devices by this tree', async (t) => {
  const opensbi = await input('opensbi');
  if ('absent' in opensbi) return t.skip(opensbi.absent);
  const directory = mkdtempSync(join(tmpdir(), 'dyno-tree-'));
  try {
    const tree = join(directory, 'board.dtb');
    writeFileSync(tree, writeFdt(boardTree({ ...SMALL, harts: 2 })));
    const bios = opensbi.files['fw_jump.bin']!;
    // What the firmware jumps to ends the run:
    const poweroff = join(directory, 'poweroff.bin');
    // lui a0, 0x100; lui a1, 5; addi a1, a1, 0x555; sw a1, 0(a0); j .
    writeFileSync(poweroff, Uint32Array.of(0x0010_0537, 0x0000_55b7, 0x5555_8593, 0x00b5_2023, 0x0000_006f));
    const argv = [
      '-M',
      'virt',
      '-smp',
      '2',
      '-m',
      '512',
      '-nographic',
      '-dtb',
      tree,
      '-bios',
      bios,
      '-kernel',
      poweroff,
    ];
    const done = spawnSync('qemu-system-riscv64', argv, { timeout: 20_000, input: '' });
    if ((done.error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      return t.skip('qemu-system-riscv64 is not installed');
    const banner = done.stdout.toString();
    assert.match(banner, /Platform Name\s+: vm-dyno,virt/);
    assert.match(banner, /Platform HART Count\s+: 2/);
    assert.match(banner, /Platform IPI Device\s+: aclint-mswi/);
    assert.match(banner, /Platform Timer Device\s+: aclint-mtimer @ 10000000Hz/);
    assert.match(banner, /Platform Console Device\s+: uart8250/);
    assert.match(banner, /Platform Reboot Device\s+: syscon-reboot/);
    assert.match(banner, /Platform Shutdown Device\s+: syscon-poweroff/);
    assert.match(banner, /Boot HART Base ISA\s+: rv64imafdc/);
    assert.equal(done.status, 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
