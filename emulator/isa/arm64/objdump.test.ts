// Holds decoding and disassembly against GNU objdump, but for the differences named in `plain`.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomWords, testSeed } from '../../bits/float-operands.ts';
import { arm64 } from './index.ts';
import { A64 } from './rows.ts';

const WORDS = 20_000;

/** Blanks after the mnemonic and commas; no `// comment`; shifts and offsets by nothing, and RET's usual register, are not shown. */
function plain(text: string): string {
  return text
    .replace(/\s*\/\/.*$/, '')
    .trim()
    .replace(/\s+/, ' ')
    .replaceAll(/,\s+/g, ',')
    .replace(/,lsl #0$/, '')
    .replace(/,#0\]$/, ']')
    .replace(/^ret x30$/, 'ret');
}

test('random words of every row are instructions when objdump says so, and look as it shows them', (t) => {
  const command = ['aarch64-linux-gnu-objdump', 'objdump'].find((each) => {
    const { status, stdout } = spawnSync(each, ['-i'], { encoding: 'utf8' });
    return status === 0 && stdout.includes('aarch64');
  });
  if (command === undefined) return t.skip('no objdump that knows AArch64 is installed');
  const seed = testSeed();
  t.diagnostic(`seed ${seed}`);
  const random = randomWords(seed);
  const view = new DataView(new ArrayBuffer(4 * WORDS));
  for (let i = 0; i < WORDS; i++) {
    const { mask, match } = A64[i % A64.length]!;
    // Illegal fields stay in: they must be no instruction for objdump either.
    view.setUint32(4 * i, (random() & ~mask) | match, true);
  }
  const bytes = new Uint8Array(view.buffer);
  const folder = mkdtempSync(join(tmpdir(), 'objdump-'));
  let listing: string;
  try {
    const path = join(folder, 'code.bin');
    writeFileSync(path, bytes);
    const options = ['-D', '-z', '-b', 'binary', '-m', 'aarch64', '-M', 'no-aliases', path];
    const run = spawnSync(command, options, { encoding: 'utf8', maxBuffer: 2 ** 30 });
    assert.equal(run.status, 0, run.stderr);
    listing = run.stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
  const lines = new Map(
    [...listing.matchAll(/^\s*([0-9a-f]+):\t[0-9a-f]{8} +\t(.*)$/gm)].map((match) => [
      Number.parseInt(match[1]!, 16),
      plain(match[2]!),
    ]),
  );
  assert.equal(lines.size, WORDS);
  const different: string[] = [];
  let instructions = 0;
  for (let at = 0; at < 4 * WORDS; at += 4) {
    const decoded = arm64.decode(bytes, at);
    const ours = decoded && plain(arm64.disassemble(decoded, BigInt(at)));
    const theirs = lines.get(at)!;
    if (decoded) instructions++;
    if (ours !== (/^\.(inst|word)/.test(theirs) ? undefined : theirs)) different.push(`${theirs} | ${String(ours)}`);
  }
  t.diagnostic(`${WORDS} words, ${instructions} instructions, ${different.length} differ`);
  assert.deepEqual(different.slice(0, 20), []);
  assert.ok(instructions > WORDS / 2);
});
