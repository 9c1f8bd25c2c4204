/** House rules a linter does not know. */
import { posix } from 'node:path';
import type { Objection, SourceFile } from './source.ts';

/** Names that say nothing about what a file is for. */
const EMPTY_NAMES = ['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'data', 'misc', 'shared', 'stuff'];

export function checkStyle(files: readonly SourceFile[]): Objection[] {
  const paths = new Set(files.map(({ path }) => path));
  return files.flatMap((file) => [...defaultExports(file), ...emptyName(file), ...hotWithoutBench(file, paths)]);
}

function defaultExports({ path, text }: SourceFile): Objection[] {
  if (path === 'dyno.config.ts' || path.startsWith('examples/')) return [];
  return [...text.matchAll(/^export default\b/gm)].map((match) => ({
    file: path,
    line: text.slice(0, match.index).split('\n').length,
    message: 'default export; name it',
  }));
}

function emptyName({ path }: SourceFile): Objection[] {
  const parts = path.replace(/(?:\.test|\.bench)?\.ts$/, '').split('/');
  const empty = parts.find((part) => EMPTY_NAMES.includes(part));
  return empty === undefined ? [] : [{ file: path, line: 1, message: `'${empty}' says nothing; name what it holds` }];
}

/** A file under the hot-code rule begins `// hot:` and has a benchmark of the same name. */
function hotWithoutBench({ path, text }: SourceFile, paths: ReadonlySet<string>): Objection[] {
  // What stands in suites/ is there to be measured.
  if (!text.startsWith('// hot:') || path.startsWith('suites/')) return [];
  const name = posix.basename(path, '.ts');
  const benched = [...paths].some((other) => posix.basename(other) === `${name}.bench.ts`);
  return benched ? [] : [{ file: path, line: 1, message: `is marked hot but no suite is called ${name}.bench.ts` }];
}
