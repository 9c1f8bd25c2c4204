/** The report for a terminal. */
import Table from 'cli-table3';
import { createColors } from 'picocolors';
import { oneLine } from '../../emulator/check/errors.ts';
import type { Comparison, ComparisonRow, OverallVerdict, RowVerdict } from '../comparison.ts';
import type { ResultDocument } from '../schema.ts';
import {
  VERDICT_MARKS,
  countRows,
  formatChange,
  formatHead,
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

export interface TerminalOptions {
  /** By default only on a terminal and without NO_COLOR. */
  readonly color?: boolean;
  /** Also rows without a change; by default they are counted in the summary only, counters above all. */
  readonly all?: boolean;
}

type Colors = ReturnType<typeof createColors>;

export function renderTerminal(
  document: ResultDocument | undefined,
  comparison?: Comparison,
  { color = defaultColor(), all = false }: TerminalOptions = {},
): string {
  const colors = createColors(color);
  const parts = [
    ...(document === undefined ? [] : [resultsPart(document, colors)]),
    ...(comparison === undefined ? [] : [comparisonPart(comparison, colors, all)]),
  ];
  return `${parts.join('\n\n')}\n`;
}

/** https://no-color.org: any non-empty value switches colour off. */
function defaultColor(): boolean {
  return process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '' && process.env['TERM'] !== 'dumb';
}

function resultsPart(document: ResultDocument, colors: Colors): string {
  const table = plainTable(['benchmark', 'median', 'CV', 'target', 'remarks'], colors);
  for (const result of document.results) {
    const { attainment, statistics, error } = result;
    const reached =
      attainment === null || attainment.ratio === null
        ? ''
        : `${attainment.met ? '✔' : '✖'} ${attainment.ratio.toFixed(2)}x`;
    const unmet = unmetRules(result);
    table.push([
      result.id,
      formatResult(result),
      statistics === null ? '' : formatPercent(statistics.cv),
      attainment?.met === false ? colors.yellow(reached) : colors.green(reached),
      error === undefined
        ? unmet === ''
          ? ''
          : colors.yellow(`noisy: ${unmet}`)
        : colors.red(shorten(oneLine(error), 60)),
    ]);
  }
  const title = colors.bold(`${document.results.length} benchmarks, ${runTitle(document)}`);
  return [title, colors.dim(machineLine(document)), table.toString()].join('\n');
}

function comparisonPart(comparison: Comparison, colors: Colors, all: boolean): string {
  const { base, head, rows, notes, verdict, summary } = comparison;
  const shown = rowsByUrgency(rows).filter((row) => all || row.verdict !== 'no-change');
  const table = plainTable(['', 'row', 'base', 'head', 'change', 'interval', 'visible', 'why'], colors);
  for (const row of shown) table.push(comparisonCells(row, colors));
  const hidden = rows.length - shown.length;
  return [
    colors.bold(`${base.label} → ${head.label}`),
    ...notes.map((note) => colors.yellow(note)),
    ...(shown.length > 0 ? [table.toString()] : []),
    ...(hidden > 0 ? [colors.dim(`${countRows(hidden)} without a change not shown`)] : []),
    paintOverall(verdict, colors)(colors.bold(summary)),
  ].join('\n');
}

function comparisonCells(row: ComparisonRow, colors: Colors): string[] {
  const paint = paintRow(row.verdict, colors);
  return [
    paint(VERDICT_MARKS[row.verdict]),
    rowName(row),
    formatRowFigure(row.base, row),
    formatHead(row),
    paint(formatChange(row.change)),
    formatInterval(row.interval),
    formatVisible(row),
    paint(shorten(oneLine(`${row.verdict}: ${row.reason}`), 90)),
  ];
}

function paintRow(verdict: RowVerdict, colors: Colors): (text: string) => string {
  if (verdict === 'critical' || verdict === 'regression' || verdict === 'error') return colors.red;
  if (verdict === 'improvement') return colors.green;
  return verdict === 'inconclusive' ? colors.yellow : colors.dim;
}

function paintOverall(verdict: OverallVerdict, colors: Colors): (text: string) => string {
  if (verdict === 'pass') return colors.green;
  return verdict === 'regression' || verdict === 'error' ? colors.red : colors.yellow;
}

/** Columns by spaces alone: it copies well and stays readable in logs. */
function plainTable(head: string[], colors: Colors) {
  const rules = ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'];
  const inner = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
  const chars = Object.fromEntries([...rules, ...inner, 'middle'].map((part) => [part, part === 'middle' ? ' ' : '']));
  const style = { 'padding-left': 0, 'padding-right': 1, head: [], border: [] };
  return new Table({ head: head.map((title) => colors.dim(title)), chars, style });
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
