import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import type { Page } from 'playwright-core';
import type { Measurement } from '../../suites/harness/measurement.ts';
import { sampleDocument, sampleFacts, sampleMeasurement } from '../sample-document.ts';
import { judgePairs } from '../verdict.ts';
import type { PairedRow } from '../verdict.ts';
import { renderHtml } from './html.ts';

const CHROMIUM = '/usr/bin/chromium';
const HOSTILE = '</script><script>window.owned=1</script><img src=x onerror="window.owned=1">';

function measurements(): Measurement[] {
  return Array.from({ length: 24 }, (_, index) =>
    sampleMeasurement(`decode/riscv/program-${index}-of-the-text-section`, {
      title: index === 0 ? HOSTILE : `Program ${index}`,
      samples: Array.from({ length: 120 }, (_, at) => 100 + index * 3 + ((at * 37) % 23) + (at % 40 === 0 ? 90 : 0)),
      ...(index % 3 === 0 ? {} : { target: { value: 80 + index * 8, from: 'A3' } }),
      ...(index === 5 ? { samples: [], error: 'AssertionError: wrong result\n  at x' } : {}),
    }),
  );
}

function comparison() {
  const rows = Array.from({ length: 12 }, (_, index): PairedRow => {
    const ratio = [1.3, 1.06, 0.9, 1, 1, 1.01][index % 6]!;
    const noise = index % 4 === 3 ? 0.2 : 0.01;
    return {
      facts: sampleFacts(`decode/riscv/program-${index}-of-the-text-section`),
      pairs: Array.from({ length: 12 }, (_, at) => [100, 100 * ratio * (1 + noise * (((at * 7) % 11) / 5 - 1))]),
      baseCounters: { 'ir-ops': 1000 },
      headCounters: { 'ir-ops': index === 2 ? 1010 : 1000 },
      errors: [],
    };
  });
  const run = { label: 'main', commit: null, dirty: false, startedAt: null };
  return judgePairs(rows, {
    thresholds: () => ({ regression: 0.03, improvement: 0.03, critical: 0.2 }),
    base: run,
    head: { ...run, label: HOSTILE },
  });
}

test('the report is one file that names no other and holds hostile text only escaped', () => {
  const html = renderHtml(sampleDocument({}, measurements()), comparison(), { title: HOSTILE });
  assert.equal(html.includes('<img src=x'), false);
  assert.equal(html.match(/<script/g)?.length, 3);
  assert.equal(html.match(/<\/script/g)?.length, 3);
  assert.equal(/<(?:link|iframe|img|object|embed|base)\b/i.test(html.replace(/<script>[^]*<\/script>/, '')), false);
  assert.match(html, /default-src 'none'/);
  assert.equal(html.includes('sourceMappingURL'), false);
  assert.ok(renderHtml(undefined, comparison()).length > 1000);
  assert.ok(renderHtml(sampleDocument({}, [])).length > 1000);
});

const missing = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed`;

test(
  'in Chromium it draws, reads on a phone, sorts, searches, and runs nothing foreign',
  { skip: missing },
  async () => {
    const folder = process.env['DYNO_SCREENSHOTS'] ?? mkdtempSync(join(tmpdir(), 'dyno-html-'));
    const file = join(folder, 'report.html');
    writeFileSync(file, renderHtml(sampleDocument({}, measurements()), comparison()));
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    try {
      for (const colorScheme of ['light', 'dark'] as const) {
        for (const width of [390, 1200]) {
          const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
          const complaints: string[] = [];
          page.on('console', (message) => complaints.push(message.text()));
          page.on('pageerror', (error) => complaints.push(String(error)));
          page.on('request', (request) => {
            if (request.url() !== pathToFileURL(file).href) complaints.push(request.url());
          });
          await page.goto(pathToFileURL(file).href);
          const facts = await page.evaluate(`({
          overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
          owned: window.owned === 1,
          canvases: [...document.querySelectorAll('canvas')].map((canvas) => {
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return pixels.some((value) => value !== 0) && canvas.width > 100;
          }),
          rows: document.querySelectorAll('tbody tr').length,
        })`);
          assert.deepEqual(facts, { overflow: 0, owned: false, canvases: [true, true, true, true], rows: 24 + 24 });
          await page.getByPlaceholder('Search benchmarks').fill('program-17');
          assert.equal(await page.locator('section', { hasText: 'Results' }).locator('tbody tr:visible').count(), 1);
          await page.getByPlaceholder('Search benchmarks').fill('');
          await page.getByRole('button', { name: 'median' }).click();
          const lowest = page.getByPlaceholder('Search benchmarks').locator('..').locator('tbody tr').first();
          assert.match((await lowest.textContent())!, /program-0-/);
          await page.getByRole('button', { name: 'program-5-of' }).click();
          assert.match((await page.textContent('main'))!, /AssertionError: wrong result/);
          await page.getByRole('button', { name: 'program-7-of' }).click();
          if (process.env['DYNO_SCREENSHOTS'] !== undefined)
            await screenshots(page, join(folder, `${colorScheme}-${width}`));
          assert.deepEqual(complaints, []);
          await page.close();
        }
      }
    } finally {
      await browser.close();
      if (process.env['DYNO_SCREENSHOTS'] === undefined) rmSync(folder, { recursive: true });
    }
  },
);

/** For looking at, with DYNO_SCREENSHOTS=folder: one picture of each screenful of interest. */
async function screenshots(page: Page, prefix: string): Promise<void> {
  for (const [index, title] of ['Comparison', 'Targets', 'Results', 'Distribution'].entries()) {
    await page.evaluate(
      `[...document.querySelectorAll('h2')].find((h) => h.textContent.startsWith('${title}')).scrollIntoView()`,
    );
    await page.screenshot({ path: `${prefix}-${index}.png` });
  }
}
