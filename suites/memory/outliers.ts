/**
 * `node suites/memory/outliers.ts [samples]`: whether the outliers of `memory/mmu` are the MMU's or the machine's. Samples of 5 ms of accesses by the MMU and of
 * loops without any emulator are taken by turns, so that whatever else runs meets all of them alike; as in a quick run, 120 samples of a kind make a row.
 */
import { loadavg } from 'node:os';
import { do_not_optimize as keep } from 'mitata';
import { summarize } from '../../reports/statistics/summary.ts';
import { qualityFlags } from '../../reports/statistics/quality.ts';
import { stolenTicks } from '../harness/conditions.ts';
import { accessLoad, CONTROLS, type Load, READS, WRITES } from './mmu-load.ts';

const ROW = 120;
/** Milliseconds. */
const SAMPLE = 5;
const WARM_UP = 500;

interface Subject {
  readonly name: string;
  readonly load: Load;
  readonly calls: number;
  readonly wall: number[];
  readonly cpu: number[];
}

function call(load: Load, calls: number): void {
  for (let i = 0; i < calls; i++) keep(load());
}

function subject(name: string, load: Load): Subject {
  const start = performance.now();
  while (performance.now() - start < WARM_UP) call(load, 10);
  let best = Infinity;
  for (let round = 0; round < 20; round++) {
    const begin = performance.now();
    call(load, 20);
    best = Math.min(best, (performance.now() - begin) / 20);
  }
  return { name, load, calls: Math.ceil(SAMPLE / best), wall: [], cpu: [] };
}

function sample({ load, calls, wall, cpu }: Subject): void {
  const used = process.cpuUsage();
  const begin = performance.now();
  call(load, calls);
  wall.push(performance.now() - begin);
  const { user, system } = process.cpuUsage(used);
  cpu.push((user + system) / 1e3);
}

/** Flagged rows of all, the share of outliers in them, and the 95th and 99th percentile as multiples of the median. */
function describe(samples: readonly number[]): string {
  const rows = Array.from({ length: samples.length / ROW }, (_, row) =>
    summarize(samples.slice(row * ROW, (row + 1) * ROW))!,
  );
  const flagged = rows.filter((row) => qualityFlags(row).some(({ name, met }) => name === 'outliers' && !met)).length;
  const outliers = rows.reduce((sum, row) => sum + row.outliers.count, 0);
  const { median, p95, p99 } = summarize(samples)!;
  const share = ((100 * outliers) / samples.length).toFixed(1);
  return `${flagged} of ${rows.length} | ${share} % | ${(p95 / median).toFixed(2)} | ${(p99 / median).toFixed(2)}`;
}

const asked = Number(process.argv[2] ?? 1200);
if (!(asked > 0 && asked <= 1e6)) {
  console.error(`outliers: ${process.argv[2]} is no number of samples; give one from 1 to 1000000`);
  process.exit(2);
}
const samples = Math.max(1, Math.round(asked / ROW)) * ROW;
const subjects = [
  subject('MMU, read 8 bytes, aligned', accessLoad(READS[8]!, 8, 'aligned')),
  subject('MMU, read 8 bytes, misaligned', accessLoad(READS[8]!, 8, 'misaligned')),
  subject('MMU, write 16 bytes, misaligned', accessLoad(WRITES[16]!, 16, 'misaligned')),
  ...Object.entries(CONTROLS).map(([name, make]) => subject(`no MMU: ${name}`, make())),
];
const stolen = stolenTicks();
for (let round = 0; round < samples; round++) for (const each of subjects) sample(each);
console.log(
  `${samples} samples of each; load ${loadavg()[0]!.toFixed(1)}, ${(stolenTicks() ?? 0) - (stolen ?? 0)} ticks stolen`,
);
console.log('| loop | clock | rows flagged | outliers | p95 | p99 |\n| --- | --- | ---: | ---: | ---: | ---: |');
for (const { name, wall, cpu } of subjects) {
  console.log(`| ${name} | wall | ${describe(wall)} |`);
  console.log(`| | CPU | ${describe(cpu)} |`);
}
