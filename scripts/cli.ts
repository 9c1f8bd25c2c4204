/** The command line. A command is one file in `command/` and one row here. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { oneLine, UserFacingError } from '../emulator/check/errors.ts';
import { EXIT, Interrupted } from './exit.ts';

export interface CommandModule {
  command(): Command;
}

interface CommandRow {
  readonly name: string;
  /** As the overview prints it; the command's own `--help` says the rest. */
  readonly summary: string;
  /** Imported only when asked for: `--version` and `--help` must not wait for chart libraries. */
  readonly load: () => Promise<CommandModule>;
}

const COMMANDS: readonly CommandRow[] = [
  {
    name: 'bench',
    summary: 'the main job: measure all, compare with the last baseline, report, store',
    load: () => import('./command/bench.ts'),
  },
  { name: 'run', summary: 'measure benchmarks', load: () => import('./command/run.ts') },
  { name: 'emulate', summary: 'run a program or machine', load: () => import('./command/emulate.ts') },
  { name: 'disasm', summary: 'disassemble', load: () => import('./command/disasm.ts') },
  { name: 'list', summary: 'list benchmarks', load: () => import('./command/list.ts') },
  { name: 'compare', summary: 'compare two stored results', load: () => import('./command/compare.ts') },
  { name: 'gate', summary: 'judge two commits by paired runs', load: () => import('./command/gate.ts') },
  {
    name: 'baseline',
    summary: 'stored results: list, show, save, prune, push…',
    load: () => import('./command/baseline.ts'),
  },
  { name: 'merge', summary: 'join the results of shards', load: () => import('./command/merge.ts') },
  { name: 'report', summary: 'render a stored result', load: () => import('./command/report.ts') },
  { name: 'doctor', summary: 'is this machine fit to measure on', load: () => import('./command/doctor.ts') },
  {
    name: 'config',
    summary: 'the merged configuration and where it came from',
    load: () => import('./command/config.ts'),
  },
];

async function main(argv: readonly string[], atHand: Readonly<Record<string, CommandModule>>): Promise<number> {
  if (argv[0] === '--version' || argv[0] === '-V') {
    process.stdout.write(`${version()}\n`);
    return EXIT.ok;
  }
  const program = new Command('dyno')
    .description('An emulator, and the dynamometer that measures it.')
    .option('-V, --version', 'output the version number')
    .on('option:version', () => {
      process.stdout.write(`${version()}\n`);
      throw new CommanderError(0, 'commander.version', version());
    })
    .showHelpAfterError(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  const wanted = COMMANDS.find(({ name }) => name === argv.find((word) => !word.startsWith('-')));
  for (const { name, summary, load } of COMMANDS) {
    const command = name === wanted?.name ? (atHand[name] ?? (await load())).command() : new Command(name);
    program.addCommand(command.summary(summary));
    forEachCommand(command, (one) => one.exitOverride().configureOutput({ writeErr: () => {} }));
  }
  program.addHelpText(
    'after',
    '\nExit codes: 0 success, 1 regression, 2 usage or environment error, 3 inconclusive, 4 nothing compared.',
  );
  if (argv.length === 0) {
    process.stdout.write(program.helpInformation());
    return EXIT.error;
  }
  await program.parseAsync(argv, { from: 'user' });
  return Number(process.exitCode ?? EXIT.ok);
}

function forEachCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) forEachCommand(child, visit);
}

function version(): string {
  const text = readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The one line an error ends with, and the exit code; undefined for what is no error, such as `--help`. */
function verdictOf(error: unknown): { code: number; line: string | undefined } {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { code: EXIT.ok, line: undefined };
    if (error.code === 'commander.help') return { code: EXIT.error, line: "which command? see 'dyno --help'" };
    return { code: EXIT.error, line: error.message.replace(/^error: /, '') };
  }
  if (error instanceof Interrupted) return { code: EXIT.interrupted, line: error.message };
  if (error instanceof UserFacingError) return { code: EXIT.error, line: error.line() };
  if (error instanceof Error && 'syscall' in error && 'code' in error) {
    return { code: EXIT.error, line: describeSystemError(error as NodeJS.ErrnoException) };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { code: EXIT.error, line: `internal error: ${text}; set DYNO_DEBUG=1 for the stack` };
}

function describeSystemError(error: NodeJS.ErrnoException): string {
  const reasons: Readonly<Record<string, string>> = {
    ENOSPC: 'no space left on the disk; free some and run again',
    EDQUOT: 'the disk quota is used up; free some space and run again',
    EACCES: 'permission denied',
    EROFS: 'the file system is read-only',
    ENOENT: 'no such file or directory',
    EISDIR: 'is a directory, not a file',
    ENOTDIR: 'a part of the path is not a directory',
  };
  return `${error.path ?? error.syscall}: ${reasons[error.code ?? ''] ?? error.message}`;
}

/** Carries out a command line and returns the exit code; errors have been written. `atHand` are commands that need not be imported. */
export async function runCommandLine(
  argv: readonly string[],
  atHand: Readonly<Record<string, CommandModule>> = {},
): Promise<number> {
  // Only this process starts from compiled modules; what it measures must compile as any program does.
  delete process.env['NODE_COMPILE_CACHE'];
  watchStandardOutput();
  try {
    return await main(argv, atHand);
  } catch (error) {
    const { code, line } = verdictOf(error);
    if (line !== undefined) process.stderr.write(`dyno: ${oneLine(line)}\n`);
    if (process.env['DYNO_DEBUG'] === '1' && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return code;
  }
}

/** Ends the process where nothing can be written to `process.stdout` any more. Does not make that, which loads streams: [measured: 4 ms of a start] */
function watchStandardOutput(): void {
  const asItWas = Object.getOwnPropertyDescriptor(process, 'stdout')!;
  const open = (): NodeJS.WriteStream => {
    Object.defineProperty(process, 'stdout', asItWas);
    const { stdout } = process;
    // `dyno list | head` closes the pipe early; that is the reader's right.
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(EXIT.ok);
      process.stderr.write(`dyno: ${describeSystemError(error)}\n`);
      process.exit(EXIT.error);
    });
    return stdout;
  };
  Object.defineProperty(process, 'stdout', { ...asItWas, get: open });
}

if (import.meta.main) process.exitCode = await runCommandLine(process.argv.slice(2));
