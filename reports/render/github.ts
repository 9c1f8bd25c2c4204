/** The job summary and annotations of a GitHub Actions run. */
import { access, constants } from 'node:fs/promises';
import { error, notice, summary, warning } from '@actions/core';
import { oneLine } from '../../emulator/check/errors.ts';
import type { Comparison, ComparisonRow } from '../comparison.ts';
import type { ResultDocument } from '../schema.ts';
import { formatChange, rowName, rowsByUrgency } from './format.ts';
import { renderMarkdown } from './markdown.ts';

/** GitHub shows ten annotations of a kind for a step, and drops a summary beyond 1 MiB. */
const ANNOTATION_LIMIT = 10;
const SUMMARY_LIMIT = 1_000_000;

/** Does nothing outside Actions. Resolves to whether it did something. */
export async function publishToGithub(document: ResultDocument | undefined, comparison?: Comparison): Promise<boolean> {
  if (process.env['GITHUB_ACTIONS'] !== 'true') return false;
  if (comparison !== undefined) annotate(comparison);
  const path = process.env['GITHUB_STEP_SUMMARY'];
  // `summary.write` rejects where the variable or the file is missing, which is no reason to fail a measured run.
  if (path === undefined || !(await isWritable(path))) {
    notice('the job summary cannot be written; the report is in the log');
    return true;
  }
  await summary.addRaw(fitting(renderMarkdown(document, comparison)), true).write();
  return true;
}

function annotate({ rows, verdict, summary: sentence }: Comparison): void {
  const ordered = rowsByUrgency(rows);
  const bad = ordered.filter(
    ({ verdict }) => verdict === 'critical' || verdict === 'regression' || verdict === 'error',
  );
  // The last place of each kind is for the sentence on the whole.
  for (const row of bad.slice(0, ANNOTATION_LIMIT - 1)) error(messageOf(row), { title: oneLine(rowName(row)) });
  const unsure = ordered.filter((row) => row.verdict === 'inconclusive');
  for (const row of unsure.slice(0, ANNOTATION_LIMIT - 1)) warning(messageOf(row), { title: oneLine(rowName(row)) });
  const tell =
    verdict === 'pass' ? notice : verdict === 'inconclusive' || verdict === 'nothing-compared' ? warning : error;
  tell(oneLine(sentence), { title: 'vm-dyno' });
}

function messageOf(row: ComparisonRow): string {
  return oneLine(`${row.verdict}: ${formatChange(row.change)}, ${row.reason}`);
}

/** Cut at a line, so that no table row or reference is left half. */
function fitting(markdown: string): string {
  if (Buffer.byteLength(markdown) <= SUMMARY_LIMIT) return markdown;
  const cut = Buffer.from(markdown).subarray(0, SUMMARY_LIMIT).toString('utf8');
  return `${cut.slice(0, cut.lastIndexOf('\n'))}\n\nThe report was too long for the summary; the rest is in the JSON report.\n`;
}

async function isWritable(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
