/** The store inside a git repository, on its own ref: it travels with push and pull and touches no branch. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ResultError } from '../result-error.ts';
import type { Change, FileTree } from './file-tree.ts';
import { Git, GitFailure, RESULTS_REF } from './git-command.ts';
import { EMPTY_SNAPSHOT, mergeFiles, readSnapshot, requireStorePaths, writeFiles } from './git-snapshot.ts';
import type { Snapshot } from './git-snapshot.ts';
import { idOfEntry, requireSealed } from './layout.ts';
import { removeStaleLock } from './stale-lock.ts';
import { TreeStore } from './tree-store.ts';

export interface GitStoreOptions {
  /** How long a write or push keeps trying against other writers, in ms; by default two minutes. */
  readonly deadline?: number;
}

export class GitStore extends TreeStore {
  private constructor(tree: FileTree) {
    super(tree);
  }

  /** Any directory inside the repository, work tree or bare. @throws ResultError outside git. */
  static async open(directory: string, { deadline = 120_000 }: GitStoreOptions = {}): Promise<GitStore> {
    return new GitStore(new GitTree(await Git.open(directory), deadline));
  }
}

class GitTree implements FileTree {
  readonly origin = RESULTS_REF;
  readonly #git: Git;
  readonly #deadline: number;
  #snapshot: Snapshot = EMPTY_SNAPSHOT;

  constructor(git: Git, deadline: number) {
    this.#git = git;
    this.#deadline = deadline;
  }

  async paths(): Promise<ReadonlySet<string>> {
    return new Set((await this.#current()).files.keys());
  }

  async read(paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (paths.length === 0) return new Map();
    const { files } = await this.#current();
    const blobs = paths.map((path) => {
      const blob = files.get(path);
      if (blob === undefined) throw new ResultError('is missing', { where: `${RESULTS_REF}:${path}` });
      return blob;
    });
    const texts = await this.#git.read(blobs);
    return new Map(paths.map((path, index) => [path, texts[index]!]));
  }

  async change(edit: (paths: ReadonlySet<string>) => Change | undefined): Promise<void> {
    const blobs = new Map<string, string>();
    await this.#persist(async () => {
      const before = await this.#current();
      const change = edit(new Set(before.files.keys()));
      if (change === undefined) return;
      const files = new Map(before.files);
      for (const [path, text] of change.add) {
        const blob = blobs.get(text) ?? (await this.#git.writeBlob(text));
        blobs.set(text, blob);
        files.set(path, blob);
      }
      for (const path of change.remove) files.delete(path);
      const tree = await writeFiles(this.#git, files, before);
      const parents = before.commit === undefined ? [] : [before.commit];
      await this.#git.moveTip(await this.#git.writeCommit(tree, parents, change.subject), before.commit);
    });
  }

  async push(remote: string): Promise<number> {
    return this.#persist(async () => {
      const theirs = await this.#fetched(remote);
      const ours = await this.#joined(theirs);
      if (ours.commit === undefined || ours.commit === theirs.commit) return 0;
      await this.#git.push(remote, ours.commit);
      return runsMissing(ours, theirs);
    });
  }

  async pull(remote: string): Promise<number> {
    return this.#persist(async () => {
      const before = await this.#current();
      return runsMissing(await this.#joined(await this.#fetched(remote)), before);
    });
  }

  async #current(): Promise<Snapshot> {
    const tip = await this.#git.tip();
    if (tip !== this.#snapshot.commit) this.#snapshot = await readSnapshot(this.#git, tip);
    return this.#snapshot;
  }

  async #fetched(remote: string): Promise<Snapshot> {
    const tip = await this.#git.remoteTip(remote);
    if (tip === undefined) return EMPTY_SNAPSHOT;
    // The remote may have moved on since; what it was then is an ancestor of what comes now.
    await this.#git.fetch(remote);
    const theirs = await readSnapshot(this.#git, tip);
    requireStorePaths(theirs, `${remote}/${RESULTS_REF}`);
    return theirs;
  }

  /** Moves the local ref to where it continues both histories; resolves to that. */
  async #joined(theirs: Snapshot): Promise<Snapshot> {
    const ours = await this.#current();
    if (theirs.commit === undefined || ours.commit === theirs.commit) return ours;
    await this.#requireSound(theirs, ours);
    const parted = ours.commit === undefined ? undefined : await this.#git.mergeBase(ours.commit, theirs.commit);
    if (parted === theirs.commit) return ours;
    if (ours.commit === undefined || parted === ours.commit) {
      await this.#git.moveTip(theirs.commit, ours.commit);
      return theirs;
    }
    const base = await readSnapshot(this.#git, parted);
    const tree = await writeFiles(this.#git, await mergeFiles(this.#git, base, ours, theirs), theirs);
    const subject = 'results: join two histories';
    const commit = await this.#git.writeCommit(tree, [ours.commit, theirs.commit], subject);
    await this.#git.moveTip(commit, ours.commit);
    return this.#current();
  }

  /** What comes from a remote is checked before it becomes part of the history here. */
  async #requireSound(theirs: Snapshot, ours: Snapshot): Promise<void> {
    const fresh = [...theirs.files].filter(([path, blob]) => ours.files.get(path) !== blob);
    const texts = await this.#git.read(fresh.map(([, blob]) => blob));
    for (const [index, [path]] of fresh.entries()) requireSealed(path, texts[index]!, `${RESULTS_REF}:${path}`);
  }

  /**
   * Repeats a step that lost a race until it lands or the deadline passes. The wait is random up to a bound that doubles,
   * so that many writers spread out instead of meeting again.
   */
  async #persist<Value>(step: () => Promise<Value>): Promise<Value> {
    const end = Date.now() + this.#deadline;
    for (let bound = 40; ; bound = Math.min(bound * 2, 1500)) {
      try {
        return await step();
      } catch (error) {
        if (!(error instanceof GitFailure) || !isRace(error.output)) throw error;
        if (Date.now() > end) {
          throw new ResultError(`could not be changed within ${this.#deadline / 1000} s`, {
            where: RESULTS_REF,
            mend: 'try again when fewer processes write to it',
            cause: error,
          });
        }
        if (error.output.includes('.lock')) removeStaleLock(await this.#git.lockPath(), this.#git.directory);
      }
      await sleep(Math.random() * bound);
    }
  }
}

/** Somebody else moved the ref, or holds its lock, here or at the remote; a hook's refusal is final. */
function isRace(output: string): boolean {
  if (/hook declined|protected|denied|prohibited/i.test(output)) return false;
  return /cannot lock ref|unable to (?:create|write) .*\.lock|\[rejected\]|\[remote rejected\]|fetch first|non-fast-forward|failed to update ref|couldn't set/i.test(
    output,
  );
}

function runsMissing(from: Snapshot, at: Snapshot): number {
  let count = 0;
  for (const path of from.files.keys()) if (idOfEntry(path) !== undefined && !at.files.has(path)) count++;
  return count;
}
