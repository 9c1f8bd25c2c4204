/** Where the tables, pages and annotations of a comparison go. */
import type { Command } from 'commander';
import { publishToGithub } from '../reports/render/github.ts';
import { renderHtml } from '../reports/render/html.ts';
import { renderMarkdown } from '../reports/render/markdown.ts';
import { renderTerminal } from '../reports/render/terminal.ts';
import type { Comparison } from '../reports/verdict.ts';
import { print, writeWhole } from './output.ts';

export interface ComparisonFlags {
  readonly json?: string;
  readonly html?: string;
  readonly markdown?: string;
  readonly all?: boolean;
}

export function withComparisonFlags(command: Command): Command {
  return command
    .option('--json <file>', 'write the comparison as JSON; - for standard output')
    .option('--html <file>', 'write it as a page')
    .option('--markdown <file>', 'write it as Markdown; - for standard output')
    .option('--all', 'show rows without a change too');
}

/** Prints the comparison and writes the files asked for. */
export async function deliverComparison(comparison: Comparison, flags: ComparisonFlags): Promise<void> {
  const files = [
    [flags.json, () => `${JSON.stringify(comparison, null, 2)}\n`],
    [flags.markdown, () => renderMarkdown(undefined, comparison)],
    [flags.html, () => renderHtml(undefined, comparison)],
  ] as const;
  let taken = false;
  for (const [file, make] of files) {
    if (file === undefined) continue;
    const text = make();
    if (file === '-') {
      taken = true;
      print(text);
    } else await writeWhole(file, text);
  }
  if (!taken) print(renderTerminal(undefined, comparison, { all: flags.all ?? false }));
  await publishToGithub(undefined, comparison);
}
