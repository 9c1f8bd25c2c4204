import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { opsDocument } from './document.ts';
import { OP_NAMES } from './op.ts';

const PATH = join(import.meta.dirname, '../docs/generated/ops.md');

test('the document has a row for every op, and the committed one is up to date', () => {
  const text = opsDocument();
  const rows = [...text.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]!);
  assert.deepEqual(rows.toSorted(), [...OP_NAMES].sort());
  assert.ok(
    text === readFileSync(PATH, 'utf8'),
    'emulator/docs/generated/ops.md is out of date; run: npm run generate',
  );
});
