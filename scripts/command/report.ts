import { Command } from 'commander';
import { ConfigError } from '../../emulator/check/errors.ts';
import { renderCsv } from '../../reports/render/csv.ts';
import { renderHtml } from '../../reports/render/html.ts';
import { renderMarkdown } from '../../reports/render/markdown.ts';
import { renderTerminal } from '../../reports/render/terminal.ts';
import { serializeResultDocument } from '../../reports/schema.ts';
import type { ResultDocument } from '../../reports/schema.ts';
import type { Comparison } from '../../reports/verdict.ts';
import { judgeDocuments } from '../judge.ts';
import { print, writeWhole } from '../output.ts';
import { resolveResult } from '../resolve-result.ts';
import { openSession, storeOf, withSessionFlags } from '../session.ts';
import type { SessionFlags } from '../session.ts';

const EXAMPLES = `
Examples:
  dyno report HEAD
  dyno report results.json --html report.html --csv results.csv
  dyno report HEAD --baseline v1 --markdown -`;

/** One row a format: how it is made, and the flag that asks for it. */
const FORMATS: readonly {
  flag: 'html' | 'markdown' | 'csv' | 'json';
  doc: string;
  make: (document: ResultDocument, comparison: Comparison | undefined) => string;
}[] = [
  { flag: 'html', doc: 'a self-contained page', make: (document, comparison) => renderHtml(document, comparison) },
  { flag: 'markdown', doc: 'Markdown', make: renderMarkdown },
  { flag: 'csv', doc: 'comma-separated values', make: renderCsv },
  { flag: 'json', doc: 'the document itself', make: (document) => serializeResultDocument(document) },
];

type Flags = SessionFlags & { readonly baseline?: string } & {
  readonly [F in (typeof FORMATS)[number]['flag']]?: string;
};

export function command(): Command {
  const created = withSessionFlags(new Command('report'))
    .description('Render a stored result.')
    .argument('<result>', 'commit, baseline, id or file')
    .option('--baseline <result>', 'compare it with this one');
  for (const { flag, doc } of FORMATS) created.option(`--${flag} <file>`, `write ${doc}; - for standard output`);
  return created.addHelpText('after', EXAMPLES).action(async (spec: string, flags: Flags) => {
    const session = await openSession(flags);
    const store = await storeOf(session);
    const head = await resolveResult(spec, store, session.directory);
    const base =
      flags.baseline === undefined ? undefined : await resolveResult(flags.baseline, store, session.directory);
    const comparison = base === undefined ? undefined : judgeDocuments(base, head, session.settings);
    const wanted = FORMATS.filter(({ flag }) => flags[flag] !== undefined);
    if (wanted.filter(({ flag }) => flags[flag] === '-').length > 1) {
      throw new ConfigError('only one format can go to standard output', { mend: 'name a file for the others' });
    }
    for (const { flag, make } of wanted) {
      const text = make(head.document, comparison);
      if (flags[flag] === '-') print(text);
      else await writeWhole(flags[flag]!, text);
    }
    if (wanted.length === 0) print(renderTerminal(head.document, comparison));
  });
}
