import { Random } from '../../emulator/ir/random.ts';
import { createExecutor, type Executor, type ExecutorName } from './execute.ts';
import { filetestCase, listCode } from './filetest.ts';
import { choices, randomTest } from './generate.ts';
import type { Oracle } from './oracle.ts';
import { reduceTest } from './reduce.ts';
import { answerDifferences, type TestCase } from './test-case.ts';

const TESTS_AT_ONCE = 250;
const INSTRUCTIONS_A_TEST = 48;
/** Reduced and told in full; the rest is only counted. */
const MISMATCHES_TOLD = 5;

export interface Plan {
  readonly seed: number;
  /** To be executed by each executor, at least. */
  readonly instructions: number;
  readonly executors: readonly ExecutorName[];
  readonly oracle: Oracle;
  /** Told after each batch how many instructions the slowest executor has done. */
  readonly progress?: (done: number) => void;
}

export interface Comparison {
  readonly executors: readonly {
    readonly name: ExecutorName;
    readonly tests: number;
    readonly instructions: number;
    readonly mismatches: number;
    readonly seconds: number;
  }[];
  /** Of instructions that occurred in a test, and of those that might have. */
  readonly rows: { readonly met: number; readonly all: number };
  /** The first ones, each reduced, as text. */
  readonly told: readonly string[];
}

/** Runs random tests on the oracle and on the executors until each has done its share. */
export function compareWithOracle({ seed, instructions, executors, oracle, progress }: Plan): Comparison {
  const random = new Random(seed);
  const rows = choices(oracle.includes);
  const met = new Set<string>();
  const told: string[] = [];
  const counts = executors.map((name) => ({
    name,
    executor: createExecutor(name),
    tests: 0,
    instructions: 0,
    mismatches: 0,
    seconds: 0,
  }));
  while (counts.some((count) => count.instructions < instructions)) {
    const tests = Array.from({ length: TESTS_AT_ONCE }, () => randomTest(random, rows, INSTRUCTIONS_A_TEST));
    for (const { code } of tests) for (const { name } of listCode(code)) met.add(name);
    const answers = oracle.run(tests);
    for (const count of counts) {
      if (count.instructions >= instructions) continue;
      const begin = performance.now();
      for (const [index, test] of tests.entries()) {
        const { answer, retired } = count.executor.run(test);
        count.tests++;
        count.instructions += retired;
        const differences = answerDifferences(answer, answers[index]!);
        if (differences.length === 0) continue;
        count.mismatches++;
        if (told.length < MISMATCHES_TOLD) told.push(tell(test, count.executor, oracle));
      }
      count.seconds += (performance.now() - begin) / 1000;
    }
    progress?.(Math.min(...counts.map((count) => count.instructions)));
  }
  return {
    executors: counts.map(({ name, tests, instructions: done, mismatches, seconds }) => {
      return { name, tests, instructions: done, mismatches, seconds };
    }),
    rows: { met: met.size, all: rows.length },
    told,
  };
}

function tell(test: TestCase, executor: Executor, oracle: Oracle): string {
  const differences = (each: TestCase): string[] =>
    answerDifferences(executor.run(each).answer, oracle.run([each])[0]!);
  const smallest = reduceTest(test, (each) => differences(each).length > 0);
  return [
    `# ${executor.name} and ${oracle.name} differ: ${differences(smallest).slice(0, 8).join('; ')}`,
    ...filetestCase(smallest, oracle.run([smallest])[0]!),
  ].join('\n');
}
