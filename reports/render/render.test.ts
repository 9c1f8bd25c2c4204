import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { sampleDocument, sampleFacts, sampleMeasurement } from '../sample-document.ts';
import { compareDocuments, judgePairs } from '../verdict.ts';
import type { Comparison } from '../verdict.ts';
import { csvCell, renderCsv } from './csv.ts';
import { formatChange, formatFigure, formatResult } from './format.ts';
import { escapeHtml } from './html.ts';
import { escapeMarkdown, renderMarkdown } from './markdown.ts';
import { renderTerminal } from './terminal.ts';

/** Texts that break out of tables, cells, markup, spreadsheets or lines somewhere. */
const HOSTILE = [
  '`code`', '``` \n```', 'a | b', 'a \\| b', 'a\nb', 'a\r\nb', '<img src=x onerror=y>', '<script>', '</details>', '<!-- ', '-->',
  '![x](http://x/y)', '[x](javascript:y)', '[x]: http://x', '<http://x>', 'http://x.invalid', 'www.x.invalid', 'x@y.invalid',
  '@everyone', '#1', 'owner/repo#1', 'GH-1', '**b**', '__b__', '~~s~~', '# h', '> q', '- l', '1. l', '---', '===', '&lt;', '&amp;',
  '\u001b[31m', '\u0000', '\u0008', '\u2028', '=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '|cmd', '%x', '"', '""', 'a,b', 'a;b',
  "'", '＝1', '$x$', '$$', '^[1]', ':+1:', '{{x}}', '\\', '\\\\', '${x}', '::error::x', '::set-output name=x::y', '%0A::error::x',
]; // prettier-ignore

function comparison(label = 'head'): Comparison {
  const head = sampleDocument({}, [
    sampleMeasurement('decode/riscv/all', { counters: { 'guest-instructions': 1001 } }),
    sampleMeasurement('decode/riscv/bad', { samples: [], error: HOSTILE.join(' ') }),
  ]);
  const base = sampleDocument({}, [sampleMeasurement('decode/riscv/all'), sampleMeasurement('decode/riscv/bad')]);
  const thresholds = () => ({ regression: 0.1, improvement: 0.05, critical: 0.2 });
  return compareDocuments(base, head, { thresholds, labels: { base: 'base', head: label } });
}

test('without samples a lone counter is shown by its own name, never in the unit of the time beside it', () => {
  const target = { value: 5, from: 'REQUIREMENTS B2' };
  const shown = (counters: Record<string, number>) => {
    const measurement = sampleMeasurement('wasm/leb128/u32', { unit: 'ns/number', target, samples: [], counters });
    const document = sampleDocument({ profile: 'counters' }, [measurement]);
    const texts = [renderTerminal(document, undefined, { color: false }), renderMarkdown(document)];
    for (const text of texts) assert.doesNotMatch(text, /ns\/number|missed|✖/);
    assert.doesNotMatch(renderCsv(document), /8771,ns/);
    return formatResult(document.results[0]!);
  };
  assert.equal(shown({ bytes: 8771 }), '8,771 bytes');
  assert.equal(shown({ bytes: 8771, words: 2 }), '2 counters');
  assert.equal(shown({}), 'not measured');
});

