/**
 * What the engine needs beside the guest's own pages: `node suites/guests-run/memory-overhead.ts [--scale NAME] [--tier NAME] [--compilation WHEN]
 * [NAME…]` prints a table. Linux only: it reads /proc.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify, parseArgs } from 'node:util';
import { GUEST } from '../../emulator/layout/memory-map.ts';
import { COMPILATIONS, type Compilation } from '../../emulator/machine/compilation.ts';
import { RUNTIME_FLAGS } from '../../emulator/machine/runtime-flags.ts';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { elfPath, expectedOutput, findGuest, guestArguments, GUEST_SCALES, type GuestScale } from '../guests/guests.ts';
import { RATED } from './cache-rates.ts';
import { MEASURED_FROM, peakKiB, type ProcessMemory } from './memory-probe.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const START = path.join(ROOT, 'scripts', 'start.ts');
const GENERATED_CODE = path.join(import.meta.dirname, 'generated-code.ts');
const PROBE = pathToFileURL(path.join(import.meta.dirname, 'memory-probe.ts')).href;

/** Files that processes have been begun with. */
const begun = new Set<string>();

/** In KiB of resident memory, of a process that has run one program to its end. */
export interface MemoryUse extends ProcessMemory {
  /** A process of the same runtime that runs nothing, at its peak. */
  readonly runtime: number;
}

/** Programs that are measured: the guests of the suites, and one that never runs the same code for long. */
export const MEASURED: readonly string[] = [...RATED.map(({ name }) => name), 'generated-code'];

/** KiB at the peak that are neither the guest's nor the runtime's. */
export function overheadOf({ peak, guest, runtime }: MemoryUse): number {
  return peak - guest - runtime;
}

/** Runs a program in a process of its own, a guest as `dyno emulate` does. Throws when it does not print what it must. */
export async function memoryUse(
  name: string,
  scale: GuestScale,
  tier: Tier,
  compilation: Compilation = 'synchronous',
): Promise<MemoryUse> {
  const { command, prints, file } = commandOf(name, scale, tier, compilation);
  const env = {
    ...process.env,
    NODE_COMPILE_CACHE: path.join(ROOT, '.cache', 'compiled'),
    NODE_OPTIONS: `--import=${PROBE}`,
    [MEASURED_FROM]: String(GUEST),
  };
  const run = () => promisify(execFile)(process.execPath, command, { timeout: 600_000, env });
  // The first process of all compiles what later ones start from.
  if (!begun.has(file)) await run();
  begun.add(file);
  const { stdout, stderr } = await run();
  assert.equal(stdout, prints);
  return { ...(JSON.parse(stderr) as ProcessMemory), runtime: await runtimeKiB() };
}

function commandOf(
  name: string,
  scale: GuestScale,
  tier: Tier,
  compilation: Compilation,
): { readonly file: string; readonly command: readonly string[]; readonly prints: string } {
  if (name === 'generated-code')
    return { file: GENERATED_CODE, command: [...RUNTIME_FLAGS, GENERATED_CODE, tier], prints: '' };
  const guest = findGuest(name);
  const options = ['--tier', tier, '--compilation', compilation, '--user', elfPath(guest, 'riscv64')];
  return {
    file: START,
    command: [...RUNTIME_FLAGS, START, 'emulate', ...options, '--', ...guestArguments(guest, scale)],
    prints: expectedOutput(guest, scale),
  };
}

async function runtimeKiB(): Promise<number> {
  const script = "process.stdout.write(require('fs').readFileSync('/proc/self/status', 'latin1'))";
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script]);
  return peakKiB(stdout);
}

async function table(
  names: readonly string[],
  scale: GuestScale,
  tier: Tier,
  compilation: Compilation,
): Promise<string> {
  const mebibytes = (kibibytes: number) => (kibibytes / 1024).toFixed(1);
  const header = ['program', 'resident at most, MiB', "guest's pages", 'runtime alone', 'engine'];
  const lines = [header, header.map((_, index) => (index === 0 ? '---' : '---:'))];
  for (const name of names) {
    const use = await memoryUse(name, scale, tier, compilation);
    const { peak, guest, runtime } = use;
    lines.push([name, ...[peak, guest, runtime, overheadOf(use)].map(mebibytes)]);
  }
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      scale: { type: 'string', default: 'default' },
      tier: { type: 'string', default: 'auto' },
      compilation: { type: 'string', default: 'synchronous' },
    },
  });
  const scale = GUEST_SCALES.find((name) => name === values.scale);
  if (scale === undefined) throw new RangeError(`--scale ${values.scale}: there are ${GUEST_SCALES.join(', ')}`);
  const tier = TIERS.find((name) => name === values.tier);
  if (tier === undefined) throw new RangeError(`--tier ${values.tier}: there are ${TIERS.join(', ')}`);
  const compilation = COMPILATIONS.find((name) => name === values.compilation);
  if (compilation === undefined)
    throw new RangeError(`--compilation ${values.compilation}: there are ${COMPILATIONS.join(', ')}`);
  const names = positionals.length === 0 ? MEASURED : positionals;
  process.stdout.write(`${await table(names, scale, tier, compilation)}\n`);
}

if (import.meta.main) await main(process.argv.slice(2));
