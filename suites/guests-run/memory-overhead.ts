/**
 * What the engine needs beside the guest's own pages: `node suites/guests-run/memory-overhead.ts [--scale NAME] [--tier NAME]` prints a table;
 * with a name (a guest or `generated-code`) it runs that alone and prints a `MemoryUse` as JSON. Linux only: it reads /proc.
 */
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify, parseArgs } from 'node:util';
import type { Isa } from '../../emulator/isa/instruction.ts';
import { GUEST, PAGE_SIZE } from '../../emulator/layout/memory-map.ts';
import { RUNTIME_FLAGS } from '../../emulator/machine/runtime-flags.ts';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { TranslationLog } from '../../emulator/machine/translation-log.ts';
import type { TranslationEvent } from '../../emulator/tier/engine-options.ts';
import { findGuest, GUEST_SCALES, type GuestScale } from '../guests/guests.ts';
import { RATED } from './cache-rates.ts';
import { runGeneratedCode } from './generated-code.ts';
import { checkGuestRun, emulateGuest, readGuest } from './guest-run.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');

/** In KiB of resident memory, of a process that has run one program to its end. */
export interface MemoryUse {
  readonly resident: number;
  /** The most at any time. */
  readonly peak: number;
  /** Pages of the guest's memory. */
  readonly guest: number;
  /** A process of the same runtime that runs nothing. */
  readonly runtime: number;
}

/** Programs that are measured: the guests of the suites, and one that never runs the same code for long. */
export const MEASURED: readonly string[] = [...RATED.map(({ name }) => name), 'generated-code'];

/** KiB at the peak that are neither the guest's nor the runtime's. */
export function overheadOf({ peak, guest, runtime }: MemoryUse): number {
  return peak - guest - runtime;
}

/** Runs a program in a process of its own. */
export async function memoryUse(name: string, scale: GuestScale, tier: Tier): Promise<MemoryUse> {
  // As `dyno emulate` runs them, and with compiled modules kept: without, the compilers of V8 take some 20 MiB more.
  const args = [...RUNTIME_FLAGS, import.meta.filename, '--scale', scale, '--tier', tier, name];
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(ROOT, '.cache', 'compiled') };
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 600_000, env });
  return JSON.parse(stdout) as MemoryUse;
}

/** Remembers the guest's memory, which nobody else holds once a program has ended. */
class MemoryHolder extends TranslationLog {
  guest: Uint8Array | undefined;

  override note(event: TranslationEvent, isa: Isa, guest: Uint8Array): void {
    super.note(event, isa, guest);
    this.guest = guest;
  }
}

function run(name: string, scale: GuestScale, tier: Tier): Uint8Array {
  if (name === 'generated-code') return runGeneratedCode(tier).bytes;
  const guest = findGuest(name);
  const log = new MemoryHolder();
  checkGuestRun(guest, scale, emulateGuest(guest, readGuest(guest), scale, tier, { log }));
  if (log.guest === undefined) throw new Error(`${name}: nothing was translated`);
  return log.guest;
}

async function measure(name: string, scale: GuestScale, tier: Tier): Promise<MemoryUse> {
  const guest = run(name, scale, tier);
  const [resident, peak] = [statusKiB('self', 'VmRSS'), statusKiB('self', 'VmHWM')];
  const script = "process.stdout.write(require('fs').readFileSync('/proc/self/status', 'latin1'))";
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script]);
  return { resident, peak, guest: residentPagesOf(guest) * (PAGE_SIZE / 1024), runtime: fieldKiB(stdout, 'VmHWM') };
}

function statusKiB(process: string, field: string): number {
  return fieldKiB(fs.readFileSync(`/proc/${process}/status`, 'latin1'), field);
}

function fieldKiB(status: string, field: string): number {
  const value = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (value === undefined) throw new Error(`/proc has no ${field}`);
  return Number(value);
}

/** Pages of guest memory that are resident: bit 63 of their entries in /proc/self/pagemap. */
function residentPagesOf(guest: Uint8Array): number {
  const wanted = GUEST + guest.length;
  const mapping = fs
    .readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .map((line) => /^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0\s*$/.exec(line))
    .find((match) => match !== null && parseInt(match[2]!, 16) - parseInt(match[1]!, 16) === wanted);
  if (mapping === undefined || mapping === null) throw new Error(`no mapping of ${wanted} bytes`);
  const entries = new BigUint64Array(guest.length / PAGE_SIZE);
  const pagemap = fs.openSync('/proc/self/pagemap', 'r');
  fs.readSync(pagemap, entries, 0, entries.byteLength, ((parseInt(mapping[1]!, 16) + GUEST) / PAGE_SIZE) * 8);
  fs.closeSync(pagemap);
  return entries.reduce((count, entry) => count + Number(entry >> 63n), 0);
}

async function table(scale: GuestScale, tier: Tier): Promise<string> {
  const mebibytes = (kibibytes: number) => (kibibytes / 1024).toFixed(1);
  const header = ['program', 'resident at most, MiB', "guest's pages", 'runtime alone', 'engine'];
  const lines = [header, header.map((_, index) => (index === 0 ? '---' : '---:'))];
  for (const name of MEASURED) {
    const use = await memoryUse(name, scale, tier);
    const { peak, guest, runtime } = use;
    lines.push([name, ...[peak, guest, runtime, overheadOf(use)].map(mebibytes)]);
  }
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { scale: { type: 'string', default: 'default' }, tier: { type: 'string', default: 'auto' } },
  });
  const scale = GUEST_SCALES.find((name) => name === values.scale);
  if (scale === undefined) throw new RangeError(`--scale ${values.scale}: there are ${GUEST_SCALES.join(', ')}`);
  const tier = TIERS.find((name) => name === values.tier);
  if (tier === undefined) throw new RangeError(`--tier ${values.tier}: there are ${TIERS.join(', ')}`);
  const [name] = positionals;
  const answer = name === undefined ? await table(scale, tier) : JSON.stringify(await measure(name, scale, tier));
  process.stdout.write(`${answer}\n`);
}

if (import.meta.main) await main(process.argv.slice(2));
