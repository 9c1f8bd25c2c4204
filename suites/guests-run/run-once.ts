/**
 * One guest in one tier in a process of its own, so that nothing is warm that would not be for a user: V8 keeps the compiled code of modules
 * whose bytes it has seen. As for a user of `dyno`, the functions of the emulator are compiled already, by an earlier process.
 * `node suites/guests-run/run-once.ts GUEST SCALE TIER` prints an `OnceRun` as JSON.
 */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { RUNTIME_FLAGS } from '../../emulator/machine/runtime-flags.ts';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { findGuest, GUEST_SCALES, type Guest, type GuestScale } from '../guests/guests.ts';
import { checkGuestRun, emulateGuest, readGuest } from './guest-run.ts';

export interface OnceRun {
  readonly instructions: number;
  /** From the first guest instruction to the end, translation included. */
  readonly milliseconds: number;
  /** Processor time of all threads, the start included. */
  readonly cpuMilliseconds: number;
  /** Loading the program and, in the first run of a process, generating the interpreter. */
  readonly startMilliseconds: number;
}

const ROOT = path.join(import.meta.dirname, '..', '..');

/** Runs a guest in a new process. Throws when it does not print what it must. */
export async function runOnce(guest: Guest, scale: GuestScale, tier: Tier): Promise<OnceRun> {
  const wholeFunctions = path.join(ROOT, 'emulator', 'machine', 'whole-functions.ts');
  const args = [
    ...process.execArgv,
    ...RUNTIME_FLAGS,
    '--import',
    wholeFunctions,
    import.meta.filename,
    guest.name,
    scale,
    tier,
  ];
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(ROOT, '.cache', 'compiled') };
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 300_000, env });
  return JSON.parse(stdout) as OnceRun;
}

function measure(guest: Guest, scale: GuestScale, tier: Tier): OnceRun {
  const program = readGuest(guest);
  const start = performance.now();
  const cpu = process.cpuUsage();
  const run = emulateGuest(guest, program, scale, tier);
  const used = process.cpuUsage(cpu);
  const milliseconds = run.result.seconds * 1000;
  const startMilliseconds = performance.now() - start - milliseconds;
  checkGuestRun(guest, scale, run);
  const cpuMilliseconds = (used.user + used.system) / 1000;
  return { instructions: run.result.counters.instructions, milliseconds, cpuMilliseconds, startMilliseconds };
}

if (import.meta.main) {
  const [name = '', scale = '', tier = ''] = process.argv.slice(2);
  if (!GUEST_SCALES.includes(scale as GuestScale) || !TIERS.includes(tier as Tier)) {
    process.stderr.write(`run-once: give a guest, one of ${GUEST_SCALES.join(', ')} and one of ${TIERS.join(', ')}\n`);
    process.exitCode = 2;
  } else {
    process.stdout.write(JSON.stringify(measure(findGuest(name), scale as GuestScale, tier as Tier)));
  }
}
