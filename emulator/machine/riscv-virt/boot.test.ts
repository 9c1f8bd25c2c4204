import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ConfigError, ImageError } from '../../check/errors.ts';
import { riscv64 } from '../../isa/riscv/index.ts';
import { Privilege, PRIVILEGE, X } from '../../isa/riscv/registers.ts';
import { Permission } from '../../layout/memory-map.ts';
import { ElfMachine } from '../../loader/elf.ts';
import { cellsOf, fdtNode, findNode, parseFdt, stringsOf, writeFdt } from '../../loader/fdt.ts';
import { SegmentFlag, writeElf } from '../../loader/write-elf.ts';
import { FlatMemory } from '../../memory/flat.ts';
import { buildInitramfs } from '../../../scripts/initramfs.ts';
import { input } from '../../../scripts/inputs.ts';
import { createCpu } from '../tier.ts';
import { bootRom } from './boot-rom.ts';
import { planBoot, type BootBoard, type BootFile, type BootPlan } from './boot.ts';
import { BOARD, RAM_BASE } from './map.ts';

const BOARD_512: BootBoard = {
  ramSize: 512 * 2 ** 20,
  harts: 1,
  extensions: ['i', 'm', 'a', 'f', 'd', 'c', 'zicsr', 'zifencei'],
  mmu: 'sv39',
};
const file = (origin: string, bytes: Uint8Array): BootFile => ({ origin, bytes });
const FIRMWARE = file('fw.bin', new Uint8Array(0x4_0000).fill(1));
const RAW = file('u-boot.bin', new Uint8Array(5000).fill(2));
const INITRD = file('initrd.cpio', new Uint8Array(123_457).fill(3));

function linux(imageSize = 0x100_0000): BootFile {
  const bytes = new Uint8Array(8192).fill(4);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0x08, 0x20_0000n, true);
  view.setBigUint64(0x10, BigInt(imageSize), true);
  view.setBigUint64(0x18, 0n, true);
  view.setUint32(0x38, 0x05435352, true);
  return file('Image', bytes);
}

/** An ELF file of one segment. */
function elf(
  physical: bigint,
  entry: bigint,
  options: { virtual?: bigint; memorySize?: bigint; machine?: number } = {},
): BootFile {
  const segment = {
    address: Number(options.virtual ?? physical),
    physicalAddress: Number(physical),
    flags: SegmentFlag.read | SegmentFlag.execute,
    bytes: new Uint8Array(0x80),
    memorySize: Number(options.memorySize ?? 0x1000n),
  };
  return file(
    'kernel.elf',
    writeElf({ machine: options.machine ?? ElfMachine.riscv, entry: Number(entry), segments: [segment] }),
  );
}

const placed = (plan: BootPlan): string[] =>
  plan.pieces.map(({ name, address, bytes }) => `${name} ${address.toString(16)} ${bytes.length}`);
const treeOf = (plan: BootPlan) => parseFdt(plan.pieces.find(({ name }) => name === 'device tree')!.bytes, 'plan').root;

test('a Linux image without firmware begins in supervisor mode where it wants to lie', () => {
  const plan = planBoot(BOARD_512, { kernel: linux(), initrd: INITRD, append: 'console=ttyS0' });
  assert.equal(plan.mode, 'supervisor');
  assert.equal(plan.entry, 0x8020_0000);
  assert.deepEqual(placed(plan).slice(0, 2), ['kernel 80200000 8192', 'initrd 9fde1000 123457']);
  assert.equal(plan.deviceTree, plan.pieces.at(-1)!.address);
  const root = treeOf(plan);
  const chosen = findNode(root, '/chosen')!;
  assert.deepEqual(stringsOf(chosen.properties.get('bootargs')!), ['console=ttyS0']);
  assert.deepEqual(cellsOf(chosen.properties.get('linux,initrd-start')!), [0, 0x9fde_1000]);
  assert.deepEqual(cellsOf(chosen.properties.get('linux,initrd-end')!), [0, 0x9fde_1000 + 123_457]);
});

