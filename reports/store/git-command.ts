/**
 * Every git command the store runs, as a closed set of argument shapes.
 *
 * Callers give full object names, the store's own constants, and one remote name that is checked here; no text of a user or a result
 * becomes an argument. Plumbing only: neither the index, the work tree, HEAD nor a branch is read or written.
 */
import { resolve } from 'node:path';
import { simpleGit } from 'simple-git';
import { ResultError } from '../result-error.ts';

export const RESULTS_REF = 'refs/dyno/results';

export interface TreeEntry {
  readonly type: 'blob' | 'tree';
  readonly object: string;
  readonly path: string;
}

/** git ended with a failure; `output` is what it said on both streams. */
export class GitFailure extends ResultError {
  readonly output: string;

  constructor(command: string, directory: string, output: string) {
    const full = /no space left|disk quota|couldn't write|unable to write/i.test(output);
    super(`git ${command} failed (${output.trim().slice(0, 300) || 'it did not say why'})`, {
      where: directory,
      mend: full
        ? 'make room on the disk and see that the repository can be written'
        : 'see git fsck in that repository',
    });
    this.output = output;
  }
}

export class Git {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Finds the repository around a directory. @throws ResultError when there is none or git is not installed. */
  static async open(directory: string): Promise<Git> {
    try {
      const argv = ['rev-parse', '--path-format=absolute', '--git-common-dir'];
      return new Git((await run(directory, undefined, argv)).trim());
    } catch (cause) {
      const unowned = cause instanceof GitFailure && cause.output.includes('dubious ownership');
      throw new ResultError(unowned ? 'belongs to another user' : 'is not inside a git repository', {
        where: resolve(directory),
        mend: unowned ? 'git config --global --add safe.directory it' : 'run git init, or store results in a directory',
        cause,
      });
    }
  }

  /** The ref's commit; undefined when there is no such ref. A broken ref is an error, never absence. */
  async tip(): Promise<string | undefined> {
    // rev-parse --verify --quiet would call a damaged ref absent; this names it on standard error.
    const output = await this.#run(['for-each-ref', '--format=%(objectname) %(refname)', RESULTS_REF], { quiet: true });
    const line = output.split('\n').find((candidate) => candidate.endsWith(` ${RESULTS_REF}`));
    return line === undefined ? undefined : objectName(line.slice(0, line.indexOf(' ')));
  }

  /** All files and folders of a commit. */
  async list(commit: string): Promise<readonly TreeEntry[]> {
    const output = await this.#run(['ls-tree', '-r', '-t', '-z', '--full-tree', objectName(commit)]);
    return output.split('\0').slice(0, -1).map(parseTreeEntry);
  }

  /** Texts in the order asked for. @throws ResultError that names the object which is missing or damaged. */
  async read(objects: readonly string[]): Promise<readonly string[]> {
    if (objects.length === 0) return [];
    const output = await this.#run(['cat-file', '--batch'], { input: `${objects.map(objectName).join('\n')}\n` });
    let at = 0;
    return objects.map((object) => {
      const end = output.indexOf('\n', at);
      const header = /^([0-9a-f]+) blob (\d{1,15})$/.exec(output.slice(at, end));
      const start = end + 1;
      const stop = start + Number(header?.[2]);
      if (header?.[1] !== object || output[stop] !== '\n') {
        throw new ResultError('is missing or damaged', {
          where: `git object ${object}`,
          mend: 'fetch it from another clone (dyno baseline pull), and see git fsck',
        });
      }
      at = stop + 1;
      return output.slice(start, stop);
    });
  }

