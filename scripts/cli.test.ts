/** The command line from outside: exit codes, one line on standard error, nothing on standard output that was not asked for. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ResultDocument } from '../reports/schema.ts';

const CHECKOUT = join(import.meta.dirname, '..');
const CLI = join(import.meta.dirname, 'cli.ts');

const SUITE = `import { defineBench } from '../harness/define-bench.ts';
import { count, spin } from '../subject.ts';
const facts = { kind: 'time', direction: 'lower', engine: 'mitata', unit: 'µs' } as const;
defineBench({ ...facts, id: 'toy/loop/spin', title: 'spin', work: spin, counters: () => ({ rounds: count() }) });
defineBench({ ...facts, id: 'toy/loop/other', title: 'other', work: () => Math.sqrt(2) });
`;
const SUBJECT = `const ROUNDS = 20_000;
export const count = (): number => ROUNDS;
export function spin(): number {
  let sum = 0;
  for (let i = 0; i < ROUNDS; i++) sum = (sum * 31 + i) | 0;
  return sum;
}
`;

interface Answer {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let scratch: string;
/** A small git project with its own copy of the harness and one suite. */
let project: string;

before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'dyno-cli-'));
  project = makeProject('project');
});
after(() => rmSync(scratch, { recursive: true }));

function makeProject(name: string): string {
  const directory = join(scratch, name);
  mkdirSync(join(directory, 'suites', 'toy'), { recursive: true });
  for (const part of ['emulator/check', 'emulator/config', 'suites/harness', 'scripts/trial.ts', 'package.json']) {
    cpSync(join(CHECKOUT, part), join(directory, part), { recursive: true });
  }
  writeFileSync(join(directory, 'suites', 'toy', 'loop.bench.ts'), SUITE);
  writeFileSync(join(directory, 'suites', 'subject.ts'), SUBJECT);
  writeFileSync(join(directory, 'package-lock.json'), '{}');
  writeFileSync(join(directory, '.gitignore'), 'node_modules\n.dyno\n');
  symlinkSync(join(CHECKOUT, 'node_modules'), join(directory, 'node_modules'));
  git(directory, 'init', '--quiet', '--initial-branch=main');
  commit(directory, 'first');
  return directory;
}

function git(directory: string, ...argv: string[]): string {
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org', '-c', 'commit.gpgsign=false'];
  const answer = spawnSync('git', [...identity, ...argv], { cwd: directory, encoding: 'utf8' });
  assert.equal(answer.status, 0, answer.stderr);
  return answer.stdout.trim();
}

function commit(directory: string, message: string): string {
  git(directory, 'add', '--all');
  git(directory, 'commit', '--quiet', '--message', message);
  return git(directory, 'rev-parse', 'HEAD');
}

/** Short samples; the machine's own settings must not leak in. */
const QUICK = {
  DYNO_HARNESS_QUICK_SAMPLES: '5',
  DYNO_HARNESS_QUICK_WARMUP: '5ms',
  DYNO_HARNESS_QUICK_TIME: '10ms',
  DYNO_HARNESS_GATE_SAMPLES: '30',
  DYNO_HARNESS_GATE_WARMUP: '60ms',
  DYNO_HARNESS_GATE_TIME: '60ms',
  GITHUB_ACTIONS: '',
  GITHUB_STEP_SUMMARY: '',
  NO_COLOR: '1',
};

function dyno(argv: readonly string[], environment: Record<string, string> = {}): Answer {
  const answer = spawnSync(process.execPath, [CLI, ...argv], {
    cwd: scratch,
    encoding: 'utf8',
    env: { ...process.env, ...QUICK, ...environment },
  });
  return { code: answer.status, out: answer.stdout, err: answer.stderr };
}

const inProject = (command: string, ...argv: string[]): Answer => dyno([command, '-C', project, ...argv]);

