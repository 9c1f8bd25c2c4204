import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { UserFacingError } from '../emulator/check/errors.ts';
import { CORPUS_ROOT, corpusPaths, readCorpus } from '../emulator/filetests/corpora.ts';
import type { Corpus } from '../emulator/filetests/format.ts';
import { ISAS } from '../emulator/filetests/registry.ts';
import { blessCorpus } from '../emulator/filetests/runner.ts';

const USAGE = `usage: npm run bless [-- FILE.ft…]

Writes the IR that instructions lift to now into the golden sections of the filetests (all of them, or those named).
Look at the difference with git before committing it.
`;

/** Exit codes as everywhere: 0 success, 2 usage or environment. */
function main(args: readonly string[]): number {
  if (args.includes('--help')) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = args.find((arg) => arg.startsWith('-'));
  if (unknown !== undefined) {
    process.stderr.write(`bless: unknown option ${unknown}; see npm run bless -- --help\n`);
    return 2;
  }
  const paths = args.length === 0 ? corpusPaths() : args.map(corpusPath);
  let changed = 0;
  for (const path of paths) {
    const corpus = readCorpus(path);
    const text = blessed(corpus);
    if (text === corpus.lines.join('\n')) continue;
    writeFileSync(join(CORPUS_ROOT, path), text);
    process.stdout.write(`blessed emulator/filetests/${path}\n`);
    changed++;
  }
  process.stdout.write(`${paths.length} filetests, ${changed} changed\n`);
  return 0;
}

function blessed(corpus: Corpus): string {
  try {
    return blessCorpus(corpus, ISAS);
  } catch (error) {
    if (!(error instanceof UserFacingError)) throw error;
    throw new BlessError(error.line(), { where: `emulator/filetests/${corpus.path}` });
  }
}

/** The path of a corpus from the corpus folder, given one from the current folder. */
function corpusPath(path: string): string {
  const inside = relative(CORPUS_ROOT, resolve(path));
  if (inside.startsWith(`..${sep}`)) throw new BlessError(`${path} is not below emulator/filetests`);
  readFileSync(join(CORPUS_ROOT, inside));
  return inside;
}

class BlessError extends UserFacingError {}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  const known = error instanceof UserFacingError ? error.line() : undefined;
  const missing = (error as NodeJS.ErrnoException).code === 'ENOENT' ? (error as Error).message : undefined;
  if (known === undefined && missing === undefined) throw error;
  process.stderr.write(`bless: ${known ?? missing}\n`);
  process.exitCode = 2;
}
