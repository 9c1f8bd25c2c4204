import { randomInt } from 'node:crypto';
import { Command } from 'commander';
import { ConfigError } from '../../emulator/check/errors.ts';
import type { Settings } from '../../emulator/config/settings.ts';
import type { ComparedRun, Comparison } from '../../reports/verdict.ts';
import { runPaired } from '../../suites/harness/paired.ts';
import type { PairedRow, Side } from '../../suites/harness/paired.ts';
import { formatDuration, Progress } from '../../suites/harness/progress.ts';
import { listBenchmarks } from '../../suites/harness/runner.ts';
import { samplingFor } from '../../suites/harness/sampling.ts';
import { selectBenchmarks } from '../../suites/harness/select.ts';
import { usableCpus } from '../../suites/harness/trial-process.ts';
import { EXIT, Interrupted } from '../exit.ts';
import { judgeOutcome } from '../judge.ts';
import { note } from '../output.ts';
import { deliverComparison, withComparisonFlags } from '../render.ts';
import type { ComparisonFlags } from '../render.ts';
import { Repository } from '../repository.ts';
import { openSession, placeOf, withSessionFlags } from '../session.ts';
import type { Session, SessionFlags } from '../session.ts';
import { openWorktree } from '../worktree.ts';
import type { Worktree } from '../worktree.ts';

const EXAMPLES = `
Base and head are measured side by side: fresh processes in pairs, both on one CPU at the same time and timed by their
CPU time, each in a checkout of its own. Exact counters are compared exactly.

Exit codes: 0 pass, 1 regression, 2 error, 3 could not tell, 4 nothing compared.

Examples:
  dyno gate --base main                        the working tree against main
  dyno gate --base HEAD~1 --head HEAD isa/riscv
  dyno gate --base origin/main --budget 5m --json gate.json --markdown gate.md`;

interface Flags extends SessionFlags, ComparisonFlags {
  readonly base: string;
  readonly head?: string;
  readonly budget?: string;
  readonly pairs?: string;
  readonly countersOnly?: boolean;
  readonly defaultFlags?: boolean;
  readonly seed?: string;
}

export function command(): Command {
  return withComparisonFlags(withSessionFlags(new Command('gate')))
    .description('Judge a change by running base and head side by side.')
    .argument('[filter...]', 'which benchmarks (see dyno list --help)')
    .requiredOption('--base <ref>', 'the commit to compare with')
    .option('--head <ref>', 'the commit to judge (default: the working tree)')
    .option('--budget <time>', 'start no further pairs after this long (default: harness.gate.budget)')
    .option('--pairs <n>', 'process pairs a row before it is judged (default: harness.gate.minimumPairs)')
    .option('--counters-only', 'compare the exact counters only')
    .option('--default-flags', 'threads as in production, wall time, one process after the other: far noisier')
    .option('--seed <n>', 'seed of the random order')
    .addHelpText('after', EXAMPLES)
    .action(async (filters: string[], flags: Flags) => {
      process.exitCode = await gate(filters, flags);
    });
}

async function gate(filters: readonly string[], flags: Flags): Promise<number> {
  const session = await openSession(flags, {
    'harness.gate.budget': flags.budget,
    'harness.gate.minimumPairs': flags.pairs,
    ...(flags.defaultFlags === true ? { 'harness.gate.singleThreaded': false } : {}),
  });
  const seed = flags.seed === undefined ? randomInt(2 ** 31) : parseSeed(flags.seed);
  const repository = await Repository.require(session.directory);
  const baseCommit = await repository.requireCommit(flags.base);
  const headCommit = flags.head === undefined ? undefined : await repository.requireCommit(flags.head);
  const worktrees: Worktree[] = [];
  try {
    const base = await openWorktree(repository, baseCommit, session.signal);
    worktrees.push(base);
    if (!base.measurable) {
      note(`nothing compared: ${flags.base} (${baseCommit.slice(0, 10)}) has no harness or no suites`);
      return EXIT.nothingCompared;
    }
    let headDirectory = session.directory;
    if (headCommit !== undefined) {
      const head = await openWorktree(repository, headCommit, session.signal);
      worktrees.push(head);
      if (!head.measurable) throw new ConfigError(`${flags.head} has no harness or no suites`, { where: '--head' });
      headDirectory = head.directory;
    }
    const runs = {
      base: runOf(flags.base, baseCommit, false),
      head:
        headCommit === undefined
          ? runOf('working tree', (await repository.head()) ?? null, await repository.isDirty())
          : runOf(flags.head!, headCommit, false),
    };
    const directories = { base: base.directory, head: headDirectory, compiled: base.scratch };
    const comparison = await compareSides(session, directories, runs, {
      filters,
      flags,
      seed,
    });
    await deliverComparison(comparison, flags);
    return comparison.exitCode;
  } finally {
    for (const worktree of worktrees) await worktree.dispose();
  }
}

