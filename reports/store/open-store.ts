/** Chooses the store: the repository itself, or a directory. */
import { ResultError } from '../result-error.ts';
import { DirectoryStore } from './directory-store.ts';
import { GitStore } from './git-store.ts';
import type { GitStoreOptions } from './git-store.ts';
import type { ResultStore } from './result-store.ts';

export interface OpenOptions extends GitStoreOptions {
  /** Store here instead of in git. */
  readonly directory?: string;
  /** Store here when there is no repository around; without it that is an error. */
  readonly fallback?: string;
}

/** The store for a checkout. A shallow clone is a repository like any other: the results ref has a history of its own. */
export async function openStore(checkout: string, options: OpenOptions = {}): Promise<ResultStore> {
  if (options.directory !== undefined) return new DirectoryStore(options.directory);
  try {
    return await GitStore.open(checkout, options);
  } catch (error) {
    if (error instanceof ResultError && options.fallback !== undefined) return new DirectoryStore(options.fallback);
    throw error;
  }
}
