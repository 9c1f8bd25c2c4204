import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TIERS } from '../../emulator/machine/tier.ts';
import { groupVerdicts } from './group.ts';

const RUN = join(import.meta.dirname, 'run.ts');
const GUEST = join(import.meta.dirname, '../guests/bare/riscv64/hello');

test('verdicts are grouped by what stands before the last part of the name', () => {
  const passed = (name: string) => ({ name, problem: undefined });
  const failed = { name: 'rv64ui-p-sub', problem: 'exit code 3' };
  assert.deepEqual(groupVerdicts([passed('rv64um-p-mul'), failed, passed('rv64ui-p-add'), passed('odd')]), [
    { name: 'other', passed: 1, failed: [] },
    { name: 'rv64ui-p', passed: 1, failed: [failed] },
    { name: 'rv64um-p', passed: 1, failed: [] },
  ]);
});

test('programs of a directory are run, and a damaged one is told', () => {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [RUN, folder, ...args], { encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  try {
    assert.equal(run().status, 2);
    cpSync(GUEST, join(folder, 'rv64xx-p-good'));
    writeFileSync(join(folder, 'rv64xx-p-good.dump'), 'not a program');
    const good = run();
    assert.equal(good.status, 0, good.stdout + good.stderr);
    assert.match(good.stdout, /rv64xx-p +1 pass +0 fail/);
    const all = run('--executor', 'all');
    assert.equal(all.status, 0, all.stdout + all.stderr);
    for (const tier of TIERS) if (tier !== 'auto') assert.match(all.stdout, new RegExp(`^${tier}\\n .* 1 pass`, 'm'));
    writeFileSync(join(folder, 'rv64xx-p-bad'), '\x7fELF and no more');
    const bad = run('--executor', 'interpreter');
    assert.equal(bad.status, 1);
    assert.match(bad.stdout, /rv64xx-p +1 pass +1 fail\n +rv64xx-p-bad: /);
    assert.equal(run('--executor', 'none').status, 2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
