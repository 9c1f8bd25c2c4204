/**
 * `npm run coverage [ROOM…]`: runs the unit tests under the runtime's own coverage and prints what share of lines, functions and
 * branches each room's tests reach. A room is a folder of the house, such as `emulator/isa`. Slow (coverage switches V8's
 * optimisations off in part), so no step of `npm test`.
 *
 * Exit code 1 when the whole falls below the goal of REQUIREMENTS E12, or a test fails.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ROOT } from './check/source.ts';

/** Share of lines. */
const GOAL = 0.85;

interface Share {
  reached: number;
  all: number;
}

export interface Coverage {
  readonly lines: Share;
  readonly functions: Share;
  readonly branches: Share;
}

/** Sums the records of an LCOV trace by room: the first two parts of a path. Tests and benchmarks are not what is covered. */
export function coverageByRoom(lcov: string, root: string): Map<string, Coverage> {
  const rooms = new Map<string, Coverage>();
  for (const record of lcov.split('end_of_record')) {
    const file = /^SF:(.*)$/m.exec(record)?.[1];
    if (file === undefined) continue;
    const path = file.startsWith('/') ? relative(root, file) : file;
    if (path.startsWith('..') || /\.(?:test|bench|stress)\.ts$/.test(path) || path.includes('node_modules')) continue;
    const room = roomOf(path);
    const none = (): Share => ({ reached: 0, all: 0 });
    const coverage = rooms.get(room) ?? { lines: none(), functions: none(), branches: none() };
    rooms.set(room, coverage);
    for (const [share, found, hit] of [
      [coverage.lines, 'LF', 'LH'],
      [coverage.functions, 'FNF', 'FNH'],
      [coverage.branches, 'BRF', 'BRH'],
    ] as const) {
      share.all += Number(new RegExp(`^${found}:([0-9]+)$`, 'm').exec(record)?.[1] ?? 0);
      share.reached += Number(new RegExp(`^${hit}:([0-9]+)$`, 'm').exec(record)?.[1] ?? 0);
    }
  }
  return new Map([...rooms].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function roomOf(path: string): string {
  const parts = path.split('/');
  return parts.length > 2 ? parts.slice(0, 2).join('/') : parts[0]!;
}

/** A Markdown table, the whole in its last row. */
export function coverageTable(rooms: ReadonlyMap<string, Coverage>): string {
  const percent = ({ reached, all }: Share): string => (all === 0 ? '–' : `${((100 * reached) / all).toFixed(1)} %`);
  const row = (name: string, { lines, functions, branches }: Coverage): string =>
    `| ${name} | ${lines.all} | ${percent(lines)} | ${percent(functions)} | ${percent(branches)} |`;
  return [
    '| room | lines | reached | functions | branches |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...[...rooms].map(([name, coverage]) => row(name, coverage)),
    row('**all**', wholeOf(rooms)),
    '',
  ].join('\n');
}

export function wholeOf(rooms: ReadonlyMap<string, Coverage>): Coverage {
  const sum = (pick: (coverage: Coverage) => Share): Share => ({
    reached: [...rooms.values()].reduce((total, coverage) => total + pick(coverage).reached, 0),
    all: [...rooms.values()].reduce((total, coverage) => total + pick(coverage).all, 0),
  });
  return { lines: sum(({ lines }) => lines), functions: sum((c) => c.functions), branches: sum((c) => c.branches) };
}

async function main(wanted: readonly string[]): Promise<number> {
  const unknown = wanted.find((room) => !existsSync(join(ROOT, room)));
  if (unknown !== undefined) {
    process.stderr.write(`coverage: there is no ${unknown}; name folders such as emulator/isa\n`);
    return 2;
  }
  const rooms = wanted.length === 0 ? ['emulator', 'suites', 'reports', 'scripts'] : wanted;
  const folder = await mkdtemp(join(tmpdir(), 'dyno-coverage-'));
  try {
    const trace = join(folder, 'lcov.info');
    const code = await runTests(
      rooms.map((room) => `${room}/**/*.test.ts`),
      trace,
    );
    const covered = coverageByRoom(await readFile(trace, 'utf8'), ROOT);
    // What the tests of one room reach in others says nothing of those.
    const shown = new Map(
      [...covered].filter(([room]) =>
        rooms.some((each) => `${room}/`.startsWith(`${each}/`) || each.startsWith(`${room}/`)),
      ),
    );
    process.stdout.write(coverageTable(shown));
    const { lines } = wholeOf(shown);
    if (code !== 0) process.stderr.write('coverage: tests failed; run npm test\n');
    const reached = lines.reached >= GOAL * lines.all;
    if (!reached) process.stderr.write(`coverage: below the goal of ${GOAL * 100} %\n`);
    return code === 0 && reached ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function runTests(globs: readonly string[], trace: string): Promise<number> {
  const argv = [
    '--test',
    '--experimental-test-coverage',
    `--test-concurrency=${Math.max(1, Math.min(4, availableParallelism()))}`,
    '--test-reporter=lcov',
    `--test-reporter-destination=${trace}`,
    '--test-reporter=dot',
    '--test-reporter-destination=stderr',
    ...globs,
  ];
  return new Promise((resolve, reject) => {
    const environment = { ...process.env, DYNO_CHECK: process.env['DYNO_CHECK'] ?? 'full' };
    const child = spawn(process.execPath, argv, {
      cwd: ROOT,
      env: environment,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
