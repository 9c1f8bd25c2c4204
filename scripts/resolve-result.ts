/** From what a user types (a file, a baseline's name, a commit or a result's id) to the result document. */
import { stat } from 'node:fs/promises';
import { ConfigError } from '../emulator/check/errors.ts';
import { suggestion } from '../emulator/config/nearest.ts';
import type { ResultDocument } from '../reports/schema.ts';
import type { ResultStore } from '../reports/store/result-store.ts';
import { readResultFile } from '../reports/store/tree-store.ts';
import { Repository } from './repository.ts';

export interface ResolvedResult {
  readonly document: ResultDocument;
  /** How the reader will know it: the words typed, and the commit where they name one. */
  readonly label: string;
}

/** @throws ConfigError or ResultError with one line that says what was looked for. */
export async function resolveResult(spec: string, store: ResultStore, directory: string): Promise<ResolvedResult> {
  const file = await readDocumentFile(spec);
  if (file !== undefined) return { document: file, label: spec };
  const names = await store.names();
  const named = names.get(spec);
  if (named !== undefined) return { document: await store.get(named), label: spec };
  const repository = await Repository.open(directory);
  const commit = await repository?.resolve(spec);
  if (commit !== undefined) {
    const newest =
      (await store.list({ commit })).findLast((entry) => !entry.dirty) ?? (await store.list({ commit })).at(-1);
    if (newest !== undefined)
      return { document: await store.get(newest.id), label: `${spec} (${commit.slice(0, 10)})` };
    throw new ConfigError(`no result is stored for commit ${commit.slice(0, 10)}`, {
      where: spec,
      mend: "measure it with 'dyno run', or fetch results with 'dyno baseline pull'",
    });
  }
  if (/^[0-9a-f]{8,64}$/.test(spec)) return { document: await store.get(spec), label: spec.slice(0, 12) };
  const known = [...names.keys()];
  throw new ConfigError(
    `'${spec}' is neither a file, a baseline${repository === undefined ? '' : ', a commit'} nor a result`,
    {
      mend: suggestion(spec, known, known.length === 0 ? 'no baselines are stored yet' : "see 'dyno baseline list'"),
    },
  );
}

async function readDocumentFile(path: string): Promise<ResultDocument | undefined> {
  const isFile = await stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
  return isFile || path.endsWith('.json') ? readResultFile(path) : undefined;
}
