/** The report as GitHub-flavoured Markdown, in which no foreign text can break out of its cell. */
import { oneLine } from '../../emulator/check/errors.ts';
import type { Comparison, ComparisonRow } from '../comparison.ts';
import type { ResultDocument } from '../schema.ts';
import {
  VERDICT_MARKS,
  countRows,
  formatChange,
  formatInterval,
  formatPercent,
  formatResult,
  formatRowFigure,
  formatVisible,
  machineLine,
  rowName,
  rowsByUrgency,
  runTitle,
  unmetRules,
} from './format.ts';

/** Rows of a table; a comment holds 64 kB, and nobody reads more. */
const ROW_LIMIT = 200;

export function renderMarkdown(document: ResultDocument | undefined, comparison?: Comparison): string {
  const parts: string[] = [];
  if (comparison !== undefined) parts.push(comparisonPart(comparison));
  if (document !== undefined) parts.push(resultsPart(document));
  return `${parts.join('\n\n')}\n`;
}

/**
 * Every character that means something to Markdown, HTML or GitHub becomes a character reference or is escaped: markup,
 * links, images, mentions, issue numbers, tables and bare addresses. Line breaks and control characters become spaces.
 */
export function escapeMarkdown(text: string): string {
  return oneLine(text).replaceAll(/[\\`*_{}[\]()<>#+!|@&~:$"'^=-]|\/\/|www\./g, (found) =>
    [...found].map((character) => `&#${character.codePointAt(0)};`).join(''),
  );
}

function comparisonPart({ base, head, rows, notes, verdict, summary, confidence }: Comparison): string {
  const ordered = rowsByUrgency(rows);
  const notable = ordered.filter((row) => row.verdict !== 'no-change');
  const quiet = ordered.filter((row) => row.verdict === 'no-change');
  const lines = [
    `## ${MARKS[verdict]} ${escapeMarkdown(summary)}`,
    '',
    `${escapeMarkdown(base.label)} → ${escapeMarkdown(head.label)}, intervals at ${formatPercent(confidence)}`,
    ...notes.flatMap((note) => ['', escapeMarkdown(note)]),
  ];
  if (notable.length > 0) lines.push('', ...comparisonTable(notable));
  if (quiet.length > 0) {
    const title = `<details><summary>${countRows(quiet.length)} without a change</summary>`;
    lines.push('', title, '', ...comparisonTable(quiet), '', '</details>');
  }
  return lines.join('\n');
}

const MARKS: Readonly<Record<Comparison['verdict'], string>> = {
  pass: '✅',
  regression: '❌',
  inconclusive: '❔',
  'nothing-compared': '⚪',
  error: '❗',
};

function comparisonTable(rows: readonly ComparisonRow[]): string[] {
  return table(
    ['', 'row', 'base', 'head', 'unit', 'change', 'interval', 'visible', 'why'],
    '| --- | --- | ---: | ---: | --- | ---: | --- | --- | --- |',
    rows.map((row) => [
      VERDICT_MARKS[row.verdict],
      rowName(row),
      formatRowFigure(row.base, row),
      formatRowFigure(row.head, row),
      row.unit,
      formatChange(row.change),
      formatInterval(row.interval),
      formatVisible(row),
      `${row.verdict}: ${row.reason}`,
    ]),
  );
}

function resultsPart(document: ResultDocument): string {
  const rows = document.results.map((result) => [
    result.id,
    formatResult(result),
    result.statistics === null ? '' : formatPercent(result.statistics.cv),
    result.attainment?.ratio === null || result.attainment === null
      ? ''
      : `${result.attainment.met ? 'met' : 'missed'} ${result.attainment.ratio.toFixed(2)}x`,
    result.error ?? unmetRules(result),
  ]);
  return [
    `### ${escapeMarkdown(runTitle(document))}`,
    '',
    escapeMarkdown(machineLine(document)),
    '',
    ...table(['benchmark', 'median', 'CV', 'target', 'remarks'], '| --- | ---: | ---: | --- | --- |', rows),
  ].join('\n');
}

function table(head: readonly string[], rule: string, rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeMarkdown).join(' | ')} |`;
  const more = rows.length > ROW_LIMIT ? ['', `${rows.length - ROW_LIMIT} more rows are in the JSON report.`] : [];
  return [line(head), rule, ...rows.slice(0, ROW_LIMIT).map(line), ...more];
}
