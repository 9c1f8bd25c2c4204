/** `dyno emulate --machine`: options to a machine, its console to the terminal, its end to an exit code. */
import fs from 'node:fs';
import { deflateSync } from 'node:zlib';
import { ConfigError, HostError } from '../../emulator/check/errors.ts';
import { encodePng } from '../../emulator/device/virtio/image/png.ts';
import type { Compilation } from '../../emulator/machine/compilation.ts';
import { parseDrive } from '../../emulator/machine/drive-option.ts';
import { parseNetwork } from '../../emulator/machine/network-option.ts';
import type { InstructionTrace } from '../../emulator/machine/instruction-trace.ts';
import type { TranslationLog } from '../../emulator/machine/translation-log.ts';
import { VirtMachine, type MachineOutcome } from '../../emulator/machine/riscv-virt/machine.ts';
import { parseShare } from '../../emulator/machine/share-option.ts';
import { MACHINE_GUEST_FLAGS } from '../../emulator/machine/runtime-flags.ts';
import { preferGuest } from '../../emulator/machine/thread-priority.ts';
import { hostMilliseconds } from '../../emulator/machine/surroundings.ts';
import type { Tier } from '../../emulator/machine/tier.ts';
import type { RunStatistics } from '../emulation-statistics.ts';
import { EXIT } from '../exit.ts';
import { setGuestFlags } from '../guest-flags.ts';
import { note } from '../output.ts';
import { GatheredOutput, openConsole, TERMINAL_HELP, type TerminalCommand } from '../terminal.ts';
import { openBootFile } from './boot-file.ts';
import type { MachineFlags } from './machine-options.ts';

/** What the other kinds of guest have too. */
export interface RunFlags {
  readonly tier: Tier;
  readonly trace?: InstructionTrace;
  readonly log?: TranslationLog;
  readonly deterministic: boolean;
  readonly compilation: Compilation;
  readonly memorySize: number;
  readonly cacheDirectory?: string;
  /** That nothing can be written there is no error. */
  readonly cacheIsOptional?: true;
  readonly maximumInstructions?: number;
  /** Seconds. */
  readonly timeout?: number;
}

export interface MachineRun {
  readonly code: number;
  readonly seconds: number;
  readonly counters: Readonly<Record<string, unknown>>;
}

/** Runs the machine with the terminal as its console. Throws ConfigError, ImageError and HostError before the first instruction. */
export async function emulateMachine(flags: MachineFlags, run: RunFlags): Promise<MachineRun> {
  preferGuest();
  loadOfNode();
  setGuestFlags(MACHINE_GUEST_FLAGS);
  const output = new GatheredOutput((bytes) => void process.stdout.write(bytes));
  const machine = new VirtMachine({
    ...files(flags),
    ...attachments(flags),
    memorySize: run.memorySize,
    tier: run.tier,
    ...(run.trace === undefined ? {} : { trace: run.trace }),
    ...(run.log === undefined ? {} : { log: run.log }),
    deterministic: run.deterministic,
    compilation: run.compilation,
    ...(run.cacheDirectory === undefined ? {} : { cacheDirectory: run.cacheDirectory }),
    ...(flags.virtio === undefined ? {} : { transport: flags.virtio }),
    ...(flags.mmu === undefined ? {} : { mmu: flags.mmu }),
    output: (bytes) => output.add(bytes),
    report: (error) => note(`dyno: disk: ${error instanceof Error ? error.message : String(error)}`),
  });
  try {
    const begin = hostMilliseconds();
    const outcome = await converse(machine, flags, run);
    output.flush();
    const seconds = (hostMilliseconds() - begin) / 1000;
    if (flags.screenshot !== undefined) takeScreenshot(machine, flags.screenshot);
    const { compilerFailure } = machine;
    if (compilerFailure !== undefined) note(`dyno: compiling in the background ended early: ${compilerFailure}`);
    saveCode(machine, run);
    return { code: exitCode(outcome), seconds, counters: machine.counters };
  } finally {
    machine.close();
  }
}

function saveCode(machine: VirtMachine, { cacheIsOptional }: RunFlags): void {
  try {
    machine.saveCode();
  } catch (error) {
    if (cacheIsOptional === undefined || !(error instanceof HostError)) throw error;
    note(`dyno: translations are not kept for the next start: ${error.message}`);
  }
}

/** What the table of `--stats` shows of a machine's counters. */
export function machineStatistics(seconds: number, counters: Readonly<Record<string, unknown>>): RunStatistics {
  const numbers = Object.entries(counters).filter((each): each is [string, number] => typeof each[1] === 'number');
  const { instructions = 0, ...vcpu } = Object.fromEntries(numbers);
  const { translation, tlb, cache } = counters as Pick<RunStatistics, 'translation' | 'tlb' | 'cache'>;
  return {
    seconds,
    instructions,
    vcpu,
    ...(translation === undefined ? {} : { translation }),
    ...(tlb === undefined ? {} : { tlb }),
    ...(cache === undefined ? {} : { cache }),
  };
}

/** Node loads these when they are first asked for: with its compiled code as long as V8 has the flags it began with. */
function loadOfNode(): void {
  void process.stdin;
  void process.stdout;
}

/** Bytes of standard input that are typed before the first instruction, at most. */
const MOST_TYPED = 64 * 2 ** 20;
/** Milliseconds that are waited for whoever writes it. */
const PATIENCE = 1000;

