import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { elfPath, findGuest } from '../../suites/guests/guests.ts';

const dyno = path.join(import.meta.dirname, '..', 'dyno');
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dyno-translation-'));
after(() => fs.rmSync(root, { recursive: true, force: true }));
const fib = elfPath(findGuest('fib'), 'riscv64');

/** `fib 30`, which spends some 30 million instructions in one recursive function. */
function emulate(...flags: readonly string[]) {
  const result = spawnSync(dyno, ['emulate', '--user', fib, '--deterministic', ...flags, '--', '30'], {
    encoding: 'utf8',
  });
  return { code: result.status, errors: result.stderr };
}

test('--timeline says when what was translated, --dump shows the region at an address', () => {
  const timeline = emulate('--timeline');
  assert.equal(timeline.code, 0, timeline.errors);
  const [, first] = timeline.errors.split('\n');
  const [at = '', seed = ''] = first!.trim().split(/\s+/);
  assert.ok(Number(at.replaceAll(',', '')) > 0, timeline.errors);
  const { errors } = emulate('--dump', `wasm,ir,regions:${seed}`);
  assert.match(errors, new RegExp(`^Region ${seed}, generation \\d+\\n`));
  assert.match(errors, /places to leave: .*return/);
  assert.match(errors, /\(entry, loop\)/);
  assert.match(errors, /as lifted, (\d+) operations\ninsn pc=/);
  assert.match(errors, /after the passes, (\d+) operations\ninsn pc=/);
  assert.match(errors, /\(module\n/);
  assert.match(emulate('--dump', 'ir:0x2').errors, /^No region was made that holds 0x2\./);
});

test('a --dump of nothing that exists is refused in one line', () => {
  for (const wrong of ['ir', 'ir:', 'ir:x', 'ir:-1', 'code:0x10', 'ir:1:2', ':0x10']) {
    const { code, errors } = emulate('--dump', wrong);
    assert.equal(code, 2, errors);
    assert.match(errors, /^dyno: --dump: .* is not something to dump; write .*\n$/);
  }
});

test('--stats without a file is a table, with one it holds what was translated too', () => {
  const table = emulate('--stats');
  for (const row of ['in regions', 'level 1: jump cache', 'level 3: stored code', 'pass algebra', 'live WebAssembly'])
    assert.ok(table.errors.includes(row), row);
  const file = path.join(root, 'stats.json');
  emulate('--stats', file);
  const stats = JSON.parse(fs.readFileSync(file, 'utf8')) as {
    instructions: number;
    tier: { interpreter: number; regions: number };
    translation: { translated: number; passes: object; liveBytes: number };
  };
  assert.equal(stats.tier.interpreter + stats.tier.regions, stats.instructions);
  assert.ok(stats.tier.regions > 0 && stats.translation.translated > 0 && stats.translation.liveBytes > 0);
});

test('--cache-dir makes the second start warm; one that cannot be is refused', () => {
  const directory = path.join(root, 'cache');
  const translated = () => {
    const file = path.join(root, 'warm.json');
    const { code, errors } = emulate('--cache-dir', directory, '--stats', file);
    assert.equal(code, 0, errors);
    return (JSON.parse(fs.readFileSync(file, 'utf8')) as { translation: { translated: number } }).translation
      .translated;
  };
  const first = translated();
  assert.ok(first > 0 && translated() * 3 <= first);
  const { code, errors } = emulate('--cache-dir', fib);
  assert.equal(code, 2, errors);
  assert.match(errors, /^dyno: .*cannot be made a directory \(EEXIST\)/);
});
