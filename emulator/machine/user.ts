import { riscv64 } from '../isa/riscv/index.ts';
import type { Abi } from '../linux-user/abi.ts';
import { riscv64Abi } from '../linux-user/abi-riscv64.ts';
import type { OpenFile } from '../linux-user/file.ts';
import { FileSystem, type Mount } from '../linux-user/filesystem.ts';
import { Kernel } from '../linux-user/kernel.ts';
import type { KernelCounters, Outcome } from '../linux-user/outcome.ts';
import type { Program, UserCpu } from '../linux-user/process.ts';
import type { Surroundings } from '../linux-user/services.ts';
import { HostStream } from '../linux-user/stdio.ts';
import type { Isa } from '../isa/instruction.ts';
import type { FlatMemory } from '../memory/flat.ts';
import { CodeStore } from '../tier/region/code-store.ts';
import { TranslationAccount } from '../tier/translation-cost.ts';
import { CodeCache, type CodeCacheCounters } from './code-cache.ts';
import { backgroundCompiler, type Compilation } from './compilation.ts';
import { flatFetch, type InstructionTrace } from './instruction-trace.ts';
import { DETERMINISTIC_EPOCH, hostMilliseconds, hostRandom, seededRandom } from './surroundings.ts';
import { createCpu, policyOf, sumCounters, type Tier } from './tier.ts';
import {
  sumTranslation,
  TranslationTotals,
  type TranslationLog,
  type TranslationStatistics,
} from './translation-log.ts';

export interface UserOptions {
  readonly isa?: 'riscv64';
  readonly program: Program;
  /** Including argv[0]; byte strings. */
  readonly argv: readonly string[];
  readonly environment?: readonly string[];
  readonly mounts?: readonly Mount[];
  readonly directory?: string;
  /** Standard input, output and error; the host's own unless given. */
  readonly stdio?: readonly [OpenFile, OpenFile, OpenFile];
  /** Bytes of address space of each process; 1 GiB unless given. Pages cost host memory only once touched. */
  readonly memorySize?: number;
  readonly maximumInstructions?: number;
  /** Seconds. */
  readonly timeout?: number;
  readonly tier?: Tier;
  /** Time is the count of retired instructions (one a nanosecond), random bytes are seeded. */
  readonly deterministic?: boolean;
  /** Where emitted code is kept for the next run of the same program; see CodeCache. */
  readonly cacheDirectory?: string;
  /**
   * Whether the guest waits for translations (the default: counters are then exact), or goes on in the interpreter while they are made by a
   * thread of their own. It cannot tell.
   */
  readonly compilation?: Compilation;
  /** Names of passes to leave out. */
  readonly disabledPasses?: ReadonlySet<string>;
  /** Takes note of every translation: TranslationLog. */
  readonly log?: TranslationLog;
  /** Takes note of every instruction, which is then run alone: for the interpreter or the reference. */
  readonly trace?: InstructionTrace;
}

export interface UserResult {
  readonly outcome: Outcome;
  readonly counters: KernelCounters;
  /** Host seconds between the first guest instruction and the end. */
  readonly seconds: number;
  /** What the vCPUs did, summed over the processes. */
  readonly vcpu: Readonly<Record<string, number>>;
  /** What was translated, summed over the processes; undefined in tiers that translate nothing. */
  readonly translation?: TranslationStatistics;
  /** Why compiling in the background ended before the program did; it went on as synchronous. */
  readonly compilerFailure?: string;
  /** With a cache directory. */
  readonly cache?: Readonly<CodeCacheCounters>;
}

const TARGETS: Readonly<Record<string, { isa: Isa; abi: Abi }>> = { riscv64: { isa: riscv64, abi: riscv64Abi } };

/**
 * Runs a static Linux program to its end and says how it ended. The guest sees stdio and its mounts, nothing else of the host.
 * Throws ImageError for a program that cannot run, ConfigError for options that cannot be met.
 */