test('large files are laid out by their beginnings and lengths, and copied when asked', () => {
  const small = { firmware: FIRMWARE, kernel: linux(), initrd: INITRD };
  const unread = (small: BootFile): BootFile => ({
    origin: small.origin,
    get bytes(): Uint8Array {
      throw new Error(`${small.origin} is read`);
    },
    large: {
      length: small.bytes.length,
      head: small.bytes.subarray(0, 64),
      copyTo: (target) => target.set(small.bytes),
    },
  });
  const large = { firmware: unread(FIRMWARE), kernel: unread(linux()), initrd: unread(INITRD) };
  const [expected, plan] = [planBoot(BOARD_512, small), planBoot(BOARD_512, large)];
  const contents = (piece: BootPlan['pieces'][number]) => {
    const target = new Uint8Array(piece.length);
    piece.copyTo(target);
    return { name: piece.name, address: piece.address, target };
  };
  assert.deepEqual(plan.pieces.map(contents), expected.pieces.map(contents));
  assert.deepEqual(plan.rom, expected.rom);
});

test('with firmware the harts begin in the ROM, which names the kernel as what comes next', () => {
  const plan = planBoot(BOARD_512, { firmware: FIRMWARE, kernel: linux() });
  assert.equal(plan.mode, 'machine');
  assert.equal(plan.entry, BOARD.bootRom.address);
  assert.deepEqual(placed(plan).slice(0, 2), ['firmware 80000000 262144', 'kernel 80200000 8192']);
  const view = new DataView(plan.rom.buffer);
  assert.equal(view.getBigUint64(24, true), BigInt(RAM_BASE));
  assert.equal(view.getBigUint64(32, true), BigInt(plan.deviceTree));
  assert.deepEqual(
    [0, 1, 2, 3].map((n) => view.getBigUint64(40 + 8 * n, true)),
    [0x4942534fn, 2n, 0x8020_0000n, 1n],
  );
});

test('what the ROM hands over is said for machines that do not execute it', () => {
  const plan = planBoot(BOARD_512, { firmware: FIRMWARE, kernel: linux() });
  const memory = new FlatMemory(1 << 20);
  memory.bytes.set(plan.rom, BOARD.bootRom.address);
  const { pc, a1, a2 } = plan.handover!;
  assert.deepEqual([pc, a1, a2], [RAM_BASE, plan.deviceTree, BOARD.bootRom.address + 40]);
  assert.equal(memory.view.getUint32(a2, true), 0x4942534f);
  assert.equal(planBoot(BOARD_512, { kernel: linux() }).handover, undefined);
});

test('a raw binary goes where firmware jumps to', () => {
  const plan = planBoot(BOARD_512, { firmware: FIRMWARE, kernel: RAW });
  assert.deepEqual(placed(plan).slice(0, 2), ['firmware 80000000 262144', 'kernel 80200000 5000']);
});

test('firmware alone is enough', () => {
  const plan = planBoot(BOARD_512, { firmware: elf(0x8000_0000n, 0x8000_0010n) });
  assert.equal(new DataView(plan.rom.buffer).getBigUint64(24, true), 0x8000_0010n);
  assert.equal(new DataView(plan.rom.buffer).getBigUint64(56, true), 0n);
});

test('an ELF kernel linked at virtual addresses begins where its entry lies physically', () => {
  const plan = planBoot(BOARD_512, { kernel: elf(0x8040_0000n, 0x20_0000_0100n, { virtual: 0x20_0000_0000n }) });
  assert.equal(plan.entry, 0x8040_0100);
  assert.deepEqual(placed(plan)[0], 'kernel 80400000 128');
});

test('a device tree that was given is kept but for /chosen', () => {
  const own = fdtNode('', { model: 'mine' }, [fdtNode('chosen', { bootargs: 'old', keep: 1 })]);
  const deviceTree = file('mine.dtb', writeFdt({ root: own, reservations: [], bootCpu: 0 }));
  const root = treeOf(planBoot(BOARD_512, { kernel: linux(), initrd: INITRD, append: 'new', deviceTree }));
  assert.deepEqual(stringsOf(root.properties.get('model')!), ['mine']);
  const { properties } = findNode(root, '/chosen')!;
  assert.deepEqual([...properties.keys()], ['bootargs', 'keep', 'linux,initrd-start', 'linux,initrd-end']);
  assert.deepEqual(stringsOf(properties.get('bootargs')!), ['new']);
  const unchanged = treeOf(planBoot(BOARD_512, { kernel: linux(), deviceTree }));
  assert.deepEqual(stringsOf(findNode(unchanged, '/chosen')!.properties.get('bootargs')!), ['old']);
});

