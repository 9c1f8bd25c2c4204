import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type Corpus, parseCorpus } from './format.ts';

/** The folder of this file, below which all corpora lie. */
export const CORPUS_ROOT: string = import.meta.dirname;

/** The `.ft` files below a folder, as paths relative to it, in order. */
export function corpusPaths(root: string = CORPUS_ROOT): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ft'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

/** @throws CorpusError when the file is not well-formed. */
export function readCorpus(path: string, root: string = CORPUS_ROOT): Corpus {
  return parseCorpus(path, readFileSync(join(root, path), 'utf8'));
}
