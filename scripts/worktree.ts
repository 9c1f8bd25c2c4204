/** Another commit's checkout to measure in: a git worktree below the system's temporary folder, never the user's tree. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HostError } from '../emulator/check/errors.ts';
import { trialScript } from '../suites/harness/trial-process.ts';
import { note } from './output.ts';
import type { Repository } from './repository.ts';

export interface Worktree {
  readonly directory: string;
  /** An empty folder beside it that goes with it. */
  readonly scratch: string;
  /** Whether this commit has the harness at all. */
  readonly measurable: boolean;
  /** Removes it, from the disk and from git's list. */
  dispose(): Promise<void>;
}

/** Checks `commit` out and gives it dependencies: the user's, linked, when the lock files agree, else its own. */
export async function openWorktree(repository: Repository, commit: string, signal: AbortSignal): Promise<Worktree> {
  // Resolved: git refuses to remove a worktree it knows by another name (macOS links its temporary folder).
  const parent = await realpath(await mkdtemp(join(tmpdir(), 'dyno-worktree-')));
  const directory = join(parent, commit.slice(0, 10));
  const dispose = async (): Promise<void> => {
    if (existsSync(directory)) await repository.removeWorktree(directory);
    await rm(parent, { recursive: true, force: true });
  };
  try {
    await repository.addWorktree(directory, commit);
    const measurable = existsSync(trialScript(directory)) && existsSync(join(directory, 'suites'));
    if (measurable) await provideDependencies(directory, repository.directory, signal);
    return { directory, scratch: join(parent, 'scratch'), measurable, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function provideDependencies(directory: string, source: string, signal: AbortSignal): Promise<void> {
  const name = 'package-lock.json';
  const [wanted, present] = await Promise.all([read(join(directory, name)), read(join(source, name))]);
  if (wanted !== undefined && wanted === present) {
    await symlink(join(source, 'node_modules'), join(directory, 'node_modules'));
    return;
  }
  note('the lock files differ: installing the dependencies of the other commit (npm ci)');
  await npmCi(directory, signal);
}

function npmCi(directory: string, signal: AbortSignal): Promise<void> {
  const argv = ['ci', '--ignore-scripts', '--include=optional', '--no-fund', '--no-audit', '--loglevel=error'];
  return new Promise((resolve, reject) => {
    const child = spawn('npm', argv, { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'], signal });
    child.on('error', (cause) => reject(new HostError('cannot run npm', { where: directory, cause })));
    child.on('close', (code) => {
      if (code === 0) resolve();
      else
        reject(
          new HostError(`npm ci ended with exit code ${code}`, { where: directory, mend: 'see its message above' }),
        );
    });
  });
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
