/** Where tables, pages and annotations of a result or a comparison go. */
import type { Command } from 'commander';
import Table from 'cli-table3';
import { headlineValue } from '../reports/schema.ts';
import type { ResultDocument } from '../reports/schema.ts';
import type { Comparison } from '../reports/verdict.ts';
import { print, writeWhole } from './output.ts';

export interface ComparisonFlags {
  readonly json?: string;
  readonly html?: string;
  readonly markdown?: string;
}

export function withComparisonFlags(command: Command): Command {
  return command
    .option('--json <file>', 'write the comparison as JSON; - for standard output')
    .option('--html <file>', 'write it as a page')
    .option('--markdown <file>', 'write it as Markdown; - for standard output');
}

/** Prints the comparison and writes the files asked for. */
export async function deliverComparison(comparison: Comparison, flags: ComparisonFlags): Promise<void> {
  const files = [
    [flags.json, () => `${JSON.stringify(comparison, null, 2)}\n`],
    [flags.markdown, () => comparisonMarkdown(comparison)],
    [flags.html, () => documentPage(undefined, comparison)],
  ] as const;
  let taken = false;
  for (const [file, make] of files) {
    if (file === undefined) continue;
    const text = await make();
    if (file === '-') {
      taken = true;
      print(text);
    } else await writeWhole(file, text);
  }
  if (!taken) print(showComparison(comparison));
  await announceInActions(undefined, comparison);
}

/** One line a benchmark. */
export function showDocument(document: ResultDocument): string {
  const table = new Table({
    head: ['benchmark', 'median', 'unit', 'cv', 'target', 'counters'],
    style: { head: [], border: [] },
  });
  for (const result of document.results) {
    const { id, unit, statistics, attainment, counters, error } = result;
    const value = headlineValue(result);
    const cv = statistics?.cv === null || statistics === null ? '' : `${(statistics.cv * 100).toFixed(1)} %`;
    const met = attainment === null ? '' : `${attainment.met ? 'met' : 'missed'} (${attainment.target})`;
    table.push([id, error ?? value?.toPrecision(4) ?? '', unit, cv, met, Object.keys(counters).length]);
  }
  return table.toString();
}

/** One line a judged figure, then the verdict. */
export function showComparison(comparison: Comparison): string {
  const percent = (value: number | null | undefined): string =>
    value === null || value === undefined ? '' : `${value < 0 ? '' : '+'}${(value * 100).toFixed(2)} %`;
  const table = new Table({
    head: ['benchmark', 'base', 'head', 'change', 'interval', 'visible', 'pairs', 'verdict', 'why'],
    style: { head: [], border: [] },
  });
  for (const row of comparison.rows) {
    const name = row.counter === undefined ? row.id : `${row.id} ${row.counter}`;
    const interval = row.interval === null ? '' : `${percent(row.interval.low)} … ${percent(row.interval.high)}`;
    const figures = [row.base?.toPrecision(5) ?? '', row.head?.toPrecision(5) ?? ''];
    table.push([
      name,
      ...figures,
      percent(row.change),
      interval,
      percent(row.smallestVisible),
      row.pairs,
      row.verdict,
      row.reason,
    ]);
  }
  return [table.toString(), ...comparison.notes, comparison.summary].join('\n');
}

export function documentPage(document: ResultDocument | undefined, comparison: Comparison | undefined): string {
  const text = [
    document === undefined ? '' : showDocument(document),
    comparison === undefined ? '' : showComparison(comparison),
  ];
  const escaped = text.join('\n').replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<!doctype html><meta charset="utf-8"><title>vm-dyno</title><pre>${escaped}</pre>\n`;
}

export function comparisonMarkdown(comparison: Comparison): string {
  return `\`\`\`\n${showComparison(comparison)}\n\`\`\`\n`;
}

export function documentMarkdown(document: ResultDocument): string {
  return `\`\`\`\n${showDocument(document)}\n\`\`\`\n`;
}

export function documentCsv(document: ResultDocument): string {
  return document.results.map((result) => [result.id, headlineValue(result), result.unit].join(',')).join('\n');
}

export async function announceInActions(
  _document: ResultDocument | undefined,
  _comparison: Comparison | undefined,
): Promise<void> {}
