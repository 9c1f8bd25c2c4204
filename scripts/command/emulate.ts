import fs from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { Command, Option } from 'commander';
import { ConfigError, HostError } from '../../emulator/check/errors.ts';
import { parseMount } from '../../emulator/linux-user/filesystem.ts';
import type { GuestFault, Outcome } from '../../emulator/linux-user/outcome.ts';
import { InstructionTrace } from '../../emulator/machine/instruction-trace.ts';
import { TIERS, type Tier } from '../../emulator/machine/tier.ts';
import { COMPILATIONS, type Compilation } from '../../emulator/machine/compilation.ts';
import { runUser } from '../../emulator/machine/user.ts';
import { TranslationLog } from '../../emulator/machine/translation-log.ts';
import { statisticsTable, timelineTable } from '../emulation-statistics.ts';
import { EXIT } from '../exit.ts';
import { translationsDirectory } from '../kept-translations.ts';
import { note } from '../output.ts';
import { addMachineOptions, MACHINE_MEMORY, refuseMachineOptions, type MachineFlags } from './machine-options.ts';

interface Flags extends MachineFlags {
  readonly isa: 'riscv64';
  readonly user?: string;
  readonly bare?: string;
  readonly mount: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly memory?: string;
  readonly tier: Tier;
  readonly compilation?: Compilation;
  readonly deterministic?: true;
  readonly maxInsns?: string;
  readonly timeout?: string;
  /** A file; true for a table on standard error. */
  readonly stats?: string | true;
  readonly timeline?: true;
  readonly dump?: string;
  readonly trace?: string;
  /** False when none is wanted. */
  readonly cacheDir?: string | false;
}

const EXAMPLES = `
Examples:
  dyno emulate --user hello.riscv64 -- --flag-of-the-guest
  dyno emulate --user busybox --mount .:/work:ro --cwd /work sh -c 'ls | sort'
  dyno emulate --user sieve.riscv64 --cache-dir ~/.cache/dyno --stats
  dyno emulate --user sieve.riscv64 --dump regions,ir:0x10230
  dyno emulate --machine virt --kernel Image --initrd initrd --append 'console=ttyS0' --drive disk.img --net user
  dyno emulate --machine virt --bios fw_jump.bin --kernel u-boot.bin
  dyno emulate --bare test.elf --max-insns 1e6 --stats stats.json

Exit code: the guest's own; 128+n when signal or trap n ended it; ${EXIT.guestLimit} when --max-insns or --timeout did.
At a machine's console Ctrl-A h lists what the emulator itself understands; Ctrl-A x leaves.`;

/** How many seconds or instructions: a positive number such as `1e6`. */
function positive(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!(value > 0))
    throw new ConfigError(`'${text}' is not a positive number`, {
      where: flag,
      mend: `write ${flag} 1e6, for instance`,
    });
  return value;
}

/** `256M`, `1G`, `65536`: bytes. */
export function parseSize(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)$/i.exec(text);
  if (!match) throw new ConfigError(`'${text}' is not a size`, { where: flag, mend: 'write 256M or 1G' });
  return (
    Number(match[1]) * { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[match[2]!.toUpperCase() as '' | 'K' | 'M' | 'G']
  );
}

export function readImage(file: string): Uint8Array {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    throw new HostError(`cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`, {
      where: file,
      mend: 'name a file that exists',
      cause: error,
    });
  }
}

export function command(): Command {
  const collect = (value: string, list: readonly string[]): readonly string[] => [...list, value];
  return addMachineOptions(new Command('emulate'))
    .description('Run a program or machine in the emulator.')
    .argument('[args...]', 'arguments of the guest program')
    .addOption(new Option('--isa <isa>', 'guest architecture').choices(['riscv64']).default('riscv64'))
    .addOption(new Option('--user <elf>', 'run a static Linux program').conflicts('bare'))
    .option('--bare <elf>', 'run a bare-metal ELF; ends through tohost or the test finisher')
    .option('--mount <host:guest[:ro]>', 'show a host directory to the guest; may be repeated', collect, [])
    .option('--env <name=value>', 'environment of the guest program; may be repeated', collect, [])
    .option('--cwd <dir>', "the guest program's directory", '/')
    .option('--memory <size>', `guest address space of a program (1G), RAM of a machine (${MACHINE_MEMORY})`)
    .addOption(new Option('--tier <tier>', 'how guest code is executed').choices(TIERS).default('auto'))
    .addOption(
      new Option(
        '--compilation <when>',
        'whether the guest waits for it, or a thread beside it compiles once it has run for 0.1 s (background)',
      ).choices(COMPILATIONS),
    )
    .option('--deterministic', 'guest time is the count of instructions, entropy is seeded')
    .option('--max-insns <n>', 'end after so many guest instructions')
    .option('--timeout <seconds>', 'end after so many seconds')
    .option('--stats [file]', 'write counters as JSON; - for standard error; a table there without a file')
    .option('--timeline', 'list on standard error when what was translated, and why')
    .option('--dump <what:address>', 'show on standard error the region that holds a guest address: regions, ir, wasm')
    .option('--trace <file>', 'write every instruction; they are run one by one, not in regions')
    .option('--cache-dir <dir>', 'keep translations there for the next start of the same program or machine')
    .option(
      '--no-cache-dir',
      'keep none: machines have a directory in .cache unless --deterministic, --dump or --trace',
    )
    .passThroughOptions()
    .addHelpText('after', EXAMPLES)
    .action(async (args: readonly string[], flags: Flags) => {
      process.exitCode = await emulate(args, flags);
    });
}

