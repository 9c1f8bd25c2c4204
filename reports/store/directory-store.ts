/** A store in a plain directory, for machines or trees without git. */
import { readdir, readFile, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ResultError } from '../result-error.ts';
import { syncFolder, writeAtomically } from './atomic-write.ts';
import type { Change, FileTree } from './file-tree.ts';
import { decodeName, entryPath, idOfEntry, isStorePath, requireSealed, runPath } from './layout.ts';
import { TreeStore } from './tree-store.ts';

/** Unfinished files older than this belong to a process that died; an hour is far beyond any write. */
const ABANDONED_MS = 3_600_000;

export class DirectoryStore extends TreeStore {
  /** The directory need not exist yet; `remote` in push and pull is the path of another store's directory. */
  constructor(directory: string) {
    super(new DirectoryTree(directory));
  }
}

class DirectoryTree implements FileTree {
  readonly origin: string;
  readonly #scratch: string;

  constructor(directory: string) {
    this.origin = directory;
    this.#scratch = join(directory, 'unfinished');
  }

  async paths(): Promise<ReadonlySet<string>> {
    const found: string[] = [];
    for (const name of await this.#entries('names')) found.push(`names/${name}`);
    for (const shard of await this.#entries('runs')) {
      for (const name of await this.#entries(`runs/${shard}`)) found.push(`runs/${shard}/${name}`);
    }
    return new Set(found);
  }

  async read(paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const texts = new Map<string, string>();
    for (const path of paths) texts.set(path, await this.#readOne(path));
    return texts;
  }

  async change(edit: (paths: ReadonlySet<string>) => Change | undefined): Promise<void> {
    const change = edit(await this.paths());
    if (change === undefined) return;
    await this.#sweep();
    for (const [path, text] of change.add) await writeAtomically(join(this.origin, path), text, this.#scratch);
    for (const path of change.remove) await this.#remove(path);
  }

  async push(remote: string): Promise<number> {
    return copyMissing(this, new DirectoryTree(remote));
  }

  async pull(remote: string): Promise<number> {
    const source = new DirectoryTree(remote);
    try {
      await stat(remote);
    } catch (cause) {
      throw new ResultError('cannot be read', { where: remote, mend: 'name the directory of another store', cause });
    }
    return copyMissing(source, this);
  }

  async #readOne(path: string): Promise<string> {
    try {
      return await readFile(join(this.origin, path), 'latin1');
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code ?? 'unreadable';
      throw new ResultError(`cannot be read (${reason})`, { where: `${this.origin}:${path}`, cause });
    }
  }

  async #entries(folder: string): Promise<string[]> {
    try {
      return (await readdir(join(this.origin, folder))).sort();
    } catch (cause) {
      // A store nobody has written to yet is empty; anything else in the way must not look like that.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw new ResultError('cannot be listed', { where: join(this.origin, folder), cause });
    }
  }

  async #remove(path: string): Promise<void> {
    const full = join(this.origin, path);
    try {
      await unlink(full);
      await syncFolder(dirname(full));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw new ResultError('cannot be removed', { where: full, cause });
    }
  }

  async #sweep(): Promise<void> {
    for (const name of await this.#entries('unfinished')) {
      const path = join(this.#scratch, name);
      const found = await stat(path).catch(() => undefined);
      // Somebody else may finish or sweep it in between.
      if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS) await unlink(path).catch(() => undefined);
    }
  }
}

/** Runs are copied once; a name goes over when it is missing there or was moved later here. Resolves to the runs copied. */
async function copyMissing(from: FileTree, to: FileTree): Promise<number> {
  const paths = await from.paths();
  const there = await to.paths();
  const ids = [...paths].map(idOfEntry).filter((id) => id !== undefined && !there.has(entryPath(id)));
  for (const id of ids) {
    const files = await from.read([runPath(id!), entryPath(id!)]);
    for (const [path, text] of files) requireSealed(path, text, `${from.origin}:${path}`);
    await to.change(() => ({ add: files, remove: [], subject: 'results: copy a run' }));
  }
  for (const path of paths) {
    if (!path.startsWith('names/') || !isStorePath(path)) continue;
    const text = (await from.read([path])).get(path)!;
    const ours = decodeName(text, path, `${from.origin}:${path}`);
    const present = there.has(path) ? (await to.read([path])).get(path)! : undefined;
    const theirs = present === undefined ? undefined : decodeName(present, path, `${to.origin}:${path}`);
    if (theirs === undefined || theirs.setAt < ours.setAt) {
      await to.change(() => ({ add: new Map([[path, text]]), remove: [], subject: 'results: copy a name' }));
    }
  }
  return ids.length;
}