  async writeBlob(text: string): Promise<string> {
    return objectName((await this.#run(['hash-object', '-w', '--stdin'], { input: text })).trim());
  }

  /** Writes several trees at once; each is a list of entries whose path is one segment. */
  async writeTrees(trees: readonly (readonly TreeEntry[])[]): Promise<readonly string[]> {
    const texts = trees.map((entries) =>
      entries
        .map(({ type, object, path }) => `${type === 'tree' ? '040000' : '100644'} ${type} ${object}\t${path}\n`)
        .join(''),
    );
    const output = await this.#run(['mktree', '--batch'], { input: texts.join('\n') });
    const objects = output.trim().split('\n').map(objectName);
    if (objects.length !== trees.length)
      throw new ResultError('wrote another number of trees', { where: 'git mktree' });
    return objects;
  }

  async writeCommit(tree: string, parents: readonly string[], subject: string): Promise<string> {
    const flags = parents.flatMap((parent) => ['-p', objectName(parent)]);
    const argv = ['commit-tree', ...flags, '-F', '-', objectName(tree)];
    return objectName((await this.#run(argv, { input: `${subject}\n` })).trim());
  }

  /** Moves the ref only if it still is at `from` (undefined: does not exist). @throws GitFailure when it is not. */
  async moveTip(to: string, from: string | undefined): Promise<void> {
    const expected = from === undefined ? '0'.repeat(to.length) : objectName(from);
    await this.#run(['update-ref', '--no-deref', RESULTS_REF, objectName(to), expected]);
  }

  /** The best common ancestor; undefined when the two histories share nothing. */
  async mergeBase(a: string, b: string): Promise<string | undefined> {
    try {
      return objectName((await this.#run(['merge-base', objectName(a), objectName(b)])).trim());
    } catch (error) {
      // Exit 1 without a word: no common ancestor. Every other failure speaks.
      if (error instanceof GitFailure && error.output === '') return undefined;
      throw error;
    }
  }

  /** The remote's commit; undefined when it has no results. */
  async remoteTip(remote: string): Promise<string | undefined> {
    const output = await this.#run(['ls-remote', '--refs', '--', remoteName(remote), RESULTS_REF]);
    const line = output.split('\n').find((candidate) => candidate.endsWith(`\t${RESULTS_REF}`));
    return line === undefined ? undefined : objectName(line.slice(0, line.indexOf('\t')));
  }

  /** Brings the remote's commits here without moving any ref. */
  async fetch(remote: string): Promise<void> {
    const flags = ['--quiet', '--no-tags', '--no-prune', '--no-write-fetch-head', '--no-auto-maintenance'];
    await this.#run(['fetch', ...flags, '--recurse-submodules=no', '--', remoteName(remote), RESULTS_REF]);
  }

  /** Adds a commit at the remote; refused there unless it continues what the remote has. */
  async push(remote: string, commit: string): Promise<void> {
    const flags = ['--porcelain', '--no-verify', '--recurse-submodules=no', '--no-follow-tags', '--no-signed'];
    await this.#run(['push', ...flags, '--', remoteName(remote), `${objectName(commit)}:${RESULTS_REF}`]);
  }

  /** Where git keeps the lock of the ref. */
  async lockPath(): Promise<string> {
    const path = (await this.#run(['rev-parse', '--git-path', `${RESULTS_REF}.lock`])).trim();
    return resolve(this.directory, path);
  }

  #run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return run(this.directory, this.directory, argv, options);
  }
}

interface RunOptions {
  readonly input?: string;
  /** Anything on standard error is a failure. */
  readonly quiet?: boolean;
}

/** These carry credentials, proxies and the way to ssh; everything else stays behind. */
const PASSED = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'TMPDIR',
  'SSH_AUTH_SOCK',
  'XDG_CONFIG_HOME',
  'SYSTEMROOT',
  'USERPROFILE',
];
const PROXIES = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY'];

/**
 * The user's own configuration stays in force, because safe.directory and credentials live there; the machine's does not.
 * The author is fixed: a store works where no user.name is set.
 */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ALLOW_PROTOCOL: 'https:ssh:file',
  GIT_AUTHOR_NAME: 'vm-dyno',
  GIT_AUTHOR_EMAIL: 'vm-dyno@localhost',
  GIT_COMMITTER_NAME: 'vm-dyno',
  GIT_COMMITTER_EMAIL: 'vm-dyno@localhost',
};

/** `-c` settings of every command. Objects and the ref are flushed to the disk before they count as written. */
const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.fsync=all',
  'gc.auto=0',
  'maintenance.auto=false',
  'fetch.fsckObjects=true',
];

/** A command that says nothing for this long hangs, e.g. on a dead network. */
const SILENCE_MS = 60_000;

async function run(
  directory: string,
  gitDirectory: string | undefined,
  argv: readonly string[],
  { input, quiet = false }: RunOptions = {},
): Promise<string> {
  const command = argv[0]!;
  const environment: Record<string, string> = { ...ENVIRONMENT };
  for (const key of [...PASSED, ...PROXIES]) {
    const value = process.env[key];
    if (value !== undefined) environment[key] = value;
  }
  if (gitDirectory !== undefined) environment['GIT_DIR'] = gitDirectory;
  let said: string | undefined;
  const fail = (cause: unknown): GitFailure =>
    new GitFailure(command, directory, said ?? (cause instanceof Error ? cause.message : String(cause)));
  try {
    const git = simpleGit({
      baseDir: directory,
      config: SETTINGS,
      trimmed: false,
      timeout: { block: SILENCE_MS },
      allowEnvironment: [...Object.keys(ENVIRONMENT), 'GIT_DIR'].filter((key) => key.startsWith('GIT_')),
      // Each is needed for one constant of SETTINGS or ENVIRONMENT; no argument can use them.
      unsafe: { allowUnsafeHooksPath: true, allowUnsafeFsMonitor: true, allowUnsafeConfigPaths: true },
      input: () => input,
      // Without this a non-zero exit with nothing on standard error counts as success. What git said is kept here, since
      // simple-git turns every error into a message of its own.
      errors: (error, { exitCode, stdErr, stdOut }) => {
        const output = Buffer.concat(exitCode === 0 ? stdErr : [...stdErr, ...stdOut]).toString('utf8');
        if (exitCode === 0 && !(quiet && output.length > 0)) return error;
        if (error === undefined || exitCode > 0) said = output;
        return error ?? Buffer.from(`exit ${exitCode}`);
      },
    }).env(environment);
    return await git.raw([...argv]);
  } catch (cause) {
    throw fail(cause);
  }
}

function parseTreeEntry(line: string): TreeEntry {
  const match = /^(?:100644 (blob)|040000 (tree)) ([0-9a-f]+)\t(.*)$/s.exec(line);
  if (match === null) throw new ResultError('holds something that is not a result', { where: RESULTS_REF });
  const [, blob, , object, path] = match;
  return { type: blob === undefined ? 'tree' : 'blob', object: objectName(object!), path: path! };
}

/** Only full names pass, so no argument can be an option or an expression. */
function objectName(text: string): string {
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)) return text;
  throw new ResultError('is not a full object name', { where: JSON.stringify(text.slice(0, 80)) });
}

/** A configured remote's name: never an option, a path or an address with a transport of its own. */
function remoteName(text: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/.test(text) && !text.includes('..')) return text;
  throw new ResultError('is not the name of a remote', {
    where: JSON.stringify(text.slice(0, 80)),
    mend: 'add it with git remote add NAME ADDRESS and give the name',
  });
}