test('no hostile text survives Markdown as markup', () => {
  assert.ok(HOSTILE.length >= 60);
  for (const text of HOSTILE) {
    const escaped = escapeMarkdown(text);
    const bare = escaped.replaceAll(/&#\d+;/g, '');
    assert.ok(!/[`|<>[\]!@\\*_~#$^{}\n\r]|\/\/|www\.|\p{Cc}/u.test(bare), `${JSON.stringify(text)}: ${escaped}`);
    const table = renderMarkdown(undefined, comparison(text));
    assert.ok(!table.includes('<img') && !table.includes('<script'));
  }
});

test('every line of a Markdown table has the same number of cells whatever a message holds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (error) => {
      const document = sampleDocument({}, [sampleMeasurement('a/b/c', { samples: [], error })]);
      const lines = renderMarkdown(document)
        .split('\n')
        .filter((line) => line.startsWith('|'));
      assert.equal(lines.length, 3);
      for (const line of lines) assert.equal(line.split('|').length, 7, line);
    }),
  );
});

test('no hostile text is a formula or a second record in CSV', () => {
  for (const text of HOSTILE) {
    const cell = csvCell(text);
    assert.ok(!/^"?[=+\-@\t\r|%＝]/.test(cell), `${JSON.stringify(text)}: ${cell}`);
    assert.ok(!/[\n\r]/.test(cell));
  }
  assert.equal(csvCell(-1.5), '-1.5');
  assert.equal(csvCell('a "b", c'), '"a ""b"", c"');
  const lines = renderCsv(sampleDocument()).split('\r\n');
  assert.equal(lines.length, 4);
  const columns = lines[0]!.split(',').length;
  for (const line of lines.slice(0, 3)) assert.equal(line.split(',').length, columns);
  assert.equal(renderCsv(undefined, comparison()).split('\r\n').length, 2 + comparison().rows.length);
});

test('HTML text is escaped to references only', () => {
  for (const text of HOSTILE) assert.ok(!/[<>"'`]/.test(escapeHtml(text)));
  assert.equal(escapeHtml('a&b'), 'a&#38;b');
});

test('the plain terminal report has no control characters, the coloured one only colours', () => {
  const document = sampleDocument({}, [
    sampleMeasurement('decode/riscv/all', { target: { value: 200, from: 'A3' } }),
    sampleMeasurement('decode/riscv/bad', { samples: [], error: HOSTILE.join('\n') }),
  ]);
  const plain = renderTerminal(document, comparison(), { color: false });
  assert.ok(!/[^\P{Cc}\n]/u.test(plain), JSON.stringify(plain));
  assert.match(plain, /decode\/riscv\/all +101 ns +1\.0 % +✔ 1\.98x/);
  assert.match(plain, /✖ +decode\/riscv\/all · guest-instructions +1,000 +1,001 count +\+0\.10 %/);
  assert.match(plain, /regression: 1 regression, 1 error, 1 inconclusive; 0 rows tested/);
  const coloured = renderTerminal(document, comparison(), { color: true });
  // oxlint-disable-next-line no-control-regex
  assert.equal(coloured.replaceAll(/\u001b\[\d+m/g, ''), plain);
  assert.notEqual(coloured, plain);
});

test('rows without a change are counted, not listed, unless asked for', () => {
  const facts = sampleFacts('a/b/c');
  const row = { facts, pairs: [], baseCounters: { x: 1 }, headCounters: { x: 1 }, errors: [] };
  const run = { label: 'x', commit: null, dirty: false, startedAt: null };
  const thresholds = () => ({ regression: 0.1, improvement: 0.05, critical: 0.2 });
  const quiet = judgePairs([row], { thresholds, base: run, head: run });
  assert.match(renderTerminal(undefined, quiet, { color: false }), /1 row without a change not shown/);
  assert.match(renderTerminal(undefined, quiet, { color: false, all: true }), /a\/b\/c · x/);
});

test('figures read short, and a change never reads as none', () => {
  assert.deepEqual([0, 7, 1234567, 1.23456, 1234.5678, 1e-9, 2.5e12, null].map(formatFigure), [
    '0',
    '7',
    '1,234,567',
    '1.235',
    '1,235',
    '1.000e-9',
    '2,500,000,000,000',
    '–',
  ]);
  assert.deepEqual([0, 0.0312, -0.5, 1e-7, null].map(formatChange), [
    '0.00 %',
    '+3.12 %',
    '-50.00 %',
    '+0.000010 %',
    '–',
  ]);
});

test('in Actions the summary is written and annotations cannot forge commands; elsewhere nothing happens', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dyno-summary-'));
  const file = join(folder, 'summary.md');
  writeFileSync(file, '');
  writeFileSync(join(folder, 'input.json'), JSON.stringify([sampleDocument(), comparison()]));
  // In a process of its own, since annotations go to standard output, where the test runner speaks too.
  const publish = (env: NodeJS.ProcessEnv): string[] => {
    const script = `
      import { readFileSync } from 'node:fs';
      import { publishToGithub } from ${JSON.stringify(new URL('github.ts', import.meta.url).href)};
      const [document, comparison] = JSON.parse(readFileSync(${JSON.stringify(join(folder, 'input.json'))}, 'utf8'));
      console.log('published', await publishToGithub(document, comparison));`;
    const argv = ['--input-type=module', '-e', script];
    return execFileSync(process.execPath, argv, { env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' })
      .split('\n')
      .filter((line) => line !== '');
  };
  try {
    assert.deepEqual(publish({}), ['published false']);
    const lines = publish({ GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: file });
    // Two bad rows, one unsure row and the sentence.
    assert.deepEqual(
      lines.map((line) => /^::[a-z]+|^published .*/.exec(line)?.[0]),
      ['::error', '::error', '::warning', '::error', 'published true'],
    );
    assert.match(readFileSync(file, 'utf8'), /regression/);
    const without = publish({ GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: join(folder, 'missing') });
    assert.ok(without.some((line) => line.startsWith('::notice')));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
