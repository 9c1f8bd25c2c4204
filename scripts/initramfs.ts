/**
 * Builds the initial RAM disk that Linux boots with: Debian's static busybox, the kernel package's own modules, and the scripts in
 * `scripts/initramfs/`. The result depends on nothing but its inputs and stays in `.cache/initramfs/`.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeCpio, type CpioEntry } from '../emulator/loader/cpio.ts';
import type { Absent } from './debian-archive.ts';
import { input } from './inputs.ts';

const SOURCES = join(import.meta.dirname, 'initramfs');
const CACHE = join(import.meta.dirname, '..', '.cache', 'initramfs');

/** What the devices of the machine need; the rest of what they need follows from the modules themselves. */
export const DEVICE_MODULES = [
  'virtio_mmio',
  'virtio_blk',
  'virtio_net',
  'virtio_rng',
  'virtio_balloon',
  'virtio_gpu',
  // ext4 asks for it by name at run time, where no modprobe would answer.
  'crc32c_generic',
  'ext4',
  '9p',
  '9pnet_virtio',
] as const;

/** Commands the scripts use, and what somebody at the shell would miss. Each is a link to busybox. */
const COMMANDS =
  'sh ash mount umount cat echo ls mkdir rm cp mv ln touch chmod sync insmod lsmod rmmod uname poweroff reboot seq sha256sum head tail tr ' +
  'grep sed awk sort wc cut yes dd hexdump od xxd dmesg ps top kill sleep date hwclock time free df du find vi less more clear stty ' +
  'ifconfig route ping ip udhcpc wget nc telnet netstat hostname setsid cttyhack tty env printf test expr true false blkid fdisk mke2fs ' +
  'losetup blockdev devmem stat id which nproc md5sum base64 gzip gunzip tar cpio';

export interface InitramfsOptions {
  /** Modules to load, in any order and without what they depend on; none by default, for which a boot needs none. */
  readonly modules?: readonly string[];
  /** Fetch the kernel's package (112 MB) for its modules when it is not there. */
  readonly onRequest?: boolean;
}

/** The archive's path, built when there is none from the same inputs. */
export async function buildInitramfs(options: InitramfsOptions = {}): Promise<{ path: string } | Absent> {
  const busybox = await input('busybox-riscv64', options);
  if ('absent' in busybox) return busybox;
  const wanted = options.modules ?? [];
  const modules = wanted.length === 0 ? { ordered: [] } : await loadModules(wanted, options);
  if ('absent' in modules) return modules;
  const archive = writeCpio(await entries(await readFile(busybox.path), modules.ordered));
  const digest = createHash('sha256').update(archive).digest('hex');
  const path = join(CACHE, `${digest.slice(0, 16)}.cpio`);
  await mkdir(CACHE, { recursive: true });
  const partial = `${path}.${process.pid}.partial`;
  await writeFile(partial, archive);
  await rename(partial, path);
  return { path };
}

interface Module {
  readonly name: string;
  readonly content: Uint8Array;
}

async function entries(busybox: Uint8Array, modules: readonly Module[]): Promise<CpioEntry[]> {
  const source = (name: string): Promise<Uint8Array> => readFile(join(SOURCES, `${name}.sh`));
  const script = async (path: string, name: string): Promise<CpioEntry> => ({
    kind: 'file',
    path,
    content: await source(name),
    executable: true,
  });
  return [
    await script('init', 'init'),
    { kind: 'file', path: 'bin/busybox', content: busybox, executable: true },
    ...COMMANDS.split(' ').map((name): CpioEntry => ({ kind: 'symlink', path: `bin/${name}`, target: 'busybox' })),
    // Without it the kernel starts init with no standard output: devtmpfs is mounted by init only.
    { kind: 'character-device', path: 'dev/console', major: 5, minor: 1 },
    ...['proc', 'sys', 'tmp', 'mnt', 'share', 'root'].map((path): CpioEntry => ({ kind: 'directory', path })),
    { kind: 'symlink', path: 'sbin', target: 'bin' },
    await script('etc/run/boot', 'boot'),
    await script('etc/run/devices', 'devices'),
    await script('etc/run/shell', 'shell'),
    await script('etc/udhcpc', 'udhcpc'),
    { kind: 'file', path: 'etc/modules', content: Buffer.from(modules.map(({ name }) => `${name}\n`).join('')) },
    ...modules.map(({ name, content }): CpioEntry => ({ kind: 'file', path: `lib/modules/${name}.ko`, content })),
  ];
}