test('usage and environment errors: exit code 2 and one line that says what to do', () => {
  const cases: [argv: string[], line: RegExp, environment?: Record<string, string>][] = [
    [['rnu'], /unknown command 'rnu' \(Did you mean run\?\)/],
    [['run', '--quik'], /unknown option '--quik' \(Did you mean --quick\?\)/],
    [['run', '--quick', '--full'], /quick and full exclude each other/],
    [['run', '-C', 'PROJECT', 'toy/lop'], /no benchmark matches 'toy\/lop'; did you mean 'toy\/loop'\?/],
    [['run', '-C', 'PROJECT', '--shard', '3/2'], /--shard: '3\/2' is not a shard/],
    [['run', '-C', 'PROJECT', '--shard', '9/9'], /this shard has no benchmarks/],
    [['run', '-C', 'PROJECT', '--no-store', '--save-baseline', 'x'], /--save-baseline: needs a stored result/],
    [['run', '-C', 'PROJECT', '--baseline', 'absent'], /'absent' is neither a file, a baseline, a commit nor a result/],
    [['run', '-C', '/no/such/place'], /\/no\/such\/place: no such directory/],
    [['run', '-C', 'PLAIN'], /plain: is no checkout of this project: it has no scripts\/trial\.ts; name one with -C/],
    [
      ['run', '--set', 'harness.quick.sample=3'],
      /unknown option 'harness\.quick\.sample'; did you mean 'harness\.quick\.samples'\?/,
    ],
    [['run'], /DYNO_TRESHOLDS_REGRESSION: unknown setting/, { DYNO_TRESHOLDS_REGRESSION: '1' }],
    [['compare', '-C', 'PROJECT', 'HEAD'], /missing required argument 'head'/],
    [['compare', '-C', 'PROJECT', 'HEAD', 'HEAD'], /HEAD: no result is stored for commit [0-9a-f]{10}; measure it/],
    [['compare', '-C', 'PROJECT', 'absent.json', 'HEAD'], /absent\.json: cannot be read/],
    [['compare', '-C', 'PROJECT', 'broken.json', 'HEAD'], /broken\.json/],
    [['compare', '-C', 'PROJECT', 'future.json', 'HEAD'], /future\.json: schema 99 is newer than/],
    [['gate'], /required option '--base <ref>'/],
    [['gate', '-C', 'PROJECT', '--base', 'nowhere'], /'nowhere' is not a commit here/],
    [['gate', '-C', 'PROJECT', '--base', '--all'], /'--all' is not a commit here|argument missing/],
    [['gate', '-C', 'PLAIN', '--base', 'HEAD'], /plain: not a git repository/],
    [['gate', '-C', 'PROJECT', '--base', 'HEAD', '--seed', '-1'], /--seed: '-1' is not a seed/],
    [['baseline', 'prune', '-C', 'PROJECT', '--keep', '0'], /--keep: '0' is not a count/],
    [['baseline', 'import', '-C', 'PROJECT', 'broken.json'], /broken\.json/],
    [['merge', '-C', 'PROJECT', 'absent.json'], /absent\.json: cannot be read/],
    [['config', '--config', 'absent.config.json'], /absent\.config\.json: cannot be read/],
  ];
  const plain = join(scratch, 'plain');
  mkdirSync(plain);
  writeFileSync(join(scratch, 'broken.json'), '{ "schema": 1, ');
  writeFileSync(join(scratch, 'future.json'), '{ "schema": 99, "later": true }');
  for (const [argv, line, environment] of cases) {
    const answer = dyno(
      argv.map((word) => (word === 'PROJECT' ? project : word === 'PLAIN' ? plain : word)),
      environment,
    );
    const shown = argv.join(' ');
    assert.equal(answer.code, 2, `${shown}: ${answer.err}`);
    assert.match(answer.err, line, shown);
    assert.equal(answer.err.trimEnd().split('\n').length, 1, `${shown} said:\n${answer.err}`);
    assert.doesNotMatch(answer.err, /^ {4}at /m, shown);
    assert.equal(answer.out, '', shown);
  }
});

