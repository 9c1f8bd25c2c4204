/**
 * Writes emulator/filetests/riscv/: a few runs of every instruction, with the results that qemu-riscv64 gives. They are committed, so that
 * machines without qemu run them too.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Random } from '../../emulator/ir/random.ts';
import { filetestRun, listCode } from './filetest.ts';
import { choices, instructionTests } from './generate.ts';
import { qemuOracle } from './oracle.ts';

const FOLDER = join(import.meta.dirname, '../../emulator/filetests/riscv');
const SEED = 1;
/** There are four orderings of each atomic operation. */
const [VARIANTS, ATOMIC_VARIANTS, RUNS] = [2, 1, 2];

function main(): number {
  const oracle = qemuOracle();
  if ('absent' in oracle) {
    process.stderr.write(`write-filetests: ${oracle.absent}\n`);
    return 2;
  }
  const files = new Map<string, string[]>();
  for (const choice of choices(oracle.includes)) {
    const { name, extension } = choice.row;
    // A file's lines stay what they are when rows come or go elsewhere.
    const random = new Random([...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), SEED) % 2 ** 31);
    const lines = files.get(extension) ?? header(extension, oracle.name);
    files.set(extension, lines);
    for (let variant = 0; variant < (extension === 'A' ? ATOMIC_VARIANTS : VARIANTS); variant++) {
      const tests = instructionTests(random, choice, RUNS);
      const answers = oracle.run(tests);
      const runs = new Set(tests.map((test, index) => filetestRun(test, answers[index]!)));
      lines.push('', listCode(tests[0]!.code)[0]!.line, ...runs);
    }
  }
  mkdirSync(FOLDER, { recursive: true });
  for (const [extension, lines] of files) {
    const path = join(FOLDER, `${extension.toLowerCase()}.ft`);
    writeFileSync(path, `${lines.join('\n')}\n`);
    process.stdout.write(
      `${relative(process.cwd(), path)}: ${lines.filter((line) => line.startsWith(';')).length} runs\n`,
    );
  }
  return 0;
}

function header(extension: string, oracle: string): string[] {
  return [
    `# Instructions of ${extension}. The results are those of ${oracle}, written by suites/differential/write-filetests.ts.`,
    'isa riscv64',
    'test evaluate wasm interpreter',
  ];
}

process.exitCode = main();
