/**
 * Real firmware and kernels on the machine: `scripts/with-runtime scripts/conformance/boots.ts [NAME…] [--tier TIER] [--background] [--warm] [--verbose]`
 * boots each, checks what it printed, and prints a line with counters. What is not on this machine is skipped with its reason. They are deterministic,
 * unless translation is in the background. `--warm`: each is booted a second time, with the translations of the first, which must go the same way.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { RgbImage } from '../../emulator/device/virtio/image/png.ts';
import { parseDrive } from '../../emulator/machine/drive-option.ts';
import { parseNetwork } from '../../emulator/machine/network-option.ts';
import type { BootFile } from '../../emulator/machine/riscv-virt/boot.ts';
import { boot, type BootRequest, type BootRun } from '../../suites/boot/boot-run.ts';
import type { Absent } from '../debian-archive.ts';
import { buildInitramfs, DEVICE_MODULES } from '../initramfs.ts';
import { input } from '../inputs.ts';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';

interface Prepared {
  readonly request: BootRequest;
  /** What is wrong with what happened; empty when nothing is. */
  readonly judge: (run: BootRun) => readonly string[];
  readonly cleanUp?: () => void;
}

export interface BootScenario {
  readonly name: string;
  /** Runs for a minute or more. */
  readonly long: boolean;
  readonly prepare: () => Promise<Prepared | Absent>;
}

const LINUX_PHASES = [
  { name: 'firmware', until: 'Linux version' },
  { name: 'kernel', until: 'init: started' },
  { name: 'init', until: 'ended with 0' },
];

export const SCENARIOS: readonly BootScenario[] = [
  { name: 'u-boot', long: false, prepare: () => uBoot('pci') },
  { name: 'u-boot-mmio', long: false, prepare: () => uBoot('mmio') },
  { name: 'linux-opensbi', long: true, prepare: () => linux(true) },
  { name: 'linux-sbi', long: true, prepare: () => linux(false) },
  { name: 'linux-devices', long: true, prepare: linuxDevices },
];

export interface BootOptions {
  readonly background?: boolean;
  /** Where translations are kept from one boot to the next. */
  readonly cacheDirectory?: string;
}

/** Boots a scenario; the complaints about it are empty when all is well. */
export async function runScenario(
  scenario: BootScenario,
  tier: Tier = 'auto',
  { background = false, cacheDirectory }: BootOptions = {},
): Promise<{ run: BootRun; complaints: readonly string[] } | Absent> {
  const prepared = await scenario.prepare();
  if ('absent' in prepared) return prepared;
  try {
    const { request } = prepared;
    const when = background ? ({ deterministic: false, compilation: 'background' } as const) : {};
    const cache = cacheDirectory === undefined ? {} : { cacheDirectory };
    const run = await boot({
      ...request,
      machine: { ...request.machine, tier, ...when, ...cache },
      finished: (machine) => {
        request.finished?.(machine);
        machine.saveCode();
      },
    });
    return { run, complaints: prepared.judge(run) };
  } finally {
    prepared.cleanUp?.();
  }
}

async function firmwareFile(): Promise<BootFile | Absent> {
  const opensbi = await input('opensbi');
  if ('absent' in opensbi) return opensbi;
  return file(opensbi.files['fw_dynamic.bin']!);
}

function file(path: string): BootFile {
  return { origin: path, bytes: new Uint8Array(readFileSync(path)) };
}

/** The disk has a partition table and nothing else: U-Boot finds it, and nothing to boot from. */
async function uBoot(transport: 'pci' | 'mmio'): Promise<Prepared | Absent> {
  const firmware = await firmwareFile();
  if ('absent' in firmware) return firmware;
  const found = await input('u-boot-qemu');
  if ('absent' in found) return found;
  const commands = ['version', 'bdinfo', 'virtio scan', 'virtio info', 'md 80200000 8', 'poweroff'];
  return {
    request: {
      machine: {
        firmware,
        kernel: file(found.files['u-boot.bin']!),
        deterministic: true,
        transport,
        drives: [parseDrive('sparse:64M')],
        network: parseNetwork('user')!,
      },
      dialogue: [['Hit any key', '\n'], ...commands.map((command) => ['=> ', `${command}\n`] as const)],
      phases: [
        { name: 'firmware', until: 'U-Boot 20' },
        { name: 'prompt', until: '=> ' },
      ],
      maximumInstructions: 400e6,
    },
    judge: (run) => [
      ...poweredOff(run),
      ...missing(run.transcript, [
        /OpenSBI v\d/,
        /Domain0 Next Mode +: S-mode/,
        /=> version\nU-Boot 20\d\d/,
        /-> start +=? ?0x0*80000000/,
        /-> size +=? ?0x0*10000000/,
        /boot hart += 0x0+\n/,
        /Capacity: 64\.0 MB = 0\.0 GB \(131072 x 512\)/,
        // The first two words of U-Boot's own image, as `md` prints them.
        new RegExp(`80200000: ${words(file(found.files['u-boot.bin']!).bytes)}`),
        /poweroff \.\.\./,
      ]),
    ],
  };
}

