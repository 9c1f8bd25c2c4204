// Compares the BigInt arithmetic with the instructions of real or emulated machines, bits and flags, through
// float-oracle.c.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as compare from './float-compare.ts';
import { convertFormat, fromInteger, type IntegerOverflow, roundToIntegral, toInteger } from './float-convert.ts';
import { type FloatEnvironment, type FloatResult, Format, formatWidth, isNan, Rounding } from './float-format.ts';
import { drawOperands, randomWords, type RandomWords, testSeed } from './float-operands.ts';
import * as float from './float.ts';

interface Machine {
  readonly name: string;
  readonly compiler: string;
  /** The user-mode emulator; none on a host of the same architecture. */
  readonly emulator: string;
  readonly hostArchitecture: string;
  readonly environment: Omit<FloatEnvironment, 'rounding'>;
  readonly overflow: IntegerOverflow;
}

const machines: readonly Machine[] = [
  {
    name: 'RISC-V',
    compiler: 'riscv64-linux-gnu-gcc',
    emulator: 'qemu-riscv64',
    hostArchitecture: 'riscv64',
    environment: { nan: 'canonical', tininess: 'after' },
    overflow: 'saturate',
  },
  {
    name: 'AArch64',
    compiler: 'aarch64-linux-gnu-gcc',
    emulator: 'qemu-aarch64',
    hostArchitecture: 'arm64',
    environment: { nan: 'propagateSignaling', tininess: 'before' },
    overflow: 'saturateNanZero',
  },
  {
    name: 'x86-64',
    compiler: 'x86_64-linux-gnu-gcc',
    emulator: 'qemu-x86_64',
    hostArchitecture: 'x64',
    environment: { nan: 'propagate', tininess: 'after' },
    overflow: 'indefinite',
  },
];

type Operands = readonly [bigint, bigint, bigint];
interface Case {
  readonly name: string;
  readonly draw: (random: RandomWords) => Operands;
  readonly expected: (operands: Operands, environment: FloatEnvironment, machine: Machine) => FloatResult;
}

const CASES_PER_OPERATION = Number(process.env['ORACLE_CASES'] ?? 600);

