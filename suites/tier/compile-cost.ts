/**
 * What translating a region costs, with the passes and without, our own work and V8's apart: `node suites/tier/compile-cost.ts [ROUNDS]` prints a
 * table of means of processor time, for the kernel counts a thread's in ticks of some milliseconds: a median of samples as short as these would
 * be a multiple of one, or zero. Kinds take turns, so that what the machine does meanwhile falls on all.
 */
import { discover, emit, marked, prepare } from './region-making.ts';

const SIZES = [60, 400, 1500];
/** Regions of a turn. */
const BATCH: Readonly<Record<number, number>> = { 60: 32, 400: 8, 1500: 2 };

/** Microseconds of processor time of this thread that `count` calls take. */
function cost(count: number, work: () => unknown): number {
  const before = process.threadCpuUsage();
  for (let call = 0; call < count; call++) work();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}

function measure(size: number, rounds: number): readonly number[] {
  const prepared = prepare(size);
  const instructions = emit(discover(prepared, true)).counters.instructions;
  const module = (passes: boolean) => marked(emit(discover(prepared, passes)).bytes);
  const [optimized, baseline] = [module(true), module(false)];
  const kinds = [
    () => emit(discover(prepared, true)),
    () => emit(discover(prepared, false)),
    () => new WebAssembly.Module(optimized()),
    () => new WebAssembly.Module(baseline()),
  ];
  const totals = kinds.map(() => 0);
  // Half as many rounds first, for V8 to compile the translator.
  for (let round = -Math.ceil(rounds / 2); round < rounds; round++) {
    for (const [kind, work] of kinds.entries()) {
      const spent = cost(BATCH[size]!, work);
      if (round >= 0) totals[kind]! += spent;
    }
  }
  return [instructions, ...totals.map((total) => total / (rounds * BATCH[size]!))];
}

function main(rounds: number): void {
  if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('give a count of rounds from 1 up');
  const header = ['instructions', 'optimised, µs', 'baseline, µs', 'ratio', "V8's part, µs", 'without passes, µs'];
  const lines = [header, header.map(() => '---:')];
  for (const size of SIZES) {
    const [instructions, optimized, baseline, engine, engineBaseline] = measure(size, rounds) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const each = (time: number) => `${time.toFixed(0)} (${(time / instructions).toFixed(2)} each)`;
    const ratio = (optimized / baseline).toFixed(2);
    lines.push([String(instructions), each(optimized), each(baseline), ratio, each(engine), each(engineBaseline)]);
  }
  process.stdout.write(`${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`);
}

if (import.meta.main) main(Number(process.argv[2] ?? 41));