function words(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const hexadecimal = (offset: number): string => view.getUint32(offset, true).toString(16).padStart(8, '0');
  return `${hexadecimal(0)} ${hexadecimal(4)}`;
}

async function linux(withFirmware: boolean): Promise<Prepared | Absent> {
  const firmware = withFirmware ? await firmwareFile() : undefined;
  if (firmware !== undefined && 'absent' in firmware) return firmware;
  const kernel = await input('linux-riscv64');
  if ('absent' in kernel) return kernel;
  const initramfs = await buildInitramfs();
  if ('absent' in initramfs) return initramfs;
  return {
    request: {
      machine: {
        ...(firmware === undefined ? {} : { firmware }),
        kernel: file(kernel.path),
        initrd: file(initramfs.path),
        append: 'console=ttyS0 earlycon=sbi dyno.run=boot',
        deterministic: true,
      },
      phases: LINUX_PHASES,
      maximumInstructions: 6e9,
    },
    judge: (run) => [
      ...poweredOff(run),
      ...missing(run.transcript, [
        /Linux version \d/,
        withFirmware ? /SBI implementation ID=0x1 / : /SBI implementation ID=0x64796e6f/,
        /Run \/init as init process/,
        /init: started/,
        /boot: counted to 20000/,
        // Of what `seq 1 20000` prints.
        /f6351f5ead9a700e34275480b3856ea738122a7c57bdeb744a631251c069587a/,
        /init: boot ended with 0/,
        /reboot: Power down/,
      ]),
    ],
  };
}

/** Identifier of a file system. */
const DISK = '6b1d2c4e-58f0-4a93-9c37-0d2f8e6a7b15';

async function linuxDevices(): Promise<Prepared | Absent> {
  if (spawnSync('mkfs.ext4', ['-V']).error !== undefined)
    return { absent: 'no mkfs.ext4 here (Debian package e2fsprogs)' };
  const kernel = await input('linux-riscv64');
  if ('absent' in kernel) return kernel;
  const initramfs = await buildInitramfs({ modules: DEVICE_MODULES });
  if ('absent' in initramfs) return initramfs;
  const root = mkdtempSync(join(tmpdir(), 'dyno-boot-'));
  const disk = join(root, 'disk.img');
  const share = join(root, 'share');
  mkdirSync(join(root, 'tree'));
  mkdirSync(share);
  writeFileSync(join(root, 'tree', 'from-host'), 'written by the host\n');
  for (const name of ['alpha', 'beta']) writeFileSync(join(share, name), name);
  writeFileSync(disk, new Uint8Array(16 * 2 ** 20));
  // The kernel prints the identifier, which is random otherwise.
  execFileSync('mkfs.ext4', ['-q', '-F', '-U', DISK, '-E', `hash_seed=${DISK}`, '-d', join(root, 'tree'), disk]);
  let screen: RgbImage | undefined;
  return {
    request: {
      machine: {
        kernel: file(kernel.path),
        initrd: file(initramfs.path),
        append: 'console=ttyS0 earlycon=sbi dyno.run=devices',
        deterministic: true,
        drives: [parseDrive(disk)],
        network: parseNetwork('user')!,
        shares: [{ root: share, tag: 'share', readOnly: false }],
        display: true,
      },
      phases: LINUX_PHASES,
      maximumInstructions: 8e9,
      finished: (machine) => (screen = machine.screenshot()),
    },
    judge: (run) => [
      ...poweredOff(run),
      ...missing(run.transcript, [
        /devices: disk: ok written by the host [0-9a-f]{64}/,
        /devices: network: ok 10\.0\.2\.15 10\.0\.2\.2 2 packets transmitted, 2 packets received/,
        /devices: share: ok share alpha beta/,
        /devices: screen: ok \d+,\d+/,
        /devices: entropy: ok [0-9a-f]{32}/,
        /devices: clock: ok .*2026/,
      ]),
      ...diskComplaints(disk),
      ...screenComplaints(screen),
    ],
    cleanUp: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** The file system as others see it when the guest is gone. */
function diskComplaints(disk: string): string[] {
  const check = spawnSync('fsck.ext4', ['-f', '-n', disk], { encoding: 'utf8' });
  const show = (path: string): string =>
    spawnSync('debugfs', ['-R', `cat ${path}`, disk], { encoding: 'utf8', maxBuffer: 1 << 24 }).stdout ?? '';
  const numbers = Array.from({ length: 100_000 }, (_, n) => `${n + 1}\n`).join('');
  return [
    ...(check.status === 0 ? [] : [`fsck.ext4 ends with ${check.status}: ${check.stdout}${check.stderr}`]),
    ...(show('/from-guest') === 'written by the guest\n' ? [] : ['/from-guest is not what the guest wrote']),
    ...(show('/folder/numbers') === numbers ? [] : ['/folder/numbers is not what the guest wrote']),
  ];
}

/** The guest draws a band of blue, green and red 255, 128, 64 over the top 64 lines; the last of them may still be on their way when it powers off. */
function screenComplaints(screen: RgbImage | undefined): string[] {
  if (screen === undefined) return ['nothing is on the screen'];
  const { width, height, pixels } = screen;
  const at = (x: number, y: number): string =>
    Array.from(pixels.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)).join();
  const complaints = [];
  if (height < 200) complaints.push(`the screen is ${width}x${height}`);
  if (at(10, 10) !== '64,128,255' || at(width - 1, 10) !== '64,128,255')
    complaints.push(`the band is ${at(10, 10)} and ${at(width - 1, 10)}`);
  if (at(width - 1, height - 1) === '64,128,255') complaints.push('the band is all over the screen');
  return complaints;
}

function poweredOff({ outcome }: BootRun): string[] {
  return outcome.kind === 'exit' && outcome.code === 0 ? [] : [`it ended by ${JSON.stringify(outcome)}`];
}

function missing(transcript: string, patterns: readonly RegExp[]): string[] {
  return patterns
    .filter((pattern) => !pattern.test(transcript))
    .map((pattern) => `the console does not show ${pattern}`);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      tier: { type: 'string', default: 'auto' },
      background: { type: 'boolean', default: false },
      warm: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
    },
  });
  const names = SCENARIOS.map(({ name }) => name);
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined || !isTier(values.tier)) {
    console.error(
      `usage: boots.ts [${names.join('|')}]… [--tier ${TIERS.join('|')}] [--background] [--warm] [--verbose]`,
    );
    return 2;
  }
  let status = 0;
  for (const scenario of SCENARIOS) {
    if (positionals.length > 0 && !positionals.includes(scenario.name)) continue;
    const { tier, background, verbose } = values;
    const result = values.warm ? await bootTwice(scenario, tier) : await runScenario(scenario, tier, { background });
    if ('absent' in result) {
      console.log(`skipped ${scenario.name}: ${result.absent}`);
      continue;
    }
    if (!report(scenario, result, verbose)) status = 1;
  }
  return status;
}

