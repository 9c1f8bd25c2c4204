import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import picomatch from 'picomatch';
import { ConfigError } from '../../emulator/check/errors.ts';
import { suggestion } from '../../emulator/config/nearest.ts';
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
  await import(pathToFileURL(file).href);
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

/**
 * Keeps what any filter chooses: a glob over ids, a leading part of an id, or `tag:NAME`. No filter keeps everything.
 * @throws ConfigError for a filter that chooses nothing, with the nearest id.
 */
export function selectBenchmarks(found: readonly Discovered[], filters: readonly string[]): Discovered[] {
  if (filters.length === 0) return [...found];
  const chosen = new Set<Discovered>();
  for (const filter of filters) {
    const matches = matcherFor(filter);
    const hits = found.filter(({ bench }) => matches(bench));
    if (hits.length === 0) {
      const names = found.flatMap(({ bench }) => [bench.id, ...(bench.aliases ?? [])]);
      const parts = names.flatMap((name) => name.split('/').map((_, i, all) => all.slice(0, i + 1).join('/')));
      const mend = suggestion(filter, new Set(parts), "see 'dyno list'");
      throw new ConfigError(`no benchmark matches '${filter}'`, { mend });
    }
    for (const hit of hits) chosen.add(hit);
  }
  return found.filter((one) => chosen.has(one));
}

function matcherFor(filter: string): (bench: Benchmark) => boolean {
  if (filter.startsWith('tag:')) {
    const tag = filter.slice(4);
    return ({ tags }) => tags?.includes(tag) ?? false;
  }
  const glob = picomatch(filter);
  return ({ id, aliases }) =>
    [id, ...(aliases ?? [])].some(
      (name) => glob(name) || name === filter || name.startsWith(`${filter.replace(/\/$/, '')}/`),
    );
}

/** Part `index` of `count` (from 1): every benchmark is in exactly one part, whatever the machine. */
export function shardOf(found: readonly Discovered[], index: number, count: number): Discovered[] {
  const ordered = [...found].sort((left, right) => (left.bench.id < right.bench.id ? -1 : 1));
  const inShard = new Set(ordered.filter((_, position) => position % count === index - 1));
  return found.filter((one) => inShard.has(one));
}
