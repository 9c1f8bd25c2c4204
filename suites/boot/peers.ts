/**
 * The same boots here and in qemu-system-riscv64, each a process of its own, turn by turn: `node suites/boot/peers.ts [ROUNDS]
 * [u-boot|linux-opensbi|linux-sbi]…` prints a Markdown table of host seconds until each phase was over. What is not here is left out.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bootInitramfs, bootInput } from './boot-inputs.ts';

interface Scenario {
  readonly name: string;
  /** Words that the peers understand alike. */
  readonly files: readonly string[];
  readonly firmware: string | undefined;
  readonly phases: readonly { readonly name: string; readonly until: string }[];
  /** Typed when the first phase after which it can be understood is over. */
  readonly answers: Readonly<Record<string, string>>;
}

const DYNO = [
  process.execPath,
  join(import.meta.dirname, '..', '..', 'scripts', 'cli.ts'),
  'emulate',
  '--machine',
  'virt',
];
const QEMU = ['qemu-system-riscv64', '-machine', 'virt', '-nographic', '-no-reboot'];
const LIMIT_MS = 300_000;

const LINUX = [
  { name: 'kernel starts', until: 'Linux version' },
  { name: 'init starts', until: 'init: started' },
  { name: 'init ends', until: 'init: boot ended' },
] as const;

function scenarios(): Scenario[] {
  const found = {
    firmware: bootInput('opensbi', 'fw_dynamic.bin'),
    uBoot: bootInput('u-boot-qemu', 'u-boot.bin'),
    linux: bootInput('linux-riscv64'),
  };
  for (const each of Object.values(found)) if (typeof each !== 'string') console.error(each.absent);
  const { firmware, uBoot, linux } = found;
  if (typeof firmware !== 'string') return [];
  const linuxFiles = (kernel: string) => [
    'kernel',
    kernel,
    'initrd',
    bootInitramfs(),
    'append',
    'console=ttyS0 earlycon=sbi dyno.run=boot',
  ];
  return [
    ...(typeof uBoot === 'string'
      ? [
          {
            name: 'u-boot',
            firmware,
            files: ['kernel', uBoot],
            phases: [
              { name: 'U-Boot starts', until: 'U-Boot 20' },
              { name: 'autoboot', until: 'Hit any key' },
              { name: 'prompt', until: '=> ' },
            ],
            answers: { autoboot: '\n', prompt: 'poweroff\n' },
          },
        ]
      : []),
    ...(typeof linux === 'string'
      ? [
          { name: 'linux-opensbi', firmware, files: linuxFiles(linux), phases: LINUX, answers: {} },
          { name: 'linux-sbi', firmware: undefined, files: linuxFiles(linux), phases: LINUX, answers: {} },
        ]
      : []),
  ];
}

/** Seconds from the start of the process until each phase was over and until its end. */
function time(argv: readonly string[], { phases, answers }: Scenario): Promise<readonly number[]> {
  const begin = performance.now();
  const seconds = (): number => (performance.now() - begin) / 1000;
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'], timeout: LIMIT_MS });
  const reached: number[] = [];
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString('latin1');
    for (let next = phases[reached.length]; next !== undefined; next = phases[reached.length]) {
      const at = shown.indexOf(next.until);
      if (at < 0) return;
      shown = shown.slice(at + next.until.length);
      reached.push(seconds());
      const answer = answers[next.name];
      if (answer !== undefined) child.stdin.write(answer);
    }
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0 && reached.length === phases.length) resolve([...reached, seconds()]);
      else
        reject(
          new Error(`${argv[0]} ended with ${code ?? signal} after ${reached.length} phases: ${shown.slice(-300)}`),
        );
    });
  });
}

/** Both with 256 MiB and one hart. */
function dyno({ firmware, files }: Scenario): string[] {
  return [
    ...DYNO,
    ...(firmware === undefined ? [] : ['--bios', firmware]),
    ...files.map((word, n) => (n % 2 === 0 ? `--${word}` : word)),
  ];
}

/** It has no SBI of its own and takes the firmware that it comes with. */
function qemu({ firmware, files }: Scenario): string[] {
  return [
    ...QEMU,
    '-m',
    '256',
    '-bios',
    firmware ?? 'default',
    ...files.map((word, n) => (n % 2 === 0 ? `-${word}` : word)),
  ];
}

async function main(): Promise<void> {
  const [rounds = '1', ...names] = process.argv.slice(2);
  const peers = [{ name: 'dyno', argv: dyno }];
  if (spawnSync(QEMU[0]!, ['--version']).error === undefined) peers.push({ name: 'qemu', argv: qemu });
  else console.error('qemu-system-riscv64 is left out: it is not installed (Debian package qemu-system-misc)');
  console.log('| boot | phase | ' + peers.map(({ name }) => `${name}, s`).join(' | ') + ' | ratio |');
  console.log(`| --- | --- |${' ---: |'.repeat(peers.length + 1)}`);
  for (const scenario of scenarios()) {
    if (names.length > 0 && !names.includes(scenario.name)) continue;
    const best: number[][] = peers.map(() => []);
    for (let round = 0; round < Number(rounds); round++) {
      for (const [n, { argv }] of peers.entries()) {
        const times = await time(argv(scenario), scenario);
        for (const [phase, seconds] of times.entries())
          best[n]![phase] = Math.min(best[n]![phase] ?? Infinity, seconds);
      }
    }
    for (const [phase, name] of [...scenario.phases.map((each) => each.name), 'end'].entries()) {
      const cells = best.map((times) => times[phase]!.toFixed(2));
      const ratio = best.length > 1 ? (best[0]![phase]! / best[1]![phase]!).toFixed(1) : '–';
      console.log(`| ${scenario.name} | ${name} | ${cells.join(' | ')} | ${ratio} |`);
    }
  }
}

await main();
