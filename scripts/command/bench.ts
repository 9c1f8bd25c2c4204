import { join } from 'node:path';
import { Command } from 'commander';
import { publishToGithub } from '../../reports/render/github.ts';
import { renderHtml } from '../../reports/render/html.ts';
import { renderTerminal } from '../../reports/render/terminal.ts';
import { serializeResultDocument } from '../../reports/schema.ts';
import type { ResultDocument } from '../../reports/schema.ts';
import type { ResultStore } from '../../reports/store/result-store.ts';
import { machineKey } from '../../reports/machine.ts';
import { EXIT } from '../exit.ts';
import { judgeDocuments } from '../judge.ts';
import { note, print, writeWhole } from '../output.ts';
import type { ResolvedResult } from '../resolve-result.ts';
import { openSession, storeOf, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';
import { reportFailures, takeRun } from '../take-run.ts';

const EXAMPLES = `
Compares with the newest stored quick run of this machine. That comparison informs: whether a change is slower is judged
by 'dyno gate', side by side.

Exit codes: 0 measured, 2 a benchmark failed or an error.

Examples:
  npm run bench
  dyno bench isa --json result.json`;

export function command(): Command {
  return withSessionFlags(new Command('bench'))
    .description('The main job: measure every suite, compare with the last baseline, report, store.')
    .argument('[filter...]', 'which benchmarks')
    .option('--html <file>', 'where the report goes (default: .dyno/report.html)')
    .option('--json <file>', 'write the result document too')
    .addHelpText('after', EXAMPLES)
    .action(async (filters: string[], flags: SessionFlags & { html?: string; json?: string }) => {
      const session = await openSession(flags);
      const store = await storeOf(session);
      const document = await takeRun(session, { filters, profile: 'quick' });
      const base = await lastBaseline(store, document);
      const id = await store.put(document);
      const comparison =
        base === undefined ? undefined : judgeDocuments(base, { document, label: 'this run' }, session.settings);
      print(renderTerminal(document, comparison));
      const page = flags.html ?? join(session.directory, '.dyno', 'report.html');
      await writeWhole(page, renderHtml(document, comparison));
      if (flags.json !== undefined) await writeWhole(flags.json, serializeResultDocument(document));
      await publishToGithub(document, comparison);
      note(
        base === undefined ? 'first run on this machine: nothing to compare with yet' : `compared with ${base.label}`,
      );
      note(`report: ${page}`);
      note(
        `stored as ${id.slice(0, 12)} for commit ${document.commit?.slice(0, 10) ?? '(none)'}${document.dirty ? ', with uncommitted changes' : ''}`,
      );
      process.exitCode = reportFailures(document) === 0 ? EXIT.ok : EXIT.error;
    });
}

/** Of this machine's quick runs the newest that measured at least half as much; a filtered run is no baseline for all. */
async function lastBaseline(store: ResultStore, document: ResultDocument): Promise<ResolvedResult | undefined> {
  const runs = await store.list({ machine: machineKey(document.fingerprint), profile: 'quick' });
  const entry = runs.findLast(({ benchmarks }) => benchmarks * 2 >= document.results.length);
  if (entry === undefined) return undefined;
  const label = `the run of ${entry.startedAt} at ${entry.commit?.slice(0, 10) ?? 'no commit'}${entry.dirty ? ' (dirty)' : ''}`;
  return { document: await store.get(entry.id), label };
}