/** The second boot, of which it is told where it went another way than the first. */
async function bootTwice(scenario: BootScenario, tier: Tier): ReturnType<typeof runScenario> {
  const cacheDirectory = mkdtempSync(join(tmpdir(), 'dyno-warm-'));
  try {
    const cold = await runScenario(scenario, tier, { cacheDirectory });
    if ('absent' in cold) return cold;
    const warm = await runScenario(scenario, tier, { cacheDirectory });
    if ('absent' in warm) return warm;
    const complaints = [...cold.complaints, ...warm.complaints];
    for (const fact of ['instructions', 'transcript', 'guestSeconds'] as const)
      if (warm.run[fact] !== cold.run[fact]) complaints.push(`the second boot has other ${fact}`);
    const [before, after] = [cold, warm].map(({ run }) => run.counters['translation'] as { translated: number });
    if (before!.translated > 0 && after!.translated >= before!.translated)
      complaints.push(`${before!.translated} translations in the first boot, ${after!.translated} in the second`);
    return { run: warm.run, complaints };
  } finally {
    rmSync(cacheDirectory, { recursive: true, force: true });
  }
}

/** Prints how a boot went; false when something is wrong with it. */
function report(
  scenario: BootScenario,
  { run, complaints }: { run: BootRun; complaints: readonly string[] },
  verbose: boolean,
): boolean {
  if (verbose || complaints.length > 0) console.log(run.transcript);
  const phases = run.phases.map(
    ({ name, instructions, seconds }) => `${name} ${(instructions / 1e6).toFixed(1)} M ${seconds.toFixed(1)} s`,
  );
  console.log(
    `${complaints.length === 0 ? 'ok  ' : 'FAIL'} ${scenario.name}: ${phases.join(', ')}, end ${run.instructions} instructions ${run.seconds.toFixed(1)} s`,
  );
  for (const complaint of complaints) console.log(`     ${complaint}`);
  return complaints.length === 0;
}

function isTier(name: string): name is Tier {
  return (TIERS as readonly string[]).includes(name);
}

if (import.meta.main) process.exitCode = await main();