test('--version and --help succeed; every command has examples', () => {
  assert.match(dyno(['--version']).out, /^\d+\.\d+\.\d+\n$/);
  const overview = dyno(['--help']);
  assert.equal(overview.code, 0);
  const names = [...overview.out.matchAll(/^ {2}([a-z]+) {2,}/gm)].map((match) => match[1]!);
  for (const name of ['run', 'compare', 'gate', 'baseline', 'list', 'report', 'doctor', 'config', 'bench', 'merge']) {
    assert.ok(names.includes(name), name);
    const help = dyno([name, '--help']);
    assert.equal(help.code, 0, name);
    assert.match(help.out, /Examples:/, name);
  }
});

test('run stores first, and compare, report and baseline find it by name, commit, id and file', () => {
  const json = join(scratch, 'first.json');
  const first = inProject('run', '--save-baseline', 'first', '--json', json);
  assert.equal(first.code, 0, first.err);
  const document = JSON.parse(readFileSync(json, 'utf8')) as ResultDocument;
  assert.equal(document.commit, git(project, 'rev-parse', 'HEAD'));
  assert.equal(document.dirty, false);
  assert.deepEqual(
    document.results.map(({ id, samples, counters }) => [id, samples.length, counters]),
    [
      ['toy/loop/spin', 5, { rounds: 20_000 }],
      ['toy/loop/other', 5, {}],
    ],
  );
  const entries = JSON.parse(dyno(['baseline', 'list', '-C', project, '--json', '-']).out) as {
    id: string;
    names: string[];
  }[];
  assert.deepEqual(
    entries.map(({ names }) => names),
    [['first']],
  );
  for (const name of ['first', 'HEAD', entries[0]!.id.slice(0, 12), json]) {
    const same = inProject('compare', 'first', name, '--json', '-');
    assert.ok([0, 3].includes(same.code!), `${name}: ${same.code} ${same.err}`);
    const rows = (JSON.parse(same.out) as { rows: { counter?: string; verdict: string }[] }).rows;
    assert.equal(rows.find(({ counter }) => counter === 'rounds')!.verdict, 'no-change');
  }
  assert.match(inProject('report', 'first', '--csv', '-').out, /toy\/loop\/spin/);
  assert.match(inProject('report', 'first', '--markdown', '-').out, /toy\/loop\/spin/);
  assert.equal(dyno(['baseline', 'verify', '-C', project]).code, 0);
  const copy = join(scratch, 'copy.json');
  assert.equal(dyno(['baseline', 'export', '-C', project, 'first', copy]).code, 0);
  assert.equal(readFileSync(copy, 'utf8'), readFileSync(json, 'utf8'));
});

test('a changed counter is a regression of compare: exit code 1', () => {
  const directory = makeProject('counters');
  const run = (name: string): Answer => dyno(['run', '-C', directory, '--counters-only', '--save-baseline', name]);
  assert.equal(run('before').code, 0);
  writeFileSync(join(directory, 'suites', 'subject.ts'), SUBJECT.replace('20_000', '20_001'));
  const after = run('after');
  assert.equal(after.code, 0, after.err);
  const worse = dyno(['compare', '-C', directory, 'before', 'after']);
  assert.equal(worse.code, 1, worse.out);
  assert.equal(dyno(['compare', '-C', directory, 'after', 'before']).code, 0);
  // What counts nothing is not in these runs, so a filter that names it names nothing.
  assert.equal(dyno(['compare', '-C', directory, 'before', 'after', 'toy/loop/other']).code, 2);
  const entries = JSON.parse(dyno(['baseline', 'list', '-C', directory, '--json', '-']).out) as { dirty: boolean }[];
  assert.deepEqual(
    entries.map(({ dirty }) => dirty),
    [false, true],
    'an uncommitted change marks the result',
  );
});

