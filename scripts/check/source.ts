/** The repository's TypeScript files and what they import, read once for all checks. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join, posix, relative } from 'node:path';
import { promisify } from 'node:util';

export const ROOT = dirname(dirname(import.meta.dirname));

export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
}

export interface ImportLine {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** Target from the root with `/`; a package's name for anything not relative. */
  readonly target: string;
  readonly typeOnly: boolean;
}

/** One thing a check objects to, clickable in most terminals. */
export interface Objection {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** Files git knows or would add: a scratch file in an ignored folder is nobody's business. */
export async function readSources(root: string = ROOT): Promise<SourceFile[]> {
  const argv = ['ls-files', '--cached', '--others', '--exclude-standard', '-z', '--', '*.ts'];
  const { stdout } = await promisify(execFile)('git', argv, { cwd: root, maxBuffer: 1 << 24 });
  const paths = [...new Set(stdout.split('\0').filter((path) => path !== ''))].sort();
  const files: SourceFile[] = [];
  for (const path of paths) {
    try {
      files.push({ path, text: await readFile(join(root, path), 'utf8') });
    } catch (error) {
      // Listed by the index but deleted in the work tree.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return files;
}

/** Static and dynamic imports and re-exports with literal targets. */
export function importsOf({ path, text }: SourceFile): ImportLine[] {
  const found: ImportLine[] = [];
  // A statement starts a line, so that examples in comments and strings are not taken for imports.
  const pattern =
    /^(?:import|export)\b(?<clause>[^'"();]*?)\bfrom\s*'(?<from>[^']+)'|^import\s*'(?<bare>[^']+)'|\bimport\(\s*'(?<dynamic>[^']+)'/gm;
  for (const match of text.matchAll(pattern)) {
    const { clause = '', from, bare, dynamic } = match.groups!;
    const target = from ?? bare ?? dynamic!;
    const start = match.index;
    found.push({
      file: path,
      line: text.slice(0, start).split('\n').length,
      target: target.startsWith('.') ? posix.join(posix.dirname(path), target) : target,
      typeOnly: /^\s*type\b/.test(clause),
    });
  }
  return found;
}

/** `file:line message`, relative to where the user stands. */
export function formatObjection({ file, line, message }: Objection): string {
  return `${relative(process.cwd(), join(ROOT, file))}:${line} ${message}`;
}
