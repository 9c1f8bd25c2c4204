// Holds decoding and disassembly against GNU objdump: lengths, and text but for the differences named in `plain`.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomWords, testSeed } from '../../bits/float-operands.ts';
import { hasModRm } from './encoding.ts';
import { x86_64 } from './index.ts';
import { X86_64 } from './rows.ts';

const ENCODINGS = 20_000;
/** Room for the longest instruction; what is left over is one-byte no-operations, so that the next slot begins afresh. */
const SLOT = 32;
const NOP = 0x90;

/** No prefixes without effect; one blank after the mnemonic; no `# address` of what rip-relative operands reach; a displacement of zero is not shown. */
function plain(text: string): string {
  return text
    .replace(/\s+#.*$/, '')
    .replace(/^((data16|rex(\.\w+)?)\s+)+/, '')
    .trim()
    .replace(/\s+/, ' ')
    .replaceAll('+0x0]', ']');
}

test('random encodings of every row are as long as objdump says and look as it shows them', (t) => {
  const found = spawnSync('objdump', ['-i'], { encoding: 'utf8' });
  if (found.status !== 0 || !found.stdout.includes('i386')) return t.skip('no objdump that knows x86-64 is installed');
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  const image = new Uint8Array(SLOT * ENCODINGS).fill(NOP);
  for (let slot = 0; slot < ENCODINGS;) {
    const row = X86_64[slot % X86_64.length]!;
    const head = [...(random() % 4 === 0 ? [0x66] : []), ...(random() % 2 === 0 ? [0x40 | (random() & 15)] : [])];
    const bytes = [...head, ...(row.twoByte ? [0x0f] : []), row.opcode];
    const at = bytes.length;
    while (bytes.length < 16) bytes.push(random() & 255);
    if (hasModRm(row.form) && row.digit !== undefined) bytes[at] = (bytes[at]! & 0xc7) | (row.digit << 3);
    const decoded = x86_64.decode(Uint8Array.from(bytes), 0);
    if (decoded?.row !== row) continue;
    image.set(bytes.slice(0, decoded.length), SLOT * slot++);
  }
  const folder = mkdtempSync(join(tmpdir(), 'objdump-'));
  let listing: string;
  try {
    const path = join(folder, 'code.bin');
    writeFileSync(path, image);
    const run = spawnSync(
      'objdump',
      ['-D', '-b', 'binary', '-m', 'i386:x86-64', '-M', 'intel', '--insn-width=16', path],
      { encoding: 'utf8', maxBuffer: 2 ** 30 },
    );
    assert.equal(run.status, 0, run.stderr);
    listing = run.stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
  const lines = new Map<number, { readonly length: number; readonly text: string }>();
  for (const line of listing.split('\n')) {
    const [, address, bytes, text] = /^\s*([0-9a-f]+):\t([0-9a-f ]+?)\s*\t(.*)$/.exec(line) ?? [];
    if (address !== undefined)
      lines.set(Number.parseInt(address, 16), { length: bytes!.replaceAll(' ', '').length / 2, text: plain(text!) });
  }
  const different: string[] = [];
  let shown = 0;
  for (let slot = 0; slot < ENCODINGS; slot++) {
    const decoded = x86_64.decode(image, SLOT * slot)!;
    const ours = plain(x86_64.disassemble(decoded, BigInt(SLOT * slot)));
    const theirs = lines.get(SLOT * slot);
    assert.ok(theirs, `slot ${slot} is listed`);
    assert.equal(decoded.length, theirs.length, `${ours} | ${theirs.text}`);
    // A SIB byte without an index is shown by objdump and not by us.
    if (/riz/.test(theirs.text)) continue;
    shown++;
    if (ours !== theirs.text) different.push(`${theirs.text} | ${ours}`);
  }
  t.diagnostic(`${ENCODINGS} lengths equal; ${shown} lines compared, ${different.length} differ`);
  assert.deepEqual(different.slice(0, 20), []);
  assert.ok(shown > ENCODINGS / 2);
});