for (const [what, board, files, kind, message] of [
  ['nothing to run', BOARD_512, {}, ConfigError, /nothing to run/],
  ['an initrd alone', BOARD_512, { initrd: INITRD }, ConfigError, /nothing to run/],
  ['more RAM than there can be', { ...BOARD_512, ramSize: 2 ** 32 }, { kernel: RAW }, ConfigError, /RAM/],
  ['RAM that is not whole pages', { ...BOARD_512, ramSize: 2 ** 20 + 1 }, { kernel: RAW }, ConfigError, /RAM/],
  ['RAM of no size', { ...BOARD_512, ramSize: Number.NaN }, { kernel: RAW }, ConfigError, /RAM/],
  ['a kernel that does not fit', BOARD_512, { kernel: linux(0x3000_0000) }, ImageError, /do not fit/],
  ['a raw kernel that does not fit', { ...BOARD_512, ramSize: 2 ** 20 }, { kernel: RAW }, ImageError, /do not fit/],
  ['an empty kernel', BOARD_512, { kernel: file('empty', new Uint8Array(0)) }, ImageError, /is empty/],
  [
    'firmware that reaches into the kernel',
    BOARD_512,
    { firmware: file('fw', new Uint8Array(0x20_0001)), kernel: RAW },
    ImageError,
    /reaches into kernel/,
  ],
  ['an ELF file outside RAM', BOARD_512, { kernel: elf(0x1000n, 0x1000n) }, ImageError, /outside RAM/],
  [
    'an ELF file larger than RAM',
    BOARD_512,
    { kernel: elf(0x8000_0000n, 0x8000_0000n, { memorySize: 1n << 40n }) },
    ImageError,
    /outside RAM/,
  ],
  [
    'an ELF file of another machine',
    BOARD_512,
    { kernel: elf(0x8000_0000n, 0x8000_0000n, { machine: 62 }) },
    ImageError,
    /e_machine 62/,
  ],
  [
    'an ELF kernel on the firmware',
    BOARD_512,
    { firmware: FIRMWARE, kernel: elf(0x8000_1000n, 0x8000_1000n) },
    ImageError,
    /reaches into/,
  ],
  [
    'a device tree that is none',
    BOARD_512,
    { kernel: RAW, deviceTree: file('x.dtb', new Uint8Array(64)) },
    ImageError,
    /magic/,
  ],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => planBoot(board, files),
      (error) => error instanceof kind && message.test(error.message) && !error.line().includes('\n'),
    );
  });
}

test('the ROM jumps to the firmware with hart, device tree and dynamic information', () => {
  const memory = new FlatMemory(1 << 20);
  const at = BOARD.bootRom.address;
  memory.protect(at, 4096, Permission.read | Permission.execute);
  memory.bytes.set(bootRom({ start: 0x8000_0000, deviceTree: 0x9fe0_0000, next: 0x8020_0000 }), at);
  const cpu = createCpu('reference', riscv64, memory);
  cpu.state.setUint32(PRIVILEGE.offset, Privilege.machine, true);
  cpu.pc = BigInt(at);
  cpu.run(6);
  const x = (n: number): bigint => cpu.state.getBigUint64(X.offset + 8 * n, true);
  assert.equal(BigInt(cpu.pc), 0x8000_0000n);
  assert.deepEqual([x(10), x(11), x(12)], [0n, 0x9fe0_0000n, BigInt(at + 40)]);
  assert.equal(memory.view.getBigUint64(Number(x(12)), true), 0x4942534fn);
});

/** Where the ROM's code is put for another emulator of the board, whose own ROM cannot be replaced. */
const ROM_IN_RAM = RAM_BASE + 0x700_0000;

/** What to wait for in the output, and what to type then. */
type Exchange = readonly [expected: string, typed: string];

