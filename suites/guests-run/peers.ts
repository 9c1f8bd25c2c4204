/**
 * The guests side by side in tier 0 and in what else runs them on this machine: `node suites/guests-run/peers.ts [SCALE] [ROUNDS]` prints a
 * Markdown table. All are measured in one run, round by round and peer by peer, so that what the machine does meanwhile falls on all.
 */
import { Vcpu } from '../../emulator/cpu/vcpu.ts';
import { riscv64 } from '../../emulator/isa/riscv/index.ts';
import { GUEST_SCALES, GUESTS, isBuiltFor, expectedOutput } from '../guests/guests.ts';
import type { Guest, GuestIsa, GuestScale } from '../guests/guests.ts';
import { runGuest } from '../guests/run.ts';
import { assembleMix, CODE, mixMemory, runMix, runPlainMix } from '../tier/mix.ts';
import { PlainInterpreter } from '../tier/plain-interpreter.ts';
import { checkGuestRun, emulateGuest, readGuest } from './guest-run.ts';

/** Milliseconds, or why there are none. */
type Timing = number | { readonly absent: string };

interface Peer {
  readonly name: string;
  readonly run: (guest: Guest, scale: GuestScale) => Timing | Promise<Timing>;
}

/** Times of one guest by peer name, one of each round; empty when the peer is absent. */
export interface PeerRow {
  readonly guest: string;
  readonly millionInstructions: number;
  readonly times: Readonly<Record<string, readonly number[]>>;
}

const TIER0 = 'tier 0';
const NATIVE_ISA: Readonly<Record<string, GuestIsa>> = { x64: 'x86_64', arm64: 'aarch64' };

function outside(isa: GuestIsa): Peer['run'] {
  return async (guest, scale) => {
    const run = await runGuest(guest, isa, scale);
    if ('absent' in run) return run;
    if (run.status !== 0 || run.output !== expectedOutput(guest, scale))
      throw new Error(`${guest.name} for ${isa} ended with ${run.status} and printed ${run.output}`);
    return run.milliseconds;
  };
}

function peers(): Peer[] {
  const native = NATIVE_ISA[process.arch];
  return [
    { name: TIER0, run: (guest, scale) => tier0(guest, scale).milliseconds },
    { name: 'qemu-riscv64', run: outside('riscv64') },
    { name: 'wasm32 in Node', run: outside('wasm32') },
    ...(native === undefined ? [] : [{ name: 'native', run: outside(native) }]),
  ];
}

function tier0(guest: Guest, scale: GuestScale): { milliseconds: number; instructions: number } {
  const run = emulateGuest(guest, readGuest(guest), scale);
  checkGuestRun(guest, scale, run);
  return { milliseconds: run.result.seconds * 1000, instructions: run.result.counters.instructions };
}

async function measureGuests(scale: GuestScale, rounds: number, say: (line: string) => void): Promise<PeerRow[]> {
  const guests = GUESTS.filter((guest) => isBuiltFor(guest, 'wasm32'));
  // Not counted: V8 compiles, files come into the page cache, builds are made.
  const rows = guests.map((guest) => ({
    guest: guest.name,
    millionInstructions: tier0(guest, scale).instructions / 1e6,
    times: {} as Record<string, number[]>,
  }));
  const present: Peer[] = [];
  for (const peer of peers()) {
    const first = await peer.run(guests[0]!, scale);
    if (typeof first === 'number') present.push(peer);
    else say(`${peer.name} is left out: ${first.absent}`);
  }
  for (let round = 0; round < rounds; round++) {
    for (const [index, guest] of guests.entries()) {
      for (const { name, run } of present) {
        const timing = await run(guest, scale);
        if (typeof timing === 'number') (rows[index]!.times[name] ??= []).push(timing);
      }
    }
    say(`round ${round + 1} of ${rounds} is measured`);
  }
  return rows;
}

/** Milliseconds of the mix in tier 0 and in the plain interpreter, which knows only the mix's instructions. */
function measureMix(rounds: number): { tier0: number[]; plain: number[] } {
  const iterations = 400_000;
  const memory = mixMemory();
  const vcpu = new Vcpu(riscv64, memory.memory, { guestSize: memory.size });
  const plainMemory = new ArrayBuffer(1 << 22);
  const plain = new PlainInterpreter(assembleMix(), CODE, plainMemory);
  const clock = (run: () => bigint): { milliseconds: number; checksum: bigint } => {
    const start = performance.now();
    const checksum = run();
    return { milliseconds: performance.now() - start, checksum };
  };
  const times = { tier0: [] as number[], plain: [] as number[] };
  for (let round = -1; round < rounds; round++) {
    const first = clock(() => runMix(vcpu, memory, iterations));
    const second = clock(() => runPlainMix(plain, plainMemory, iterations));
    if (first.checksum !== second.checksum) throw new Error('the interpreters disagree');
    if (round < 0) continue;
    times.tier0.push(first.milliseconds);
    times.plain.push(second.milliseconds);
  }
  return times;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Medians in ms with the half-range of the rounds in percent, MIPS of tier 0, and at the bottom the geometric mean of each peer's time over tier 0's. */
export function peerTable(rows: readonly PeerRow[]): string {
  const names = [...new Set(rows.flatMap(({ times }) => Object.keys(times)))];
  const cell = (times: readonly number[] | undefined): string => {
    if (times === undefined || times.length === 0) return '–';
    const spread = (100 * (Math.max(...times) - Math.min(...times))) / 2 / median(times);
    return `${median(times).toPrecision(3)} ±${spread.toFixed(0)} %`;
  };
  const header = ['guest', 'M instructions', ...names.map((name) => `${name}, ms`), `${TIER0}, MIPS`];
  const lines = rows.map(({ guest, millionInstructions, times }) => [
    guest,
    millionInstructions.toFixed(1),
    ...names.map((name) => cell(times[name])),
    (millionInstructions / (median(times[TIER0]!) / 1000)).toFixed(0),
  ]);
  const relative = (name: string): string => {
    const ratios = rows
      .filter(({ times }) => times[name] !== undefined)
      .map(({ times }) => median(times[name]!) / median(times[TIER0]!));
    return geometricMean(ratios).toFixed(3);
  };
  const speed = geometricMean(rows.map((row) => row.millionInstructions / (median(row.times[TIER0]!) / 1000)));
  const bottom = [`time over ${TIER0}'s, geometric mean`, '', ...names.map(relative), speed.toFixed(0)];
  const align = header.map((_, index) => (index === 0 ? '---' : '---:'));
  return [header, align, ...lines, bottom].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

if (import.meta.main) {
  const [scale = 'quick', rounds = '3'] = process.argv.slice(2);
  if (!GUEST_SCALES.includes(scale as GuestScale) || !(Number(rounds) >= 1)) {
    process.stderr.write(
      `peers: '${scale} ${rounds}': give one of ${GUEST_SCALES.join(', ')} and a number of rounds\n`,
    );
    process.exit(2);
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const rows = await measureGuests(scale as GuestScale, Number(rounds), say);
  const mix = measureMix(Number(rounds));
  const times = (values: readonly number[]): string => values.map((value) => value.toFixed(1)).join(', ');
  process.stdout.write(
    `${peerTable(rows)}\n\nThe integer mix: ${TIER0} ${times(mix.tier0)} ms, plain TypeScript interpreter ${times(mix.plain)} ms, ` +
      `ratio of the medians ${(median(mix.plain) / median(mix.tier0)).toFixed(2)}.\n`,
  );
}
