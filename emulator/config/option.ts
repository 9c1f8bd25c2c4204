/** The option table: the one home of every setting's key, type, default and documentation. */
import { choice, duration, flag, fraction, integer, text } from './value.ts';
import type { ValueType } from './value.ts';

export interface Option<T> {
  readonly type: ValueType<T>;
  readonly default: T;
  readonly doc: string;
}

function option<T>(type: ValueType<T>, initial: NoInfer<T>, doc: string): Option<T> {
  return { type, default: initial, doc };
}

const sampleCount = integer(1, 100_000);

/** Keyed by the dotted path a configuration file uses; every key here is acted upon by some command. */
export const OPTIONS = {
  'thresholds.regression': option(fraction, 0.1, 'slower by more than this share is a regression'),
  'thresholds.improvement': option(fraction, 0.05, 'faster by more than this share is an improvement'),
  'thresholds.critical': option(fraction, 0.2, 'slower by more than this share is a critical regression'),

  // Of 30 samples a single unusual one is more than 2 %, the limit of outliers; of 120 two are less.
  'harness.quick.samples': option(sampleCount, 120, 'samples of a benchmark in a quick run'),
  'harness.quick.warmup': option(duration, 150, 'warm-up of a benchmark in a quick run'),
  'harness.quick.time': option(duration, 600, 'measuring time of a benchmark in a quick run'),
  'harness.full.samples': option(sampleCount, 100, 'samples of a benchmark in a full run'),
  'harness.full.warmup': option(duration, 3000, 'warm-up of a benchmark in a full run'),
  'harness.full.time': option(duration, 10_000, 'measuring time of a benchmark in a full run'),
  'harness.gate.samples': option(sampleCount, 60, 'samples in one process of a paired run'),
  'harness.gate.warmup': option(duration, 200, 'warm-up in one process of a paired run'),
  'harness.gate.time': option(duration, 200, 'measuring time in one process of a paired run'),

  'harness.gate.tolerance': option(
    fraction,
    0.03,
    'a gate calls a timed row that is slower by more than this share a regression; thresholds of its own outrank it',
  ),
  'harness.gate.minimumPairs': option(integer(5, 1000), 6, 'process pairs of every row before it is judged'),
  'harness.gate.maximumPairs': option(
    integer(5, 1000),
    24,
    'process pairs after which an undecided row stays undecided',
  ),
  'harness.gate.parallel': option(
    integer(1, 64),
    2,
    'pairs that a gate measures at the same time, each on a CPU of its own; never more than there are CPUs',
  ),
  'harness.gate.budget': option(duration, 2_700_000, 'time after which a gate starts no further pairs'),
  'harness.gate.singleThreaded': option(
    flag,
    true,
    'take threads and chance out of the runtime of paired processes (between-process spread 8.8 % without, 1.7 % with) and time them by CPU time, both on one CPU at once; false is as in production, far noisier',
  ),
  'harness.pin': option(flag, true, 'pin measuring processes to one CPU when taskset is there'),
  'harness.timeout': option(
    duration,
    300_000,
    'time after which one benchmark process is stopped and counted as failed',
  ),
  'harness.store': option(
    choice('git', 'directory'),
    'git',
    'where results are kept: refs of this repository, or harness.directory',
  ),
  'harness.directory': option(text, '.dyno/results', 'directory of the directory store'),
} as const;

export type OptionKey = keyof typeof OPTIONS;
export type OptionValue<K extends OptionKey> = (typeof OPTIONS)[K] extends Option<infer T> ? T : never;

/** Variables with the prefix that are not options: set for a process, not merged. */
export const RESERVED_VARIABLES: ReadonlyMap<string, string> = new Map([
  ['DYNO_CHECK', 'assertion level: off, cheap or full'],
  ['DYNO_BOOTS', 'boots of Linux are measured and tested too: they take minutes'],
  ['DYNO_SEED', 'seed of property tests and random orders'],
  ['DYNO_DEBUG', '1 prints the stack of an error'],
  ['DYNO_DEBIAN_ARCHIVE', 'address of a Debian archive for the real inputs of tests, where apt has none'],
]);

/** Every key in the order of the table. */
export const OPTION_KEYS = Object.keys(OPTIONS) as readonly OptionKey[];

export function isOptionKey(key: string): key is OptionKey {
  return Object.hasOwn(OPTIONS, key);
}

/** The variable that sets an option: `harness.quick.samples` is `DYNO_HARNESS_QUICK_SAMPLES`. */
export function variableOf(key: OptionKey): string {
  return `DYNO_${key
    .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
    .replaceAll('.', '_')
    .toUpperCase()}`;
}
