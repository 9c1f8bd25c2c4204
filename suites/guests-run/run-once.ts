/**
 * One guest in one tier in a process of its own, as a user of `dyno` has it: nothing is warm but what an earlier process has left behind, which is the
 * engine as one file and V8's code of it, without what V8 makes of the modules it runs.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { RUNTIME_FLAGS } from '../../emulator/machine/runtime-flags.ts';
import type { Tier } from '../../emulator/machine/tier.ts';
import { elfPath, expectedOutput, guestArguments, type Guest, type GuestScale } from '../guests/guests.ts';

export interface OnceRun {
  readonly instructions: number;
  /** From the first guest instruction to the end, translation included. */
  readonly milliseconds: number;
  /** Processor time of all threads of the process, from its start. */
  readonly cpuMilliseconds: number;
}

/** What `--stats` writes; times in seconds. */
interface Statistics {
  readonly instructions: number;
  readonly seconds: number;
  readonly processorSeconds: number;
}

const ROOT = path.join(import.meta.dirname, '..', '..');

/** Runs a guest in a new process. `cache`: where translations of earlier processes are, and are kept. Throws when it does not print what it must. */
export async function runOnce(guest: Guest, scale: GuestScale, tier: Tier, cache?: string): Promise<OnceRun> {
  const start = path.join(ROOT, 'scripts', 'start.ts');
  const kept = cache === undefined ? [] : ['--cache-dir', cache];
  const options = ['--tier', tier, ...kept, '--deterministic', '--stats', '-', '--', ...guestArguments(guest, scale)];
  const args = [...RUNTIME_FLAGS, start, 'emulate', '--user', elfPath(guest, 'riscv64'), ...options];
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(ROOT, '.cache', 'compiled') };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 300_000, env });
  assert.equal(stdout, expectedOutput(guest, scale));
  const { instructions, seconds, processorSeconds } = JSON.parse(stderr) as Statistics;
  return { instructions, milliseconds: 1000 * seconds, cpuMilliseconds: 1000 * processorSeconds };
}
