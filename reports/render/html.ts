/** The report as one HTML file that loads nothing: charts, tables and figures work from a disk or an artifact. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Comparison } from '../comparison.ts';
import { headlineValue } from '../schema.ts';
import type { BenchmarkResult, ResultDocument } from '../schema.ts';
import {
  VERDICT_MARKS,
  formatChange,
  formatFigure,
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
} from './format.ts';

/** Points of a chart; more cannot be told apart on a screen, and 200 benchmarks of 500 keep the file below 2 MB. */
const SAMPLE_LIMIT = 500;

export interface HtmlOptions {
  readonly title?: string;
}

/**
 * Figures travel as JSON in an element that is not executed, and the page's script writes them with textContent only. The
 * policy allows the two scripts and the style sheet by hash and nothing else: no request, no inline handler, no frame.
 */
export function renderHtml(
  document: ResultDocument | undefined,
  comparison?: Comparison,
  { title = 'vm-dyno report' }: HtmlOptions = {},
): string {
  const style = asset('page.css');
  const script = asset('page.js');
  const charts = chartLibrary();
  const policy = [
    "default-src 'none'",
    `style-src ${hashOf(style)}`,
    `script-src ${hashOf(charts)} ${hashOf(script)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const model = JSON.stringify(pageModel(document, comparison)).replaceAll('<', String.raw`\u003c`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1><p id="run"></p><p id="machine" class="quiet"></p></header>
<main id="main"><noscript>This report draws its tables with its own script; allow it to run.</noscript></main>
<script type="application/json" id="model">${model}</script>
<script>${charts}</script>
<script>${script}</script>
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** What the page shows, with every figure already in words. */
function pageModel(document: ResultDocument | undefined, comparison: Comparison | undefined) {
  return {
    run:
      document === undefined ? null : `${runTitle(document)}, ${document.startedAt.slice(0, 16).replace('T', ' ')} UTC`,
    machine: document === undefined ? null : machineLine(document),
    results: document === undefined ? [] : document.results.map(resultModel),
    fingerprint: document === undefined ? [] : fingerprintRows(document),
    comparison: comparison === undefined ? null : comparisonModel(comparison),
  };
}

function resultModel(result: BenchmarkResult) {
  const { id, title, unit, statistics, samples, counters, quality, attainment, error, conditions } = result;
  return {
    id,
    title,
    unit,
    text: formatResult(result),
    value: headlineValue(result),
    interval:
      statistics === null ? '–' : `${formatFigure(statistics.ci95.low)} … ${formatFigure(statistics.ci95.high)}`,
    cv: statistics?.cv ?? null,
    cvText: formatPercent(statistics?.cv ?? null),
    p95: formatFigure(statistics?.p95 ?? null),
    p99: formatFigure(statistics?.p99 ?? null),
    samples: thinned(samples),
    count: samples.length,
    flags: quality.map(({ rule, met, advice }) => ({ rule, met, advice })),
    attainment:
      attainment === null
        ? null
        : {
            ratio: attainment.ratio,
            met: attainment.met,
            text: `${attainment.met ? '✔' : '✖'} ${attainment.ratio === null ? '–' : `${attainment.ratio.toFixed(2)}x`}`,
            of: `${formatFigure(attainment.target)} ${unit} (${attainment.from})`,
          },
    counters: Object.entries(counters).map(([name, value]) => [name, value.toLocaleString('en-US')]),
    conditions: Object.entries(conditions).map(([name, value]) => [name, String(value)]),
    error: error ?? null,
  };
}

function comparisonModel({ base, head, rows, verdict, summary, notes, confidence }: Comparison) {
  return {
    verdict,
    summary,
    notes,
    title: `${base.label} → ${head.label}`,
    confidence: formatPercent(confidence),
    rows: rowsByUrgency(rows).map((row) => ({
      name: rowName(row),
      mark: VERDICT_MARKS[row.verdict],
      verdict: row.verdict,
      counter: row.counter !== undefined,
      base: formatRowFigure(row.base, row),
      head: formatHead(row),
      change: row.change,
      changeText: formatChange(row.change),
      interval: formatInterval(row.interval),
      low: row.interval?.low ?? null,
      high: row.interval?.high ?? null,
      visible: formatVisible(row),
      reason: row.reason,
    })),
  };
}

function fingerprintRows({
  fingerprint,
  startedAt,
  commit,
  dirty,
  runId,
  profile,
}: ResultDocument): [string, string][] {
  const { cpu, cores, memoryMiB, os, arch, runtime, v8, flags, harness } = fingerprint;
  return [
    ['run', runId],
    ['started', startedAt],
    ['commit', commit === null ? 'none' : `${commit}${dirty ? ' with local changes' : ''}`],
    ['profile', profile],
    ['CPU', cpu],
    ['cores', String(cores)],
    ['memory', `${memoryMiB} MiB`],
    ['system', `${os}, ${arch}`],
    ['runtime', `${runtime}, V8 ${v8}`],
    ['flags', flags.length === 0 ? 'none' : flags.join(' ')],
    ['harness', harness],
  ];
}

/** Evenly spaced samples in the order taken; the statistics beside them are of all. */
function thinned(samples: readonly number[]): readonly number[] {
  if (samples.length <= SAMPLE_LIMIT) return samples;
  const step = samples.length / SAMPLE_LIMIT;
  return Array.from({ length: SAMPLE_LIMIT }, (_, index) => samples[Math.floor(index * step)]!);
}

function asset(name: string): string {
  return readFileSync(join(import.meta.dirname, name), 'utf8');
}

/** The package's `exports` hide the single-file build, so it is found beside the entry they show. */
function chartLibrary(): string {
  const path = join(dirname(fileURLToPath(import.meta.resolve('chart.js'))), 'chart.umd.min.js');
  return readFileSync(path, 'utf8').replaceAll(/^\/\/# sourceMappingURL=.*$/gm, '');
}

/** A Content-Security-Policy source for exactly this inline text. */
function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