test('gate: equal counters pass, one more round fails, a base without harness compares nothing', () => {
  const directory = makeProject('gate');
  const gate = (...argv: string[]): Answer =>
    dyno(['gate', '-C', directory, '--counters-only', '--base', 'HEAD', ...argv]);
  const same = gate('toy/loop/spin');
  assert.equal(same.code, 0, same.out + same.err);
  writeFileSync(join(directory, 'suites', 'subject.ts'), SUBJECT.replace('20_000', '20_001'));
  const json = join(scratch, 'gate.json');
  const worse = gate('--json', json, '--markdown', join(scratch, 'gate.md'));
  assert.equal(worse.code, 1, worse.out + worse.err);
  const rows = (JSON.parse(readFileSync(json, 'utf8')) as { rows: { id: string; counter?: string; verdict: string }[] })
    .rows;
  assert.equal(rows.find(({ counter }) => counter === 'rounds')!.verdict, 'regression');
  const worseCommit = commit(directory, 'worse');
  const committed = dyno([
    'gate',
    '-C',
    directory,
    '--counters-only',
    '--base',
    'HEAD~1',
    '--head',
    worseCommit,
    'toy/loop/spin',
  ]);
  assert.equal(committed.code, 1, committed.out + committed.err);
  git(directory, 'checkout', '--quiet', '--orphan', 'bare');
  git(directory, 'rm', '-r', '--quiet', '--cached', '.');
  git(directory, 'commit', '--quiet', '--allow-empty', '--message', 'nothing');
  assert.equal(dyno(['gate', '-C', directory, '--base', 'HEAD']).code, 4);
  assert.equal(
    git(directory, 'worktree', 'list', '--porcelain').match(/^worktree /gm)!.length,
    1,
    'worktrees are removed',
  );
});

test('gate finds a body that does three times the work, in time', () => {
  const directory = makeProject('slower');
  writeFileSync(join(directory, 'suites', 'subject.ts'), SUBJECT.replace('i < ROUNDS', 'i < 3 * ROUNDS'));
  const answer = dyno([
    'gate',
    '-C',
    directory,
    '--base',
    'HEAD',
    '--seed',
    '7',
    '--pairs',
    '6',
    'toy/loop/spin',
    '--json',
    '-',
  ]);
  assert.equal(answer.code, 1, answer.out + answer.err);
  const { rows, notes } = JSON.parse(answer.out) as {
    rows: { counter?: string; verdict: string; change: number }[];
    notes: string[];
  };
  const timed = rows.find(({ counter }) => counter === undefined)!;
  assert.equal(timed.verdict, 'critical');
  assert.ok(timed.change > 1 && timed.change < 5, String(timed.change));
  assert.match(notes.join(' '), /seed 7/);
});

test('shards merge into what one run gives', () => {
  const files = [1, 2].map((index) => join(scratch, `shard${index}.json`));
  for (const [index, file] of files.entries()) {
    const answer = inProject('run', '--smoke', '--shard', `${index + 1}/2`, '--json', file);
    assert.equal(answer.code, 0, answer.err);
  }
  const whole = join(scratch, 'whole.json');
  assert.equal(inProject('merge', ...files, '--json', whole).code, 0);
  const ids = (JSON.parse(readFileSync(whole, 'utf8')) as ResultDocument).results.map(({ id }) => id);
  assert.deepEqual(ids.toSorted(), ['toy/loop/other', 'toy/loop/spin']);
  assert.equal(inProject('merge', files[0]!, files[0]!, '--json', whole).code, 2);
});

