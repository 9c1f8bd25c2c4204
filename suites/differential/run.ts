/** Holds executors against qemu-riscv64, or against the evaluator, on random instructions. */
import { parseArgs } from 'node:util';
import { compareWithOracle } from './compare.ts';
import { EXECUTOR_NAMES, type ExecutorName } from './execute.ts';
import { evaluatorOracle, qemuOracle } from './oracle.ts';

const USAGE = `usage: scripts/with-runtime suites/differential/run.ts [options]

  --isa riscv64          the only one so far
  --instructions N       for each executor to execute (default 20000; 1e6 is accepted)
  --seed N               repeats a run; otherwise from the clock, and printed
  --executor NAMES       of ${EXECUTOR_NAMES.join(', ')}, parted by commas (default: all)
  --oracle qemu|evaluate what to compare with (default qemu, which is not asked about Zicond and ctzw)

Exit codes: 0 all agree, 1 a difference, 2 usage or no oracle.
`;

function main(args: readonly string[]): number {
  const { values } = parseArgs({
    args: [...args],
    options: {
      isa: { type: 'string', default: 'riscv64' },
      instructions: { type: 'string', default: '20000' },
      seed: { type: 'string', default: String(Date.now() % 0x7fff_ffff) },
      executor: { type: 'string', default: EXECUTOR_NAMES.join(',') },
      oracle: { type: 'string', default: 'qemu' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.isa !== 'riscv64') return refuse(`there is no oracle for '${values.isa}'; there is riscv64`);
  const instructions = Number(values.instructions);
  if (!(instructions >= 1 && instructions <= 1e10)) return refuse(`--instructions ${values.instructions} is no count`);
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed)) return refuse(`--seed ${values.seed} is no integer`);
  const executors = values.executor.split(',') as ExecutorName[];
  const unknown = executors.find((name) => !EXECUTOR_NAMES.includes(name));
  if (unknown !== undefined)
    return refuse(`no executor is called '${unknown}'; there are ${EXECUTOR_NAMES.join(', ')}`);
  if (values.oracle !== 'qemu' && values.oracle !== 'evaluate')
    return refuse(`no oracle is called '${values.oracle}'; there are qemu and evaluate`);
  const oracle = values.oracle === 'qemu' ? qemuOracle() : evaluatorOracle();
  if ('absent' in oracle) return refuse(oracle.absent);

  process.stdout.write(`seed ${seed}, compared with ${oracle.name}\n`);
  const progress = process.stderr.isTTY
    ? (done: number) => void process.stderr.write(`\r${done} instructions`)
    : undefined;
  const result = compareWithOracle({
    seed,
    instructions,
    executors,
    oracle,
    ...(progress ? { progress } : {}),
  });
  if (progress) process.stderr.write('\r');
  for (const text of result.told) process.stdout.write(`\n${text}\n`);
  process.stdout.write(`${result.rows.met} of ${result.rows.all} instructions met\n`);
  for (const each of result.executors) {
    process.stdout.write(
      `${each.name}: ${each.instructions} instructions in ${each.tests} tests, ${each.mismatches} mismatches, ${each.seconds.toFixed(1)} s\n`,
    );
  }
  return result.executors.some(({ mismatches }) => mismatches > 0) ? 1 : 0;
}

function refuse(message: string): number {
  process.stderr.write(`differential: ${message}\n`);
  return 2;
}

process.exitCode = main(process.argv.slice(2));
