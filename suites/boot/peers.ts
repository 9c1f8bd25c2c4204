/**
 * The same boots here and in qemu-system-riscv64, each a process of its own, turn by turn: `node suites/boot/peers.ts [ROUNDS]
 * [u-boot|linux-opensbi|linux-sbi]…` prints a Markdown table of host seconds until each phase was over. What is not here is left out. Here each boots
 * without translations of earlier boots and, as `warm`, with those that WARMING boots before the first round have left in a directory of their own.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootInitramfs, bootInput } from './boot-inputs.ts';
import { type BootScenario, dynoCommand, QEMU, qemuCommand, timeBoot } from './timed-boot.ts';

/** Boots until hardly anything is translated. */
const WARMING = 3;

const LINUX = [
  { name: 'kernel starts', until: 'Linux version' },
  { name: 'init starts', until: 'init: started' },
  { name: 'init ends', until: 'init: boot ended' },
] as const;

function scenarios(): BootScenario[] {
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

interface Peer {
  readonly name: string;
  readonly argv: (scenario: BootScenario) => string[];
}

async function compare(cache: string): Promise<void> {
  const [rounds = '1', ...names] = process.argv.slice(2);
  const warm: Peer = { name: 'warm', argv: (scenario) => dynoCommand(scenario, cache) };
  const peers: Peer[] = [{ name: 'dyno', argv: (scenario) => dynoCommand(scenario) }, warm];
  if (spawnSync(QEMU[0]!, ['--version']).error === undefined) peers.push({ name: 'qemu', argv: qemuCommand });
  else console.error('qemu-system-riscv64 is left out: it is not installed (Debian package qemu-system-misc)');
  const ours = peers.filter(({ name }) => name !== 'qemu');
  const heads = [...peers.map(({ name }) => `${name}, s`), ...ours.map(({ name }) => `${name}: ratio`)];
  console.log(`| boot | phase | ${heads.join(' | ')} |`);
  console.log(`| --- | --- |${' ---: |'.repeat(heads.length)}`);
  for (const scenario of scenarios()) {
    if (names.length > 0 && !names.includes(scenario.name)) continue;
    for (let boot = 0; boot < WARMING; boot++) await timeBoot(warm.argv(scenario), scenario);
    const best: number[][] = peers.map(() => []);
    for (let round = 0; round < Number(rounds); round++) {
      for (const [n, { argv }] of peers.entries()) {
        const times = await timeBoot(argv(scenario), scenario);
        for (const [phase, seconds] of times.entries())
          best[n]![phase] = Math.min(best[n]![phase] ?? Infinity, seconds);
      }
    }
    for (const [phase, name] of [...scenario.phases.map((each) => each.name), 'end'].entries()) {
      const cells = best.map((times) => times[phase]!.toFixed(2));
      const qemu = best[ours.length]?.[phase];
      const ratios = ours.map((_, n) => (qemu === undefined ? '–' : (best[n]![phase]! / qemu).toFixed(2)));
      console.log(`| ${scenario.name} | ${name} | ${[...cells, ...ratios].join(' | ')} |`);
    }
  }
}

const cache = mkdtempSync(join(tmpdir(), 'dyno-boots-'));
try {
  await compare(cache);
} finally {
  rmSync(cache, { recursive: true, force: true });
}