test('a failing benchmark is stored, named on standard error, and ends with exit code 2', () => {
  const directory = makeProject('failing');
  writeFileSync(
    join(directory, 'suites', 'toy', 'bad.bench.ts'),
    `import { defineBench } from '../harness/define-bench.ts';
defineBench({ id: 'toy/bad/one', title: 'bad', unit: 'ns', kind: 'time', direction: 'lower', engine: 'mitata',
  work: () => 41, check: (_, result) => { if (result !== 42) throw new Error('not 42'); } });\n`,
  );
  const answer = dyno(['run', '-C', directory]);
  assert.equal(answer.code, 2, answer.err);
  assert.match(answer.err, /toy\/bad\/one: failed: Error: not 42/);
  assert.equal((JSON.parse(dyno(['baseline', 'list', '-C', directory, '--json', '-']).out) as unknown[]).length, 1);
});

test('outside git results go to a directory', () => {
  const directory = makeProject('no-git');
  rmSync(join(directory, '.git'), { recursive: true });
  const answer = dyno(['run', '-C', directory, '--counters-only', '--save-baseline', 'first']);
  assert.equal(answer.code, 0, answer.err);
  assert.ok(existsSync(join(directory, '.dyno', 'results')));
  const [entry] = JSON.parse(dyno(['baseline', 'list', '-C', directory, '--json', '-']).out) as { commit: unknown }[];
  assert.equal(entry!.commit, null);
});

test('bench compares the second run with the first and writes the report', () => {
  const directory = makeProject('bench');
  const first = dyno(['bench', '-C', directory]);
  assert.equal(first.code, 0, first.err);
  assert.match(first.err, /first run on this machine/);
  const second = dyno(['bench', '-C', directory]);
  assert.equal(second.code, 0, second.err);
  assert.match(second.err, /compared with the run of 20/);
  assert.match(readFileSync(join(directory, '.dyno', 'report.html'), 'utf8'), /toy\/loop\/spin/);
});

test('Ctrl-C keeps what was measured in a file of its own, stores nothing, and exits 130', async () => {
  const directory = makeProject('stopped');
  writeFileSync(
    join(directory, 'suites', 'toy', 'wait.bench.ts'),
    `import { defineBench } from '../harness/define-bench.ts';
defineBench({ id: 'toy/wait/ever', title: 'wait', unit: 'ms', kind: 'time', direction: 'lower', engine: 'tinybench',
  work: () => { for (;;); } });\n`,
  );
  const child = spawn(process.execPath, [CLI, 'run', '-C', directory], {
    env: { ...process.env, ...QUICK },
    stdio: ['ignore', 'ignore', 'pipe'],
    // As a terminal does: the signal goes to the whole group.
    detached: true,
  });
  let err = '';
  let stopped = false;
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString('utf8');
    // The two quick benchmarks are done; the endless one runs now. Once: the group may be gone at a second signal.
    if (stopped || !err.includes('[2/3]')) return;
    stopped = true;
    setTimeout(() => process.kill(-child.pid!, 'SIGINT'), 300);
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 130, err);
  assert.match(err, /nothing was stored; the 2 of 3 results taken are in /);
  const kept = readdirSync(join(directory, '.dyno')).filter((name) => name.startsWith('interrupted-'));
  assert.equal(kept.length, 1);
  const listed = JSON.parse(dyno(['baseline', 'list', '-C', directory, '--json', '-']).out) as unknown[];
  assert.equal(listed.length, 0);
});

test('a full disk is one clear line', { skip: existsSync('/dev/full') ? false : 'no /dev/full here' }, () => {
  const answer = spawnSync('sh', ['-c', `"$0" "$1" list -C "$2" --json - >/dev/full`, process.execPath, CLI, project], {
    encoding: 'utf8',
    env: { ...process.env, ...QUICK },
  });
  assert.equal(answer.status, 2);
  assert.match(answer.stderr, /^dyno: [^\n]*no space left on the disk[^\n]*\n$/);
});

test('the reader may close the pipe', () => {
  const answer = spawnSync('sh', ['-c', `"$0" "$1" list -C "$2" | true`, process.execPath, CLI, project], {
    encoding: 'utf8',
    env: { ...process.env, ...QUICK },
  });
  assert.equal(answer.stderr, '');
});
