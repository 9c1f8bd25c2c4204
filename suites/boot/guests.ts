/**
 * The guests as programs of Debian's Linux, paging and all, here and in qemu-system-riscv64, turn by turn: `node suites/boot/guests.ts
 * [ROUNDS] [SCALE] [GUEST]…` prints a Markdown table of host seconds of each, best of the rounds, with its start and its output.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeCpio } from '../../emulator/loader/cpio.ts';
import {
  elfPath,
  GUEST_SCALES,
  guestArguments,
  GUESTS,
  type Guest,
  type GuestScale,
  isBuiltFor,
} from '../guests/guests.ts';
import { geometricMean } from '../guests-run/peer-table.ts';
import { bootInitramfs, bootInput } from './boot-inputs.ts';
import { type BootScenario, dynoCommand, QEMU, qemuCommand, timeBoot } from './timed-boot.ts';

/** The initial RAM disk with the guests, and a script that runs them: the kernel unpacks one archive after the other. */
function withGuests(guests: readonly Guest[], scale: GuestScale): Uint8Array {
  const run = guests.map(
    (guest) =>
      `echo "BEGIN ${guest.name}"\n/guests/${guest.name} ${guestArguments(guest, scale).join(' ')}\necho "END ${guest.name} $?"\n`,
  );
  const more = writeCpio([
    { kind: 'file', path: 'etc/run/guests', content: Buffer.from(`#!/bin/sh\n${run.join('')}`), executable: true },
    ...guests.map((guest) => ({
      kind: 'file' as const,
      path: `guests/${guest.name}`,
      content: readFileSync(elfPath(guest, 'riscv64')),
      executable: true,
    })),
  ]);
  return Buffer.concat([readFileSync(bootInitramfs()), more]);
}

async function main(): Promise<void> {
  const [rounds = '1', scale = 'quick', ...names] = process.argv.slice(2);
  if (!(GUEST_SCALES as readonly string[]).includes(scale))
    throw new Error(`${scale} is none of ${GUEST_SCALES.join(', ')}`);
  const linux = bootInput('linux-riscv64');
  if (typeof linux !== 'string') return console.error(linux.absent);
  const guests = GUESTS.filter((guest) =>
    names.length === 0 ? isBuiltFor(guest, 'wasm32') : names.includes(guest.name),
  );
  const folder = mkdtempSync(join(tmpdir(), 'dyno-guests-'));
  try {
    const initrd = join(folder, 'initrd');
    writeFileSync(initrd, withGuests(guests, scale as GuestScale));
    const scenario: BootScenario = {
      name: 'guests',
      firmware: undefined,
      files: ['kernel', linux, 'initrd', initrd, 'append', 'console=ttyS0 quiet no4lvl dyno.run=guests'],
      phases: guests.flatMap(({ name }) => [
        { name: `before ${name}`, until: `BEGIN ${name}` },
        { name, until: `END ${name} 0` },
      ]),
      answers: {},
    };
    const peers = [{ name: 'dyno', argv: dynoCommand }];
    if (spawnSync(QEMU[0], ['--version']).error === undefined) peers.push({ name: 'qemu', argv: qemuCommand });
    const best = peers.map(() => new Map<string, number>());
    for (let round = 0; round < Number(rounds); round++) {
      for (const [n, { argv }] of peers.entries()) {
        const reached = await timeBoot(argv(scenario), scenario);
        guests.forEach(({ name }, index) => {
          const seconds = reached[2 * index + 1]! - reached[2 * index]!;
          best[n]!.set(name, Math.min(best[n]!.get(name) ?? Infinity, seconds));
        });
      }
    }
    print(
      guests,
      peers.map(({ name }) => name),
      best,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function print(guests: readonly Guest[], peers: readonly string[], best: readonly ReadonlyMap<string, number>[]): void {
  console.log(`| guest | ${peers.map((name) => `${name}, s`).join(' | ')} | speed over qemu |`);
  console.log(`| --- |${' ---: |'.repeat(peers.length + 1)}`);
  const ratios: number[] = [];
  for (const { name } of guests) {
    const times = best.map((of) => of.get(name)!);
    if (times.length > 1) ratios.push(times[1]! / times[0]!);
    console.log(
      `| ${name} | ${times.map((time) => time.toFixed(3)).join(' | ')} | ${ratios.at(-1)?.toFixed(2) ?? '–'} |`,
    );
  }
  if (ratios.length > 0)
    console.log(`| geometric mean |${' |'.repeat(peers.length)} ${geometricMean(ratios).toFixed(2)} |`);
}

await main();
