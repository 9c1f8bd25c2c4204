import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { RUNTIME_FLAGS } from '../emulator/machine/runtime-flags.ts';

const SIEVE = join(import.meta.dirname, '..', 'suites', 'guests', 'riscv64', 'sieve');

/** What a guest prints when it is started with or without a directory for compiled functions. */
function sieve(cache: string | undefined): string {
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_COMPILE_CACHE: cache };
  if (cache === undefined) delete env['NODE_COMPILE_CACHE'];
  const args = ['emulate', '--user', SIEVE, '--', '3'];
  return execFileSync(process.execPath, [join(import.meta.dirname, 'start.ts'), ...args], { env, encoding: 'utf8' });
}

test('programs run alike before functions are kept, when they are, and when they have been', (context) => {
  const cache = mkdtempSync(join(tmpdir(), 'dyno-start-'));
  context.after(() => rmSync(cache, { recursive: true }));
  const expected = sieve(undefined);
  assert.match(expected, /\d/);
  assert.equal(sieve(cache), expected);
  assert.notDeepEqual(readdirSync(cache), []);
  assert.equal(sieve(cache), expected);
});

test('the command line starts the runtime as measurements do', () => {
  const script = readFileSync(join(import.meta.dirname, 'dyno'), 'utf8');
  assert.ok(script.includes(`exec "$NODE" ${RUNTIME_FLAGS.join(' ')} `));
  assert.equal(execFileSync(process.execPath, [...RUNTIME_FLAGS, '-p', '1'], { encoding: 'utf8' }), '1\n');
});
