/** Runs bare-metal RISC-V test programs that tell their verdict through `tohost`, and tabulates it by group. */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { UserFacingError } from '../../emulator/check/errors.ts';
import { runBare } from '../../emulator/machine/bare.ts';
import { TIERS } from '../../emulator/machine/tier.ts';
import { type Group, groupVerdicts, type Verdict } from './group.ts';

/** What can run a program: every tier. `auto` is one of the others at each moment. */
const EXECUTORS = TIERS.filter((tier) => tier !== 'auto');
type ExecutorName = (typeof EXECUTORS)[number];

const USAGE = `usage: scripts/with-runtime suites/conformance/run.ts DIR [options]

  DIR                 holds the programs, as ELF files called GROUP-ENVIRONMENT-NAME (rv64ui-p-add); other files are passed over
  --executor NAMES    ${EXECUTORS.join(', ')}, parted by commas, or all (default: interpreter);
                      reference is the evaluator
  --only PATTERN      programs whose name contains it, with * for anything
  --limit N           most instructions of a program (default 1e6)

A program's exit code is the number of its test that failed; 156 and 157 mean an exception that it did not expect.

Exit codes: 0 all pass, 1 some fail, 2 usage.
`;
function main(args: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      executor: { type: 'string', default: 'interpreter' },
      only: { type: 'string', default: '*' },
      limit: { type: 'string', default: '1e6' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const [directory, extra] = positionals;
  if (directory === undefined || extra !== undefined) return refuse('give one directory; see --help');
  const executors = values.executor === 'all' ? EXECUTORS : (values.executor.split(',') as ExecutorName[]);
  const unknown = executors.find((name) => !EXECUTORS.includes(name));
  if (unknown !== undefined) return refuse(`no executor is called '${unknown}'; there are ${EXECUTORS.join(', ')}`);
  const limit = Number(values.limit);
  if (!(limit >= 1 && limit <= 1e12)) return refuse(`--limit ${values.limit} is no count`);
  const wanted = new RegExp(values.only.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*'));
  const programs = listPrograms(directory).filter((name) => wanted.test(name));
  if (programs.length === 0) return refuse(`${directory} holds no program called ${values.only}`);
  let failed = 0;
  for (const executor of executors) {
    const groups = groupVerdicts(programs.map((name) => runProgram(directory, name, executor, limit)));
    failed += print(executor, groups);
  }
  return failed === 0 ? 0 : 1;
}

/** ELF files by name. */
function listPrograms(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && isElf(join(directory, entry.name)))
    .map(({ name }) => name)
    .sort();
}

function isElf(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const magic = Buffer.alloc(4);
    return readSync(file, magic) === 4 && magic.toString('latin1') === '\x7fELF';
  } finally {
    closeSync(file);
  }
}

function runProgram(directory: string, name: string, tier: ExecutorName, maximumInstructions: number): Verdict {
  try {
    const bytes = readFileSync(join(directory, name));
    const { outcome } = runBare({ image: { origin: name, bytes }, tier, maximumInstructions, memorySize: 4 * 2 ** 20 });
    switch (outcome.kind) {
      case 'exit':
        return { name, problem: outcome.code === 0 ? undefined : `exit code ${outcome.code}` };
      case 'limit':
        return { name, problem: `no verdict after ${maximumInstructions} instructions` };
      case 'signal':
        return { name, problem: outcome.name };
      case 'deadlock':
        return { name, problem: 'waits for ever' };
    }
  } catch (error) {
    if (error instanceof UserFacingError) return { name, problem: error.line() };
    throw error;
  }
}

/** Prints a table and the failures; how many failed. */
function print(executor: string, groups: readonly Group[]): number {
  process.stdout.write(`${executor}\n`);
  const width = Math.max(...groups.map(({ name }) => name.length));
  for (const { name, passed, failed } of groups) {
    process.stdout.write(
      `  ${name.padEnd(width)}  ${String(passed).padStart(3)} pass  ${String(failed.length).padStart(3)} fail\n`,
    );
    for (const { name: program, problem } of failed) process.stdout.write(`    ${program}: ${problem}\n`);
  }
  const passed = groups.reduce((sum, group) => sum + group.passed, 0);
  const failed = groups.reduce((sum, group) => sum + group.failed.length, 0);
  process.stdout.write(`  ${passed} of ${passed + failed} pass\n`);
  return failed;
}

function refuse(message: string): number {
  process.stderr.write(`conformance: ${message}\n`);
  return 2;
}

process.exitCode = main(process.argv.slice(2));
