/** The few questions and the two changes (worktrees in, worktrees out) that commands put to git. Argument shapes are closed. */
import { simpleGit } from 'simple-git';
import type { SimpleGit } from 'simple-git';
import { ConfigError, HostError } from '../emulator/check/errors.ts';

const OBJECT_NAME = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export class Repository {
  readonly directory: string;
  readonly #git: SimpleGit;

  private constructor(directory: string, git: SimpleGit) {
    this.directory = directory;
    this.#git = git;
  }

  /** The repository that holds `directory`, or undefined outside git. */
  static async open(directory: string): Promise<Repository | undefined> {
    const git = simpleGit({
      baseDir: directory,
      config: ['core.hooksPath=/dev/null'],
      // Only to switch hooks off: those of the user's repository have no say in a throw-away checkout.
      unsafe: { allowUnsafeHooksPath: true },
      trimmed: true,
      // A non-zero exit with nothing on stderr resolves by default.
      errors: (error, { exitCode }) => error ?? (exitCode === 0 ? undefined : Buffer.from(`git exit ${exitCode}`)),
    });
    try {
      const top = await git.raw('rev-parse', '--show-toplevel');
      return new Repository(top, git);
    } catch (error) {
      const reason = reasonOf(error);
      if (/not a git repository/i.test(reason)) return undefined;
      if (/ENOENT/.test(reason)) throw new HostError('git is not installed', { mend: 'install git', cause: error });
      throw new HostError(`git: ${reason}`, { where: directory, cause: error });
    }
  }

  /** As `open`. @throws ConfigError outside git. */
  static async require(directory: string): Promise<Repository> {
    const repository = await Repository.open(directory);
    if (repository !== undefined) return repository;
    throw new ConfigError('not a git repository', { where: directory, mend: 'run git init, or go to a clone' });
  }

  /** The commit that is checked out, or undefined before the first one. */
  async head(): Promise<string | undefined> {
    return this.resolve('HEAD');
  }

  /** The full name of a commit, or undefined when there is no such one. */
  async resolve(ref: string): Promise<string | undefined> {
    // A leading dash would be an option to git (check-ref-format lets it pass).
    if (ref === '' || ref.startsWith('-') || /\p{Cc}/u.test(ref)) return undefined;
    try {
      const name = await this.#git.raw('rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`);
      return OBJECT_NAME.test(name) ? name : undefined;
    } catch {
      // Verify says by failing that the name is no commit; what could be wrong with git itself was seen in open().
      return undefined;
    }
  }

  /** As `resolve`. @throws ConfigError that also says when the clone is shallow. */
  async requireCommit(ref: string): Promise<string> {
    const commit = await this.resolve(ref);
    if (commit !== undefined) return commit;
    const shallow = (await this.#git.raw('rev-parse', '--is-shallow-repository')) === 'true';
    const mend = shallow ? 'the clone is shallow: run git fetch --unshallow' : "see 'git log --oneline'";
    throw new ConfigError(`'${ref}' is not a commit here`, { mend });
  }

  /** Whether tracked files differ from HEAD or files that are neither tracked nor ignored exist. */
  async isDirty(): Promise<boolean> {
    return (await this.#git.raw('status', '--porcelain', '--untracked-files=normal')) !== '';
  }

  /** The newest commit both have, or undefined when they share none (or the clone is too shallow to tell). */
  async mergeBase(left: string, right: string): Promise<string | undefined> {
    try {
      return await this.#git.raw('merge-base', requireName(left), requireName(right));
    } catch {
      return undefined;
    }
  }

  async addWorktree(path: string, commit: string): Promise<void> {
    try {
      await this.#git.raw('worktree', 'add', '--detach', '--quiet', path, requireName(commit));
    } catch (error) {
      throw new HostError(`cannot check out ${commit.slice(0, 10)}: ${reasonOf(error)}`, { where: path, cause: error });
    }
  }

  async removeWorktree(path: string): Promise<void> {
    await this.#git.raw('worktree', 'remove', '--force', path);
  }

  /** The first line of a commit's message. */
  async subject(commit: string): Promise<string> {
    return this.#git.raw('log', '-1', '--format=%s', requireName(commit));
  }

  /** The last commits from `commit` back, newest first. */
  async ancestors(commit: string, most: number): Promise<string[]> {
    const names = await this.#git.raw('rev-list', `--max-count=${most}`, requireName(commit));
    return names.split('\n').filter((name) => OBJECT_NAME.test(name));
  }
}

function requireName(commit: string): string {
  if (OBJECT_NAME.test(commit)) return commit;
  throw new ConfigError(`'${commit}' is not a full commit id`);
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trim().split('\n')[0] ?? text;
}
