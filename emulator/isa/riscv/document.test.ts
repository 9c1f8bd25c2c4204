import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isaDocument } from '../document.ts';
import { riscv64 } from './index.ts';

const PATH = join(import.meta.dirname, '../../docs/generated/riscv64.md');

test('the document has a row for every instruction, and the committed one is up to date', () => {
  const text = isaDocument(riscv64, 'emulator/isa/riscv/');
  const names = [...text.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]!);
  assert.deepEqual(names.toSorted(), riscv64.rows.map(({ name }) => name).toSorted());
  assert.ok(
    text === readFileSync(PATH, 'utf8'),
    "emulator/docs/generated/riscv64.md is out of date: write isaDocument(riscv64, 'emulator/isa/riscv/') to it",
  );
});
