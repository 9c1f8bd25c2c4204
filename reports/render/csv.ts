/** The report as comma-separated values (RFC 4180), one row a benchmark and one a counter. */
import { oneLine } from '../../emulator/check/errors.ts';
import type { Comparison } from '../comparison.ts';
import { headlineValue } from '../schema.ts';
import type { ResultDocument } from '../schema.ts';

type Cell = string | number | boolean | null | undefined;

/** With a comparison its rows, otherwise the results. Figures are unrounded, in the benchmark's unit or as fractions. */
export function renderCsv(document: ResultDocument | undefined, comparison?: Comparison): string {
  const rows =
    comparison === undefined ? (document === undefined ? [] : resultRows(document)) : comparisonRows(comparison);
  return rows.map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

/**
 * Quoted where needed. A text that a spreadsheet would run as a formula (OWASP, "CSV Injection") gets an apostrophe in
 * front; numbers stay numbers.
 */
export function csvCell(cell: Cell): string {
  if (cell === null || cell === undefined) return '';
  if (typeof cell !== 'string') return String(cell);
  // Before control characters are made visible: a leading tab or return starts a formula too.
  const risky = /^[\s\p{Cc}]*[=+\-@|%＝＋－＠]/u.test(cell) || /^[\t\r\n]/.test(cell);
  const text = `${risky ? "'" : ''}${oneLine(cell)}`;
  return /[",;\s']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function resultRows({ results, runId, commit, profile }: ResultDocument): Cell[][] {
  const head = [
    'run',
    'commit',
    'profile',
    'id',
    'counter',
    'value',
    'unit',
    'kind',
    'direction',
    'count',
    'mean',
    'sd',
  ];
  const tail = ['cv', 'min', 'p25', 'p75', 'p95', 'p99', 'max', 'ci95_low', 'ci95_high', 'target', 'met', 'error'];
  const rows = results.flatMap((result): Cell[][] => {
    const { id, unit, kind, direction, statistics: s, attainment, error, counters } = result;
    const start = [runId, commit, profile, id];
    const spread = [
      s?.count,
      s?.mean,
      s?.sd,
      s?.cv,
      s?.min,
      s?.p25,
      s?.p75,
      s?.p95,
      s?.p99,
      s?.max,
      s?.ci95.low,
      s?.ci95.high,
    ];
    const own = [
      ...start,
      '',
      headlineValue(result),
      unit,
      kind,
      direction,
      ...spread,
      attainment?.target,
      attainment?.met,
      error,
    ];
    const counted = Object.entries(counters).map(([name, value]) => [...start, name, value, 'count', 'counter']);
    return [own, ...counted.map((row) => [...row, ...Array.from({ length: own.length - row.length }, () => '')])];
  });
  return [[...head, ...tail], ...rows];
}

function comparisonRows({ rows, base, head }: Comparison): Cell[][] {
  const names = ['base', 'head', 'id', 'counter', 'unit', 'kind', 'base_value', 'head_value', 'change', 'low', 'high'];
  const more = ['smallest_visible', 'p', 'pairs', 'threshold', 'verdict', 'reason'];
  return [
    [...names, ...more],
    ...rows.map((row): Cell[] => [
      base.label,
      head.label,
      row.id,
      row.counter,
      row.unit,
      row.kind,
      row.base,
      row.head,
      row.change,
      row.interval?.low,
      row.interval?.high,
      row.smallestVisible,
      row.p,
      row.pairs,
      row.threshold,
      row.verdict,
      row.reason,
    ]),
  ];
}