/** The modules and all they depend on, each after what it depends on. */
async function loadModules(
  wanted: readonly string[],
  options: InitramfsOptions,
): Promise<{ ordered: Module[] } | Absent> {
  const found = await input('linux-riscv64-modules', options);
  if ('absent' in found) return found;
  const files = new Map(Object.entries(found.files).map(([file, path]) => [moduleName(file), path]));
  const read = new Map<string, Module>();
  const dependencies = new Map<string, readonly string[]>();
  const queue = wanted.map(moduleName);
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (read.has(name)) continue;
    const path = files.get(name);
    if (path === undefined) return { absent: `the kernel's package as pinned in inputs.json gives no module ${name}` };
    const content = await decompress(path);
    if ('absent' in content) return content;
    const needs = dependenciesOf(content.bytes);
    if (needs === undefined) return { absent: `${path} does not say what it depends on` };
    read.set(name, { name, content: content.bytes });
    dependencies.set(name, needs);
    queue.push(...needs);
  }
  return { ordered: loadOrder(wanted.map(moduleName), dependencies).map((name) => read.get(name)!) };
}

/** Depth first: `roots` and what they depend on, each name once and after those it needs. */
export function loadOrder(roots: readonly string[], dependencies: ReadonlyMap<string, readonly string[]>): string[] {
  const ordered = new Set<string>();
  const open = new Set<string>();
  const visit = (name: string): void => {
    if (ordered.has(name) || open.has(name)) return;
    open.add(name);
    for (const need of dependencies.get(name) ?? []) visit(need);
    open.delete(name);
    ordered.add(name);
  };
  for (const root of roots) visit(root);
  return [...ordered];
}

/** What a module's `depends=` says (Linux's modinfo section: NUL-terminated `key=value`); undefined when it says nothing. */
export function dependenciesOf(module: Uint8Array): string[] | undefined {
  const bytes = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  const key = bytes.indexOf('\0depends=', 0, 'latin1');
  if (key < 0) return undefined;
  const start = key + '\0depends='.length;
  const names = bytes.toString('latin1', start, bytes.indexOf(0, start)).split(',');
  return names.filter((name) => name !== '').map(moduleName);
}

/** The name the kernel knows a file by: `9pnet_virtio.ko.xz` and `virtio-gpu` alike. */
function moduleName(file: string): string {
  return file.replace(/\.ko(\.\w+)?$/, '').replaceAll('-', '_');
}

/** Here rather than in the guest, which would spend a second of its boot on it. */
function decompress(path: string): Promise<{ bytes: Uint8Array } | Absent> {
  if (!path.endsWith('.xz')) return readFile(path).then((bytes) => ({ bytes }));
  return new Promise((settle) => {
    const options = { encoding: 'buffer', maxBuffer: 1 << 28 } as const;
    execFile('xz', ['--decompress', '--stdout', '--keep', path], options, (error, stdout) => {
      if (error === null) settle({ bytes: stdout });
      else if (error.code === 'ENOENT') settle({ absent: 'no xz on this machine (package xz-utils)' });
      else settle({ absent: `cannot unpack ${path}: ${error.message}` });
    });
  });
}

const USAGE = `usage: initramfs.ts [--modules devices|none|NAME,NAME…]
  prints the path of the initial RAM disk; by default with the modules that the machine's devices need`;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { modules: { type: 'string', default: 'devices' } } });
  const { modules } = values;
  const wanted = modules === 'devices' ? DEVICE_MODULES : modules === 'none' ? [] : modules.split(',');
  const built = await buildInitramfs({ modules: wanted, onRequest: true });
  if ('absent' in built) {
    console.error(`initramfs: ${built.absent}`);
    return 2;
  }
  console.log(built.path);
  return 0;
}

if (import.meta.main) {
  process.exitCode = await main().catch((error: unknown) => {
    console.error(`initramfs: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  });
}
