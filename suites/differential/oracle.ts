import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Instruction } from '../../emulator/isa/instruction.ts';
import { createExecutor } from './execute.ts';
import { type Answer, readAnswer, type TestCase, TEST_SIZE, ANSWER_SIZE, writeTest } from './test-case.ts';

const SOURCE = join(import.meta.dirname, 'riscv64-oracle.c');
const CACHE = join(import.meta.dirname, '../../.cache/differential');
const COMPILER = 'riscv64-linux-gnu-gcc';
const EMULATOR = 'qemu-riscv64';
/** A guest base, so that the guest may map addresses which are too low for a process of the host. */
const EMULATOR_FLAGS = ['-cpu', 'rv64,zba=true,zbb=true,zbs=true', '-B', '0x10000000000'];

/** Where no block's stack pointer comes by chance: on the signal stack already, the handler would not begin at its end. */
const PROGRAM_ADDRESS = '0x2a5c7d000000';

/** A processor to compare with. */
export interface Oracle {
  readonly name: string;
  /** Whether it has an instruction, and has it right. */
  readonly includes: (row: Instruction) => boolean;
  /** One answer a test, in order. @throws Error when the oracle itself fails. */
  readonly run: (tests: readonly TestCase[]) => Answer[];
}

/**
 * What qemu-riscv64 7.2 cannot be compared in. Its `ctzw` looks into the upper half when the lower one is zero,
 * where the result is 32 (Unprivileged ISA, "Count leading/trailing zero bits").
 */
const includesQemu = ({ extension, name }: Instruction): boolean => extension !== 'Zicond' && name !== 'ctzw';

/** qemu-riscv64 (or, on such a host, the processor itself), or why there is none. */
export function qemuOracle(): Oracle | { readonly absent: string } {
  const program = compile();
  if (typeof program === 'object') return program;
  const native = process.arch === 'riscv64';
  const command = native ? program : EMULATOR;
  const args = native ? [] : [...EMULATOR_FLAGS, program];
  const version = native ? 'the host' : firstLine(EMULATOR, ['--version']);
  if (version === undefined) return { absent: `${EMULATOR} is not installed` };
  return { name: version, includes: includesQemu, run: (tests) => runTests(command, args, tests) };
}

function compile(): string | { readonly absent: string } {
  const version = firstLine(COMPILER, ['--version']);
  if (version === undefined) return { absent: `${COMPILER} is not installed` };
  const digest = createHash('sha256')
    .update(readFileSync(SOURCE))
    .update(version)
    .update(PROGRAM_ADDRESS)
    .digest('hex')
    .slice(0, 16);
  const program = join(CACHE, `riscv64-oracle-${digest}`);
  if (existsSync(program)) return program;
  mkdirSync(CACHE, { recursive: true });
  const partial = `${program}.${process.pid}`;
  const flags =
    '-O1 -march=rv64gc -mabi=lp64d -mcmodel=medany -mno-relax -fno-builtin -fno-stack-protector -fno-pic -no-pie -static -nostdlib';
  const link = `-Wl,-Ttext-segment=${PROGRAM_ADDRESS}`;
  const { status, stderr } = spawnSync(COMPILER, [...flags.split(' '), link, '-o', partial, SOURCE], {
    encoding: 'utf8',
  });
  if (status !== 0) return { absent: `${COMPILER} cannot build the oracle: ${stderr.trim().split('\n')[0]}` };
  renameSync(partial, program);
  return program;
}

function firstLine(command: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

function runTests(command: string, args: readonly string[], tests: readonly TestCase[]): Answer[] {
  const input = new Uint8Array(TEST_SIZE * tests.length);
  tests.forEach((test, index) => writeTest(test, new DataView(input.buffer, TEST_SIZE * index, TEST_SIZE)));
  const { status, signal, stdout, stderr } = spawnSync(command, args, {
    input,
    maxBuffer: ANSWER_SIZE * tests.length + 65536,
  });
  if (status !== 0 || stdout.length !== ANSWER_SIZE * tests.length) {
    const end = signal ?? `exit code ${String(status)}`;
    throw new Error(
      `the oracle ended with ${end} after ${Math.floor(stdout.length / ANSWER_SIZE)} of ${tests.length} tests: ${stderr.toString()}`,
    );
  }
  return tests.map((_test, index) =>
    readAnswer(new DataView(stdout.buffer, stdout.byteOffset + ANSWER_SIZE * index, ANSWER_SIZE)),
  );
}

/** The evaluator, for what qemu lacks. */
export function evaluatorOracle(): Oracle {
  const { name, run } = createExecutor('evaluate');
  return { name, includes: () => true, run: (tests) => tests.map((test) => run(test).answer) };
}