async function emulate(args: readonly string[], flags: Flags): Promise<number> {
  const maximumInstructions = positive(flags.maxInsns, '--max-insns');
  const timeout = positive(flags.timeout, '--timeout');
  const limits = {
    ...(maximumInstructions === undefined ? {} : { maximumInstructions }),
    ...(timeout === undefined ? {} : { timeout }),
  };
  const whole = flags.machine !== undefined;
  const memorySize = parseSize(flags.memory ?? (whole ? MACHINE_MEMORY : '1G'), '--memory');
  if (whole) {
    if (args.length > 0) throw new ConfigError('a machine takes no arguments', { where: args[0]! });
    refuseProgramOptions(flags);
    const { deterministic = false } = flags;
    const { emulateMachine, machineStatistics } = await import('./emulate-machine.ts');
    const logging = await openLog(flags);
    const tracing = openTrace(flags);
    const compilation = compilationOf(flags);
    const cache = translationsDirectory(flags);
    const run = { ...tracing.options, ...logging.options, deterministic, compilation, memorySize, ...cache, ...limits };
    const { code, seconds, counters } = await emulateMachine(flags, run);
    tracing.close();
    logging.print();
    if (flags.stats === true) note(statisticsTable(machineStatistics(seconds, counters)));
    else writeStatistics(flags, seconds, counters);
    return code;
  }
  refuseMachineOptions(flags);
  if (flags.user !== undefined) {
    const bytes = readImage(flags.user);
    const logging = await openLog(flags);
    const tracing = openTrace(flags);
    const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');
    const result = runUser({
      isa: flags.isa,
      program: { path: latin1(`/${path.basename(flags.user)}`), origin: flags.user, bytes },
      argv: [flags.user, ...args].map(latin1),
      environment: flags.env.map(latin1),
      mounts: flags.mount.map(parseMount),
      directory: latin1(flags.cwd),
      memorySize,
      ...tracing.options,
      deterministic: flags.deterministic ?? false,
      compilation: compilationOf(flags),
      ...logging.options,
      ...(typeof flags.cacheDir === 'string' ? { cacheDirectory: flags.cacheDir } : {}),
      ...limits,
    });
    tracing.close();
    const { seconds, vcpu, counters, translation, cache } = result;
    if (result.compilerFailure !== undefined)
      note(`dyno: compiling in the background ended early: ${result.compilerFailure}`);
    logging.print();
    if (flags.stats === true) note(statisticsTable({ ...result, instructions: counters.instructions }));
    else
      writeStatistics(flags, seconds, {
        ...vcpu,
        ...counters,
        codeBytes: translation?.liveBytes ?? 0,
        // Programs have memory without address translation.
        tlb: { l1Misses: 0, l2Hits: 0, walks: 0 },
        ...(translation ? { translation } : {}),
        ...(cache ? { cache } : {}),
      });
    return exitCode(result.outcome);
  }
  if (flags.bare !== undefined) {
    refuseProgramOptions(flags);
    for (const flag of ['dump', 'timeline', 'cacheDir'] as const)
      if (flags[flag] !== undefined && flags[flag] !== false)
        throw new ConfigError('is for programs and machines', {
          where: `--${flag === 'cacheDir' ? 'cache-dir' : flag}`,
          mend: 'give --user or --machine virt',
        });
    if (args.length > 0) throw new ConfigError('a bare-metal program takes no arguments', { where: args[0]! });
    const { runBare } = await import('../../emulator/machine/bare.ts');
    const tracing = openTrace(flags);
    const result = runBare({
      isa: flags.isa,
      image: { origin: flags.bare, bytes: readImage(flags.bare) },
      memorySize: Math.min(memorySize, 2 ** 30),
      ...tracing.options,
      output: (chunk) => fs.writeSync(1, chunk),
      ...limits,
    });
    tracing.close();
    const { counters, seconds, tlb } = result;
    const { instructions = 0 } = counters;
    if (flags.stats === true) note(statisticsTable({ seconds, instructions, vcpu: counters, tlb }));
    else writeStatistics(flags, seconds, { ...counters, tlb });
    return exitCode(result.outcome);
  }
  throw new ConfigError('nothing to run', { where: 'emulate', mend: 'give --user ELF, --bare ELF or --machine virt' });
}

