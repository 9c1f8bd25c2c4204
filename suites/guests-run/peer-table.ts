import type { GuestKind } from '../guests/guests.ts';

/** Times of one guest in ms by peer name, one of each round; nothing under the name of a peer that is absent. */
export interface PeerRow {
  readonly guest: string;
  readonly kind: GuestKind;
  readonly millionInstructions: number;
  readonly times: Readonly<Record<string, readonly number[]>>;
  /** Processor time of all threads, where it is known. */
  readonly cpuTimes: Readonly<Record<string, readonly number[]>>;
  /** Of the evaluator at the smallest scale, where it was asked for: at the others it would take hours. */
  readonly evaluatorMips?: number;
}

/** What the last columns are ratios of: the tier that users get, and what it is held to. */
const SUBJECT = 'auto';
/** The same with what earlier processes have translated. */
export const WARM = 'warm';
const QEMU = 'qemu-riscv64';
const CEILING = 'wasm32';

/** NaN for no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/**
 * Medians in ms with the half-range of the rounds in percent; processor time and MIPS of `auto`; how many times faster than QEMU it is, and how
 * many times as long as WebAssembly it takes; the first also for warm runs where there are any. At the bottom geometric means: each peer's time over the first one's, and the ratios, over all
 * guests and over those with floating point.
 */
export function peerTable(rows: readonly PeerRow[]): string {
  const names = [...new Set(rows.flatMap(({ times }) => Object.keys(times)))];
  const first = names[0]!;
  const time = ({ times }: PeerRow, name: string) => median(times[name] ?? []);
  const faster = (row: PeerRow) => time(row, QEMU) / time(row, SUBJECT);
  const warmFaster = (row: PeerRow) => time(row, QEMU) / time(row, WARM);
  const withWarm = names.includes(WARM);
  const warm = (value: () => number) => (withWarm ? [number(value(), 2)] : []);
  const longer = (row: PeerRow) => time(row, SUBJECT) / time(row, CEILING);
  const mips = (row: PeerRow) => (1000 * row.millionInstructions) / time(row, SUBJECT);
  const withEvaluator = rows.some(({ evaluatorMips }) => evaluatorMips !== undefined);
  const evaluator = (mipsOf: number | undefined) => (withEvaluator ? [number(mipsOf ?? NaN, 3)] : []);
  const header = [
    'guest',
    'M instructions',
    ...(withEvaluator ? ['evaluator, MIPS'] : []),
    ...names.map((name) => `${name}, ms`),
    `${SUBJECT}, CPU ms`,
    `${SUBJECT}, MIPS`,
    `speed over ${QEMU}`,
    `time over ${CEILING}`,
    ...(withWarm ? [`${WARM}: speed over ${QEMU}`] : []),
  ];
  const lines = rows.map((row) => [
    row.guest,
    row.millionInstructions.toFixed(1),
    ...evaluator(row.evaluatorMips),
    ...names.map((name) => cell(row.times[name])),
    number(median(row.cpuTimes[SUBJECT] ?? []), 0),
    number(mips(row), 0),
    number(faster(row), 2),
    number(longer(row), 2),
    ...warm(() => warmFaster(row)),
  ]);
  const means = (what: string, among: readonly PeerRow[]): string[] => {
    const mean = (value: (row: PeerRow) => number) =>
      geometricMean(among.map(value).filter((each) => !Number.isNaN(each)));
    const relative = (name: string) =>
      number(
        mean((row) => time(row, name) / time(row, first)),
        3,
      );
    return [
      what,
      '',
      ...evaluator(mean(({ evaluatorMips }) => evaluatorMips ?? NaN)),
      ...names.map(relative),
      '',
      number(mean(mips), 0),
      number(mean(faster), 2),
      number(mean(longer), 2),
      ...warm(() => mean(warmFaster)),
    ];
  };
  const bottom = [means(`geometric mean (times over ${first}'s)`, rows)];
  const float = rows.filter(({ kind }) => kind === 'float');
  if (float.length > 0) bottom.push(means('floating point only', float));
  const align = header.map((_, index) => (index === 0 ? '---' : '---:'));
  return [header, align, ...lines, ...bottom].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function number(value: number, digits: number): string {
  return Number.isNaN(value) ? '–' : value.toFixed(digits);
}

function cell(times: readonly number[] | undefined): string {
  if (times === undefined || times.length === 0) return '–';
  const spread = (100 * (Math.max(...times) - Math.min(...times))) / 2 / median(times);
  return `${median(times).toPrecision(3)} ±${spread.toFixed(0)} %`;
}
