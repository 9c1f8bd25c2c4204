/**
 * How often the levels of the translation cache have what they are asked for: `node suites/guests-run/cache-rates.ts [--scale NAME]` prints a
 * table over guests and busybox scripts in tier `auto`. All counts are exact.
 */
import { parseArgs } from 'node:util';
import type { UserResult } from '../../emulator/machine/user.ts';
import { GUEST_SCALES, GUESTS, isBuiltFor, type Guest, type GuestScale } from '../guests/guests.ts';
import { absent, runScript, SCRIPTS } from './busybox-scripts.ts';
import { checkGuestRun, emulateGuest, readGuest } from './guest-run.ts';

/** Control that went from one region to another, or from the interpreter to a region. Every such jump asks the jump cache, once. */
export interface CacheCounts {
  readonly instructions: number;
  readonly inRegions: number;
  /** Level 1, the jump cache in linear memory, led on without leaving WebAssembly. */
  readonly held: number;
  /** Level 2: the region was alive, and the jump cache did not hold it. */
  readonly refilled: number;
  /** There was no region: the interpreter went on. */
  readonly absent: number;
}

/** The guests that are run in the quick suites. */
export const RATED: readonly Guest[] = GUESTS.filter((guest) => isBuiltFor(guest, 'wasm32'));

export function guestCacheCounts(guest: Guest, scale: GuestScale): CacheCounts {
  const run = emulateGuest(guest, readGuest(guest), scale, 'auto');
  checkGuestRun(guest, scale, run);
  return countsOf(run.result);
}

export function scriptCacheCounts(name: string): CacheCounts {
  return countsOf(runScript(name, 'auto'));
}

function countsOf({ vcpu, counters }: UserResult): CacheCounts {
  const of = (name: string) => vcpu[name] ?? 0;
  return {
    instructions: counters.instructions,
    inRegions: of('regionInstructions'),
    held: of('chained'),
    refilled: of('chainRefills'),
    absent: of('chainMisses') - of('chainRefills'),
  };
}

/** The counts of several runs together. */
export function sumOfCounts(all: readonly CacheCounts[]): CacheCounts {
  const sum = (name: keyof CacheCounts) => all.reduce((total, counts) => total + counts[name], 0);
  return {
    instructions: sum('instructions'),
    inRegions: sum('inRegions'),
    held: sum('held'),
    refilled: sum('refilled'),
    absent: sum('absent'),
  };
}

/** A line for each run: of all jumps the share that level 1 held, of those to regions too, and that any level answered. */
export function cacheTable(runs: readonly (readonly [name: string, counts: CacheCounts])[]): string {
  const percent = (part: number, whole: number) => (whole === 0 ? '–' : `${((100 * part) / whole).toFixed(2)} %`);
  const lines = runs.map(([name, { instructions, inRegions, held, refilled, absent: none }]) => {
    const jumps = held + refilled + none;
    return [
      name,
      (instructions / 1e6).toFixed(1),
      percent(inRegions, instructions),
      jumps.toLocaleString('en-US'),
      percent(held, jumps),
      percent(held, held + refilled),
      percent(held + refilled, jumps),
    ];
  });
  const header = [
    'program',
    'M instructions',
    'in regions',
    'jumps',
    'L1, of all jumps',
    'L1, of jumps to regions',
    'L1 and L2, of all',
  ];
  const align = header.map((_, index) => (index === 0 ? '---' : '---:'));
  return [header, align, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function main(args: readonly string[]): void {
  const { values } = parseArgs({ args: [...args], options: { scale: { type: 'string', default: 'default' } } });
  const scale = GUEST_SCALES.find((name) => name === values.scale);
  if (scale === undefined) throw new RangeError(`--scale ${values.scale}: there are ${GUEST_SCALES.join(', ')}`);
  const guests = RATED.map((guest) => [guest.name, guestCacheCounts(guest, scale)] as const);
  const groups = [...guests, ['all guests', sumOfCounts(guests.map(([, counts]) => counts))] as const];
  if (absent === undefined) {
    const scripts = Object.keys(SCRIPTS).map((name) => [`sh: ${name}`, scriptCacheCounts(name)] as const);
    groups.push(...scripts, ['all scripts', sumOfCounts(scripts.map(([, counts]) => counts))]);
  } else process.stderr.write(`no scripts: ${absent}\n`);
  process.stdout.write(`${cacheTable(groups)}\n`);
}

if (import.meta.main) main(process.argv.slice(2));
