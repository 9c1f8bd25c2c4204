/** The files of one commit on the results ref, and how to write and merge such sets. */
import { ResultError } from '../result-error.ts';
import type { Git, TreeEntry } from './git-command.ts';
import { decodeName, entryPath, isStorePath, runPath } from './layout.ts';
import type { StoredName } from './layout.ts';

export interface Snapshot {
  /** Undefined before the first run is stored. */
  readonly commit: string | undefined;
  /** Blob by path. */
  readonly files: ReadonlyMap<string, string>;
  /** Tree by path of the folder, without the root. */
  readonly folders: ReadonlyMap<string, string>;
}

export const EMPTY_SNAPSHOT: Snapshot = { commit: undefined, files: new Map(), folders: new Map() };

export async function readSnapshot(git: Git, commit: string | undefined): Promise<Snapshot> {
  if (commit === undefined) return EMPTY_SNAPSHOT;
  const entries = await git.list(commit);
  const files = new Map<string, string>();
  const folders = new Map<string, string>();
  for (const { type, object, path } of entries) (type === 'blob' ? files : folders).set(path, object);
  return { commit, files, folders };
}

/** Writes the trees that differ from `known`, folders before their parents; resolves to the root. */
export async function writeFiles(git: Git, files: ReadonlyMap<string, string>, known: Snapshot): Promise<string> {
  const changed = new Set<string>(['']);
  for (const path of [...files.keys(), ...known.files.keys()]) {
    if (files.get(path) === known.files.get(path)) continue;
    for (let folder = parentOf(path); folder !== ''; folder = parentOf(folder)) changed.add(folder);
  }
  const children = new Map<string, TreeEntry[]>();
  const attach = (path: string, type: TreeEntry['type'], object: string): void => {
    const siblings = children.get(parentOf(path)) ?? [];
    siblings.push({ type, object, path: path.slice(parentOf(path).length).replace(/^\//, '') });
    children.set(parentOf(path), siblings);
  };
  for (const [path, object] of files) attach(path, 'blob', object);
  for (const [path, object] of known.folders) if (!changed.has(path)) attach(path, 'tree', object);
  const byDepth = Map.groupBy(changed, (folder) => (folder === '' ? 0 : folder.split('/').length));
  let root = '';
  for (const depth of [...byDepth.keys()].sort((a, b) => b - a)) {
    // A folder whose last file went is not written; git keeps no empty folders but the root.
    const folders = byDepth.get(depth)!.filter((folder) => folder === '' || (children.get(folder) ?? []).length > 0);
    if (folders.length === 0) continue;
    const objects = await git.writeTrees(folders.map((folder) => children.get(folder) ?? []));
    for (const [index, folder] of folders.entries()) {
      if (folder === '') root = objects[index]!;
      else attach(folder, 'tree', objects[index]!);
    }
  }
  return root;
}

/**
 * Joins two histories that parted at `base`: what either side added is kept, what either side removed is gone, and of a
 * name moved on both sides the later move wins. A run that a surviving name points at is kept although it was pruned.
 * @throws ResultError when one run's path holds different bytes, or a name is unreadable.
 */
export async function mergeFiles(
  git: Git,
  base: Snapshot,
  ours: Snapshot,
  theirs: Snapshot,
): Promise<ReadonlyMap<string, string>> {
  const merged = new Map<string, string>();
  for (const path of new Set([...ours.files.keys(), ...theirs.files.keys()])) {
    const mine = ours.files.get(path);
    const other = theirs.files.get(path);
    if (mine !== undefined && other !== undefined) merged.set(path, await pick(git, path, mine, other));
    else if (!base.files.has(path)) merged.set(path, (mine ?? other)!);
  }
  for (const [path, blob] of merged) {
    if (!path.startsWith('names/')) continue;
    const { id } = await readName(git, path, blob);
    for (const needed of [runPath(id), entryPath(id)]) {
      const found = merged.get(needed) ?? ours.files.get(needed) ?? theirs.files.get(needed);
      if (found !== undefined) merged.set(needed, found);
    }
  }
  return merged;
}

/** @throws ResultError when the commit holds a path no store writes: it may come from anybody. */
export function requireStorePaths({ files }: Snapshot, origin: string): void {
  for (const path of files.keys()) {
    if (isStorePath(path)) continue;
    throw new ResultError('holds a file that is not a result', {
      where: `${origin}:${JSON.stringify(path.slice(0, 80))}`,
    });
  }
}

async function pick(git: Git, path: string, mine: string, other: string): Promise<string> {
  if (mine === other) return mine;
  if (!path.startsWith('names/')) {
    throw new ResultError('differs between here and the remote, although runs never change', { where: path });
  }
  const [ours, theirs] = [await readName(git, path, mine), await readName(git, path, other)];
  if (ours.setAt !== theirs.setAt) return ours.setAt > theirs.setAt ? mine : other;
  return ours.id > theirs.id ? mine : other;
}

async function readName(git: Git, path: string, blob: string): Promise<StoredName> {
  const [text] = await git.read([blob]);
  return decodeName(text!, path, path);
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}
