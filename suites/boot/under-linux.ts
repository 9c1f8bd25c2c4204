/** Commands run under Debian's Linux, here and in qemu-system-riscv64 turn by turn, timed by what they print. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CpioEntry, writeCpio } from '../../emulator/loader/cpio.ts';
import { geometricMean } from '../guests-run/peer-table.ts';
import { bootInitramfs, bootInput } from './boot-inputs.ts';
import { type BootScenario, dynoCommand, QEMU, qemuCommand, timeBoot } from './timed-boot.ts';

/** What is timed: lines of shell, each of which is to succeed. */
export interface Task {
  readonly name: string;
  readonly lines: readonly string[];
}

/** Boots with `files` beside what the initial RAM disk has, runs `before` and the tasks, and prints a Markdown table: host seconds of each, best of the rounds. */
export async function compareUnderLinux(
  what: string,
  tasks: readonly Task[],
  rounds: number,
  { files = [], before = [] }: { readonly files?: readonly CpioEntry[]; readonly before?: readonly string[] } = {},
): Promise<void> {
  const linux = bootInput('linux-riscv64');
  if (typeof linux !== 'string') return console.error(linux.absent);
  const folder = mkdtempSync(join(tmpdir(), 'dyno-under-linux-'));
  try {
    const initrd = join(folder, 'initrd');
    writeFileSync(initrd, withTasks(tasks, files, before));
    const scenario: BootScenario = {
      name: 'tasks',
      firmware: undefined,
      files: ['kernel', linux, 'initrd', initrd, 'append', 'console=ttyS0 quiet no4lvl dyno.run=tasks'],
      phases: tasks.flatMap(({ name }) => [
        { name: `before ${name}`, until: `BEGIN ${name}` },
        { name, until: `END ${name} 0` },
      ]),
      answers: {},
    };
    const peers = [{ name: 'dyno', argv: dynoCommand }];
    if (spawnSync(QEMU[0], ['--version']).error === undefined) peers.push({ name: 'qemu', argv: qemuCommand });
    const best = peers.map(() => new Map<string, number>());
    for (let round = 0; round < rounds; round++) {
      for (const [n, { argv }] of peers.entries()) {
        const reached = await timeBoot(argv(scenario), scenario);
        tasks.forEach(({ name }, index) => {
          const seconds = reached[2 * index + 1]! - reached[2 * index]!;
          best[n]!.set(name, Math.min(best[n]!.get(name) ?? Infinity, seconds));
        });
      }
    }
    print(
      what,
      tasks,
      peers.map(({ name }) => name),
      best,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The initial RAM disk with a script, which ends where a command fails: the kernel unpacks one archive after the other. */
function withTasks(tasks: readonly Task[], files: readonly CpioEntry[], before: readonly string[]): Uint8Array {
  const lines = tasks.flatMap((task) => [`echo "BEGIN ${task.name}"`, ...task.lines, `echo "END ${task.name} $?"`]);
  const content = ['#!/bin/sh', 'set -e -o pipefail', ...before, ...lines, ''].join('\n');
  const more = writeCpio([
    { kind: 'file', path: 'etc/run/tasks', content: Buffer.from(content), executable: true },
    ...files,
  ]);
  return Buffer.concat([readFileSync(bootInitramfs()), more]);
}

function print(
  what: string,
  tasks: readonly Task[],
  peers: readonly string[],
  best: readonly ReadonlyMap<string, number>[],
): void {
  console.log(`| ${what} | ${peers.map((name) => `${name}, s`).join(' | ')} | speed over qemu |`);
  console.log(`| --- |${' ---: |'.repeat(peers.length + 1)}`);
  const ratios: number[] = [];
  for (const { name } of tasks) {
    const times = best.map((of) => of.get(name)!);
    const ratio = times.length > 1 ? times[1]! / times[0]! : undefined;
    if (ratio !== undefined) ratios.push(ratio);
    console.log(`| ${name} | ${times.map((time) => time.toFixed(3)).join(' | ')} | ${ratio?.toFixed(2) ?? '–'} |`);
  }
  if (ratios.length > 0)
    console.log(`| geometric mean |${' |'.repeat(peers.length)} ${geometricMean(ratios).toFixed(2)} |`);
}