type End = MachineOutcome | { readonly kind: 'signal'; readonly number: number };
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** The run between opening the terminal and putting it back. */
async function converse(machine: VirtMachine, flags: MachineFlags, run: RunFlags): Promise<End> {
  let ended = false;
  let stopped = false;
  let signal: End | undefined;
  // What a pipe holds is typed before the first instruction, so that when it comes does not depend on the host.
  const beforehand = run.deterministic && !process.stdin.isTTY;
  if (beforehand) machine.type(readStandardInput());
  const stop = (): void => {
    stopped = true;
    machine.wake();
  };
  const commands: Readonly<Record<TerminalCommand, () => void>> = {
    leave: stop,
    help: () => void process.stderr.write(`\r\n${TERMINAL_HELP}\r\n`),
    reset: () => machine.reset(),
    screenshot: () => flags.screenshot !== undefined && takeScreenshot(machine, flags.screenshot),
  };
  const close = openConsole({
    typed: (bytes) => (beforehand ? undefined : machine.type(bytes)),
    command: (command) => commands[command](),
    ended: () => {
      ended = true;
      machine.wake();
    },
    resized: (columns, rows) => machine.console?.resize(columns, rows),
    signalled: (name) => {
      signal = { kind: 'signal', number: SIGNAL_NUMBERS[name] };
      stop();
    },
  });
  const end = hostMilliseconds() + (run.timeout ?? Infinity) * 1000;
  const { maximumInstructions = Infinity } = run;
  try {
    for (;;) {
      const outcome = await machine.run({
        maximumInstructions,
        timeout: Math.max(0, (end - hostMilliseconds()) / 1000),
        inputEnded: () => ended,
        stopped: () => stopped,
      });
      if (outcome.kind !== 'reset' || flags.reboot === false) return signal ?? outcome;
      machine.reset();
    }
  } finally {
    close();
  }
}

function files(flags: MachineFlags) {
  return {
    ...(flags.bios === undefined ? {} : { firmware: openBootFile(flags.bios) }),
    ...(flags.kernel === undefined ? {} : { kernel: openBootFile(flags.kernel) }),
    ...(flags.initrd === undefined ? {} : { initrd: openBootFile(flags.initrd) }),
    ...(flags.dtb === undefined ? {} : { deviceTree: openBootFile(flags.dtb) }),
    ...(flags.append === undefined ? {} : { append: flags.append }),
  };
}

function attachments(flags: MachineFlags) {
  if (flags.smp !== undefined && flags.smp !== '1')
    throw new ConfigError('there is one hart so far', { where: `--smp ${flags.smp}`, mend: 'leave it out' });
  const network = flags.net === undefined ? undefined : parseNetwork(flags.net);
  return {
    drives: (flags.drive ?? []).map(parseDrive),
    ...(network === undefined ? {} : { network }),
    shares: (flags.share ?? []).map((text, index) => parseShare(text, index)),
    display: flags.screenshot !== undefined,
    virtioConsole: flags.console === 'virtio',
  };
}

/** Standard input to its end, or until nobody has written to it for a while. Throws ConfigError when it is more than anybody types. */
function readStandardInput(): Uint8Array {
  const chunks: Uint8Array[] = [];
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  let since = hostMilliseconds();
  const chunk = new Uint8Array(65536);
  let length = 0;
  for (;;) {
    let count: number;
    try {
      count = fs.readSync(0, chunk);
    } catch (error) {
      // Otherwise closed, or nothing that can be read: nobody types.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') break;
      if (hostMilliseconds() - since < PATIENCE) {
        Atomics.wait(sleeper, 0, 0, 10);
        continue;
      }
      note('dyno: standard input is still open: with --deterministic what comes later is not typed; redirect a file');
      break;
    }
    if (count === 0) break;
    since = hostMilliseconds();
    chunks.push(chunk.slice(0, count));
    length += count;
    if (length > MOST_TYPED)
      throw new ConfigError(`standard input holds more than ${MOST_TYPED / 2 ** 20} MiB`, {
        where: '--deterministic',
        mend: 'redirect less, or from /dev/null',
      });
  }
  return Buffer.concat(chunks);
}

function takeScreenshot(machine: VirtMachine, file: string): void {
  const image = machine.screenshot();
  if (image === undefined) return note('dyno: no screenshot: the guest shows nothing');
  try {
    fs.writeFileSync(
      file,
      encodePng(image, (bytes) => deflateSync(bytes)),
    );
  } catch (error) {
    throw new HostError(`cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`, {
      where: file,
      cause: error,
    });
  }
}

/** As for the other guests; one line on standard error when the guest did not end by itself. */
function exitCode(end: End): number {
  switch (end.kind) {
    case 'exit':
      return end.code;
    case 'reset':
    case 'stopped':
      return EXIT.ok;
    case 'signal':
      return 128 + end.number;
    case 'trap':
      note(`dyno: guest stopped: trap ${end.cause} at pc 0x${end.pc.toString(16)} that no handler takes`);
      return 128 + end.cause;
    case 'idle':
      note('dyno: guest stopped: it waits, and nothing can happen any more');
      return EXIT.guestLimit;
    case 'limit':
      note(`dyno: guest stopped: the ${end.limit === 'timeout' ? '--timeout is over' : '--max-insns are used up'}`);
      return EXIT.guestLimit;
  }
}
