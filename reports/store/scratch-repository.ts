/** Throw-away repositories and directories for the store's tests and stress runs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Scratch extends Disposable {
  readonly path: string;
}

export function scratchDirectory(): Scratch {
  const path = mkdtempSync(join(tmpdir(), 'dyno-store-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) };
}

export function scratchRepository(): Scratch {
  const scratch = scratchDirectory();
  git(scratch.path, 'init', '--quiet', '--initial-branch=main');
  return scratch;
}

/** Runs git as a test does: without the machine's or the user's configuration. Resolves to trimmed standard output. */
export function git(directory: string, ...argv: readonly string[]): string {
  const env: NodeJS.ProcessEnv = { PATH: process.env['PATH'], HOME: directory, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' };
  return execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', ...argv], {
    cwd: directory,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}
