/** The store's behaviour, over any place that holds its files. */
import { readFile, stat } from 'node:fs/promises';
import { DOCUMENT_LIMITS } from '../hostile-json.ts';
import { ResultError } from '../result-error.ts';
import { parseResultDocument, serializeResultDocument } from '../schema.ts';
import type { ResultDocument } from '../schema.ts';
import { writeAtomically } from './atomic-write.ts';
import type { FileTree } from './file-tree.ts';
import {
  decodeEntry,
  decodeName,
  decodeRun,
  encodeName,
  encodeRun,
  entryPath,
  idOfEntry,
  idOfRun,
  isStorePath,
  namePath,
  requireName,
  runPath,
} from './layout.ts';
import type {
  LatestFilter,
  PruneOptions,
  PruneOutcome,
  ResultStore,
  StoreEntry,
  StoreFilter,
  TransferOutcome,
  VerifyOutcome,
} from './result-store.ts';

/** Documents read in one go while verifying: enough to spare starting a process for each, few enough to hold in memory. */
const VERIFY_BATCH = 32;

export class TreeStore implements ResultStore {
  readonly #tree: FileTree;

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  async put(document: ResultDocument): Promise<string> {
    const { id, document: text, entry } = encodeRun(document);
    await this.#tree.change((paths) => {
      if (paths.has(entryPath(id))) return undefined;
      // The entry comes last: a run is listed only once its document is there.
      const add = new Map([
        [runPath(id), text],
        [entryPath(id), entry],
      ]);
      return { add, remove: [], subject: `results: add run ${id.slice(0, 12)}` };
    });
    return id;
  }

  async get(id: string): Promise<ResultDocument> {
    const full = await this.#resolve(id);
    const path = runPath(full);
    const texts = await this.#tree.read([path]);
    return decodeRun(texts.get(path)!, full, this.#where(path));
  }

  async list(filter: StoreFilter = {}): Promise<readonly StoreEntry[]> {
    const paths = await this.#tree.paths();
    const ids = [...paths].map(idOfEntry).filter((id) => id !== undefined);
    const texts = await this.#tree.read(ids.map(entryPath));
    const names = Map.groupBy(await this.names(), ([, id]) => id);
    const entries = ids.map((id): StoreEntry => {
      const path = entryPath(id);
      const facts = decodeEntry(texts.get(path)!, this.#where(path));
      return { id, ...facts, names: (names.get(id) ?? []).map(([name]) => name).sort() };
    });
    return entries
      .filter(({ commit }) => filter.commit === undefined || commit === filter.commit)
      .filter(({ machine }) => filter.machine === undefined || machine === filter.machine)
      .filter(({ profile }) => filter.profile === undefined || profile === filter.profile)
      .sort((a, b) => Date.parse(a.startedAt) - Date.parse(b.startedAt) || (a.id < b.id ? -1 : 1));
  }

  async latest({ excludeCommit, machineKey, profile }: LatestFilter = {}): Promise<StoreEntry | undefined> {
    const entries = await this.list({
      ...(machineKey === undefined ? {} : { machine: machineKey }),
      ...(profile === undefined ? {} : { profile }),
    });
    return entries.findLast(({ commit }) => excludeCommit === undefined || commit !== excludeCommit);
  }

  async setName(name: string, id: string): Promise<void> {
    const path = namePath(requireName(name));
    const full = await this.#resolve(id);
    await this.#tree.change((paths) => {
      if (!paths.has(entryPath(full))) throw this.#missing(full);
      const text = encodeName({ name, id: full, setAt: new Date().toISOString() });
      return { add: new Map([[path, text]]), remove: [], subject: `results: name run ${full.slice(0, 12)}` };
    });
  }

  async names(): Promise<ReadonlyMap<string, string>> {
    const paths = [...(await this.#tree.paths())].filter((path) => path.startsWith('names/'));
    const texts = await this.#tree.read(paths);
    const stored = paths.map((path) => decodeName(texts.get(path)!, path, this.#where(path)));
    return new Map(stored.map(({ name, id }) => [name, id]));
  }

  async prune({ keep, dryRun = false }: PruneOptions): Promise<PruneOutcome> {
    if (!Number.isSafeInteger(keep) || keep < 1) {
      throw new ResultError(`cannot keep ${keep} runs`, { where: 'prune', mend: 'keep 1 or more' });
    }
    const entries = await this.list();
    const series = Map.groupBy(entries, ({ machine, profile }) => `${machine} ${profile}`);
    const removed = [...series.values()].flatMap((runs) =>
      runs.slice(0, -keep).filter(({ names }) => names.length === 0),
    );
    if (!dryRun && removed.length > 0) {
      await this.#tree.change((paths) => {
        // The entry goes first: what is listed is always whole.
        const remove = removed.flatMap(({ id }) => [entryPath(id), runPath(id)]).filter((path) => paths.has(path));
        return { add: new Map(), remove, subject: `results: prune ${removed.length} runs` };
      });
    }
    return { kept: entries.length - removed.length, removed };
  }

  async verify(): Promise<VerifyOutcome> {
    const paths = await this.#tree.paths();
    const problems = [...paths]
      .filter((path) => !isStorePath(path))
      .map((path) => `${this.#where(path)}: does not belong here`);
    const runs = [...paths].map(idOfRun).filter((id) => id !== undefined);
    for (let start = 0; start < runs.length; start += VERIFY_BATCH) {
      for (const id of runs.slice(start, start + VERIFY_BATCH)) {
        if (!paths.has(entryPath(id))) problems.push(`${this.#where(runPath(id))}: has no entry; store the run again`);
      }
      const batch = runs.slice(start, start + VERIFY_BATCH).filter((id) => paths.has(entryPath(id)));
      problems.push(...(await this.#problemsOf(batch)));
    }
    for (const path of paths) {
      const id = idOfEntry(path);
      if (id !== undefined && !paths.has(runPath(id))) problems.push(`${this.#where(path)}: its document is missing`);
    }
    problems.push(...(await this.#problemsOfNames(paths)));
    return { checked: paths.size, problems };
  }

  async push(remote: string): Promise<TransferOutcome> {
    return { runs: await this.#tree.push(remote) };
  }

  async pull(remote: string): Promise<TransferOutcome> {
    return { runs: await this.#tree.pull(remote) };
  }

  async importFile(path: string): Promise<string> {
    return this.put(await readResultFile(path));
  }

  async exportFile(id: string, path: string): Promise<void> {
    await writeAtomically(path, serializeResultDocument(await this.get(id)));
  }

  async #problemsOf(ids: readonly string[]): Promise<string[]> {
    const paths = ids.flatMap((id) => [runPath(id), entryPath(id)]);
    const problems: string[] = [];
    let texts: ReadonlyMap<string, string>;
    try {
      texts = await this.#tree.read(paths);
    } catch (error) {
      if (!(error instanceof ResultError)) throw error;
      // One unreadable file spoils the batch; alone, it is the one that is named.
      if (ids.length === 1) return [error.line()];
      for (const id of ids) problems.push(...(await this.#problemsOf([id])));
      return problems;
    }
    for (const id of ids) {
      const complaint = complaintOf(() => {
        const document = decodeRun(texts.get(runPath(id))!, id, this.#where(runPath(id)));
        if (encodeRun(document).entry !== texts.get(entryPath(id))) {
          throw new ResultError('does not agree with its document', { where: this.#where(entryPath(id)) });
        }
      });
      if (complaint !== undefined) problems.push(complaint);
    }
    return problems;
  }

  async #problemsOfNames(paths: ReadonlySet<string>): Promise<string[]> {
    const problems: string[] = [];
    for (const path of paths) {
      if (!path.startsWith('names/') || !isStorePath(path)) continue;
      try {
        const texts = await this.#tree.read([path]);
        const { name, id } = decodeName(texts.get(path)!, path, this.#where(path));
        if (!paths.has(entryPath(id)))
          problems.push(`${this.#where(path)}: '${name}' points at a run that is not there`);
      } catch (error) {
        if (!(error instanceof ResultError)) throw error;
        problems.push(error.line());
      }
    }
    return problems;
  }

  async #resolve(id: string): Promise<string> {
    if (!/^[0-9a-f]{8,64}$/.test(id)) {
      throw new ResultError('is not the id of a run', {
        where: JSON.stringify(id.slice(0, 100)),
        mend: 'give at least 8 hexadecimal digits of it; dyno baseline list shows them',
      });
    }
    const paths = await this.#tree.paths();
    const found = [...paths].map(idOfEntry).filter((candidate) => candidate?.startsWith(id) === true);
    if (found.length === 0) throw this.#missing(id);
    if (found.length > 1)
      throw new ResultError(`fits ${found.length} runs`, { where: id, mend: 'give more of its digits' });
    return found[0]!;
  }

  #missing(id: string): ResultError {
    return new ResultError(`is not in ${this.#tree.origin}`, { where: `run ${id}`, mend: 'see dyno baseline list' });
  }

  #where(path: string): string {
    return `${this.#tree.origin}:${path}`;
  }
}

/** @throws ResultError when the file is missing, too large or not a result document. */
export async function readResultFile(path: string): Promise<ResultDocument> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > DOCUMENT_LIMITS.size) throw new ResultError(`has ${size} bytes, too many for results`, { where: path });
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof ResultError) throw cause;
    throw new ResultError('cannot be read', { where: path, mend: 'name an existing results file', cause });
  }
  return parseResultDocument(text, path);
}

function complaintOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof ResultError) return error.line();
    throw error;
  }
}
