/**
 * What each pass is worth to running guests: `node suites/guests-run/ablation.ts [--scale NAME] [--rounds N] [--guests NAMES] [--passes NAMES]`
 * prints a table of sizes and processor times with each pass off, over those with all. Runs with and without are neighbours in time.
 */
import { parseArgs } from 'node:util';
import { PASSES } from '../../emulator/pass/pipeline.ts';
import { BYTE_COPIES, FLOAT_WINDOWS, LOOP_GUARDS, UNROLLING } from '../../emulator/tier/region/translator.ts';
import { GUEST_SCALES, GUESTS, findGuest, isBuiltFor, type Guest, type GuestScale } from '../guests/guests.ts';
import { checkGuestRun, emulateGuest, readGuest } from './guest-run.ts';
import { geometricMean, median } from './peer-table.ts';

/** All that can be switched off by name. */
export const ABLATIONS: readonly string[] = [
  ...PASSES.map(({ name }) => name),
  LOOP_GUARDS,
  UNROLLING,
  FLOAT_WINDOWS,
  BYTE_COPIES,
];

/** Exact sizes of all regions of a run, per translated guest instruction in the table. */
export interface Sizes {
  readonly guestInstructions: number;
  readonly irOps: number;
  readonly wasmOps: number;
  readonly wasmBytes: number;
}

/** What was translated in a run of a guest with a pass off; none for ''. */
export function translationWithout(guest: Guest, scale: GuestScale, pass: string): Sizes {
  return measure(guest, readGuest(guest), scale, pass).sizes;
}

/** A line of the table: sizes per guest instruction and times as ratios of those with all passes, one of each guest. */
export interface Ablation {
  readonly pass: string;
  readonly irOps: readonly number[];
  readonly wasmOps: readonly number[];
  readonly wasmBytes: readonly number[];
  readonly times: readonly number[];
}

/** Geometric means over guests, in percent more than with all passes; the largest loss of time of one guest last. */
export function ablationTable(ablations: readonly Ablation[]): string {
  const more = (ratio: number) => `${((ratio - 1) * 100).toFixed(1)} %`;
  const lines = ablations.map(({ pass, irOps, wasmOps, wasmBytes, times }) => [
    `\`${pass}\``,
    ...[irOps, wasmOps, wasmBytes, times].map((ratios) => more(geometricMean(ratios))),
    more(Math.max(...times)),
  ]);
  const header = ['without', 'IR ops', 'WebAssembly operators', 'bytes', 'CPU time', 'CPU time, worst guest'];
  const align = header.map((_, index) => (index === 0 ? '---' : '---:'));
  return [header, align, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function measure(guest: Guest, program: Uint8Array, scale: GuestScale, pass: string): { sizes: Sizes; cpu: number } {
  const before = process.threadCpuUsage();
  const run = emulateGuest(guest, program, scale, 'auto', pass === '' ? {} : { disabledPasses: new Set([pass]) });
  const { user, system } = process.threadCpuUsage(before);
  checkGuestRun(guest, scale, run);
  const { guestInstructions, irOps, wasmOps, wasmBytes } = run.result.translation!;
  return { sizes: { guestInstructions, irOps, wasmOps, wasmBytes }, cpu: user + system };
}

function ablate(pass: string, guests: readonly Guest[], scale: GuestScale, rounds: number): Ablation {
  const ratios = { irOps: [] as number[], wasmOps: [] as number[], wasmBytes: [] as number[], times: [] as number[] };
  for (const guest of guests) {
    const program = readGuest(guest);
    const times: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const all = measure(guest, program, scale, '');
      const less = measure(guest, program, scale, pass);
      // The first round has the functions of this process compiled.
      if (round > 0) times.push(less.cpu / all.cpu);
      if (round < rounds || all.sizes.guestInstructions === 0 || less.sizes.guestInstructions === 0) continue;
      for (const size of ['irOps', 'wasmOps', 'wasmBytes'] as const) {
        const each = ({ sizes }: { sizes: Sizes }) => sizes[size] / sizes.guestInstructions;
        ratios[size].push(each(less) / each(all));
      }
    }
    ratios.times.push(median(times));
  }
  return { pass, ...ratios };
}

function main(args: readonly string[]): void {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scale: { type: 'string', default: 'quick' },
      rounds: { type: 'string', default: '5' },
      guests: { type: 'string' },
      passes: { type: 'string', default: ABLATIONS.join() },
    },
  });
  const scale = GUEST_SCALES.find((name) => name === values.scale);
  if (scale === undefined) throw new RangeError(`--scale ${values.scale}: there are ${GUEST_SCALES.join(', ')}`);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds ${values.rounds}: give a count from 1 up`);
  const guests = values.guests?.split(',').map(findGuest) ?? GUESTS.filter((guest) => isBuiltFor(guest, 'wasm32'));
  const passes = values.passes.split(',');
  const unknown = passes.find((pass) => !ABLATIONS.includes(pass));
  if (unknown !== undefined) throw new RangeError(`--passes ${unknown}: there are ${ABLATIONS.join(', ')}`);
  process.stdout.write(`${ablationTable(passes.map((pass) => ablate(pass, guests, scale, rounds)))}\n`);
}

if (import.meta.main) main(process.argv.slice(2));
