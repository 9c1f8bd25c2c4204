/** How figures and verdicts read, the same in every report. */
import { ROW_VERDICTS } from '../comparison.ts';
import type { ComparisonRow, RowVerdict } from '../comparison.ts';
import { headlineValue } from '../schema.ts';
import type { BenchmarkResult, ResultDocument } from '../schema.ts';

/** Four significant digits, thousands apart, exponents only where plain digits would not fit. */
export function formatFigure(value: number | null): string {
  if (value === null) return '–';
  if (Number.isSafeInteger(value)) return value.toLocaleString('en-US');
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-3) return value.toExponential(3);
  return Number(value.toPrecision(4)).toLocaleString('en-US', { maximumFractionDigits: 6 });
}

/** Exact: two counters that differ never read the same. */
export function formatRowFigure(value: number | null, row: ComparisonRow): string {
  return row.kind === 'counter' && value !== null ? value.toLocaleString('en-US') : formatFigure(value);
}

/** The head's figure with the unit both figures have. */
export function formatHead(row: ComparisonRow): string {
  const figure = formatRowFigure(row.head, row);
  return row.head === null ? figure : `${figure} ${row.unit}`;
}

export function countRows(count: number): string {
  return `${count} ${count === 1 ? 'row' : 'rows'}`;
}

/** `+3.21 %`; a dash for none. A change that is not zero never reads as zero. */
export function formatChange(fraction: number | null): string {
  if (fraction === null) return '–';
  const share = fraction * 100;
  const size = Math.abs(share);
  const digits = size === 0 || size >= 0.01 ? share.toFixed(2) : share.toPrecision(2);
  return `${share > 0 ? '+' : ''}${digits} %`;
}

export function formatPercent(fraction: number | null): string {
  return fraction === null ? '–' : `${(fraction * 100).toFixed(1)} %`;
}

/** `[-0.42 %, +1.10 %]`; a dash for none. */
export function formatInterval(interval: ComparisonRow['interval']): string {
  return interval === null ? '–' : `[${formatChange(interval.low)}, ${formatChange(interval.high)}]`;
}

/** `could have seen 2.3 %`, and how many pairs would show the threshold, when that is the open question. */
export function formatVisible(row: ComparisonRow): string {
  if (row.smallestVisible === null) return '–';
  const more = row.verdict === 'inconclusive' && row.pairsNeeded !== null ? `; needs ~${row.pairsNeeded} pairs` : '';
  return `≥ ${(row.smallestVisible * 100).toPrecision(2)} %${more}`;
}

export function rowName(row: ComparisonRow): string {
  return row.counter === undefined ? row.id : `${row.id} · ${row.counter}`;
}

/** One character beside the colour, so that verdicts read without colour too. */
export const VERDICT_MARKS: Readonly<Record<RowVerdict, string>> = {
  critical: '✖',
  regression: '✖',
  error: '!',
  inconclusive: '?',
  improvement: '✔',
  'no-change': '=',
  new: '+',
  removed: '-',
  'changed-benchmark': '~',
  'other-machine': '#',
};

/** What needs action first, then by how much it changed. Equal counters last, since they are many. */
export function rowsByUrgency(rows: readonly ComparisonRow[]): readonly ComparisonRow[] {
  return rows.toSorted(
    (a, b) =>
      ROW_VERDICTS.indexOf(a.verdict) - ROW_VERDICTS.indexOf(b.verdict) ||
      Number(a.counter !== undefined) - Number(b.counter !== undefined) ||
      Math.abs(b.change ?? 0) - Math.abs(a.change ?? 0),
  );
}

/** `101.0 ns`, or why there is none: `8,771 bytes` by a lone counter's own name, `3 counters`. */
export function formatResult(result: BenchmarkResult): string {
  if (result.error !== undefined) return 'failed';
  const value = headlineValue(result);
  if (value !== null) return `${formatFigure(value)} ${result.unit}`;
  const [first, ...more] = Object.entries(result.counters);
  if (first === undefined) return 'not measured';
  return more.length === 0 ? `${formatFigure(first[1])} ${first[0]}` : `${more.length + 1} counters`;
}

/** `tails, cv`: the names of rules not met. */
export function unmetRules({ quality }: BenchmarkResult): string {
  return quality
    .filter(({ met }) => !met)
    .map(({ name }) => name)
    .join(', ');
}

export function runTitle({ commit, dirty, profile, runId }: ResultDocument): string {
  const of = commit === null ? `run ${runId}` : `commit ${commit.slice(0, 12)}${dirty ? ' with local changes' : ''}`;
  return `${profile} run of ${of}`;
}

export function machineLine({ fingerprint }: ResultDocument): string {
  const { cpu, cores, memoryMiB, os, arch, runtime, flags } = fingerprint;
  const memory = `${(memoryMiB / 1024).toFixed(1)} GiB`;
  return [cpu, `${cores} cores`, memory, os, arch, runtime, ...flags].join(', ');
}