interface Directories {
  readonly base: string;
  readonly head: string;
  /** Where measuring processes keep compiled modules while the gate lasts. */
  readonly compiled: string;
}

/**
 * Flags that make processes of one body alike. Concurrent recompilation and incremental marking (whose write barriers and
 * steps slow an allocating body by 1.6 for half of its samples) fall at other moments in every process; heaps grow by how
 * long earlier collections took. Figures: suites/harness/README.md.
 */
const STEADY_FLAGS = ['--single-threaded', '--no-incremental-marking', '--predictable-gc-schedule'] as const;

/** Hash tables and heap addresses are laid out alike in both processes of a pair, and otherwise in each pair. */
const seedFlags = (seed: number): string[] => [`--hash-seed=${seed}`, `--random-seed=${seed}`];

async function compareSides(
  session: Session,
  directories: Directories,
  runs: { readonly base: ComparedRun; readonly head: ComparedRun },
  { filters, flags, seed }: { filters: readonly string[]; flags: Flags; seed: number },
): Promise<Comparison> {
  const { settings } = session;
  const steady = settings.get('harness.gate.singleThreaded');
  const runtimeFlags = steady ? STEADY_FLAGS : [];
  const open = async (directory: string): Promise<Side> => {
    const place = { ...placeOf(session, runtimeFlags, directory), compiled: directories.compiled };
    const root = `${directory}/suites`;
    const benches = await listBenchmarks(place, root);
    // What counts nothing has nothing to say when only counters are compared.
    return { place, root, benches: flags.countersOnly === true ? benches.filter(({ counts }) => counts) : benches };
  };
  const base = await open(directories.base);
  const whole = await open(directories.head);
  const head = { ...whole, benches: selectBenchmarks(whole.benches, filters) };
  // A benchmark the head no longer has is only news when no filter narrowed the head.
  const wanted = new Set(head.benches.flatMap(({ id, aliases }) => [id, ...aliases]));
  const narrowed = filters.length === 0 ? base : { ...base, benches: base.benches.filter(({ id }) => wanted.has(id)) };
  const minimum = settings.get('harness.gate.minimumPairs');
  const maximum = Math.max(minimum, settings.get('harness.gate.maximumPairs'));
  note(
    `seed ${seed}; ${head.benches.length} benchmarks, ${minimum} to ${maximum} pairs, ${runtimeFlags.join(' ') || 'default runtime flags'}`,
  );
  const started = Date.now();
  const outcome = await runPaired(narrowed, head, {
    sampling: samplingFor('gate', settings),
    seed,
    cpus: cpusOf(settings, steady),
    ...(steady ? { seedFlags } : {}),
    looks: [...new Set([minimum, Math.min(2 * minimum, maximum), maximum])],
    decided: (row) =>
      isDecided(row, minimum, judgeOutcome({ rows: [row], added: [], removed: [] }, settings, runs.base, runs.head)),
    budget: settings.get('harness.gate.budget'),
    countersOnly: flags.countersOnly ?? false,
    progress: (total) => new Progress(process.stderr, total),
  });
  if (outcome.interrupted) throw new Interrupted('stopped; nothing was judged or stored');
  const comparison = judgeOutcome(outcome, settings, runs.base, runs.head);
  const pairs = outcome.rows.reduce((sum, row) => sum + row.head.length, 0);
  const notes = [
    ...comparison.notes,
    `seed ${seed}, ${pairs} pairs in ${formatDuration(Date.now() - started)}`,
    ...(outcome.outOfTime ? ['the time budget ended before every undecided row had its pairs'] : []),
  ];
  return { ...comparison, notes };
}

/** Where pairs run: one after the other when not pinned, or when wall time is what counts. */
function cpusOf(settings: Settings, steady: boolean): readonly (number | undefined)[] {
  if (!settings.get('harness.pin')) return [undefined];
  const usable = usableCpus().toReversed();
  return usable.length === 0 ? [undefined] : usable.slice(0, steady ? settings.get('harness.gate.parallel') : 1);
}

/**
 * A pass at the first look is final. A red is looked at again with twice the pairs: identical code looks worse with 6 pairs
 * once in 64 rows, and hardly ever at both looks, while a true regression stays.
 */
function isDecided(row: PairedRow, minimum: number, { counts }: Comparison): boolean {
  if (counts.inconclusive > 0) return false;
  return counts.regression + counts.critical === 0 || row.head.length > minimum;
}

function runOf(label: string, commit: string | null, dirty: boolean): ComparedRun {
  return { label, commit, dirty, startedAt: new Date().toISOString() };
}

function parseSeed(text: string): number {
  const seed = Number(text);
  if (Number.isSafeInteger(seed) && seed >= 0 && seed < 2 ** 32) return seed;
  throw new ConfigError(`'${text}' is not a seed`, { where: '--seed', mend: 'a whole number below 2^32' });
}
