/**
 * `npm test`: every check and test, one after the other. `--static` stops before anything is run; `--only NAME` runs one step.
 * Each step prints its name, its time and, when it fails, its output.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { checkRanks } from './check/ranks.ts';
import { formatObjection, readSources, ROOT } from './check/source.ts';
import type { Objection, SourceFile } from './check/source.ts';
import { checkStyle } from './check/style.ts';

interface StepResult {
  readonly passed: boolean;
  readonly output: string;
}

interface Step {
  readonly name: string;
  /** Needs nothing to be run: types, style, structure. */
  readonly static: boolean;
  /** Printed as it comes, for steps that take minutes. */
  readonly run: () => Promise<StepResult>;
}

const bin = (name: string): string => join(ROOT, 'node_modules', '.bin', name);
const script = (path: string): string => join(ROOT, path);

const STEPS: readonly Step[] = [
  { name: 'types', static: true, run: () => execute(bin('tsc'), ['--noEmit', '-p', ROOT]) },
  { name: 'lint', static: true, run: () => execute(bin('oxlint'), ['--quiet']) },
  { name: 'format', static: true, run: () => execute(bin('prettier'), ['--check', '--log-level', 'warn', '.']) },
  { name: 'ranks', static: true, run: () => objections(checkRanks) },
  { name: 'style', static: true, run: () => objections(checkStyle) },
  { name: 'dead code', static: true, run: () => execute(bin('knip'), ['--no-progress']) },
  {
    name: 'generated documents',
    static: true,
    run: () => execute(process.execPath, [script('scripts/generate.ts'), '--check']),
  },
  { name: 'unit tests', static: false, run: unitTests },
  {
    name: 'every suite once',
    static: false,
    run: () => execute(process.execPath, [script('scripts/cli.ts'), 'run', '--smoke', '--no-store']),
  },
];

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { static: { type: 'boolean', default: false }, only: { type: 'string' } },
  });
  const steps = STEPS.filter((step) =>
    values.only === undefined ? step.static || !values.static : step.name === values.only,
  );
  if (steps.length === 0) {
    process.stderr.write(
      `dyno-test: no step '${values.only}'; there are ${STEPS.map(({ name }) => name).join(', ')}\n`,
    );
    return 2;
  }
  const failures: string[] = [];
  for (const step of steps) {
    const start = performance.now();
    const { passed, output } = await step.run();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    process.stdout.write(`${passed ? 'ok  ' : 'FAIL'} ${step.name} (${seconds} s)\n`);
    if (!passed) {
      failures.push(step.name);
      process.stdout.write(`${output.trimEnd().replaceAll(/^/gm, '     ')}\n`);
    }
  }
  const names = failures.length === 0 ? '' : `: ${failures.join(', ')}`;
  process.stdout.write(`\n${steps.length - failures.length} passed, ${failures.length} failed${names}\n`);
  return failures.length === 0 ? 0 : 1;
}

async function objections(check: (files: readonly SourceFile[]) => Objection[]): Promise<StepResult> {
  const found = check(await readSources());
  return { passed: found.length === 0, output: found.map(formatObjection).join('\n') };
}

/** All colocated tests. The runner's own summary is shown whether they pass or not. */
async function unitTests(): Promise<StepResult> {
  const globs = ['emulator', 'suites', 'reports', 'scripts'].map((folder) => `${folder}/**/*.test.ts`);
  const concurrency = String(Math.max(1, Math.min(4, availableParallelism())));
  const reporter = ['--test-reporter=dot', '--test-reporter-destination=stderr'];
  const result = await execute(process.execPath, [
    '--test',
    `--test-concurrency=${concurrency}`,
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    ...(process.stderr.isTTY ? reporter : []),
    ...globs,
  ]);
  const summary = result.output.split('\n').filter((line) => /^ℹ (?:tests|pass|fail|skipped|todo)/.test(line));
  process.stdout.write(`     ${summary.map((line) => line.slice(2)).join(', ')}\n`);
  // Passing tests fill thousands of lines; the failures are what is wanted.
  const failing = result.output.indexOf('✖ failing tests:');
  return { passed: result.passed, output: failing < 0 ? result.output : result.output.slice(failing) };
}

function execute(command: string, argv: readonly string[]): Promise<StepResult> {
  return new Promise((resolve) => {
    const environment = { ...process.env, FORCE_COLOR: '0', DYNO_CHECK: process.env['DYNO_CHECK'] ?? 'full' };
    const child = spawn(command, argv, { cwd: ROOT, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    child.on('error', (error) => resolve({ passed: false, output: error.message }));
    child.on('close', (code) => resolve({ passed: code === 0, output }));
  });
}

process.exitCode = await main();
