import { Command } from 'commander';
import { inspectEnvironment } from '../../suites/harness/environment.ts';
import type { Finding } from '../../suites/harness/environment.ts';
import { fingerprint } from '../../suites/harness/fingerprint.ts';
import { columns, print, writeWhole } from '../output.ts';
import { Repository } from '../repository.ts';
import { openSession, withSessionFlags } from '../session.ts';
import type { Session, SessionFlags } from '../session.ts';

const EXAMPLES = `
Findings marked 'poor' widen intervals; they do not stop a run.

Examples:
  dyno doctor
  dyno doctor --json environment.json`;

/** Fewer samples than these make percentiles and intervals meaningless. */
const FEWEST_SAMPLES = 20;

export function command(): Command {
  return withSessionFlags(new Command('doctor'))
    .description('Is this machine fit to measure on?')
    .option('--json <file>', 'write the findings as JSON; - for standard output')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: SessionFlags & { json?: string }) => {
      const session = await openSession(flags);
      const machine = fingerprint();
      const findings = [...(await inspectEnvironment()), ...(await projectFindings(session))];
      if (flags.json !== undefined) {
        const text = `${JSON.stringify({ machine, findings }, null, 2)}\n`;
        if (flags.json === '-') print(text);
        else await writeWhole(flags.json, text);
        return;
      }
      print(
        `${machine.cpu}, ${machine.cores} cores, ${machine.memoryMiB} MiB, ${machine.os}, ${machine.runtime} (V8 ${machine.v8})`,
      );
      const marks = { good: 'ok', poor: '!!', unknown: '??' };
      const rows = findings.map(({ name, state, value, advice }) => [marks[state], name, value, advice]);
      print(columns(['', 'check', 'finding', 'what to do'], rows));
      const poor = findings.filter(({ state }) => state === 'poor').length;
      print(
        poor === 0
          ? 'fit to measure on'
          : `${poor} findings to look at; paired runs (dyno gate) suffer least from them`,
      );
    });
}

async function projectFindings({ directory, settings }: Session): Promise<Finding[]> {
  const repository = await Repository.open(directory);
  const head = await repository?.head();
  const dirty = (await repository?.isDirty()) ?? false;
  const git: Finding =
    head === undefined
      ? {
          name: 'git',
          state: 'poor',
          value: 'no commit here',
          advice: 'results are stored by commit: git init, git commit',
        }
      : {
          name: 'git',
          state: dirty ? 'poor' : 'good',
          value: `${head.slice(0, 10)}${dirty ? ' with changes' : ''}`,
          advice: dirty ? 'commit first: a dirty result names no state anyone can return to' : '',
        };
  const counts = (['quick', 'full'] as const).map((profile) => settings.get(`harness.${profile}.samples`));
  const few = counts.some((count) => count < FEWEST_SAMPLES);
  return [
    git,
    {
      name: 'sample counts',
      state: few ? 'poor' : 'good',
      value: `quick ${counts[0]}, full ${counts[1]}`,
      advice: few ? `set harness.quick.samples to ${FEWEST_SAMPLES} or more` : '',
    },
  ];
}