export function runUser(options: UserOptions): UserResult {
  const { isa, abi } = TARGETS[options.isa ?? 'riscv64']!;
  const surroundings = options.deterministic ? deterministicSurroundings() : hostSurroundings();
  const cpus = new Map<UserCpu, ReturnType<typeof createCpu>>();
  /** What the vCPUs of processes did that are gone: holding on to them would hold their memories. */
  let ended: Readonly<Record<string, number>> = {};
  const totals = new TranslationTotals();
  const tier = options.tier ?? 'auto';
  const memorySize = options.memorySize ?? 2 ** 30;
  const { disabledPasses } = options;
  const passes = disabledPasses === undefined ? {} : { disabledPasses };
  const cache = openCache(options, memorySize, isa);
  // Processes are mostly forks, and run the same code.
  const store = cache?.store ?? new CodeStore();
  const account = new TranslationAccount();
  const { log } = options;
  const compiler = backgroundCompiler(options.compilation, {
    isa,
    guestSize: memorySize,
    translated: false,
    policy: policyOf(tier),
    ...passes,
  });
  const makeCpu = (memory: FlatMemory): UserCpu => {
    const cpu = createCpu(tier, isa, memory, () => kernel.monotonic(), {
      ...passes,
      store,
      account,
      now: hostMilliseconds,
      ...(compiler === undefined ? {} : { compilers: compiler }),
      ...(log === undefined ? {} : { translated: (event) => log.note(event, isa, memory.bytes) }),
    });
    const user = Object.assign(cpu, { instructions: () => cpu.counters.instructions });
    cpus.set(user, cpu);
    return options.trace === undefined ? user : options.trace.attach(user, isa, flatFetch(isa, memory));
  };
  const kernel: Kernel = new Kernel({
    abi,
    files: new FileSystem(options.mounts ?? [], surroundings.random),
    surroundings,
    createCpu: makeCpu,
    retireCpu: (retired) => {
      const cpu = cpus.get(retired);
      if (cpu === undefined) return;
      cpus.delete(retired);
      ended = sumCounters([{ counters: ended }, cpu]);
      if ('tiers' in cpu && cpu.tiers !== undefined) totals.add(cpu.tiers);
    },
    memorySize,
    maximumInstructions: options.maximumInstructions ?? Infinity,
    timeout: options.timeout === undefined ? Infinity : options.timeout * 1000,
    now: hostMilliseconds,
  });
  const stdio = options.stdio ?? [new HostStream(0), new HostStream(1), new HostStream(2)];
  kernel.start(options.program, options.argv, options.environment ?? [], stdio, options.directory ?? '/');
  const begin = hostMilliseconds();
  try {
    const outcome = kernel.run();
    const seconds = (hostMilliseconds() - begin) / 1000;
    const engines = [...cpus.values()]
      .map((cpu) => ('tiers' in cpu ? cpu.tiers : undefined))
      .filter((engine) => engine !== undefined);
    const translation = engines.length === 0 ? undefined : sumTranslation(engines, totals);
    if (cache !== undefined && translation!.translated > 0) cache.save();
    return {
      outcome,
      counters: kernel.counters,
      seconds,
      vcpu: sumCounters([{ counters: ended }, ...cpus.values()]),
      ...(translation === undefined ? {} : { translation }),
      ...(compiler?.failure === undefined ? {} : { compilerFailure: compiler.failure }),
      ...(cache === undefined ? {} : { cache: cache.counters }),
    };
  } finally {
    kernel.shutdown();
    // Nobody waits for it: a thread that is ended holds nothing of the guest's.
    void compiler?.close();
  }
}

function openCache(options: UserOptions, guestSize: number, isa: Isa): CodeCache | undefined {
  const { cacheDirectory, program, disabledPasses } = options;
  const policy = policyOf(options.tier ?? 'auto');
  if (cacheDirectory === undefined || policy === undefined) return undefined;
  const passes = disabledPasses === undefined ? {} : { disabledPasses };
  return new CodeCache(cacheDirectory, { program: program.bytes, isa: isa.name, guestSize, policy, ...passes });
}

function hostSurroundings(): Surroundings {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const epoch = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  return {
    monotonic: () => process.hrtime.bigint(),
    realtime: () => epoch + process.hrtime.bigint(),
    random: hostRandom,
    rest: (milliseconds) => void Atomics.wait(sleeper, 0, 0, milliseconds),
  };
}

/** Time is what was executed plus what was slept. */
function deterministicSurroundings(): Surroundings {
  let slept = 0n;
  const monotonic = (instructions: number) => BigInt(instructions) + slept;
  return {
    monotonic,
    realtime: (instructions) => DETERMINISTIC_EPOCH + monotonic(instructions),
    random: seededRandom(),
    rest: (milliseconds) => {
      slept += BigInt(Math.ceil(milliseconds * 1e6));
    },
  };
}
