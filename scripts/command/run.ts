import { Command } from 'commander';
import { ConfigError } from '../../emulator/check/errors.ts';
import { renderHtml } from '../../reports/render/html.ts';
import { renderTerminal } from '../../reports/render/terminal.ts';
import { serializeResultDocument } from '../../reports/schema.ts';
import { EXIT } from '../exit.ts';
import { judgeDocuments } from '../judge.ts';
import { note, print, writeWhole } from '../output.ts';
import { resolveResult } from '../resolve-result.ts';
import { openSession, storeOf, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';
import { parseShard, reportFailures, takeRun } from '../take-run.ts';
import type { RunRequest } from '../take-run.ts';

const EXAMPLES = `
A FILTER is a glob over ids, a leading part of an id, or tag:NAME. Results are stored before anything is judged.

Exit codes: 0 measured, 2 a benchmark failed or an error. Whether a change is slower is for 'dyno gate' to say.

Examples:
  dyno run                                   quick run of everything, stored
  dyno run harness/statistics --full
  dyno run --counters-only --json counters.json
  dyno run --save-baseline before && … && dyno run --baseline before
  dyno run --shard 1/4 --json shard1.json --no-store`;

interface Flags extends SessionFlags {
  readonly quick?: boolean;
  readonly full?: boolean;
  readonly smoke?: boolean;
  readonly countersOnly?: boolean;
  readonly saveBaseline?: string;
  readonly baseline?: string;
  readonly shard?: string;
  readonly store: boolean;
  readonly json?: string;
  readonly html?: string;
}

export function command(): Command {
  return withSessionFlags(new Command('run'))
    .description('Measure benchmarks and store the result.')
    .argument('[filter...]', 'which benchmarks')
    .option('--quick', 'a few minutes for everything (the default)')
    .option('--full', '100 samples, 3 s warm-up, 10 s measuring for each')
    .option('--smoke', 'call every body once: does it run at all; stores nothing')
    .option('--counters-only', 'take the exact counters only')
    .option('--save-baseline <name>', 'give the stored result a name')
    .option('--baseline <result>', 'compare with this name, commit, id or file')
    .option('--shard <i/n>', 'measure one of n parts; join them with dyno merge')
    .option('--no-store', 'do not store the result')
    .option('--json <file>', 'write the result document')
    .option('--html <file>', 'write the report')
    .addHelpText('after', EXAMPLES)
    .action(async (filters: string[], flags: Flags) => {
      process.exitCode = await run(filters, flags);
    });
}

async function run(filters: readonly string[], flags: Flags): Promise<number> {
  const profile = profileOf(flags);
  const storing = flags.store && profile !== 'smoke';
  if (flags.saveBaseline !== undefined && !storing) {
    throw new ConfigError('needs a stored result', { where: '--save-baseline', mend: 'drop --no-store or --smoke' });
  }
  const shard = flags.shard === undefined ? undefined : parseShard(flags.shard);
  const session = await openSession(flags);
  // What could fail after minutes of measuring is tried before.
  const store = storing || flags.baseline !== undefined ? await storeOf(session) : undefined;
  const base =
    flags.baseline === undefined ? undefined : await resolveResult(flags.baseline, store!, session.directory);

  const document = await takeRun(session, { filters, profile, shard });
  if (flags.json !== undefined) {
    const text = serializeResultDocument(document);
    if (flags.json === '-') print(text);
    else await writeWhole(flags.json, text);
  }
  if (storing) {
    const id = await store!.put(document);
    if (flags.saveBaseline !== undefined) await store!.setName(flags.saveBaseline, id);
    note(`stored as ${id.slice(0, 12)}${flags.saveBaseline === undefined ? '' : `, named ${flags.saveBaseline}`}`);
  }
  const comparison =
    base === undefined ? undefined : judgeDocuments(base, { document, label: 'this run' }, session.settings);
  if (flags.html !== undefined) await writeWhole(flags.html, renderHtml(document, comparison));
  if (flags.json !== '-' && profile !== 'smoke') {
    print(renderTerminal(document, comparison));
  }
  const failures = reportFailures(document);
  if (profile === 'smoke') print(`${document.results.length - failures} passed, ${failures} failed`);
  return failures === 0 ? EXIT.ok : EXIT.error;
}

function profileOf({ quick, full, smoke, countersOnly }: Flags): RunRequest['profile'] {
  const chosen = [
    ...(quick === true ? (['quick'] as const) : []),
    ...(full === true ? (['full'] as const) : []),
    ...(smoke === true ? (['smoke'] as const) : []),
    ...(countersOnly === true ? (['counters'] as const) : []),
  ];
  if (chosen.length > 1) throw new ConfigError(`${chosen.join(' and ')} exclude each other`, { mend: 'choose one' });
  return chosen[0] ?? 'quick';
}