/** Standard output of the plan run elsewhere; undefined, and the test skipped, when that emulator is not installed. */
async function runElsewhere(
  t: TestContext,
  plan: BootPlan,
  dialogue: readonly Exchange[],
): Promise<string | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'dyno-boot-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const pieces = [...plan.pieces, { name: 'rom', address: ROM_IN_RAM, bytes: plan.rom }];
  const loaders = pieces.flatMap(({ address, bytes }, n) => {
    const path = join(directory, `piece${n}`);
    writeFileSync(path, bytes);
    return ['-device', `loader,file=${path},addr=${address},force-raw=on`];
  });
  const start = ['-device', `loader,addr=${ROM_IN_RAM},cpu-num=0`];
  const argv = ['-M', 'virt', '-m', '256', '-nographic', '-bios', 'none', ...loaders, ...start];
  const child = spawn('qemu-system-riscv64', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const deadline = setTimeout(() => child.kill('SIGKILL'), 60_000);
  let text = '';
  let answered = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    const next = dialogue[0];
    if (next === undefined || !text.includes(next[0], answered)) return;
    answered = text.length;
    child.stdin.write(next[1]);
    dialogue = dialogue.slice(1);
  });
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 0, `ended after:\n${text.slice(-2000)}`);
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    t.skip('qemu-system-riscv64 is not installed');
    return undefined;
  } finally {
    clearTimeout(deadline);
  }
}

const BOARD_256: BootBoard = { ...BOARD_512, ramSize: 256 * 2 ** 20 };

for (const kind of ['fw_jump.bin', 'fw_dynamic.bin'] as const) {
  test(`OpenSBI's ${kind} and U-Boot run from a plan`, async (t) => {
    const [opensbi, uboot] = await Promise.all([input('opensbi'), input('u-boot-qemu')]);
    if ('absent' in opensbi) return t.skip(opensbi.absent);
    if ('absent' in uboot) return t.skip(uboot.absent);
    const firmware = file(kind, readFileSync(opensbi.files[kind]!));
    const kernel = file('u-boot.bin', readFileSync(uboot.files['u-boot.bin']!));
    const text = await runElsewhere(t, planBoot(BOARD_256, { firmware, kernel }), [
      ['Hit any key', '\n'],
      ['=> ', 'version\n'],
      ['=> ', 'bdinfo\n'],
      ['=> ', 'poweroff\n'],
    ]);
    if (text === undefined) return;
    assert.match(text, /Platform Name\s+: vm-dyno,virt/);
    assert.match(text, /Domain0 Next Address\s+: 0x0*80200000/);
    assert.match(text, /DRAM: {2}256 MiB/);
    assert.match(text, /=> version\s+U-Boot/);
    assert.match(text, /-> size\s+= 0x0*10000000/);
  });
}

test('Debian’s Linux runs from a plan to its power-off, with console, interrupts and clock by the board’s tree', async (t) => {
  const [opensbi, kernel, initrd] = await Promise.all([input('opensbi'), input('linux-riscv64'), buildInitramfs()]);
  if ('absent' in opensbi) return t.skip(opensbi.absent);
  if ('absent' in kernel) return t.skip(kernel.absent);
  if ('absent' in initrd) return t.skip(initrd.absent);
  const plan = planBoot(BOARD_256, {
    firmware: file('fw_jump.bin', readFileSync(opensbi.files['fw_jump.bin']!)),
    kernel: file('Image', readFileSync(kernel.path)),
    initrd: file('initrd', readFileSync(initrd.path)),
    append: 'console=ttyS0',
  });
  const text = await runElsewhere(t, plan, []);
  if (text === undefined) return;
  assert.match(text, /Machine model: vm-dyno,virt/);
  assert.match(text, /riscv-plic: plic@c000000: mapped 95 interrupts/);
  assert.match(text, /10000000\.serial: ttyS0 at MMIO 0x10000000/);
  assert.match(text, /101000\.rtc: registered as rtc0/);
  assert.match(text, /init: started/);
  assert.match(text, /boot: counted to 20000/);
  assert.match(text, /f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a {2}-/);
  assert.match(text, /init: boot ended with 0/);
});
