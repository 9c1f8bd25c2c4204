import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OP_NAMES } from '../ir/op.ts';
import { corpusPaths, readCorpus } from './corpora.ts';
import { EXECUTORS, ISAS } from './registry.ts';
import { checkCorpus } from './runner.ts';

/** So many failures of a file are shown; the rest is counted. */
const SHOWN = 12;

for (const path of corpusPaths()) {
  test(`filetests/${path}`, (t) => {
    const { failures, checks } = checkCorpus(readCorpus(path), { isas: ISAS, executors: EXECUTORS });
    t.diagnostic(`${checks} checks`);
    const lines = failures.slice(0, SHOWN).map(({ line, message }) => `emulator/filetests/${path}:${line}: ${message}`);
    if (failures.length > SHOWN) lines.push(`… and ${failures.length - SHOWN} more`);
    assert.ok(failures.length === 0, lines.join('\n'));
  });
}

test('every op has a case among the IR corpora', () => {
  const seen = new Set<string>();
  for (const path of corpusPaths().filter((each) => each.startsWith('ir/'))) {
    for (const { source, runs } of readCorpus(path).cases) {
      if (runs.length === 0) continue;
      for (const { text } of source) seen.add(text.replace(/^%\w+ = /, '').match(/^\w+/)?.[0] ?? '');
    }
  }
  // `field` is only in the interpreter generator's blocks, `call` needs the helpers of an ISA.
  const missing = OP_NAMES.filter((name) => !seen.has(name) && name !== 'field' && name !== 'call');
  assert.deepEqual(missing, []);
});