/** Throws ConfigError for what only programs have. */
function refuseProgramOptions({ mount, env, cwd }: Flags): void {
  const given = { mount: mount.length > 0, env: env.length > 0, cwd: cwd !== '/' };
  for (const [name, there] of Object.entries(given))
    if (there) throw new ConfigError('is for programs', { where: `--${name}`, mend: 'give --user' });
}

/** What takes note of translations where that is asked for, and prints it in the end. */
async function openLog({ dump, timeline }: Flags): Promise<{
  readonly options: { readonly log?: TranslationLog };
  readonly print: () => void;
}> {
  if (dump === undefined && timeline === undefined) return { options: {}, print: () => {} };
  const dumping = dump === undefined ? undefined : await import('../region-dump.ts');
  const request = dumping?.parseDump(dump!);
  const log = new TranslationLog(request?.address);
  return {
    options: { log },
    print: () => {
      if (timeline) note(timelineTable(log));
      if (request !== undefined) note(dumping!.dumpRegion(request, log.kept));
    },
  };
}

/** The tier, and what takes note of instructions where that is asked for: then they are run one by one, not in regions. */
function openTrace({ trace: file, tier }: Flags): {
  readonly options: { readonly tier: Tier; readonly trace?: InstructionTrace };
  readonly close: () => void;
} {
  if (file === undefined) return { options: { tier }, close: () => {} };
  const failed = (error: unknown): never => {
    throw new HostError(`cannot be written (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`, {
      where: file,
      mend: 'name a file in a directory that can be written, with room on its disk',
      cause: error,
    });
  };
  const attempt = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      return failed(error);
    }
  };
  const descriptor = attempt(() => fs.openSync(file, 'w'));
  const trace = new InstructionTrace((text) => attempt(() => fs.writeSync(descriptor, text)));
  return {
    options: { tier: tier === 'reference' ? tier : 'interpreter', trace },
    close: () => {
      trace.close();
      fs.closeSync(descriptor);
    },
  };
}

/** V8 compiles on threads of its own: a boot of Linux and a shell script took a fifteenth longer where both had to share the second processor. */
const PROCESSORS_FOR_BACKGROUND = 3;

/** In the background where there is a processor for it, and nothing asks for exact counters or for what only this thread has. */
function compilationOf({ compilation, deterministic, dump }: Flags): Compilation {
  if (deterministic === true || dump !== undefined) return 'synchronous';
  return compilation ?? (availableParallelism() >= PROCESSORS_FOR_BACKGROUND ? 'background' : 'synchronous');
}

/** The process's exit code, and on standard error one line when the guest did not end by itself. */
function exitCode(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'exit':
      return outcome.code;
    case 'signal':
      process.stderr.write(
        `dyno: guest ended by ${outcome.name}${outcome.fault ? `: ${describe(outcome.fault)}` : ''}\n`,
      );
      return 128 + outcome.signal;
    case 'limit':
      process.stderr.write(
        `dyno: guest stopped: ${outcome.limit === 'timeout' ? 'the --timeout is over' : 'the --max-insns are used up'}\n`,
      );
      return EXIT.guestLimit;
    case 'deadlock':
      process.stderr.write('dyno: guest stopped: each of its processes waits for another\n');
      return EXIT.guestLimit;
  }
}

function describe(fault: GuestFault): string {
  const hex = (value: bigint) => `0x${value.toString(16)}`;
  return fault.kind === 'trap'
    ? `trap ${fault.cause} at pc ${hex(fault.pc)}, value ${hex(fault.address)}`
    : `${fault.kind} of ${hex(fault.address)} at pc ${hex(fault.pc)}`;
}

function writeStatistics(flags: Flags, seconds: number, counters: Readonly<Record<string, unknown>>): void {
  if (flags.stats === undefined) return;
  const file = flags.stats === true ? '-' : flags.stats;
  const instructions = Number(counters['instructions'] ?? 0);
  const regions = Number(counters['regionInstructions'] ?? 0);
  const plain = Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [name, value instanceof Map ? Object.fromEntries(value) : value]),
  );
  const { user, system } = process.cpuUsage();
  const all = {
    ...plain,
    instructions,
    seconds,
    // Of all threads, since the process began.
    processorSeconds: (user + system) / 1e6,
    mips: seconds > 0 ? instructions / seconds / 1e6 : 0,
    tier: { interpreter: instructions - regions, regions },
    memory: process.memoryUsage.rss(),
  };
  const text = `${JSON.stringify(all, null, 2)}\n`;
  try {
    if (file === '-') process.stderr.write(text);
    else fs.writeFileSync(file, text);
  } catch (error) {
    throw new HostError(`cannot be written (${(error as NodeJS.ErrnoException).code})`, {
      where: file,
      cause: error,
    });
  }
}
