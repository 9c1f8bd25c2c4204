/**
 * The guests side by side in our tiers and in what else runs them on this machine: `node suites/guests-run/peers.ts --help`. All are measured
 * in one run, round by round and peer by peer, so that what the machine does meanwhile falls on all.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { GUEST_SCALES, GUESTS, isBuiltFor, expectedOutput, findGuest } from '../guests/guests.ts';
import type { Guest, GuestIsa, GuestScale } from '../guests/guests.ts';
import { runGuest } from '../guests/run.ts';
import { median, type PeerRow, peerTable, WARM } from './peer-table.ts';
import { runOnce } from './run-once.ts';

const USAGE = `usage: node suites/guests-run/peers.ts [options]

  --scale NAME     ${GUEST_SCALES.join(', ')} (default: quick)
  --rounds N       measured rounds, after one that is not (default: 3)
  --tiers NAMES    of ${TIERS.join(', ')}, parted by commas (default: interpreter,baseline,auto)
  --warm           a column with auto and the translations that earlier processes have left behind (--cache-dir)
  --evaluator      a column with the evaluator's speed, at scale smoke and once: it is some thousand times slower
  --guests NAMES   parted by commas (default: all that are built for WebAssembly too)

Prints a Markdown table of medians in ms with half the range of the rounds in percent. Our tiers run in a new process each time, like QEMU
and the native programs; the time to start it is left out with ours and in with theirs (some 5 ms). Processor time is of all threads
and has the start in it.
`;

interface Sample {
  readonly milliseconds: number;
  readonly cpuMilliseconds?: number;
  readonly instructions?: number;
}

interface Peer {
  readonly name: string;
  readonly run: (guest: Guest, scale: GuestScale) => Promise<Sample | { readonly absent: string }>;
}

const NATIVE_ISA: Readonly<Record<string, GuestIsa>> = { x64: 'x86_64', arm64: 'aarch64' };

function outside(isa: GuestIsa): Peer['run'] {
  return async (guest, scale) => {
    const run = await runGuest(guest, isa, scale);
    if ('absent' in run) return run;
    if (run.status !== 0 || run.output !== expectedOutput(guest, scale))
      throw new Error(`${guest.name} for ${isa} ended with ${run.status} and printed ${run.output}`);
    return run;
  };
}

function warm(cache: string): Peer {
  return { name: WARM, run: (guest, scale) => runOnce(guest, scale, 'auto', cache) };
}

function peers(tiers: readonly Tier[], cache: string | undefined): Peer[] {
  const native = NATIVE_ISA[process.arch];
  return [
    ...tiers.map((tier): Peer => ({ name: tier, run: (guest, scale) => runOnce(guest, scale, tier) })),
    ...(cache === undefined ? [] : [warm(cache)]),
    { name: 'qemu-riscv64', run: outside('riscv64') },
    { name: 'wasm32', run: outside('wasm32') },
    ...(native === undefined ? [] : [{ name: 'native', run: outside(native) }]),
  ];
}

interface Plan {
  readonly guests: readonly Guest[];
  readonly tiers: readonly Tier[];
  readonly scale: GuestScale;
  readonly rounds: number;
  readonly evaluator: boolean;
  /** Where translations are kept for the runs that are warm. */
  readonly cache: string | undefined;
}

async function measure(
  { guests, tiers, scale, rounds, evaluator, cache }: Plan,
  say: (line: string) => void,
): Promise<PeerRow[]> {
  const rows = guests.map((guest) => ({
    guest: guest.name,
    kind: guest.kind,
    millionInstructions: 0,
    times: {} as Record<string, number[]>,
    cpuTimes: {} as Record<string, number[]>,
    ...(evaluator ? { evaluatorMips: NaN } : {}),
  }));
  if (evaluator) {
    for (const [index, guest] of guests.entries()) {
      const { instructions, milliseconds } = await runOnce(guest, 'smoke', 'reference');
      rows[index]!.evaluatorMips = instructions / 1000 / milliseconds;
    }
    say('the evaluator is measured');
  }
  const absent = new Set<string>();
  // Round 0 is not counted: files come into the page cache, builds are made, the processor wakes up.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, guest] of guests.entries()) {
      const row = rows[index]!;
      for (const { name, run } of peers(tiers, cache)) {
        if (absent.has(name)) continue;
        const sample = await run(guest, scale);
        if ('absent' in sample) {
          absent.add(name);
          say(`${name} is left out: ${sample.absent}`);
          continue;
        }
        row.millionInstructions = Math.max(row.millionInstructions, (sample.instructions ?? 0) / 1e6);
        if (round === 0) continue;
        (row.times[name] ??= []).push(sample.milliseconds);
        if (sample.cpuMilliseconds !== undefined) (row.cpuTimes[name] ??= []).push(sample.cpuMilliseconds);
      }
    }
    say(round === 0 ? 'warm-up is done' : `round ${round} of ${rounds} is measured`);
  }
  return rows;
}

/** Throws RangeError with what is wrong. */
function plan(args: readonly string[]): Plan | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scale: { type: 'string', default: 'quick' },
      rounds: { type: 'string', default: '3' },
      tiers: { type: 'string', default: 'interpreter,baseline,auto' },
      guests: { type: 'string' },
      warm: { type: 'boolean', default: false },
      evaluator: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const scale = GUEST_SCALES.find((name) => name === values.scale);
  if (scale === undefined) throw new RangeError(`--scale ${values.scale}: there are ${GUEST_SCALES.join(', ')}`);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds ${values.rounds}: give a count from 1 up`);
  const tiers = values.tiers.split(',').filter((name) => name !== '') as Tier[];
  const unknown = tiers.find((name) => !TIERS.includes(name));
  if (unknown !== undefined) throw new RangeError(`--tiers ${unknown}: there are ${TIERS.join(', ')}`);
  const guests = values.guests?.split(',').map(findGuest) ?? GUESTS.filter((guest) => isBuiltFor(guest, 'wasm32'));
  const cache = values.warm ? mkdtempSync(join(tmpdir(), 'dyno-guests-')) : undefined;
  return { guests, tiers, scale, rounds, evaluator: values.evaluator, cache };
}

async function main(args: readonly string[]): Promise<number> {
  let wanted: Plan | undefined;
  try {
    wanted = plan(args);
  } catch (error) {
    process.stderr.write(`peers: ${(error as Error).message}\n`);
    return 2;
  }
  if (wanted === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  const { cache } = wanted;
  let rows: PeerRow[];
  try {
    rows = await measure(wanted, (line) => void process.stderr.write(`${line}\n`));
  } finally {
    if (cache !== undefined) rmSync(cache, { recursive: true, force: true });
  }
  process.stdout.write(`${peerTable(rows)}\n`);
  const slowest = rows.map(({ guest, times }) => ({
    guest,
    ratio: median(times['auto'] ?? []) / median(times['qemu-riscv64'] ?? []),
  }));
  const worst = slowest.filter(({ ratio }) => ratio > 1 / 0.9).map(({ guest }) => guest);
  if (worst.length > 0) process.stdout.write(`\nBelow 0.9x of QEMU's speed: ${worst.join(', ')}.\n`);
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