for (const machine of machines) {
  test(`every operation agrees with the ${machine.name} instruction, bits and flags`, (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'float-oracle-'));
    try {
      const program = join(directory, 'float-oracle');
      const prefix = prepare(machine, program);
      if (typeof prefix === 'string') {
        t.skip(prefix);
        return;
      }
      const seed = testSeed();
      t.diagnostic(`seed ${seed}`);
      const random = randomWords(seed);
      const asked = cases().flatMap((each) =>
        Array.from({ length: CASES_PER_OPERATION }, (_, index) => ({
          ...each,
          operands: each.draw(random),
          rounding: (index % 5) as Rounding,
        })),
      );
      const input = asked.map(
        ({ name, rounding, operands }) => `${name} ${rounding} ${operands.map((x) => x.toString(16)).join(' ')}`,
      );
      const [command = program, ...rest] = [...prefix, program];
      const run = spawnSync(command, rest, { input: `${input.join('\n')}\n`, encoding: 'utf8', maxBuffer: 1 << 28 });
      assert.equal(run.status, 0, run.stderr);
      const answers = run.stdout.trimEnd().split('\n');
      assert.equal(answers.length, asked.length);

      const compared = new Map<string, number>();
      for (const [index, { name, operands, rounding, expected }] of asked.entries()) {
        const answer = answers[index];
        if (answer === 'unsupported') continue;
        if (machine.name === 'x86-64' && /^fn?m/.test(name) && severalNans(name, operands)) continue;
        const { bits, flags } = expected(operands, { ...machine.environment, rounding }, machine);
        assert.equal(
          `${bits.toString(16)} ${flags.toString(16)}`,
          answer,
          `${machine.name}: ${input[index]}; SEED=${seed}`,
        );
        compared.set(name, (compared.get(name) ?? 0) + 1);
      }
      for (const core of ['add', 'sub', 'mul', 'div', 'sqrt', 'toI64', 'fromI64']) {
        for (const suffix of ['s', 'd']) {
          assert.ok(
            (compared.get(`${core}.${suffix}`) ?? 0) >= CASES_PER_OPERATION / 2,
            `${core}.${suffix} was hardly compared`,
          );
        }
      }
      const total = [...compared.values()].reduce((sum, count) => sum + count, 0);
      t.diagnostic(`${total} cases of ${compared.size} operations`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
}

/** Compiles the program; the command prefix to run it with, or why it cannot be run. */
function prepare(machine: Machine, program: string): readonly string[] | string {
  const native = process.arch === machine.hostArchitecture && process.platform === 'linux';
  const compiler = [machine.compiler, ...(native ? ['cc'] : [])].find(runs);
  if (compiler === undefined) return `no compiler ${machine.compiler}`;
  if (!native && !runs(machine.emulator)) return `no emulator ${machine.emulator}`;
  const source = join(import.meta.dirname, 'float-oracle.c');
  const compiled = spawnSync(compiler, ['-O1', '-Wall', '-Werror', '-static', '-o', program, source, '-lm'], {
    encoding: 'utf8',
  });
  if (compiled.status !== 0)
    return `${compiler} failed: ${compiled.stderr.split('\n').find((line) => line !== '') ?? 'no message'}`;
  return native ? [] : [machine.emulator];
}

/**
 * Which of several NaN operands survives a fused instruction of x86 differs among its three forms and among machines.
 */
function severalNans(name: string, operands: Operands): boolean {
  const format = name.endsWith('.s') ? Format.f32 : Format.f64;
  return operands.filter((bits) => isNan(format, bits)).length > 1;
}

function runs(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

function cases(): Case[] {
  const list: Case[] = [];
  for (const [suffix, format] of [
    ['s', Format.f32],
    ['d', Format.f64],
  ] as const) {
    const draw = (random: RandomWords): Operands => {
      const [a = 0n, b = 0n, c = 0n] = drawOperands(format, 3, random);
      return [a, b, c];
    };
    const named = (name: string, expected: Case['expected'], drawn = draw): number =>
      list.push({ name: `${name}.${suffix}`, draw: drawn, expected });
    const predicate = (value: compare.Comparison): FloatResult => ({ bits: value.value ? 1n : 0n, flags: value.flags });
    const quiet = (bits: bigint): FloatResult => ({ bits, flags: 0 });

    named('add', ([a, b], environment) => float.add(format, a, b, environment));
    named('sub', ([a, b], environment) => float.sub(format, a, b, environment));
    named('mul', ([a, b], environment) => float.mul(format, a, b, environment));
    named('div', ([a, b], environment) => float.div(format, a, b, environment));
    named('sqrt', ([a], environment) => float.sqrt(format, a, environment));
    for (const [name, signs] of [
      ['fmadd', {}],
      ['fmsub', { negateAddend: true }],
      ['fnmsub', { negateProduct: true }],
      ['fnmadd', { negateProduct: true, negateAddend: true }],
    ] as const) {
      named(name, ([a, b, c], environment) => float.fusedMultiplyAdd(format, a, b, c, environment, signs));
    }
    named('minimumNumber', ([a, b], { nan }) => compare.minimumNumber(format, a, b, nan));
    named('maximumNumber', ([a, b], { nan }) => compare.maximumNumber(format, a, b, nan));
    named('minimum', ([a, b], { nan }) => compare.minimum(format, a, b, nan));
    named('maximum', ([a, b], { nan }) => compare.maximum(format, a, b, nan));
    named('copySign', ([a, b]) => quiet(compare.copySign(format, a, b)));
    named('copySignNegated', ([a, b]) => quiet(compare.copySignNegated(format, a, b)));
    named('copySignXor', ([a, b]) => quiet(compare.copySignXor(format, a, b)));
    named('equalQuiet', ([a, b]) => predicate(compare.equalQuiet(format, a, b)));
    named('lessSignaling', ([a, b]) => predicate(compare.lessSignaling(format, a, b)));
    named('lessEqualSignaling', ([a, b]) => predicate(compare.lessEqualSignaling(format, a, b)));
    named('classify', ([a]) => quiet(BigInt(compare.classify(format, a))));
    named('roundToIntegral', ([a], environment) => roundToIntegral(format, a, environment));
    named('roundToIntegralExact', ([a], environment) =>
      roundToIntegral(format, a, { ...environment, signalInexact: true }),
    );
    for (const width of [32, 64] as const) {
      for (const signed of [true, false]) {
        const integer = `${signed ? 'I' : 'U'}${width}`;
        const drawNear = (random: RandomWords): Operands => [drawNearInteger(format, random), 0n, 0n];
        named(
          `to${integer}`,
          ([a], { rounding }, { overflow }) => toInteger(format, a, { width, signed, rounding, overflow }),
          drawNear,
        );
        const drawInteger = (random: RandomWords): Operands => [drawBits(width, random), 0n, 0n];
        named(
          `from${integer}`,
          ([a], environment) => fromInteger(format, a, { ...environment, width, signed }),
          drawInteger,
        );
      }
    }
    if (suffix === 's') named('widen', ([a], environment) => convertFormat(Format.f32, Format.f64, a, environment));
    else named('narrow', ([a], environment) => convertFormat(Format.f64, Format.f32, a, environment), drawNarrowable);
  }
  return list;
}

/** Uniform bits with a random number of leading zeros or ones. */
function drawBits(width: number, random: RandomWords): bigint {
  const uniform = BigInt.asIntN(64, (BigInt(random()) << 32n) | BigInt(random()));
  return BigInt.asUintN(width, uniform >> BigInt(random() % 64));
}

/** Half of the time an integer's neighbourhood: halves, bounds of the integer types; otherwise anything. */
function drawNearInteger(format: Format, random: RandomWords): bigint {
  const environment = { rounding: Rounding.nearestEven };
  if (random() % 2 === 0) return drawOperands(format, 1, random)[0] ?? 0n;
  const bounds = [0n, 1n << 31n, 1n << 32n, 1n << 63n, (1n << 64n) - 1n];
  const bound = bounds[random() % bounds.length] ?? 0n;
  const whole = fromInteger(format, bound + BigInt(random() % 9) - 4n, {
    width: 64,
    signed: false,
    ...environment,
  }).bits;
  const quarters = fromInteger(format, BigInt(random() % 64), { width: 32, signed: false, ...environment }).bits;
  const four = fromInteger(format, 4n, { width: 32, signed: false, ...environment }).bits;
  const near = float.add(format, whole, float.div(format, quarters, four, environment).bits, environment).bits;
  return near ^ (random() % 2 === 0 ? 0n : 1n << BigInt(formatWidth(format) - 1));
}

/** Doubles within and around the range of f32, with ties among them. */
function drawNarrowable(random: RandomWords): Operands {
  const [narrow = 0n, other = 0n] = drawOperands(Format.f32, 2, random);
  if (random() % 4 === 0) return [drawOperands(Format.f64, 1, random)[0] ?? 0n, 0n, 0n];
  const environment = { rounding: Rounding.nearestEven, nan: 'propagate' } as const;
  const wide = convertFormat(Format.f32, Format.f64, narrow, environment).bits;
  const tie = 1n << 28n;
  return [BigInt.asUintN(64, wide + tie * (other & 3n) + ((other >> 2n) & 3n) - 1n), 0n, 0n];
}
