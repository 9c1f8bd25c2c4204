import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigError, UserFacingError } from '../../emulator/check/errors.ts';
import { registeredCount, registeredFrom } from './define-bench.ts';
import type { Benchmark } from './define-bench.ts';
import type { BenchmarkFacts } from './measurement.ts';
import { hashSources } from './source-hash.ts';

const SUFFIX = '.bench.ts';

/** A registered benchmark and the suite file it stands in. */
export interface Discovered {
  readonly bench: Benchmark;
  readonly file: string;
}

/** All suite files below `root`, in byte order of their paths, so that every machine sees the same order. */
export async function findSuiteFiles(root: string): Promise<string[]> {
  let entries;
  try {
    entries = await readdir(root, { recursive: true, withFileTypes: true });
  } catch (cause) {
    throw new ConfigError('no suites here', { where: root, cause });
  }
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(SUFFIX) && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort((left, right) => (left < right ? -1 : 1));
}

const loaded = new Map<string, readonly Benchmark[]>();

/** Imports one suite file and gives what it registered. @throws ConfigError when it registers nothing. */
export async function loadSuite(file: string): Promise<readonly Benchmark[]> {
  const known = loaded.get(file);
  if (known !== undefined) return known;
  const before = registeredCount();
  try {
    await import(pathToFileURL(file).href);
  } catch (cause) {
    if (cause instanceof UserFacingError) throw cause;
    const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    throw new ConfigError(`cannot be loaded (${reason})`, { where: file, cause });
  }
  const benches = registeredFrom(before);
  if (benches.length === 0) throw new ConfigError('defines no benchmark', { where: file, mend: 'call defineBench' });
  loaded.set(file, benches);
  return benches;
}

/** Every benchmark below `root`, file by file (imports must not interleave: registrations are told apart by order). */
export async function discover(root: string): Promise<Discovered[]> {
  const found: Discovered[] = [];
  for (const file of await findSuiteFiles(root)) {
    for (const bench of await loadSuite(file)) found.push({ bench, file });
  }
  return found;
}

/** The facts of a benchmark as results carry them. */
export async function factsOf({ bench, file }: Discovered): Promise<BenchmarkFacts> {
  const { id, title, unit, kind, direction, engine, target, thresholds } = bench;
  return {
    id,
    title,
    unit,
    kind,
    direction,
    engine,
    aliases: bench.aliases ?? [],
    tags: bench.tags ?? [],
    sourceHash: await hashSources(file, bench.inputs),
    ...(target === undefined ? {} : { target }),
    ...(thresholds === undefined ? {} : { thresholds }),
  };
}
