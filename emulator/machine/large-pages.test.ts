import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { largePages } from './large-pages.ts';

const MIB = 2 ** 20;
/** Of Linux: each mapping of this process, with its flags, of which `hg` says that large pages have been asked for. */
const SMAPS = '/proc/self/smaps';

function asked(): number {
  return fs.readFileSync(SMAPS, 'utf8').match(/^VmFlags:.* hg\b/gm)?.length ?? 0;
}

test('the host is asked for what it is told, without a warning, and anything may be asked for', (t) => {
  if (process.platform !== 'linux' || !fs.existsSync('/sys/kernel/mm/transparent_hugepage') || !fs.existsSync(SMAPS))
    return t.skip('no transparent huge pages here');
  const warnings: unknown[] = [];
  const { emitWarning } = process;
  process.emitWarning = (warning: unknown) => void warnings.push(warning);
  try {
    const { buffer } = new WebAssembly.Memory({ initial: (64 * MIB) / 65536, maximum: (64 * MIB) / 65536 });
    const before = asked();
    const ask = largePages();
    assert.equal(asked(), before);
    ask(buffer, 16 * MIB, 32 * MIB);
    assert.equal(asked(), before + 1);
    // Of half a page of the host nothing is refused aloud, and nothing beyond the buffer was touched.
    ask(buffer, 16 * MIB + 100, 5000);
    assert.deepEqual(new Uint8Array(buffer, 16 * MIB, 4), new Uint8Array(4));
  } finally {
    process.emitWarning = emitWarning;
  }
  assert.deepEqual(warnings, []);
});
